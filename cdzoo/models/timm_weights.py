"""Weights of timm encoders in files of others: names of EfficientNet-PyTorch, and whole classifiers in timm's own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from cdzoo.backbones.timm import PREFIX, TimmBackbone
from cdzoo.weights.state import check_state

_SOURCE = "EfficientNet-PyTorch"
_TOP = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
_SEPARABLE = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
_INVERTED = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}


def efficientnet_keys(keys: Iterable[str]) -> dict[str, str]:
    """Return the names in EfficientNet-PyTorch of the parameters of an EfficientNet without squeeze-excitation, by timm's names.

    timm counts the blocks of each stage, EfficientNet-PyTorch those of the network. Blocks without expansion have other names.
    """
    keys = list(keys)
    found = {match.group(0): match for key in keys if (match := re.match(r"blocks\.(\d+)\.(\d+)\.", key))}
    blocks = sorted(found, key=lambda block: (int(found[block][1]), int(found[block][2])))
    names = {}
    for key in keys:
        block = next((prefix for prefix in blocks if key.startswith(prefix)), "")
        layer, _, rest = key.removeprefix(block).partition(".")
        table = _TOP if not block else _INVERTED if f"{block}conv_pwl.weight" in keys else _SEPARABLE
        prefix = f"_blocks.{blocks.index(block)}." if block else ""
        names[key] = f"{prefix}{table.get(layer, layer)}.{rest}"
    return names


def timm_encoder_weights(name: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict of a timm backbone with the weights of a file.

    Args:
        name: `timm/NAME`.
        given: Whole classifier in the names of timm or of EfficientNet-PyTorch, with any number of classes; or the encoder alone
            (`features_only=True`) in those of timm.

    Raises:
        UnknownNameError: timm has no such model.
        WeightsError: Keys are missing or unexpected, or shapes differ. The message names them.
    """
    bare = name.removeprefix(PREFIX)
    backbone = TimmBackbone(bare)
    encoder = backbone.model.state_dict()
    if given.keys() == encoder.keys():
        check_state("the checkpoint", given, encoder, name)
        return {f"model.{key}": value for key, value in given.items()}
    import timm

    with torch.device("meta"):
        network = timm.create_model(bare)
    expected = network.state_dict()
    source = "the checkpoint"
    if "_conv_stem.weight" in given:
        source, official = f"{source} of {_SOURCE}", efficientnet_keys(expected)
        ours = {theirs: key for key, theirs in official.items()}
        given = {ours.get(key, key): value for key, value in given.items()}
    classifier = network.pretrained_cfg.get("classifier") or ()
    layers = (classifier,) if isinstance(classifier, str) else classifier
    ends = tuple(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias"))
    body = {key: value for key, value in given.items() if key not in ends}
    check_state(source, body, {key: value for key, value in expected.items() if key not in ends}, name)
    if encoder.keys() <= body.keys():
        return {f"model.{key}": body[key] for key in encoder}
    # Some encoders (ConvNeXt, ViT) have other names than the classifier they are a part of; timm renames when it loads.
    renamed = TimmBackbone(bare, pretrained=True, pretrained_cfg_overlay={"state_dict": body}).state_dict()
    return {key: value for key, value in renamed.items() if key.startswith("model.")}
