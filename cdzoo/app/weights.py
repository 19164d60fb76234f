"""`WeightsMenu`: the weights that the page offers, loaded when they are used."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from cdzoo.errors import ConfigError, UnknownNameError
from cdzoo.factory import create_model
from cdzoo.models.detector import ChangeDetector
from cdzoo.names import suggest
from cdzoo.weights.pretrained import get_pretrained, list_pretrained
from cdzoo.weights.source import parse_name

DEFAULT = "fc_siam_diff_efficientnet_lite0.synthetic_wide"
_KEPT = 2  # models in memory


class WeightsMenu:
    """Weights by the name under which the page shows them: given ones first, then those in the package, the default first.

    Args:
        sources: Names as for `create_model`: `local-dir:FOLDER`, `hf-hub:owner/name` or `model.tag`. Each is loaded once, so that
            one that cannot be used is found before the page is shown.
        device: Device of the models.

    Raises:
        ConfigError: A name is given twice, or a model has not two dates.
        CdzooError: Weights cannot be loaded.
    """

    def __init__(self, sources: Iterable[str] = (), device: torch.device | str = "cpu") -> None:
        self._sources = {**_names(sources), **_bundled()}
        self._device = torch.device(device)
        self._loaded: dict[str, ChangeDetector] = {}
        self._lock = threading.Lock()
        for name in [*self._sources][: len(self._sources) - len(_bundled())]:
            self.load(name)

    @property
    def names(self) -> list[str]:
        """Names of the weights."""
        return list(self._sources)

    def load(self, name: str) -> ChangeDetector:
        """Return the model in evaluation mode with the weights called `name`; the last models that were used are kept.

        Raises:
            UnknownNameError: There are no such weights.
            ConfigError: The model has not two dates.
        """
        if name not in self._sources:
            raise UnknownNameError(f"no weights '{name}'.{suggest(name, self._sources)} Available: {', '.join(self._sources)}")
        with self._lock:
            model = self._loaded.pop(name, None)
            if model is None:
                model = create_model(self._sources[name]).to(self._device).eval()
                if model.num_dates != 2:
                    raise ConfigError(f"{name}: pairs need a model of two dates; it has {model.num_dates}")
            self._loaded[name] = model
            while len(self._loaded) > _KEPT:
                del self._loaded[next(iter(self._loaded))]
            return model


def _bundled() -> dict[str, str]:
    found = sorted((name for name in list_pretrained() if get_pretrained(name).file), key=lambda name: name != DEFAULT)
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
    scheme, location = parse_name(source)
    return Path(location).absolute().parts if scheme == "local-dir" else (source,)
