"""Models that take images of one size, of multiples of a size, or squares only."""

import dataclasses

import numpy as np
import pytest
import torch
from known_backbones import Convolutions

import cdzoo
from cdzoo.components import PerLevelFusion
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.engine import TrainCfg, train
from cdzoo.errors import ConfigError, InputError
from cdzoo.fusion import Diff
from cdzoo.heads import Conv
from cdzoo.inference.blocks import WindowGrid
from cdzoo.protocol import Protocol
from cdzoo.sizes import InputSizes

CASES = [InputSizes(fixed=64), InputSizes(multiple=64), InputSizes(square=True), InputSizes(multiple=40, square=True)]


def restricted(sizes):
    backbone = Convolutions()
    backbone.fixed_input_size, backbone.size_multiple, backbone.square = dataclasses.astuple(sizes)
    return cdzoo.ChangeDetector(backbone, None, PerLevelFusion([Diff(8)]), None, Conv([8])).eval()


def test_sizes_are_refused_with_the_reason():
    assert not any(InputSizes().problem(*size) for size in ((32, 32), (33, 500)))
    for sizes, size, reason in (
        (CASES[0], (64, 65), "are not 64x64 pixels, the only size"),
        (CASES[1], (64, 96), "are not multiples of 64 pixels high and wide"),
        (CASES[2], (64, 96), "are not square"),
        (CASES[3], (30, 30), "are smaller than 32x32"),
    ):
        assert reason in sizes.problem(*size)
        if min(size) >= 32:
            with pytest.raises(InputError, match=f"images of {size[0]}x{size[1]} pixels {reason}.*predict_pair"):
                restricted(sizes)(*torch.zeros(2, 1, 3, *size))
    assert [sizes.largest_window(150, 100) for sizes in CASES] == [64, 64, 100, 80]


@pytest.mark.parametrize("sizes", CASES, ids=str)
@pytest.mark.parametrize("size", [(64, 64), (101, 150), (290, 80)])
def test_predictions_of_any_size_use_windows_that_are_accepted(sizes, size):
    model, shapes = restricted(sizes), set()
    model.backbone.register_forward_pre_hook(lambda _m, args: shapes.add(args[0].shape[-2:]))
    rng = np.random.default_rng(0)
    before, after = (rng.integers(0, 255, (*size, 3), dtype=np.uint8) for _ in range(2))
    found = cdzoo.predict_pair(model, before, after, tile=64 if sizes.fixed else 80 if sizes.multiple == 40 else 128)
    assert found.probability.shape == size and np.isfinite(found.probability).all()
    assert len(shapes) == 1 and not any(sizes.problem(*shape) for shape in shapes)


def test_tiles_that_are_no_multiples_are_refused():
    with pytest.raises(ConfigError, match="multiples of 64 pixels only: tile=100"):
        WindowGrid(restricted(CASES[1]), 200, 200, tile=100)
    with pytest.raises(InputError, match="at least 64x64 pixels, got 200x50"):
        WindowGrid(restricted(CASES[1]), 50, 200)


def test_training_checks_crops_and_validation_images_before_the_first_step():
    cfg, scenes = TrainCfg(epochs=1, batch_size=2, crop=64, progress=False, device="cpu"), SyntheticScenes(2, size=96, seed=0)
    with pytest.raises(ConfigError, match=r"crop=100.*multiples of 64.*set crop=64"):
        train(restricted(CASES[1]), scenes, SyntheticScenes(2, size=64), dataclasses.replace(cfg, crop=100))
    with pytest.raises(InputError, match=r"split 'validation'.*are not multiples of 64"):
        train(restricted(CASES[1]), scenes, scenes, cfg)
    windows = Protocol("windows", window=64, overlap=16)
    assert train(restricted(CASES[0]), scenes, scenes, cfg, protocol=windows).scores
