"""Weights of timm encoders from files: conversion, strictness, bands, and the statistics of their images."""

import re
import shutil

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import cdzoo
from cdzoo.cli.main import main
from cdzoo.errors import ConfigError, WeightsError

LITE0, TINY = "timm/tf_efficientnet_lite0", "timm/test_efficientnet"


def official(state):
    """Name the tensors of timm's EfficientNet-Lite0 as EfficientNet-PyTorch does, from the counts of its stages alone."""
    first = [0, 1, 3, 5, 8, 11, 15]
    renamed = {}
    for key, value in state.items():
        if match := re.match(r"blocks\.(\d)\.(\d)\.(\w+)\.(.+)", key):
            stage, block, layer, rest = match.groups()
            separable = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
            inverted = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
            inverted |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
            table = inverted if int(stage) else separable
            renamed[f"_blocks.{first[int(stage)] + int(block)}.{table[layer]}.{rest}"] = value
        else:
            layer, _, rest = key.partition(".")
            top = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
            renamed[f"{top[layer]}.{rest}"] = value
    return renamed


def convert(state, name, folder, out="out"):
    torch.save(state, folder / "x.pth")
    return main(["convert", "--backbone", name, str(folder / "x.pth"), str(folder / out)])


def test_names_of_efficientnet_pytorch(tmp_path):
    network = timm.create_model("tf_efficientnet_lite0")
    assert convert(official(network.state_dict()), LITE0, tmp_path, "lite0.safetensors") == 0
    converted = load_file(tmp_path / "lite0.safetensors")
    state = network.state_dict()
    assert len(converted) == 288
    assert all(torch.equal(value, state[key.removeprefix("model.")]) for key, value in converted.items())
    options = {"backbone": LITE0, "decoder": None, "head": "summation"}
    model = cdzoo.create_model("fc_siam_diff", backbone_weights=tmp_path / "lite0.safetensors", **options)
    assert model.config.mean == model.config.std == (0.5, 0.5, 0.5)
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        features = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4))
        features.load_state_dict({key: state[key] for key in features.state_dict()})
        expected = features.eval()(x)
        assert all(torch.equal(a, b) for a, b in zip(model.eval().backbone(x), expected, strict=True))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext"])
def test_names_of_timm_with_any_number_of_classes(name, tmp_path):
    network = timm.create_model(name, num_classes=7)
    assert convert({"state_dict": network.state_dict()}, f"timm/{name}", tmp_path) == 0
    converted = load_file(tmp_path / "out" / "model.safetensors")
    known = list(network.state_dict().values())
    assert all(any(a.shape == b.shape and torch.equal(a, b) for b in known) for a in converted.values())
    cdzoo.create_model("fc_siam_diff", backbone=f"timm/{name}", backbone_weights=tmp_path / "out", decoder=None, head="summation")


def test_the_encoder_alone_converts(tmp_path):
    features = timm.create_model("test_efficientnet", features_only=True)
    assert convert(features.state_dict(), TINY, tmp_path) == 0
    assert load_file(tmp_path / "out" / "model.safetensors").keys() == {f"model.{key}" for key in features.state_dict()}


def test_missing_unexpected_and_reshaped_tensors_raise(tmp_path, capsys):
    state = official(timm.create_model("tf_efficientnet_lite0").state_dict())
    for change, message in (
        ({"_bn0.weight": None}, r"missing \(bn1\.weight\)"),
        ({"_extra.weight": torch.zeros(1)}, r"unexpected \(_extra\.weight\)"),
        ({"_conv_stem.weight": torch.zeros(32, 4, 3, 3)}, r"conv_stem\.weight \(32, 4, 3, 3\) instead of \(32, 3, 3, 3\)"),
    ):
        changed = {key: value for key, value in {**state, **change}.items() if value is not None}
        assert convert(changed, LITE0, tmp_path) == 2
        assert re.search(message, capsys.readouterr().err) and not (tmp_path / "out").exists()
    assert convert(state, "timm/resnet18", tmp_path) == 2 and not (tmp_path / "out").exists()


