"""Measure semi-supervised training on CLCD with a tenth of its labels.

``python benchmarks/semi.py --backbone-weights lite0.safetensors --runs runs/semi --out benchmarks/results/semi_clcd.json``

For each seed, `fc_siam_diff_efficientnet_lite0` is trained on the labeled pairs of ``benchmarks/semi_clcd_labeled.txt`` alone,
and on the same batches with the other training pairs as unlabeled ones (``semi=unimatch``): equal steps, settings and initial
weights. The epoch is chosen by F1 on the validation split, then the threshold on the same split; the test split is scored once
with both. The difference is given for each seed, as mean over the seeds with the 95 % interval of Student's t, and over the test
images, which are resampled for both together with their pixels added over the seeds.

The list was drawn once: ``random.Random(0).sample(NAMES, 36)`` of the sorted names of the 360 training pairs (``--draw LIST``).
Finished runs are kept and an interrupted one continues: give the same command again. The file is written after each seed.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import random
import statistics
from pathlib import Path
from typing import Any

import torch

from cdzoo.bootstrap import ImageScore, paired_difference
from cdzoo.compare.runs import Run
from cdzoo.config import ModelOptions
from cdzoo.data.config import DataCfg
from cdzoo.data.open import open_data
from cdzoo.engine.checkpoint import list_checkpoints
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.run import run_training, score_model
from cdzoo.errors import TrainingStopped
from cdzoo.factory import create_model
from cdzoo.io.files import write_json, write_text
from cdzoo.results import Results

LISTED = Path(__file__).with_name("semi_clcd_labeled.txt")
MODEL = "fc_siam_diff_efficientnet_lite0"
ARMS: dict[str, dict[str, Any]] = {"supervised": {}, "semi": {"semi": "unimatch"}}
SETTINGS = TrainCfg(
    epochs=8,
    validate_every=4,
    batch_size=4,
    crop=128,
    optimizer="adamw",
    lr=1e-3,
    lr_backbone=2e-4,
    weight_decay=0.01,
    schedule="cosine",
    warmup_steps=30,
    loss="bce+0.5*dice",
    swap_dates=0.5,
    jitter=0.2,
    precision="bf16",
    progress=False,
    device="cpu",
)
SCORES = ("f1", "iou", "precision", "recall")
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Half width of the 95 % interval of a mean of n values, in standard errors."""


def train_and_score(folder: Path, data: DataCfg, cfg: TrainCfg, backbone_weights: str) -> Results:
    """Return the test scores of one run; those of a finished run are read."""
    scored = folder / "test.json"
    if scored.is_file():
        return Results.read(scored)
    options = ModelOptions(MODEL, backbone_weights=backbone_weights)
    _, chosen = run_training(options, data, cfg, folder, bool(list_checkpoints(folder)), lambda line: print(line, flush=True))
    model = create_model(f"local-dir:{folder}")
    result = score_model(model, str(folder), data, "test", threshold=chosen.scores.best_threshold)
    result.write(scored)
    return result


def describe_run(folder: Path, result: Results) -> dict[str, Any]:
    """Return the scores of a run on the test split, what was chosen on the validation split, and the last row of its log."""
    chosen = Results.read(folder / "results.json")
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    logged = {name: float(last[name]) for name in ("loss", "unlabeled_loss", "confident", "confident_change") if last.get(name)}
    return {
        "test": {name: round(100 * result[name], 3) for name in SCORES},
        "threshold": result.scores.threshold,
        "chosen_step": chosen.step,
        "validation_f1": round(100 * (chosen.scores.best_threshold_f1 or 0), 3),
        "last_epoch": logged,
        "images": {image.name: f"{image.tp} {image.fp} {image.fn} {image.tn}" for image in result.per_image or []},
    }


def difference(first: list[ImageScore], second: list[ImageScore]) -> dict[str, Any]:
    """Return the difference of F1 on resampled images, in percent."""
    found = paired_difference(first, second)
    assert found is not None
    bounds = [round(100 * bound, 3) for bound in (found.interval.low, found.interval.high)]
    return {"f1": round(100 * found.difference, 3), "interval": bounds, "p": round(found.p, 4), "images": found.images}


def summarize(finished: dict[int, dict[str, Results]]) -> dict[str, Any]:
    """Return mean and standard deviation of both arms, and their difference over seeds and over images."""
    values = {arm: [100 * pair[arm]["f1"] for pair in finished.values()] for arm in ARMS}
    changes = [after - before for before, after in zip(values["supervised"], values["semi"], strict=True)]
    mean, count = statistics.mean(changes), len(changes)
    spread = {arm: [round(statistics.mean(each), 3), round(statistics.pstdev(each), 3)] for arm, each in values.items()}
    pooled = {arm: Run(arm, [pair[arm] for pair in finished.values()]).images for arm in ARMS}
    over_seeds: dict[str, Any] = {"mean": round(mean, 3), "seeds": count}
    if count in STUDENT:
        half = STUDENT[count] * statistics.stdev(changes) / count**0.5
        over_seeds["interval"] = [round(mean - half, 3), round(mean + half, 3)]
    return {
        "f1_mean_and_deviation": spread,
        "difference_over_seeds": over_seeds,
        "difference_over_images": difference(pooled["supervised"], pooled["semi"]),
    }


