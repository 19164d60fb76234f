"""Work that waits for a server: given up when the server is silent, or sends so little that it may as well be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

PATIENCE = 15.0
"""Seconds in which a server must send `LEAST` bytes, or complete the answer."""
LEAST = 16 * 1024

T = TypeVar("T")


class StalledError(Exception):
    """The server sent too little in the time allowed."""


class Traffic:
    """Counts what a server sends.

    Attributes:
        meters: Functions that return a number of bytes received, for work that is not counted by `add`.
    """

    def __init__(self) -> None:
        self.meters: list[Callable[[], int]] = []
        self.given_up = False
        self._added = 0
        self._close: list[Callable[[], None]] = []

    @property
    def received(self) -> int:
        """Bytes received."""
        return self._added + sum(meter() for meter in self.meters)

    def add(self, count: int) -> None:
        """Count bytes; raise `StalledError` in work that was given up, so that it ends."""
        if self.given_up:
            raise StalledError("given up")
        self._added += count

    def watch(self, response: Any) -> None:
        """Count the body of a response of httpx, and close it when the work is given up."""
        self.meters.append(lambda: int(response.num_bytes_downloaded))
        self._close.append(response.close)

    def give_up(self) -> None:
        """End the work at the next byte."""
        self.given_up = True
        for close in self._close:
            with suppress(Exception):
                close()


def while_it_flows(work: Callable[[Traffic], T], patience: float | None = None) -> T:
    """Return `work(traffic)`, which counts in `traffic` what it receives; give up when that is too little.

    The work has its own thread, because no timeout of a socket limits a server that sends a byte a second. A thread cannot be
    stopped: work that was given up ends at its next byte, or with the process.

    Args:
        work: Makes requests.
        patience: Seconds in which `LEAST` bytes must arrive, or the work must end; `PATIENCE` by default.

    Raises:
        StalledError: Fewer arrived.
    """
    seconds = PATIENCE if patience is None else patience
    traffic = Traffic()
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work(traffic))
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    before = -LEAST
    try:
        while thread.is_alive() and traffic.received - before >= LEAST:
            before = traffic.received
            thread.join(seconds)
    finally:
        if thread.is_alive():
            traffic.give_up()
    if traffic.given_up:
        raise StalledError(f"the server sent {traffic.received - before} bytes in {seconds:g} s")
    if failure:
        raise failure[0]
    return result[0]
