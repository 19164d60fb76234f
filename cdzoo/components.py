"""Interfaces of the five kinds of components: input and output channels and strides.

A feature pyramid is a list of feature maps (B, C_i, H / s_i, W / s_i), finest level first, with channels C_i and strides s_i in
input pixels. Every component declares the pyramid it expects (`in_channels`, `in_strides`) and the one it returns
(`out_channels`, `out_strides`), so that a mismatch raises when the model is built.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cdzoo.errors import ConfigError

Pyramid = list[Tensor]


class Component(nn.Module):
    """Base class of all components except exchanges.

    Attributes:
        is_local: Whether a pixel of the output depends only on a neighborhood of the input.
        exportable: Whether `torch.export` can trace the component.
        compilable: Whether `torch.compile` can compile the component.
    """

    is_local: bool = True
    exportable: bool = True
    compilable: bool = True


class Exchange(nn.Module):
    """Exchange of features between dates inside a backbone: `forward(x: (T * B, C, h, w), num_dates: T) -> same shape`.

    The dates are stacked along the batch dimension, first date first.
    """


class Backbone(Component):
    """Encoder of one image: `forward(x: (B, in_chans, H, W)) -> pyramid`.

    Args:
        in_chans: Number of input bands.
        out_channels: Channels of each level.
        out_strides: Stride of each level, ascending.
        pad_multiple: H and W must be multiples of this; the coarsest stride by default.
        stages: Name of the submodule that computes each level, for `add_exchange`; unnamed by default.

    Attributes:
        fixed_input_size: Height and width that the backbone is built for; None if it accepts any size.
        size_multiple: Height and width must be multiples of this; `ChangeDetector` does not pad to it.
        square: Whether height and width must be equal.
        stages_channels_last: Whether the stages return (B, H, W, C) instead of (B, C, H, W).
        added: Prefixes of the parameters that weights of the encoder alone do not contain.
    """

    fixed_input_size: int | None = None
    size_multiple: int = 1
    square: bool = False
    is_local: bool = False
    stages_channels_last: bool = False
    added: tuple[str, ...] = ()

    def __init__(
        self,
        in_chans: int,
        out_channels: Sequence[int],
        out_strides: Sequence[int],
        pad_multiple: int | None = None,
        stages: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if in_chans < 1:
            raise ConfigError(f"in_chans must be at least 1, got {in_chans}")
        self.in_chans = in_chans
        self.out_channels = _checked_channels(self, out_channels)
        self.out_strides = tuple(out_strides)
        self.pad_multiple = pad_multiple or max(self.out_strides)
        self.stages_of_levels = tuple(stages)
        self.exchanges = nn.ModuleDict()
        self.grad_checkpointing = False
        self._num_dates = 1

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """Channels (`num_chs`), stride (`reduction`) and submodule (`module`) of each level, as in timm."""
        modules = self.stages_of_levels or [""] * len(self.out_channels)
        return [
            {"num_chs": channels, "reduction": stride, "module": module}
            for channels, stride, module in zip(self.out_channels, self.out_strides, modules, strict=True)
        ]

    def encode(self, images: Sequence[Tensor]) -> list[Pyramid]:
        """Encode the dates of a batch with shared weights.

        Networks whose dates interact inside the backbone override this method.

        Args:
            images: One tensor (B, in_chans, H, W) per date.

        Returns:
            One pyramid per date.
        """
        batch = images[0].shape[0]
        self._num_dates = len(images)
        features = self(torch.cat(list(images)) if len(images) > 1 else images[0])
        return [[level[date * batch : (date + 1) * batch] for level in features] for date in range(len(images))]

    def run_stage(self, stage: nn.Module, x: Tensor) -> Tensor:
        """Return `stage(x)`; with gradient checkpointing its activations are recomputed in the backward pass."""
        if self.grad_checkpointing and torch.is_grad_enabled():
            return checkpoint(stage, x, use_reentrant=False)
        return stage(x)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of the stages that run through `run_stage` in the backward pass."""
        self.grad_checkpointing = enable

    def add_exchange(self, exchange: Exchange, levels: Sequence[int] | None = None) -> None:
        """Apply an exchange to the output of the stages that compute some levels of the pyramid.

        Args:
            exchange: Module called with the features of all dates; shared between the levels.
            levels: Indices into `feature_info`; all levels by default.

        Raises:
            ConfigError: The backbone does not name the submodules of its levels.
        """
        modules = [self.feature_info[level]["module"] for level in (range(len(self.out_channels)) if levels is None else levels)]
        if not all(modules):
            raise ConfigError(
                f"{type(self).__name__} does not name the stages of its levels (feature_info), so features cannot be exchanged "
                "after them; override encode() instead"
            )
        key = str(len(self.exchanges))
        self.exchanges[key] = exchange
        for module in modules:
            # A bound method, which a deep copy of the backbone (moving averages) binds to the copy.
            self.get_submodule(module).register_forward_hook(functools.partial(self._exchange, key))

    def _exchange(self, key: str, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        exchange = self.exchanges[key]
        if not self.stages_channels_last:
            return exchange(output, self._num_dates)
        return exchange(output.permute(0, 3, 1, 2), self._num_dates).permute(0, 2, 3, 1)


class PyramidComponent(Component):
    """Base class of components that map pyramids to a pyramid: necks, fusions and decoders.

    Args:
        in_channels: Channels of each input level.
        in_strides: Stride of each input level; None if any strides are accepted.
        out_channels: Channels of each output level; `in_channels` by default.
        out_strides: Stride of each output level; by default those of as many input levels, from the finest.
        pad_multiple: Height and width of the image must be multiples of this; 1 if levels of any size are accepted.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        out_channels: Sequence[int] | None = None,
        out_strides: Sequence[int] | None = None,
        pad_multiple: int = 1,
    ) -> None:
        super().__init__()
        self.pad_multiple = pad_multiple
        self.in_channels = tuple(in_channels)
        self.in_strides = None if in_strides is None else tuple(in_strides)
        self.out_channels = self.in_channels if out_channels is None else _checked_channels(self, out_channels)
        if out_strides is None and in_strides is not None:
            out_strides = in_strides[: len(self.out_channels)]
        self.out_strides = None if out_strides is None else tuple(out_strides)


class Neck(PyramidComponent):
    """Refines the pyramid of one date, with weights shared between dates: `forward(features) -> features`."""


class Fusion(PyramidComponent):
    """Combines the pyramids of the dates: `forward(*features) -> features`, one pyramid per date.

    Attributes:
        num_dates: Number of pyramids expected; None for any number. With 1, the bands of all dates are concatenated before the
            backbone (early fusion).
    """

    num_dates: int | None = 2


class Decoder(PyramidComponent):
    """Refines or merges the fused pyramid: `forward(features) -> features`."""


class Identity(PyramidComponent):
    """Returns the pyramid unchanged; the neck or decoder of models without one."""

    def forward(self, features: Pyramid) -> Pyramid:
        """Return `features`."""
        return features


class Head(Component):
    """Maps a pyramid to logits: `forward(features, size: (H, W)) -> (B, num_classes, H, W)`.

    Args:
        in_channels: Channels of each input level.
        in_strides: Stride of each input level; None if any strides are accepted.
        num_classes: Number of logits: 1 for a sigmoid, 2 or more for a softmax whose class 0 is "no change".
        pad_multiple: Height and width of the image must be multiples of this; 1 if levels of any size are accepted.
    """

    def __init__(
        self, in_channels: Sequence[int], in_strides: Sequence[int] | None = None, num_classes: int = 1, pad_multiple: int = 1
    ) -> None:
        super().__init__()
        self.pad_multiple = pad_multiple
        if num_classes < 1:
            raise ConfigError(f"num_classes must be at least 1, got {num_classes}")
        self.in_channels = tuple(in_channels)
        self.in_strides = None if in_strides is None else tuple(in_strides)
        self.num_classes = num_classes
        self.auxiliary_weights: tuple[float, ...] = ()

    def auxiliary(self, features: Pyramid) -> list[Tensor]:
        """Return logits of deep supervision at any sizes, one tensor per entry of `auxiliary_weights`; none by default.

        Training adds their losses with these weights, each against the target resized with nearest neighbor.
        """
        return []


class LevelComponent(Component):
    """Base class of components of a single level, instantiated once per level.

    Args:
        channels: Input channels.
        out_channels: Output channels; `channels` by default.
    """

    def __init__(self, channels: int, out_channels: int | None = None) -> None:
        super().__init__()
        self.in_channels = channels
        (self.out_channels,) = _checked_channels(self, [channels if out_channels is None else out_channels])


class LevelFusion(LevelComponent):
    """Fusion of one level: `forward(x1, x2: (B, C, h, w)) -> (B, C_out, h, w)`."""

    num_dates: int | None = 2


class LevelDecoder(LevelComponent):
    """Decoder of one level: `forward(x: (B, C, h, w)) -> (B, C_out, h, w)`."""


class PerLevel(PyramidComponent):
    """Base class of fusions and decoders made of one component per level, finest level first.

    Args:
        levels: One component per level.
        strides: Stride of each level; None if any strides are accepted.
    """

    def __init__(self, levels: Iterable[LevelComponent], strides: Sequence[int] | None = None) -> None:
        modules = list(levels)
        super().__init__([m.in_channels for m in modules], strides, [m.out_channels for m in modules])
        self.levels = nn.ModuleList(modules)
        for flag in ("is_local", "exportable", "compilable"):
            setattr(self, flag, all(getattr(level, flag) for level in modules))

    def forward(self, *features: Pyramid) -> Pyramid:
        """Apply each component to its level of the pyramids."""
        return [level(*maps) for level, *maps in zip(self.levels, *features, strict=True)]


class PerLevelFusion(PerLevel, Fusion):
    """Fusion of pyramids made of one `LevelFusion` per level."""

    def __init__(self, levels: Iterable[LevelFusion], strides: Sequence[int] | None = None) -> None:
        modules = list(levels)
        super().__init__(modules, strides)
        self.num_dates = modules[0].num_dates if modules else 2


class PerLevelDecoder(PerLevel, Decoder):
    """Decoder of pyramids made of one `LevelDecoder` per level."""


def _checked_channels(component: Component, channels: Sequence[int]) -> tuple[int, ...]:
    if min(channels, default=0) < 1:
        raise ConfigError(f"{type(component).__name__} needs at least one level, of one channel or more, got {tuple(channels)}")
    return tuple(channels)
