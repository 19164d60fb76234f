"""`SceneCfg` and `PolygonCfg`: settings of `predict_scene`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cdzoo.constants import WINDOW_BATCH
from cdzoo.errors import ConfigError
from cdzoo.io.band_names import Band
from cdzoo.io.scaling import Scaling, date_scalings
from cdzoo.protocol import Augment
from cdzoo.validation import Scale, config_dataclass

_NotNegative = Annotated[float, Field(ge=0, le=1e15)]


@config_dataclass
class SceneCfg:
    """Settings of `predict_scene`.

    Attributes:
        tile: Side of a window in pixels; by default 512, or the fixed input size of the model.
        overlap: Overlap of neighboring windows in pixels, at most half of `tile`; a quarter of it by default.
        batch_size: Number of windows predicted at once; fewer at a scale above 1.
        threshold: Minimum probability for a pixel to count as changed; by default that of the published weights of the model, or
            0.5.
        augment: Test-time augmentation: mean over four flips (`flips`), over both orders of the dates (`swap`) or both (`all`).
        scale: Factor by which windows are enlarged for the model: above 1 if pixels are larger on the ground than those of its
            training images, below 1 if they are smaller. Time grows with its square. `auto`: as the size of pixels on the
            ground requires, if the weights state which sizes they are for and the first date has a coordinate system, else 1.
        value_range: Values of the rasters that map to 0 and 1, in the numbers that the files store; of rasters of more
            than 8 bits they are told from the values of both dates if neither this nor `percentiles` is given, or asked for.
        value_range_after: Values of the second date that map to 0 and 1; by default `value_range`, which is refused if the dates
            differ in depth, or in the scale and offset that their files state.
        percentiles: Percentiles of each band of each raster that map to 0 and 1, instead of value_range.
        percentiles_after: Percentiles of the second date; by default as for the first one.
        decibels: Dates of radar intensities, which are converted by 10 log10(x) before value_range, then in decibels, or
            percentiles apply: `before`, `after` or `both`.
        reflectance: `auto` for dates of reflectances, such as those of Sentinel-2: value_range then counts reflectances, by
            default (0, 0.3). The scale is that of the file, or 1/10000 for integers. The darkest ground tells whether a date has
            the offset of 1000 of Sentinel-2 products since January 2022. Pixels that are 0 in all bands have no data. With
            `none`, an offset of one date alone is named, and not corrected.
        bands: Bands that the model receives, counted from 1, or their names, such as B04; by default all but an alpha band.
        bands_after: Bands of the second date; by default `bands`.
        alpha: Whether a band that a file calls alpha marks the pixels with data (true), or is a band like others, such as near
            infrared (false). By default it marks them, and a note says so.
        mask_values: Values of cloud masks at which a date has no data; by default 0, 1, 3, 8, 9 and 10 if the name of the file or
            of its band has the word SCL (scene classification of Sentinel-2), else all but 0.
        align: Correct a shift of the whole second date against the first, which is measured in several windows. Without it, a
            shift of more than 2 pixels is named.
        probability: Type of the probability map: `uint8`, in steps of 1/200, or `float32`.
        style: Write a style of QGIS next to each raster and into a GeoPackage: a file `.qml`, with the names and colors of the
            classes. A style that another program wrote is kept.
        progress: Whether to show a progress bar; by default where standard error is a terminal.
    """

    tile: Annotated[int, Field(ge=64, le=65_536)] | None = None
    overlap: Annotated[int, Field(ge=0, le=65_536)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = WINDOW_BATCH
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    augment: Augment = "none"
    scale: Scale | Literal["auto"] = "auto"
    value_range: tuple[float, float] | None = None
    value_range_after: tuple[float, float] | None = None
    percentiles: tuple[float, float] | None = None
    percentiles_after: tuple[float, float] | None = None
    decibels: Literal["before", "after", "both"] | None = None
    reflectance: Literal["none", "auto"] = "none"
    bands: tuple[Band | str, ...] | None = None
    bands_after: tuple[Band | str, ...] | None = None
    alpha: bool | None = None
    mask_values: tuple[int, ...] | None = None
    align: bool = False
    probability: Literal["uint8", "float32"] = "uint8"
    style: bool = True
    progress: bool | None = None

    def __post_init__(self) -> None:
        """Validate the fields."""
        _ = self.scalings
        others = (self.value_range_after, self.percentiles, self.percentiles_after, self.decibels)
        if self.reflectance == "auto" and any(one is not None for one in others):
            raise ConfigError(
                "reflectance 'auto' gives both dates one range of reflectances: pass value_range alone, such as [0, 0.4], and no "
                "percentiles, decibels or value_range_after"
            )

    @property
    def scalings(self) -> tuple[Scaling, Scaling]:
        """Scaling of each date."""
        ranges, percentiles = (self.value_range, self.value_range_after), (self.percentiles, self.percentiles_after)
        return date_scalings(*ranges, *percentiles, self.decibels)


@config_dataclass
class PolygonCfg:
    """Post-processing of polygons. Areas are in square meters on the ground, or in pixels for rasters without coordinates.

    Attributes:
        min_area: Smaller polygons are omitted.
        fill_holes: Smaller holes are filled.
        simplify: Tolerance of the simplification of outlines in pixels; 0 keeps every vertex.
    """

    min_area: _NotNegative = 0.0
    fill_holes: _NotNegative = 0.0
    simplify: _NotNegative = 0.0
