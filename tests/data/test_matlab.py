"""Data sets in MATLAB files: one file of several arrays, or a folder of files."""

import re
import shlex

import numpy as np
import pytest

io = pytest.importorskip("scipy.io")
pytest.importorskip("rasterio")

from cdzoo.cli.main import main  # noqa: E402
from cdzoo.data.masks import MaskEncoding  # noqa: E402
from cdzoo.data.matlab import holds_matlab, write_matlab  # noqa: E402
from cdzoo.errors import CdzooError, ConfigError, InputError  # noqa: E402
from cdzoo.io.images import read_image_and_valid  # noqa: E402
from cdzoo.io.rasters import open_raster  # noqa: E402

HEIGHT, WIDTH, BANDS = 20, 30, 6


def cube(seed=0, dtype=np.int16, shape=(HEIGHT, WIDTH, BANDS)):
    return np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)


def changes(values=(0, 1), dtype=bool, shape=(HEIGHT, WIDTH)):
    return np.array(values)[np.arange(np.prod(shape)).reshape(shape) % len(values)].astype(dtype)


def save(path, compressed=True, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    io.savemat(path, arrays, do_compression=compressed)
    return path


def stored(path):
    with open_raster(path) as file:
        return file.read()


GOOD = {"t1": cube(1), "t2": cube(2), "label": changes()}
DTYPES = "int8 uint16 int16 uint32 int32 uint64 int64 float32 float64".split()


@pytest.mark.parametrize(
    ("dtype", "bands"), [("uint8", bands) for bands in ((), (2,), (3,), (4,), (224,))] + [(dtype, (4,)) for dtype in DTYPES]
)
def test_values_types_and_bands_are_kept(tmp_path, dtype, bands):
    first, second = cube(1, dtype, (5, 7, *bands)), cube(2, dtype, (5, 7, *bands))
    source = save(tmp_path / "farmland.mat", T1=first, T2=second, Binary=changes(shape=(5, 7)))
    pair, encoding = write_matlab(source, tmp_path / "out")
    assert encoding == MaskEncoding.ONE and pair.name == "farmland"
    for path, values in zip(pair.images, (first, second), strict=True):
        found = stored(path)
        assert found.dtype == dtype and np.array_equal(found, values.reshape(5, 7, -1).transpose(2, 0, 1))
        with open_raster(path) as file:
            assert not [meaning for meaning in file.colorinterp if meaning.name == "alpha"]
    assert np.array_equal(stored(pair.mask)[0], changes(dtype=np.uint8, shape=(5, 7)))
    assert {file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.*")} == {
        f"{folder}/farmland.tif" for folder in ("A", "B", "label")
    }


def test_whole_numbers_in_floating_point_have_one_type_at_both_dates(tmp_path):
    """MATLAB stores them in the fewest bytes, which may differ between dates."""
    source = save(tmp_path / "x.mat", compressed=False, t1=cube(1, np.uint8), t2=cube(2, np.float64), label=changes())
    content = bytearray(source.read_bytes())
    assert content[144] == 9  # class uint8 of the first variable
    content[144] = 6
    source.write_bytes(content)
    pair, _ = write_matlab(source, tmp_path / "out")
    assert [stored(path).dtype for path in pair.images] == ["float64"] * 2
    assert np.array_equal(stored(pair.images[0]), cube(1).transpose(2, 0, 1))


def test_files_of_matlab_4(tmp_path):
    arrays = {"t1": cube(1, np.float64)[..., 0], "t2": cube(2, np.float64)[..., 0], "label": changes(dtype=np.float64)}
    io.savemat(tmp_path / "x.mat", arrays, format="4")
    pair, _ = write_matlab(tmp_path / "x.mat", tmp_path / "out")
    assert np.array_equal(stored(pair.images[1])[0], arrays["t2"]) and np.array_equal(stored(pair.mask)[0], arrays["label"])


@pytest.mark.parametrize("variables", [("HypeRvieW",) * 3, ("a_2013", "b", "c")])
def test_a_folder_of_files_with_one_array_each(tmp_path, variables):
    folder = tmp_path / "barbara"
    arrays = cube(1), cube(2), changes((0, 1, 2), np.float64)
    names = ["barbara_2013", "barbara_2014", "barbara_gtChanges"]
    for name, variable, array in zip(names, variables, arrays, strict=True):
        save(folder / f"{name}.mat", **{variable: array}, wavelengths=np.arange(3.0), about={"sensor": "AVIRIS"})
    (folder / "readme.txt").write_text("about")
    pair, encoding = write_matlab(folder, tmp_path / "one", names, MaskEncoding("2/1/0"))
    assert encoding.value == "2/1/0" and pair.mask.name == "barbara.tif"
    assert np.array_equal(stored(pair.mask)[0], arrays[2]) and stored(pair.mask).dtype == np.uint8
    assert np.array_equal(stored(pair.images[0]), arrays[0].transpose(2, 0, 1))
    spelled = [f"{name}/{variable}" for name, variable in zip(names, variables, strict=True)]
    for columns in (spelled, ()):  # by years and `Changes`
        again, _ = write_matlab(folder, tmp_path / f"out{len(columns)}", columns, MaskEncoding("2/1/0"))
        assert all(a.read_bytes() == b.read_bytes() for a, b in zip((*pair.images,), (*again.images,), strict=True))


@pytest.mark.parametrize(
    "names",
    [
        ("Bay_Area_2013:HypeRvieW", "Bay_Area_2015:HypeRvieW", "bayArea_gtChanges2.mat:HypeRvieW"),
        ("hermiston2004:HypeRvieW", "hermiston2007:HypeRvieW", "rdChangesHermiston_5classes:gt5clasesHermiston"),
        ("river_before:river_before", "river_after:river_after", "groundtruth:lakelabel_v1"),
        ("River_20230503:River_20230503", "River_20231231:River_20231231", "River_GT:River_GT"),
        ("data:T1", "data:T2", "data:Binary"),
    ],
)
def test_names_of_public_data_sets_tell_dates_and_mask(tmp_path, names):
    values = {"before": cube(1), "after": cube(2), "mask": changes()}
    files = {}
    for name, array in zip(names, values.values(), strict=True):
        files.setdefault(name.split(":")[0], {})[name.split(":")[1]] = array
    for file, arrays in files.items():
        save(tmp_path / "set" / f"{file}.mat", **arrays)
    pair, _ = write_matlab(tmp_path / "set", tmp_path / "out")
    for path, array in zip((*pair.images, pair.mask), values.values(), strict=True):
        assert np.array_equal(stored(path), array.reshape(HEIGHT, WIDTH, -1).transpose(2, 0, 1))


def test_files_beside_pairs_are_left_out(tmp_path):
    save(tmp_path / "set" / "about.mat", **GOOD)
    assert holds_matlab(tmp_path / "set") and holds_matlab(tmp_path / "set" / "about.mat")
    for folder in ("A", "B", "label"):
        (tmp_path / "set" / folder).mkdir()
    assert not holds_matlab(tmp_path / "set") and not holds_matlab(tmp_path)


def test_nan_is_no_data_and_infinity_is_refused(tmp_path):
    first, second = cube(1, np.float32), cube(2, np.float32)
    first[3, 4, 2] = np.nan
    pair, _ = write_matlab(save(tmp_path / "x.mat", t1=first, t2=second, label=changes()), tmp_path / "out")
    _, valid = read_image_and_valid(pair.images[0], BANDS, (0.0, 120.0))
    assert np.argwhere(~valid).tolist() == [[3, 4]]
    second[0, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"t2: 1 value\(s\) are infinite"):
        write_matlab(save(tmp_path / "y.mat", t1=first, t2=second, label=changes()), tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.mat", "y.mat"]


SPARSE = pytest.importorskip("scipy.sparse").csc_matrix(changes().astype(float))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"t1": cube(1).transpose(2, 0, 1)}, r"t1: 6x20x30 int16, bands first; .*permute\(X, \[2 3 1\]\)"),
        ({"t2": cube(2)[:-1]}, "t2: 19x30x6 int16, but .*label is 20x30 logical; .*crop"),
        ({"t2": cube(2).reshape(-1, BANDS)}, "t2: 600x6 int16, but .*reshape"),
        ({"t1": cube(1) * 1j}, r"t1: a complex double array; .*abs\(X\)"),
        ({"t1": {"bands": 3}}, "t1: a struct array; save one of numbers"),
        ({"t1": np.full((HEIGHT, WIDTH), "x", object)}, "t1: a cell array"),
        ({"t1": ["x" * WIDTH] * HEIGHT}, "t1: a char array"),
        ({"label": SPARSE}, r"label: a sparse array; .*: full\(X\)"),
        ({"label": cube(3)}, "label: 20x30x6 int16; expected a mask"),
        ({"label": changes((0, 1, 2), np.uint8)}, "label: the mask has values 0, 1, 2; expected 0/1.*--mask-encoding"),
        ({"label": changes((0, 0.5), float)}, r"label: the mask has values 0\.5; expected whole numbers"),
        ({"label": changes((0, 1, np.nan), float)}, "label: the mask has values nan; .*--mask-encoding"),
        ({"label": changes((0, -1, 300), np.int16)}, "label: the mask has values -1, 300"),
    ],
)
def test_what_is_refused(tmp_path, replaced, message):
    source = save(tmp_path / "x.mat", **GOOD | replaced)
    with pytest.raises(InputError, match=message):
        write_matlab(source, tmp_path / "out", ["t1", "t2", "label"])
    assert [path.name for path in tmp_path.iterdir()] == ["x.mat"]


