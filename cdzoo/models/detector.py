"""`ChangeDetector`: a change detection model composed of a backbone, a neck, a fusion, a decoder and a head."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cdzoo.compatibility import describe
from cdzoo.components import Backbone, Decoder, Fusion, Head, Identity, Neck, Pyramid, PyramidComponent
from cdzoo.config import KINDS, ModelCfg
from cdzoo.models.assemble import build_head
from cdzoo.models.branch import Branch, Branches, check_branch, check_branches
from cdzoo.models.checks import bands_of, check_chain, check_config, check_images, check_kinds, derive_config
from cdzoo.models.predicting import PredictionMixin
from cdzoo.models.preprocess import pad_edges
from cdzoo.models.pretrained import PretrainedMixin
from cdzoo.models.scale import check_scale
from cdzoo.models.summary import summary
from cdzoo.sizes import InputSizes
from cdzoo.tasks import Task, get_task
from cdzoo.tasks.base import Output

if TYPE_CHECKING:
    from cdzoo.weights.pretrained import PretrainedCfg


class ChangeDetector(PretrainedMixin, PredictionMixin):
    """Change detection model: co-registered images of two or more dates in, logits at input size out.

    Args:
        backbone: Encoder, shared by the dates unless `backbone2` is passed. With early fusion its input is the concatenation of
            the bands of all dates.
        neck: Refines the pyramid of each date with shared weights; None for no neck.
        fusion: Combines the pyramids of the dates.
        decoder: Refines the fused pyramid; None for no decoder.
        head: Predicts the logits.
        backbone2: Encoder of the second date, for example for radar and optical images.
        config: Description of the model; derived from the components by default.
        branches: Additional outputs by name.
        task: Meaning of the outputs; that of the config by default.

    Attributes:
        config: Description of the model.
        origin: File that the weights were loaded from; None for newly initialized weights.
        pretrained_cfg: Description of the loaded weights; None without published weights.
        task: Meaning of the outputs.
        branches: Additional outputs by name, each a `Branch`. If there are any, `forward` returns a dict that starts with the
            outputs of the task; that of the head is called `task.main_output`.
        fixed_input_size: Height and width that the network is built for; None if it accepts any size of at least 32 pixels.
        size_multiple: Height and width must be multiples of this.
        square: Whether height and width must be equal.
        local: Whether a logit depends only on a neighborhood of its pixel, so that windows predict the same as the whole image.
        exportable: Whether `torch.export` can trace the model.
        compilable: Whether `torch.compile` can compile the model.

    Raises:
        ChannelMismatchError: Two consecutive components disagree on channels or strides; the message names both.
        ConfigError: A component is of the wrong kind, the task does not support the number of logits or lacks a branch, or
            `config.input_scale` is not 1 for a network that takes images of certain sizes only.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck | None,
        fusion: Fusion,
        decoder: Decoder | None,
        head: Head,
        backbone2: Backbone | None = None,
        config: ModelCfg | None = None,
        branches: Mapping[str, Branch] | None = None,
        task: Task | None = None,
    ) -> None:
        super().__init__()
        check_kinds(backbone=backbone, neck=neck, fusion=fusion, decoder=decoder, head=head, backbone2=backbone2)
        self.backbone = backbone
        self.backbone2 = backbone2
        self.neck: PyramidComponent = neck or Identity(backbone.out_channels, backbone.out_strides)
        self.fusion = fusion
        self.decoder: PyramidComponent = decoder or Identity(fusion.out_channels, fusion.out_strides)
        self.head = head
        self.branches = Branches(branches)
        self.pretrained_cfg: PretrainedCfg | None = None
        check_chain(backbone, backbone2, self.neck, fusion, self.decoder, head)
        self.pad_multiple = math.lcm(*(component.pad_multiple for component in self._components()))
        self.bands = bands_of(backbone, backbone2, fusion, config)
        self.config = check_config(config, derive_config(self))
        if task is not None:
            self.config = dataclasses.replace(self.config, task=task.name, class_names=task.class_names)
        self.stacked_dates = self.num_dates if fusion.num_dates == 1 else 1
        self.task = task or get_task(self.config.task, self.config.class_names)
        self.task.check(self.num_classes)
        check_scale(self.config.input_scale, self.config.name, self.input_sizes)
        check_branches(self.task, self.num_classes, branches or {})
        for name, branch in (branches or {}).items():
            check_branch(name, describe(neck or backbone), self.neck.out_channels, self.neck.out_strides, branch)

    @property
    def num_classes(self) -> int:
        """Number of logits."""
        return self.head.num_classes

    @property
    def in_chans(self) -> int | tuple[int, ...]:
        """Number of bands of each date; a tuple with one number per date if the config has one."""
        return self.config.in_chans

    @property
    def encoders(self) -> list[Backbone]:
        """The backbone, and the one of the second date if it has its own."""
        return [encoder for encoder in (self.backbone, self.backbone2) if encoder is not None]

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """Channels (`num_chs`), stride (`reduction`) and submodule (`module`) of each level of the backbone, as in timm."""
        return [{**info, "module": f"backbone.{info['module']}".rstrip(".")} for info in self.backbone.feature_info]

    @property
    def input_sizes(self) -> InputSizes:
        """Sizes of images that the model takes."""
        return InputSizes(self.fixed_input_size, self.size_multiple, self.square)

    fixed_input_size: int | None = property(lambda self: self.backbone.fixed_input_size)  # type: ignore[assignment]
    size_multiple: int = property(lambda self: self.backbone.size_multiple)  # type: ignore[assignment]
    square: bool = property(lambda self: self.backbone.square)  # type: ignore[assignment]
    local: bool = property(lambda self: self._all("is_local"))  # type: ignore[assignment]
    exportable: bool = property(lambda self: self._all("exportable"))  # type: ignore[assignment]
    compilable: bool = property(lambda self: self._all("compilable"))  # type: ignore[assignment]

    def forward(self, *images: Tensor) -> Output:
        """Return the logits of change at input size.

        Args:
            *images: One tensor (B, bands, H, W) per date, normalized with `config.mean` and `config.std` and resampled by
                `config.input_scale`, as `preprocess` does, all of one size; H and W are at least 32.

        Returns:
            Logits (B, num_classes, H, W), or a dict of such tensors for tasks with several outputs. Their meaning is that of the
            task; for `binary`: one logit, whose sigmoid is the probability of change, or two for a softmax whose class 0 is "no
            change".

        Raises:
            InputError: The images do not match each other or the model.
        """
        return self._predict(images)[0]

    def forward_features(self, *images: Tensor) -> Pyramid:
        """Return the input of the head: the decoded pyramid of the padded images, finest level first."""
        return self.decoder(self.fusion(*self._encode(images)))

    def forward_head(self, features: Pyramid, size: Sequence[int] | None = None) -> Tensor:
        """Return the logits of a decoded pyramid: the main output of the task.

        Args:
            features: Output of `forward_features`.
            size: Height and width of the unpadded images; by default those of the padded ones.
        """
        if size is None:
            assert self.decoder.out_strides is not None
            height, width = (side * self.decoder.out_strides[0] for side in features[0].shape[-2:])
        else:
            height, width = size
        down, right = self.padding(height, width)
        return self.head(features, (height + down, width + right))[..., :height, :width]

    def forward_perturbed(self, *images: Tensor, drop: float = 0.5) -> tuple[Tensor, Tensor]:
        """Return the logits of the main output, and those computed from fused features of which random channels are zero.

        Both pass the decoder and the head as one batch. Source: the feature perturbation of L. Yang et al., "Revisiting
        Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation" (UniMatch), CVPR 2023, arXiv 2208.09910.

        Args:
            *images: See `forward`.
            drop: Probability of a channel of a level to be zero, drawn for each sample; the others are scaled by 1 / (1 - drop).
        """
        fused = self.fusion(*self._encode(images))
        both = [torch.cat([level, F.dropout2d(level, drop)]) for level in fused]
        plain, perturbed = self.forward_head(self.decoder(both), images[0].shape[-2:]).chunk(2)
        return plain, perturbed

    def forward_supervised(self, *images: Tensor) -> tuple[Output, list[tuple[float, Output]]]:
        """Return the output of `forward`, and the deep supervision of the heads: weights and outputs of the padded images.

        With several outputs, those of equal weight and size are in one dict, which lacks the outputs without deep supervision.
        """
        output, features = self._predict(images)
        main = self.task.main_output
        if not self.branches:
            return output, list(zip(self.head.auxiliary_weights, self.head.auxiliary(features[main]), strict=True))
        grouped: dict[Any, dict[str, Tensor]] = {}
        for name, pyramid in features.items():
            head = self.head if name == main else self.branches.head_of(name)
            for level, (weight, logits) in enumerate(zip(head.auxiliary_weights, head.auxiliary(pyramid), strict=True)):
                grouped.setdefault((level, weight, *logits.shape[-2:]), {})[name] = logits
        return output, [(weight, outputs) for (_, weight, *_), outputs in grouped.items()]

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the head by a newly initialized one with another number of logits.

        Raises:
            ConfigError: The head was passed as an instance, or the task does not support the number of logits.
        """
        self.task.check(num_classes)
        self.head = build_head(self.config.head, self.head.in_channels, self.head.in_strides, num_classes)
        self.config = dataclasses.replace(self.config, num_classes=num_classes)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of the backbone in the backward pass instead of storing them.

        Raises:
            ConfigError: The backbone does not support it.
        """
        for backbone in self.encoders:
            backbone.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        """Return the names of the parameters without weight decay, as timm's optimizer factory expects."""
        return {
            f"{path}.{name}".lstrip(".")
            for path, module in self.named_modules()
            if module is not self and callable(getattr(module, "no_weight_decay", None))
            for name in module.no_weight_decay()
        }

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of parameters of each component; they add up to the size of the model."""
        counts = {name: sum(p.numel() for p in module.parameters()) for name, module in self.named_children()}
        counts["backbone"] += counts.pop("backbone2", 0)
        return {name: counts[name] for name in (*KINDS, *(["branches"] if self.branches else []))}

    def __repr__(self) -> str:
        """Return a table of the components; `print(torch.nn.Module.__repr__(model))` shows all modules."""
        return summary(self)

    def _components(self) -> list[Any]:
        modules: list[Any] = [self.backbone, self.backbone2, self.neck, self.fusion, self.decoder, self.head]
        for branch in self.branches.values():
            modules += [branch.fusion, branch.decoder, branch.head]
        return [module for module in modules if module is not None]

    def _all(self, flag: str) -> bool:
        return all(getattr(component, flag) for component in self._components())

    def _predict(self, images: Sequence[Tensor]) -> tuple[Output, dict[str, Pyramid]]:
        """Return the output, and the input of the head of each output by name."""
        pyramids = self._encode(images)  # checks the images
        height, width = images[0].shape[-2:]
        main = self.task.main_output
        features = {main: self.decoder(self.fusion(*pyramids))}
        outputs = {main: self.forward_head(features[main], (height, width))}
        if not self.branches:
            return outputs[main], features
        down, right = self.padding(height, width)
        for name in self.branches:
            features[name] = self.branches.features_of(name, pyramids)
            outputs[name] = self.branches.head_of(name)(features[name], (height + down, width + right))[..., :height, :width]
        return {name: outputs[name] for name in self.task.outputs(self.num_classes)} | outputs, features

    def _encode(self, images: Sequence[Tensor]) -> list[Pyramid]:
        check_images(images, self.bands, self.input_sizes)
        padded = [pad_edges(image, *self.padding(*image.shape[-2:])) for image in images]
        if self.fusion.num_dates == 1 < self.num_dates:  # early fusion
            padded = [torch.cat(padded, dim=1)]
        if self.backbone2 is not None:
            return [self.neck(encoder(x)) for encoder, x in zip((self.backbone, self.backbone2), padded, strict=True)]
        return self._refine(self.backbone.encode(padded))

    def _refine(self, pyramids: list[Pyramid]) -> list[Pyramid]:
        """Apply the neck to all dates as one batch, so that batch norm uses their joint statistics."""
        if isinstance(self.neck, Identity):
            return pyramids
        batch, dates = pyramids[0][0].shape[0], range(len(pyramids))
        features = self.neck([torch.cat(levels) for levels in zip(*pyramids, strict=True)])
        return [[level[date * batch : (date + 1) * batch] for level in features] for date in dates]
