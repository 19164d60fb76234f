"""What the result of a run depends on, by name: a resumed run must have the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cdzoo.config import ModelCfg
from cdzoo.data.content import content_hashes
from cdzoo.data.sampler import Samples
from cdzoo.engine.config import TrainCfg

Identity = dict[str, Any]

_DESCRIPTIVE = frozenset(("name", "description", "paper", "license", "original", "citation", "recipe", "class_names"))
_PLACES = frozenset(("data", "val", "labeled", "unlabeled"))
_HASH = "sha256 of the "


def identify(cfg: TrainCfg, model: ModelCfg, splits: Mapping[str, Samples], facts: Mapping[str, Any]) -> Identity:
    """Return settings, architecture, data options and hashes of the content of the samples, as plain values by dotted name.

    Args:
        cfg: Settings.
        model: Description of the model.
        splits: Samples by what they are for, such as `"training"`.
        facts: Entries of the results; `data`, `protocol` and `init` are used.
    """
    values: Identity = cfg.fixed()
    architecture = {key: value for key, value in model.to_dict().items() if key not in _DESCRIPTIVE}
    if model.input_scale == 1:  # earlier versions lack it
        del architecture["input_scale"]
    values |= _flat("model", architecture)
    known = True
    for purpose, samples in splits.items():
        values[f"number of {purpose} samples"] = len(samples)
        hashes = content_hashes(samples)
        values |= {f"{_HASH}{purpose} {kind}": value for kind, value in hashes.items()}
        known = known and bool(hashes)
    if isinstance(facts.get("data"), Mapping):
        # Folders may move, but the name is all there is to know of data that are generated.
        options = {key: value for key, value in facts["data"].items() if not known or key not in _PLACES}
        values |= _flat("data", options)
    if facts.get("protocol") is not None:
        values["hash of protocol and sample names"] = str(facts["protocol"]["hash"])
    values |= _flat("init", {key: value for key, value in (facts.get("init") or {}).items() if key == "sha256"})
    return json.loads(json.dumps(values, default=str))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between two runs, one phrase each. Hashes that only one of them has cannot be compared."""
    compared = [name for name in {**new, **old} if not name.startswith(_HASH) or (name in old and name in new)]
    changed = [name for name in compared if old.get(name) != new.get(name)]
    return [
        f"the content of the {name.removeprefix(_HASH)} is another"
        if name.startswith(_HASH)
        else f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
        for name in changed
    ]


def _flat(prefix: str, value: Any) -> Identity:
    return dict(_items(prefix, value))


def _items(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _items(f"{prefix}.{key}", item)
    else:
        yield prefix, value
