"""The frame of the fuzzers: seeded rounds, each with its own folder, a time limit, and a watch for files written elsewhere.

`CDZOO_FUZZ=50 pytest tests/fuzz -rP` runs fifty times as many rounds and shows how they ended.
"""

import os
import shutil
import signal
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cdzoo.errors import CdzooError

LIMIT = 10
"""Seconds that a round may take."""
_WRITES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1}
"""Events of Python's audit hooks that make a file, and which of their arguments is its path."""
_written: list[str] | None = None


class TooSlow(BaseException):
    """Not an Exception, so that no handler of the code under test stops it."""


@pytest.fixture
def fuzz(tmp_path):
    """Return `run(one_round, rounds)`, which calls `one_round(rng, folder)` with the seeds 0, 1, ... and counts the outcomes.

    A round ends well (it may return a word for its outcome), or with a `CdzooError`, counted as "refused". Anything else fails:
    another exception, a round that takes more than ten seconds, a file made outside of its folder.
    """

    def run(one_round, rounds):
        outcomes = Counter()
        for seed in range(int(rounds * float(os.environ.get("CDZOO_FUZZ", "1")))):
            folder = tmp_path / "outside" / "of" / "it" / str(seed)
            folder.mkdir(parents=True)
            written: list[str] = []
            try:
                outcome = _guarded(one_round, np.random.default_rng(seed), folder, written) or "done"
            except CdzooError as error:
                assert str(error), f"round {seed}: {type(error).__name__} without a message"
                outcome = "refused"
            except TooSlow:
                pytest.fail(f"round {seed} took more than {LIMIT} s")
            except Exception as error:
                raise AssertionError(f"round {seed}: {type(error).__name__}: {error}") from error
            astray = [path for path in (*written, *_others(tmp_path, folder)) if folder not in (Path(path), *Path(path).parents)]
            assert not astray, f"round {seed} wrote {astray}"
            outcomes[outcome] += 1
            shutil.rmtree(folder)
        print(f"{outcomes.total()} rounds: {', '.join(f'{count} {outcome}' for outcome, count in outcomes.most_common())}")
        return outcomes

    return run


@pytest.fixture
def damaged():
    """Return `damaged(rng, data)`, the bytes of a file with a few of them changed, removed or repeated, or cut off."""
    return _damaged


def _damaged(rng, data):
    """Return bytes with a few of them changed, removed or repeated, or cut off."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
        # Headers are at the beginning of most formats, tables at the end.
        at = [at, min(at, 200), len(data) - 1 - min(at, 200)][rng.integers(3)]
        how = rng.integers(5)
        if how == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            data[at : at + length] = rng.bytes(min(length, len(data) - at))
        elif how == 2:
            del data[at : at + length]
        elif how == 3:
            data[at:at] = data[at : at + length]
        else:
            del data[at + 1 :]
    return bytes(data)


def _guarded(one_round, rng, folder, written):
    global _written
    _written = written
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    compiled, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return one_round(rng, folder)
    finally:
        _written = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.dont_write_bytecode = compiled


def _stop(*_):
    raise TooSlow


def _others(root, folder):
    """Return what lies beside a folder and beside its parents up to `root`, written by code that audit hooks do not see."""
    steps = [folder, *folder.parents]
    return [path for step in steps[1 : steps.index(root) + 1] for path in step.iterdir() if path not in steps]


def _audit(event, arguments):
    if _written is None:
        return
    if event == "open" and isinstance(arguments[0], str | bytes) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        path = os.fsdecode(arguments[0])
    elif event in _WRITES and not isinstance(arguments[_WRITES[event]], int):
        path = os.fsdecode(arguments[_WRITES[event]])
    else:
        return
    if not path.startswith("/dev/"):
        _written.append(os.path.realpath(path))


sys.addaudithook(_audit)
