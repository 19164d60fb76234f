"""Training, evaluation output and pictures of tasks of several classes."""

import csv

import numpy as np
import pytest
import torch
from PIL import Image

import cdzoo
from cdzoo.cli.main import main
from cdzoo.cli.score_tables import draw_matrices, further_table
from cdzoo.compare import Run, further_rows, read_runs
from cdzoo.data.datasets import dataset_info
from cdzoo.data.sample import Sample
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.fit import train
from cdzoo.engine.pictures import matrix_pictures, sample_picture
from cdzoo.errors import ConfigError
from cdzoo.metrics import ClassCounts, spread_table
from cdzoo.protocol import Protocol
from cdzoo.results import Results
from cdzoo.tasks import get_task
from cdzoo.visualize import IGNORED_COLOR

COLORS = torch.tensor([[0, 0, 0], [40, 80, 220], [40, 160, 60], [210, 60, 50], [200, 200, 190]], dtype=torch.uint8)
CASES = {
    "multiclass": (("no change", "water", "tree", "building"), "ce+dice", "miou_classes"),
    "semantic": (("water", "tree", "building"), "ce+0.75*lovasz+0.25*similarity", "sek"),
    "damage": (("none", "minor", "destroyed"), "ce+0.5*lovasz", "xview2"),
}


class Blocks(list):
    """Pairs of 48 x 48 pixels whose blocks have the colors of their classes."""

    def __init__(self, task, count):
        rng = np.random.default_rng(0)

        def grid(high):
            return torch.from_numpy(rng.integers(0, high, (3, 3)).repeat(16, 0).repeat(16, 1))

        for index in range(count):
            first, second = grid(3) + 1, grid(3) + 1
            second = torch.where(grid(2) == 1, second, first)
            mask = (first != second).long()
            target = {
                "multiclass": {"mask": second * mask},
                "semantic": {"mask": mask, "semantic_t1": first * mask, "semantic_t2": second * mask},
                "damage": {"building": (second > 1).long(), "damage": second * (second > 1)},
            }[task]
            for values in target.values():
                values[:4] = 255
            self.append(Sample(tuple(COLORS[date].permute(2, 0, 1) for date in (first, second)), target, f"s{index}"))

    @property
    def names(self):
        return [sample.name for sample in self]


@pytest.mark.parametrize("task", CASES)
def test_trains_and_shows_all_scores(task, tmp_path):
    names, loss, metric = CASES[task]
    samples, model = Blocks(task, 3), cdzoo.create_model("fc_siam_diff", task=task, class_names=names)
    cfg = TrainCfg(epochs=1, batch_size=3, lr=3e-3, crop=48, progress=False, device="cpu", loss=loss, pictures_every=1)
    protocol = Protocol("blocks", metric=metric)
    trained = train(model, samples, samples, cfg, tmp_path / "run", protocol)
    stored = Results.read(tmp_path / "run" / "results.json")
    assert stored == trained and stored[metric] == trained.scores.further[metric] == trained.scores[metric]
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert {"f1", *model.task.score_names} <= rows[0].keys() and float(rows[trained.epoch - 1][metric]) == pytest.approx(
        trained[metric], abs=1e-5
    )
    with Image.open(tmp_path / "run" / "pictures" / "epoch_0001.png") as picture:
        columns = 3 + 2 * len(model.task.shown_maps)
        assert picture.width == columns * (288 + 8) + 8 and picture.height > 3 * 296 + 20
        seen = {color for _, color in picture.convert("RGB").getcolors(10**6)}
    assert {IGNORED_COLOR, *model.task.maps[model.task.shown_maps[0]].colors} <= seen

    text = further_table(trained, names)
    assert f"{metric} {trained[metric]:.4f}" in text and f"{names[-1]:<9}" in text
    assert ("of: building" in text) == (task == "damage")
    (tmp_path / "pictures").mkdir()
    draw_matrices(trained, tmp_path / "pictures" / "worst_run.png")
    found = {path.stem: Image.open(path).size for path in (tmp_path / "pictures").iterdir()}
    assert found.keys() == {f"{name}_run" for name in trained.scores.matrices}
    assert all(min(size) > 200 for size in found.values())
    assert metric in spread_table("x", [trained, stored])


