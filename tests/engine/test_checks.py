"""Settings that cannot be meant, or have no effect, are refused or named before the first step."""

import dataclasses

import pytest
import torch

from cdzoo.data.sampler import StepSampler
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.engine.checks import check_settings
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.setup import build_optimizer
from cdzoo.errors import ConfigError

CFG = TrainCfg(epochs=4, batch_size=2, crop=32, progress=False, device="cpu")


def notes(model, **changes):
    cfg = dataclasses.replace(CFG, **changes)
    return check_settings(cfg, model, StepSampler(8, cfg.batch_size, 0, 0, 0, accumulate=cfg.accumulate))


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ({"in_chans": (1, 3), "siamese": False, "mean": (0.5,), "std": (0.25,)}, {"swap_dates": 0.5}, "swap_dates=0.5 needs"),
        ({"siamese": False}, {"swap_dates": 0.5}, "share one encoder.*siamese=False: set swap_dates=0"),
        ({}, {"cutmix": 0.5, "batch_size": 1}, "cutmix=0.5 mixes the samples"),
        ({}, {"cutmix": 0.5, "accumulate": 2}, "cutmix=0.5 mixes the samples"),
    ],
)
def test_settings_that_cannot_be_meant(tiny, model, changes, message):
    assert notes(tiny(**model)) == []
    with pytest.raises(ConfigError, match=message):
        notes(tiny(**model), **changes)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"warmup_steps": 16}, "warmup_steps=16 is longer than the run of 16 steps"),
        ({"ema": 0.999}, "ema=0.999 is too slow for a run of 16 steps: 98 % of the average are the initial weights"),
        ({"schedule": "step", "lr_decay_epochs": 4}, "lr_decay_epochs=4 is not reached"),
        ({"pictures_every": 5}, "pictures_every=5 is not reached"),
        ({"schedule": "cosine", "power": 2.0}, "power=2.0 has no effect with schedule=cosine"),
        ({"lr_decay": 0.5}, "lr_decay=0.5 has no effect with schedule=poly"),
        ({"momentum": 0.5}, "momentum=0.5 has no effect with optimizer=adam"),
        ({"change_weight": 5.0, "loss": "dice+0.5*lovasz"}, "change_weight=5.0 has no effect with loss=dice"),
        ({"early_stopping": 2, "validate_every": 2}, "early_stopping=2 validations are not reached in epochs=4"),
        ({"decay_all": True}, "decay_all=True has no effect with weight_decay=0"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_settings_without_effect_are_named(tiny, changes, note):
    (found,) = notes(tiny(), **changes)
    assert note in found


def test_settings_with_effect_are_not(tiny):
    used = {"schedule": "step", "lr_decay": 0.5, "lr_decay_epochs": 2, "optimizer": "sgd", "momentum": 0.5, "ema": 0.5}
    used |= {"change_weight": 5.0, "loss": "bce+dice", "early_stopping": 3}
    assert notes(tiny(), warmup_steps=15, swap_dates=0.5, cutmix=0.5, pictures_every=4, weight_decay=0.1, **used) == []


def test_notes_are_given_before_training(tiny):
    sample = {"image_a": torch.zeros(3, 32, 32), "image_b": torch.ones(3, 32, 32), "mask": torch.ones(32, 32, dtype=torch.long)}
    with pytest.warns(UserWarning, match="warmup_steps=9 is longer than the run of 1 steps"):
        train(tiny(), [sample] * 2, [sample] * 2, dataclasses.replace(CFG, epochs=1, warmup_steps=9))


@pytest.mark.parametrize("name", ["adahessian", "bnbadam", "fusedadam", "lbfgs"])
def test_optimizers_that_cannot_drive_the_loop_are_refused(name):
    with pytest.raises(ConfigError, match=rf"optimizer '{name}' (cannot drive this training|is not an optimizer of timm).*adamw"):
        build_optimizer(torch.nn.Linear(2, 2), dataclasses.replace(CFG, optimizer=name))


@pytest.mark.parametrize("name", ["sgd", "momentum", "lion", "adafactor", "lookahead_adam", "muon"])
def test_other_optimizers_of_timm_step(name):
    model = torch.nn.Linear(2, 2)
    before = model.weight.detach().clone()
    optimizer = build_optimizer(model, dataclasses.replace(CFG, optimizer=name, lr=0.1))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.weight, before)


@pytest.mark.parametrize(("low", "high"), [(0.0, 3.0), (-30.0, 0.0), (-2.0, 5.0)])
def test_jitter_keeps_the_range_of_values_beyond_that_of_8_bits(low, high):
    images = [torch.rand(4, 3, 16, 16) * (high - low) + low]
    before = images[0].clone()
    BatchAugment(jitter=0.2)(images, {}, torch.Generator().manual_seed(0))
    assert not torch.equal(images[0], before)
    spread = before.amax() - before.amin()
    assert min(0.0, before.amin() - 1e-5) <= images[0].amin() < before.amin() + 0.3 * spread
    assert before.amax() - 0.3 * spread < images[0].amax() <= max(1.0, before.amax() + 1e-5)
