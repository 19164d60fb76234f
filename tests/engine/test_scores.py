"""`cdzoo eval`: scores of each image, their intervals, and files of earlier versions."""

import csv
import json

import pytest

from cdzoo.bootstrap import confidence_intervals
from cdzoo.cli.main import main
from cdzoo.data.open import DataCfg
from cdzoo.engine.run import score_model
from cdzoo.results import Results


def test_intervals_and_a_table_of_images(tiny, pair_folder, tmp_path, capsys):
    pairs, model = pair_folder(4, 48), tiny().save_pretrained(tmp_path / "model")
    words = ["eval", "--model", str(model), "--data", str(pairs), "--out", str(tmp_path / "r.json"), "--device", "cpu"]
    assert main([*words, "--per-image", str(tmp_path / "images.csv"), "--threshold", "0.45"]) == 0
    out = capsys.readouterr().out
    results = Results.read(tmp_path / "r.json")
    scores = results.scores
    assert f"threshold 0.45 (best here {scores.best_threshold:g}, f1 {scores.best_threshold_f1:.4f})" in out
    assert "95 % over 4 images: f1 " in out
    assert results.intervals == confidence_intervals(results.per_image) and results.intervals.images == 4
    assert sum(image.tp for image in results.per_image) == scores.tp
    rows = list(csv.DictReader((tmp_path / "images.csv").open()))
    assert {row["name"] for row in rows} == {image.name for image in results.per_image}
    assert [int(row["fp"]) + int(row["fn"]) for row in rows] == sorted(int(row["fp"]) + int(row["fn"]) for row in rows)[::-1]
    assert main([*words, "--per-image", str(tmp_path / "images.xlsx")]) == 2
    assert "a table of images; use one of .csv, .json" in capsys.readouterr().err
    old = {key: value for key, value in results.to_dict().items() if key not in ("intervals", "per_image")}
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert Results.read(tmp_path / "old.json").per_image is None
    assert Results.read(tmp_path / "old.json").to_dict() == old


def test_tiles_count_as_the_image_they_are_cut_from(tiny, pair_folder):
    pairs = str(pair_folder(3, 512))
    tiles = score_model(tiny(), "x", DataCfg(pairs, protocol="levir_256"), "test")
    whole = [f"pair_{n}" for n in range(3)]
    assert [image.name for image in tiles.per_image] == whole and tiles.scores.images == 12
    assert tiles.intervals.images == 3
    assert all(image.tp + image.fp + image.fn + image.tn == 512 * 512 for image in tiles.per_image)
    assert sum(image.fn for image in tiles.per_image) == pytest.approx(tiles.scores.fn)


def test_scores_on_training_data_are_marked(tiny, pair_folder, tmp_path, capsys):
    pairs, run = pair_folder(6, 40), str(tmp_path / "run")
    words = ["train", "--init", str(tiny().save_pretrained(tmp_path / "m")), "--data", str(pairs), "--out", run, "device=cpu"]
    assert main([*words, "epochs=1", "crop=32", "progress=false"]) == 0
    evaluation = ["eval", "--model", run, "--data", str(pairs), "--device", "cpu", "--out", str(tmp_path / "r.json")]
    capsys.readouterr()
    assert main(evaluation) == 0 and "of the 1 pairs scored, 0 were trained on, 0 were used" in capsys.readouterr().out
    assert main([*evaluation, "--split", "all"]) == 0 and "OVERLAP: of the 6 pairs scored, 4 were" in capsys.readouterr().out
    assert main([*evaluation, "--split", "val"]) == 0 and "1 were used to select the weights" in capsys.readouterr().out
    assert any("OVERLAP" in note for note in Results.read(tmp_path / "r.json").notes)
    other = str(pair_folder(2, 44, name="other"))
    assert main([*evaluation, "--data", other]) == 0 and "OVERLAP" not in capsys.readouterr().out
