"""cdzoo: models, components and weights for change detection in remote-sensing images.

`create_model` builds a model by name; `list_models` and `list_components` return the names. Submodules are imported on first use,
so that `import cdzoo` is fast.
"""

from __future__ import annotations

import warnings
from typing import Any

import lazy_loader

from cdzoo._version import __version__ as __version__

# Packages that import tqdm warn in a notebook without ipywidgets, whose progress bars are lines of text then.
warnings.filterwarnings("ignore", message="IProgress not found")

_attached, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_DEPRECATED = {"PartCfg": "ComponentCfg"}


def __getattr__(name: str) -> Any:
    if name in _DEPRECATED:
        warnings.warn(f"cdzoo.{name} is deprecated, use cdzoo.{_DEPRECATED[name]}", DeprecationWarning, stacklevel=2)
        name = _DEPRECATED[name]
    return _attached(name)
