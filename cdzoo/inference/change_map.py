"""`ChangeMap`: the prediction for one pair, with pictures, a figure for notebooks and files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from cdzoo.constants import IGNORE_INDEX
from cdzoo.errors import ConfigError, require
from cdzoo.io.files import PathLike, output_path, replace_atomically
from cdzoo.io.outputs import check_outputs
from cdzoo.tasks import MapSpec, Task
from cdzoo.tasks.binary import BinaryTask
from cdzoo.visualize import UInt8, class_picture, indexed_picture, map_sheet, occurring_classes, overlay, strip, to_rgb

_PREVIEW = 1000  # width of the panels of a preview together, in pixels
_LARGEST, _SMALLEST = 330, 192  # sides of a panel of a preview
_DRAWN = 2048  # side from which on every other pixel is left out of a preview
_COLUMNS = 4  # of a figure
_NAMES = 6  # of classes in the text of a map


@dataclass(frozen=True, repr=False)
class ChangeMap:
    """Prediction for one pair.

    Attributes:
        mask: Value of each pixel (H, W) in the main map of the task, uint8; for `binary`: 1 for change, 0 for no change.
        probability: Probabilities (..., H, W) in [0, 1], float32, see `Task.probabilities`; for `binary`: (H, W), of change.
        before: First date (H, W, bands), uint8; floating-point images are scaled to 0..255.
        after: Second date.
        maps: All maps (H, W) of the task by name, the main one first, uint8.
        legends: Names and colors of the values of each map.
        task: Task of the model.
        threshold: Minimum probability for a pixel to count as changed.
        inputs: Files of the images, which `save` does not overwrite.
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    maps: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    legends: dict[str, MapSpec] = field(default_factory=dict)
    task: Task = field(default_factory=BinaryTask)
    threshold: float = 0.5
    inputs: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Fill in the maps of a task with one map."""
        if not self.maps:
            object.__setattr__(self, "maps", {self.task.main_output: self.mask})
        if not self.legends:
            object.__setattr__(self, "legends", self.task.maps)

    @property
    def shares(self) -> dict[str, float]:
        """Share of each value of the main map that occurs, by its name, in [0, 1]."""
        names = self.legends[next(iter(self.maps))].class_names
        counts = np.bincount(self.mask.ravel(), minlength=256)[: len(names)]
        total = max(1, int(counts.sum()))
        return {name: count / total for name, count in zip(names, counts.tolist(), strict=True) if count}

    @property
    def share(self) -> float:
        """Share of the pixels whose main map has another value than 0, in [0, 1]; for `binary`: share of change."""
        valid = self.mask != IGNORE_INDEX
        return float(np.count_nonzero(self.mask[valid])) / max(1, int(valid.sum()))

    @property
    def change_probability(self) -> npt.NDArray[np.float32]:
        """Probability (H, W) that the main map has another value than 0."""
        return self.task.change_probability(self.probability)

    def overlay(self) -> Image.Image:
        """Return the second date with the changed pixels tinted and outlined."""
        main = next(iter(self.maps))
        return Image.fromarray(overlay(self.after, self.mask, colors=self.legends[main].colors))

    def picture(self) -> Image.Image:
        """Return a figure of both dates, of all maps in their colors, the main one last, and of the legend."""
        return map_sheet(self.before, self.after, self.maps, self.legends)

    def pictures(self) -> dict[str, Image.Image]:
        """Return the pictures that `save` writes by name; the main map has the name ""."""
        probability = Image.fromarray((self.change_probability * 255).round().astype(np.uint8))
        pictures = {"probability": probability, "overlay": self.overlay()}
        if not self.task.has_legend:
            return {"": Image.fromarray(self.mask * 255), **pictures}
        maps = {name: indexed_picture(values, self.legends[name].colors) for name, values in self.maps.items()}
        main, *further = maps
        return {"": maps[main], **pictures, "figure": self.picture(), **{name: maps[name] for name in further}}

    def save(self, path: PathLike) -> list[Path]:
        """Write the prediction.

        Args:
            path: A `.png` for the pictures of `cdzoo predict -o`: the mask, and beside it `NAME_probability.png`,
                `NAME_overlay.png`, and for several classes a figure and the further maps. Or an `.npz` for the arrays `mask`,
                `probability`, `threshold`, and further maps by name.

        Returns:
            The files written. Either all of them are complete, or none is.

        Raises:
            InputError: The suffix is another one, or a file is one of the images or cannot be written.
        """
        purpose = "maps with coordinates are written by cdzoo.predict_scene"
        target = output_path(path, suffixes=(".png", ".npz"), purpose=purpose)
        if target.suffix.lower() == ".npz":
            check_outputs({"save": target}, self.inputs)
            with replace_atomically(target) as temporary:
                further: dict[str, Any] = dict([*self.maps.items()][1:])
                np.savez_compressed(temporary, mask=self.mask, probability=self.probability, threshold=self.threshold, **further)
            return [target]
        files = picture_files(target, self.task)
        check_outputs({f"save {file.name}": file for file in files.values()}, self.inputs)
        write_pictures(self.pictures(), files)
        return [*files.values()]

    def plot(self, axes: Any = None) -> Any:
        """Draw both dates, the maps with their legends, and the probability of change, with matplotlib.

        Args:
            axes: Axes to draw in, one per panel; those of a new figure by default.

        Returns:
            Array of the axes.

        Raises:
            MissingDependencyError: matplotlib is not installed.
            ConfigError: The number of axes is wrong.
        """
        pyplot: Any = require("matplotlib.pyplot", "tools", "ChangeMap.plot")
        count = len(self.maps) + 3
        if axes is None:
            columns = count if count <= _COLUMNS else -(-count // 2)
            rows = -(-count // columns)
            size = (3.2 * columns, 3.5 * rows * min(2.0, max(0.5, self.mask.shape[0] / self.mask.shape[1])) + 0.4)
            _, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained", sharex=True, sharey=True)
        axes = np.ravel(axes)
        if len(axes) < count:
            raise ConfigError(f"plot draws {count} panels, got {len(axes)} axes; leave axes out for a new figure")
        for axis in axes:
            axis.set_axis_off()
        for axis, image, title in zip(axes, (self.before, self.after), ("before", "after"), strict=False):
            axis.imshow(to_rgb(image))
            axis.set_title(title)
        for axis, (name, values) in zip(axes[2:], self.maps.items(), strict=False):
            self._plot_map(axis, name, values)
        last = axes[count - 1]
        shown = last.imshow(self.change_probability, vmin=0, vmax=1, cmap="magma")
        last.set_title("probability of change")
        bar = last.figure.colorbar(shown, ax=last, fraction=0.046, pad=0.02)
        if not self.task.has_legend:
            bar.ax.axhline(self.threshold, color="white", linewidth=2)
        return axes

    def _plot_map(self, axis: Any, name: str, values: UInt8) -> None:
        patches: Any = require("matplotlib.patches", "tools", "ChangeMap.plot")
        legend = self.legends[name]
        axis.imshow(class_picture(values, legend.colors), interpolation="nearest")
        axis.set_title(f"{name.replace('_', ' ')}{'' if self.task.has_legend else f': {self.share:.1%}'}")
        handles = [
            patches.Patch(facecolor=np.array(color) / 255, edgecolor="gray", label=label)
            for label, color in occurring_classes([values], (legend.class_names, legend.colors))
        ]
        axis.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, fontsize="small", frameon=False)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows: both dates, and an overlay of the change or the maps of several classes."""
        buffer = io.BytesIO()
        self._preview().save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def _preview(self) -> Image.Image:
        step = -(-max(self.mask.shape) // _DRAWN)
        before, after = (to_rgb(image[::step, ::step]) for image in (self.before, self.after))
        maps = {name: values[::step, ::step] for name, values in self.maps.items()}
        main = next(iter(maps))
        height, width = maps[main].shape
        size = _panel_size(height, width, panels=2 + len(maps))
        first, second = (_resized(image, size, Image.Resampling.BOX) for image in (before, after))
        if self.task.has_legend:
            small = {name: _resized(values, size, Image.Resampling.NEAREST) for name, values in maps.items()}
            return map_sheet(first, second, small, self.legends)
        drawn = _resized(overlay(after, maps[main], colors=self.legends[main].colors), size, Image.Resampling.BOX)
        return strip([[first, second, drawn]], ["before", "after", f"change: {self.share:.1%}"])

    def __repr__(self) -> str:
        height, width = self.mask.shape
        if not self.task.has_legend:
            return f"ChangeMap({width} x {height} pixels, {self.share:.2%} changed at threshold {self.threshold:g})"
        shares = sorted(self.shares.items(), key=lambda item: -item[1])
        names = [f"{name} {share:.2%}" for name, share in shares[:_NAMES]] + ["..."] * (len(shares) > _NAMES)
        return f"ChangeMap({width} x {height} pixels, {', '.join(names)})"


def picture_files(target: Path, task: Task) -> dict[str, Path]:
    """Return the file of each of the `ChangeMap.pictures`, given that of the main map."""
    further = ("figure", *[*task.maps][1:]) if task.has_legend else ()
    names = ("", "probability", "overlay", *further)
    return {name: target.with_stem(f"{target.stem}_{name}") if name else target for name in names}


def write_pictures(pictures: dict[str, Image.Image], files: dict[str, Path]) -> None:
    """Write pictures to the files of the same names: all or none."""
    with ExitStack() as stack:
        temporary = {name: stack.enter_context(replace_atomically(file)) for name, file in files.items()}
        for name, file in temporary.items():
            pictures[name].save(file)


def _panel_size(height: int, width: int, panels: int) -> tuple[int, int]:
    """Return the width and height of a panel of a preview: reduced, or enlarged by a whole factor."""
    largest, side = min(_LARGEST, _PREVIEW // panels), max(height, width)
    scale = largest / side if side > largest else max(1, min(_SMALLEST, largest) // side)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resized(image: UInt8, size: Sequence[int], resampling: Image.Resampling) -> UInt8:
    return np.asarray(Image.fromarray(image).resize((size[0], size[1]), resampling))
