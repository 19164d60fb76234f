"""Losses of several outputs: published values, ignored pixels, missing outputs, and their names."""

import numpy as np
import pytest
import torch

from cdzoo.errors import ConfigError
from cdzoo.losses import LOSSES, BalancedBCELoss, BCELoss, ConsistencyLoss, DiceLoss, FocalLoss, LovaszLoss, SimilarityLoss
from cdzoo.tasks import DamageTask, MulticlassTask, SemanticTask

LAND_COVER = ("water", "ground", "low vegetation", "tree", "building", "playground")
GRADES = ("no damage", "minor", "major", "destroyed")
MAMBASCD = "ce+0.75*lovasz+0.25*similarity"
MAMBABDA = "ce + 0.5*lovasz@building + 0.75*lovasz@damage"
SCANNET = "balanced_bce@change+ce@semantic+consistency"


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


@pytest.fixture
def semantic():
    rng = np.random.Generator(np.random.PCG64(7))
    outputs = {
        "change": normal(rng, 2, 2, 8, 8), "semantic_t1": normal(rng, 2, 7, 8, 8), "semantic_t2": normal(rng, 2, 7, 8, 8)
    }  # fmt: skip
    a = rng.integers(0, 7, (2, 8, 8))
    b = np.where(a == 0, 0, rng.integers(1, 7, (2, 8, 8)))
    target = {"mask": (a > 0).astype(np.int64), "semantic_t1": a, "semantic_t2": b}
    return outputs, {name: torch.from_numpy(values) for name, values in target.items()}


@pytest.fixture
def damage():
    rng = np.random.Generator(np.random.PCG64(11))
    outputs = {"building": normal(rng, 2, 2, 8, 8), "damage": normal(rng, 2, 5, 8, 8)}
    grades = torch.from_numpy(rng.integers(0, 5, (2, 8, 8)))
    return outputs, {"building": (grades > 0).long(), "damage": grades}


def test_values_of_mambascd(semantic):
    outputs, target = semantic
    labels = [target["mask"], *(torch.where(target[name] == 0, 255, target[name]) for name in ("semantic_t1", "semantic_t2"))]
    for loss, expected in ((BCELoss(), (0.849863, 2.345915, 2.433739)), (LovaszLoss(), (0.625714, 0.863811, 0.868338))):
        found = [loss(logits, label).item() for logits, label in zip(outputs.values(), labels, strict=True)]
        assert found == pytest.approx(expected, abs=1e-6)
    similarity = SimilarityLoss()(outputs["semantic_t1"], outputs["semantic_t2"], target["mask"])
    assert similarity.item() == pytest.approx(0.00472985, abs=1e-8)
    total = SemanticTask(LAND_COVER).create_loss(MAMBASCD)(outputs, target)
    assert total.item() == pytest.approx(4.359714, abs=1e-6)


def test_values_of_scannet(semantic):
    outputs, target = semantic
    outputs["change"] = normal(np.random.Generator(np.random.PCG64(13)), 2, 1, 8, 8)
    assert BalancedBCELoss()(outputs["change"], target["mask"]).item() == pytest.approx(0.7982391, abs=1e-6)
    maps = outputs["semantic_t1"], outputs["semantic_t2"], target["mask"]
    assert ConsistencyLoss()(*maps).item() == pytest.approx(0.512386, abs=1e-6)
    assert ConsistencyLoss(margin=0.0)(*maps).item() == pytest.approx(0.599886, abs=1e-6)
    total = SemanticTask(LAND_COVER).create_loss(SCANNET)(outputs, target)
    assert total.item() == pytest.approx(3.700452, abs=1e-6)


def test_values_of_mambabda(damage):
    outputs, target = damage
    grades = torch.where(target["damage"] == 0, 255, target["damage"])
    for loss, expected in ((BCELoss(), (0.818321, 2.003660)), (LovaszLoss(), (0.614925, 0.810462))):
        found = [loss(outputs["building"], target["building"]).item(), loss(outputs["damage"], grades).item()]
        assert found == pytest.approx(expected, abs=1e-6)
    assert DamageTask(GRADES).create_loss(MAMBABDA)(outputs, target).item() == pytest.approx(3.737290, abs=1e-6)


def test_two_logits_are_balanced_like_one(semantic):
    outputs, target = semantic
    difference = outputs["change"][:, 1:] - outputs["change"][:, :1]
    torch.testing.assert_close(
        BalancedBCELoss()(outputs["change"], target["mask"]), BalancedBCELoss()(difference, target["mask"])
    )


