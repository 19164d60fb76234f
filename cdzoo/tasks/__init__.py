"""Tasks: what the outputs of a model mean, and how they are trained, composed and scored."""

from cdzoo.tasks.base import Task, get_task
from cdzoo.tasks.binary import BinaryTask

__all__ = ["BinaryTask", "Task", "get_task"]
