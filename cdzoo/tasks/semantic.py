"""`SemanticTask`: change, and the land cover before and after it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from cdzoo.constants import IGNORE_INDEX, RGB
from cdzoo.errors import ConfigError
from cdzoo.losses import OutputsLoss, change_probability, create_outputs_loss
from cdzoo.metrics import (
    ClassCounts,
    Confusion,
    Scores,
    class_scores,
    from_to_codes,
    from_to_scores,
    second_scores,
    transitions,
)
from cdzoo.tasks.base import MapSpec, Output, OutputSpec, Target, Task
from cdzoo.tasks.binary import nothing_predicted
from cdzoo.tasks.classes import check_class_names, check_colors, on_array, reaches
from cdzoo.tasks.palette import NO_CHANGE, class_colors, from_to_colors

DATES = ("semantic_t1", "semantic_t2")
_MOST = 15  # from-to codes are uint8, with 255 for ignored pixels


class SemanticTask(Task):
    """Semantic change detection: change (1 or 2 logits) and one of K land-cover classes at both dates (K + 1 logits each).

    A pixel is changed if its probability of change reaches the threshold, and has then at each date the class 1..K with the
    highest probability; logit 0 of the land cover is neither trained nor predicted. The main map is the from-to code
    (a - 1) * K + b of a change from class a to class b, 0 where nothing changed.

    Targets: `mask` {0, 1}; `semantic_t1` and `semantic_t2`, 0 where no class is given, else 1..K. Classes in unchanged pixels are
    used for training. In scores, they are unchanged; changed pixels that lack a class of either date count for change only.
    Further scores are those of `second_scores`, `from_to_scores`, and `class_scores` over both dates.

    Args:
        class_names: Name of each land-cover class.
        colors: Color of each class; natural or distinct ones by default.

    Raises:
        ConfigError: There are no or more than 15 classes, or names are not unique.
    """

    name = "semantic"

    def __init__(self, class_names: Sequence[str] = (), colors: Sequence[RGB] | None = None) -> None:
        check_class_names(self.name, class_names, "the land cover", 1, _MOST)
        super().__init__(class_names)
        self.colors = check_colors(colors or class_colors(class_names), class_names)

    @property
    def default_num_classes(self) -> int:
        """One logit of change."""
        return 1

    @property
    def targets(self) -> dict[str, int]:
        """Change mask and land cover of both dates."""
        return {"mask": 2, **dict.fromkeys(DATES, len(self.class_names) + 1)}

    @property
    def maps(self) -> dict[str, MapSpec]:
        """From-to codes, and the land cover of changed pixels at each date."""
        names = tuple(f"{before} to {after}" for before in self.class_names for after in self.class_names)
        date = MapSpec(("unchanged", *self.class_names), (NO_CHANGE, *self.colors))
        return {"from_to": MapSpec(("unchanged", *names), from_to_colors(self.colors)), **dict.fromkeys(DATES, date)}

    @property
    def shown_maps(self) -> tuple[str, ...]:
        """Land cover at both dates."""
        return DATES

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Change, and the classes of both dates."""
        return ("change", *(f"{date}: {name}" for date in DATES for name in self.class_names))

    def outputs(self, num_classes: int) -> dict[str, OutputSpec]:
        """Return change from both dates, and the land cover of each date."""
        classes = len(self.class_names) + 1
        return {"change": OutputSpec(num_classes), **{name: OutputSpec(classes, (date,)) for date, name in enumerate(DATES)}}

    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` for more than two logits of change."""
        if num_classes > 2:
            raise ConfigError(
                f"num_classes={num_classes} are the logits of change, which are 1 or 2 for the task 'semantic'; its land cover "
                "has one logit for each of class_names and one more"
            )

    def create_loss(self, loss: str = "bce", change_weight: float = 1.0) -> nn.Module:
        """Return the loss of the three outputs, see `cdzoo.losses.create_outputs_loss`: those of land cover have the weight 0.5.

        The loss of MambaSCD is `"ce+0.75*lovasz+0.25*similarity"`, and that of SCanNet
        `"balanced_bce@change+ce@semantic+consistency"`.
        """
        return SemanticLoss(create_outputs_loss(loss, {"change": 1.0, **dict.fromkeys(DATES, 0.5)}, DATES, change_weight))

    def probabilities(self, output: Output) -> Tensor:
        """Return probabilities (B, 1 + 2K, H, W): of change, of each class at the first date, and at the second, float32."""
        assert isinstance(output, dict)
        dates = [output[name][:, 1:].float().softmax(1) for name in DATES]
        return torch.cat([change_probability(output["change"])[:, None], *dates], 1)

    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return the from-to code of each pixel (H, W)."""
        return self.predict_maps(probability, threshold)["from_to"]

    def predict_maps(self, probability: npt.NDArray[np.float32], threshold: float) -> dict[str, npt.NDArray[np.uint8]]:
        """Return from-to codes, and the land cover at each date, 0 where nothing changed."""
        return on_array(self._compose, probability, threshold)

    def swap_dates(self, target: Target) -> dict[str, Tensor]:
        """Return the targets with the land cover of the dates exchanged."""
        return {**target, **{name: target[other] for name, other in zip(DATES, DATES[::-1], strict=True)}}

    def swap_probabilities(self, probabilities: Tensor) -> Tensor:
        """Return the probabilities with the land cover of the dates exchanged."""
        first, second = probabilities[:, 1:].chunk(2, 1)
        return torch.cat([probabilities[:, :1], second, first], 1)

    def classes(self, target: Target) -> Tensor:
        """Return the from-to code of each pixel."""
        first, second, valid = _truth(target)
        return torch.where(valid, from_to_codes(first, second, len(self.class_names)), IGNORE_INDEX)

    def true_maps(self, target: Target) -> dict[str, Tensor]:
        """Return from-to codes, and the land cover of changed pixels at each date."""
        *dates, valid = _truth(target)
        known = {name: torch.where(valid, values, IGNORE_INDEX) for name, values in zip(DATES, dates, strict=True)}
        return {"from_to": self.classes(target), **known}

    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> ClassCounts:
        """Return pixel counts of change and the confusion matrices `"land_cover"` (of both dates) and `"from_to"`."""
        maps = self.maps
        labels = {"land_cover": maps[DATES[0]].class_names, "from_to": maps["from_to"].class_names}
        return ClassCounts(labels, self._finish, threshold, device)

    def update(self, counter: ClassCounts, probabilities: Tensor, target: Target) -> list[Confusion]:
        """Count the pixels of a batch; return the confusion matrix of change of each sample."""
        found = self._compose(probabilities, counter.change.threshold)
        first, second, valid = _truth(target)
        for name, truth in zip(DATES, (first, second), strict=True):
            counter.add("land_cover", found[name], truth, valid)
        counter.add("from_to", found["from_to"], from_to_codes(first, second, len(self.class_names)), valid)
        return counter.change.update(probabilities[:, 0], target["mask"])

    def warning(self, scores: Scores) -> str:
        """Return a warning if no pixel is predicted as changed."""
        return nothing_predicted(scores, "changed")

    def _compose(self, probabilities: Tensor, threshold: float) -> dict[str, Tensor]:
        """Return the maps of a batch of probabilities (B, 1 + 2K, H, W)."""
        changed = reaches(probabilities[:, 0], threshold)
        first, second = (torch.where(changed, p.argmax(1) + 1, 0) for p in probabilities[:, 1:].chunk(2, 1))
        codes = from_to_codes(first, second, len(self.class_names))
        return {"from_to": codes, **dict(zip(DATES, (first, second), strict=True))}

    def _finish(self, scores: Scores) -> Scores:
        both, codes = scores.matrices["land_cover"], scores.matrices["from_to"]
        further = second_scores(both) | from_to_scores(codes) | class_scores(both, ("", *self.class_names))
        found = dict(zip(("transitions_predicted", "transitions_true"), transitions(codes, len(self.class_names)), strict=True))
        labels = scores.labels | {name: list(self.class_names) for name in found}
        return dataclasses.replace(scores, further=further, matrices=scores.matrices | found, labels=labels)


class SemanticLoss(nn.Module):
    """Applies a loss to change and to the land cover of both dates, without pixels whose class is not given."""

    def __init__(self, loss: OutputsLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Output, target: Target) -> Tensor:
        """Return the loss of the outputs of a model; outputs that are not given are left out."""
        outputs = {"change": output} if isinstance(output, Tensor) else output
        given = {name: torch.where(target[name] == 0, IGNORE_INDEX, target[name]) for name in DATES}
        return self.loss(outputs, {"change": target["mask"], **given})


def _truth(target: Target) -> tuple[Tensor, Tensor, Tensor]:
    """Return the land cover of both dates, 0 where nothing changed, and where both are known."""
    mask, first, second = target["mask"], *(target[name] for name in DATES)
    known = (mask == 1) & (first > 0) & (first != IGNORE_INDEX) & (second > 0) & (second != IGNORE_INDEX)
    return torch.where(known, first, 0), torch.where(known, second, 0), known | (mask == 0)