@pytest.mark.parametrize(
    ("arrays", "columns", "message"),
    [
        (GOOD, ["t1", "t2"], "t1, t2 are not three arrays; .* has t1 .20x30x6 int16., t2 .20x30x6 int16., label .20x30 logical."),
        (GOOD, ["t1", "t1", "label"], "are not three arrays"),
        (GOOD, ["t1", "t3", "label"], "no array t3"),
        ({"x": cube(1), "y": cube(2), "label": changes()}, [], "--columns BEFORE AFTER MASK; it has x"),
        ({**GOOD, "mask": changes()}, [], "--columns BEFORE AFTER MASK"),
        ({"im_2001": cube(1), "im_2003": cube(2), "im_2005": cube(3), "label": changes()}, [], "--columns BEFORE AFTER MASK"),
        ({"about": {"a": 1}}, [], r"it has about \(1x1 struct\)"),
        ({}, [], "it has no arrays"),
    ],
)
def test_arrays_have_to_be_named(tmp_path, arrays, columns, message):
    with pytest.raises(ConfigError, match=message):
        write_matlab(save(tmp_path / "x.mat", **arrays), tmp_path / "out", columns)


def test_other_and_damaged_files_are_named(tmp_path):
    good = save(tmp_path / "good.mat", **GOOD).read_bytes()
    for content, message in (
        (b"MATLAB 7.3 MAT-file" + b" " * 493 + b"\x89HDF\r\n\x1a\n", r"MATLAB 7\.3 \(HDF5\).*'-v7'.*h5py"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), r"MATLAB 7\.3"),
        (b"", "cannot be read"),
        (b"1 2 3\n4 5 6\n" * 100, "cannot be read"),
        (good[: len(good) // 2], "truncated: "),
        (good[:-1], "truncated: "),
        (good[:300] + bytes(100) + good[400:], "cannot be read"),
    ):
        (tmp_path / "x.mat").write_bytes(content)
        with pytest.raises(InputError, match=f"x.mat: .*{message}"):
            write_matlab(tmp_path / "x.mat", tmp_path / "out", ["t1", "t2", "label"])
    unknown = bytearray(save(tmp_path / "good.mat", compressed=False, **GOOD).read_bytes())
    unknown[185] = 1  # in the type of the numbers of the first variable, at which scipy 1.17 crashes
    (tmp_path / "x.mat").write_bytes(unknown)
    with pytest.raises(InputError, match="the numbers of t1 are of an unknown type"):
        write_matlab(tmp_path / "x.mat", tmp_path / "out")
    with pytest.raises(InputError, match="no such file"):
        write_matlab(tmp_path / "none.mat", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damage_anywhere_is_an_error_or_without_effect(tmp_path):
    good = save(tmp_path / "good.mat", compressed=False, **GOOD).read_bytes()
    rng = np.random.default_rng(0)
    for number in range(40):
        content = bytearray(good)
        for place in rng.integers(0, 400, 3):
            content[place] = rng.integers(256)
        (tmp_path / "x.mat").write_bytes(content)
        try:
            write_matlab(tmp_path / "x.mat", tmp_path / f"out{number}")
        except CdzooError as error:
            assert "x.mat" in str(error)


def test_a_large_array_is_refused_before_it_is_read(tmp_path):
    source = save(tmp_path / "x.mat", compressed=False, **GOOD)
    content = source.read_bytes()
    sides = np.array([HEIGHT, WIDTH, BANDS], "<i4").tobytes()
    assert content.count(sides) == 2
    source.write_bytes(content.replace(sides, np.array([HEIGHT, WIDTH, 10**8], "<i4").tobytes()))
    with pytest.raises(InputError, match=r"x\.mat: t1: 20x30x100000000 int16, which is 114,440 MB"):
        write_matlab(source, tmp_path / "out")


def test_the_command_says_how_to_use_the_scene(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first = cube(1, np.uint16, (96, 130, 4)) * 8
    mask = np.kron(changes((0, 0, 1), np.uint8, (24, 26)), np.ones((4, 5), np.uint8))
    second = first + mask[..., None] * np.uint16(2000)
    save(tmp_path / "my farm.mat", T1=first, T2=second, Binary=mask)
    assert main(["data", "prepare", "my farm.mat"]) == 2 and "--out FOLDER" in capsys.readouterr().err
    assert main(["data", "check", "my farm.mat"]) == 2 and "cdzoo data prepare my farm.mat" in capsys.readouterr().err
    command = ["data", "prepare", "my farm.mat", "--out", "out", "--columns", "T1", "T2", "Binary"]
    assert main([*command, "--mask-encoding", "0/255"]) == 2 and "Binary: the mask has values 0, 1" in capsys.readouterr().err
    assert main(command) == 0
    *described, check, train = capsys.readouterr().out.splitlines()
    assert "130x96, 4 band(s), uint16" in described[0] and described[2].endswith("label/my farm.tif: 0/1")
    for option in ("--in-chans 4", "--tile 32 --block 32", r"--value-range 0 \d+", "crop=32"):
        assert re.search(f" {option} ", train)
    assert main(shlex.split(check)[1:]) == 0
    assert main([*shlex.split(train)[1:], "epochs=1", "batch_size=4", "workers=0"]) == 0
    assert (tmp_path / "runs" / "my_farm" / "model.safetensors").is_file()
    assert main(command) == 2 and "already exists" in capsys.readouterr().err
