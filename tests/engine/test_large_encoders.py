"""Training of large encoders: learning rates by layer, and low-rank adapters."""

import dataclasses

import pytest
import torch

import cdzoo
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.groups import layer_depths
from cdzoo.engine.setup import build_optimizer
from cdzoo.errors import ConfigError

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-2, crop=32, progress=False, device="cpu", optimizer="adamw", weight_decay=0.05)


def vit(**options):
    return cdzoo.create_model("glmamba_tiny", backbone="timm/test_vit", neck=None, decoder=None, fusion="diff", **options)


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (("timm/test_vit", {}), {"model.model.pos_embed": 0, "model.model.blocks.0.norm1.weight": 1, "model.model.blocks.5.": 6}),
        (("timm/resnet10t", {}), {"model.conv1.0.weight": 1, "model.bn1.": 3, "model.layer1.0.": 4, "model.layer4.0.": 7}),
        (("timm/convnext_atto", {}), {"model.stem_0.": 1, "model.stages_0.blocks.0": 2, "model.stages_0.blocks.1": 3}),
        (("vss", {"channels": 8, "depths": [1, 2]}), {"patch_embed.": 0, "stages.0.0.": 1, "stages.1.0.": 2, "stages.1.2.": 4}),
        (("swin", {"channels": 8, "depths": [1, 2], "heads": [1, 2]}), {"stages.0.blocks.0.": 1, "stages.1.blocks.1.": 4}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_layers_are_counted_in_their_order(backbone, expected):
    depths = layer_depths(cdzoo.create_model("glmamba_tiny", backbone=backbone, neck=None, fusion="diff").backbone)
    assert list(depths.values()) == sorted(depths.values())
    for prefix, depth in expected.items():
        assert {value for name, value in depths.items() if name.startswith(prefix)} == {depth}, prefix


def test_each_layer_has_its_own_learning_rate():
    model = vit()
    cfg = dataclasses.replace(QUICK, lr=1e-3, lr_backbone=1e-4, layer_decay=0.5)
    rates = {
        id(p): (group["lr"], group["lr_scale"]) for group in build_optimizer(model, cfg).param_groups for p in group["params"]
    }
    last = max(depth for name, depth in layer_depths(model.backbone).items() if not name.startswith("pyramid."))
    for name, parameter in model.backbone.named_parameters():
        expected = 1e-3 if name.startswith("pyramid.") else 1e-4 * 0.5 ** (last - layer_depths(model.backbone)[name])
        assert rates[id(parameter)] == (pytest.approx(expected), pytest.approx(expected / 1e-3))
    assert all(rates[id(p)][0] == pytest.approx(1e-3) for p in model.head.parameters())
    assert len(rates) == len(list(model.parameters()))


def test_a_frozen_vision_transformer_trains_its_pyramid(pair_folder):
    samples, model = FolderPairs(pair_folder(4, 48)), vit()
    model.backbone.model.model.pos_embed.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, samples, samples, dataclasses.replace(QUICK, freeze="backbone"))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in changed if name.startswith("backbone.")} == {
        name for name in changed if name.startswith("backbone.pyramid.")
    }
    assert any(name.startswith("backbone.pyramid.levels.0") for name in changed)
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"backbone.model.model.pos_embed"}


@pytest.mark.parametrize("option", [{"lr_backbone": 0.1}, {"layer_decay": 0.5}, {"lora": 4}])
def test_settings_of_a_frozen_backbone(option):
    (name,) = option
    with pytest.raises(ConfigError, match=f"{name}=.* has no effect with freeze=backbone"):
        TrainCfg(freeze="backbone", **option)


class TestAdapters:
    @pytest.fixture(autouse=True)
    def _peft(self):
        pytest.importorskip("peft")

    def test_a_run_saves_merged_weights_and_resumes_exactly(self, pair_folder, tmp_path):
        samples = FolderPairs(pair_folder(4, 48))
        cfg = dataclasses.replace(QUICK, lora=2, ema=0.5, schedule="constant")
        model = vit()
        before = {name: value.clone() for name, value in model.state_dict().items()}

        def run(folder, epochs, resume=False):
            model.load_state_dict(before)
            train(model, samples, samples, dataclasses.replace(cfg, epochs=epochs), tmp_path / folder, resume=resume)
            return {name: value.clone() for name, value in model.state_dict().items()}

        after = run("whole", 2)
        assert after.keys() == before.keys() and all(parameter.requires_grad for parameter in model.parameters())
        saved = cdzoo.create_model(f"local-dir:{tmp_path / 'whole'}").state_dict()
        assert all(torch.equal(saved[name], value) for name, value in after.items())
        for name, value in after.items():
            change = value - before[name]
            if name.startswith("backbone.model.") and change.any():
                assert value.ndim == 2 and torch.linalg.matrix_rank(change, rtol=1e-4) <= 2, name
        query = "backbone.model.model.blocks.0.attn.qkv.weight"
        assert not torch.equal(after[query], before[query])
        run("parts", 1)
        resumed = run("parts", 2, resume=True)
        assert all(torch.equal(resumed[name], value) for name, value in after.items())

    def test_backbones_without_linear_layers(self, pair_folder):
        samples = FolderPairs(pair_folder(2, 48))
        model = cdzoo.create_model("glmamba_tiny", backbone="timm/resnet10t", neck=None, decoder=None, fusion="diff")
        with pytest.raises(ConfigError, match="lora=2: TimmBackbone has no linear layers"):
            train(model, samples, samples, dataclasses.replace(QUICK, lora=2))
