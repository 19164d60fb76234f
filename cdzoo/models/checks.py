"""Checks of a composed model: kinds and channels of its components, its config, and the images it is called with."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cdzoo.compatibility import check_fit, describe
from cdzoo.components import Backbone, Decoder, Fusion, Head, Identity, Neck, PyramidComponent
from cdzoo.config import IMAGENET_MEAN, IMAGENET_STD, INSTANCE, OTHER_MEAN, OTHER_STD, ComponentCfg, ModelCfg
from cdzoo.constants import MIN_SIZE
from cdzoo.errors import CdzooError, ChannelMismatchError, ConfigError, InputError
from cdzoo.models.modes import evaluating
from cdzoo.sizes import InputSizes

if TYPE_CHECKING:
    from cdzoo.models.detector import ChangeDetector

_KINDS = {"backbone": Backbone, "neck": Neck, "fusion": Fusion, "decoder": Decoder, "head": Head, "backbone2": Backbone}

_MAX_CHECK_SIZE = 4096


def check_kinds(**components: Any) -> None:
    """Raise `ConfigError` unless each component is of the kind of its role."""
    for role, component in components.items():
        optional = role in ("backbone2", "neck", "decoder")
        if not isinstance(component, _KINDS[role]) and not (optional and component is None):
            raise ConfigError(f"{role} must be a cdzoo.components.{_KINDS[role].__name__}, got {type(component).__name__}")


def check_chain(
    backbone: Backbone, backbone2: Backbone | None, neck: PyramidComponent, fusion: Fusion, decoder: PyramidComponent, head: Head
) -> None:
    """Raise `ChannelMismatchError` unless each component accepts the output of the previous one."""
    channels, strides = backbone.out_channels, backbone.out_strides
    source = f"backbone {describe(backbone)}"
    if backbone2 is not None and (backbone2.out_channels, backbone2.out_strides) != (channels, strides):
        raise ChannelMismatchError(
            f"the backbones of the two dates return different pyramids: {describe(backbone)} {(channels, strides)}, "
            f"{describe(backbone2)} {(backbone2.out_channels, backbone2.out_strides)}"
        )
    for role, component in (("neck", neck), ("fusion", fusion), ("decoder", decoder)):
        check_fit(source, channels, strides, f"{role} {describe(component)}", component)
        channels, strides = component.out_channels, component.out_strides or strides
        if not isinstance(component, Identity):
            source = f"{role} {describe(component)}"
    check_fit(source, channels, strides, f"head {describe(head)}", head)


def bands_of(backbone: Backbone, backbone2: Backbone | None, fusion: Fusion, config: ModelCfg | None) -> tuple[int, ...]:
    """Return the number of bands of each date.

    With early fusion it follows from the config, or is an equal share of the input of the backbone.

    Raises:
        ConfigError: The fusion combines another number of dates, or the backbone expects other bands.
    """
    expected = fusion.num_dates
    if expected == 1:
        return _bands_of_early_fusion(backbone, backbone2, fusion, config)
    dates = len(config.bands) if config is not None else expected or 2
    if expected not in (None, dates):
        raise ConfigError(f"{describe(fusion)} combines {expected} dates, but in_chans={config and config.in_chans} has {dates}")
    return (backbone.in_chans,) * dates if backbone2 is None else (backbone.in_chans, backbone2.in_chans)


def _bands_of_early_fusion(
    backbone: Backbone, backbone2: Backbone | None, fusion: Fusion, config: ModelCfg | None
) -> tuple[int, ...]:
    if backbone2 is not None:
        raise ConfigError(f"{describe(fusion)} concatenates the dates before the backbone, so there is no backbone2")
    total = backbone.in_chans
    bands = config.bands if config is not None else (total // 2, total // 2)
    if sum(bands) != total:
        raise ConfigError(
            f"{describe(fusion)} concatenates the dates before the backbone, which expects {total} bands instead of the "
            f"{sum(bands)} of all dates: build it with in_chans={sum(bands)}"
        )
    return bands


def derive_config(model: ChangeDetector) -> ModelCfg:
    """Return a config that describes the components of a model by their classes."""

    def named(module: nn.Module) -> Any:
        return None if isinstance(module, Identity) else ComponentCfg(INSTANCE + describe(module))

    bands, rgb = model.bands, set(model.bands) == {3}
    return ModelCfg(
        name="custom",
        backbone=named(model.backbone),
        neck=named(model.neck),
        fusion=named(model.fusion),
        decoder=named(model.decoder),
        head=named(model.head),
        in_chans=bands[0] if len(bands) == 2 and bands[0] == bands[1] else bands,
        num_classes=model.head.num_classes,
        siamese=model.backbone2 is None,
        mean=IMAGENET_MEAN if rgb else OTHER_MEAN,
        std=IMAGENET_STD if rgb else OTHER_STD,
    )


def check_config(config: ModelCfg | None, derived: ModelCfg) -> ModelCfg:
    """Return `config`, or the derived one if it is None.

    Raises:
        ConfigError: The config disagrees with the components.
    """
    if config is None:
        return derived
    for key, label in (("bands", "in_chans"), ("num_classes", "num_classes"), ("siamese", "siamese")):
        stated, built = getattr(config, key), getattr(derived, key)
        if stated != built:
            raise ConfigError(f"the config states {label}={stated}, but the components were built for {built}")
    return config


def check_images(images: Sequence[Any], bands: Sequence[int], accepted: InputSizes) -> None:
    """Raise `InputError` unless there is one image tensor per date, with the bands of the model and one size.

    Args:
        images: Arguments of `ChangeDetector.forward`.
        bands: Number of bands of each date.
        accepted: Sizes that the model takes.
    """
    if len(images) != len(bands) or not all(isinstance(image, Tensor) for image in images):
        given = ", ".join(type(image).__name__ for image in images) or "nothing"
        raise InputError(f"the model expects {len(bands)} tensors, one per date: model(before, after); got {given}")
    for date, (image, expected) in enumerate(zip(images, bands, strict=True), 1):
        if image.ndim != 4:
            raise InputError(f"date {date} must be a batch (B, bands, H, W), got shape {tuple(image.shape)}")
        if image.shape[1] != expected:
            raise InputError(
                f"date {date} has {image.shape[1]} bands, the model expects {expected}: build it with in_chans={image.shape[1]}"
            )
        if image.shape[0] != images[0].shape[0] or image.shape[-2:] != images[0].shape[-2:]:
            raise InputError(f"the dates differ in batch or size: {tuple(images[0].shape)} and {tuple(image.shape)}")
    height, width = images[0].shape[-2:]
    if min(height, width) < MIN_SIZE:
        raise InputError(f"images must be at least {MIN_SIZE}x{MIN_SIZE} pixels, got {height}x{width}")
    if problem := accepted.problem(height, width):
        raise InputError(f"images of {height}x{width} pixels {problem}; cut them, or use predict_pair or predict_scene, which do")


def check_outputs(model: ChangeDetector) -> None:
    """Run the model once and compare the channels of each component with the ones it declares.

    The inputs are meta tensors, which need no arithmetic, or zeros if an operator does not support meta tensors.

    Raises:
        ChannelMismatchError: A component returns other channels than it declares.
        ConfigError: A component fails, for example because the backbone does not support the size.
    """
    roles = [role for role in ("backbone", "backbone2", "neck", "fusion", "decoder") if getattr(model, role) is not None]
    hooks = [getattr(model, role).register_forward_hook(functools.partial(_check_channels, role)) for role in roles]
    side = model.fixed_input_size or math.lcm(64, model.pad_multiple, model.size_multiple)
    if side > _MAX_CHECK_SIZE:
        raise ConfigError(f"the model '{model.config.name}' takes images of multiples of {side} pixels only: reduce its strides")
    own = next(model.parameters(), torch.empty(0)).device
    try:
        with evaluating(model):
            try:
                _run_once(model, side, torch.device("meta"))
            except CdzooError:
                raise
            except Exception:
                if own.type == "meta":
                    raise
                _run_once(model, side, own)
    except CdzooError:
        raise
    except Exception as error:  # of the code of any component
        raise ConfigError(f"the model '{model.config.name}' fails on images of {side}x{side} pixels: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()


def _run_once(model: ChangeDetector, side: int, device: torch.device) -> None:
    state = {name: tensor.to(device) for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    images = tuple(torch.zeros(1, bands, side, side, device=device) for bands in model.bands)
    with torch.no_grad():
        torch.func.functional_call(model, state, images)


def _check_channels(role: str, component: Any, _inputs: Any, features: Any) -> None:
    found = tuple(level.shape[1] for level in features)
    if found != component.out_channels:
        raise ChannelMismatchError(
            f"{role} {describe(component)} declares channels {component.out_channels}, but returns {found}: pass "
            f"out_channels={found} to super().__init__()"
        )
