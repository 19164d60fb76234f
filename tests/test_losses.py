"""Losses compared with their formulas, ignored pixels, and sums of losses."""

import pytest
import torch
import torch.nn.functional as F

from cdzoo.errors import ConfigError
from cdzoo.losses import LOSSES, BCELoss, DiceLoss, FocalLoss, LovaszLoss, create_loss


@pytest.fixture
def mask():
    return (torch.rand(2, 9, 7) > 0.7).long()


def test_bce(mask):
    logits = torch.randn(2, 1, 9, 7)
    p = logits[:, 0].sigmoid()
    bce = -(mask * p.log() + (1 - mask) * (1 - p).log())
    torch.testing.assert_close(BCELoss()(logits, mask), bce.mean())
    weighted = -(5 * mask * p.log() + (1 - mask) * (1 - p).log())
    torch.testing.assert_close(BCELoss(change_weight=5.0)(logits, mask), weighted.mean())
    mask[0] = 255
    torch.testing.assert_close(BCELoss()(logits, mask), bce[1].mean())
    two = torch.randn(2, 2, 9, 7)
    torch.testing.assert_close(BCELoss()(two, mask), -two[1].log_softmax(0).gather(0, mask[1:]).mean())


def test_weighted_cross_entropy_of_two_classes(mask):
    logits = torch.randn(2, 2, 9, 7)
    each = -logits.log_softmax(1).gather(1, mask[:, None])[:, 0]
    weight = torch.where(mask > 0, 4.0, 1.0)
    torch.testing.assert_close(create_loss("ce", 4.0)(logits, mask), (each * weight).sum() / weight.sum())
    mask[:, ::2] = 255
    expected = F.cross_entropy(logits, mask, weight=torch.tensor([1.0, 4.0]), ignore_index=255)
    torch.testing.assert_close(BCELoss(4.0)(logits, mask), expected)


def test_dice(mask):
    logits = torch.randn(2, 1, 9, 7)
    p, y = logits[:, 0].sigmoid(), mask.float()
    torch.testing.assert_close(DiceLoss()(logits, mask), 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1))


def test_focal(mask):
    logits = torch.randn(2, 1, 9, 7)
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, mask), BCELoss()(logits, mask))
    p = logits[:, 0].sigmoid()
    right = torch.where(mask > 0, p, 1 - p)
    torch.testing.assert_close(FocalLoss()(logits, mask), (-((1 - right) ** 2) * right.log()).mean())


@pytest.mark.parametrize("classes", [1, 2])
def test_lovasz_of_hard_predictions_is_the_jaccard_loss(classes, mask):
    found = torch.rand(2, 9, 7) > 0.5
    if classes == 1:
        logits = torch.where(found, 1.0, -1.0)[:, None]
        jaccard = 1 - (found & mask.bool()).sum() / (found | mask.bool()).sum()
        # A wrong pixel at distance 1 has the hinge error 2.
        torch.testing.assert_close(LovaszLoss()(logits, mask), 2 * jaccard.float())
    else:
        logits = torch.stack([torch.where(found, -50.0, 50.0), torch.where(found, 50.0, -50.0)], 1)
        ious = [((found == c) & (mask == c)).sum() / ((found == c) | (mask == c)).sum() for c in (0, 1)]
        torch.testing.assert_close(LovaszLoss()(logits, mask), 1 - torch.stack(ious).mean())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 2])
def test_ignored_pixels_equal_missing_pixels(name, classes, mask):
    logits = torch.randn(2, classes, 9, 7, requires_grad=True)
    mask[:, 4:] = 255
    loss = LOSSES[name](change_weight=3.0)(logits, mask)
    torch.testing.assert_close(loss, LOSSES[name](change_weight=3.0)(logits[:, :, :4], mask[:, :4]))
    loss.backward()
    assert not logits.grad[:, :, 4:].any() and logits.grad[:, :, :4].any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 2])
def test_without_a_valid_pixel_the_loss_is_zero_with_a_gradient(name, classes):
    logits = torch.randn(2, classes, 9, 7, requires_grad=True)
    loss = LOSSES[name](change_weight=2.0)(logits, torch.full((2, 9, 7), 255))
    assert loss == 0
    loss.backward()
    assert not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 2])
def test_gradient_descent_reduces_each_loss(name, classes, mask):
    logits = torch.zeros(2, classes, 9, 7, requires_grad=True)
    noise = torch.randn_like(logits) * 0.1
    optimizer = torch.optim.SGD([logits], lr=20.0)
    loss = create_loss(name)
    first = loss(logits + noise, mask)
    for _ in range(50):
        optimizer.zero_grad()
        loss(logits + noise, mask).backward()
        optimizer.step()
    assert torch.isfinite(logits).all()
    assert loss(logits + noise, mask) < 0.5 * first


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [0, 1])
def test_absent_classes_and_large_logits_give_finite_losses(name, value):
    for classes in (1, 2):
        logits = (torch.randn(1, classes, 8, 8) * 100).requires_grad_()
        loss = create_loss(name)(logits, torch.full((1, 8, 8), value))
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("classes", [1, 2])
def test_compiles_to_one_graph_and_computes_in_float32(classes, mask):
    logits = torch.randn(2, classes, 9, 7)
    loss = create_loss("bce+0.5*dice+focal+lovasz", change_weight=2.0)
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(logits, mask), loss(logits, mask))
    assert loss(logits.bfloat16(), mask).dtype == torch.float32


def test_sums_and_factors(mask):
    logits = torch.randn(2, 2, 9, 7)
    parts = create_loss("ce")(logits, mask) + 0.75 * create_loss("lovasz")(logits, mask)
    torch.testing.assert_close(create_loss("ce + 0.75*lovasz")(logits, mask), parts)
    torch.testing.assert_close(create_loss("ce")(logits, mask), F.cross_entropy(logits, mask))
    mask[mask == 0] = 7
    other = create_loss("dice", ignore_index=7)(logits, mask)
    torch.testing.assert_close(other, DiceLoss()(logits, torch.where(mask == 7, 255, mask)))


@pytest.mark.parametrize(
    ("text", "message"), [("bces", "Did you mean 'bce'"), ("bce+", "is not a loss"), ("0*dice", "must be positive")]
)
def test_invalid_losses(text, message):
    with pytest.raises(ConfigError, match=message):
        create_loss(text)


@pytest.mark.parametrize("classes", [1, 2, 5])
@pytest.mark.parametrize("text", [*LOSSES, "bce+0.5*dice+lovasz"])
def test_without_a_valid_pixel_losses_and_gradients_are_finite(text, classes):
    for change_weight in (0.0, 5.0):
        logits = (30 * torch.randn(2, classes, 9, 7)).requires_grad_()
        loss = create_loss(text, change_weight)(logits, torch.full((2, 9, 7), 255))
        loss.backward()
        assert loss.isfinite() and not logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_say_whether_the_weight_of_changed_pixels_has_an_effect(name, mask):
    logits = torch.randn(2, 1, 9, 7)
    assert torch.equal(LOSSES[name](3.0)(logits, mask), LOSSES[name]()(logits, mask)) != LOSSES[name].weighted
