"""Splits of scenes by blocks of ground, and what is remembered of them."""

import itertools
import pickle
import re

import numpy as np
import pytest

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
geopandas = pytest.importorskip("geopandas")

from made_scenes import LEFT, SPLITS, TOP, ground, houses, noise, table, write, write_polygons, write_scene  # noqa: E402

from cdzoo.data.blocks import scene_cells  # noqa: E402
from cdzoo.data.config import DataCfg  # noqa: E402
from cdzoo.data.loader import load_samples  # noqa: E402
from cdzoo.data.open import open_data  # noqa: E402
from cdzoo.data.overlap import overlap  # noqa: E402
from cdzoo.data.sampler import AugmentedSamples, Draw  # noqa: E402
from cdzoo.errors import CdzooError  # noqa: E402
from cdzoo.io.georeference import Grid  # noqa: E402
from cdzoo.tiling import Window  # noqa: E402


def test_splits_do_not_share_ground_and_are_the_same_in_every_command(tmp_path):
    """Two scenes of one place, of different sizes of pixels, one of them turned upside down in its file."""
    one = write_scene(tmp_path)
    two = {
        "before": write(tmp_path / "fine.tif", noise(240, 240, seed=8), 0.5, (LEFT + 40, TOP - 30)),
        "after": write(tmp_path / "later.tif", noise(240, 240, seed=9), 0.5, (LEFT + 40, TOP - 30)),
        "mask": one["mask"],
    }
    cfg = DataCfg(pairs=table(tmp_path, [one, two]), tile=32, block=32, holdout=0.2)
    opened = open_data(cfg, SPLITS)
    areas = {split: ground(opened.splits[split], split == "train") for split in SPLITS}
    for first, second in itertools.combinations(SPLITS, 2):
        shared = shapely.intersection(areas[first][:, None], areas[second][None])
        assert shapely.area(shared).max() == 0
    assert {index for index, _ in opened.splits["test"].cells} == {0, 1}
    windows = sum(map(len, opened.splits.values()))
    assert all(0.1 * windows < len(opened.splits[split]) < 0.3 * windows for split in ("val", "test"))
    for split in SPLITS:
        assert open_data(cfg, (split,)).names[split] == opened.names[split]
    turned = open_data(DataCfg(pairs=table(tmp_path, [two, one]), tile=32, block=32, holdout=0.2), SPLITS)
    assert {split: sorted(names) for split, names in turned.names.items()} == {
        split: sorted(names) for split, names in opened.names.items()
    }
    assert turned.hashes != opened.hashes and {*turned.hashes["test"]} == {*opened.hashes["test"]}


def test_blocks_in_degrees_and_of_mirrored_rasters():
    """A raster that is stored from the south to the north has the blocks of its place, too, in rows of its own."""
    affine = rasterio.Affine
    degrees = Grid(rasterio.crs.CRS.from_epsg(4326), affine(1e-5, 0, 15, 0, -1e-5, 45), 128, 128)
    cells = scene_cells([degrees], 32, 2 * 32 * 1.11195)[0]
    assert len(cells) == 16 and {cell.block for cell in cells} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    mirrored = Grid(None, affine(1, 0, 0, 0, 1, 0), 100, 70)
    cells = scene_cells([mirrored], 32)[0]
    assert [cell.window for cell in cells if cell.block == (0, 1)] == [
        Window(64, 0, 32, 32),
        Window(64, 32, 32, 32),
        Window(96, 0, 32, 32),
        Window(96, 32, 32, 32),
    ]
    assert all(cell.around.y + cell.around.height <= 100 and cell.around.x + cell.around.width <= 70 for cell in cells)
    assert max(cell.around.height for cell in cells) == 48


def test_splits_of_a_table_are_kept_and_validation_is_held_out_by_blocks(tmp_path):
    scenes = [dict[str, str](), dict[str, str]()]
    for index, scene in enumerate(scenes):
        origin = (LEFT, TOP - 1000 * index)
        scene |= {name: write(tmp_path / f"{name}{index}.tif", noise(seed=index), origin=origin) for name in ("before", "after")}
        scene["mask"] = write_polygons(
            tmp_path / f"changes{index}.gpkg", [shapely.affinity.translate(box, 0, -1000 * index) for box in houses()]
        )
    cfg = DataCfg(pairs=table(tmp_path, scenes, ["train", "test"]), tile=32)
    opened = open_data(cfg, SPLITS)
    assert {name.split("_")[0] for name in opened.names["test"]} == {"before1"}
    assert {name.split("_")[0] for name in opened.names["train"] + opened.names["val"]} == {"before0"}
    assert not {*opened.splits["train"].blocks} & {*opened.splits["val"].blocks}
    with pytest.raises(CdzooError, match="splits must not share pairs"):
        open_data(DataCfg(pairs=table(tmp_path, [scenes[0], scenes[0]], ["train", "test"]), tile=32), ("train", "test"))
    shifted = {**scenes[0], "before": write(tmp_path / "next.tif", noise(seed=20), origin=(LEFT + 115, TOP))}
    overlapping = DataCfg(pairs=table(tmp_path, [scenes[0], shifted], ["train", "test"]), tile=32)
    notes = open_data(overlapping, ("train", "test")).notes
    assert any(
        re.search("share about (4|5).% of the ground and are in different splits train and test", note) for note in notes
    ), notes


def test_ground_that_was_trained_on_is_recognized_in_windows_of_other_sizes(tmp_path):
    given = write_scene(tmp_path)
    opened = open_data(DataCfg(**given, tile=32), SPLITS)
    remembered = {split: opened.hashes[split] for split in ("train", "val")}
    assert overlap(opened.hashes["test"], remembered) == {"train": 0, "val": 0}
    assert overlap(opened.hashes["val"], remembered) == {"train": 0, "val": len(opened.splits["val"])}
    other = open_data(DataCfg(**given, tile=40), ("all",)).splits["all"]
    trained = shapely.union_all(ground(opened.splits["train"]))
    expected = np.count_nonzero(shapely.area(shapely.intersection(ground(other), trained)) > 0)
    assert 0 < overlap(other.hashes(), remembered)["train"] == expected


def test_random_crops_come_from_around_a_window_in_its_block_and_processes_read_the_same(tmp_path):
    samples = open_data(DataCfg(**write_scene(tmp_path), tile=32, block=96), ("all",)).splits["all"]
    index = next(index for index, (_, cell) in enumerate(samples.cells) if cell.window == Window(32, 32, 32, 32))
    assert samples.surroundings(index).images[0].shape == (3, 64, 64)
    assert (samples.surroundings(index).images[0][:, 16:48, 16:48] == samples[index].images[0]).all()
    corner = next(index for index, (_, cell) in enumerate(samples.cells) if cell.window == Window(64, 64, 32, 32))
    assert samples.surroundings(corner).images[0].shape == (3, 48, 48)
    drawn = AugmentedSamples(samples, lambda sample, rng: sample)[Draw(index, 0)]
    assert drawn.images[0].shape == (3, 64, 64) and drawn.name == samples.names[index]
    restored = pickle.loads(pickle.dumps(samples))
    loaded = [*load_samples(samples, 1, lambda one: one, batch_size=None, sampler=range(4))]
    for one, two, three in zip(loaded, samples, restored, strict=False):
        assert (one.images[1] == two.images[1]).all() and (three.images[1] == two.images[1]).all()
