"""Synthetic scenes without pseudo-changes: an easier task for short runs."""

import functools
from dataclasses import replace

from cdzoo.data.datasets import synthetic

DATASET = replace(
    synthetic.DATASET,
    name="synthetic_plain",
    title="Synthetic scenes without pseudo-changes",
    description="Like synthetic, with the same light, season and position at both dates",
    generate=functools.partial(synthetic.generate, prefix="plain_", pseudo_changes=False),
)
