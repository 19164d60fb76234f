"""Modules of other libraries as backbones: `FeatureBackbone` and `wrap_backbone`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError


class FeatureBackbone(Backbone):
    """Wraps a module that returns a list of feature maps and describes them in `feature_info`, such as a timm encoder.

    Args:
        model: Module built by `timm.create_model(..., features_only=True)`, or with the same interface.
        in_chans: Number of input bands.
        pad_multiple: H and W must be multiples of this; the coarsest stride by default.
    """

    def __init__(self, model: nn.Module, in_chans: int, pad_multiple: int | None = None) -> None:
        info: Any = model.feature_info
        super().__init__(in_chans, info.channels(), info.reduction(), pad_multiple, stage_names(model, info))
        self.model = model
        # Some encoders (e.g., Swin) return channels-last maps; components expect (B, C, H, W).
        output_format = getattr(model, "output_fmt", None)
        self.stages_channels_last = output_format is not None and str(output_format.value) == "NHWC"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one feature map (B, C_i, H / s_i, W / s_i) per level."""
        features = self.model(x)
        return [f.permute(0, 3, 1, 2) for f in features] if self.stages_channels_last else list(features)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Enable the checkpointing of the wrapped module."""
        setter = getattr(getattr(self.model, "model", self.model), "set_grad_checkpointing", None)
        if setter is None:
            raise ConfigError(f"{type(self.model).__name__} does not support gradient checkpointing")
        setter(enable)


def stage_names(model: nn.Module, info: Any) -> list[str]:
    """Return the path of the submodule that computes each level below `model`; empty if a level has none."""
    paths = {path for path, _ in model.named_modules(remove_duplicate=False)}
    forms = [(name, name.replace(".", "_"), f"model.{name}") for name in info.module_name()]
    names = [next((path for path in form if path in paths), None) for form in forms]
    return [] if None in names else [f"model.{name}" for name in names]


def wrap_backbone(module: nn.Module, in_chans: int) -> Backbone:
    """Return `module` if it is a `Backbone`; wrap modules that describe their features as timm does.

    Raises:
        ConfigError: The module does neither. The message shows how to wrap it.
    """
    if isinstance(module, Backbone):
        return module
    if callable(getattr(getattr(module, "feature_info", None), "reduction", None)):
        return FeatureBackbone(module, in_chans)
    raise ConfigError(
        f"backbone: {type(module).__name__} does not return a feature pyramid. For an encoder of timm pass its name, such as "
        'backbone="timm/resnet18", or timm.create_model(..., features_only=True). Otherwise subclass cdzoo.components.Backbone: '
        "call super().__init__(in_chans, out_channels, out_strides), and return the list of feature maps in forward()"
    )
