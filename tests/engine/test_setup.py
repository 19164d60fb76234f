"""What a training prepares: memory format, and depthwise convolutions in fp32."""

import dataclasses

import torch

import cdzoo
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.depthwise import keep_depthwise, release_depthwise
from cdzoo.engine.fit import train
from cdzoo.engine.setup import prepare

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu")


def test_the_memory_format_changes_neither_weights_nor_their_layout(pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(4, 40))
    trained = {}
    for channels_last in (False, True):
        torch.manual_seed(0)
        model = cdzoo.create_model("fc_siam_diff")
        cfg = dataclasses.replace(QUICK, optimizer="sgd", lr=0.1, channels_last=channels_last)
        results = train(model, samples, samples, cfg, tmp_path / str(channels_last))
        assert ("channels_last" in results.training) is channels_last, "runs of earlier versions can be resumed"
        assert all(value.is_contiguous() for value in model.state_dict().values())
        trained[channels_last] = model.state_dict()
    for name, value in trained[False].items():
        torch.testing.assert_close(trained[True][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_depthwise_convolutions_are_computed_in_fp32_on_the_cpu():
    layer = torch.nn.Conv2d(6, 6, 3, padding=1, groups=6)
    model = torch.nn.Sequential(layer, torch.nn.Conv2d(6, 4, 1))
    x = torch.randn(2, 6, 9, 9, requires_grad=True)
    keep_depthwise(model)
    keep_depthwise(model)
    assert layer(x).dtype == torch.float32, "without autocast nothing changes"
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        assert found.dtype == model(x).dtype == torch.bfloat16
    torch.testing.assert_close(found, torch.conv2d(x, layer.weight, layer.bias, padding=1, groups=6).bfloat16(), rtol=0, atol=0)
    found.float().sum().backward()
    weight = layer.weight.grad.clone()
    release_depthwise(model)
    assert "forward" not in vars(layer) and "forward" not in vars(model[1])
    layer.weight.grad = None
    layer(x).sum().backward()
    torch.testing.assert_close(weight, layer.weight.grad)


def test_models_are_set_up_for_bf16_and_channels_last():
    def set_up(**changes):
        model = prepare(cdzoo.create_model("lightcdnet_s"), dataclasses.replace(QUICK, **changes)).objective.model
        layers = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
        last = all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in layers)
        return last, {layer.groups == layer.in_channels > 1 for layer in layers if "forward" in vars(layer)}

    assert set_up() == (False, set())
    assert set_up(channels_last=True) == (True, set())
    assert set_up(precision="bf16", channels_last=True) == (True, {True})


def test_trained_models_have_their_own_forward(pair_folder):
    samples = FolderPairs(pair_folder(4, 40))
    model = cdzoo.create_model("lightcdnet_s")
    train(model, samples, samples, dataclasses.replace(QUICK, epochs=1, precision="bf16", ema=0.5))
    kinds = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d) and module.groups > 1]
    assert kinds and not any("forward" in vars(module) for module in model.modules())
