"""Model cards: README.md of a published model, generated from its config and results."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cdzoo._version import __version__
from cdzoo.config import ModelCfg
from cdzoo.errors import InputError, printable
from cdzoo.io.files import write_text
from cdzoo.weights.folder import CARD_FILE, PICTURE_FILE, RESULTS_FILE

_SCORES = ("precision", "recall", "f1", "iou", "oa", "kappa")
_USE = """Maps change between two co-registered images of the same size, with the bands and value range below. It was trained on
the data set below only. Expect lower accuracy for other sensors, resolutions, seasons and regions, and evaluate before use.
Decisions about people or property require a human check of the map."""


def write_card(folder: Path, config: ModelCfg, params: int, cost: str = "", training: str = "") -> Path:
    """Write the model card of a folder, from its config and its results; return its path. See `model_card`.

    Raises:
        InputError: The results are not those of cdzoo.
    """
    file, stored = folder / CARD_FILE, folder / RESULTS_FILE
    try:
        results = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
        card = model_card(config, results, params, cost, (folder / PICTURE_FILE).is_file(), training)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{stored}: no results of cdzoo train or cdzoo eval ({error!r}); remove it, or write it again"
        ) from error
    write_text(file, card)
    return file


def model_card(
    config: ModelCfg, results: Mapping[str, Any], params: int, cost: str = "", picture: bool = False, training: str = ""
) -> str:
    """Return the text of a model card. Names and texts from config and results are shown as they are: markup in them is escaped.

    Args:
        config: Description of the model.
        results: Results of a training run or an evaluation; empty if there are none.
        params: Number of parameters.
        cost: Cost of the model, see `cdzoo.flops.describe_cost`; only the parameters by default.
        picture: Whether the folder contains an example picture.
        training: Remarks on the origin and training of the weights, in plain text.
    """
    parts = [
        _front_matter(config, results),
        f"# {_text(config.name)}\n\n{_text(config.description or 'A change detection model.')}",
        f"Source: {_text(config.paper)}" if config.paper else "",
        f"![before, after and the change map]({PICTURE_FILE})" if picture else "",
        f"## Use\n\n{_USE}\n\n{_LOADING}",
        f"## Input and output\n\n{_interface(config)}",
        f"## Training\n\n{_text(training)}" if training else "",
        f"## Scores\n\n{_scores(results)}",
        _zero_shot(results),
        f"## Cost\n\n{_text(cost or f'{params / 1e6:.2f} M parameters.')}",
        f"## License\n\n{_license(config)}",
        f"## Citation\n\n```bibtex\n{_fenced(config.citation)}\n```" if config.citation else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(config: ModelCfg, results: Mapping[str, Any]) -> str:
    data: dict[str, Any] = {
        "license": config.license.lower(),
        "library_name": "cdzoo",
        "pipeline_tag": "image-segmentation",
        "tags": ["change-detection", "remote-sensing", "cdzoo"],
    }
    scores = results.get("scores", {})
    if "f1" in scores and results.get("provenance") == "measured":
        dataset = _dataset(results)
        data["model-index"] = [
            {
                "name": config.name,
                "results": [
                    {
                        "task": {"type": "image-segmentation", "name": "change detection"},
                        "dataset": {"name": dataset, "type": dataset, "split": results.get("split", "val")},
                        "metrics": [{"type": name, "value": round(float(scores[name]), 4)} for name in ("f1", "iou")],
                    }
                ],
            }
        ]
    return f"---\n{yaml.safe_dump(data, sort_keys=False)}---"


def _dataset(results: Mapping[str, Any]) -> str:
    """Return only the last part of the path of the data, so that no local path is published."""
    data = results.get("data")
    name = data.get("data", "") if isinstance(data, Mapping) else str(data or "")
    return Path(name).name or "unknown"


_LOADING = """```python
import cdzoo

model = cdzoo.create_model("hf-hub:OWNER/NAME@COMMIT")  # or "local-dir:FOLDER"
change = cdzoo.predict_pair(model.eval(), "before.png", "after.png")  # .mask and .probability
```

