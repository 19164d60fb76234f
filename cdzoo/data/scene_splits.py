"""Splits of scenes: by their table or folder, or by blocks of ground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations, compress
from operator import not_
from pathlib import Path

from cdzoo.data.blocks import WINDOWS, Cell, scene_cells
from cdzoo.data.labels import Labels, MaskLabels
from cdzoo.data.listing import SPLITS, PairFiles
from cdzoo.data.masks import scene_encoding
from cdzoo.data.scene import Scene, open_scene
from cdzoo.data.scene_samples import SceneSamples, block_name
from cdzoo.data.source import ALL, FileSource
from cdzoo.data.splits import holdout_blocks
from cdzoo.data.unlabeled import UNLABELED, NoLabels
from cdzoo.errors import InputError
from cdzoo.io.georeference import Grid, shared_extent
from cdzoo.io.images import Valid
from cdzoo.io.placement import is_vector
from cdzoo.io.scaling import Scaling
from cdzoo.tiling import Window

_SAMPLES = 8  # along the side of a window, of the overview that tells which windows are usable
_NOTED = 4
_USABLE = 0.25  # minimum share of a window that has data and lies in the area


class SceneSplits:
    """Cuts the scenes of a source and divides their windows.

    Args:
        source: Files and options.
        bands: Number of bands of each date; None for any, and values of any range, to look at the scenes.

    Attributes:
        notes: Messages about the windows, one line each.

    Raises:
        InputError: Scenes cannot be read, or their files do not overlap.
        ConfigError: A block is smaller than a window.
    """

    def __init__(self, source: FileSource, bands: tuple[int | None, ...]) -> None:
        self.source, self.bands = source, bands
        self.notes: list[str] = []
        self._bare: dict[str | None, list[tuple[int, Cell]]] = {}  # windows of each split without a label
        self._held_out: set[str] = set()  # blocks
        self._uses_bare = False
        assert source.protocol.tile is not None
        self.tile = source.protocol.tile

    def samples(self, splits: Sequence[str]) -> dict[str, SceneSamples]:
        """Return the windows of the requested splits; validation windows are those of the split, or held out.

        `UNLABELED` are windows of the training scenes that have no label, or none in the area of `DataCfg.labeled`, and are not
        held out.
        """
        self._uses_bare = UNLABELED in splits
        found = self._labeled([split for split in splits if split != UNLABELED])
        if "train" in found and (UNLABELED in splits or self.source.cfg.labeled is not None):
            found |= self._few_labels(found["train"], UNLABELED in splits)
        return found

    def _labeled(self, splits: Sequence[str]) -> dict[str, SceneSamples]:
        existing, wanted = self.source.existing, {*splits}
        if not existing:
            whole = self._cut(None)
            return {ALL: whole} if ALL in wanted else self._divided(whole, True)
        if ALL in wanted:
            raise InputError(f"{self.source.root}: has splits; choose one of {', '.join(sorted(existing))} instead of '{ALL}'")
        found: dict[str, SceneSamples] = {}
        if "val" not in existing and "train" in existing and {"train", "val"} & wanted and self.source.cfg.val is None:
            found = self._divided(self._cut("train"), False)
        return {split: found[split] if split in found else self._cut(split) for split in splits}

    def _cut(self, split: str | None) -> SceneSamples:
        """Return all windows of the scenes of a split; None for data without splits."""
        cfg, labels = self.source.cfg, self.source.labels
        pairs = self.source.scenes(split)
        scenes, problems = list[Scene](), list[str]()
        for pair in pairs:
            try:
                scenes.append(self._opened(pair))
            except InputError as error:
                problems.append(str(error))
        if problems:
            raise InputError("\n".join(problems))
        if labels is None:
            masks = [(pair.mask, cfg.label_attribute) for pair in pairs]
            labels = MaskLabels(scene_encoding([*dict.fromkeys(masks)], cfg.encoding))
        cells: list[tuple[int, Cell]] = []
        few, bare = 0, 0
        for index, found in enumerate(scene_cells([scene.grid for scene in scenes], self.tile, cfg.block)):
            known, labeled = scenes[index].usable(labels, step := max(1, self.tile // _SAMPLES))
            kept = [cell for cell in found if _share(known, cell.window, scenes[index].grid, step) >= _USABLE]
            used = [cell for cell in kept if _has_label(scenes[index], cell.window, labels, labeled, step)]
            few, bare = few + len(found) - len(kept), bare + len(kept) - len(used)
            with_label = {*used}
            self._bare.setdefault(split, []).extend((index, cell) for cell in kept if cell not in with_label)
            cells += [(index, cell) for cell in used]
        start, area = "" if split is None else f"{split}: ", "" if cfg.aoi is None else f" and lies in {cfg.aoi}"
        if few:
            self.notes.append(f"{start}{few} window(s) are left out: less than a quarter of each has data{area}")
        if bare:
            is_used, left_out = self._uses_bare and split in (None, "train"), "are left out: no pixel of them has a label"
            self.notes.append(f"{start}{bare} window(s) {'have no label' if is_used else left_out}")
        if not cells and bare:
            names = ", ".join(dict.fromkeys(str(path) for pair in pairs for path in pair.labels))
            raise InputError(
                f"{names}: no labeled pixel lies where {pairs[0].images[0]} has data{area}; name labels of this place"
            )
        if not cells:
            raise InputError(
                f"{self.source.root}: no window of {self.tile} pixels is left: less than a quarter of each has data{area}; use a "
                "smaller --tile"
            )
        return SceneSamples(scenes, cells, labels)

    def _opened(self, pair: PairFiles) -> Scene:
        cfg = self.source.cfg
        scalings = [Scaling((0.0, 1.0)) if bands is None else cfg.scalings[min(date, 1)] for date, bands in enumerate(self.bands)]
        attribute = cfg.label_attribute if any(map(is_vector, pair.labels)) else None
        selected = [cfg.selected[min(date, 1)] for date in range(len(self.bands))]
        aoi = None if cfg.aoi is None else Path(cfg.aoi)
        return open_scene(pair, self.bands, scalings, aoi, attribute, cfg.equal_values, selected)

    def _few_labels(self, train: SceneSamples, with_unlabeled: bool) -> dict[str, SceneSamples]:
        """Divide the windows of the training scenes into those whose labels are used, and the others."""
        area, scenes, used, rest = self.source.cfg.labeled, train.scenes, train.cells, list[tuple[int, Cell]]()
        if area is not None:
            scenes = [replace(scene, labeled_area=Path(area)) for scene in scenes]
            parts = [scenes[index].grid.part(*cell.window.slices) for index, cell in used]
            known = [bool(scenes[index].labeled(train.labels, part).any()) for (index, _), part in zip(used, parts, strict=True)]
            used, rest = [*compress(train.cells, known)], [*compress(train.cells, map(not_, known))]
            if not used:
                raise InputError(f"{area}: no labeled pixel of a training window lies in it; name an area of this place")
            self.notes.append(f"labeled: {len(used)} of {len(train)} training windows, those with a label in {area}")
        found = {"train": SceneSamples(scenes, used, train.labels)}
        if not with_unlabeled:
            return found
        bare = self._bare["train" if "train" in self.source.existing else None]
        rest += [one for one in bare if block_name(one[1]) not in self._held_out]
        if not rest:
            raise InputError(
                f"{self.source.root}: all training windows have labels; semi learns from windows without any: name polygons of "
                "the area whose labels are used, --labeled AREA.gpkg"
            )
        return found | {UNLABELED: SceneSamples(train.scenes, rest, NoLabels())}

    def _divided(self, whole: SceneSamples, with_test: bool) -> dict[str, SceneSamples]:
        """Divide windows by their blocks."""
        source, fraction = self.source, self.source.protocol.carved
        with_val = source.cfg.val is None
        blocks: dict[str, int] = {}
        for _, cell in whole.cells:
            blocks[block_name(cell)] = blocks.get(block_name(cell), 0) + 1
        fewest = 1 + with_test + with_val
        if len(blocks) < fewest:
            side = f"{source.cfg.block:g} m" if source.cfg.block else f"{WINDOWS} windows of {self.tile} pixels"
            raise InputError(
                f"{source.root}: the windows lie in {len(blocks)} block(s) of {side}, too few to hold some out for validation"
                f"{' and test' if with_test else ''}, which takes {fewest}; pass a smaller --block or --tile, or name scenes of "
                "other places for them in the column split of a table: --pairs FILE.csv"
            )
        parts: dict[str, set[str]] = {}
        if with_test:
            parts["test"] = holdout_blocks(blocks, fraction, "test")
        rest = {name: count for name, count in blocks.items() if name not in parts.get("test", ())}
        if with_val:
            parts["val"] = holdout_blocks(rest, fraction, "validation")
        parts["train"] = {*rest} - parts.get("val", set())
        self._held_out = {*blocks} - parts["train"]
        parts = {name: parts[name] for name in SPLITS if name in parts}
        shown = ", ".join(f"{name} {len(members)}" for name, members in parts.items())
        what = "has no splits" if with_test else "has no validation split"
        self.notes.append(
            f"{source.root} {what}: blocks of ground are divided by a hash of their place, the same in every command: {shown}"
        )
        return {
            name: SceneSamples(whole.scenes, [one for one in whole.cells if block_name(one[1]) in members], whole.labels)
            for name, members in parts.items()
        }


def ground_notes(splits: Mapping[str, SceneSamples]) -> list[str]:
    """Return a note about each pair of scenes that share ground although they are in different splits, or in other systems.

    Args:
        splits: Scenes of each split of the data; of one split if they are divided by blocks.
    """
    scenes = [(split, scene) for split, samples in splits.items() for scene in samples.scenes]
    notes = []
    for (split, one), (other_split, other) in combinations(scenes, 2):
        if split == other_split and (len(splits) > 1 or one.grid.crs == other.grid.crs):
            continue
        share = 0.0
        if one.grid.is_placed and other.grid.is_placed:
            with suppress(InputError):  # no conversion between their systems
                share = shared_extent(one.grid, other.grid)
        if share:
            why = (
                f"splits {split} and {other_split}" if split != other_split else "coordinate reference systems, with other blocks"
            )
            notes.append(
                f"{one.files.images[0]} and {other.files.images[0]} share about {share:.0%} of the ground and are in different "
                f"{why}: scores may be those of ground that was trained on"
            )
    return notes[:_NOTED] + ([f"and {len(notes) - _NOTED} more such scenes"] if len(notes) > _NOTED else [])


def _has_label(scene: Scene, window: Window, labels: Labels, labeled: Valid, step: int) -> bool:
    """Return whether a pixel of a window has a label, given every `step`-th pixel of the scene; labels may be few."""
    if labeled[_inside(window, scene.grid, step)].any():
        return True
    return bool(scene.labeled(labels, scene.grid.part(*window.slices)).any())


def _inside(window: Window, grid: Grid, step: int) -> tuple[slice, slice]:
    """Return the rows and columns of a window in an overview of every `step`-th pixel."""
    rows, columns = (
        slice(max(0, span.start) // step, -(-min(length, span.stop) // step))
        for span, length in zip(window.slices, (grid.height, grid.width), strict=True)
    )
    return rows, columns


def _share(known: Valid, window: Window, grid: Grid, step: int) -> float:
    """Return the share of a window that is known, given every `step`-th pixel of the scene."""
    area = 1.0
    for span, length in zip(window.slices, (grid.height, grid.width), strict=True):
        area *= (min(length, span.stop) - max(0, span.start)) / (span.stop - span.start)
    return float(known[_inside(window, grid, step)].mean() * area)