def draw(data: DataCfg, file: Path) -> None:
    """Write a tenth of the training pairs to a list."""
    names = sorted(set(open_data(data, ("train",)).splits["train"].image_names))
    write_text(file, "".join(f"{name}\n" for name in sorted(random.Random(0).sample(names, len(names) // 10))))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="clcd")
    parser.add_argument("--protocol", default="clcd_256")
    parser.add_argument("--labeled", type=Path, default=LISTED)
    parser.add_argument("--backbone-weights", help="ImageNet weights of EfficientNet-Lite0, see docs/finetune.md")
    parser.add_argument("--runs", type=Path, default=Path("runs/semi"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=SETTINGS.epochs)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--draw", type=Path, metavar="LIST")
    chosen = parser.parse_args()
    if chosen.draw is not None:
        draw(DataCfg(chosen.data, chosen.protocol), chosen.draw)
        return
    torch.set_num_threads(1)
    data = DataCfg(chosen.data, chosen.protocol, labeled=str(chosen.labeled))
    base = dataclasses.replace(SETTINGS, epochs=chosen.epochs, validate_every=min(SETTINGS.validate_every, chosen.epochs))
    finished: dict[int, dict[str, Results]] = {}
    described: list[dict[str, Any]] = []
    for seed in chosen.seeds:
        folders = {arm: chosen.runs / f"seed_{seed}" / arm for arm in ARMS}
        try:
            found = {
                arm: train_and_score(folder, data, dataclasses.replace(base, seed=seed, **ARMS[arm]), chosen.backbone_weights)
                for arm, folder in folders.items()
            }
        except TrainingStopped as stopped:
            raise SystemExit(f"{stopped}; or give the same command again") from None
        finished[seed] = found
        images = {arm: list(result.per_image or []) for arm, result in found.items()}
        runs = {arm: describe_run(folder, found[arm]) for arm, folder in folders.items()}
        described.append({"seed": seed, **runs, "difference": difference(images["supervised"], images["semi"])})
        summary = summarize(finished)
        print(f"seed {seed}: {runs['supervised']['test']['f1']} -> {runs['semi']['test']['f1']}", flush=True)
        if chosen.out is not None:
            record, environment = found["semi"].protocol, found["semi"].environment
            write_json(
                chosen.out,
                {
                    "environment": dataclasses.asdict(environment) if environment else None,
                    "model": MODEL,
                    "backbone_weights": "tf_efficientnet_lite0, ImageNet-1k",
                    "labeled": f"benchmarks/{chosen.labeled.name}",
                    "settings": {name: value for name, value in base.fixed().items() if name != "seed"} | {"epochs": base.epochs},
                    "steps": _steps(folders["semi"]),
                    "protocol": {"name": chosen.protocol, "splits": record.splits if record else None},
                    "image_counts": "tp fp fn tn",
                    "runs": described,
                    "summary": summary,
                },
            )
    print(table(described, summarize(finished)))


def table(described: list[dict[str, Any]], summary: dict[str, Any]) -> str:
    """Return the scores as a table in Markdown."""
    lines = ["| seed | labels only | with unlabeled pairs | difference, interval over images |", "|---|---|---|---|"]
    for run in described:
        lines.append(_row(run["seed"], *(f"{run[arm]['test']['f1']:.2f}" for arm in ARMS), run["difference"]))
    spread = [f"{mean:.2f} +- {deviation:.2f}" for mean, deviation in summary["f1_mean_and_deviation"].values()]
    lines.append(_row("all", *spread, summary["difference_over_images"]))
    over_seeds = summary["difference_over_seeds"]
    bounds = " to ".join(f"{bound:+.2f}" for bound in over_seeds.get("interval", ()))
    return "\n".join(
        [*lines, "", f"Mean difference over the seeds: {over_seeds['mean']:+.2f} (95 % interval {bounds or 'unknown'})"]
    )


def _row(label: Any, first: str, second: str, found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"| {label} | {first} | {second} | {found['f1']:+.2f} ({low:+.2f} to {high:+.2f}) |"


def _steps(folder: Path) -> int:
    with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
        return int(list(csv.DictReader(file))[-1]["step"])


if __name__ == "__main__":
    main()
