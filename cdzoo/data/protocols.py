"""Protocols by name: those of the data sets, and `folder` for any folder of pairs."""

from __future__ import annotations

from cdzoo.data.datasets import all_datasets
from cdzoo.errors import ConfigError
from cdzoo.names import suggest
from cdzoo.protocol import Protocol

FOLDER = Protocol("folder")


def all_protocols() -> dict[str, Protocol]:
    """Return all protocols by name."""
    known = {FOLDER.name: FOLDER}
    for info in all_datasets().values():
        known |= {protocol.name: protocol for protocol in info.protocols}
    return known


def get_protocol(name: str | None, dataset: str = "") -> Protocol:
    """Return the protocol called `name`, or the default protocol of `dataset`.

    Raises:
        ConfigError: There is no such protocol, or it belongs to another data set.
    """
    info = all_datasets().get(dataset)
    if name is None:
        return info.protocols[0] if info is not None and info.protocols else FOLDER
    known = all_protocols()
    if name not in known:
        raise ConfigError(f"unknown protocol '{name}'.{suggest(name, known)} Protocols: {', '.join(known)}")
    protocol = known[name]
    own = info.protocols if info is not None else ()
    if dataset and protocol.dataset not in ("", dataset) and protocol not in own:
        raise ConfigError(f"protocol '{name}' is for {protocol.dataset}, not for {dataset}")
    return protocol
