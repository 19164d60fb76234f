"""`StagedBackbone`: base class of backbones whose stages halve the resolution."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Backbone
from cdzoo.errors import ConfigError
from cdzoo.layers.drop_path import check_drop_path

_MAX_STAGES = 8
_MAX_DEPTH = 200


class StagedBackbone(Backbone):
    """Backbone with one level per stage; strides double.

    Subclasses assign `stages`.

    Args:
        name: Registered name of the backbone, used in messages.
        in_chans: Number of input channels.
        channels: Number of channels per stage.
        depths: Number of blocks per stage.
        drop_path: Stochastic depth rate of the last block.
        pad_multiple: H and W must be multiples of this; the coarsest stride by default.
        first_stride: Stride of the first stage.

    Raises:
        ConfigError: `depths` is empty, too long, or has values out of range, or `drop_path` is not in [0, 1).
    """

    stages: nn.ModuleList

    def __init__(
        self,
        name: str,
        in_chans: int,
        channels: Sequence[int],
        depths: Sequence[int],
        drop_path: float = 0.0,
        pad_multiple: int | None = None,
        first_stride: int = 4,
    ) -> None:
        if not 1 <= len(depths) <= _MAX_STAGES or not all(1 <= depth <= _MAX_DEPTH for depth in depths):
            raise ConfigError(
                f"backbone {name}: depths must be integers from 1 to {_MAX_DEPTH}, one per stage, for at most {_MAX_STAGES} "
                f"stages, got {tuple(depths)}"
            )
        check_drop_path(drop_path)
        strides, stages = zip(*((first_stride * 2**i, f"stages.{i}") for i in range(len(depths))), strict=True)
        super().__init__(in_chans, channels, strides, pad_multiple, stages)

    def run_stages(self, x: Tensor) -> list[Tensor]:
        """Return the output of each stage, computed from that of the previous one."""
        outputs = []
        for stage in self.stages:
            x = self.run_stage(stage, x)
            outputs.append(x)
        return outputs
