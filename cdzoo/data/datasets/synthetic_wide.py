"""Synthetic scenes of many regions, resolutions and sensors."""

import functools
from dataclasses import replace

from cdzoo.data.datasets import synthetic
from cdzoo.protocol import Protocol

DATASET = replace(
    synthetic.DATASET,
    name="synthetic_wide",
    title="Wide synthetic scenes",
    description="Synthetic buildings in suburbs, towns and country, 0.1 to 1 m; synthetic_wide:N generates N training pairs",
    resolution="0.1 to 1",
    image_size=256,
    protocols=(Protocol("synthetic_wide_256", "synthetic_wide"),),
    generate=functools.partial(synthetic.generate, prefix="wide_", size=256, style="wide"),
)
