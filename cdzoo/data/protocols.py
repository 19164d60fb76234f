"""Protocols by name: those of the data sets, `folder` for any folder of samples, and `scene` for scenes."""

from __future__ import annotations

from cdzoo.data.datasets import DATASETS
from cdzoo.errors import ConfigError
from cdzoo.names import check_known
from cdzoo.protocol import Protocol

FOLDER = Protocol("folder")
"""Default protocol of data that are not a named data set."""
SCENE = Protocol("scene", tile=256)
"""Default protocol of scenes, which are cut when they are read."""


def list_protocols() -> list[str]:
    """Return the names of all protocols, grouped by data set; the first one of a data set is its default."""
    return list(_protocols())


def get_protocol(name: str | None, dataset: str = "") -> Protocol:
    """Return a protocol by name.

    Args:
        name: Name of the protocol; None for the default protocol of the data set.
        dataset: Name of the data set; empty for a folder.

    Raises:
        ConfigError: There is no such protocol, or it belongs to another data set.
    """
    info = DATASETS.get(dataset)
    if name is None:
        return info.protocols[0] if info else FOLDER
    protocols = _protocols()
    check_known("unknown protocol", name, protocols)
    protocol = protocols[name]
    if dataset and protocol.dataset and not (info and protocol in info.protocols):
        raise ConfigError(f"protocol '{name}' is for {protocol.dataset}, the data are {dataset}")
    return protocol


def _protocols() -> dict[str, Protocol]:
    return {
        protocol.name: protocol for protocol in (FOLDER, SCENE, *(each for info in DATASETS.values() for each in info.protocols))
    }
