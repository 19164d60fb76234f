"""`timm/<name>`: any timm encoder as a backbone; pretrained tags are supported (`timm/resnet18.a1_in1k`)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cdzoo.backbones.features import FeatureBackbone
from cdzoo.errors import CdzooError, ConfigError, UnknownNameError, WeightsError
from cdzoo.io.hub_client import guard_client
from cdzoo.layers.drop_path import check_drop_path
from cdzoo.layers.resize import resize
from cdzoo.layers.vit_pyramid import STRIDES, VitPyramid

PREFIX = "timm/"
_WINDOWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Sizes of attention windows, in pixels of the coarsest level, that encoders have."""


class Sizes(NamedTuple):
    """Heights and widths that an encoder takes.

    Attributes:
        multiple: Multiples of this number of pixels.
        fixed: The only size; None if it takes all multiples.
    """

    multiple: int
    fixed: int | None = None


_SIZES: dict[str, Sizes] = {}
"""Sizes that were found, by encoder and arguments."""


class TimmBackbone(FeatureBackbone):
    """timm model that returns its intermediate feature maps (`features_only=True`).

    Vision transformers, whose maps all have one stride, return four of them, a quarter of the blocks apart, as a pyramid of
    strides 4, 8, 16 and 32 (`cdzoo.layers.vit_pyramid`), which is trained from scratch. For patches of 14 pixels (DINOv2) the
    image is scaled by 14 / 16, so that there is one patch for every 16 pixels. Encoders that take images of one size only
    declare it (`fixed_input_size`); some of them accept another one as `img_size`.

    Args:
        name: Name of the timm model, optionally with a pretrained tag.
        in_chans: Number of input channels.
        pretrained: Load timm's pretrained weights, from the Hugging Face Hub or its cache.
        out_indices: Indices of the timm levels to return as they are. Default: all levels of stride 4 or more, or all levels if
            there are none; a pyramid for vision transformers.
        drop_path: Stochastic depth rate (`drop_path_rate` of timm); that of the encoder by default.
        pad_multiple: The detector pads H and W to multiples of this; 1 for convolutional networks that take any size. Default:
            the smallest multiple that the encoder was found to take, such as its coarsest stride.
        **kwargs: Further arguments of `timm.create_model`.

    Raises:
        UnknownNameError: timm has no model of this name; similar names are listed.
        ConfigError: The encoder does not support `features_only`, or rejects an argument.
        WeightsError: The pretrained weights could not be loaded.
    """

    def __init__(
        self,
        name: str,
        in_chans: int = 3,
        pretrained: bool = False,
        out_indices: Sequence[int] | None = None,
        drop_path: float | None = None,
        pad_multiple: int | None = None,
        **kwargs: Any,
    ) -> None:
        import timm  # imported here because it takes seconds to import

        arch = name.split(".")[0]
        if not timm.is_model(arch):
            close = timm.list_models(f"*{arch}*")[:8]
            hint = f" Similar names: {', '.join(close)}." if close else ""
            raise UnknownNameError(f"timm {timm.__version__} has no model '{name}'.{hint} timm.list_models() lists all models.")
        if pad_multiple is not None and pad_multiple < 1:
            raise ConfigError(f"timm/{name}: pad_multiple must be at least 1, got {pad_multiple}")
        if pretrained:
            guard_client()
        options = {**kwargs, "in_chans": in_chans, "features_only": True}
        if drop_path is not None:
            check_drop_path(drop_path)
            options["drop_path_rate"] = drop_path
        try:
            dynamic, strides, blocks = describe(name, options)
            options = {**dynamic, **options}
            plain = out_indices is None and len(set(strides)) == 1 and blocks >= len(STRIDES)
            if plain:
                out_indices = [blocks * quarter // len(STRIDES) - 1 for quarter in range(1, len(STRIDES) + 1)]
            elif out_indices is None:
                out_indices = [i for i, stride in enumerate(strides) if stride >= 4] or range(len(strides))
            model = timm.create_model(name, pretrained=pretrained, out_indices=tuple(out_indices), **options)
        except OSError as error:
            raise WeightsError(f"weights of timm/{name} could not be loaded; pretrained=False skips them: {error}") from error
        except CdzooError:  # of the limits of the size of a model
            raise
        except Exception as error:  # timm raises many kinds for arguments that an encoder does not take
            raise ConfigError(f"timm/{name} cannot be used as a backbone: {error}") from error
        key = f"{name} {in_chans} {out_indices} {sorted(options.items())}"
        if key not in _SIZES:
            _SIZES[key] = find_sizes(model, name, in_chans, kwargs.get("img_size"))
        multiple, fixed = _SIZES[key]
        super().__init__(model, in_chans, multiple)
        self.patch = self.nominal = self.out_strides[0]
        self.pyramid: VitPyramid | None = None
        if plain:
            self.nominal = 1 << round(math.log2(self.patch))
            self.pyramid = VitPyramid(self.out_channels, [self.nominal] * len(STRIDES))
            self.out_channels, self.out_strides = self.pyramid.out_channels, STRIDES
            self.pad_multiple = math.lcm(multiple * self.nominal // self.patch, max(STRIDES))
            self.stages_of_levels = ()  # blocks return tokens, which an exchange cannot take
            self.added = ("pyramid.",)
        if fixed is not None:
            self.fixed_input_size, self.pad_multiple = fixed * self.nominal // self.patch, 1
        if pad_multiple is not None:
            self.pad_multiple = pad_multiple

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one feature map (B, C_i, H / s_i, W / s_i) per level."""
        if self.pyramid is None:
            return super().forward(x)
        return self.pyramid(super().forward(resize(x, [side * self.patch // self.nominal for side in x.shape[-2:]])))


def find_sizes(model: Any, name: str, in_chans: int, img_size: int | None = None) -> Sizes:
    """Return the sizes that an encoder takes: multiples of its coarsest stride, or of its windows, or one size.

    The encoder is run on the meta device, without arithmetic, or on images of zeros if it cannot be.

    Args:
        model: Module built by `timm.create_model(..., features_only=True)`.
        name: Name of the encoder, for the message.
        in_chans: Number of input bands.
        img_size: Size that the encoder was built for, if it is not that of its weights.

    Raises:
        ConfigError: It takes none of these.
    """
    stride = max(model.feature_info.reduction())
    cfg = getattr(model, "pretrained_cfg", None) or {}
    native = img_size or (cfg.get("input_size") or (3, 224, 224))[-1]
    model.eval()
    try:
        device = torch.device("meta")
        if not _runs(model, in_chans, device, native, native):
            device = next(model.parameters()).device
        for windows in _WINDOWS:
            side = windows * stride
            if all(_runs(model, in_chans, device, *size) for size in ((side, side), (side, 2 * side), (3 * side, side))):
                return Sizes(side)
        if _runs(model, in_chans, device, native, native):
            return Sizes(1, native)
    finally:
        model.train()
    raise ConfigError(f"timm/{name} cannot be used as a backbone: it does not run on images of {native}x{native} pixels")


def _runs(model: Any, in_chans: int, device: torch.device, height: int, width: int) -> bool:
    state = {name: value.to(device) for name, value in (*model.named_parameters(), *model.named_buffers())}
    try:
        with torch.no_grad(), device:
            torch.func.functional_call(model, state, (torch.zeros(1, in_chans, height, width),))
    except Exception:  # of the code of any encoder, for sizes that it does not take
        return False
    return True


def encoder_statistics(name: str, bands: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and standard deviation of the images that a timm encoder was pretrained on; None for others or other bands."""
    if not name.startswith(PREFIX) or set(bands) != {3}:
        return None
    import timm

    cfg = timm.get_pretrained_cfg(name.removeprefix(PREFIX))
    return None if cfg is None else (tuple(cfg.mean), tuple(cfg.std))


def describe(name: str, options: dict[str, Any]) -> tuple[dict[str, bool], list[int], int]:
    """Build an encoder on the meta device, without memory and without advancing the random state, and describe it.

    Returns:
        The argument that lets an encoder of fixed input size accept any size, if there is one; the strides of its default levels;
        the number of all levels.
    """
    import timm

    cfg = timm.get_pretrained_cfg(name)
    # timm has two such arguments and no way to query which of them a model accepts, so both are tried.
    candidates = [{"dynamic_img_size": True}, {"strict_img_size": False}] if cfg is not None and cfg.fixed_input_size else []
    with torch.device("meta"):
        for candidate in candidates:
            with contextlib.suppress(TypeError, RuntimeError, AttributeError):
                info = timm.create_model(name, **{**candidate, **options}).feature_info
                return candidate, info.reduction(), len(info.info)
        info = timm.create_model(name, **options).feature_info
    return {}, info.reduction(), len(info.info)
