"""Deprecated: use `cdzoo.components`."""

import warnings

from cdzoo.components import *  # noqa: F403
from cdzoo.components import PyramidComponent as PyramidPart  # noqa: F401

warnings.warn("cdzoo.part is deprecated, use cdzoo.components", DeprecationWarning, stacklevel=2)
