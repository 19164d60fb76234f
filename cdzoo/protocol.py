"""`Protocol`: how images are tiled, weights selected and scores computed. It is stored with every score and checkpoint.

The F1 of the same network on the same data set can change by a point with other tiles, another split for the selection of
weights, or another test split. Scores are comparable if their protocols and sample lists are equal.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cdzoo.constants import MIN_SIZE
from cdzoo.errors import ConfigError
from cdzoo.validation import Scale, config_dataclass

Side = Annotated[int, Field(ge=MIN_SIZE)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Augment = Literal["none", "flips", "swap", "all"]


@config_dataclass
class Protocol:
    """Tiling, threshold and selection of weights.

    Field names and values enter the protocol hash of stored scores, so neither may be renamed.

    Attributes:
        name: Name, as in `--protocol`.
        dataset: Name of the data set; empty for any.
        tile: Side of the tiles that images are cut into, in pixels; None keeps whole images.
        window: Side of the windows that larger samples are predicted in, in pixels; None predicts each sample at once.
        overlap: Overlap of neighboring windows in pixels; probabilities are averaged there.
        threshold: Minimum probability for a pixel to count as changed, in (0, 1).
        scale: Factor by which images are enlarged for the model, see `predict_pair`; 1 is left out of records.
        augment: Test-time augmentation, see `cdzoo.inference.tta`; `none` is left out of records.
        selection_split: Split on which weights are selected; never the test split.
        metric: Score by which weights are selected: `f1`, `iou`, `kappa`, `mean_image_f1`, or one of the task, such as `sek`.
        carved: Fraction of the training samples held out for validation if the data set has no validation split, in (0, 1).
    """

    name: str
    dataset: str = ""
    tile: Side | None = None
    window: Side | None = None
    overlap: Annotated[int, Field(ge=0)] = 0
    threshold: Fraction = 0.5
    scale: Scale = 1.0
    augment: Augment = "none"
    selection_split: Literal["val", "train"] = "val"
    metric: Annotated[str, Field(pattern=r"^\w+$")] = "f1"
    carved: Fraction = 0.1

    def __post_init__(self) -> None:
        """Validate the overlap."""
        if self.overlap >= (self.window or 1):
            raise ConfigError(f"overlap must be smaller than the window of {self.window} pixels, got {self.overlap}")

    def __str__(self) -> str:
        """Return a one-line description for tables and logs."""
        tiling = f"{self.tile}x{self.tile} tiles" if self.tile else "whole images"
        scale = f", scale {self.scale:g}" if self.scale != 1 else ""
        windows = f", windows of {self.window} overlapping by {self.overlap}" if self.window else ""
        augment = f", augment {self.augment}" if self.augment != "none" else ""
        selection = f"selected by {self.metric} on {self.selection_split}"
        return f"{self.name}: {tiling}{windows}{scale}{augment}, threshold {self.threshold:g}, {selection}"
