"""Writes what a scene is predicted for: maps, probabilities, polygons and a report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cdzoo.inference.model import PairModel
from cdzoo.io.files import replace_atomically
from cdzoo.io.vectors import write_vectors
from cdzoo.scenes.config import PolygonCfg
from cdzoo.scenes.footprints import LAYER, footprint_table
from cdzoo.scenes.geotiff import STEPS, Blocks, replace_raster, write_cog
from cdzoo.scenes.outputs import Outputs, writing
from cdzoo.scenes.polygons import changed_areas, trace, write_polygons
from cdzoo.scenes.raster import RasterSource
from cdzoo.scenes.report import footprint_summary, write_report
from cdzoo.scenes.styles import polygon_style, store_style, style_files, style_text
from cdzoo.tasks import Task


@dataclass(frozen=True)
class Predicted:
    """Predicted values of a scene.

    Attributes:
        folder: Folder for temporary files.
        blocks: Function from the name of a map of the task, or `"probability"`, to the blocks of its values.
        dtype: Type of the probability; None if it is not predicted.
        probability: Probability map from which the maps are made again, which is not written; None to write it from its blocks.
    """

    folder: Path
    blocks: Callable[[str], Blocks]
    dtype: str | None
    probability: Path | None = None


def write_products(
    outputs: Outputs,
    before: RasterSource,
    after: RasterSource,
    predicted: Predicted,
    model: PairModel,
    tags: Mapping[str, str],
    cfg: PolygonCfg,
    footprints: Any = None,
) -> tuple[int | None, Any]:
    """Write all outputs under temporary names, and rename them when they are complete; the main map is renamed last.

    The existence of the main map means that the scene is complete.

    Args:
        outputs: Files to write.
        before: First date.
        after: Second date.
        predicted: Values to write.
        model: The model.
        tags: Metadata of the maps.
        cfg: Post-processing of the polygons.
        footprints: Polygons (GeoDataFrame) of the table.

    Returns:
        Number of polygons, and the table of footprints; None for one that is not written.

    Raises:
        InputError: A file cannot be written.
    """
    import rasterio

    folder, blocks, dtype, probability = predicted.folder, predicted.blocks, predicted.dtype, predicted.probability
    task, count, table = model.task, None, None
    with ExitStack() as stack:
        maps = {}
        for name, path in zip(task.maps, (outputs.mask, *outputs.further.values()), strict=True):
            maps[name] = stack.enter_context(replace_raster(path))
            with writing(path):
                write_cog(maps[name], folder, before.grid, "uint8", blocks(name), tags, (name,), task.maps[name])
        if dtype is not None and probability is None:
            kept = outputs.probability
            probability = folder / "probability.tif" if kept is None else stack.enter_context(replace_raster(kept))
            scale = 1 / STEPS if dtype == "uint8" else 1.0
            further = {**tags, "scale": f"{scale:g}"} if dtype == "uint8" else tags
            bands = task.probability_names or ("probability of change",)
            with writing(kept or probability):
                write_cog(probability, folder, before.grid, dtype, blocks("probability"), further, bands, scale=scale)
        if outputs.footprints is not None:
            table = footprint_table(footprints, next(iter(maps.values())), probability)
            file = stack.enter_context(replace_atomically(outputs.footprints))
            with writing(outputs.footprints):
                write_vectors(file, table, LAYER)
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
                        zones = [] if table is None else [footprint_summary(table, outlines.grid)]
                        write_report(file, (before, after), opened, probabilities, model, outlines, areas, cfg, zones)
        finish_outputs(outputs, task, stack)
    return count, table


def finish_outputs(outputs: Outputs, task: Task, stack: ExitStack) -> None:
    """Write the styles of outputs whose files are complete under temporary names, and remove the main map of an earlier run.

    Args:
        outputs: Files.
        task: Task with the maps of the outputs.
        stack: Its end renames the files.
    """
    for path, text in style_files(outputs, task).items():
        file = stack.enter_context(replace_atomically(path))
        with writing(path):
            file.write_text(text, encoding="utf-8")
    for path in outputs.kept_styles if outputs.with_styles else ():
        warnings.warn(f"{path}: a style that cdzoo did not write is kept; remove it to get a new one", stacklevel=4)
    # So that a run that ends between two of the renames leaves no map of earlier settings with these products.
    outputs.mask.unlink(missing_ok=True)
    for path in outputs.stale_styles:
        path.unlink()
