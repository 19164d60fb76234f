"""Metrics of building damage: the score of the xView2 challenge, its unmasked variant, and the mean IoU of BRIGHT."""

from __future__ import annotations

from collections.abc import Sequence

from cdzoo.metrics.binary import Confusion
from cdzoo.metrics.classes import Matrix, ratio, score_key

_EPS_HARMONIC, _EPS_IOU = 1e-6, 1e-7
"""Constants of the official code; with the first, a perfect score is 1.000001."""


def xview2_scores(buildings: Confusion, masked: Matrix, in_buildings: Matrix, names: Sequence[str]) -> dict[str, float]:
    """Return the score of the xView2 challenge, and a variant that several publications report in its place.

    Args:
        buildings: Pixels of buildings and background.
        masked: Confusion matrix (K + 1, K + 1) of the grades, where the prediction is 0 outside of the PREDICTED buildings.
        in_buildings: The same in pixels of TRUE buildings only, for the grades as predicted, inside or outside of the predicted
            buildings.
        names: Name of each grade.

    Returns:
        `xview2`: 0.3 F1 of buildings + 0.7 harmonic mean of the F1 of the grades, in pixels that have a true grade; and its parts
        `xview2_damage` and `xview2_f1_NAME`. `xview2_unmasked`: the same of `in_buildings`, in which a missed building costs
        nothing but its localization.
    """
    f1, damage = _harmonic_f1([row[1:] for row in masked], names)
    _, unmasked = _harmonic_f1(in_buildings, names)
    return {
        "xview2": 0.3 * buildings.f1 + 0.7 * damage,
        "xview2_damage": damage,
        **f1,
        "xview2_unmasked": 0.3 * buildings.f1 + 0.7 * unmasked,
    }


def bright_scores(matrix: Matrix) -> dict[str, float]:
    """Return `bright_miou`, the mean IoU of BRIGHT (Chen et al., ESSD 2025): a class that is absent counts as 0.

    Args:
        matrix: Confusion matrix of background and grades over all pixels, for the arg max of the damage output alone, which is
            not restricted to predicted buildings.
    """
    return {"bright_miou": mean_iou(matrix)}


def damage_scores(matrix: Matrix) -> dict[str, float]:
    """Return `miou_damage`, as `bright_miou` but of the grades inside of predicted buildings and background elsewhere."""
    return {"miou_damage": mean_iou(matrix)}


def mean_iou(matrix: Matrix) -> float:
    """Return the mean IoU over all classes, in [0, 1]."""
    columns = [sum(column) for column in zip(*matrix, strict=True)]
    ious = [row[i] / (sum(row) + columns[i] - row[i] + _EPS_IOU) for i, row in enumerate(matrix)]
    return sum(ious) / len(ious)


def _harmonic_f1(matrix: Matrix, names: Sequence[str]) -> tuple[dict[str, float], float]:
    """Return the F1 of each grade and their harmonic mean.

    Args:
        matrix: One row for each grade and for background; columns of grades, and in front of them possibly one of pixels without.
        names: Name of each grade.
    """
    offset = len(matrix[0]) - len(names)
    f1 = {}
    for grade, name in enumerate(names, 1):
        column = grade - 1 + offset
        f1[f"xview2_f1_{score_key(name)}"] = ratio(
            2 * matrix[grade][column], sum(matrix[grade]) + sum(row[column] for row in matrix)
        )
    return f1, len(names) / sum(1 / (score + _EPS_HARMONIC) for score in f1.values())
