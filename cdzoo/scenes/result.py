"""`SceneResult`: what `predict_scene` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class SceneResult:
    """Output files and statistics of a predicted scene.

    Attributes:
        mask: GeoTIFF of the main map.
        probability: GeoTIFF of the probability; None if it was not requested.
        polygons: Number of polygons; None if they were not requested.
        pixels: Number of pixels with data in both dates.
        changed: Number of those that changed.
        seconds: Wall time.
        resumed: Number of blocks from an interrupted run.
        threshold: Minimum probability for a pixel to count as changed.
        scale: Factor by which windows were enlarged for the model.
        finished: Whether the outputs are those of an earlier run, and were not made again; pixels are not counted then.
        further: GeoTIFFs of the further maps of the task by name.
        classes: Number of pixels of each value of the main map that occurs, by name.
        styles: Style files of QGIS; that of a GeoPackage is in it.
        footprints: Table of statistics per footprint (GeoDataFrame), see `footprint_table`; None if it was not requested, or
            if the outputs are those of an earlier run.
        reflectances: Reflectances of each date that map to 0 and 1 as text; empty if they are not asked for.
        masks: Cloud mask of each date that has one, as text: what masks, and which share of the scene.
    """

    mask: Path
    probability: Path | None
    polygons: int | None
    pixels: int
    changed: int
    seconds: float
    resumed: int
    threshold: float
    scale: float = 1.0
    finished: bool = False
    further: dict[str, Path] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    styles: tuple[Path, ...] = ()
    footprints: Any = None
    reflectances: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
