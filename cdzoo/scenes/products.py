"""Writes what a scene is predicted for: maps, probabilities, polygons and a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from cdzoo.inference.blocks import WindowGrid
from cdzoo.inference.sources import Array
from cdzoo.io.files import replace_atomically
from cdzoo.models.detector import ChangeDetector
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.geotiff import STEPS, replace_raster, write_cog
from cdzoo.scenes.job import SceneJob
from cdzoo.scenes.journal import Journal
from cdzoo.scenes.outputs import Outputs, writing
from cdzoo.scenes.polygons import changed_areas, trace, write_polygons
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report import write_report
from cdzoo.tiling import Window


def write_products(
    outputs: Outputs,
    before: RasterSource,
    after: RasterSource,
    windows: WindowGrid,
    journal: Journal,
    job: SceneJob,
    model: ChangeDetector,
    tags: Mapping[str, str],
    cfg: PolygonCfg,
) -> int | None:
    """Write all outputs under temporary names, and rename them when they are complete; the main map is renamed last.

    The existence of the main map means that the scene is complete.

    Args:
        outputs: Files to write.
        before: First date.
        after: Second date.
        windows: Blocks of the scene.
        journal: Storage of the predicted blocks.
        job: Inputs and settings of the prediction.
        model: The model.
        tags: Metadata of the maps.
        cfg: Post-processing of the polygons.

    Returns:
        Number of polygons; None if they are not written.

    Raises:
        InputError: A file cannot be written.
    """
    import rasterio

    def stored(name: str) -> Callable[[], Iterator[tuple[Window, Array]]]:
        return lambda: ((windows.completed(*block), journal.read(*block, name)) for block in windows.order)

    count, task = None, model.task
    with ExitStack() as stack:
        maps = {}
        for name, path in zip(task.maps, (outputs.mask, *outputs.further.values()), strict=True):
            maps[name] = stack.enter_context(replace_raster(path))
            bands, legend = ((name,), task.maps[name]) if task.has_legend else ((), None)
            with writing(path):
                write_cog(maps[name], journal.folder, before.grid, "uint8", stored(name), tags, bands, legend)
        if job.with_probability:
            kept = outputs.probability
            probability = journal.folder / "probability.tif" if kept is None else stack.enter_context(replace_raster(kept))
            dtype = job.settings.probability
            scale = {"scale": f"{1 / STEPS:g}"} if dtype == "uint8" else {}
            with writing(kept or probability):
                write_cog(
                    probability,
                    journal.folder,
                    before.grid,
                    dtype,
                    stored("probability"),
                    {**tags, **scale},
                    task.probability_names,
                )
        if outputs.polygons is not None or outputs.report is not None:
            with ExitStack() as files:
                opened = {name: files.enter_context(rasterio.open(file)) for name, file in maps.items()}
                probabilities = files.enter_context(rasterio.open(probability))
                outlines = trace(opened, probabilities, task)
                areas = changed_areas(outlines, task, cfg)
                if outputs.polygons is not None:
                    count = len(areas)
                    file = stack.enter_context(replace_atomically(outputs.polygons))
                    with writing(outputs.polygons):
                        write_polygons(file, areas, outlines.grid.crs, task)
                if outputs.report is not None:
                    file = stack.enter_context(replace_atomically(outputs.report))
                    with writing(outputs.report):
                        dates = (before, after)
                        write_report(file, dates, opened, probabilities, model, job.threshold, outlines, areas, cfg)
        # So that a run that ends between two of the renames leaves no map of earlier settings with these products.
        outputs.mask.unlink(missing_ok=True)
    return count
