"""Graceful shutdown: Ctrl-C and the signals of schedulers end a run after its current step, with a training state."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cdzoo.data.loader import SIGNALS
from cdzoo.errors import TrainingStopped


class GracefulShutdown(AbstractContextManager["GracefulShutdown"]):
    """Records signals within a `with` block; a second Ctrl-C raises `KeyboardInterrupt`.

    Other signals may come twice, as torchrun passes on what the scheduler sends to every process. Signals that the process was
    started to ignore (nohup) stay ignored. Handlers can only be installed in the main thread; in other threads the block has no
    effect.
    """

    def __init__(self) -> None:
        self._received: str | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> GracefulShutdown:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Whether a signal was received."""
        return self._received is not None

    def raise_stopped(self, step: int, out: Path | None) -> NoReturn:
        """Raise `TrainingStopped` with a message that explains how to resume."""
        hint = f"continue with: cdzoo train --resume {out}" if out else "nothing was saved, as no folder was given"
        raise TrainingStopped(f"interrupted by {self._received or 'another process'} after step {step}; {hint}")

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name
