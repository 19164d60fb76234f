"""Graceful shutdown: Ctrl-C, SIGTERM and SIGUSR1 end a run after the current step, with a training state to resume from."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cdzoo.errors import TrainingError

_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")


class GracefulShutdown(AbstractContextManager["GracefulShutdown"]):
    """Records signals within a `with` block; a second signal raises `KeyboardInterrupt`.

    Signal handlers can only be installed in the main thread; in other threads the block has no effect.
    """

    def __init__(self) -> None:
        self._received: str | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                if number := getattr(signal, name, None):
                    self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Whether a signal was received."""
        return self._received is not None

    def raise_interrupted(self, step: int, out: Path | None) -> NoReturn:
        """Raise `TrainingError` with a message that explains how to resume."""
        hint = f"continue with: cdzoo train --resume {out}" if out else "nothing was saved, as no folder was given"
        raise TrainingError(f"interrupted by {self._received or 'another process'} after step {step}; {hint}")

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name
