"""Interrupted predictions of scenes resume, and give the same bytes as uninterrupted ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from known_backbones import Convolutions

import cdzoo
from cdzoo.data.synthetic import SyntheticScenes
from cdzoo.errors import InputError
from cdzoo.scenes import SceneCfg, predict_scene

SMALL = SceneCfg(tile=128, overlap=48, batch_size=3, progress=False)


class TestInterruption:
    def test_an_interrupted_run_resumes_and_writes_the_same_bytes(self, detector, raster, scene, tmp_path, interrupted):
        torch.manual_seed(1)
        model = detector(Convolutions())
        paths = raster("a.tif", scene[0]), raster("b.tif", scene[1])
        outputs = [tmp_path / "one" / "c.tif", tmp_path / "two" / "c.tif"]
        for output in outputs:
            output.parent.mkdir()
        predict_scene(model, *paths, outputs[0], SMALL, outputs[0].with_name("p.tif"))
        interrupted(model, 6, lambda: predict_scene(model, *paths, outputs[1], SMALL, outputs[1].with_name("p.tif")))
        assert [path.name for path in outputs[1].parent.iterdir()] == [".c.tif.blocks"]
        result = predict_scene(model, *paths, outputs[1], SMALL, outputs[1].with_name("p.tif"))
        assert result.resumed >= 1
        for name in ("c.tif", "p.tif"):
            assert outputs[0].with_name(name).read_bytes() == outputs[1].with_name(name).read_bytes()

    def test_blocks_of_another_job_are_removed(self, detector, raster, scene, tmp_path, monkeypatch):
        model = detector()
        paths = raster("a.tif", scene[0]), raster("b.tif", scene[1])
        monkeypatch.setattr("cdzoo.scenes.products.write_cog", lambda *_args: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(InputError, match=r"c\.tif: cannot be written \(disk full; "):
            predict_scene(model, *paths, tmp_path / "c.tif", SMALL)
        monkeypatch.undo()
        with torch.no_grad():
            model.head.classify.bias.fill_(100)
        result = predict_scene(model, *paths, tmp_path / "c.tif", SMALL)
        assert result.resumed == 0 and result.changed == result.pixels

    @pytest.mark.slow
    def test_killed_runs_resume(self, raster, tmp_path):
        scene = SyntheticScenes(1, size=(900, 512), seed=3, unchanged=0)[0]
        paths = [raster(f"{date}.tif", image.permute(1, 2, 0).numpy()) for date, image in enumerate(scene.images)]
        words = [sys.executable, "-m", "cdzoo", "predict", *map(str, paths), "--tile", "192", "--overlap", "64"]
        env = {**os.environ, "PYTHONPATH": str(Path(cdzoo.__file__).parents[1])}
        subprocess.run([*words, "-o", str(tmp_path / "whole.tif")], env=env, check=True, capture_output=True)
        target = tmp_path / "killed.tif"
        process = subprocess.Popen([*words, "-o", str(target)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        blocks = tmp_path / ".killed.tif.blocks"
        while process.poll() is None and not list(blocks.glob("block_*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not target.exists()
        subprocess.run([*words, "-o", str(target)], env=env, check=True, capture_output=True)
        assert target.read_bytes() == (tmp_path / "whole.tif").read_bytes() and not blocks.exists()
