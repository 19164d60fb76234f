"""Writes what a scene is predicted for: maps, probabilities, polygons and a report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from cdzoo.inference.blocks import WindowGrid
from cdzoo.inference.sources import Array
from cdzoo.io.files import replace_atomically
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.geotiff import STEPS, replace_raster, write_cog
from cdzoo.scenes.job import SceneJob
from cdzoo.scenes.journal import Journal
from cdzoo.scenes.outputs import Outputs, writing
from cdzoo.scenes.polygons import changed_areas, trace, write_polygons
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report import write_report
from cdzoo.scenes.styles import polygon_style, store_style, style_files, style_text
from cdzoo.tasks import Task
from cdzoo.tiling import Window


def write_products(
    outputs: Outputs,
    before: RasterSource,
    after: RasterSource,
    windows: WindowGrid,
    journal: Journal,
    job: SceneJob,
    task: Task,
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
        task: Task of the model.
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

    count = None
    with ExitStack() as stack:
        maps = {}
        for name, path in zip(task.maps, (outputs.mask, *outputs.further.values()), strict=True):
            maps[name] = stack.enter_context(replace_raster(path))
            with writing(path):
                write_cog(maps[name], journal.folder, before.grid, "uint8", stored(name), tags, (name,), task.maps[name])
        if job.with_probability:
            kept = outputs.probability
            probability = journal.folder / "probability.tif" if kept is None else stack.enter_context(replace_raster(kept))
            dtype = job.settings.probability
            scale = {"scale": f"{1 / STEPS:g}"} if dtype == "uint8" else {}
            bands = task.probability_names or ("probability of change",)
            with writing(kept or probability):
                write_cog(
                    probability,
                    journal.folder,
                    before.grid,
                    dtype,
                    stored("probability"),
                    {**tags, **scale},
                    bands,
                    scale=1 / STEPS if dtype == "uint8" else 1.0,
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
                        if outputs.with_styles and "polygons" not in outputs.styled:
                            store_style(file, style_text(polygon_style(task)))
                if outputs.report is not None:
                    file = stack.enter_context(replace_atomically(outputs.report))
                    with writing(outputs.report):
                        write_report(file, (before, after), opened, probabilities, task, outlines, areas)
        for path, text in style_files(outputs, task).items():
            file = stack.enter_context(replace_atomically(path))
            with writing(path):
                file.write_text(text, encoding="utf-8")
        for path in outputs.kept_styles if outputs.with_styles else ():
            warnings.warn(f"{path}: a style that cdzoo did not write is kept; remove it to get a new one", stacklevel=3)
        # So that a run that ends between two of the renames leaves no map of earlier settings with these products.
        outputs.mask.unlink(missing_ok=True)
        for path in outputs.stale_styles:
            path.unlink()
    return count
