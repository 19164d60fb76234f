"""Metrics, computed from integer counts of pixels: of change, of several classes, of land cover at two dates, and of damage."""

from cdzoo.metrics.binary import (
    SUMMARY_SCORES,
    SWEEP,
    ChangeCounts,
    Confusion,
    Rates,
    Scores,
    ThresholdScores,
    image_f1,
)
from cdzoo.metrics.classes import Matrix, class_scores, count_matrix, multiclass_scores, score_key, split_scores
from cdzoo.metrics.counts import ClassCounts
from cdzoo.metrics.damage import bright_scores, damage_scores, xview2_scores
from cdzoo.metrics.semantic import from_to_codes, from_to_scores, second_scores, transitions
from cdzoo.metrics.spread import HasScores, Spread, further_scores, spread, spread_table

__all__ = [
    "SUMMARY_SCORES",
    "SWEEP",
    "ChangeCounts",
    "ClassCounts",
    "Confusion",
    "HasScores",
    "Matrix",
    "Rates",
    "Scores",
    "Spread",
    "ThresholdScores",
    "bright_scores",
    "class_scores",
    "count_matrix",
    "damage_scores",
    "from_to_codes",
    "from_to_scores",
    "further_scores",
    "image_f1",
    "multiclass_scores",
    "score_key",
    "second_scores",
    "split_scores",
    "spread",
    "spread_table",
    "transitions",
    "xview2_scores",
]
