"""Tasks: the meaning of the outputs of a model, with loss, prediction and scores."""

from __future__ import annotations

import importlib
import pkgutil

from cdzoo.errors import UnknownNameError
from cdzoo.names import check_known
from cdzoo.tasks.base import Task
from cdzoo.tasks.binary import BinaryTask

__all__ = ["BinaryTask", "Task", "get_task"]


def get_task(name: str) -> Task:
    """Return the task called `name`: a direct subclass of `Task` in a module of this package, or in one that was imported.

    Raises:
        UnknownNameError: There is no such task.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    tasks = {task.name: task for task in Task.__subclasses__()}
    check_known("unknown task", name, tasks, UnknownNameError)
    return tasks[name]()
