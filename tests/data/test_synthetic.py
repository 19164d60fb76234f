"""Tests of synthetic scenes: determinism, labels, pseudo-changes and geometry."""

import hashlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.utils.data import DataLoader

from cdzoo.data import SyntheticScenes
from cdzoo.data.synthetic import make_scene
from cdzoo.data.synthetic import scenes as module
from cdzoo.data.synthetic.camera import MARGIN, draw_conditions
from cdzoo.data.synthetic.scenes import STYLES
from cdzoo.data.synthetic.shapes import Random, Rect, inside_any, shifted, swept_outline
from cdzoo.metrics import Confusion

HASHES = {(64, 0): "549718a218de5edb", (128, 3): "319d457d520ef632", (256, 7): "302004b1eb79ddf2"}


def test_the_default_style_returns_the_bytes_that_old_results_rest_on():
    for (size, index), expected in HASHES.items():
        sample = SyntheticScenes(8, size, seed=5)[index]
        content = b"".join(each.numpy().tobytes() for each in (*sample.images, sample.target["mask"]))
        assert hashlib.sha256(content).hexdigest()[:16] == expected


@pytest.mark.parametrize("style", STYLES)
def test_samples_are_deterministic_in_any_order_and_process(style):
    scenes = SyntheticScenes(6, 64, seed=3, style=style)
    first = [scenes[i] for i in range(6)]
    for i in (5, 0, 3):
        again = SyntheticScenes(6, 64, seed=3, style=style)[i]
        assert all(map(torch.equal, again.images, first[i].images))
        assert torch.equal(again.target["mask"], first[i].target["mask"])
    loaded = list(DataLoader(scenes, batch_size=1, num_workers=2))
    for i, batch in enumerate(loaded):
        assert batch.name == (f"scene_3_{i:05d}",)
        assert all(torch.equal(image[0], date) for image, date in zip(batch.images, first[i].images, strict=True))
        assert torch.equal(batch.target["mask"][0], first[i].target["mask"])


@pytest.mark.parametrize("style", STYLES)
def test_seeds_and_indices_return_different_images(style):
    images = [SyntheticScenes(2, 64, seed=s, style=style)[i].images[0] for s in (0, 1) for i in (0, 1)]
    assert len({image.numpy().tobytes() for image in images}) == 4


@pytest.mark.parametrize("size", [32, 33, 100, (40, 97), (256, 64)])
@pytest.mark.parametrize("style", STYLES)
def test_shapes_dtypes_and_values(size, style):
    height, width = (size, size) if isinstance(size, int) else size
    sample = SyntheticScenes(1, size, unchanged=0, style=style)[0]
    (x1, x2), mask = sample.images, sample.target["mask"]
    assert x1.shape == x2.shape == (3, height, width) and mask.shape == (height, width)
    assert x1.dtype == torch.uint8 and mask.dtype == torch.int64
    assert set(mask.unique().tolist()) <= {0, 1}
    assert x1.float().std() > 8


@pytest.mark.parametrize("style", STYLES)
def test_fraction_of_changed_pixels(style):
    changed = [SyntheticScenes(60, 256, unchanged=0, style=style)[i].target["mask"].float().mean().item() for i in range(60)]
    assert 0.03 < np.mean(changed) < 0.2
    assert np.mean(np.array(changed) > 0) > (0.95 if style == "default" else 0.85)


@pytest.mark.parametrize("style", STYLES)
def test_fraction_of_unchanged_pairs(style):
    scenes = SyntheticScenes(80, 96, unchanged=0.5, style=style)
    empty = np.mean([scenes[i].target["mask"].sum().item() == 0 for i in range(80)])
    assert 0.35 < empty < 0.8  # small images may also miss the change
    assert not any(SyntheticScenes(5, 64, unchanged=1.0, style=style)[i].target["mask"].any() for i in range(5))


@pytest.mark.parametrize("style", STYLES)
def test_unchanged_pairs_have_pseudo_changes(style):
    for i in range(5):
        scene = make_scene([7, i], 128, change=False, style=style)
        assert scene.mask.sum() == 0
        assert np.abs(scene.before.astype(int) - scene.after).mean() > 5


def filled(rects, size, margin=0.0):
    """Return a mask (size, size) of rectangles expanded by `margin`, without the margin of the canvas."""
    image = Image.new("L", (size + 2 * MARGIN, size + 2 * MARGIN))
    for rect in rects:
        ImageDraw.Draw(image).polygon(rect.corners(margin), fill=1)
    return np.asarray(image)[MARGIN:-MARGIN, MARGIN:-MARGIN] > 0


