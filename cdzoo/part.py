"""What the five kinds of parts have in common: each declares what it takes and what it gives.

A feature pyramid is a list of maps (B, C_i, H / s_i, W / s_i), finest first; C_i are its channels, s_i its strides in input
pixels. A part states the pyramid it takes (`in_channels`, `in_strides`) and the one it gives (`out_channels`,
`out_strides`), so that two parts that do not fit are refused when the model is built, not when it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from cdzoo.errors import ChannelMismatchError, ConfigError


class Backbone(nn.Module):
    """Encoder of one image: `forward(x: (B, in_chans, H, W)) -> list of maps`.

    Args:
        in_chans: Bands of the image.
        out_channels: Channels of each map it returns.
        out_strides: Stride of each map, ascending.
        pad_multiple: H and W must be multiples of this; the coarsest stride by default.
    """

    def __init__(
        self, in_chans: int, out_channels: Sequence[int], out_strides: Sequence[int], pad_multiple: int | None = None
    ) -> None:
        super().__init__()
        if in_chans < 1:
            raise ConfigError(f"in_chans must be at least 1, got {in_chans}")
        self.in_chans = in_chans
        self.out_channels = tuple(out_channels)
        self.out_strides = tuple(out_strides)
        self.pad_multiple = pad_multiple or max(self.out_strides)


class PyramidPart(nn.Module):
    """Base of the parts that turn pyramids into a pyramid: neck, fusion and decoder.

    Args:
        in_channels: Channels of each level taken.
        in_strides: Stride of each level taken; None when the part works at any.
        out_channels: Channels of each level given; those taken by default.
        out_strides: Stride of each level given; those taken by default.
        pad_multiple: H and W of the image must be multiples of this; 1 when levels of any size will do.
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
        self.out_channels = self.in_channels if out_channels is None else tuple(out_channels)
        self.out_strides = self.in_strides if out_strides is None else tuple(out_strides)


class Neck(PyramidPart):
    """Refines the pyramid of one date; the same weights see both: `forward(features) -> features`."""


class Fusion(PyramidPart):
    """Turns the pyramids of the two dates into one: `forward(features1, features2) -> features`.

    Attributes:
        early: The dates meet before the backbone, which takes the bands of both; then it is `forward(features)`.
    """

    early = False


class Decoder(PyramidPart):
    """Refines or merges the fused pyramid: `forward(features) -> features`."""


class Identity(PyramidPart):
    """The pyramid as it is; stands for a neck or a decoder that is left out."""

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Return `features`."""
        return features


class Head(nn.Module):
    """Turns a pyramid into logits: `forward(features, size: (H, W)) -> (B, num_classes, H, W)`.

    Args:
        in_channels: Channels of each level taken.
        in_strides: Stride of each level taken; None when the head works at any.
        num_classes: Channels of the logits: 1 for a sigmoid, 2 or more for a softmax whose class 0 is "no change".
        pad_multiple: H and W of the image must be multiples of this; 1 when levels of any size will do.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        in_strides: Sequence[int] | None = None,
        num_classes: int = 1,
        pad_multiple: int = 1,
    ) -> None:
        super().__init__()
        self.pad_multiple = pad_multiple
        if num_classes < 1:
            raise ConfigError(f"num_classes must be at least 1, got {num_classes}")
        self.in_channels = tuple(in_channels)
        self.in_strides = None if in_strides is None else tuple(in_strides)
        self.num_classes = num_classes
        self.auxiliary_weights: tuple[float, ...] = ()

    def auxiliary(self, features: list[Tensor]) -> list[Tensor]:
        """Return logits of deep supervision at any sizes, one for each of `auxiliary_weights`; none by default.

        Training adds their losses with those weights, each against the mask resized to it by nearest neighbour.
        """
        return []


