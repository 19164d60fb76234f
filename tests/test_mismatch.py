"""Components that do not fit each other are refused when the model is built, and both are named."""

import pytest
import torch

from cdzoo.components import (
    Backbone,
    Head,
    Identity,
    LevelDecoder,
    LevelFusion,
    Neck,
    PerLevelDecoder,
    PerLevelFusion,
    PyramidComponent,
)
from cdzoo.errors import ChannelMismatchError, ConfigError
from cdzoo.models.detector import ChangeDetector


class _FixedBackbone(Backbone):
    def __init__(self, channels=(4, 8), strides=(4, 8), in_chans=3):
        super().__init__(in_chans, channels, strides)


class _Head(Head):
    pass


def _components(fusion_channels=(4, 8), head_channels=(4, 8), decoder=None, neck=None):
    return {
        "backbone": _FixedBackbone(),
        "neck": neck,
        "fusion": PerLevelFusion([LevelFusion(c) for c in fusion_channels]),
        "decoder": decoder,
        "head": _Head(head_channels),
    }


class TestMismatch:
    def test_matching_components(self):
        ChangeDetector(**_components())

    def test_fusion_and_backbone(self):
        with pytest.raises(
            ChannelMismatchError, match=r"backbone _FixedBackbone returns channels \(4, 8\).*LevelFusion expects \(4, 6\)"
        ):
            ChangeDetector(**_components(fusion_channels=(4, 6)))

    def test_head_and_fusion_without_decoder(self):
        with pytest.raises(
            ChannelMismatchError, match=r"fusion LevelFusion returns channels \(4, 8\).*head _Head expects \(4,\)"
        ):
            ChangeDetector(**_components(head_channels=(4,)))

    def test_decoder_and_fusion(self):
        decoder = PerLevelDecoder([LevelDecoder(4), LevelDecoder(9)])
        with pytest.raises(ChannelMismatchError, match=r"decoder LevelDecoder expects \(4, 9\)"):
            ChangeDetector(**_components(decoder=decoder))

    def test_strides(self):
        class Refine(Neck):
            pass

        with pytest.raises(ChannelMismatchError, match=r"returns strides \(4, 8\), but neck Refine expects \(4, 16\)"):
            ChangeDetector(**_components(neck=Refine((4, 8), (4, 16))))

    def test_module_of_another_kind(self):
        with pytest.raises(ConfigError, match=r"fusion must be a cdzoo.components.Fusion, got Conv2d"):
            ChangeDetector(**{**_components(), "fusion": torch.nn.Conv2d(1, 1, 1)})

    def test_backbones_with_different_pyramids(self):
        with pytest.raises(ChannelMismatchError, match="different pyramids"):
            ChangeDetector(**_components(), backbone2=_FixedBackbone((4, 9)))


def test_identity_keeps_channels_and_strides():
    identity = Identity((1, 2), (4, 8))
    assert isinstance(identity, PyramidComponent)
    assert (identity.out_channels, identity.out_strides) == ((1, 2), (4, 8))
