"""Tests of synthetic scenes of style "wide": resolution, sensors, labels and the contents of sites."""

import numpy as np
import pytest
from PIL import Image

from cdzoo.data import SyntheticScenes
from cdzoo.data.synthetic import make_scene
from cdzoo.data.synthetic.shapes import Random
from cdzoo.data.synthetic.wide import scene as module
from cdzoo.data.synthetic.wide.site import NEIGHBORHOODS
from cdzoo.data.synthetic.wide.view import MARGIN, MOST_SHIFT, capture, displace, draw_view


def lay_out(seed, side, change=True, pseudo=True):
    rng = np.random.default_rng(seed)
    return module.lay_out(rng, Random(rng), (side, side), change, pseudo)


def views(count):
    return [draw_view(np.random.default_rng([1, i]), shifted=True) for i in range(count)]


def test_resolution_sets_the_size_of_buildings():
    labeled = []
    for resolution in (0.1, 0.3, 1.0):
        scenes = SyntheticScenes(24, 256, seed=2, style="wide", unchanged=0, resolution=resolution)
        labeled.append(np.mean([scenes[i].target["mask"].float().mean().item() for i in range(24)]))
    assert labeled[0] > 1.4 * labeled[2], labeled


def test_four_in_ten_pairs_have_no_change():
    scenes = SyntheticScenes(120, 128, seed=4, style="wide")
    assert 0.28 < np.mean([not scenes[i].target["mask"].any() for i in range(120)]) < 0.52


def test_without_pseudo_changes_most_of_the_ground_is_equal():
    equal = []
    for i in range(12):
        scene = make_scene([3, i], 192, style="wide", pseudo_changes=False, resolution=0.5)
        same = (scene.before == scene.after).all(-1)
        equal.append(same.mean())
        if scene.mask.any():
            assert same[scene.mask > 0].mean() < 0.5, "labeled roofs look the same at both dates"
        unchanged = make_scene([3, i], 192, style="wide", pseudo_changes=False, change=False)
        assert np.array_equal(unchanged.before, unchanged.after) and not unchanged.mask.any()
    assert np.mean(equal) > 0.4, equal


def test_a_site_without_change_has_equal_buildings():
    for i in range(8):
        site = lay_out([5, i], 160, change=False)
        assert site.houses[0] == site.houses[1]
        changed = lay_out([5, i], 160)
        assert set(changed.houses[0]) != set(changed.houses[1])


def test_every_kind_of_neighborhood_and_roof_occurs():
    sites = [lay_out([6, i], 200) for i in range(60)]
    houses = [house for site in sites for house in site.houses[1]]
    assert {site.kind for site in sites} == set(NEIGHBORHOODS)
    assert {house.roof for house in houses} == {"hip", "gable", "flat"}
    areas = [house.wings[0].length * house.wings[0].width for house in houses]
    assert min(areas) < 40 and max(areas) > 2000  # square meters


def test_a_mask_moves_with_its_image():
    canvas = Image.new("L", (96 + 2 * MARGIN,) * 2)
    canvas.paste(255, (50, 40, 80, 75))
    for view in views(12):
        image = capture(np.random.default_rng(0), Image.merge("RGB", [canvas] * 3), view)
        bright = image.mean(-1) > (image.max() / 2 + image.min() / 2)
        mask = displace(canvas, view) > 0
        assert (bright & mask).sum() > 0.85 * (bright | mask).sum(), view


def test_displacement_is_at_most_six_pixels():
    shifts = [np.hypot(*view.shift) for view in views(80)]
    assert 5 < max(shifts) <= MOST_SHIFT and np.median(shifts) < 3
    assert draw_view(np.random.default_rng(0), shifted=False).shift == (0, 0)


@pytest.mark.parametrize("field", ["quality", "blur", "sharpening", "haze", "leafless", "speckle"])
def test_sensors_differ(field):
    values = [getattr(view, field) for view in views(60)]
    assert min(values) == 0 < max(values)


def test_roofs_of_one_date_are_labeled_where_that_date_shows_them(monkeypatch):
    masks = []
    real = module.changed_roofs
    monkeypatch.setattr(module, "changed_roofs", lambda *args: masks.append(real(*args)) or masks[-1])
    views_ = []
    monkeypatch.setattr(module, "draw_view", lambda rng, shifted: views_.append(draw_view(rng, shifted)) or views_[-1])
    for i in range(6):
        masks.clear(), views_.clear()
        scene = make_scene([8, i], 160, style="wide")
        union = displace(masks[0], views_[0]) | displace(masks[1], views_[1])
        assert np.array_equal(scene.mask, union)
