"""`timm/<name>`: any timm encoder as a backbone; pretrained tags are supported (`timm/resnet18.a1_in1k`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cdzoo.backbones.features import FeatureBackbone
from cdzoo.errors import CdzooError, ConfigError, UnknownNameError, WeightsError
from cdzoo.io.hub_client import guard_client
from cdzoo.layers.drop_path import check_drop_path

PREFIX = "timm/"
_WINDOWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
"""Sizes of attention windows, in pixels of the coarsest level, that encoders have."""
_MULTIPLES: dict[str, int] = {}
"""Multiples that were found, by encoder and arguments."""


class TimmBackbone(FeatureBackbone):
    """timm model that returns its intermediate feature maps (`features_only=True`).

    Args:
        name: Name of the timm model, optionally with a pretrained tag.
        in_chans: Number of input channels.
        pretrained: Load timm's pretrained weights, from the Hugging Face Hub or its cache.
        out_indices: Indices of the timm levels to return. Default: all levels of stride 4 or more, or all levels if there
            are none.
        drop_path: Stochastic depth rate (`drop_path_rate` of timm); that of the encoder by default.
        **kwargs: Further arguments of `timm.create_model`.

    Raises:
        UnknownNameError: timm has no model of this name; similar names are listed.
        ConfigError: The encoder does not support `features_only`, rejects an argument, or takes images of one size only.
        WeightsError: The pretrained weights could not be loaded.
    """

    def __init__(
        self,
        name: str,
        in_chans: int = 3,
        pretrained: bool = False,
        out_indices: Sequence[int] | None = None,
        drop_path: float | None = None,
        **kwargs: Any,
    ) -> None:
        import timm  # imported here because it takes seconds to import

        arch = name.split(".")[0]
        if not timm.is_model(arch):
            close = timm.list_models(f"*{arch}*")[:8]
            hint = f" Similar names: {', '.join(close)}." if close else ""
            raise UnknownNameError(f"timm {timm.__version__} has no model '{name}'.{hint} timm.list_models() lists all models.")
        if pretrained:
            guard_client()
        try:
            options = {**_dynamic_size_option(timm, name), **kwargs, "in_chans": in_chans, "features_only": True}
            if drop_path is not None:
                check_drop_path(drop_path)
                options["drop_path_rate"] = drop_path
            if out_indices is None:
                with torch.device("meta"):  # to read the strides without memory and without advancing the random state
                    strides = timm.create_model(name, **options).feature_info.reduction()
                out_indices = [i for i, stride in enumerate(strides) if stride >= 4] or range(len(strides))
            model = timm.create_model(name, pretrained=pretrained, out_indices=tuple(out_indices), **options)
        except OSError as error:
            raise WeightsError(f"weights of timm/{name} could not be loaded; pretrained=False skips them: {error}") from error
        except CdzooError:  # of the limits of the size of a model
            raise
        except Exception as error:  # timm raises many kinds for arguments that an encoder does not take
            raise ConfigError(f"timm/{name} cannot be used as a backbone: {error}") from error
        key = f"{name} {in_chans} {out_indices} {sorted(options.items())}"
        if key not in _MULTIPLES:
            _MULTIPLES[key] = size_multiple(model, name, in_chans)
        super().__init__(model, in_chans, _MULTIPLES[key])


def size_multiple(model: Any, name: str, in_chans: int) -> int:
    """Return the number of pixels whose multiples an encoder takes as height and width: its coarsest stride, or that of windows.

    The encoder is run on the meta device, without arithmetic, or on images of zeros if it cannot be.

    Args:
        model: Module built by `timm.create_model(..., features_only=True)`.
        name: Name of the encoder, for the message.
        in_chans: Number of input bands.

    Raises:
        ConfigError: It takes no such sizes.
    """
    stride = max(model.feature_info.reduction())
    cfg = getattr(model, "pretrained_cfg", None) or {}
    native = (cfg.get("input_size") or (3, 224, 224))[-1]
    model.eval()
    try:
        device = torch.device("meta")
        if not _runs(model, in_chans, device, native, native):
            device = next(model.parameters()).device
        for windows in _WINDOWS:
            side = windows * stride
            if all(_runs(model, in_chans, device, *size) for size in ((side, side), (side, 2 * side), (3 * side, side))):
                return side
    finally:
        model.train()
    raise ConfigError(
        f"timm/{name} cannot be used as a backbone: it takes images of {native}x{native} pixels only, not of any size; choose "
        "another encoder"
    )


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


def _dynamic_size_option(timm: Any, name: str) -> dict[str, bool]:
    """Return the keyword argument that lets a model of fixed input size accept any size; empty for other models."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.fixed_input_size:
        return {}
    # timm has two such arguments and no way to query which of them a model accepts, so both are tried on the meta device.
    for candidate in ({"dynamic_img_size": True}, {"strict_img_size": False}):
        try:
            with torch.device("meta"):
                timm.create_model(name, features_only=True, **candidate)
        except (TypeError, RuntimeError, AttributeError):
            continue
        return candidate
    return {}
