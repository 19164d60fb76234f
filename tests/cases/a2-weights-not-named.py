"""A user mapped a pair and later asked which weights had made the map: `predict` and `eval` print neither the tag nor the
hash. Right: every command that uses weights prints their name and the beginning of their sha256."""

import json
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import numpy as np
from PIL import Image

import cdzoo as zoo
from cdzoo.constants import DEFAULT_WEIGHTS


def cdzoo(*words, limit=80, **options):
    """Run the command line."""
    command = [sys.executable, "-m", "cdzoo", *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit, **options)


def said(run):
    """Return all that a command printed."""
    return run.stdout + run.stderr


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


def split_pairs(root, count=8):
    """Write pairs in train/, val/ and test/, none of them twice."""
    for seed, split in enumerate(("train", "val", "test")):
        pairs(root / split, count if split == "train" else 4, seed=seed + 11)
    return root


def case(place):
    data = split_pairs(place / "set")
    folder = Path(zoo.__file__).parent / "weights" / "bundled" / DEFAULT_WEIGHTS
    sha = json.loads((folder / "pretrained.json").read_text())["sha256"][:8]
    dates = (data / "test" / "A" / "p0.png", data / "test" / "B" / "p0.png")
    silent = []
    for name, words in {
        "predict": ("predict", *dates, "-o", place / "m.png"),
        "eval": ("eval", "--model", folder, "--data", data),
    }.items():
        text = said(must(cdzoo(*words)))
        if sha not in text or "synthetic" not in text:
            silent.append(name)
    return f"these do not say which weights they used: {', '.join(silent)}" if silent else None


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            fault = case(Path(folder).resolve())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(fault or "right")
    sys.exit(1 if fault else 0)
