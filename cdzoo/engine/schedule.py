"""Learning rate as a function of the step, so that a resumed run has no scheduler state to restore."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["poly", "cosine", "step", "exponential", "constant", "plateau"]


def lr_factor(
    step: int,
    total: int,
    schedule: Schedule = "poly",
    warmup: int = 0,
    power: float = 0.9,
    decay: float = 0.1,
    decay_steps: int = 1,
) -> float:
    """Return the learning rate of a step as a fraction of the full one.

    Args:
        step: Number of completed steps.
        total: Number of steps of the run.
        schedule: `"poly"` (1 - t) ** power, `"cosine"`, `"step"` (times `decay` every `decay_steps`), `"exponential"` (its
            continuous version), or `"constant"`; `"plateau"` is constant here, as its drops follow the validation.
        warmup: Number of steps with a linearly rising rate; t counts from their end.
        power: Exponent of `"poly"`; 1 is linear.
        decay: Factor of `"step"` and `"exponential"`.
        decay_steps: Number of steps between two applications of `decay`.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = step - warmup
    t = min(1.0, done / max(1, total - warmup))
    if schedule == "poly":
        return (1 - t) ** power
    if schedule == "cosine":
        return (1 + math.cos(math.pi * t)) / 2
    if schedule == "step":
        return decay ** (done // decay_steps)
    if schedule == "exponential":
        return decay ** (done / decay_steps)
    return 1.0
