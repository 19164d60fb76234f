"""Named data sets: what they are, how they are split, how to get them."""

from cdzoo.data.catalog.entries import DATASETS, dataset_info
from cdzoo.data.catalog.info import DatasetInfo

__all__ = ["DATASETS", "DatasetInfo", "dataset_info"]
