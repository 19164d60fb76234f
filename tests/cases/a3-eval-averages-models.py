"""A user compared two different models: `eval --model A B`. Their scores were averaged, "mean and standard deviation of 2
runs", as if they were seeds of one. Right: each has its own score, and no mean over both is given."""

import json
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import cdzoo as zoo


def cdzoo(*words, limit=80, **options):
    """Run the command line."""
    command = [sys.executable, "-m", "cdzoo", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit, **options)


def said(run):
    """Return all that a command printed."""
    return run.stdout + run.stderr


def refused(run, *words):
    """Tell whether a command ended with code 2 and a message that has one of the words, whatever their case."""
    text = said(run).lower()
    plain = run.returncode == 2 and "traceback" not in text and "unrecognized arguments" not in text
    return plain and (not words or any(str(word).lower() in text for word in words))


def must(run):
    """Stop the case unless a command that prepares it went well."""
    if run.returncode != 0:
        raise RuntimeError(f"exit {run.returncode}: {said(run)[-1500:]}")
    return run


def pairs(root, count=8, size=64, seed=0):
    """Write pairs in which a bright square is the change."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        before = rng.integers(60, 120, (size, size, 3), dtype=np.uint8)
        after, mask = before.copy(), np.zeros((size, size), np.uint8)
        y, x = rng.integers(0, size // 2, 2)
        after[y : y + size // 3, x : x + size // 3] = 230
        mask[y : y + size // 3, x : x + size // 3] = 255
        for name, pixels in (("A", before), ("B", after), ("label", mask)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / name / f"p{index}.png")
    return root


def tiny(seed=0, **options):
    """Build a small model with random weights."""
    torch.manual_seed(seed)
    return zoo.create_model("glmamba_tiny", backbone_kwargs={"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}, **options)


def split_pairs(root, count=8):
    """Write pairs in train/, val/ and test/, none of them twice."""
    for seed, split in enumerate(("train", "val", "test")):
        pairs(root / split, count if split == "train" else 4, seed=seed + 11)
    return root


def case(place):
    data = split_pairs(place / "set", 4)
    for name, fusion, sign in (("one", "abs_diff", 1), ("two", "sum", -1)):
        model = tiny(seed=3, fusion=fusion)
        for value in model.head.parameters():
            value.data.mul_(sign)
        zoo.save_pretrained(model, place / name)
    run = cdzoo("eval", "--model", place / "one", place / "two", "--data", data, "--out", place / "s.json")
    if refused(run, "one", "two", "different"):
        return None
    must(run)
    single = []
    for name in ("one", "two"):
        must(cdzoo("eval", "--model", place / name, "--data", data, "--out", place / f"{name}.json"))
        single.append(json.loads((place / f"{name}.json").read_text())["scores"]["f1"])
    if abs(single[0] - single[1]) < 0.02:
        raise RuntimeError(f"the two models score alike: {single}")
    if not all(f"{one:.4f}" in said(run) or f"{100 * one:.2f}" in said(run) for one in single):
        return "the scores of the two models are not printed"
    mean = sum(single) / 2
    text = said(run) + (place / "s.json").read_text()
    pooled = any(form in text for form in (f"{100 * mean:.2f}", f"{mean:.4f}", repr(mean)[:10]))
    return f"F1 of two models, {single[0]:.2f} and {single[1]:.2f}, are given as a mean of {mean:.2f}" if pooled else None


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            fault = case(Path(folder).resolve())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(fault or "right")
    sys.exit(1 if fault else 0)
