"""Requests to the Hugging Face Hub that trust no server with paths on this machine and wait for none forever."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from cdzoo.errors import WeightsError
from cdzoo.io.network import PATIENCE, Traffic, while_it_flows

T = TypeVar("T")

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_ETAG = re.compile(r"[\w+=~-][\w.+=~-]{0,150}", re.ASCII)
_current = threading.local()


def watched(request: Callable[[], T], cache: Path | None = None, patience: float | None = None) -> T:
    """Return `request()`, which uses `huggingface_hub`; see `guard_client`.

    Args:
        request: Makes requests.
        cache: Folder that files are downloaded to; that of `huggingface_hub` by default.
        patience: Seconds to wait for a server that sends next to nothing; by default 15, or the time limits of
            `huggingface_hub` (`HF_HUB_ETAG_TIMEOUT`, `HF_HUB_DOWNLOAD_TIMEOUT`) if longer.

    Raises:
        StalledError: The server sends too little.
        WeightsError: The server names a file or commit by something that is no name.
    """
    from huggingface_hub import constants

    guard_client()
    folder = Path(constants.HF_HUB_CACHE) if cache is None else cache

    def work(traffic: Traffic) -> T:
        _current.traffic = traffic
        traffic.meters.append(_meter_of_parts(folder))
        return request()

    limit = max(PATIENCE, constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT) if patience is None else patience
    logger = logging.getLogger("huggingface_hub")  # reports each retry, with text of the server
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return while_it_flows(work, limit)
    finally:
        logger.setLevel(level)


def guard_client() -> None:
    """Let the client of `huggingface_hub` check the names that a server gives before it makes paths of them.

    It stores files under their ETag and commit, whatever these are. The check stays in the client of this process.
    """
    import huggingface_hub
    from huggingface_hub.utils import _http

    make = _http._GLOBAL_CLIENT_FACTORY
    if getattr(make, "guarded", False):
        return

    def factory() -> Any:
        client = make()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "response": [*hooks.get("response", []), _inspect]}
        return client

    factory.guarded = True  # type: ignore[attr-defined]
    huggingface_hub.set_client_factory(factory)


def _inspect(response: Any) -> None:
    """Check the headers of an answer, and count what follows them."""
    traffic = getattr(_current, "traffic", None)
    if traffic is not None:
        traffic.watch(response)
    names = [("X-Repo-Commit", _COMMIT)]
    if response.request.method == "HEAD":
        names += [("ETag", _ETAG), ("X-Linked-ETag", _ETAG)]
    for header, form in names:
        value = response.headers.get(header)
        if value is not None and not form.fullmatch(value.removeprefix("W/").strip('"')):
            raise WeightsError(f"the answer of {response.request.url.host} has the {header} {value[:80]!r}, which names no file")


def _meter_of_parts(cache: Path) -> Callable[[], int]:
    """Return a function for the largest size so far of unfinished files: some are received by other means than the client."""
    largest = 0

    def meter() -> int:
        nonlocal largest
        size = 0
        for part in cache.glob("models--*/blobs/*.incomplete"):
            with suppress(OSError):
                size += part.stat().st_size
        largest = max(largest, size)
        return largest

    return meter