def make_with_plan(monkeypatch, *args, **kwargs):
    """Return a scene and its plan."""
    plans = []

    def spy(*a, **k):
        plans.append(lay_out(*a, **k))
        return plans[-1]

    lay_out = module.lay_out
    monkeypatch.setattr(module, "lay_out", spy)
    scene = make_scene(*args, **kwargs)
    monkeypatch.setattr(module, "lay_out", lay_out)
    return scene, plans[0][0]


def test_without_pseudo_changes_only_changed_lots_and_shadows_differ(monkeypatch):
    for i in (*range(10), 38, 48):
        scene, plan = make_with_plan(monkeypatch, [9, i], 256, pseudo_changes=False)
        changed = (scene.before != scene.after).any(-1)
        assert changed[scene.mask > 0].mean() > (0.9 if scene.mask.any() else -1), "labeled pixels did not change"
        lots = [yard.rect for yard in set(plan.yards[0]) ^ set(plan.yards[1])]
        lots += {*plan.driveways[0], *plan.parking_lots[0]} ^ {*plan.driveways[1], *plan.parking_lots[1]}
        lots += [wing for building in set(plan.buildings[0]) ^ set(plan.buildings[1]) for wing in building.wings]
        assert not (changed & ~filled(lots, 256, margin=36)).any()  # longest shadow: 9 m at a sun elevation of 32 degrees
        unchanged = make_scene([9, i], 256, change=False, pseudo_changes=False)
        assert np.array_equal(unchanged.before, unchanged.after)


def test_labels_are_roofs_of_changed_buildings(monkeypatch):
    grown = 0
    for i in range(20):
        scene, plan = make_with_plan(monkeypatch, [4, i], 256)
        before, after = (set(buildings) for buildings in plan.buildings)
        roofs = filled([wing for building in before ^ after for wing in building.wings], 256)
        assert not (scene.mask.astype(bool) & ~roofs).any()
        kept = filled([wing for building in before & after for wing in building.wings], 256)
        assert not (scene.mask.astype(bool) & kept).any()
        old = {building.wings for building in before}
        for building in after - before:
            if building.wings[:-1] in old:
                grown += 1
                assert not (scene.mask.astype(bool) & filled(building.wings[:-1], 256)).any(), "only extensions are labeled"
    assert grown > 3


def test_buildings_do_not_overlap_each_other_or_streets():
    near_street = 0
    for i in range(25):
        rand = Random(np.random.default_rng([8, i]))
        plan, lots, scenario = module.lay_out(rand, 400, 400, change=True, pseudo_changes=False)
        module.add_buildings(rand, plan, lots, scenario)
        streets = np.concatenate([points for line in plan.streets[1] for points in (line, (line[1:] + line[:-1]) / 2)])
        count = np.zeros((400 - 2 * MARGIN, 400 - 2 * MARGIN), int)
        for wings in {building.wings[0]: building.wings for building in plan.buildings[0] + plan.buildings[1]}.values():
            count += filled(wings, 400 - 2 * MARGIN)  # the later footprint of extended buildings
            corners = np.array([corner for wing in wings for corner in wing.corners()])
            near_street += (np.hypot(*(corners[:, None] - streets).transpose(2, 0, 1)) < plan.street_width / 2 + 2).sum()
        assert count.max() == 1
    assert near_street == 0


def test_cars_are_on_paved_ground(monkeypatch):
    for i in range(6):
        _, plan = make_with_plan(monkeypatch, [5, i], 256)
        for date in (0, 1):
            paved = filled(plan.driveways[date] + plan.parking_lots[date], 256, margin=2)
            line = np.concatenate(plan.streets[date])
            cars = np.array([(car.x, car.y) for car, _ in plan.cars[date]])
            inside = ((cars >= MARGIN) & (cars < 256 + MARGIN)).all(1)
            for x, y in cars[inside]:
                on_street = np.hypot(*(line - (x, y)).T).min() < plan.street_width
                assert on_street or paved[int(y) - MARGIN, int(x) - MARGIN]


def test_roofs_are_not_in_shadow(monkeypatch):
    for i in range(6):
        scene, plan = make_with_plan(monkeypatch, [3, i], 256)
        roofs = filled([wing for building in plan.buildings[0] for wing in building.wings], 256)
        gray = scene.before.mean(-1)
        assert not roofs.any() or gray[roofs].mean() > 0.6 * gray.mean()


