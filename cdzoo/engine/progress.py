"""One progress line for a whole training run."""

from __future__ import annotations

import sys
import time

import torch
from tqdm import tqdm

from cdzoo.ops.backends import choose

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class ProgressLine:
    """Shows steps done and left, time left, loss, last validation F1, pairs a second, waiting, memory and scan backend.

    Args:
        total: Steps of the run.
        done: Steps done already, by the run that is continued.
        device: Where the model is.
        scans: Whether the model has a selective scan at all.
        shown: Draw the line; the figures are kept in any case.
    """

    def __init__(self, total: int, done: int, device: torch.device, scans: bool, shown: bool) -> None:
        self.device = device
        self.backend = choose(device.type) if scans else ""
        self.f1: float | None = None
        self.bar = tqdm(total=total, initial=done, desc="training", unit="step", dynamic_ncols=True, disable=not shown)
        self.reset()

    def reset(self) -> None:
        """Begin new figures, at the start of an epoch."""
        self.began = time.perf_counter()
        self.waited = 0.0
        self.pairs = 0

    def step(self, pairs: int, waited: float, loss: float | None, skipped: int) -> None:
        """Move on by one step of `pairs` pairs that waited `waited` seconds for its data."""
        self.pairs += pairs
        self.waited += waited
        facts = {"loss": "-" if loss is None else f"{loss:.3f}"}
        if self.f1 is not None:
            facts["F1"] = f"{self.f1:.3f}"
        facts |= {"pairs/s": f"{self.rate():.1f}", "wait": f"{self.waiting():.0%}", "mem": self._memory()}
        if self.backend:
            facts["scan"] = self.backend
        if skipped:
            facts["skipped"] = str(skipped)
        self.bar.set_postfix(facts, refresh=False)
        self.bar.update()

    def rate(self) -> float:
        """Return pairs per second of this epoch, over all devices."""
        return self.pairs / max(1e-9, time.perf_counter() - self.began)

    def waiting(self) -> float:
        """Return the share of this epoch's time that was spent waiting for data."""
        return self.waited / max(1e-9, time.perf_counter() - self.began)

    def close(self) -> None:
        """Leave the last state of the line on the screen."""
        self.bar.close()

    def _memory(self) -> str:
        if self.device.type == "cuda":
            return f"{torch.cuda.max_memory_allocated(self.device) / 2**30:.1f}G"
        if resource is None:
            return "-"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return f"{peak / (2**30 if sys.platform == 'darwin' else 2**20):.1f}G"
