"""Semi-supervised training from pairs without masks: consistency of weakly and strongly augmented views.

Follows UniMatch: L. Yang, L. Qi, L. Feng, W. Zhang, Y. Shi, "Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic
Segmentation", CVPR 2023, arXiv 2208.09910, with the losses and weights of its change detection code. The network labels the weak
view; where it is confident, its predictions for two strong views and for perturbed features of the weak view learn these labels.
`docs/semi.md` lists what differs from the official code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.constants import IGNORE_INDEX
from cdzoo.data.contract import check_samples
from cdzoo.data.sampler import Samples
from cdzoo.engine.batch_augment import BatchAugment
from cdzoo.engine.config import TrainCfg
from cdzoo.engine.objective import Objective
from cdzoo.errors import ConfigError, InputError
from cdzoo.models.detector import ChangeDetector
from cdzoo.models.preprocess import normalize

SEMI_COLUMNS = ("unlabeled_loss", "confident", "confident_change")
"""Means in the log: loss of unlabeled pairs, and shares of their valid pixels with a confident label, and with one of change."""

_STRONG = BatchAugment(jitter=0.5, blur=0.5, cutmix=0.5)
_VIEWS = 2
_DROP = 0.5
_STRONG_WEIGHT, _PERTURBED_WEIGHT = 0.25, 0.5


class Views(NamedTuple):
    """Views of a batch of pairs without masks.

    Attributes:
        weak: One tensor (B, bands, H, W) per date, in [0, 1], after geometric augmentation only.
        strong: The same for all strong views, (2 B, bands, H, W).
        origin: Index in the batch of the pair that each pixel of a strong view is from, (2 B, H, W) int64.
        valid: Pixels of the weak view with data, (B, H, W) bool.
    """

    weak: list[Tensor]
    strong: list[Tensor]
    origin: Tensor
    valid: Tensor


class SemiObjective(Objective):
    """A model and its loss on a batch with masks and a batch without."""

    def __init__(self, model: ChangeDetector, cfg: TrainCfg) -> None:
        super().__init__(model, cfg)
        self.confidence, self.unlabeled_weight = cfg.confidence, cfg.unlabeled_weight

    def forward(  # type: ignore[override]
        self, images: Sequence[Tensor], target: Mapping[str, Tensor], views: Views
    ) -> tuple[Tensor, Tensor]:
        """Return the loss, and the values of `SEMI_COLUMNS` without gradients.

        Args:
            images: One tensor (B, bands, H, W) per date, in [0, 1].
            target: Tensors (B, H, W) int64 by name.
            views: Views of the pairs without masks.
        """
        supervised = super().forward(images, target)
        weak = [normalize(image, self.mean, self.std) for image in views.weak]
        strong = [normalize(image, self.mean, self.std) for image in views.strong]
        logits, perturbed = self.model.forward_perturbed(*weak, drop=_DROP)
        labels, confidence = pseudo_labels(logits)
        confident = confidence >= self.confidence
        output = self.model(*strong)
        output = output if isinstance(output, Tensor) else output[self.model.task.main_output]
        learned = [values.gather(0, views.origin).chunk(_VIEWS) for values in (labels, confident, views.valid)]
        strong_losses = [consistency_loss(*view) for view in zip(output.chunk(_VIEWS), *learned, strict=True)]
        unlabeled = _STRONG_WEIGHT * torch.stack(strong_losses).sum()
        unlabeled = unlabeled + _PERTURBED_WEIGHT * consistency_loss(perturbed, labels, confident, views.valid)
        count = views.valid.sum().clamp_min(1)
        sure = confident & views.valid
        shares = [sure.sum() / count, (sure & (labels > 0)).sum() / count]
        logged = torch.stack([unlabeled.detach().float(), *shares])
        return supervised + self.unlabeled_weight * unlabeled, logged


def draw_views(images: Sequence[Tensor], target: Mapping[str, Tensor], generator: torch.Generator) -> Views:
    """Return the views of a batch whose crops, scales and flips were drawn before.

    Args:
        images: One tensor (B, bands, H, W) per date, in [0, 1].
        target: Only 255 in `target["mask"]` is used: pixels without data.
        generator: Generator on the CPU.
    """
    count, _, height, width = images[0].shape
    index = torch.arange(count, device=images[0].device)[:, None, None].expand(count, height, width)
    valid = target["mask"] != IGNORE_INDEX if "mask" in target else torch.ones_like(index, dtype=torch.bool)
    copies = [[image.clone() for image in images] for _ in range(_VIEWS)]
    origins = [index.clone() for _ in range(_VIEWS)]
    for copy, origin in zip(copies, origins, strict=True):
        _STRONG(copy, {"origin": origin}, generator)
    return Views(list(images), [torch.cat(dates) for dates in zip(*copies, strict=True)], torch.cat(origins), valid)


def pseudo_labels(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the most probable class (B, H, W) int64 and its probability (B, H, W), without gradients.

    Args:
        logits: Logits (B, K, H, W): of a sigmoid for one class, of a softmax for more.
    """
    logits = _precise(logits.detach())
    if logits.shape[1] > 1:
        confidence, labels = logits.softmax(1).max(1)
        return labels, confidence
    probability = logits[:, 0].sigmoid()
    return (probability > 0.5).long(), torch.maximum(probability, 1 - probability)


def consistency_loss(logits: Tensor, labels: Tensor, confident: Tensor, valid: Tensor) -> Tensor:
    """Return the cross-entropy of the confident pixels, summed and divided by the number of all valid pixels.

    Args:
        logits: Logits (B, K, H, W).
        labels: Pseudo labels (B, H, W) int64.
        confident: Pixels whose label is learned, (B, H, W) bool.
        valid: Pixels with data, (B, H, W) bool.
    """
    logits = _precise(logits)
    if logits.shape[1] == 1:
        each = F.binary_cross_entropy_with_logits(logits[:, 0], labels.to(logits.dtype), reduction="none")
    else:
        each = F.cross_entropy(logits, labels, reduction="none")
    return (each * (confident & valid)).sum() / valid.sum().clamp_min(1)


def check_unlabeled(cfg: TrainCfg, splits: Mapping[str, Samples], model: ChangeDetector) -> None:
    """Check the settings and the pairs of semi-supervised training.

    Args:
        cfg: Settings.
        splits: Samples by split, those without masks as `"unlabeled"`.
        model: Model.

    Raises:
        ConfigError: The model has several outputs, or there are samples without masks but `cfg.semi` is not set.
        InputError: There are no samples without masks, or they do not suit the model.
    """
    if not cfg.semi:
        if "unlabeled" in splits:
            raise ConfigError("pairs without masks are for semi-supervised training: set semi='unimatch', or leave them out")
        return
    task = model.task
    if len(task.outputs(model.num_classes)) > 1 or list(task.targets) != ["mask"]:
        raise ConfigError(
            f"semi={cfg.semi} learns one map, but the task '{task.name}' has several (targets {', '.join(task.targets)}): leave "
            "semi out"
        )
    if not len(splits.get("unlabeled", ())):
        raise InputError(
            f"semi={cfg.semi} needs pairs without masks: name the pairs whose masks are used with --labeled LIST.txt, or a "
            "folder of further pairs with --unlabeled FOLDER"
        )
    check_samples(splits["unlabeled"], model.config.bands, "unlabeled", {})


def _precise(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()