class LevelPart(nn.Module):
    """Base of parts that are written for one level and made once per level.

    Args:
        channels: Channels of the map taken.
        out_channels: Channels of the map given; `channels` by default.
    """

    def __init__(self, channels: int, out_channels: int | None = None) -> None:
        super().__init__()
        self.in_channels = channels
        self.out_channels = channels if out_channels is None else out_channels


class LevelFusion(LevelPart):
    """Fusion of one level: `forward(x1, x2: (B, C, h, w)) -> (B, C_out, h, w)`."""


class LevelDecoder(LevelPart):
    """Decoder of one level: `forward(x: (B, C, h, w)) -> (B, C_out, h, w)`."""


class PerLevelFusion(Fusion):
    """A pyramid fusion made of one `LevelFusion` per level, finest first."""

    def __init__(self, levels: Iterable[LevelFusion], strides: Sequence[int] | None = None) -> None:
        modules = list(levels)
        super().__init__([m.in_channels for m in modules], strides, [m.out_channels for m in modules])
        self.levels = nn.ModuleList(modules)

    def forward(self, features1: list[Tensor], features2: list[Tensor]) -> list[Tensor]:
        """Fuse level by level."""
        return [fuse(x1, x2) for fuse, x1, x2 in zip(self.levels, features1, features2, strict=True)]


class PerLevelDecoder(Decoder):
    """A pyramid decoder made of one `LevelDecoder` per level, finest first."""

    def __init__(self, levels: Iterable[LevelDecoder], strides: Sequence[int] | None = None) -> None:
        modules = list(levels)
        super().__init__([m.in_channels for m in modules], strides, [m.out_channels for m in modules])
        self.levels = nn.ModuleList(modules)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Decode level by level."""
        return [decode(x) for decode, x in zip(self.levels, features, strict=True)]


def check_one_level(what: str, in_channels: Sequence[int]) -> int:
    """Return the channels of the only level that a part is given.

    Raises:
        ConfigError: There are several; the parts that make one of them are named.
    """
    if len(in_channels) != 1:
        raise ConfigError(
            f"{what} takes one level, but the part before it gives {len(in_channels)}, of channels {tuple(in_channels)}: "
            'put a decoder before it that merges them (decoder="unet" or "top_down"), or use head="summation", which takes any'
        )
    return in_channels[0]


def check_doubling(what: str, in_strides: Sequence[int] | None) -> None:
    """Raise unless each level has half the size of the one before.

    Raises:
        ConfigError: The strides do not double from level to level.
    """
    if in_strides is not None and any(b != 2 * a for a, b in pairwise(in_strides)):
        raise ConfigError(f"{what} needs strides that double from level to level, got {tuple(in_strides)}")


def describe(part: nn.Module) -> str:
    """Return the name by which messages call a part: its class, or that of its levels."""
    levels = getattr(part, "levels", None)
    if isinstance(part, PerLevelFusion | PerLevelDecoder) and levels:
        return type(levels[0]).__name__
    return type(part).__name__


def check_fit(
    giver: str,
    channels: Sequence[int],
    strides: Sequence[int] | None,
    taker: str,
    part: PyramidPart | Head,
) -> None:
    """Raise unless `part` takes the pyramid that the part before it gives.

    Args:
        giver: What gives the pyramid, for the message.
        channels: Channels that it gives.
        strides: Strides that it gives; None when unknown.
        taker: What `part` is, for the message.
        part: The part that takes it.

    Raises:
        ChannelMismatchError: Channels or strides differ; the message names both sides.
    """
    if tuple(channels) != part.in_channels:
        raise ChannelMismatchError(
            f"{giver} gives channels {tuple(channels)}, but {taker} takes {part.in_channels}: "
            f"build {taker} with in_channels={tuple(channels)}"
        )
    if strides is not None and part.in_strides is not None and tuple(strides) != part.in_strides:
        raise ChannelMismatchError(
            f"{giver} gives strides {tuple(strides)}, but {taker} takes {part.in_strides}: "
            f"build {taker} with in_strides={tuple(strides)}"
        )
