"""Learning rate as a function of the step."""

import math
from typing import get_args

import pytest
import torch

from cdzoo.engine.schedule import Schedule, lr_factor


def test_poly_equals_that_of_torch():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, 50, 0.9)
    for step in range(50):
        assert lr_factor(step, 50) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        schedule.step()


def test_values_of_the_other_schedules():
    assert lr_factor(25, 100, "cosine") == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert [lr_factor(s, 100, "step", decay=0.5, decay_steps=10) for s in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    assert lr_factor(10, 100, "exponential", decay=0.5, decay_steps=10) == pytest.approx(0.5)
    assert lr_factor(90, 100, "constant") == lr_factor(90, 100, "plateau") == 1


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_warmup_rises_linearly_to_the_full_rate(schedule):
    rates = [lr_factor(step, 100, schedule, warmup=4, decay_steps=100) for step in range(6)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0]) and rates[5] <= 1


def test_the_rate_of_an_extended_run_is_not_zero():
    assert lr_factor(50, 50) == 0 < lr_factor(50, 100) == pytest.approx(0.5**0.9)
