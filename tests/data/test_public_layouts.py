"""The commands of docs/data.md for public samples, on generated images of the same names, layouts and encodings."""

import numpy as np
import pytest
from blocks import commands, read_blocks, run_command
from PIL import Image

from cdzoo.data.check import check_data
from cdzoo.data.config import DataCfg
from cdzoo.data.open import open_data

SIDE = 64
XBD = ("guatemala-volcano_00000002", "hurricane-harvey_00000001", "hurricane-harvey_00000007")


def pixels(rng, bands=3, height=SIDE, width=SIDE):
    found = rng.integers(0, 250, (height, width, bands), dtype=np.uint8)
    return found[..., 0] if bands == 1 else found


def labels(rng, values=(0, 255), shares=None):
    return rng.choice(np.array(values, np.uint8), (SIDE, SIDE), p=shares)


def save(root, folder, name, found, palette=None):
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".tif", ".img"):
        write_raster(path, found)
        return
    picture = Image.fromarray(found)
    if palette:
        picture.putpalette(palette)
    picture.save(path)


def write_raster(path, found):
    import rasterio

    driver = "GTiff" if path.suffix == ".tif" else "ENVI"
    height, width, bands = found.shape
    profile = {"driver": driver, "height": height, "width": width, "count": bands, "dtype": found.dtype, "crs": "EPSG:32651"}
    step = 30 * SIDE / height
    with rasterio.open(path, "w", **profile, transform=rasterio.transform.from_origin(2e5, 3.5e6, step, step)) as file:
        file.write(found.transpose(2, 0, 1))


def write_samples(root):
    """Write all sets; return the labels of landsat."""
    rng = np.random.default_rng(0)

    def write(name, stems, bands=(3, 3), suffix=".png", values=(0, 255), shares=None):
        found = {}
        for stem in stems:
            for date, count in zip("AB", bands, strict=True):
                save(root / name, date, stem + suffix, pixels(rng, count))
            found[stem] = labels(rng, values, shares)
            save(root / name, "label", stem + ".png", found[stem])
        return found

    write("levir_samples", ["test_2_0000_0000", "test_2_0000_0512", "train_36_0512_0512", "val_27_0000_0256"])
    for folder, height in (("A", 40), ("B", 39)):
        save(root / "levir_samples", folder, "test_113_0256.png", pixels(rng, 4, height, 80))
    unlabeled = {"values": (0, 1, 255), "shares": (0.1, 0.1, 0.8)}
    landsat = write("landsat", ["nanjing", "taizhou"], (6, 6), ".tif", **unlabeled)
    write("landsat/envi", ["taizhou"], (6, 6), ".img", **unlabeled)
    write("optical_sar", ["Italy", "shuguang"], (1, 3))
    write("sar", ["yellow_A", "yellow_C", "yellow_D"], (1, 1))
    write("dsifn", [f"{number}_2" for number in range(3)])
    write("sztaki", ["Szada_1", "Szada_3", "Tiszadob_3"])
    for city in ("montpellier", "saclay_e"):
        for date in ("imgs_1", "imgs_2"):
            for band, step in (("B02", 1), ("B03", 1), ("B04", 1), ("B08", 1), ("B11", 2)):
                found = rng.integers(300, 3000, (SIDE // step, SIDE // step, 1), dtype=np.uint16)
                save(root / "oscd_msi" / city, date, f"{band}.tif", found)
        save(root / "oscd_msi", city, "cm.png", labels(rng))
    for number, name in enumerate(XBD):
        grades = labels(rng, range(5))
        first = (grades > 0).astype(np.uint8)
        for date, found in (("pre", first if number == 0 else first * np.uint8(255)), ("post", grades)):
            save(root / "damage_xbd", "images", f"{name}_{date}_disaster.png", pixels(rng))
            palette = [0, 0, 0, 0, 255, 0, 255, 255, 0, 255, 128, 0, 255, 0, 0] if number == 0 else None
            save(root / "damage_xbd", "masks", f"{name}_{date}_disaster.png", found, palette)
    return landsat


def test_encodings_are_right_to_the_pixel(tmp_path):
    landsat = write_samples(tmp_path)
    samples = open_data(DataCfg(str(tmp_path / "landsat"), mask_encoding="0/1/255"), ("all",), (6, 6)).splits["all"]
    for sample in samples:
        assert np.array_equal(sample.target["mask"].numpy(), landsat[sample.name])
    assert samples.unlabeled == np.mean([label == 255 for label in landsat.values()])
    report = check_data(str(tmp_path / "levir_samples"), progress=False)
    assert len(report.problems) == 1
    assert "test_113_0256 has no mask, and its dates do not match: 80x40 with 4 band(s)" in report.problems[0]
    damage = open_data(DataCfg("xbd", root=str(tmp_path / "damage_xbd")), ("all",)).splits["all"]
    for sample in damage:
        grades = np.asarray(Image.open(tmp_path / "damage_xbd" / "masks" / f"{sample.name}_post_disaster.png"))
        assert np.array_equal(sample.target["damage"].numpy(), grades)
        assert np.array_equal(sample.target["building"].numpy(), grades > 0)


@pytest.mark.slow
def test_the_commands_run(tmp_path, monkeypatch):
    write_samples(tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in read_blocks("docs/data.md") if "$DATA" in block.text]
    for words in commands(block.text.replace("$DATA", str(tmp_path / "samples"))):
        finds_the_bad_pair = words[1:3] == ["data", "check"] and words[3].endswith("levir_samples")
        if finds_the_bad_pair:
            with pytest.raises(AssertionError):
                run_command(words, block.place)
        else:
            run_command(words, block.place)
    written = ["levir.png", "nanjing.tif", "taizhou.tif", "saclay.tif", "damage.png", "shuguang.png", "yellow.png", "dsifn.png"]
    assert all((tmp_path / name).is_file() for name in (*written, "szada.png"))
