"""Scores of several classes on label maps of 4 x 4 pixels, whose values were computed by hand."""

import math

import pytest
import torch

from cdzoo.metrics import (
    ClassCounts,
    Confusion,
    bright_scores,
    class_scores,
    count_matrix,
    from_to_codes,
    from_to_scores,
    multiclass_scores,
    second_scores,
    split_scores,
    transitions,
    xview2_scores,
)


def grid(text):
    return torch.tensor([[int(value) for value in row.split()] for row in text.split("/")])


CHANGE = grid("0 0 1 1/0 0 1 1/0 1 1 1/0 0 0 1")
TRUTH = grid("0 0 1 1/0 0 1 2/0 3 3 2/0 0 0 5"), grid("0 0 2 2/0 0 5 5/0 1 5 1/0 0 0 6")
PREDICTED_CHANGE = grid("0 1 1 1/0 0 1 1/0 1 0 1/0 0 0 1")
ARG_MAX = grid("2 3 1 1/4 2 2 2/1 3 3 2/3 3 1 5"), grid("2 1 2 5/4 2 5 5/1 1 5 4/3 3 1 6")
PREDICTED = tuple(date * PREDICTED_CHANGE for date in ARG_MAX)
UNCHANGED = (torch.zeros(4, 4, dtype=torch.int64),) * 2
EVERYWHERE = tuple(torch.where(date > 0, date, 1) for date in TRUTH)


def semantic(predicted, truth, valid=None):
    matrix = sum(count_matrix(p, t, 7, valid) for p, t in zip(predicted, truth, strict=True)).tolist()
    codes = count_matrix(from_to_codes(*predicted, 6), from_to_codes(*truth, 6), 37, valid).tolist()
    return second_scores(matrix) | from_to_scores(codes), matrix, codes


# sek, f_scd, miou_scd, sek_from_to
SEMANTIC = {
    "example": (PREDICTED, TRUTH, (137 / 263 * math.exp(-2 / 9), 0.6875, 7 / 9, 0.375 * math.exp(-2 / 9))),
    "all unchanged": (UNCHANGED, TRUTH, (0, 0, 0.25, 0)),
    "all changed": (EVERYWHERE, TRUTH, (0.254440, 2 / 3, 0.25, 0.290937)),
    "perfect": (TRUTH, TRUTH, (1, 1, 1, 1)),
    "unchanged truth": (PREDICTED, UNCHANGED, (0, 0, 0.25, 0)),
    "both unchanged": (UNCHANGED, UNCHANGED, (0, 0, 0.5, 0)),
}


@pytest.mark.parametrize("case", SEMANTIC)
def test_scores_of_second(case):
    predicted, truth, expected = SEMANTIC[case]
    scores, _, _ = semantic(predicted, truth)
    assert [scores[name] for name in ("sek", "f_scd", "miou_scd", "sek_from_to")] == pytest.approx(expected, abs=1e-6)
    assert scores["second_score"] == pytest.approx(0.3 * expected[2] + 0.7 * expected[0], abs=1e-6)


def test_matrices_of_the_example():
    scores, matrix, codes = semantic(PREDICTED, TRUTH)
    assert [round(scores[name], 6) for name in ("sek", "sek_from_to")] == [0.417114, 0.300277]
    assert matrix[0][0] == 14 and sum(matrix[0]) == 16 and sum(map(sum, matrix)) == 32
    assert sum(matrix[i][i] for i in range(1, 7)) == 11 and sum(codes[i][i] for i in range(1, 37)) == 4
    assert from_to_codes(*TRUTH, 6).tolist() == grid("0 0 2 2/0 0 5 11/0 13 17 7/0 0 0 30").tolist()
    assert from_to_codes(*PREDICTED, 6).tolist() == grid("0 13 2 5/0 0 11 11/0 13 0 10/0 0 0 30").tolist()
    predicted, true = transitions(codes, 6)
    assert true[0] == [0, 2, 0, 0, 1, 0] and true[2][4] == 1 and true[4][5] == 1 and sum(map(sum, true)) == 8
    assert predicted[2] == [2, 0, 0, 0, 0, 0] and sum(map(sum, predicted)) == 8


