"""Fine-tuning: initial weights, a frozen backbone, its learning rate, early stopping."""

import csv
import dataclasses
import json

import pytest
import timm
import torch

import cdzoo
from cdzoo.cli.main import main
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.setup import build_optimizer
from cdzoo.errors import ConfigError, WeightsError
from cdzoo.factory import create_initialized
from cdzoo.io.files import file_sha256

QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu")
WORDS = ["epochs=1", "batch_size=2", "crop=32", "device=cpu", "progress=false"]


def copy(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(module, state):
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.fixture
def batch_norms():
    return cdzoo.create_model("fc_siam_diff", backbone="timm/test_efficientnet", decoder=None, head="summation")


def test_a_frozen_backbone_keeps_weights_and_statistics(batch_norms, pair_folder, tmp_path):
    samples, model = FolderPairs(pair_folder(4, 48)), batch_norms
    encoder, head = copy(model.backbone), copy(model.head)
    train(model, samples, samples, dataclasses.replace(QUICK, freeze="backbone", weight_decay=0.1), tmp_path / "out")
    assert same(model.backbone, encoder) and not same(model.head, head)
    assert all(parameter.requires_grad for parameter in model.parameters())
    train(model, samples, samples, QUICK)
    assert not same(model.backbone, encoder)


@pytest.mark.parametrize("decay_all", [False, True])
def test_the_backbone_has_its_own_learning_rate(tiny, decay_all):
    model = tiny()
    cfg = dataclasses.replace(QUICK, optimizer="adamw", weight_decay=0.05, decay_all=decay_all, lr_backbone=1e-4)
    groups = build_optimizer(model, cfg).param_groups
    rates = {id(p): (group["lr"], group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    plain = build_optimizer(model, dataclasses.replace(cfg, lr_backbone=None)).param_groups
    decays = {id(p): group["weight_decay"] for group in plain for p in group["params"]}
    encoder = {id(p) for p in model.backbone.parameters()}
    for key, (lr, scale, decay) in rates.items():
        assert lr == pytest.approx(1e-4 if key in encoder else 1e-3) and scale == pytest.approx(0.1 if key in encoder else 1)
        assert decay == decays[key]


def test_a_tiny_learning_rate_hardly_moves_the_backbone(tiny, pair_folder):
    samples, model = FolderPairs(pair_folder(4, 48)), tiny()
    before = copy(model)
    train(model, samples, samples, dataclasses.replace(QUICK, optimizer="sgd", lr=1.0, lr_backbone=1e-12))
    moved = {name: (value - before[name]).abs().max() for name, value in model.state_dict().items()}
    assert max(value for name, value in moved.items() if name.startswith("backbone.")) < 1e-6
    assert max(value for name, value in moved.items() if name.startswith("head.")) > 1e-4


def test_settings_that_contradict_each_other():
    with pytest.raises(ConfigError, match=r"lr_backbone=0\.1 has no effect with freeze=backbone"):
        TrainCfg(freeze="backbone", lr_backbone=0.1)


def test_early_stopping_counts_validations(tiny, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(2, 40))
    model = tiny()
    with torch.no_grad():
        model.head.classify.bias.fill_(-1e4)  # nothing is called changed: no validation is better than the first
    cfg = dataclasses.replace(QUICK, epochs=50, validate_every=2, early_stopping=3, lr=1e-12)
    results = train(model, samples, samples, cfg, tmp_path)
    assert results.epoch == 2 and results.extra["stopped_epoch"] == 8
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 9))
    resumed = train(tiny(), samples, samples, cfg, tmp_path, resume=True)
    assert resumed.epoch == 2 and len(list(csv.DictReader((tmp_path / "log.csv").open()))) == 8
    longer = train(tiny(), samples, samples, dataclasses.replace(cfg, early_stopping=4), tmp_path, resume=True)
    assert longer.extra["stopped_epoch"] == 10


def test_weights_of_folders_tags_and_the_hub(tiny, tmp_path, hub):
    source = tiny(mean=(0.1, 0.2, 0.3))
    folder = str(source.save_pretrained(tmp_path / "saved"))
    same_model = {"model_name": "glmamba_tiny", "backbone_kwargs": source.config.backbone.kwargs}
    for options in ({}, same_model):
        model, sha256 = create_initialized(folder, **options)
        assert same(model, source.state_dict()) and model.config.mean == (0.1, 0.2, 0.3)
        assert sha256 == file_sha256(tmp_path / "saved" / "model.safetensors")
    published = cdzoo.create_model("glmamba_tiny.synthetic").state_dict()
    for options in ({}, {"model_name": "glmamba_tiny"}):
        assert same(create_initialized("glmamba_tiny.synthetic", **options)[0], published)
    source.push_to_hub("me/tuned")
    assert same(create_initialized("hf-hub:me/tuned")[0], source.state_dict())
    with pytest.raises(WeightsError, match="another fusion"):
        create_initialized(folder, **same_model, fusion="cbam")
    for options in ({}, same_model):
        with pytest.warns(UserWarning, match=r"adapted .*reinitialized"):
            other, _ = create_initialized(folder, in_chans=5, num_classes=2, **options)
        assert other.config.mean == (0.5,) and same(other.neck, source.neck.state_dict())


@pytest.mark.filterwarnings("default:model.safetensors")
def test_train_from_weights_on_the_command_line(tiny, pair_folder, tmp_path, capsys):
    pairs, first = str(pair_folder(4, 40)), tiny().save_pretrained(tmp_path / "first")
    out = tmp_path / "tuned"
    words = ["train", "--init", str(first), "--data", pairs, "--out", str(out), *WORDS]
    assert main([*words, "--freeze", "backbone"]) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["init"]["source"] == f"local-dir:{first}" and results["training"]["freeze"] == "backbone"
    tuned = cdzoo.create_model(f"local-dir:{out}")
    assert same(tuned.backbone, cdzoo.create_model(f"local-dir:{first}").backbone.state_dict())
    assert main(["train", "--resume", str(out), "epochs=2"]) == 0
    assert main([*words, "--num-classes", "2", "--overwrite"]) == 0
    assert "note: model.safetensors: 263 keys match, 2 reinitialized" in capsys.readouterr().err
    assert main([*words, "--model", "fc_ef", "--overwrite"]) == 2
    assert "another backbone, 'vss' instead of 'unet'" in capsys.readouterr().err
    assert main(["train", "--init", "glmamba_tiny.nothing", "--data", pairs, "--out", str(tmp_path / "x"), *WORDS]) == 2
    assert "has no weights 'nothing'" in capsys.readouterr().err


def test_weights_of_the_backbone_are_named(pair_folder, tmp_path, capsys):
    encoder, weights = timm.create_model("test_efficientnet"), tmp_path / "encoder.safetensors"
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    assert main(["convert", "--backbone", "timm/test_efficientnet", str(tmp_path / "encoder.pth"), str(weights)]) == 0
    root, model = str(pair_folder(8, 48)), ["--backbone", "timm/test_efficientnet", "--decoder", "none", "--head", "summation"]
    words = ["train", "--model", "fc_siam_diff", *model, "--data", root, "--val", root, *WORDS]
    assert main([*words, "--out", str(tmp_path / "a"), "--backbone-weights", str(weights)]) == 0
    assert f"starts from random weights except for those of the backbone, {weights}" in capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "b")]) == 0
    assert "starts from random weights\n" in capsys.readouterr().out
