"""Tasks: the meaning of the outputs of a model, with loss, prediction and scores."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Sequence

from cdzoo.errors import UnknownNameError
from cdzoo.names import check_known
from cdzoo.tasks.base import MapSpec, OutputSpec, Task
from cdzoo.tasks.binary import BinaryTask
from cdzoo.tasks.damage import DamageTask
from cdzoo.tasks.multiclass import MulticlassTask
from cdzoo.tasks.semantic import SemanticTask

__all__ = [
    "BinaryTask",
    "DamageTask",
    "MapSpec",
    "MulticlassTask",
    "OutputSpec",
    "SemanticTask",
    "Task",
    "get_task",
    "list_tasks",
]


def get_task(name: str, class_names: Sequence[str] = ()) -> Task:
    """Return the task called `name`: a direct subclass of `Task` in a module of this package, or in one that was imported.

    Args:
        name: Name of the task.
        class_names: Name of each class; those of the task by default.

    Raises:
        UnknownNameError: There is no such task.
        ConfigError: The task does not support this number of classes.
    """
    tasks = _tasks()
    check_known("unknown task", name, tasks, UnknownNameError)
    return tasks[name](class_names)


def list_tasks() -> list[str]:
    """Return the names of the tasks."""
    return sorted(_tasks())


def _tasks() -> dict[str, type[Task]]:
    _import_all()
    return {task.name: task for task in Task.__subclasses__()}


@functools.cache
def _import_all() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
