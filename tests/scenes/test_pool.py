"""The workers of a list of scenes, without Ray: which scene is given to whom when workers are lost."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from cdzoo.errors import ConfigError, InputError
from cdzoo.scenes.cluster import _cores, _Pool
from cdzoo.scenes.many import Outcome, Scene


class RayError(Exception):
    """As of a worker that is lost."""


class RayTaskError(RayError):
    """As of a method that raises."""

    def __init__(self, cause):
        super().__init__(f"Traceback:\n  {cause}")
        self.cause = cause


@dataclass(eq=False)
class Reference:
    """Of the result of a method."""

    result: Outcome | None


class FakeRay:
    """Runs a method of a worker when its result is asked for, oldest first; `faults` are the errors of calls by their number."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, faults):
        self.faults, self.calls, self.started, self.killed = faults, 0, 0, 0

    def start(self):
        self.started += 1
        load = SimpleNamespace(remote=lambda: Reference(None))
        predict = SimpleNamespace(remote=lambda scene, patience: Reference(Outcome(scene.output, pixels=1 + (patience > 0))))
        return SimpleNamespace(load=load, predict=predict)

    def wait(self, references, num_returns, timeout):
        return references[:num_returns], references[num_returns:]

    def get(self, reference):
        self.calls += 1
        fault = self.faults(self.calls, reference.result)
        if fault is not None:
            raise fault
        return reference.result

    def kill(self, worker):
        self.killed += 1


def predict(faults, scenes=4, workers=2):
    ray = FakeRay(faults)
    pool = _Pool(ray, ray.start, "2 CPU cores")
    found = [*pool.predict([Scene("a", "b", str(number)) for number in range(scenes)], workers)]
    pool.end()
    return ray, {outcome.output: outcome for outcome in found}


def test_all_scenes_by_two_workers():
    ray, found = predict(lambda *_: None)
    assert sorted(found) == ["0", "1", "2", "3"] and ray.started == ray.killed == 2
    assert not any(outcome.lost or outcome.error for outcome in found.values())


def test_the_scene_of_a_lost_worker_is_predicted_by_another():
    """Which waits for a process that may still write."""
    ray, found = predict(lambda call, _: RayError("node died") if call == 3 else None)
    assert sorted(found) == ["0", "1", "2", "3"] and ray.started == 3
    assert [outcome.lost for _, outcome in sorted(found.items())] == [1, 0, 0, 0] and found["0"].pixels == 2


def test_a_scene_with_which_workers_are_lost_fails():
    _, found = predict(lambda _, result: RayError("out of memory\nmore") if result and result.output == "1" else None)
    assert sorted(found) == ["0", "1", "2", "3"]
    assert found["1"].error == "3 workers were lost (out of memory)" and found["1"].lost == 3
    assert not any(found[number].error for number in "023")


def test_workers_that_cannot_load_the_model():
    with pytest.raises(ConfigError, match="no such model"):
        predict(lambda *_: RayTaskError(ConfigError("no such model")))
    with pytest.raises(InputError, match="could not load the model: KeyError"):
        predict(lambda *_: RayTaskError("KeyError: 'x'"))
    with pytest.raises(InputError, match="11 workers in a row were lost"):
        predict(lambda _, result: RayError("killed") if result is None else None)


def test_cores_of_a_worker():
    assert _cores(2.0, [8.0, 4.0], 0) == 2 and _cores(2.0, [1.0, 1.0], 0) == 1
    assert _cores(2.0, [2.0], 2) == 1 and _cores(2.0, [8.0], 3) == 2 and _cores(2.0, [2.0], 3) == 0.67
    assert _cores(2.0, [], 0) == 2