def test_mean_over_dates_is_another_number():
    each = [second_scores(count_matrix(p, t, 7).tolist())["sek"] for p, t in zip(PREDICTED, TRUTH, strict=True)]
    assert sum(each) / 2 == pytest.approx(0.403943, abs=1e-6)


def test_renaming_classes_changes_nothing_and_exchanged_classes_are_negative():
    order = torch.tensor([0, 3, 5, 1, 6, 2, 4])
    renamed, _, _ = semantic([order[date] for date in PREDICTED], [order[date] for date in TRUTH])
    assert renamed == pytest.approx(semantic(PREDICTED, TRUTH)[0])
    assert second_scores([[0, 0, 0], [0, 0, 8], [0, 8, 0]])["sek"] == -1


def test_ignored_pixels_equal_missing_pixels():
    valid = torch.ones(4, 4, dtype=torch.bool)
    valid[0] = False
    truth = tuple(torch.where(valid, date, 255) for date in TRUTH)
    rows = semantic([date[1:] for date in PREDICTED], [date[1:] for date in TRUTH])
    assert semantic(PREDICTED, truth, valid) == rows


DAMAGE = grid("0 1 1 0/2 2 0 3/3 3 4 4/0 0 4 1")
FOUND = grid("0 1 1 1/1 0 0 1/1 1 1 1/0 0 0 1")
GRADES = grid("1 1 2 1/2 2 1 3/3 4 4 4/1 1 4 1")
NAMES = ("none", "minor", "major", "destroyed")


def damage(building, grades, truth, true_building=None):
    true_building = truth > 0 if true_building is None else true_building
    masked = count_matrix(torch.where(building > 0, grades, 0), truth, 5).tolist()
    inside = count_matrix(grades, truth, 5, true_building > 0).tolist()
    scores = xview2_scores(Confusion.of(building, true_building), masked, inside, NAMES)
    return [scores[f"xview2_f1_{name}"] for name in NAMES], scores


# F1 of the grades, xview2_damage, xview2, xview2_unmasked
GRADE_3_MADE_4 = torch.where(DAMAGE == 3, 4, DAMAGE)
XVIEW2 = {
    "example": (FOUND, GRADES, DAMAGE, None, (0.8, 0.5, 0.8, 2 / 3), (0.666668, 0.723810, 0.826635)),
    "no building": (0 * FOUND, GRADES, DAMAGE, None, (0, 0, 0, 0), (1e-6, 1e-6, 0.569492)),
    "absent": (GRADE_3_MADE_4 > 0, GRADE_3_MADE_4, GRADE_3_MADE_4, None, (1, 1, 0, 1), (4e-6, 0.300003, 0.300003)),
    "perfect": (DAMAGE > 0, DAMAGE, DAMAGE, None, (1, 1, 1, 1), (1.000001, 1.000001, 1.000001)),
}
WITHOUT_GRADE = (DAMAGE > 0).long()
WITHOUT_GRADE[0, 0] = 1
XVIEW2["building without grade"] = (
    FOUND, GRADES, DAMAGE, WITHOUT_GRADE, (0.8, 0.5, 0.8, 2 / 3), (0.666668, 0.712122, 0.787390)
)  # fmt: skip


@pytest.mark.parametrize("case", XVIEW2)
def test_scores_of_xview2(case):
    *maps, f1, expected = XVIEW2[case]
    grades, scores = damage(*maps)
    assert grades == pytest.approx(f1)
    found = [scores[name] for name in ("xview2_damage", "xview2", "xview2_unmasked")]
    assert found == pytest.approx(expected, abs=1.1e-6)  # 7 of the last digit: the official code clips F1 instead of adding


