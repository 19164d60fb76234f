"""Tasks: what the outputs of a model mean, and how they are trained, composed and scored."""

from __future__ import annotations

from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.names import suggest
from cdzoo.tasks.base import Task
from cdzoo.tasks.binary import BinaryTask

__all__ = ["BinaryTask", "Task", "get_task"]


def get_task(name: str | Task) -> Task:
    """Return the task called `name`.

    Raises:
        UnknownNameError: There is no such task.
    """
    if isinstance(name, Task):
        return name
    tasks: dict[str, type[Task]] = {"binary": BinaryTask}
    if not isinstance(name, str):
        raise ConfigError(f"task must be a name or a Task, got {type(name).__name__}")
    if name not in tasks:
        raise UnknownNameError(f"unknown task '{name}'.{suggest(name, tasks)} Tasks: {', '.join(tasks)}.")
    return tasks[name]()