def test_a_score_that_the_task_lacks_is_refused_before_training(tiny):
    samples, cfg = Blocks("semantic", 1), TrainCfg(crop=48, device="cpu")
    model = tiny(task="semantic", class_names=CASES["semantic"][0])
    with pytest.raises(ConfigError, match=r"'semantic' lacks: 'xview2'.*sek_from_to.*iou_building"):
        train(model, samples, samples, cfg, protocol=Protocol("x", metric="xview2"))
    with pytest.raises(ConfigError, match="lacks: 'sek'"):
        train(tiny(), samples, samples, cfg, protocol=Protocol("x", metric="sek"))


def test_pixels_with_a_wrong_class_are_yellow():
    model = cdzoo.create_model("fc_siam_diff", task="multiclass", class_names=("no change", "water", "tree", "building"))
    samples = Blocks("multiclass", 1)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.zero_()
        next(p for p in reversed(list(model.head.parameters())) if p.shape == (4,)).copy_(torch.tensor([0.0, 9.0, 0.0, 0.0]))
    sheet = np.asarray(sample_picture(model, samples, [0], Protocol("x"), torch.device("cpu")))
    panel = sheet[-400:, 4 * 296 + 8 : 5 * 296]
    mask = samples[0].target["mask"]
    counts = {color: int((panel == color).all(-1).sum()) / 36 for color in ((250, 190, 40), (230, 60, 40))}
    wrong, false = int(((mask > 1) & (mask != 255)).sum()), int((mask == 0).sum())
    assert counts == {(250, 190, 40): pytest.approx(wrong, rel=0.2), (230, 60, 40): pytest.approx(false, rel=0.2)}


def test_scores_of_tasks_have_rows_and_conditions_of_their_own(tmp_path):
    runs = []
    for task, (names, _, _) in CASES.items():
        scores = get_task(task, names).create_counter(0.5).summary()
        results = Results("glmamba_tiny", "test", scores, source=task)
        results.write(tmp_path / f"{task}.json")
        runs.append(Run(task, [results], task))
    rows = {row["score"]: row for row in further_rows(runs)}
    assert rows["sek"].keys() == {"score", "semantic"} and rows["xview2"].keys() == {"score", "damage"}
    assert rows["iou_building"].keys() == {"score", "multiclass", "semantic"} and "f1" not in rows
    conditions = list(read_runs([str(tmp_path / f"{task}.json") for task in CASES]))
    assert [condition.positive for condition in conditions] == ["change", "change", "building"]
    assert str(conditions[2]).endswith("scores of: building") and "scores of" not in str(conditions[0])


def test_pictures_of_large_and_empty_matrices():
    names = [f"class {index}" for index in range(40)]
    empty = ClassCounts({"many": names, "few": names[:3]}, lambda scores: scores).summary()
    pictures = matrix_pictures(empty)
    assert pictures["many"].width > 40 * 18 and pictures["few"].width < 400


def test_eval_prints_and_draws_them(tmp_path, capsys):
    names = dataset_info("second").class_names
    colors = np.array([[255, 255, 255], [0, 0, 255], [128, 128, 128], [0, 128, 0]], np.uint8)
    for index, folder in enumerate(("im1", "im2", "label1", "label2")):
        (tmp_path / "data" / "test" / folder).mkdir(parents=True)
        picture = colors.repeat(12, 0)[None].repeat(48, 0)
        Image.fromarray(picture if index != 1 else picture[::-1, ::-1]).save(tmp_path / "data" / "test" / folder / "a.png")
    model = cdzoo.create_model("fc_siam_diff", task="semantic", class_names=names).save_pretrained(tmp_path / "model")
    words = ["eval", "--model", str(model), "--data", "second", "--root", str(tmp_path / "data"), "--class-order", "A"]
    assert main([*words, "--device", "cpu", "--pictures", str(tmp_path / "p"), "--out", str(tmp_path / "r.json")]) == 0
    out, results = capsys.readouterr().out, Results.read(tmp_path / "r.json")
    assert f"sek {results['sek']:.4f}, f_scd" in out and "\n  low vegetation  " in out and "of matrices" in out
    assert {"worst_model.png", "from_to_model.png", "land_cover_model.png"} <= {path.name for path in (tmp_path / "p").iterdir()}
