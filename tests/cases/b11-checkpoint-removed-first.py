"""A run was stopped at the end of an epoch, whose checkpoint is then written twice, and killed in the middle: the old folder
had been removed and the new one was not in place. Right: whenever the kill comes, a checkpoint of that step can be continued."""

import os
import sys
import tempfile
import traceback
from pathlib import Path

import torch

from cdzoo.errors import CdzooError


def attempt(call, *kinds):
    """Return what a call gives, or the error of the project that it raises."""
    try:
        return call(), None
    except (CdzooError, *kinds) as error:
        return None, error


def in_child(call):
    """Run a function in a forked process and return how that ended: its exit code, or the negative signal."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            code = call() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def case(place):
    from cdzoo.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

    weights = {"weight": torch.arange(4.0)}
    state = {"settings": {}, "optimizer": {}, "step": 4}
    calls = ("replace", "rename", "rmdir", "unlink", "remove", "link")
    lost, tried = [], 0
    for most in range(40):
        out = place / f"run_{most}"
        save_checkpoint(out, 4, Checkpoint(weights, None, state))

        def dies(most=most, out=out):
            left = [most]

            def deadly(real):
                def call(*words, **options):
                    if left[0] == 0:
                        os._exit(9)
                    left[0] -= 1
                    return real(*words, **options)

                return call

            for name in calls:
                setattr(os, name, deadly(getattr(os, name)))
            save_checkpoint(out, 4, Checkpoint(weights, None, state))

        ended = in_child(dies)
        found, error = attempt(lambda out=out: load_checkpoint(out), OSError)
        if error is not None or found.state["step"] != 4 or not torch.equal(found.weights["weight"], weights["weight"]):
            lost.append(most)
        tried += 1
        if ended == 0:
            break
    else:
        raise RuntimeError("the second checkpoint was never finished")
    return f"killed at {len(lost)} of {tried} moments of the second writing, the run has no checkpoint left" if lost else None


if __name__ == "__main__":
    try:
        with tempfile.TemporaryDirectory() as folder:
            fault = case(Path(folder).resolve())
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    print(fault or "right")
    sys.exit(1 if fault else 0)
