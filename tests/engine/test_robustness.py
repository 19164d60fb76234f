"""Robustness: what each disturbance does to an image, and the sweep over all of them."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cdzoo.cli.main import main
from cdzoo.data.folder import FolderPairs
from cdzoo.engine.robustness import SWEEPS, blur, brighten, gamma, jpeg, measure_robustness, shift
from cdzoo.inference.evaluate import evaluate
from cdzoo.protocol import Protocol


def test_disturbances():
    image = torch.rand(3, 40, 50)
    moved = shift(image, 3)
    assert torch.equal(moved[..., 3:], image[..., :-3]) and torch.equal(moved[..., :3], image[..., :1].expand(-1, -1, 3))
    assert torch.equal(brighten(image, 2), (2 * image).clamp(max=1)) and torch.equal(gamma(image, 2), image**2)
    dot = torch.zeros(1, 31, 31)
    dot[0, 15, 15] = 1
    spread = blur(dot, 2)
    assert spread.sum() == pytest.approx(1, abs=1e-4) and torch.allclose(spread, spread.transpose(1, 2), atol=1e-6)
    deviation = (spread[0].sum(0) * (torch.arange(31) - 15) ** 2).sum().sqrt()
    assert deviation == pytest.approx(2, abs=0.05)
    smooth = torch.linspace(0, 1, 64).expand(5, 64, 64)
    assert jpeg(smooth, 95).shape == (5, 64, 64) and (jpeg(smooth, 95) - smooth).abs().max() < 0.03
    errors = [(jpeg(image, quality) - image).abs().mean() for quality in (95, 50, 10)]
    assert errors == sorted(errors)


def test_levels_that_change_nothing_score_as_without(tiny, pair_folder):
    samples = FolderPairs(pair_folder(2, 40))
    samples = [s._replace(images=tuple(torch.cat([i, i[:1]]) for i in s.images)) for s in samples]
    model = tiny(in_chans=4)
    points = measure_robustness(model, samples, Protocol("folder"))
    plain = evaluate(model, samples, Protocol("folder")).summary()
    assert [p.kind for p in points] == [kind for kind, (_, levels) in SWEEPS.items() for _ in levels]
    neutral = [
        p
        for p in points
        if (p.kind.split()[0], p.level) in {("misregistration", 0), ("brightness", 1), ("gamma", 1), ("blur", 0)}
    ]
    assert len(neutral) == 4 and all(p.f1 == pytest.approx(plain.f1, abs=1e-3) for p in neutral)


def test_curves_on_the_command_line(tiny, pair_folder, tmp_path, capsys):
    pairs, picture = str(pair_folder(1, 40)), tmp_path / "curves.png"
    words = ["eval", "--data", pairs, "--device", "cpu", "--out", str(tmp_path / "r.json"), "--model"]
    folders = [str(tiny().save_pretrained(tmp_path / name)) for name in ("a", "b")]
    assert main([*words, *folders, "--robustness", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "misregistration (pixels)      8" in out and f"curves: {picture}" in out
    runs = json.loads((tmp_path / "r.json").read_text())["runs"]
    assert len(runs[0]["robustness"]) == sum(len(levels) for _, levels in SWEEPS.values())
    assert np.asarray(Image.open(picture)).std() > 0
    assert main([*words, folders[0], "--robustness", "curves.jpeg2"]) == 2
    assert "a picture; use one of .png, .svg, .pdf" in capsys.readouterr().err
