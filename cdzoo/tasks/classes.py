"""What the tasks of several classes share: checks of class names and colors, and maps from probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdzoo.constants import RGB
from cdzoo.errors import ConfigError
from cdzoo.metrics import score_key


def check_class_names(task: str, names: Sequence[str], meaning: str, least: int, most: int) -> None:
    """Validate the names of classes.

    Args:
        task: Name of the task.
        names: Name of each class.
        meaning: What the classes are, for the message.
        least: Smallest number of classes.
        most: Largest number of classes.

    Raises:
        ConfigError: There are too few or too many, or two of them have the same name in scores.
    """
    if not least <= len(names) <= most:
        given = f"got {len(names)}: {', '.join(names)}" if names else "got none"
        raise ConfigError(
            f"the task '{task}' needs class_names, {meaning}, between {least} and {most} of them, {given}. A data set with "
            "classes declares them; pass class_names=(...), or --class-names, for others"
        )
    keys = [score_key(name) for name in names]
    if repeated := next((name for name, key in zip(names, keys, strict=True) if not key or keys.count(key) > 1), None):
        raise ConfigError(f"class_names of the task '{task}' must be different and not empty, got '{repeated}' in {tuple(names)}")


def check_colors(colors: Sequence[RGB], names: Sequence[str]) -> tuple[RGB, ...]:
    """Return colors as integers; raise `ConfigError` unless there is one RGB color in [0, 255] for each class."""
    if len(colors) != len(names) or any(len(c) != 3 or not all(0 <= value <= 255 for value in c) for c in colors):
        raise ConfigError(
            f"colors must be one (red, green, blue) in 0 to 255 for each of {len(names)} classes, got {tuple(colors)}"
        )
    return tuple((int(red), int(green), int(blue)) for red, green, blue in colors)


def reaches(probability: Tensor, threshold: float) -> Tensor:
    """Return where a probability reaches the threshold, compared in the precision of the probability."""
    return probability >= torch.tensor(threshold, dtype=probability.dtype, device=probability.device)


def on_array(
    compose: Callable[[Tensor, float], dict[str, Tensor]], probability: npt.NDArray[np.float32], threshold: float
) -> dict[str, npt.NDArray[np.uint8]]:
    """Return maps (H, W) of an array of probabilities (C, H, W), given the function that composes them for a batch."""
    batch = torch.from_numpy(np.require(probability, requirements=["C", "W"]))[None]
    return {name: values[0].to(torch.uint8).numpy() for name, values in compose(batch, threshold).items()}
