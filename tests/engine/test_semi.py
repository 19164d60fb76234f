"""Semi-supervised training: views, pseudo labels and loss, and resumed runs."""

import csv
import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cdzoo
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.checkpoint import list_checkpoints
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.objective import Objective
from cdzoo.engine.semi import SEMI_COLUMNS, SemiObjective, Views, consistency_loss, draw_views, pseudo_labels
from cdzoo.errors import ConfigError, InputError

FIT = importlib.import_module("cdzoo.engine.fit")
QUICK = TrainCfg(epochs=2, batch_size=2, lr=1e-3, crop=32, progress=False, device="cpu", semi="unimatch", confidence=0.6)


@pytest.fixture
def small():
    """Build a small FC-Siam-Diff, which has batch norms and dropout."""

    def build(**overrides):
        torch.manual_seed(0)
        backbone = {"channels": [4, 8, 8, 16], "depths": [1, 1, 1, 1], "dropout": 0.2}
        decoder = {"widths": [4, 8, 8, 16], "depths": [1, 1, 1, 1], "dropout": 0.2}
        return cdzoo.create_model("fc_siam_diff", backbone_kwargs=backbone, decoder_kwargs=decoder, **overrides)

    return build


def make_views(count=3, side=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = [torch.rand(count, 3, side, side, generator=generator) for _ in range(2)]
    mask = torch.zeros(count, side, side, dtype=torch.int64)
    mask[0, :9] = 255
    return images, draw_views(images, {"mask": mask}, generator)


def plain_loss(logits, weak, origin, valid, threshold):
    """Return the loss of one view in float64, pixel by pixel."""
    total, count = 0.0, 0
    logits, weak = logits.double(), weak.double()
    for b in range(len(logits)):
        for y in range(logits.shape[-2]):
            for x in range(logits.shape[-1]):
                source = int(origin[b, y, x])
                if not valid[source, y, x]:
                    continue
                count += 1
                if weak.shape[1] == 1:
                    p = 1 / (1 + torch.exp(-weak[source, 0, y, x]))
                    q = 1 / (1 + torch.exp(-logits[b, 0, y, x]))
                    of_label, confidence = (q, p) if p > 0.5 else (1 - q, 1 - p)
                else:
                    p, q = (torch.exp(v[:, y, x]) / torch.exp(v[:, y, x]).sum() for v in (weak[source], logits[b]))
                    of_label, confidence = q[int(p.argmax())], p.max()
                if confidence >= threshold:
                    total = total - torch.log(of_label)
    return total / count


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_the_loss_is_that_of_a_plain_implementation(classes):
    generator = torch.Generator().manual_seed(1)
    weak, strong = (2 * torch.randn(3, classes, 6, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    origin = torch.randint(0, 3, (3, 6, 5), generator=generator)
    valid = torch.rand(3, 6, 5, generator=generator) < 0.7
    labels, confidence = pseudo_labels(weak)
    confident = confidence >= 0.8
    assert 0 < int(confident.sum()) < confident.numel()
    found = consistency_loss(strong, *(values.gather(0, origin) for values in (labels, confident, valid)))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, plain_loss(strong, weak, origin, valid, 0.8), rtol=1e-12, atol=0)


def test_the_objective_adds_the_losses_of_both_views_and_of_perturbed_features(small):
    model = small(num_classes=1)
    cfg = dataclasses.replace(QUICK, unlabeled_weight=3.0, confidence=0.51)
    images, views = make_views(count=2)
    target = {"mask": (images[0][:, 0] > 0.7).long()}
    outputs = {}

    def keep(name):
        real = getattr(model, name)

        def wrapped(*args, **kwargs):
            outputs[name] = real(*args, **kwargs)
            return outputs[name]

        return wrapped

    model.forward_perturbed, model.forward = keep("forward_perturbed"), keep("forward")
    torch.manual_seed(3)
    loss, logged = SemiObjective(model, cfg)(images, target, views)
    labeled_only = Objective(small(num_classes=1), cfg)
    torch.manual_seed(3)
    supervised = labeled_only(images, target)  # the first forward pass, with the same dropout
    weak, perturbed = outputs["forward_perturbed"]
    own = torch.arange(2)[:, None, None].expand(2, 32, 32)
    losses = [
        plain_loss(logits.detach(), weak.detach(), origin, views.valid, 0.51)
        for logits, origin in [
            *zip(outputs["forward"].chunk(2), views.origin.chunk(2), strict=True),
            (perturbed, own),
        ]
    ]
    unlabeled = 0.25 * losses[0] + 0.25 * losses[1] + 0.5 * losses[2]
    torch.testing.assert_close(loss.detach().double(), supervised.detach().double() + 3 * unlabeled, rtol=1e-5, atol=0)
    labels, confidence = pseudo_labels(weak)
    sure = (confidence >= 0.51) & views.valid
    expected = [unlabeled, sure.sum() / views.valid.sum(), (sure & (labels == 1)).sum() / views.valid.sum()]
    torch.testing.assert_close(logged, torch.tensor([float(value) for value in expected]))
    assert not logged.requires_grad


def test_no_gradient_passes_the_pseudo_labels_or_pixels_without_data():
    weak = torch.randn(2, 1, 4, 4, requires_grad=True)
    strong = torch.randn(2, 1, 4, 4, requires_grad=True)
    valid = torch.rand(2, 4, 4) < 0.5
    labels, confidence = pseudo_labels(weak)
    consistency_loss(strong, labels, confidence >= 0.5, valid).backward()
    assert weak.grad is None and not confidence.requires_grad
    assert torch.equal(strong.grad[:, 0] != 0, valid)
    assert consistency_loss(strong, labels, confidence >= 0.5, torch.zeros_like(valid)) == 0


def test_the_weak_view_learns_through_the_perturbed_features_only(small, monkeypatch):
    model = small(num_classes=1)
    images, views = make_views()
    plain = Objective(model, QUICK)
    monkeypatch.setattr("cdzoo.engine.semi._PERTURBED_WEIGHT", 0.0)
    monkeypatch.setattr("cdzoo.engine.semi._STRONG_WEIGHT", 0.0)
    target = {"mask": (images[0][:, 0] > 0.7).long()}
    grads = []
    for objective, inputs in ((plain, ()), (SemiObjective(model, QUICK), (views,))):
        torch.manual_seed(0)
        found = objective(images, target, *inputs)
        (found[0] if inputs else found).backward()
        grads.append([parameter.grad.clone() for parameter in model.parameters()])
        model.zero_grad()
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_views_keep_the_weak_view_and_know_where_pixels_are_from():
    images, views = make_views(count=4)
    assert all(torch.equal(weak, image) for weak, image in zip(views.weak, images, strict=True))
    assert isinstance(views, Views) and all(strong.shape == (8, 3, 32, 32) for strong in views.strong)
    own = torch.arange(4)[:, None, None]
    assert all((origin != own).any() and (origin == own).any() for origin in views.origin.chunk(2))
    assert not torch.equal(*views.strong[0].chunk(2))
    ratios = [(strong[:4] / images[date]).flatten(1).median(1).values for date, strong in enumerate(views.strong)]
    assert (ratios[0] - ratios[1]).abs().max() > 0.01  # the dates are changed on their own
    assert not views.valid[0, :9].any() and views.valid[1:].all()
    assert draw_views(images, {}, torch.Generator()).valid.all()


def test_perturbed_features_lose_whole_channels(small):
    model = small().eval()
    images = [torch.rand(2, 3, 32, 32) for _ in range(2)]
    seen = []
    handle = model.decoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    plain, perturbed = model.forward_perturbed(*images, drop=0.5)
    handle.remove()
    torch.testing.assert_close(plain, model(*images))
    assert not torch.allclose(plain, perturbed)
    for level in seen[0]:
        whole, dropped = level.chunk(2)
        zero = (dropped == 0).all(-1).all(-1)
        assert 0 < zero.float().mean() < 1 and torch.equal(dropped[~zero], 2 * whole[~zero])


def train_small(small, samples, rest, out, resume=False, **changes):
    cfg = dataclasses.replace(QUICK, **changes)
    return train(small(num_classes=1), samples, samples, cfg, out, resume=resume, unlabeled_set=rest)


def test_a_resumed_run_ends_like_an_uninterrupted_one(small, pair_folder, tmp_path, monkeypatch):
    samples = list(FolderPairs(pair_folder(7, 40)))
    labeled, rest = samples[:4], samples[4:]
    train_small(small, labeled, rest, tmp_path / "whole", epochs=2)
    real = FIT.train_step

    class Crash(Exception):
        pass

    def step(*args):
        if args[4].step == 3:  # in the middle of an epoch
            raise Crash
        return real(*args)

    monkeypatch.setattr(FIT, "train_step", step)
    with pytest.raises(Crash):
        train_small(small, labeled, rest, tmp_path / "cut", epochs=2, checkpoint_every=3)
    monkeypatch.setattr(FIT, "train_step", real)
    train_small(small, labeled, rest, tmp_path / "cut", resume=True, epochs=2, checkpoint_every=3)
    weights, logs = [], []
    for name in ("whole", "cut"):
        weights.append((list_checkpoints(tmp_path / name)[-1] / "weights.safetensors").read_bytes())
        with (tmp_path / name / "log.csv").open() as file:
            logs.append([{key: row[key] for key in ("step", "loss", *SEMI_COLUMNS)} for row in csv.DictReader(file)])
    assert weights[0] == weights[1] and logs[0] == logs[1] and len(logs[0]) == 2
    assert all(0 < float(row["confident"]) <= 1 and float(row["unlabeled_loss"]) > 0 for row in logs[0])
    with pytest.raises(ConfigError, match=r"confidence was 0.6, now 0.7, the content of the unlabeled images is another"):
        changed = [sample._replace(images=sample.images[::-1]) for sample in rest]
        train_small(small, labeled, changed, tmp_path / "cut", resume=True, epochs=3, confidence=0.7)


def test_other_precision_and_micro_batches(small, pair_folder, tmp_path):
    samples = list(FolderPairs(pair_folder(4, 40)))
    results = train_small(
        small, samples, samples[:3] * 2, tmp_path, epochs=1, batch_size=4, accumulate=2, precision="bf16", ema=0.5, workers=1
    )
    assert 0 <= results["f1"] <= 1


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights(tmp_path):
    script = Path(__file__).with_name("two_processes.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, "semi"], capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert "unlabeled_loss" in (tmp_path / "log.csv").read_text().splitlines()[0]


def test_without_semi_the_log_and_the_settings_are_those_of_before(small, pair_folder, tmp_path):
    samples = FolderPairs(pair_folder(2, 40))
    results = train_small(small, samples, None, tmp_path, semi=None, epochs=1, confidence=0.95)
    assert not {"semi", "confidence", "unlabeled_weight"} & {*results.training}
    assert not set(SEMI_COLUMNS) & {*(tmp_path / "log.csv").read_text().splitlines()[0].split(",")}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({}, InputError, "semi=unimatch needs pairs without masks: .*--labeled LIST.txt.*--unlabeled FOLDER"),
        ({"semi": None, "confidence": 0.95}, ConfigError, "pairs without masks are for .*: set semi='unimatch'"),
        ({"batch_size": 1}, ConfigError, "semi=unimatch mixes the samples of a micro-batch, which has one only"),
        ({"task": "semantic"}, ConfigError, "semi=unimatch learns one map, but the task 'semantic' has several"),
    ],
    ids=["none", "off", "one", "semantic"],
)
def test_what_cannot_be_trained(small, pair_folder, changes, error, message):
    samples = list(FolderPairs(pair_folder(2, 40)))
    model = small(**({"task": "semantic", "class_names": ("a", "b")} if changes.pop("task", "") else {"num_classes": 1}))
    rest = samples if changes or model.branches else None
    if model.branches:
        cover = {"semantic_t1": samples[0].target["mask"], "semantic_t2": samples[0].target["mask"]}
        samples = [sample._replace(target={**sample.target, **cover}) for sample in samples]
    with pytest.raises(error, match=message):
        train(model, samples, samples, dataclasses.replace(QUICK, **changes), unlabeled_set=rest)