def test_dice_and_focal_of_several_classes():
    logits, target = torch.randn(2, 5, 9, 7), torch.randint(0, 5, (2, 9, 7))
    p = logits.softmax(1)
    truth = torch.nn.functional.one_hot(target, 5).movedim(-1, 1)
    shared, total = (p * truth).sum((0, 2, 3)), p.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    torch.testing.assert_close(DiceLoss()(logits, target), 1 - ((2 * shared + 1) / (total + 1))[1:].mean())
    right = (p * truth).sum(1)
    torch.testing.assert_close(FocalLoss()(logits, target), (-((1 - right) ** 2) * right.log()).mean())
    changed = torch.where(target == 0, 255, target)
    for loss in LOSSES.values():
        ignored = loss()(logits, torch.where(torch.arange(7) < 3, 255, changed))
        torch.testing.assert_close(ignored, loss()(logits[..., 3:], changed[..., 3:]))


CASES = [(SemanticTask, LAND_COVER, MAMBASCD), (SemanticTask, LAND_COVER, SCANNET), (DamageTask, GRADES, MAMBABDA)]


@pytest.mark.parametrize(("task", "names", "text"), CASES)
class TestTargets:
    def prepare(self, task, request):
        outputs, target = request.getfixturevalue(task.name)
        return {name: logits.requires_grad_() for name, logits in outputs.items()}, target

    def test_ignored_pixels_equal_missing_pixels(self, task, names, text, request):
        outputs, target = self.prepare(task, request)
        loss = task(names).create_loss(text)
        cut = loss({name: logits[..., 3:, :] for name, logits in outputs.items()}, {name: t[:, 3:] for name, t in target.items()})
        for values in target.values():
            values[:, :3] = 255
        ignored = loss(outputs, target)
        torch.testing.assert_close(ignored, cut)
        ignored.backward()
        assert not any(logits.grad[..., :3, :].any() for logits in outputs.values())
        assert all(logits.grad.isfinite().all() and logits.grad.any() for logits in outputs.values())

    @pytest.mark.parametrize("value", [0, 255])
    def test_without_a_labelled_pixel_the_gradient_is_finite(self, task, names, text, value, request):
        outputs, target = self.prepare(task, request)
        loss = task(names).create_loss(text)(outputs, {name: torch.full_like(t, value) for name, t in target.items()})
        loss.backward()
        assert loss.isfinite() and all(logits.grad.isfinite().all() for logits in outputs.values())
        assert value == 0 or (loss == 0 and not any(logits.grad.any() for logits in outputs.values()))

    def test_a_single_labelled_pixel(self, task, names, text, request):
        outputs, target = self.prepare(task, request)
        empty = {name: torch.zeros_like(t) for name, t in target.items()}
        for values in empty.values():
            values[0, 0, 0] = 1
        assert task(names).create_loss(text)(outputs, empty).isfinite()

    def test_outputs_that_are_not_given_are_left_out(self, task, names, text, request):
        outputs, target = self.prepare(task, request)
        loss = task(names).create_loss(text)
        main, *others = outputs
        parts = loss({main: outputs[main]}, target) + loss({name: outputs[name] for name in others}, target)
        torch.testing.assert_close(parts, loss(outputs, target))
        task(names).create_loss(f"ce@{main}")({others[0]: outputs[others[0]]}, target).backward()
        assert not outputs[others[0]].grad.any()


def test_compiles_to_one_graph_and_computes_in_float32(semantic):
    outputs, target = semantic
    loss = SemanticTask(LAND_COVER).create_loss("ce+similarity+consistency")
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(outputs, target), loss(outputs, target))
    assert loss({name: logits.bfloat16() for name, logits in outputs.items()}, target).dtype == torch.float32


def test_land_cover_of_unchanged_pixels_is_used(semantic):
    outputs, target = semantic
    loss = SemanticTask(LAND_COVER).create_loss("ce@semantic_t1")
    expected = 0.5 * BCELoss()(outputs["semantic_t1"], torch.where(target["semantic_t1"] == 0, 255, target["semantic_t1"]))
    target["mask"][:] = 0
    torch.testing.assert_close(loss(outputs, target), expected)


def test_changed_pixels_are_weighted(damage):
    outputs, target = damage
    weighted = DamageTask(GRADES).create_loss("ce@building", change_weight=3.0)(outputs, target)
    torch.testing.assert_close(weighted, BCELoss(3.0)(outputs["building"], target["building"]))


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        (SemanticTask(LAND_COVER), "ce@semantics", "unknown output 'semantics'. Did you mean 'semantic_t"),
        (SemanticTask(LAND_COVER), "ce+similarty", "Did you mean 'similarity'"),
        (SemanticTask(LAND_COVER), "consistency@change", "remove @change"),
        (DamageTask(GRADES), "ce+similarity", "similarity compares the land cover of two dates"),
        (MulticlassTask(GRADES), "ce@change", "remove @change"),
        (MulticlassTask(GRADES), "consistency", "unknown loss 'consistency'"),
    ],
)
def test_invalid_losses(task, text, message):
    with pytest.raises(ConfigError, match=message):
        task.create_loss(text)
