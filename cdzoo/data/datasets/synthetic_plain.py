"""Synthetic scenes without changes of light, season and position: easier, for short runs."""

from __future__ import annotations

import dataclasses
import functools

from cdzoo.data.datasets import synthetic

DATASET = dataclasses.replace(
    synthetic.DATASET,
    name="synthetic_plain",
    title="Plain synthetic scenes",
    description="Synthetic scenes without changes of light, season and position",
    generate=functools.partial(synthetic.generate, plain=True),
)
