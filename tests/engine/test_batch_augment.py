"""Augmentation of batches: photometric changes per date, CutMix of all dates and targets, in place."""

import torch

from cdzoo.engine.batch_augment import BatchAugment


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(dates=2, bands=3):
    return [torch.rand(4, bands, 16, 16) for _ in range(dates)], {"mask": torch.randint(0, 2, (4, 16, 16))}


def test_photometric_changes_are_drawn_per_date_and_leave_the_target():
    images, target = batch()
    before, mask = [image.clone() for image in images], target["mask"].clone()
    copies = [image.clone() for image in images]
    BatchAugment(jitter=0.3, blur=0.5)(images, target, generator())
    assert torch.equal(target["mask"], mask) and not torch.equal(images[0], before[0])
    assert all(0 <= image.min() and image.max() <= 1 for image in images)
    ratios = [(image / old).flatten(1).median(1).values for image, old in zip(images, before, strict=True)]
    assert (ratios[0] - ratios[1]).abs().max() > 0.01
    BatchAugment(jitter=0.3, blur=0.5)(copies, target, generator())
    assert all(torch.equal(a, b) for a, b in zip(images, copies, strict=True))


def test_without_settings_nothing_changes():
    images, target = batch()
    before = [image.clone() for image in images]
    BatchAugment()(images, target, generator())
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True))


def test_three_dates_and_five_bands():
    images, target = batch(dates=3, bands=5)
    before = [image.clone() for image in images]
    BatchAugment(jitter=0.5, blur=1.0, cutmix=1.0)(images, target, generator())
    assert all(image.shape == (4, 5, 16, 16) and not torch.equal(image, old) for image, old in zip(images, before, strict=True))


def test_blur_is_a_mean_filter_of_the_chosen_images():
    images, target = batch(dates=1)
    before = images[0].clone()
    BatchAugment(blur=0.5)(images, target, generator(1))
    mean = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(before, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    blurred = [torch.allclose(image, smooth) for image, smooth in zip(images[0], mean, strict=True)]
    kept = [torch.equal(image, old) for image, old in zip(images[0], before, strict=True)]
    assert any(blurred) and any(kept) and all(a != b for a, b in zip(blurred, kept, strict=True))


def test_cutmix_pastes_all_dates_and_targets_together():
    count = 6
    tag = torch.arange(count).float()[:, None, None, None] / 10
    images = [tag.expand(count, 3, 32, 32).clone(), tag.expand(count, 3, 32, 32) + 0.05]
    mask = torch.arange(count)[:, None, None].expand(count, 32, 32)
    target = {"mask": mask.clone()}
    BatchAugment(cutmix=1.0)(images, target, generator(3))
    assert not torch.equal(target["mask"], mask)
    torch.testing.assert_close(images[0][:, 0], target["mask"] / 10)
    torch.testing.assert_close(images[1][:, 0], target["mask"] / 10 + 0.05)
    share = (target["mask"] != mask).float().mean((1, 2))
    assert share.max() < 0.5
