"""`Protocol`: how a score is computed, stored with every score.

Scores of a network on the same images differ by a point of F1 or more with another tiling or choice of checkpoint. Two scores are
comparable if their protocols and the hashes of their splits are equal.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cdzoo.errors import ConfigError
from cdzoo.validation import config_dataclass


@config_dataclass
class Protocol:
    """Tiling, threshold, and selection of the checkpoint.

    Attributes:
        name: Name for `--protocol`.
        dataset: Data set that the protocol belongs to; empty for any.
        tile: Side of the tiles that images are cut into, each of them a sample; None for whole images.
        window: Side of the overlapping windows that larger samples are predicted in, averaged; None for whole samples.
        overlap: Overlap of neighboring windows in pixels.
        threshold: Probability from which a pixel counts as changed.
        selection_split: Split on which the checkpoint is selected; never the test split.
        metric: Score by which it is selected.
        carved: Share of the training scenes held out for validation if a data set has no validation split.
    """

    name: str
    dataset: str = ""
    tile: Annotated[int, Field(ge=32)] | None = None
    window: Annotated[int, Field(ge=32)] | None = None
    overlap: int = 0
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    selection_split: Literal["val", "train"] = "val"
    metric: Literal["f1", "iou", "kappa", "mean_image_f1"] = "f1"
    carved: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def __post_init__(self) -> None:
        """Validate the fields."""
        if not 0 <= self.overlap < (self.window or 1):
            raise ConfigError(f"overlap must be smaller than the window of {self.window}, got {self.overlap}")

    def __str__(self) -> str:
        """Return a one-line description."""
        cut = f"{self.tile}x{self.tile} tiles" if self.tile else "whole images"
        how = f", windows of {self.window} overlapping by {self.overlap}" if self.window else ""
        return f"{self.name}: {cut}{how}, threshold {self.threshold:g}, selected by {self.metric} on {self.selection_split}"