def test_pseudo_changes_of_objects(monkeypatch):
    plans = [make_with_plan(monkeypatch, [6, 1], 256, change=False, pseudo_changes=p)[1] for p in (True, False)]
    for name in ("cars", "trees", "growth"):
        changing, fixed = (getattr(plan, name) for plan in plans)
        assert not np.array_equal(np.array(changing[0], object), np.array(changing[1], object)), name
        assert np.array_equal(np.array(fixed[0], object), np.array(fixed[1], object)), name


def test_displacement_is_at_most_two_pixels():
    shifts = [draw_conditions(np.random.default_rng(i), shifted=True).shift for i in range(50)]
    assert 1.5 < max(np.hypot(*shift) for shift in shifts) <= 2
    assert draw_conditions(np.random.default_rng(0), shifted=False).shift == (0, 0)


def test_shadows_are_not_labeled():
    scenes = [make_scene([2, i], 256, pseudo_changes=False) for i in range(12)]
    darkened = total = 0
    for scene in scenes:
        before, after = scene.before.astype(float).mean(-1), scene.after.astype(float).mean(-1)
        shadow = (after < 0.6 * before) & (scene.mask == 0)
        darkened += shadow.sum()
        total += scene.mask.sum()
    assert darkened > 0.05 * total, "new buildings cast shadows outside their label"


@pytest.mark.parametrize("style", STYLES)
def test_difference_threshold_is_insufficient(style):
    best = 0.0
    scenes = [SyntheticScenes(40, 256, seed=5, style=style)[i] for i in range(40)]
    distance = torch.stack([(s.images[1].float() - s.images[0].float()).norm(dim=0) for s in scenes])
    truth = torch.stack([s.target["mask"] for s in scenes])
    for threshold in range(10, 250, 10):
        best = max(best, Confusion.of(distance > threshold, truth).f1)
    assert best < 0.4, f"the best threshold has F1 {best:.3f}"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"length": 0}, "length"),
        ({"size": 31}, "size"),
        ({"size": (64, 4096)}, "size"),
        ({"size": (64, 64, 64)}, "size"),
        ({"size": 64.5}, "size"),
        ({"seed": -1}, "seed"),
        ({"unchanged": 1.5}, "unchanged"),
        ({"style": "wilde"}, "style must be one of default, wide"),
        ({"resolution": 0.5}, "needs style 'wide'"),
        ({"style": "wide", "resolution": 2}, "0.1 to 1"),
    ],
)
def test_arguments_out_of_range(arguments, name):
    with pytest.raises(ValueError, match=name):
        SyntheticScenes(**arguments)


def test_length_and_index_error():
    scenes = SyntheticScenes(3, 32)
    assert len(scenes) == 3 and len(list(scenes)) == 3
    with pytest.raises(IndexError):
        scenes[3]


def test_area_of_swept_rectangle():
    rect = Rect(0, 0, 8, 4, 0.3)
    for angle in np.linspace(0, 2 * np.pi, 9):
        dx, dy = 5 * np.cos(angle), 5 * np.sin(angle)
        x, y = np.array(swept_outline(rect.corners(), dx, dy)).T
        area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
        across = 8 * abs(np.sin(angle - 0.3)) + 4 * abs(np.cos(angle - 0.3))
        assert area == pytest.approx(8 * 4 + 5 * across, rel=1e-6)


def test_points_inside_rotated_rectangles():
    rect = Rect(10, 5, 8, 4, np.pi / 2)
    points = np.array([[10, 5], [10, 8.9], [11.9, 5], [12.1, 5], [10, 9.1]])
    assert inside_any([rect], points, 0).tolist() == [True, True, True, False, False]
    assert inside_any([rect], points, 0.2).all()
    assert not inside_any([], points, 1).any()


def test_shifted_does_not_wrap():
    image = np.zeros((4, 5), np.float32)
    image[0, 0] = 1
    assert np.argwhere(shifted(image, 2, 1)).tolist() == [[0, 0], [1, 2]]
    assert not shifted(image, -1, 0)[:, 1:].any()


def test_random_is_uniform_without_repetition():
    rand = Random(np.random.default_rng(0))
    values = np.array([rand.random() for _ in range(4000)])
    assert abs(values.mean() - 0.5) < 0.03 and 0 <= values.min() and values.max() < 1
    assert len(set(values.tolist())) == 4000
    assert {rand.choice("abc") for _ in range(60)} == set("abc")
