"""Named data sets: what they are, how they are split, how to get them."""

from cdzoo.data.datasets.entries import DATASETS, dataset_info
from cdzoo.data.datasets.info import DatasetInfo

__all__ = ["DATASETS", "DatasetInfo", "dataset_info", "list_datasets"]


def list_datasets() -> list[str]:
    """Return the names of the data sets."""
    return list(DATASETS)
