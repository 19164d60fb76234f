"""`WeightsMenu`: the weights that the page offers, loaded when they are used."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from cdzoo.constants import DEFAULT_WEIGHTS
from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.inference.model import PairModel
from cdzoo.inference.onnx import is_exported
from cdzoo.inference.resolve import resolve_model
from cdzoo.models.detector import ChangeDetector
from cdzoo.names import suggest
from cdzoo.weights.pretrained import get_pretrained, list_pretrained
from cdzoo.weights.source import parse_name

_KEPT = 2  # models in memory


class WeightsMenu:
    """Weights by the name under which the page shows them: given ones first, then those in the package, the default first.

    Args:
        sources: Names as for `resolve_model`: `local-dir:FOLDER`, `hf-hub:owner/name`, `model.tag`, or an exported `.onnx` file.
            Each is loaded once, so that one that cannot be used is found before the page is shown.
        device: Device of the PyTorch models.

    Raises:
        ConfigError: A name is given twice, or a model is not one of two dates.
        CdzooError: Weights cannot be loaded.
    """

    def __init__(self, sources: Iterable[str] = (), device: torch.device | str = "cpu") -> None:
        self._sources = {**_names(sources), **_bundled()}
        self._device = torch.device(device)
        self._loaded: dict[str, PairModel] = {}
        self._lock = threading.Lock()
        for name in [*self._sources][: len(self._sources) - len(_bundled())]:
            self.load(name)

    @property
    def names(self) -> list[str]:
        """Names of the weights."""
        return list(self._sources)

    def load(self, name: str) -> PairModel:
        """Return the model in evaluation mode with the weights called `name`; the last models that were used are kept.

        Raises:
            UnknownNameError: There are no such weights.
            ConfigError: The model is not one of two dates.
        """
        if name not in self._sources:
            raise UnknownNameError(f"no weights '{name}'.{suggest(name, self._sources)} Available: {', '.join(self._sources)}")
        with self._lock:
            model = self._loaded.pop(name, None)
            if model is None:
                model = resolve_model(self._sources[name])
                model = model.to(self._device).eval() if isinstance(model, ChangeDetector) else model
            self._loaded[name] = model
            while len(self._loaded) > _KEPT:
                del self._loaded[next(iter(self._loaded))]
            return model


def _bundled() -> dict[str, str]:
    found = sorted((name for name in list_pretrained() if get_pretrained(name).file), key=lambda name: name != DEFAULT_WEIGHTS)
    return {name: name for name in found}


def _names(sources: Iterable[str]) -> Mapping[str, str]:
    """Return the sources by a short name: the last folder of a path, and as many more as tell it from the others."""
    parts = {source: _parts(source) for source in dict.fromkeys(sources)}
    names: dict[str, str] = {}
    for source, own in parts.items():
        others = [other for one, other in parts.items() if one != source]
        length = next((n for n in range(1, len(own)) if all(own[-n:] != other[-n:] for other in others)), len(own))
        name = "/".join(own[-length:])
        if name in names:
            raise ConfigError(f"{source}: named twice; the page shows each weights once")
        names[name] = source
    return names


def _parts(source: str) -> tuple[str, ...]:
    scheme, location = ("", source) if is_exported(source) else parse_name(source)
    return Path(location).absolute().parts if scheme == "local-dir" or is_exported(source) else (source,)
