"""Attention, distances and losses of published networks compared with plain implementations of their definitions."""

import pytest
import torch
import torch.nn.functional as F

import cdzoo
from cdzoo.errors import ConfigError
from cdzoo.fusion import BAM, PAM
from cdzoo.fusion.hanet import GramAttention, LineAttention
from cdzoo.heads import Distance, Guided
from cdzoo.layers import PositionAttention
from cdzoo.losses import ContrastiveLoss
from cdzoo.tasks import get_task

C, H, W = 16, 8, 24


def _random(module):
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5 if value.ndim == 1 else torch.randn_like(value) / value.shape[1] ** 0.5)
    return module.eval()


def _attend(layer, pixels, weight=1.0, scale=1.0):
    """Attention of a list of pixels (N, C), one query at a time."""
    columns = pixels.T[None, :, :, None]  # (1, C, N, 1)
    q, k, v = ((project(columns)[0, :, :, 0] * weight).T for project in (layer.query, layer.key, layer.value))
    return torch.stack([((k @ one) * scale).softmax(0) @ v for one in q])


@pytest.mark.parametrize("norm", [False, True])
def test_guided_attention_over_all_positions(norm):
    layer, x, guide = _random(PositionAttention(C, norm=norm, scaled=False)), torch.randn(2, C, 3, 5), torch.rand(2, 1, 3, 5)
    with torch.no_grad():
        y = layer(x, guide)
        for image, attended, weight in zip(x, y, guide, strict=True):
            expected = image.flatten(1).T + layer.gamma * _attend(layer, image.flatten(1).T, weight.flatten())
            torch.testing.assert_close(attended.flatten(1).T, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("columns", [False, True])
def test_line_attention_stays_in_rows_or_columns(columns):
    layer, x = _random(LineAttention(C, columns)), torch.randn(2, C, 3, 5)
    with torch.no_grad():
        y = layer(x)
        for image, attended in zip(x, y, strict=True):
            lines = [(slice(None), slice(None), j) if columns else (slice(None), j) for j in range(5 if columns else 3)]
            for line in lines:
                expected = image[line].T + layer.gamma * _attend(layer, image[line].T)
                torch.testing.assert_close(attended[line].T, expected, rtol=1e-4, atol=1e-4)


def test_gram_attention_prefers_dissimilar_channels():
    layer, x = _random(GramAttention()), torch.randn(2, 4, 3, 5) / 4
    with torch.no_grad():
        for image, attended in zip(x.flatten(2), layer(x).flatten(2), strict=True):
            for channel, row in zip(image, attended, strict=True):
                weight = torch.stack([-(channel @ other) for other in image]).softmax(0)
                torch.testing.assert_close(row, channel + layer.gamma[0] * (weight[:, None] * image).sum(0))


def _parts(height, width, parts):
    """Row and column slices of each part."""
    h, w = height // parts, width // parts
    return [(slice(i * h, i * h + h), slice(j * w, j * w + w)) for i in range(parts) for j in range(parts)]


def test_bam_attends_to_all_pixels_of_both_dates():
    fusion, (x1, x2) = _random(BAM(C)), torch.randn(2, 1, C, 3, 5)
    with torch.no_grad():
        pixels = torch.cat([x1[0].flatten(1), x2[0].flatten(1)], dim=1).T
        first, second = (pixels + _attend(fusion.attention, pixels, scale=(C // 8) ** -0.5)).chunk(2)
        torch.testing.assert_close(fusion(x1, x2)[0].flatten(1).T, second - first, rtol=1e-4, atol=1e-4)


def test_pam_attends_inside_parts_of_both_dates():
    fusion, (x1, x2) = _random(PAM(C)), torch.randn(2, 1, C, H, W)
    with torch.no_grad():
        stages = []
        for attention, parts in zip(fusion.attentions, (1, 2, 4, 8), strict=True):
            stage = torch.zeros(2, C, H, W)
            for rows, columns in _parts(H, W, parts):
                cut = torch.cat([x1, x2])[:, :, rows, columns]
                pixels = cut.transpose(0, 1).flatten(1).T  # dates, rows, columns
                attended = _attend(attention, pixels, scale=(C // 8) ** -0.5)
                stage[:, :, rows, columns] = attended.T.view(C, *cut[:, 0].shape).transpose(0, 1)
            stages.append(stage)
        first, second = fusion.join(torch.cat(stages, dim=1)).chunk(2)
        torch.testing.assert_close(fusion(x1, x2), second - first, rtol=1e-4, atol=1e-4)


def test_pam_pads_maps_of_other_sizes():
    fusion, (x1, x2) = _random(PAM(C, parts=(2, 3))), torch.randn(2, 1, C, 5, 7)
    with torch.no_grad():
        padded = [F.pad(x, (0, 5, 0, 1), mode="replicate") for x in (x1, x2)]
        assert torch.equal(fusion(x1, x2), fusion(*padded)[..., :5, :7])


@pytest.mark.parametrize("classes", [1, 2])
def test_distance_gives_the_probability_and_the_official_threshold(classes):
    x1, x2 = torch.randn(2, 1, 4, 8, 8)
    head, task = Distance([4], [4], classes), get_task("binary")
    logits = head([x2 - x1], (32, 32))
    d = F.interpolate((x1 - x2 + 1e-6).square().sum(1, keepdim=True).sqrt(), (32, 32), mode="bilinear", align_corners=True)
    probability = task.probabilities(logits)
    torch.testing.assert_close(probability, (d / (1 + d))[:, 0])
    assert torch.equal(torch.from_numpy(task.predict(probability[0].numpy(), 0.5)).bool(), d[0, 0] >= 1)
    assert torch.isfinite(head([torch.full((1, 4, 8, 8), 1e-6)], (8, 8))).all()


def test_distance_does_not_tell_three_classes_apart():
    with pytest.raises(ConfigError, match=r'head distance.*3 classes.*head="conv"'):
        Distance([4], [4], 3)


def test_contrastive_loss_balances_both_kinds_of_pixels():
    d, mask = 3 * torch.rand(2, 9, 7), (torch.rand(2, 9, 7) > 0.8).long()
    mask[0, :3] = 255
    same, changed = d[mask == 0], d[mask == 1]
    expected = same.square().sum() / (len(same) + 1e-4) + (2 - changed).clamp_min(0).square().sum() / (len(changed) + 1e-4)
    torch.testing.assert_close(ContrastiveLoss()(d.log()[:, None], mask), expected)
    two = torch.stack([torch.full_like(d, 0.3), d.log() + 0.3], dim=1)
    torch.testing.assert_close(ContrastiveLoss()(two, mask), expected)


@pytest.mark.parametrize("classes", [1, 2, 4])
def test_the_guide_is_supervised_at_image_size(classes):
    head = Guided([8, 1], [2, 2], classes)
    guide = torch.randn(2, 1, 6, 10)
    (logits,) = head.auxiliary([torch.randn(2, 8, 6, 10), guide])
    assert logits.shape == (2, classes, 12, 20)
    change = logits.sigmoid() if classes == 1 else 1 - logits.softmax(1)[:, :1]
    torch.testing.assert_close(change, F.interpolate(guide, (12, 20), mode="bilinear", align_corners=True).sigmoid())
    assert not Guided([8], [2], classes).auxiliary([torch.randn(2, 8, 6, 10)])


def test_a_pair_of_equal_images_has_no_change():
    model = cdzoo.create_model("stanet_base").eval()
    image = torch.randn(1, 3, 45, 70)
    with torch.no_grad():
        assert model.probabilities(model(image, image)).max() < 1e-4
