"""Stopping politely: Ctrl-C and a cluster's SIGTERM end a run after the current step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from cdzoo.errors import TrainingError

_SIGNALS = ("SIGINT", "SIGTERM", "SIGUSR1")


class Interruption:
    """Notes signals while it is open; a second one stops at once. Outside the main thread it does nothing."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                if number := getattr(signal, name, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self, step: int, out: Path | None) -> None:
        """End the run, which has saved its state.

        Raises:
            TrainingError: Always; the message says how to go on.
        """
        go_on = f"continue with: cdzoo train --resume {out}" if out else "nothing was kept, as no folder was given"
        raise TrainingError(f"interrupted by {self.received or 'another process'} after step {step}; {go_on}")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name
