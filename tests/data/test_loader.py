"""Loader processes: errors in one line, signals ignored, ends without waiting."""

import contextlib
import os
import signal
import time

import pytest
import torch

from cdzoo.data.loader import SIGNALS, load_samples
from cdzoo.errors import InputError


class Samples:
    """Tensors; one of them raises, sleeps, or ends its process."""

    def __init__(self, act=None, at=5):
        self.act, self.at = act, at

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if index == self.at and self.act is not None:
            self.act()
        return torch.tensor([index, os.getpid()])


def raises(error):
    def act():
        raise error

    return act


def numbers(batches):
    return [int(row[0]) for batch in batches for row in batch]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "error", [InputError("s4.png: the image is cut off"), FileNotFoundError(2, "No such file or directory", "s4.png")]
)
def test_an_error_of_a_sample_is_that_of_the_data_set(workers, error):
    with contextlib.closing(load_samples(Samples(raises(error)), workers, batch_size=2)) as batches:
        assert numbers([next(batches), next(batches)]) == [0, 1, 2, 3]
        with pytest.raises(type(error)) as raised:
            next(batches)
    assert str(raised.value) == str(error)


def test_an_error_of_the_conversion_is_raised_as_it_is():
    batches = load_samples(Samples(), 1, raises_when_called, batch_size=None)
    with pytest.raises(InputError, match=r"^not a sample$"):
        next(batches)


def raises_when_called(item):
    raise InputError("not a sample")


@pytest.mark.parametrize("number", SIGNALS)
def test_loader_processes_ignore_the_signals_of_schedulers(number):
    with contextlib.closing(load_samples(Samples(), 2, batch_size=1)) as batches:
        first = next(batches)
        for process in {int(first[0, 1]), int(next(batches)[0, 1])}:
            os.kill(process, number)
        assert numbers(batches) == list(range(2, 12))


def test_a_killed_loader_process_is_named():
    with contextlib.closing(load_samples(Samples(lambda: os.kill(os.getpid(), signal.SIGKILL)), 1, batch_size=1)) as batches:
        with pytest.raises(InputError, match=r"loads samples ended unexpectedly .*use fewer of them, or workers=0"):
            numbers(batches)


def test_errors_of_other_kinds_keep_their_traceback():
    with contextlib.closing(load_samples(Samples(raises(RuntimeError("a bug"))), 1, batch_size=1)) as batches:
        with pytest.raises(RuntimeError, match=r"(?s)Traceback.*a bug"):
            numbers(batches)


def test_an_iterator_that_is_closed_early_waits_for_no_process():
    batches = load_samples(Samples(lambda: time.sleep(60), at=3), 2, batch_size=1)
    process = int(next(batches)[0, 1])
    start = time.monotonic()
    batches.close()
    assert time.monotonic() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
