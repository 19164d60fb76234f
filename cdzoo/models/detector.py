"""`ChangeDetector`: backbone, neck, fusion, decoder and head, put together as objects."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.config import IMAGENET_MEAN, IMAGENET_STD, INSTANCE, OTHER_MEAN, OTHER_STD, ModelCfg, PartCfg
from cdzoo.errors import ChannelMismatchError, ConfigError, InputError
from cdzoo.part import Backbone, Decoder, Fusion, Head, Identity, Neck, PyramidPart, check_fit, describe

MIN_SIZE = 32
"""Smallest height and width of an image, in pixels."""


class ChangeDetector(nn.Module):
    """Two images in, change logits at input size out.

    Args:
        backbone: Encoder; sees both dates as one batch unless `backbone2` is given, or their bands side by side if the
            fusion is an early one.
        neck: Refines the pyramid of each date with the same weights; None for none.
        fusion: Joins the two pyramids.
        decoder: Refines the fused pyramid; None for none.
        head: Makes the logits.
        backbone2: Encoder of the second date (not Siamese), for example for radar against optical images.
        config: How the model was described; derived from the parts when it is not given.

    Raises:
        ChannelMismatchError: Two neighbouring parts disagree on channels or strides; both are named.
        ConfigError: A part is not of its kind.
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
    ) -> None:
        super().__init__()
        for role, part, kind in (
            ("backbone", backbone, Backbone),
            ("backbone2", backbone2, Backbone),
            ("neck", neck, Neck),
            ("fusion", fusion, Fusion),
            ("decoder", decoder, Decoder),
            ("head", head, Head),
        ):
            optional = role in ("backbone2", "neck", "decoder")
            if not isinstance(part, kind) and not (optional and part is None):
                raise ConfigError(f"{role} must be a cdzoo.part.{kind.__name__}, got {type(part).__name__}")
        if backbone2 is not None and _pyramid(backbone) != _pyramid(backbone2):
            raise ChannelMismatchError(
                f"the backbones of the two dates give different pyramids: {describe(backbone)} {_pyramid(backbone)}, "
                f"{describe(backbone2)} {_pyramid(backbone2)}"
            )
        self.backbone = backbone
        self.backbone2 = backbone2
        self.neck: PyramidPart = neck or Identity(backbone.out_channels, backbone.out_strides)
        self.fusion = fusion
        self.decoder: PyramidPart = decoder or Identity(fusion.out_channels, fusion.out_strides)
        self.head = head
        self._check_chain()
        self.pad_multiple = math.lcm(*(part.pad_multiple for part in (backbone, self.neck, fusion, self.decoder, head)))
        self.bands = self._bands(config)
        own = self._describe()
        self.config = config or own
        for key in ("bands", "num_classes", "siamese"):
            said, found = getattr(self.config, key), getattr(own, key)
            if said != found:
                label = "in_chans" if key == "bands" else key
                raise ConfigError(f"the config says {label}={said}, but the parts were built for {found}: make them agree")

    def forward(self, t1: Tensor, t2: Tensor) -> Tensor:
        """Return logits of change at input size.

        Args:
            t1: First date (B, bands, H, W), normalised with `config.mean` and `config.std`; H, W >= 32, any size.
            t2: Second date, the same size as the first.

        Returns:
            Logits (B, num_classes, H, W). One class: sigmoid gives the probability of change. Two or more: softmax, class 0
            being "no change".

        Raises:
            InputError: The images do not fit each other or the model.
        """
        return self._logits(self.forward_features(t1, t2), t1.shape[-2:])

    def forward_supervised(self, t1: Tensor, t2: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the logits as `forward` does, and those of the head's deep supervision for the padded pair."""
        features = self.forward_features(t1, t2)
        return self._logits(features, t1.shape[-2:]), self.head.auxiliary(features)

    def forward_features(self, t1: Tensor, t2: Tensor) -> list[Tensor]:
        """Return what the head sees: the decoded pyramid of the padded pair, finest level first."""
        self._check_input(t1, t2)
        t1, t2 = self._pad(t1), self._pad(t2)
        if self.fusion.early:
            return self.decoder(self.fusion(self.neck(self.backbone(torch.cat([t1, t2], dim=1)))))
        if self.backbone2 is None:
            features = self.neck(self.backbone(torch.cat([t1, t2])))
            first, second = zip(*(f.chunk(2) for f in features), strict=True)
        else:
            first, second = self.neck(self.backbone(t1)), self.neck(self.backbone2(t2))
        return self.decoder(self.fusion(list(first), list(second)))

    def parameter_counts(self) -> dict[str, int]:
        """Return the number of parameters of each part; their sum is that of the model."""
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        counts["backbone"] += counts.pop("backbone2", 0)
        return {name: counts[name] for name in ("backbone", "neck", "fusion", "decoder", "head")}

    def save_pretrained(self, folder: str | os.PathLike[str], **extras: Any) -> Path:
        """Write config and weights, see `cdzoo.save_pretrained`."""
        from cdzoo.weights.folder import save_pretrained  # imports this module

        return save_pretrained(self, folder, **extras)

    def push_to_hub(self, repo: str, private: bool = False, revision: str | None = None, **extras: Any) -> str:
        """Publish config, weights and a model card on the Hugging Face Hub; return the commit.

        Args:
            repo: `owner/name`; made if it is not there.
            private: Make it visible to its owners only.
            revision: Branch to publish on; `main` by default.
            **extras: `results` and `picture`, as for `save_pretrained`.

        Raises:
            WeightsError: The Hub refuses.
        """
        from cdzoo.hub import push

        with tempfile.TemporaryDirectory() as scratch:
            folder = self.save_pretrained(Path(scratch) / repo.rpartition("/")[2], card=True, **extras)
            return push(folder, repo, private=private, revision=revision)

    def _check_chain(self) -> None:
        channels, strides = self.backbone.out_channels, self.backbone.out_strides
        giver = f"backbone {describe(self.backbone)}"
        for role in ("neck", "fusion", "decoder"):
            part: PyramidPart = getattr(self, role)
            check_fit(giver, channels, strides, f"{role} {describe(part)}", part)
            channels, strides = part.out_channels, part.out_strides or strides
            if not isinstance(part, Identity):
                giver = f"{role} {describe(part)}"
        check_fit(giver, channels, strides, f"head {describe(self.head)}", self.head)

    def _bands(self, config: ModelCfg | None) -> tuple[int, int]:
        """Return the bands of each date. An early backbone knows their sum only: the config tells, or both have half."""
        taken = self.backbone.in_chans
        if not self.fusion.early:
            return taken, (self.backbone2 or self.backbone).in_chans
        if self.backbone2 is not None:
            raise ConfigError(f"{describe(self.fusion)} joins the dates before the backbone, so there is no backbone2")
        bands = config.bands if config is not None else (taken // 2, taken // 2)
        if sum(bands) != taken:
            raise ConfigError(
                f"{describe(self.fusion)} joins the dates before the backbone, which takes {taken} bands instead of the "
                f"{sum(bands)} of both dates together: build it with in_chans={sum(bands)}"
            )
        return bands

    def _check_input(self, t1: Tensor, t2: Tensor) -> None:
        for label, image, bands in (("first", t1, self.bands[0]), ("second", t2, self.bands[1])):
            if image.ndim != 4:
                raise InputError(f"the {label} date must be a batch (B, bands, H, W), got shape {tuple(image.shape)}")
            if image.shape[1] != bands:
                raise InputError(
                    f"the {label} date has {image.shape[1]} bands, the model takes {bands}: "
                    f"build it with in_chans={image.shape[1]}"
                )
        if t1.shape[0] != t2.shape[0] or t1.shape[-2:] != t2.shape[-2:]:
            raise InputError(f"the two dates differ in batch or size: {tuple(t1.shape)} and {tuple(t2.shape)}")
        if min(t1.shape[-2:]) < MIN_SIZE:
            raise InputError(f"images must be at least {MIN_SIZE}x{MIN_SIZE} pixels, got {t1.shape[-2]}x{t1.shape[-1]}")

    def _logits(self, features: list[Tensor], size: Sequence[int]) -> Tensor:
        height, width = size
        down, right = self.padding(height, width)
        return self.head(features, (height + down, width + right))[..., :height, :width]

    def padding(self, height: int, width: int) -> tuple[int, int]:
        """Return by how many pixels an image is extended below and to the right before the backbone sees it."""
        return -height % self.pad_multiple, -width % self.pad_multiple

    def _pad(self, image: Tensor) -> Tensor:
        """Reflect the right and lower edge up to a multiple of what the parts need; `forward` crops it off again."""
        down, right = self.padding(*image.shape[-2:])
        if not down and not right:
            return image
        # A reflection is at most as long as the image less one pixel, which coarse strides can exceed on small images.
        mode = "reflect" if down < image.shape[-2] and right < image.shape[-1] else "replicate"
        return F.pad(image, (0, right, 0, down), mode=mode)

    def _describe(self) -> ModelCfg:
        def part(module: nn.Module) -> PartCfg | None:
            return None if isinstance(module, Identity) else PartCfg(INSTANCE + describe(module))

        bands = self.bands
        backbone, fusion, head = part(self.backbone), part(self.fusion), part(self.head)
        assert backbone is not None and fusion is not None and head is not None
        return ModelCfg(
            name="custom",
            backbone=backbone,
            neck=part(self.neck),
            fusion=fusion,
            decoder=part(self.decoder),
            head=head,
            in_chans=bands[0] if bands[0] == bands[1] else bands,
            num_classes=self.head.num_classes,
            siamese=self.backbone2 is None,
            mean=IMAGENET_MEAN if bands == (3, 3) else OTHER_MEAN,
            std=IMAGENET_STD if bands == (3, 3) else OTHER_STD,
        )


def _pyramid(backbone: Backbone) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return backbone.out_channels, backbone.out_strides
