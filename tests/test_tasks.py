"""Tasks of several classes: probabilities, maps, targets, scores, class names and colors."""

import numpy as np
import pytest
import torch

from cdzoo.errors import ConfigError
from cdzoo.metrics import Confusion
from cdzoo.tasks import BinaryTask, DamageTask, MulticlassTask, SemanticTask, get_task
from cdzoo.tasks.palette import class_colors, from_to_colors, grade_colors

KINDS = ("no change", "new building", "new road", "gone")
LAND_COVER = ("water", "low vegetation", "building")
GRADES = ("none", "minor", "major", "destroyed")
TASKS = [MulticlassTask(KINDS), SemanticTask(LAND_COVER), DamageTask(GRADES)]
NAMES = [task.name for task in TASKS]


def output(task, size=(2, 12, 10)):
    logits = {
        name: 2 * torch.randn(size[0], spec.num_classes, *size[1:])
        for name, spec in task.outputs(task.default_num_classes).items()
    }
    return logits if len(logits) > 1 else logits["change"]


def targets(task, size=(2, 12, 10)):
    """Return random targets whose maps agree, with ignored pixels."""
    found = {name: torch.randint(0, values, size) for name, values in task.targets.items()}
    if task.name == "semantic":
        for name in ("semantic_t1", "semantic_t2"):
            found[name] = found["mask"] * torch.randint(1, task.targets[name], size)
    if task.name == "damage":
        found["building"] = (found["damage"] > 0).long()
    for values in found.values():
        values[:, :2] = 255
    return found


def counted(task, probabilities, target, threshold=0.5):
    counter = task.create_counter(threshold)
    return task.update(counter, probabilities, target), counter.summary()


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
class TestTask:
    def test_is_found_by_name(self, task):
        found = get_task(task.name, task.class_names)
        assert type(found) is type(task) and found.class_names == task.class_names and found.colors == task.colors
        with pytest.raises(ConfigError, match="needs class_names"):
            get_task(task.name)

    def test_maps_have_the_declared_values(self, task):
        probability = task.probabilities(output(task))
        assert probability.dtype == torch.float32 and 0 <= probability.min() and probability.max() <= 1
        maps = task.predict_maps(probability[0].numpy(), 0.3)
        assert list(maps) == list(task.maps)
        for name, values in maps.items():
            spec = task.maps[name]
            assert values.dtype == np.uint8 and values.shape == (12, 10) and values.max() < len(spec.class_names)
            assert len(spec.class_names) == len(spec.colors) == len(set(spec.colors)) and (128, 128, 128) not in spec.colors
        first = next(iter(maps))
        np.testing.assert_array_equal(maps[first], task.predict(probability[0].numpy(), 0.3))
        flipped = task.predict(probability[0].numpy()[:, ::-1], 0.3)  # an array with negative strides
        np.testing.assert_array_equal(flipped, maps[first][::-1])

    def test_a_perfect_prediction_has_perfect_scores(self, task):
        target = targets(task)
        confusions, scores = counted(task, perfect(task, target), target)
        assert scores.f1 == scores.oa == 1 and sum(confusions[1:], confusions[0]).pixels == 2 * 10 * 10
        assert all(value == pytest.approx(1, abs=2e-6) for value in scores.further.values()), scores.further
        assert tuple(scores.further) == task.score_names
        main = task.classes(target)
        np.testing.assert_array_equal(task.predict(perfect(task, target)[0].numpy(), 0.5)[2:], main[0, 2:].numpy())
        assert (main[:, :2] == 255).all()

    def test_nothing_predicted_and_nothing_labelled_have_defined_scores(self, task):
        target = targets(task)
        probability = torch.zeros_like(task.probabilities(output(task)))
        probability[:, 0] = 1.0 if task.name == "multiclass" else 0.0
        _, scores = counted(task, probability, target)
        assert all(np.isfinite(value) for value in scores.further.values()) and "no pixel" in task.warning(scores)
        _, empty = counted(task, probability, {name: torch.full_like(t, 255) for name, t in target.items()})
        assert all(abs(value) <= 1e-6 for value in empty.further.values()) and empty.images == 0

    def test_scores_are_independent_of_batches_and_of_ignored_pixels(self, task):
        target, probability = targets(task, (4, 12, 10)), task.probabilities(output(task, (4, 12, 10)))
        _, whole = counted(task, probability, target, 0.37)
        counter = task.create_counter(0.37)
        for index in (2, 0, 3, 1):
            task.update(counter, probability[[index], :, 2:], {name: t[[index], 2:] for name, t in target.items()})
        assert counter.summary() == whole
        assert whole.f1 == whole.confusion.f1 and whole[task.score_names[0]] == whole.further[task.score_names[0]]
        for name, matrix in whole.matrices.items():
            assert len(matrix) == len(matrix[0]) and sum(map(sum, matrix)) > 0, name

    def test_the_maps_agree_with_the_counts(self, task):
        target, probability = targets(task), task.probabilities(output(task))
        _, scores = counted(task, probability, target, 0.3)
        predicted = np.stack([task.predict(p, 0.3) for p in probability.numpy()])
        truth = task.classes(target).numpy()
        name = {"multiclass": "classes", "semantic": "from_to", "damage": "damage"}[task.name]
        matrix = np.zeros_like(scores.matrices[name])
        np.add.at(matrix, (predicted[truth != 255], truth[truth != 255]), 1)
        np.testing.assert_array_equal(matrix, scores.matrices[name])

    def test_class_names_are_validated(self, task):
        repeated = (*task.class_names, task.class_names[-1].upper())
        with pytest.raises(ConfigError, match="must be different"):
            type(task)(repeated)
        with pytest.raises(ConfigError, match="got 300"):
            type(task)([str(index) for index in range(300)])

    def test_colors_can_be_replaced(self, task):
        colors = [(index, 1, 2) for index in range(len(task.class_names))]
        changed = type(task)(task.class_names, colors)
        assert changed.colors == tuple(colors) and set(colors) <= {c for spec in changed.maps.values() for c in spec.colors}
        with pytest.raises(ConfigError, match="colors must be"):
            type(task)(task.class_names, [(0, 0, 256)] * len(colors))

    def test_other_numbers_of_logits_are_refused(self, task):
        task.check(task.default_num_classes)
        with pytest.raises(ConfigError, match="num_classes=9"):
            task.check(9)


