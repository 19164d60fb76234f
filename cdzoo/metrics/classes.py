"""Confusion matrices of several classes and their scores.

Rows of a matrix are predicted classes, columns are true ones. Scores are computed from integers, and a ratio of zeros is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Matrix = Sequence[Sequence[int]]
"""Number of pixels by predicted class (row) and true class (column)."""


def count_matrix(predicted: Tensor, truth: Tensor, classes: int, valid: Tensor | None = None) -> Tensor:
    """Return the confusion matrix (classes, classes) of two maps, int64.

    Args:
        predicted: Predicted classes in {0..classes-1}, of any shape.
        truth: True classes, of the same shape.
        classes: Number of classes.
        valid: Pixels to count, Boolean; all by default. The classes of others may have any value.
    """
    codes = predicted.long() * classes + truth.long()
    if valid is not None:
        # Selecting pixels with a mask would synchronize the device; the last bin takes the others.
        codes = torch.where(valid, codes, classes**2)
    return torch.bincount(codes.flatten(), minlength=classes**2 + 1)[: classes**2].view(classes, classes)


def class_scores(matrix: Matrix, names: Sequence[str]) -> dict[str, float]:
    """Return the F1 and the IoU of each class, in [0, 1], as `f1_NAME` and `iou_NAME`.

    Args:
        matrix: Confusion matrix.
        names: Name of each class; an empty name leaves a class out.
    """
    f1, iou = {}, {}
    for index, name in enumerate(names):
        if name:
            hits, row, column = _margins(matrix, index)
            f1[f"f1_{score_key(name)}"] = ratio(2 * hits, row + column)
            iou[f"iou_{score_key(name)}"] = ratio(hits, row + column - hits)
    return f1 | iou


def multiclass_scores(matrix: Matrix) -> dict[str, float]:
    """Return scores of one map of several classes, whose class 0 is "no change".

    Returns:
        `oa_classes`: share of pixels with the right class. `kappa_classes`: Cohen's kappa. `miou_classes`: mean IoU of the
        classes that are predicted or true somewhere, "no change" among them. `mf1_classes`: mean F1 of such classes without "no
        change".
    """
    total, hits, chance = sum(map(sum, matrix)), 0, 0
    ious, f1s = [], []
    for index in range(len(matrix)):
        hit, row, column = _margins(matrix, index)
        hits, chance = hits + hit, chance + row * column
        if row + column:
            ious.append(hit / (row + column - hit))
            f1s += [2 * hit / (row + column)] if index else []
    return {
        "oa_classes": ratio(hits, total),
        "kappa_classes": ratio(hits * total - chance, total * total - chance),
        "miou_classes": ratio(sum(ious), len(ious)),
        "mf1_classes": ratio(sum(f1s), len(f1s)),
    }


def split_scores(further: Mapping[str, float], names: Sequence[str]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return the scores that are not of one class, and a row for each class with its scores, such as `f1` and `iou`.

    Args:
        further: Scores of a task by name.
        names: Name of each class.
    """
    overall, rows = dict(further), []
    for name in names:
        ending = f"_{score_key(name)}"
        # Of classes whose names end alike, the longest name is meant: "f1_low_vegetation" is no score of "vegetation".
        longer = [other for other in map(score_key, names) if other.endswith(ending)]
        found = {
            key.removesuffix(ending): overall.pop(key)
            for key in list(overall)
            if key.endswith(ending) and not any(key.endswith(f"_{other}") for other in longer)
        }
        if found:
            rows.append({"class": name, **found})
    return overall, rows


def score_key(name: str) -> str:
    """Return the name of a class as a part of the names of scores: lower case, with underscores for spaces."""
    return "_".join(name.lower().split())


def ratio(part: float, whole: float) -> float:
    """Return `part / whole`, and 0 if there is no whole."""
    return part / whole if whole else 0.0


def _margins(matrix: Matrix, index: int) -> tuple[int, int, int]:
    """Return the right, the predicted and the true pixels of a class."""
    return matrix[index][index], sum(matrix[index]), sum(row[index] for row in matrix)
