"""`cdzoo stack`."""

from __future__ import annotations

from typing import Literal


def stack(
    before: str,
    after: str,
    *,
    output: str,
    value_range: tuple[float, float] | None = None,
    value_range_after: tuple[float, float] | None = None,
    percentiles: tuple[float, float] | None = None,
    percentiles_after: tuple[float, float] | None = None,
    decibels: Literal["before", "after", "both"] | None = None,
    bands: tuple[int | str, ...] | None = None,
    bands_after: tuple[int | str, ...] | None = None,
    alpha: bool | None = None,
    align: bool = False,
) -> None:
    """Write both dates as the bands of one 8-bit GeoTIFF, for programs that take one image, such as Deepness in QGIS.

    Args:
        before: First date: any raster that GDAL reads, or a folder of bands.
        after: Second date; resampled to the grid of the first one.
        output: GeoTIFF to write.
        value_range: Values that become 0 and 255; of rasters of more than 8 bits told from their values by default, or required.
        value_range_after: Values of the second date; by default those of the first one.
        percentiles: Percentiles of each band that become 0 and 255, instead of value_range.
        percentiles_after: Percentiles of the second date.
        decibels: Dates of radar intensities, which are converted to decibels first.
        bands: Bands to take, counted from 1, or their names, such as B04; by default all but an alpha band.
        bands_after: Bands of the second date; by default those of the first one.
        alpha: Whether a band that a file calls alpha marks the pixels with data (true), or is a band like others (false).
        align: Correct a shift of the whole second date against the first, as cdzoo predict does.
    """
    from cdzoo.scenes.config import SceneCfg
    from cdzoo.scenes.stack import stack_dates

    cfg = SceneCfg(
        value_range=value_range,
        value_range_after=value_range_after,
        percentiles=percentiles,
        percentiles_after=percentiles_after,
        decibels=decibels,
        bands=bands,
        bands_after=bands_after,
        alpha=alpha,
        align=align,
    )
    names = stack_dates(before, after, output, cfg)
    print(f"{output}: {len(names)} bands, {', '.join(names)}")
