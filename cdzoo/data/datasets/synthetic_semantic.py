"""Synthetic scenes with the land cover of both dates."""

import functools
from dataclasses import replace

from cdzoo.data.datasets import synthetic
from cdzoo.data.synthetic.classes import LAND_COVER
from cdzoo.protocol import Protocol

DATASET = replace(
    synthetic.DATASET,
    name="synthetic_semantic",
    title="Synthetic scenes with land cover",
    description="The scenes of synthetic with the land cover of both dates; synthetic_semantic:N generates N training pairs",
    splits=synthetic.TASK_SPLITS,
    protocols=(Protocol("synthetic_semantic_128", "synthetic_semantic", metric="sek"),),
    generate=functools.partial(synthetic.generate, prefix="semantic_", splits=synthetic.TASK_SPLITS, task="semantic"),
    task="semantic",
    class_names=LAND_COVER,
)
