"""`SceneRequest`: arguments of `predict_scene` besides the model and both images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cdzoo.io.files import PathLike
from cdzoo.scenes.area import Area
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.footprints import table_of
from cdzoo.scenes.inputs import input_files, input_hash
from cdzoo.scenes.outputs import Outputs, scene_outputs


@dataclass(frozen=True)
class SceneRequest:
    """Products and settings of a scene.

    Attributes:
        output: GeoTIFF of the map; this and the others as for `predict_scene`.
        cfg: Settings.
        probability: GeoTIFF of the probability.
        polygons: File of the changed areas.
        polygon_cfg: Post-processing of the polygons.
        report: HTML page.
        footprints: File of polygons to write statistics for.
        footprint_output: Table of these statistics.
        footprint_layer: Layer of the polygons in a GeoPackage with several.
        area: Part of the scene.
        masks: For each date, the raster that says where it has no data.
        skip_finished: Whether to return at once if all outputs exist.
        on_progress: Called after each block.
        tags: Further metadata of the maps.
    """

    output: PathLike
    cfg: SceneCfg
    polygon_cfg: PolygonCfg
    probability: PathLike | None = None
    polygons: PathLike | None = None
    report: PathLike | None = None
    footprints: PathLike | None = None
    footprint_output: PathLike | None = None
    footprint_layer: str | None = None
    area: Area | None = None
    masks: tuple[PathLike | None, PathLike | None] = (None, None)
    skip_finished: bool = False
    on_progress: Callable[[float], None] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> list[Path]:
        """Local files that are read besides those of both dates."""
        vectors = [Path(file) for file in (self.footprints, None if self.area is None else self.area.file) if file is not None]
        return [*vectors, *(file for mask in self.masks if mask is not None for file in input_files(mask))]

    def outputs(self, images: Iterable[PathLike], further: Iterable[str] = ()) -> Outputs:
        """Return the output files, see `scene_outputs`.

        Args:
            images: Local files of both dates.
            further: Names of the further maps of the task.

        Raises:
            InputError: As `scene_outputs`, or a table of statistics is named without footprints.
            MissingDependencyError: As `scene_outputs`.
        """
        table = table_of(self.output, self.footprints, self.footprint_output)
        files = (self.output, self.probability, self.polygons, self.report)
        return scene_outputs(*files, [*images, *self.inputs], further, self.cfg.style, table)

    def products(self, outputs: Outputs) -> dict[str, Any]:
        """Return which products are made from the map, and their settings, for `SceneJob.sha256`."""
        zones = {} if self.footprints is None else {"footprints": [self.footprint_layer, input_hash(self.footprints)]}
        made = [file is not None for file in (outputs.probability, outputs.polygons, outputs.report)]
        return {"products": made, "polygons": dataclasses.asdict(self.polygon_cfg) if any(made[1:]) else None, **zones}
