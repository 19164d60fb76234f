"""Tests of the tasks of synthetic scenes: land cover and damage are what the images show."""

import numpy as np
import pytest
import torch

from cdzoo.data import SyntheticScenes
from cdzoo.data.synthetic import GRADES, LAND_COVER, make_scene, render
from cdzoo.data.synthetic.camera import MARGIN
from cdzoo.data.synthetic.classes import BUILDING, GROUND, ROAD, TREE, VEGETATION, WATER
from cdzoo.data.synthetic.objects import METAL, PAVED, SHINGLES
from cdzoo.data.synthetic.scenes import STYLES

COVERS = ("semantic_t1", "semantic_t2")


def targets(samples, name):
    return torch.stack([sample.target[name] for sample in samples])


@pytest.mark.parametrize("style", STYLES)
def test_land_cover_leaves_images_and_masks_as_they_are(style):
    plain = SyntheticScenes(4, 64, seed=2, style=style)
    scenes = SyntheticScenes(4, 64, seed=2, style=style, task="semantic")
    for expected, sample in zip(plain, scenes, strict=True):
        assert all(map(torch.equal, sample.images, expected.images))
        assert torch.equal(sample.target["mask"], expected.target["mask"])
        assert list(sample.target) == ["mask", *COVERS]
        for name in COVERS:
            assert sample.target[name].dtype == torch.int64
            assert set(sample.target[name].unique().tolist()) <= set(range(1, 7))


def test_exactly_one_date_is_a_building_where_the_mask_is_set():
    samples = list(SyntheticScenes(16, 96, seed=3, task="semantic"))
    first, second = (targets(samples, name) == BUILDING for name in COVERS)
    assert torch.equal(first ^ second, targets(samples, "mask") > 0)


def test_changed_roofs_of_oblique_views_are_buildings():
    samples = list(SyntheticScenes(16, 96, seed=3, style="wide", task="semantic"))
    first, second = (targets(samples, name) for name in COVERS)
    assert ((first == BUILDING) | (second == BUILDING))[targets(samples, "mask") > 0].all()
    for value in range(1, 7):
        assert (first == value).any(), LAND_COVER[value - 1]


def test_land_cover_is_what_is_drawn(monkeypatch):
    drawn, apply_light = [], render._apply_light
    monkeypatch.setattr(render, "_apply_light", lambda *a: (drawn.append((np.asarray(a[0]), a[3])), apply_light(*a))[1])
    inner, counts = slice(MARGIN, -MARGIN), np.zeros(7, int)
    for i in range(16):
        scene = make_scene([4, i], 128, task="semantic")
        for name, (ground, trees) in zip(COVERS, drawn[-2:], strict=True):
            cover, color, trees = scene.targets[name], ground[inner, inner].astype(int), trees[inner, inner]
            rough, green = color[..., 3], 2 * color[..., 1] - color[..., 0] - color[..., 2]
            open_ground = (rough >= 140) & (trees < 0.5)  # soil, fields, lawns and paths
            assert not (cover[open_ground & (green > 0.1 * color[..., :3].sum(-1))] == GROUND).any()
            assert not (cover[open_ground & (green < 0.06 * color[..., :3].sum(-1))] == VEGETATION).any()
            assert set(np.unique(cover[open_ground])) <= {VEGETATION, GROUND, BUILDING}
            assert np.array_equal(cover == TREE, (trees >= 0.5) & (cover != BUILDING))
            paved = (rough == PAVED) & (trees < 0.5)
            assert (cover[paved] == ROAD).mean() > 0.95  # the rest are decks of pools and edges of roofs
            roof = np.isin(rough, (SHINGLES, METAL))
            assert (roof ^ (cover == BUILDING)).mean() < 0.02
            counts += np.bincount(cover.ravel(), minlength=7)
    assert counts[0] == 0 and counts[[BUILDING, ROAD, TREE, VEGETATION, GROUND, WATER]].all()


def test_land_cover_of_equal_dates_is_equal():
    for i in range(6):
        scene = make_scene([5, i], 128, change=False, pseudo_changes=False, task="semantic")
        assert np.array_equal(scene.targets["semantic_t1"], scene.targets["semantic_t2"])


def test_damage_has_a_grade_for_each_building():
    samples = list(SyntheticScenes(24, 128, seed=6, task="damage"))
    building, damage = (targets(samples, name) for name in ("building", "damage"))
    assert torch.equal(building > 0, damage > 0) and building.dtype == damage.dtype == torch.int64
    assert list(samples[0].target) == ["building", "damage"]
    for grade in range(1, 5):
        assert (damage == grade).sum() > 0.03 * building.sum(), GRADES[grade - 1]
    again = SyntheticScenes(24, 128, seed=6, task="damage")[7]
    assert torch.equal(again.images[1], samples[7].images[1]) and torch.equal(again.target["damage"], samples[7].target["damage"])


def test_worse_grades_change_more_of_a_building():
    changed = [[], [], [], []]
    for i in range(20):
        scene = make_scene([7, i], 128, pseudo_changes=False, task="damage")
        different = (scene.before != scene.after).any(-1)
        for grade, shares in enumerate(changed, 1):
            if (found := scene.targets["damage"] == grade).any():
                shares.append(different[found].mean())
    none, minor, major, destroyed = map(np.mean, changed)
    assert none < 0.06 and 0.04 < minor < 0.35 and 0.35 < major < 0.75 and destroyed > 0.9, (none, minor, major, destroyed)


def test_spared_buildings_are_not_damaged():
    scene = make_scene([8, 1], 128, change=False, pseudo_changes=False, task="damage")
    assert np.array_equal(scene.before, scene.after)
    assert set(np.unique(scene.targets["damage"])) == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"task": "semantics"}, "task must be one of binary, semantic, damage"), ({"task": "damage", "style": "wide"}, "no damage")],
)
def test_unknown_tasks_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SyntheticScenes(**arguments)
