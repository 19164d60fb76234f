"""`DataCfg`: data set and reading options, stored with every run."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

from pydantic import Field

from cdzoo.constants import MIN_SIZE
from cdzoo.data.masks import MaskEncoding
from cdzoo.errors import ConfigError
from cdzoo.io.band_names import Band
from cdzoo.io.scaling import Scaling, date_scalings
from cdzoo.validation import config_dataclass


@config_dataclass
class DataCfg:
    """Data set and reading options.

    Attributes:
        data: Folder of pairs, or name of a data set; cdzoo data list shows them, synthetic:N generates N training pairs.
        pairs: Table of pairs (or before, after and mask); a .csv file with the columns before, after, mask and, if there are
            splits, split. Paths are relative to the file.
        before: Images of the first date instead of data, such as 'x/*_pre.tif'; pairs have equal texts for *, and {split} stands
            for the folder of a split. Without *, a scene that is cut into windows.
        after: Images of the second date, such as 'x/*_post.tif'.
        mask: Masks of the pairs of before and after, such as 'y/*.png'; or one file of polygons for all of them.
        aoi: Polygons of the area in which scenes are cut; a file such as area.gpkg.
        tile: Side of the windows that are cut from scenes, in pixels; 256 by default.
        block: Side of the blocks of ground by which scenes are split, in meters; two windows by default.
        label_attribute: Attribute of labels that are polygons: their value in the masks, or the name of their class; by default
            every polygon is change.
        classes: File that declares the classes of labels; by default a classes.json or classes.txt in the folder, or next to the
            table.
        protocol: Name of the protocol; that of the data set by default (cdzoo data list).
        exclude: Wildcards of sample names to leave out.
        val: Folder of validation pairs; a split of the data by default.
        labeled: List file of the training pairs whose masks are used, one name per line; or polygons of the area of scenes whose
            labels are used; all by default. The other masks are not used: with semi=unimatch their images are trained on, else
            they are left out.
        unlabeled: Folder of further pairs without masks for semi=unimatch.
        holdout: Share of data without splits that is held out for validation, and the same for the test; 0.1 by default.
        value_range: (min, max) mapped to [0, 1]; of images of more than 8 bits told from their values by default, or required.
        mask_encoding: Values of the masks; for no change, change and, if there are any, pixels without a label: 0/1, 0/255,
            0/1/255, ...; threshold for noise around 0 and 255. Detected by default, if no pixels are without a label.
        root: Folder of a named data set; $CDZOO_DATA/NAME or data/NAME by default.
        class_order: Order of the classes of a named data set that has several (cdzoo data info NAME).
        test_event: Event of a named data set that is the test split, none of whose pairs is trained on (cdzoo data info NAME).
        value_range_after: (min, max) of the second date mapped to [0, 1]; by default as for the first one.
        percentiles: Percentiles of each band mapped to 0 and 1; instead of value_range.
        percentiles_after: Percentiles of the second date; by default as for the first one.
        decibels: Dates of radar intensities, which are converted by 10 log10(x) before value_range, then in decibels, or
            percentiles apply.
        bands: Bands to read, in this order; numbers from 1, or names such as B04 of files that name their bands, or of folders
            with one file for each. All by default.
        bands_after: Bands of the second date; by default those of the first one.
    """

    data: str = ""
    protocol: str | None = None
    exclude: tuple[str, ...] = ()
    val: str | None = None
    value_range: tuple[float, float] | None = None
    mask_encoding: str | None = None
    root: str | None = None
    class_order: str | None = None
    test_event: str | None = None
    value_range_after: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    percentiles_after: tuple[float, float] | None = None
    decibels: Literal["before", "after", "both"] | None = None
    pairs: str | None = None
    before: str | None = None
    after: str | None = None
    mask: str | None = None
    label_attribute: str | None = None
    classes: str | None = None
    labeled: str | None = None
    unlabeled: str | None = None
    aoi: str | None = None
    tile: Annotated[int, Field(ge=MIN_SIZE)] | None = None
    block: Annotated[float, Field(gt=0)] | None = None
    holdout: Annotated[float, Field(gt=0, le=0.4)] | None = None
    bands: tuple[Band | str, ...] | None = None
    bands_after: tuple[Band | str, ...] | None = None

    def __post_init__(self) -> None:
        """Validate the source, the ranges and the encoding."""
        patterns = {name: getattr(self, name) for name in ("before", "after", "mask")}
        lacking = [name for name, pattern in patterns.items() if not pattern]
        given = sum((bool(self.data), bool(self.pairs), len(lacking) < len(patterns)))
        if given == 0:
            raise ConfigError("--data required; or --pairs, or --before, --after and --mask together")
        if given > 1:
            raise ConfigError("--data, --pairs, and --before with --after and --mask exclude each other; pass one of them")
        if not self.data and not self.pairs and lacking:
            raise ConfigError(f"--before, --after and --mask belong together; missing: {', '.join(lacking)}")
        _ = self.encoding, self.scalings

    @property
    def title(self) -> str:
        """Folder, name, table or first pattern, for messages."""
        return self.data or self.pairs or str(self.before)

    @property
    def options(self) -> str:
        """Options of the command line that name these data and say what their labels mean."""
        names = (
            *("data", "pairs", "before", "after", "mask", "root", "mask_encoding", "label_attribute", "classes", "class_order"),
            *("aoi", "tile", "block", "holdout"),
        )
        given = {name.replace("_", "-"): getattr(self, name) for name in names}
        return " ".join(f"--{name} {shlex.quote(f'{value}')}" for name, value in given.items() if value)

    @property
    def encoding(self) -> MaskEncoding | None:
        """Declared encoding of the masks."""
        return None if self.mask_encoding is None else MaskEncoding(self.mask_encoding)

    @property
    def scalings(self) -> tuple[Scaling, Scaling]:
        """Scaling of the first date, and of the later ones."""
        return date_scalings(self.value_range, self.value_range_after, self.percentiles, self.percentiles_after, self.decibels)

    @property
    def selected(self) -> tuple[tuple[int | str, ...] | None, tuple[int | str, ...] | None]:
        """Bands of the first date, and of the later ones; None for all."""
        return self.bands, self.bands_after or self.bands

    @property
    def is_one_range(self) -> bool:
        """Whether one range of values is given for all dates."""
        return self.equal_values and self.value_range is not None

    @property
    def equal_values(self) -> bool:
        """Whether one range of values must fit all dates."""
        first, second = self.scalings
        return first == second and first.percentiles is None
