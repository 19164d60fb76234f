"""Named data sets."""

from typing import Any

from cdzoo.registry import Registry

DATASETS: Registry[Any] = Registry("data set")
