"""Any timm encoder as a backbone: `timm/<name>`, with timm's pretrained tags (`timm/resnet18.a1_in1k`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError, UnknownNameError, WeightsError

PREFIX = "timm/"


class TimmBackbone(Backbone):
    """A timm model that returns its intermediate maps (`features_only=True`).

    Args:
        name: timm's model name, with a pretrained tag if wanted.
        in_chans: Bands of the image.
        pretrained: Load timm's weights (from the Hugging Face Hub or its cache).
        out_indices: Which of timm's levels to return; by default all from stride 4 on, or the only ones there are.
        **kwargs: Passed to `timm.create_model`, which refuses what the encoder does not know.

    Raises:
        UnknownNameError: timm has no such model; the nearest names are given.
        ConfigError: The encoder has no `features_only`, or refuses an argument.
    """

    def __init__(
        self,
        name: str,
        in_chans: int = 3,
        pretrained: bool = False,
        out_indices: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        import timm  # seconds to import; only needed by those who use it

        arch = name.split(".")[0]
        if not timm.is_model(arch):
            close = timm.list_models(f"*{arch}*")[:8]
            hint = f" Near: {', '.join(close)}." if close else ""
            raise UnknownNameError(f"timm {timm.__version__} has no model '{name}'.{hint} timm.list_models('*') shows all.")
        options = {**_any_size(timm, name), **kwargs, "in_chans": in_chans, "features_only": True}
        try:
            if out_indices is None:
                with torch.device("meta"):  # only to learn the strides: no memory, no random numbers drawn
                    out_indices = _from_stride_4(timm.create_model(name, **options).feature_info.reduction())
            model = timm.create_model(name, pretrained=pretrained, out_indices=tuple(out_indices), **options)
        except OSError as error:
            raise WeightsError(
                f"the weights of timm/{name} could not be loaded (pretrained=False starts without): {error}"
            ) from error
        except (RuntimeError, TypeError, AssertionError, AttributeError) as error:
            raise ConfigError(f"timm/{name} cannot be used as a backbone: {error}") from error
        info = model.feature_info
        super().__init__(in_chans, info.channels(), info.reduction())
        self.model = model
        # Encoders that were written channels-last (Swin, for one) say so; every part here takes (B, C, H, W).
        self.channels_last = getattr(model, "output_fmt", None) is not None and str(model.output_fmt.value) == "NHWC"

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W) into one (B, C_i, H / s_i, W / s_i) map per level."""
        features = self.model(x)
        return [f.permute(0, 3, 1, 2) for f in features] if self.channels_last else list(features)


def _any_size(timm: Any, name: str) -> dict[str, bool]:
    """Return the argument that frees a transformer from its training size, if it is one of those that have such a size."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.fixed_input_size:
        return {}
    # timm has two spellings; which one an encoder takes is not declared, so the cheapest instance of it is asked.
    for option in ("dynamic_img_size", "strict_img_size"):
        candidate = {option: option == "dynamic_img_size"}
        try:
            with torch.device("meta"):
                timm.create_model(name, features_only=True, **candidate)
        except (TypeError, RuntimeError, AttributeError):
            continue
        return candidate
    return {}


def _from_stride_4(strides: Sequence[int]) -> list[int]:
    deep = [i for i, stride in enumerate(strides) if stride >= 4]
    return deep or list(range(len(strides)))
