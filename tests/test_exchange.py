"""Exchanges of features between the dates inside a backbone, by name."""

import pytest
import torch

import cdzoo
from cdzoo.components import Exchange
from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.registry import BACKBONES, EXCHANGES

SMALL = {"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}
PAIR = torch.arange(2 * 4 * 3 * 5.0).view(2, 4, 3, 5)  # two dates of one sample


def test_channel_exchange_swaps_every_second_channel():
    x1, x2 = EXCHANGES.get("channel")()(PAIR, 2)
    for channel in range(4):
        assert torch.equal(x1[channel], PAIR[1 - channel % 2, channel]) and torch.equal(x2[channel], PAIR[channel % 2, channel])


def test_spatial_exchange_swaps_every_second_column():
    x1, x2 = EXCHANGES.get("spatial")()(PAIR, 2)
    for column in range(5):
        assert torch.equal(x1[..., column], PAIR[1 - column % 2, ..., column])
        assert torch.equal(x2[..., column], PAIR[column % 2, ..., column])


def test_exchanges_of_a_pair_keep_samples_apart():
    batch = torch.randn(6, 4, 3, 5)  # three samples
    for name in EXCHANGES:
        both = EXCHANGES.get(name)()(batch, 2)
        for sample in range(3):
            torch.testing.assert_close(both[sample::3], EXCHANGES.get(name)()(batch[sample::3], 2))


@pytest.mark.parametrize("name", EXCHANGES.list())
def test_every_exchange_is_documented_and_its_own_inverse(name):
    exchange = EXCHANGES.get(name)()
    assert isinstance(exchange, Exchange) and type(exchange).__doc__
    assert torch.equal(exchange(exchange(PAIR, 2), 2), PAIR)


def test_levels_after_an_exchange_see_both_dates(pair):
    plain = cdzoo.create_model("glmamba_tiny", backbone_kwargs=SMALL).eval()
    model = cdzoo.create_model("glmamba_tiny", backbone_kwargs={**SMALL, "exchange": [None, "spatial", None, None]}).eval()
    model.load_state_dict(plain.state_dict())
    images = [image[..., :32, :32] for image in pair]
    with torch.no_grad():
        before, after = plain.backbone.encode(images), model.backbone.encode(images)
    for date in (0, 1):
        assert torch.equal(before[date][0], after[date][0])
        assert torch.equal(before[date][1][..., 0], after[1 - date][1][..., 0])
        assert torch.equal(before[date][1][..., 1], after[date][1][..., 1])
        assert not torch.allclose(before[date][2], after[date][2])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"backbone_kwargs": {"exchange": ["channel"]}}, ConfigError, r"list of 4 entries.*channel, spatial"),
        ({"backbone_kwargs": {"exchange": "channel"}}, ConfigError, r"list of 4 entries"),
        ({"backbone_kwargs": {"exchange": ["chanel", None, None, None]}}, UnknownNameError, "Did you mean 'channel'"),
        ({"backbone_kwargs": {"exchange": ["channel"] * 4}, "fusion": "early"}, ConfigError, "encodes 1 at once.*'exchange'"),
        ({"backbone_kwargs": {"exchange": ["channel"] * 4}, "siamese": False}, ConfigError, "encodes 1 at once.*siamese"),
        ({"backbone": ("unet", {"exchange": ["channel"] * 5})}, ConfigError, "does not name the stages"),
    ],
)
def test_invalid_exchanges_raise(options, error, message):
    with pytest.raises(error, match=message):
        cdzoo.create_model("glmamba_tiny", **options)


def test_an_exchange_of_ones_own(monkeypatch, pair):
    monkeypatch.setattr(EXCHANGES, "_entries", dict(EXCHANGES._entries))

    @cdzoo.register_exchange("mean")
    class MeanExchange(Exchange):
        def forward(self, x, num_dates):
            x1, x2 = x.chunk(2)
            return torch.cat([(x1 + x2) / 2] * 2)

    names = [*[None] * (len(BACKBONES.get("vss")(**SMALL).out_channels) - 1), "mean"]
    model = cdzoo.create_model("glmamba_tiny", backbone_kwargs={**SMALL, "exchange": names})
    first, second = model.backbone.encode([image[..., :32, :32] for image in pair])
    assert torch.equal(first[-1], second[-1]) and not torch.equal(first[0], second[0])
