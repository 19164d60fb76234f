"""Synthetic scenes of buildings before and after damage."""

import functools
from dataclasses import replace

from cdzoo.data.datasets import synthetic
from cdzoo.data.synthetic.classes import GRADES
from cdzoo.protocol import Protocol

DATASET = replace(
    synthetic.DATASET,
    name="synthetic_damage",
    title="Synthetic scenes with damage",
    description="Synthetic buildings and the grade of their damage; synthetic_damage:N generates N training pairs",
    splits=synthetic.TASK_SPLITS,
    protocols=(Protocol("synthetic_damage_128", "synthetic_damage", metric="xview2"),),
    generate=functools.partial(synthetic.generate, prefix="damage_", splits=synthetic.TASK_SPLITS, task="damage"),
    task="damage",
    class_names=GRADES,
)