def test_other_bands_adapt_the_first_layer(tmp_path):
    network = timm.create_model("test_efficientnet")
    assert convert(network.state_dict(), TINY, tmp_path) == 0
    options = {"backbone": TINY, "decoder": None, "head": "summation", "backbone_weights": tmp_path / "out"}
    with pytest.warns(UserWarning, match="adapted to the number of bands: model.conv_stem.weight"):
        model = cdzoo.create_model("fc_siam_diff", in_chans=(3, 6), siamese=False, **options)
    gray = torch.rand(1, 1, 32, 32)
    stem = network.conv_stem
    with torch.no_grad():
        for encoder, bands in zip(model.encoders, (3, 6), strict=True):
            found = encoder.model.conv_stem(gray.expand(-1, bands, -1, -1))
            torch.testing.assert_close(found, stem(gray.expand(-1, 3, -1, -1)))
    assert model.config.mean == (0.5,)
    explicit = cdzoo.create_model("fc_siam_diff", mean=(0.1, 0.2, 0.3), **options)
    assert explicit.config.mean == (0.1, 0.2, 0.3)


def test_published_weights_of_timm(hub, tmp_path):
    network = timm.create_model("test_efficientnet")
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    repo = timm.get_pretrained_cfg("test_efficientnet").hf_hub_id
    huggingface_hub.create_repo(repo)
    huggingface_hub.upload_file(path_or_fileobj=tmp_path / "model.safetensors", path_in_repo="model.safetensors", repo_id=repo)
    options = {"backbone": TINY, "decoder": None, "head": "summation"}
    model = cdzoo.create_model("fc_siam_diff", backbone_pretrained=True, **options)
    assert torch.equal(model.backbone.model.conv_stem.weight, network.conv_stem.weight)
    assert model.config.mean == tuple(timm.get_pretrained_cfg("test_efficientnet").mean)
    hub.reset()  # a saved model holds its encoder: nothing is downloaded again
    loaded = cdzoo.create_model(f"local-dir:{model.save_pretrained(tmp_path / 'saved')}")
    assert loaded.config.mean == model.config.mean and not hub.log


def test_published_weights_that_are_not_finite_raise(hub, tmp_path):
    state = timm.create_model("test_efficientnet").state_dict()
    state["blocks.0.0.conv.weight"].fill_(float("nan"))
    save_file(state, tmp_path / "model.safetensors")
    repo = timm.get_pretrained_cfg("test_efficientnet").hf_hub_id
    huggingface_hub.create_repo(repo)
    huggingface_hub.upload_file(path_or_fileobj=tmp_path / "model.safetensors", path_in_repo="model.safetensors", repo_id=repo)
    options = {"backbone": TINY, "decoder": None, "head": "summation", "backbone_pretrained": True}
    with pytest.raises(WeightsError, match=r"timm/test_efficientnet: the weights are not finite.*blocks\.0\.0\.conv"):
        cdzoo.create_model("fc_siam_diff", **options)
    hub.pretend(etag="../../../evil")
    shutil.rmtree(tmp_path / "hub_cache")
    with pytest.raises((ConfigError, WeightsError), match="names no file"):
        cdzoo.create_model("fc_siam_diff", **options)
    assert not list(tmp_path.glob("evil*"))


def test_a_failed_load_raises(hub, tmp_path):
    options = {"decoder": None, "head": "summation", "backbone_pretrained": True}
    with pytest.raises(WeightsError, match="weights of timm/test_efficientnet could not be loaded"):
        cdzoo.create_model("fc_siam_diff", backbone=TINY, **options)
    with pytest.raises((ConfigError, WeightsError), match="Invalid pretrained tag"):
        cdzoo.create_model("fc_siam_diff", backbone=f"{TINY}.none", **options)
    with pytest.raises(ConfigError, match="backbone_weights and backbone_pretrained each load weights"):
        cdzoo.create_model("fc_siam_diff", backbone=TINY, backbone_weights=tmp_path, **options)
