"""Procedural scenes: the same bytes for the same seed, honest labels, pseudo-changes that defeat a plain difference."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cdzoo.data import SyntheticScenes
from cdzoo.data.synthetic import make_scene
from cdzoo.data.synthetic.shapes import Rect, inside_any, swept_outline
from cdzoo.metrics import Confusion


def test_same_seed_and_index_give_the_same_bytes_in_any_order_and_any_process():
    scenes = SyntheticScenes(6, 64, seed=3)
    first = [scenes[i] for i in range(6)]
    for i in (5, 0, 3):
        again = SyntheticScenes(6, 64, seed=3)[i]
        assert all(torch.equal(again[k], first[i][k]) for k in ("image_a", "image_b", "mask"))
    loaded = list(DataLoader(scenes, batch_size=1, num_workers=2))
    for i, batch in enumerate(loaded):
        assert batch["name"] == [f"scene_3_{i:05d}"]
        assert all(torch.equal(batch[k][0], first[i][k]) for k in ("image_a", "image_b", "mask"))


def test_seeds_and_indices_differ():
    images = [SyntheticScenes(2, 64, seed=s)[i]["image_a"] for s in (0, 1) for i in (0, 1)]
    assert len({image.numpy().tobytes() for image in images}) == 4


@pytest.mark.parametrize("size", [32, 33, 100, (40, 97), (256, 64)])
def test_shapes_types_and_values(size):
    height, width = (size, size) if isinstance(size, int) else size
    sample = SyntheticScenes(1, size, unchanged=0)[0]
    assert sample["image_a"].shape == sample["image_b"].shape == (3, height, width)
    assert sample["mask"].shape == (height, width)
    assert sample["image_a"].dtype == torch.uint8 and sample["mask"].dtype == torch.int64
    assert set(sample["mask"].unique().tolist()) <= {0, 1}
    assert sample["image_a"].float().std() > 10, "a picture, not a plain colour"


def test_labels_are_there_and_of_a_realistic_share():
    changed = [SyntheticScenes(60, 256, unchanged=0)[i]["mask"].float().mean().item() for i in range(60)]
    assert 0.03 < np.mean(changed) < 0.2
    assert np.mean(np.array(changed) > 0) > 0.95


def test_share_of_unchanged_pairs():
    scenes = SyntheticScenes(80, 96, unchanged=0.5)
    empty = np.mean([scenes[i]["mask"].sum().item() == 0 for i in range(80)])
    assert 0.35 < empty < 0.8  # small pictures may also miss the change of their scene
    assert not any(SyntheticScenes(5, 64, unchanged=1.0)[i]["mask"].any() for i in range(5))


def test_unchanged_pairs_still_look_different():
    for i in range(5):
        scene = make_scene([7, i], 128, change=False)
        assert scene.mask.sum() == 0
        assert np.abs(scene.before.astype(int) - scene.after).mean() > 5


def test_without_pseudo_changes_the_dates_differ_only_around_changed_buildings():
    for i in range(8):
        scene = make_scene([1, i], 256, pseudo_changes=False)
        moved = (scene.before != scene.after).any(-1)
        if not scene.mask.any():
            assert not moved.any() or moved.mean() < 0.2
            continue
        assert moved[scene.mask > 0].mean() > 0.9, "every labelled pixel changed"
        # Far from any label nothing did; near it lie the yard, the drive, the shadow and trees that made room.
        near = np.zeros_like(moved)
        for y, x in np.argwhere(scene.mask)[::40]:
            near[max(0, y - 75) : y + 75, max(0, x - 75) : x + 75] = True
        border = np.zeros_like(moved)
        border[70:-70, 70:-70] = True  # buildings just outside the picture have yards in it
        assert not (moved & ~near & border).any()
        quiet = make_scene([1, i], 256, change=False, pseudo_changes=False)
        assert np.array_equal(quiet.before, quiet.after)


def test_shadows_are_not_labelled_and_roofs_are():
    plain = [make_scene([2, i], 256, pseudo_changes=False) for i in range(12)]
    darkened = total = 0
    for scene in plain:
        before, after = scene.before.astype(float).mean(-1), scene.after.astype(float).mean(-1)
        shadow = (after < 0.6 * before) & (scene.mask == 0)
        darkened += shadow.sum()
        total += scene.mask.sum()
    assert darkened > 0.05 * total, "new buildings cast shadows outside their label"


def test_a_difference_threshold_fails():
    best = 0.0
    scenes = [SyntheticScenes(24, 256, seed=5)[i] for i in range(24)]
    distance = torch.stack([(s["image_b"].float() - s["image_a"].float()).norm(dim=0) for s in scenes])
    truth = torch.stack([s["mask"] for s in scenes])
    for threshold in range(10, 250, 10):
        best = max(best, Confusion.of(distance > threshold, truth).f1)
    assert best < 0.35, f"the best plain threshold has F1 {best:.3f}"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"length": 0}, "length"),
        ({"size": 31}, "size"),
        ({"size": (64, 4096)}, "size"),
        ({"seed": -1}, "seed"),
        ({"unchanged": 1.5}, "unchanged"),
    ],
)
def test_arguments_out_of_range_are_named(arguments, name):
    with pytest.raises(ValueError, match=name):
        SyntheticScenes(**arguments)


def test_it_ends_where_its_length_says():
    scenes = SyntheticScenes(3, 32)
    assert len(scenes) == 3 and len(list(scenes)) == 3
    with pytest.raises(IndexError):
        scenes[3]


def test_outline_of_a_swept_rectangle_has_its_area():
    rect = Rect(0, 0, 8, 4, 0.3)
    for turn in np.linspace(0, 2 * np.pi, 9):
        dx, dy = 5 * np.cos(turn), 5 * np.sin(turn)
        x, y = np.array(swept_outline(rect.corners(), dx, dy)).T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        across = 8 * abs(np.sin(turn - 0.3)) + 4 * abs(np.cos(turn - 0.3))
        assert area == pytest.approx(8 * 4 + 5 * across, rel=1e-6)


def test_points_inside_turned_rectangles():
    rect = Rect(10, 5, 8, 4, np.pi / 2)
    points = np.array([[10, 5], [10, 8.9], [11.9, 5], [12.1, 5], [10, 9.1]])
    assert inside_any([rect], points, 0).tolist() == [True, True, True, False, False]
    assert inside_any([rect], points, 0.2).all()
    assert not inside_any([], points, 1).any()
