"""Learning rate schedules as functions of the step."""

from __future__ import annotations

import math

SCHEDULES = ("poly", "cosine", "step", "exponential", "constant", "plateau")


def lr_factor(
    step: int,
    total: int,
    schedule: str = "poly",
    warmup: int = 0,
    power: float = 0.9,
    decay: float = 0.1,
    decay_steps: int = 1,
) -> float:
    """Return the learning rate of a step relative to the base learning rate.

    Args:
        step: Steps done, from 0.
        total: Steps of the whole run.
        schedule: `"poly"` (1 - t) ** power, `"cosine"`, `"step"` (times `decay` each `decay_steps`), `"exponential"`
            (the same, continuously), `"constant"`, or `"plateau"`, which is constant here and depends on the validation.
        warmup: Steps of linear warmup; t is counted from their end.
        power: Exponent of `"poly"`; 1 is linear.
        decay: Factor of `"step"` and `"exponential"`.
        decay_steps: Steps between two applications of `decay`.
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = step - warmup
    share = min(1.0, done / max(1, total - warmup))
    if schedule == "poly":
        return (1 - share) ** power
    if schedule == "cosine":
        return (1 + math.cos(math.pi * share)) / 2
    if schedule == "step":
        return decay ** (done // decay_steps)
    if schedule == "exponential":
        return decay ** (done / decay_steps)
    return 1.0
