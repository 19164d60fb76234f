"""`Task`: interface of what the outputs of a model mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.names import suggest

Output = Tensor | dict[str, Tensor]
"""Output of a model: logits (B, K, H, W), or one such tensor per branch by name."""
RGB = tuple[int, int, int]


class Task(ABC):
    """Meaning of the outputs of a model: classes, loss, prediction and scores.

    Attributes:
        name: Name in configs and on the command line.
        class_names: Name of each class, "no change" first.
        colors: RGB color of each class in pictures and maps.
        target: Name of the target of the change branch in `Sample.target`.
    """

    name: str
    class_names: tuple[str, ...]
    colors: tuple[RGB, ...]
    target: str = "mask"

    @abstractmethod
    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` unless the task supports this number of logits."""

    @abstractmethod
    def create_loss(self, text: str, change_weight: float = 1.0) -> nn.Module:
        """Return the loss of the task: a module called with an output of the model and the targets of a sample by name.

        Args:
            text: Sum of losses, such as `"bce+0.5*dice"`.
            change_weight: Weight of changed pixels.
        """

    @abstractmethod
    def probabilities(self, output: Output) -> Tensor:
        """Return the probability (B, H, W) in [0, 1] that each pixel changed."""

    @abstractmethod
    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return the class of each pixel given its probability of change."""

    @abstractmethod
    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> Any:
        """Return an accumulator of the scores: `update(probabilities, target)`, `all_reduce()`, `summary()`."""


def get_task(name: str | Task) -> Task:
    """Return the task called `name`.

    Raises:
        UnknownNameError: There is no such task.
    """
    from cdzoo.tasks.binary import BinaryTask

    if isinstance(name, Task):
        return name
    tasks: dict[str, type[Task]] = {"binary": BinaryTask}
    if not isinstance(name, str):
        raise ConfigError(f"task must be a name or a Task, got {type(name).__name__}")
    if name not in tasks:
        raise UnknownNameError(f"unknown task '{name}'.{suggest(name, tasks)} Tasks: {', '.join(tasks)}.")
    return tasks[name]()
