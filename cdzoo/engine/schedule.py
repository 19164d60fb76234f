"""Learning rate as a function of the step alone, so that a run that is continued, or made longer, has nothing to restore."""

from __future__ import annotations

import math

SCHEDULES = ("poly", "cosine", "step", "exponential", "constant", "plateau")


def lr_factor(
    step: int,
    total: int,
    schedule: str = "poly",
    warmup: int = 0,
    power: float = 0.9,
    floor: float = 0.0,
    decay: float = 0.1,
    decay_steps: int = 1,
) -> float:
    """Return the learning rate of a step as a share of the full one.

    Args:
        step: Steps done, from 0.
        total: Steps of the whole run.
        schedule: `"poly"` (1 - t) ** power, `"cosine"`, `"step"` (times `decay` each `decay_steps`), `"exponential"`
            (the same, smoothly), `"constant"`; `"plateau"` is constant here, its drops follow the validation.
        warmup: Steps over which the rate rises linearly first; t counts from their end.
        power: Exponent of `"poly"`; 1 is linear.
        floor: Share that `"poly"` and `"cosine"` end at.
        decay: Factor of `"step"` and `"exponential"`.
        decay_steps: Steps between two applications of `decay`.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = step - warmup
    share = min(1.0, done / max(1, total - warmup))
    if schedule == "poly":
        return floor + (1 - floor) * (1 - share) ** power
    if schedule == "cosine":
        return floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2
    if schedule == "step":
        return decay ** (done // decay_steps)
    if schedule == "exponential":
        return decay ** (done / decay_steps)
    return 1.0
