"""Losses against their formulas, written a second time."""

import pytest
import torch
import torch.nn.functional as F

from cdzoo.errors import ConfigError
from cdzoo.losses import LOSSES, BCELoss, FocalLoss, create_loss

ONE, TWO = torch.randn(2, 1, 9, 7, dtype=torch.float64), torch.randn(2, 2, 9, 7, dtype=torch.float64)


def change_loss(logits, mask, text="bce", change_weight=1.0):
    return create_loss(text, change_weight)(logits, mask)


@pytest.fixture
def mask():
    return (torch.rand(2, 9, 7) > 0.7).long()


def test_cross_entropy_of_one_class_is_bce_and_ignores_255(mask):
    logits = torch.randn(2, 1, 9, 7)
    p = logits[:, 0].sigmoid()
    bce = -(mask * p.log() + (1 - mask) * (1 - p).log())
    torch.testing.assert_close(change_loss(logits, mask), bce.mean())
    weighted = -(5 * mask * p.log() + (1 - mask) * (1 - p).log())
    torch.testing.assert_close(change_loss(logits, mask, "bce", 5.0), weighted.mean())
    mask[0] = 255
    torch.testing.assert_close(change_loss(logits, mask), bce[1].mean())
    two = torch.randn(2, 2, 9, 7)
    torch.testing.assert_close(change_loss(two, mask), -two[1].log_softmax(0).gather(0, mask[1:]).mean())


def test_weighted_cross_entropy_of_two_classes(mask):
    logits = torch.randn(2, 2, 9, 7)
    each = -logits.log_softmax(1).gather(1, mask[:, None])[:, 0]
    weight = torch.where(mask > 0, 4.0, 1.0)
    torch.testing.assert_close(change_loss(logits, mask, "ce", 4.0), (each * weight).sum() / weight.sum())


def test_dice(mask):
    logits = torch.randn(2, 1, 9, 7)
    p, y = logits[:, 0].sigmoid(), mask.float()
    torch.testing.assert_close(change_loss(logits, mask, "dice"), 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1))


def test_focal_without_focus_is_cross_entropy(mask):
    logits = torch.randn(2, 1, 9, 7)
    torch.testing.assert_close(FocalLoss(gamma=0.0)(logits, mask), BCELoss()(logits, mask))
    p = logits[:, 0].sigmoid()
    right = torch.where(mask > 0, p, 1 - p)
    torch.testing.assert_close(change_loss(logits, mask, "focal"), (-((1 - right) ** 2) * right.log()).mean())


@pytest.mark.parametrize("classes", [1, 2])
def test_lovasz_is_the_jaccard_loss_at_the_corners(classes, mask):
    """For hard predictions the extension equals the Jaccard loss of the set of errors: that is its definition."""
    found = torch.rand(2, 9, 7) > 0.5
    if classes == 1:
        logits = torch.where(found, 1.0, -1.0)[:, None]
        jaccard = 1 - (found & mask.bool()).sum() / (found | mask.bool()).sum()
        # A wrong pixel at distance 1 has the hinge error 2.
        torch.testing.assert_close(change_loss(logits, mask, "lovasz"), 2 * jaccard.float())
    else:
        logits = torch.stack([torch.where(found, -50.0, 50.0), torch.where(found, 50.0, -50.0)], 1)
        ious = [((found == c) & (mask == c)).sum() / ((found == c) | (mask == c)).sum() for c in (0, 1)]
        torch.testing.assert_close(change_loss(logits, mask, "lovasz"), 1 - torch.stack(ious).mean())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [1, 2])
def test_each_falls_when_the_logits_move_towards_the_truth(name, classes, mask):
    logits = torch.zeros(2, classes, 9, 7, requires_grad=True)
    noise = torch.randn_like(logits) * 0.1
    optimizer = torch.optim.SGD([logits], lr=20.0)
    first = change_loss(logits + noise, mask, name)
    for _ in range(50):
        optimizer.zero_grad()
        change_loss(logits + noise, mask, name).backward()
        optimizer.step()
    assert torch.isfinite(logits).all()
    assert change_loss(logits + noise, mask, name) < 0.5 * first


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [0, 1])
def test_each_is_finite_when_a_class_is_absent_and_for_large_logits(name, value):
    for classes in (1, 2):
        logits = (torch.randn(1, classes, 8, 8) * 100).requires_grad_()
        loss = change_loss(logits, torch.full((1, 8, 8), value), name)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_sums_and_factors(mask):
    logits = torch.randn(2, 2, 9, 7)
    parts = change_loss(logits, mask, "ce") + 0.75 * change_loss(logits, mask, "lovasz")
    torch.testing.assert_close(change_loss(logits, mask, "ce + 0.75*lovasz"), parts)
    torch.testing.assert_close(change_loss(logits, mask, "ce"), F.cross_entropy(logits, mask))


@pytest.mark.parametrize(
    ("text", "message"), [("bces", "unknown loss 'bces'.*Did you mean 'bce'"), ("bce+", "is not a loss"), ("0*dice", "positive")]
)
def test_unknown_losses_raise(text, message):
    with pytest.raises(ConfigError, match=message):
        create_loss(text)