def perfect(task, target):
    """Return probabilities that agree with a target."""

    def one_hot(values, count):
        return torch.nn.functional.one_hot(torch.where(values == 255, 0, values), count).movedim(-1, 1).float()

    if task.name == "multiclass":
        return one_hot(target["mask"], len(KINDS))
    if task.name == "semantic":
        dates = [one_hot(target[name], 4)[:, 1:] for name in ("semantic_t1", "semantic_t2")]
        return torch.cat([(target["mask"] == 1).float()[:, None], *dates], 1)
    return torch.cat([(target["building"] == 1).float()[:, None], one_hot(target["damage"], 5)[:, 1:]], 1)


def test_a_kind_of_change_needs_the_threshold():
    probability = np.float32([[[0.5, 0.6, 0.2]], [[0.1, 0.3, 0.5]], [[0.4, 0.1, 0.3]]])
    task = MulticlassTask(KINDS[:3])
    assert task.predict(probability, 0.5).tolist() == [[2, 0, 1]] and task.predict(probability, 0.3).tolist() == [[2, 1, 1]]


def test_land_cover_is_the_arg_max_without_channel_0():
    logits = torch.full((1, 4, 1, 2), -5.0)
    logits[:, 0], logits[0, 2, 0, 0], logits[0, 3, 0, 1] = 9.0, 0.0, 0.0
    outputs = {"change": torch.tensor([[[[3.0, -3.0]]]]), "semantic_t1": logits, "semantic_t2": logits.flip(3)}
    task = SemanticTask(LAND_COVER)
    maps = task.predict_maps(task.probabilities(outputs)[0].numpy(), 0.5)
    assert {name: values.tolist() for name, values in maps.items()} == {
        "from_to": [[6, 0]],  # (2 - 1) * 3 + 3
        "semantic_t1": [[2, 0]],
        "semantic_t2": [[3, 0]],
    }
    assert task.maps["from_to"].class_names[6] == "low vegetation to building"


def test_changed_pixels_without_a_class_count_for_change_only():
    task = SemanticTask(LAND_COVER)
    target = {"mask": torch.tensor([[[1, 1, 0, 0, 255]]])}
    target |= {"semantic_t1": torch.tensor([[[1, 1, 255, 2, 1]]]), "semantic_t2": torch.tensor([[[3, 0, 0, 1, 1]]])}
    assert task.classes(target).tolist() == [[[3, 255, 0, 0, 255]]]
    (confusion,), scores = counted(task, torch.zeros(1, 7, 1, 5), target)
    assert confusion == Confusion(0, 0, 2, 2) and sum(map(sum, scores.matrices["from_to"])) == 3


def test_swapped_dates_transpose_the_codes():
    task = SemanticTask(LAND_COVER)
    target = targets(task)
    swapped = task.swap_dates(target)
    a, b = task.classes(target), task.classes(swapped)
    known = (a != 255) & (a > 0)
    assert torch.equal((a[known] - 1) // 3, (b[known] - 1) % 3) and torch.equal(a == 0, b == 0)
    assert not DamageTask(GRADES).swappable and BinaryTask().swap_dates({"mask": a})["mask"] is a


def test_a_building_without_a_known_grade_counts_for_buildings_only():
    task = DamageTask(GRADES)
    target = {"building": torch.tensor([[[1, 1, 0, 255]]]), "damage": torch.tensor([[[255, 2, 0, 1]]])}
    assert task.classes(target).tolist() == [[[255, 2, 0, 255]]]
    (confusion,), scores = counted(task, torch.ones(1, 5, 1, 4), target)
    assert confusion == Confusion(2, 1, 0, 0) and sum(map(sum, scores.matrices["damage"])) == 2


def test_default_colors_are_different_and_natural():
    for count in (1, 4, 20, 254):
        assert len(set(grade_colors(count))) == count == len(set(class_colors([str(i) for i in range(count)])))
    colors = class_colors(["Water", "tree", "water body", *"abcdefghijkl"])
    assert colors[0] == (40, 110, 240) and colors[1] == (20, 130, 50) and len({*colors}) == 15
    assert len(set(from_to_colors(colors))) == 226
