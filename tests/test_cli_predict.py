"""`cdzoo predict` of pictures: output and invalid input."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import cdzoo
from cdzoo.cli.main import main


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def trained(tiny, tmp_path):
    return tiny().save_pretrained(tmp_path / "model")


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path / "a.png", tmp_path / "b.png"


def broken(tmp_path, images, what):
    a, b = images
    other = tmp_path / f"{what}.png"
    pixels = np.asarray(Image.open(a))
    if what == "size":
        Image.fromarray(pixels[:-1]).save(other)
    elif what == "truncated":
        other.write_bytes(b.read_bytes()[:900])
    elif what == "16bit":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 200).save(other)
    elif what == "alpha":
        Image.fromarray(np.dstack([pixels, np.arange(2000, dtype=np.uint8).reshape(40, 50)])).save(other)
    elif what == "small":
        for path in (a, other):
            Image.fromarray(pixels[:20]).save(path)
    return other


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("size", "size.png: 50x39 pixels"),
        ("missing", "missing.png: no such file"),
        ("truncated", "truncated.png: the image is damaged or truncated"),
        ("16bit", "16bit.png: 16-bit integer values"),
        ("alpha", "alpha.png: the image is partly transparent"),
        ("small", "at least 32x32"),
    ],
)
def test_invalid_images_exit_with_2_and_write_nothing(capsys, tmp_path, trained, images, what, message):
    other = broken(tmp_path, images, what)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(capsys, "predict", images[0], other, "-o", tmp_path / "change.png", "--model", trained)
    assert code == 2 and out == "" and message in err and err.startswith("cdzoo: error: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "change.jpg"], "lossless"),
        (["-o", "no/such/change.png"], "there is no folder"),
        (["-o", "change.png", "--threshold", "2"], "threshold must be less than 1"),
        (["-o", "change.png", "--device", "tpu"], "--device tpu"),
        (
            ["-o", "change.png", "--model", "glmamba_levir"],
            "no weights of 'glmamba_levir' are published",
        ),
        (["-o", "change.png", "--model", "local-dir:none"], "no such folder"),
    ],
)
def test_invalid_options_exit_with_2(capsys, tmp_path, monkeypatch, trained, images, arguments, message):
    monkeypatch.chdir(tmp_path)
    options = arguments if "--model" in arguments else [*arguments, "--model", trained]
    code, _, err = run(capsys, "predict", *images, *options)
    assert code == 2 and message in err
    assert not list(tmp_path.glob("change*"))


def test_an_opaque_alpha_channel_is_dropped_with_a_note(tmp_path, trained, images):
    Image.open(images[0]).convert("RGBA").save(images[0])
    command = [
        sys.executable,
        "-m",
        "cdzoo",
        "predict",
        *map(str, images),
        "-o",
        str(tmp_path / "c.png"),
        "--model",
        str(trained),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "note: " in done.stderr and "a.png: the alpha channel is opaque everywhere and is dropped" in done.stderr


def test_predict_prints_the_weights_and_uses_their_threshold(capsys, tmp_path, images):
    code, out, err = run(capsys, "predict", *images, "-o", tmp_path / "change.png", "--model", "glmamba_tiny")
    assert code == 0, err
    assert (
        "weights glmamba_tiny.synthetic (sha256 934b38e1b130), trained on synthetic; zero-shot f1 38.09" in out
        and "(threshold 0.5, tiles of 512)" in out
    )


def test_pictures_of_several_classes(capsys, tmp_path, tiny, images):
    classes = ("water", "ground")
    folder = tiny(task="semantic", class_names=classes).save_pretrained(tmp_path / "model")
    target = tmp_path / "change.png"
    code, out, err = run(capsys, "predict", *images, "-o", target, "--model", folder, "--threshold", "0.01")
    assert code == 0, err
    names = ("change", "change_figure", "change_overlay", "change_probability", "change_semantic_t1", "change_semantic_t2")
    assert sorted(path.stem for path in tmp_path.glob("change*")) == sorted(names)
    found = cdzoo.predict_pair(f"local-dir:{folder}", *images, threshold=0.01)
    for name, stem in (("from_to", "change"), ("semantic_t1", "change_semantic_t1"), ("semantic_t2", "change_semantic_t2")):
        with Image.open(tmp_path / f"{stem}.png") as picture:
            assert picture.mode == "P"
            np.testing.assert_array_equal(np.asarray(picture), found.maps[name])
            color = found.legends[name].colors[found.maps[name][0, 0]]
            assert picture.convert("RGB").getpixel((0, 0)) == color
    assert "of 50x40 pixels have another class than 'unchanged'" in out and str(tmp_path / "change_semantic_t2.png") in out
    probability = np.asarray(Image.open(tmp_path / "change_probability.png"))
    np.testing.assert_allclose(probability, found.probability[0] * 255, atol=0.51)
    images[0].rename(tmp_path / "change_figure.png")
    code, _, err = run(capsys, "predict", tmp_path / "change_figure.png", images[1], "-o", target, "--model", folder)
    assert code == 2 and "the figure beside -o" in err and "is the input" in err


def test_another_scale_is_named(capsys, tmp_path, trained, images):
    probabilities = []
    for scale in ("1", "2"):
        code, out, _ = run(capsys, "predict", *images, "-o", tmp_path / f"{scale}.png", "--model", trained, "--scale", scale)
        assert code == 0 and (", scale 2)" in out) == (scale == "2")
        probabilities.append(np.asarray(Image.open(tmp_path / f"{scale}_probability.png")))
    assert (probabilities[0] != probabilities[1]).any()
    assert run(capsys, "predict", *images, "-o", tmp_path / "c.png", "--model", trained, "--scale", "9")[0] == 2
    assert not (tmp_path / "c.png").exists()
