"""`SeriesPage`: report of a series."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cdzoo.inference.model import PairModel
from cdzoo.scenes.area import Area
from cdzoo.scenes.config import PolygonCfg, SceneCfg
from cdzoo.scenes.dates import opened_dates
from cdzoo.scenes.polygons import changed_areas, trace
from cdzoo.scenes.report import SeriesContent, Table, write_report
from cdzoo.tasks import Task

_RULE = (
    "Every image is compared with the first one. A change is lasting if the next two images with data show it, too, or the next "
    "one if only one is left. Its date is that of the first image that shows it: it happened after the image before. It is "
    "passing if a later image does not show it, and unconfirmed if only the last one shows it. A fault of the first image, such "
    "as a cloud, looks like a change that lasts since the second one. The large pictures are the first and the last image."
)


@dataclass(frozen=True)
class SeriesPage:
    """Writes the report of a series.

    Attributes:
        model: The model.
        images: Rasters in the order of their dates.
        names: Name or date of each.
        cfg: Settings of all pairs.
        polygon_cfg: Post-processing of the areas.
        area: Part of the first image.
    """

    model: PairModel
    images: Sequence[Path]
    names: Sequence[str]
    cfg: SceneCfg
    polygon_cfg: PolygonCfg
    area: Area

    def __call__(self, target: Path, states: Path, probability: Path, task: Task, tables: Sequence[Table]) -> None:
        """Write the page to a file, as `SeriesReport`."""
        import rasterio

        bands = () if self.model.pretrained_cfg is None else self.model.pretrained_cfg.bands
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they came with the pairs
            first, *others = self.images
            dates = [
                stack.enter_context(opened_dates(first, other, self.model.bands, bands, self.cfg, self.area)) for other in others
            ]
            change, chance = (stack.enter_context(rasterio.open(file)) for file in (states, probability))
            main, *_ = task.maps
            outlines = trace({main: change}, chance, task)
            areas = changed_areas(outlines, task, self.polygon_cfg)
            listed = ", ".join(
                f"{name} ({path.name})" if name != path.stem else path.name
                for name, path in zip(self.names, self.images, strict=True)
            )
            between = [other for _, other in dates[:-1]]
            content = SeriesContent(task, self.names, between, {"images": f"{len(self.images)}: {listed}"}, _RULE)
            pair = (dates[0][0], dates[-1][1])
            write_report(target, pair, {main: change}, chance, self.model, outlines, areas, self.polygon_cfg, tables, content)
