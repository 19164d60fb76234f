"""`DamageTask`: buildings before an event, and the grade of their damage after it."""

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
from cdzoo.metrics import ClassCounts, Confusion, Scores, class_scores, damage_scores, xview2_scores
from cdzoo.tasks.base import MapSpec, Output, OutputSpec, Target, Task
from cdzoo.tasks.binary import nothing_predicted
from cdzoo.tasks.classes import check_class_names, check_colors, on_array, reaches
from cdzoo.tasks.palette import BUILDING, NO_CHANGE, grade_colors


class DamageTask(Task):
    """Building damage: buildings at the first date (2 logits) and one of K grades from both dates (K + 1 logits).

    A pixel is a building if its probability reaches the threshold, and has then the grade 1..K with the highest probability;
    logit 0 of the damage is neither trained nor predicted. The main map is the grade, 0 outside of buildings.

    Targets: `building` {0, 1}; `damage`, 0 where there is no building, else 1..K, 255 for a building whose grade is not known.
    The dates must not be swapped. The scores of "change" are those of buildings; further scores are those of `xview2_scores`,
    `damage_scores`, and `class_scores` of the grades over all pixels, false buildings among them.

    Args:
        class_names: Name of each grade, from no damage to the worst.
        colors: Color of each grade; from green to red by default.

    Raises:
        ConfigError: There are no or more than 254 grades, or names are not unique.
    """

    name = "damage"
    main_output = "damage"
    positive = "building"
    swappable = False

    def __init__(self, class_names: Sequence[str] = (), colors: Sequence[RGB] | None = None) -> None:
        check_class_names(self.name, class_names, "the grades from no damage to the worst", 1, IGNORE_INDEX - 1)
        super().__init__(class_names)
        self.colors = check_colors(colors or grade_colors(len(class_names)), class_names)

    @property
    def default_num_classes(self) -> int:
        """One logit for each grade, and one for background."""
        return len(self.class_names) + 1

    @property
    def targets(self) -> dict[str, int]:
        """Buildings and damage."""
        return {"building": 2, "damage": len(self.class_names) + 1}

    @property
    def maps(self) -> dict[str, MapSpec]:
        """Damage and buildings."""
        damage = MapSpec(("background", *self.class_names), (NO_CHANGE, *self.colors))
        return {"damage": damage, "building": MapSpec(("background", "building"), (NO_CHANGE, BUILDING))}

    @property
    def probability_names(self) -> tuple[str, ...]:
        """Building, and the grades."""
        return ("building", *self.class_names)

    def outputs(self, num_classes: int) -> dict[str, OutputSpec]:
        """Return buildings of the first date, and damage from both."""
        return {"building": OutputSpec(2, (0,)), "damage": OutputSpec(num_classes)}

    def check(self, num_classes: int) -> None:
        """Raise `ConfigError` unless there is one logit for each grade and one for background."""
        if num_classes != self.default_num_classes:
            raise ConfigError(
                f"num_classes={num_classes} must be {self.default_num_classes} for the task 'damage': background and "
                f"{len(self.class_names)} class_names ({', '.join(self.class_names)})"
            )

    def create_loss(self, loss: str = "bce", change_weight: float = 1.0) -> nn.Module:
        """Return the loss of both outputs, see `cdzoo.losses.create_outputs_loss`; damage is trained in buildings only.

        The loss of MambaBDA is `"ce+0.5*lovasz@building+0.75*lovasz@damage"`.
        """
        return DamageLoss(create_outputs_loss(loss, {"building": 1.0, "damage": 1.0}, change_weight=change_weight))

    def probabilities(self, output: Output) -> Tensor:
        """Return probabilities (B, 1 + K, H, W): of a building, and of each grade, float32."""
        assert isinstance(output, dict)
        return torch.cat([change_probability(output["building"])[:, None], output["damage"][:, 1:].float().softmax(1)], 1)

    def predict(self, probability: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
        """Return the grade of each pixel (H, W), 0 outside of buildings."""
        return self.predict_maps(probability, threshold)["damage"]

    def predict_maps(self, probability: npt.NDArray[np.float32], threshold: float) -> dict[str, npt.NDArray[np.uint8]]:
        """Return damage and buildings."""
        return on_array(_compose, probability, threshold)

    def classes(self, target: Target) -> Tensor:
        """Return the grade of each pixel, 0 outside of buildings."""
        building, damage = target["building"], target["damage"]
        known = (building == 0) | ((building == 1) & (damage > 0))
        return torch.where(known, damage, IGNORE_INDEX)

    def create_counter(self, threshold: float, device: torch.device | str = "cpu") -> ClassCounts:
        """Return pixel counts of buildings and the confusion matrices `"damage"` and `"damage_in_buildings"`."""
        labels = dict.fromkeys(("damage", "damage_in_buildings"), self.maps["damage"].class_names)
        return ClassCounts(labels, self._finish, threshold, device)

    def update(self, counter: ClassCounts, probabilities: Tensor, target: Target) -> list[Confusion]:
        """Count the pixels of a batch; return the confusion matrix of buildings of each sample."""
        building, damage = target["building"], target["damage"]
        found = _compose(probabilities, counter.change.threshold)["damage"]
        valid = (building != IGNORE_INDEX) & (damage != IGNORE_INDEX)
        counter.add("damage", found, damage, valid)
        counter.add("damage_in_buildings", probabilities[:, 1:].argmax(1) + 1, damage, valid & (building > 0))
        return counter.change.update(probabilities[:, 0], building)

    def warning(self, scores: Scores) -> str:
        """Return a warning if no pixel is predicted as a building."""
        return nothing_predicted(scores, "a building")

    def _finish(self, scores: Scores) -> Scores:
        matrix, in_buildings = scores.matrices["damage"], scores.matrices["damage_in_buildings"]
        further = xview2_scores(scores.confusion, matrix, in_buildings, self.class_names)
        further |= damage_scores(matrix) | class_scores(matrix, ("", *self.class_names))
        return dataclasses.replace(scores, further=further, positive=self.positive)


class DamageLoss(nn.Module):
    """Applies a loss to buildings, and to damage in pixels of buildings."""

    def __init__(self, loss: OutputsLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, output: Output, target: Target) -> Tensor:
        """Return the loss of the outputs of a model; outputs that are not given are left out."""
        outputs = {"damage": output} if isinstance(output, Tensor) else output
        damage = target["damage"]
        return self.loss(outputs, {"building": target["building"], "damage": torch.where(damage == 0, IGNORE_INDEX, damage)})


def _compose(probabilities: Tensor, threshold: float) -> dict[str, Tensor]:
    """Return the maps of a batch of probabilities (B, 1 + K, H, W)."""
    building = reaches(probabilities[:, 0], threshold)
    return {"damage": torch.where(building, probabilities[:, 1:].argmax(1) + 1, 0), "building": building}
