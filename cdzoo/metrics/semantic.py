"""Metrics of semantic change detection: SeK, F_scd and mIoU of SECOND, and SeK over from-to codes.

Class 0 is "unchanged". Values agree with the official code of SCanNet and Bi-SRNet where these are defined; where they are NaN,
because nothing changed or nothing is predicted as changed, the empty ratio is 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cdzoo.metrics.classes import Matrix, ratio


def second_scores(matrix: Matrix) -> dict[str, float]:
    """Return the scores of SECOND (Yang et al., "Asymmetric Siamese networks for semantic change detection", TGRS 2022).

    Args:
        matrix: ONE confusion matrix (K + 1, K + 1) of the maps of both dates, each of which has class 0 where it is unchanged:
            every pixel counts twice.

    Returns:
        `sek`: separated kappa, in [-1, 1]. `f_scd`: F1 of changed pixels with the right class (Ding et al., TGRS 2022).
        `miou_scd`: mean of the IoU of unchanged and of changed pixels. `second_score`: 0.3 miou_scd + 0.7 sek.
    """
    kappa, iou_unchanged, iou_changed = _separated(matrix)
    size = range(1, len(matrix))
    hits = sum(matrix[index][index] for index in size)
    f_scd = ratio(2 * hits, sum(map(sum, matrix[1:])) + sum(sum(row[1:]) for row in matrix))
    sek, miou = kappa * math.exp(iou_changed - 1), (iou_unchanged + iou_changed) / 2
    return {"sek": sek, "f_scd": f_scd, "miou_scd": miou, "second_score": 0.3 * miou + 0.7 * sek}


def from_to_scores(matrix: Matrix) -> dict[str, float]:
    """Return `sek_from_to`: the separated kappa of from-to codes, in which each pixel counts once.

    It is another number than `sek`, of the same network on the same pixels.

    Args:
        matrix: Confusion matrix of `from_to_codes`.
    """
    kappa, _, iou_changed = _separated(matrix)
    return {"sek_from_to": kappa * math.exp(iou_changed - 1)}


def from_to_codes(first: Tensor, second: Tensor, classes: int) -> Tensor:
    """Return the from-to code of each pixel: (a - 1) * K + b for a change from class a to class b, 0 if either class is 0.

    Args:
        first: Classes of the first date in {0..K}.
        second: Classes of the second date.
        classes: Number of land-cover classes K.
    """
    return torch.where((first > 0) & (second > 0), (first - 1) * classes + second, 0)


def transitions(matrix: Matrix, classes: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return the number of pixels from class a (row) to class b (column), predicted and true.

    Args:
        matrix: Confusion matrix of `from_to_codes`.
        classes: Number of land-cover classes.
    """
    predicted = [sum(row) for row in matrix[1:]]
    true = [sum(column) for column in zip(*matrix, strict=True)][1:]
    rows = range(0, classes * classes, classes)
    return [predicted[row : row + classes] for row in rows], [true[row : row + classes] for row in rows]


def _separated(matrix: Matrix) -> tuple[float, float, float]:
    """Return the kappa without the pixels that are rightly unchanged, and the IoU of unchanged and of changed pixels."""
    rows, columns = [sum(row) for row in matrix], [sum(column) for column in zip(*matrix, strict=True)]
    unchanged, total = matrix[0][0], sum(rows)
    false, missed = columns[0] - unchanged, rows[0] - unchanged
    changed = total - unchanged - false - missed
    count = total - unchanged
    hits = sum(matrix[index][index] for index in range(1, len(matrix)))
    rows[0], columns[0] = missed, false
    # Integers, scaled by count squared, because the difference of large counts can be small.
    chance = sum(row * column for row, column in zip(rows, columns, strict=True))
    kappa = ratio(hits * count - chance, count * count - chance)
    return kappa, ratio(unchanged, unchanged + false + missed), ratio(changed, changed + false + missed)
