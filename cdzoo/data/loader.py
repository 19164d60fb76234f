"""Loading of samples in other processes, whose errors and signals are those of the main process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset, default_collate

from cdzoo.errors import CdzooError, InputError

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
"""Signals that end a run after its current step; loader processes ignore them, as schedulers send them to every process."""

_CARRIED = (CdzooError, OSError)


def load_samples(
    samples: Any, workers: int = 0, collate_fn: Callable[[Any], Any] = default_collate, **options: Any
) -> Generator[Any, None, None]:
    """Return an iterator over the batches of a `DataLoader`, whose processes are started at once.

    A sample that cannot be read raises the error of its data set, not the traceback of a loader process. Close the iterator
    (`contextlib.closing`) if it may not be exhausted: it ends the processes, which do not obey signals.

    Args:
        samples: Data set; any sequence.
        workers: Number of processes; 0 to load in this one.
        collate_fn: Makes a batch of a list of items, or converts an item without `batch_size` and `batch_sampler`.
        **options: Further options of `DataLoader`.

    Raises:
        InputError: A loader process was killed. Errors of samples are raised as they are.
    """
    dataset: Any = _Carrying(samples)
    start = _ignore_signals if workers else None
    loader = DataLoader(dataset, num_workers=workers, collate_fn=_Collate(collate_fn), worker_init_fn=start, **options)
    with _blocked_signals():
        iterator = iter(loader)
    return _batches(iterator)


@contextmanager
def loader_failures(connected: bool = False) -> Iterator[None]:
    """Raise `InputError` for a loader process that was killed: torch raises an exception of its own, in any statement.

    Args:
        connected: Whether the block reads from loader processes, so that a lost connection is that to one of them.
    """
    try:
        yield
    except (RuntimeError, EOFError, ConnectionError) as error:
        lost = connected and not isinstance(error, RuntimeError) and not str(error).startswith("Caught")
        if not lost and not str(error).startswith("DataLoader worker"):
            raise
        reason = str(error).partition("\n")[0].strip(". ") or type(error).__name__
        raise InputError(
            f"a process that loads samples ended unexpectedly ({reason}), most often because memory was short: use fewer of "
            "them, or workers=0"
        ) from error


def _batches(iterator: Any) -> Generator[Any, None, None]:
    workers = getattr(iterator, "_workers", ())
    with loader_failures(bool(workers)):
        try:
            for batch in iterator:
                if isinstance(batch, _CARRIED):
                    break
                yield batch
            else:
                return
        finally:
            if workers:
                iterator._shutdown_workers()
            for worker in workers:
                worker.kill()  # one that still reads would be waited for at exit
    raise batch


@dataclass(frozen=True)
class _Carrying(Dataset[Any]):
    """Samples whose errors are returned as items: `DataLoader` would turn them into the text of a traceback."""

    samples: Any

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: Any) -> Any:
        try:
            return self.samples[index]
        except _CARRIED as error:
            return error


@dataclass(frozen=True)
class _Collate:
    """Makes a batch of items, or passes the first error among them on."""

    collate_fn: Callable[[Any], Any]

    def __call__(self, items: Any) -> Any:
        failed = [item for item in (items if isinstance(items, list) else [items]) if isinstance(item, _CARRIED)]
        try:
            return failed[0] if failed else self.collate_fn(items)
        except _CARRIED as error:
            return error


@contextmanager
def _blocked_signals() -> Iterator[None]:
    """Delay signals, also those of processes that are started within the block until they ignore them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_signals(worker: int) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
