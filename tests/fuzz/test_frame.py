"""The frame itself: it counts what is refused, and fails for tracebacks, hangs, and files written elsewhere."""

import time

import pytest

from cdzoo.errors import InputError


def refuse(rng, folder):
    (folder / "own").write_text("allowed")
    if rng.integers(2):
        raise InputError("no")


def test_outcomes_are_counted(fuzz, monkeypatch):
    monkeypatch.setenv("CDZOO_FUZZ", "2")
    outcomes = fuzz(refuse, 10)
    assert outcomes.total() == 20 and set(outcomes) == {"done", "refused"}


def crash(rng, folder):
    raise KeyError("a")


def escape(rng, folder):
    (folder.parent / "beside").touch()


def escape_far(rng, folder):
    (folder.parents[3] / "beside").mkdir()


def hang(rng, folder):
    try:
        time.sleep(5)
    except Exception:
        time.sleep(5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [(crash, "round 0: KeyError"), (escape, "round 0 wrote"), (escape_far, "wrote"), (hang, "more than 0.1")],
)
def test_what_is_wrong_fails(fuzz, monkeypatch, wrong, message):
    monkeypatch.setitem(fuzz.__globals__, "LIMIT", 0.1)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=message):
        fuzz(wrong, 1)
