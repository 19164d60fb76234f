"""A user published a model whose description and data set name came from elsewhere and hold HTML. The model card carried the
script. Right: nothing of it is HTML in README.md, or the config is refused."""

import json
import re
import sys
import tempfile
import traceback
from pathlib import Path

import torch

import cdzoo as zoo
from cdzoo.errors import CdzooError


def tiny(seed=0, **options):
    """Build a small model with random weights."""
    torch.manual_seed(seed)
    return zoo.create_model("glmamba_tiny", backbone_kwargs={"channels": 8, "depths": [1, 1, 1, 1], "d_state": 2}, **options)


def attempt(call, *kinds):
    """Return what a call gives, or the error of the project that it raises."""
    try:
        return call(), None
    except (CdzooError, *kinds) as error:
        return None, error


def case(place):
    from cdzoo.weights.card import write_card

    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    zoo.save_pretrained(tiny(), place / "model")
    file = place / "model" / "config.json"
    good = json.loads(file.read_text())
    scores = {"f1": 0.5, "iou": 0.4}
    results = {"provenance": "measured", "split": evil, "scores": scores, "data": evil, "protocol": {"name": evil, "hash": evil}}
    (place / "model" / "results.json").write_text(json.dumps(results))
    wrong = []
    for key in ("results", "description", "paper", "name", "original", "license"):
        if key != "results":
            (place / "model" / "results.json").unlink(missing_ok=True)
            file.write_text(json.dumps({**good, key: evil}))
        model, error = attempt(lambda: zoo.create_model(f"local-dir:{place / 'model'}"))
        if error is None:
            card, error = attempt(lambda model=model: write_card(place / "model", model.config, 1).read_text())
        if error is None:
            body = re.sub(r"```.*?```|`[^`\n]*`|\\\\<", "", card.split("---\n", 2)[-1], flags=re.DOTALL)
            wrong += [key] if re.search(r"<script|<img", body) else []
    return f"HTML of somebody else is in the card, from: {', '.join(wrong)}" if wrong else None


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            fault = case(Path(folder).resolve())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(fault or "right")
    sys.exit(1 if fault else 0)