`pip install cdzoo`; from the shell: `cdzoo predict before.png after.png -o change.png --model hf-hub:OWNER/NAME@COMMIT`."""


def _interface(config: ModelCfg) -> str:
    bands = f"{config.bands[0]} bands" if config.bands[0] == config.bands[1] else f"{config.bands[0]} and {config.bands[1]} bands"
    logits = "one logit, sigmoid" if config.num_classes == 1 else f"{config.num_classes} logits, softmax, class 0 is no change"
    scale = f", resampled by a factor of {config.input_scale:g}" if config.input_scale != 1 else ""
    return (
        f"Two images (B, {bands}, H, W) with values in [0, 1], H and W of at least 32 pixels, normalized with mean "
        f"{list(config.mean)} and standard deviation {list(config.std)}{scale}. Output: {logits}, at the size of the images."
    )


def _scores(results: Mapping[str, Any]) -> str:
    scores = results.get("scores")
    if not scores:
        return "None are stored with these weights."
    protocol = results.get("protocol", {})
    shown = {name: scores[name] for name in _SCORES if name in scores} | scores.get("further", {})
    rows = "\n".join(f"| {_text(name)} | {100 * float(score):.2f} |" for name, score in shown.items())
    if scores.get("positive", "change") != "change":
        rows += f"\n\nThe first scores, from precision to kappa, are of the class {_code(scores['positive'])}."
    text = f"{_text(results.get('provenance', 'unknown provenance'))}; data {_code(_dataset(results))}, "
    text += f"split {_text(results.get('split', 'val'))}"
    if protocol:
        name, digest, threshold = (protocol.get(key, "not stated") for key in ("name", "hash", "threshold"))
        text += f", protocol {_code(name)} (hash {_text(digest)}, threshold {_text(threshold)})"
    return f"| score | percent |\n|---|---|\n{rows}\n\n{text}."


def _zero_shot(results: Mapping[str, Any]) -> str:
    """Return a table of the scores on real images that the weights were not trained on; empty if there are none."""
    rows = ["| zero-shot on | protocol | precision | recall | F1 | 95 % interval | best F1 (threshold) |", f"|{'---|' * 7}"]
    for one in results.get("zero_shot", ()):
        scores, f1 = one["scores"], one["intervals"]["scores"]["f1"]
        protocol = one["protocol"]
        scale = f", scale {float(protocol['scale']):g}" if "scale" in protocol else ""
        shown = [_text(_dataset(one)), _code(protocol["name"]) + scale]
        shown += [f"{100 * scores[key]:.2f}" for key in ("precision", "recall", "f1")]
        shown += [f"{100 * f1['low']:.2f} to {100 * f1['high']:.2f}"]
        shown += [f"{100 * scores['best_threshold_f1']:.2f} ({scores['best_threshold']:g})"]
        rows.append(f"| {' | '.join(shown)} |")
    return "\n".join(rows) if rows[2:] else ""


def _license(config: ModelCfg) -> str:
    text = f"{_text(config.license)} (cdzoo {__version__}, which wrote these files)."
    if config.original:
        text += (
            f" The network was published as {_text(config.original)}; weights converted from its checkpoints are subject to its "
            "license; if none is stated, ask the authors."
        )
    return text


def _text(value: object) -> str:
    """Return a value as one line of plain text in Markdown: no HTML, link, image, code or end of a table cell."""
    escaped = html.escape(printable(" ".join(str(value).split())), quote=False)
    return re.sub(r"([\\`\[\]|])", r"\\\1", escaped)


def _code(value: object) -> str:
    """Return a value as a code span of Markdown, which may stand in a table."""
    return f"`{printable(' '.join(str(value).split())).replace('`', chr(39)).replace('|', '/')}`"


def _fenced(text: str) -> str:
    """Return lines of a fenced block of Markdown."""
    return printable(text.strip()).replace("`", "'")