@pytest.mark.parametrize(
    ("change", "ious", "miou"),
    [({}, (7 / 9, 1 / 2, 1 / 4, 2 / 3), 0.548611), ({2: 1}, (0.777778, 0.571429, 0, 0.666667), 0.503968)],
)
def test_mean_iou_of_bright(change, ious, miou):
    truth, predicted = grid("0 1 1 0/2 2 0 3/3 3 0 0/0 0 0 1"), grid("0 1 2 1/2 0 0 3/3 2 0 0/0 0 0 1")
    for old, new in change.items():
        truth, predicted = (torch.where(values == old, new, values) for values in (truth, predicted))
    matrix = count_matrix(predicted, truth, 4).tolist()
    assert bright_scores(matrix)["bright_miou"] == pytest.approx(miou, abs=1e-6)
    each = class_scores(matrix, ("Back ground", "", "b", "c"))
    assert [each["iou_back_ground"], each["iou_b"], each["iou_c"]] == pytest.approx([ious[0], *ious[2:]], abs=1e-6)
    assert "iou_" not in each and each["f1_back_ground"] == pytest.approx(2 * ious[0] / (1 + ious[0]))
    assert not change or multiclass_scores(matrix)["miou_classes"] == pytest.approx((7 / 9 + 4 / 7 + 2 / 3) / 3)
    assert change or multiclass_scores(matrix)["oa_classes"] == 0.75


def test_scores_of_several_classes_agree_with_torchmetrics():
    from torchmetrics.functional.classification import (
        multiclass_cohen_kappa,
        multiclass_confusion_matrix,
        multiclass_f1_score,
        multiclass_jaccard_index,
    )

    predicted, truth = torch.randint(0, 5, (2, 9, 7)), torch.randint(0, 5, (2, 9, 7))
    matrix = count_matrix(predicted, truth, 5)
    assert torch.equal(matrix, multiclass_confusion_matrix(predicted, truth, 5).T)
    scores = multiclass_scores(matrix.tolist())
    assert scores["kappa_classes"] == pytest.approx(multiclass_cohen_kappa(predicted, truth, 5).item(), abs=1e-6)
    assert scores["miou_classes"] == pytest.approx(multiclass_jaccard_index(predicted, truth, 5).item(), abs=1e-6)
    f1 = multiclass_f1_score(predicted, truth, 5, average="none")
    assert scores["mf1_classes"] == pytest.approx(f1[1:].mean().item(), abs=1e-6)
    assert class_scores(matrix.tolist(), "abcde")["f1_d"] == pytest.approx(f1[3].item(), abs=1e-6)


def test_empty_matrices_have_defined_scores():
    empty = [[0] * 5] * 5
    scores = second_scores(empty) | from_to_scores(empty) | multiclass_scores(empty) | class_scores(empty, "abcde")
    scores |= bright_scores(empty)
    assert not any(scores.values())
    assert xview2_scores(Confusion(0, 0, 0, 0), empty, empty, NAMES)["xview2"] == pytest.approx(7e-7)


def test_one_reduction_adds_the_counts_of_all_processes(monkeypatch):
    def counted(*maps):
        counts = ClassCounts({"map": "abc"}, lambda scores: scores)
        for values in maps:
            counts.change.update(0.9 * (values > 0).float(), (values > 0).long())
            counts.add("map", values, values, values >= 0)
        return counts

    here, there = torch.randint(0, 3, (2, 4, 4)), torch.randint(0, 3, (1, 4, 4))
    both, other = counted(here, there).summary(), counted(there)
    calls = []

    def all_reduce(state):
        calls.append(state)
        state += torch.cat([part.flatten() for part in [*other.change.state(), *other.matrices.values()]])

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    assert counted(here).summary() == both and len(calls) == 1


def test_large_counts_stay_exact():
    counts = ClassCounts({"map": "ab"}, lambda scores: scores)
    counts.matrices["map"] += 2**60 + 1
    counts.add("map", torch.tensor([0]), torch.tensor([0]), torch.tensor([True]))
    assert counts.summary().matrices["map"][0][0] == 2**60 + 2
    assert second_scores([[2**60, 1], [1, 2**60]])["f_scd"] == 1.0


def test_scores_of_classes_are_told_from_others():
    names = ("Vegetation", "low vegetation", "damage")
    further = {"xview2": 0.1, "xview2_damage": 0.2, **class_scores([[1] * 3] * 3, names)}
    overall, rows = split_scores(further, names[:2])
    assert list(overall) == ["xview2", "xview2_damage", "f1_damage", "iou_damage"]
    assert [list(row) for row in rows] == [["class", "f1", "iou"]] * 2 and rows[1]["class"] == "low vegetation"
