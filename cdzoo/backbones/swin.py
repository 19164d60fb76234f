"""`swin`: Swin Transformer whose blocks pad before they shift, the backbone of BTC.

Source: Z. Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, arXiv 2103.14030.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.layers import truncated_init_
from cdzoo.layers.drop_path import drop_path as drop_path_layer
from cdzoo.layers.drop_path import drop_path_rates
from cdzoo.layers.patches import PatchEmbed, PatchMerging
from cdzoo.layers.stages import StagedBackbone
from cdzoo.registry import register_backbone
from cdzoo.sizes import missing

PATCH = 4
_MASKED = -100.0


class SeparateQKV(nn.Module):
    """Query, key and value projections with weights of their own: (..., C) -> (..., 3 C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated projections."""
        return torch.cat([self.query(x), self.key(x), self.value(x)], dim=-1)


class SwinBlock(nn.Module):
    """Attention in windows of a channels-last map (B, H, W, C), followed by an MLP; both are residual.

    The map is padded at the bottom and right to whole windows, shifted, attended to, shifted back, and cropped. timm shifts
    before it pads, which differs wherever the map is not made of whole windows.

    Args:
        channels: Number of channels C.
        heads: Number of attention heads.
        window: Side of a window, also on maps that are smaller.
        shift: Number of rows and columns by which the map is shifted.
        mlp_ratio: Ratio of hidden channels of the MLP to C.
        drop_path: Stochastic depth rate of both residual branches.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int, mlp_ratio: float, drop_path: float) -> None:
        from timm.layers import Mlp  # imported here because timm takes seconds to import
        from timm.models.swin_transformer import WindowAttention

        super().__init__()
        self.window = window
        self.shift = shift
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, window_size=window)
        self.attn.qkv = SeparateQKV(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, int(mlp_ratio * channels))
        self.drop_path = drop_path_layer(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shape is kept."""
        x = x + self.drop_path(self._attend(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))

    def _attend(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        # torch.export proves that these views fit only if the padded sides are written as a number of windows.
        rows, columns = ((side + self.window - 1) // self.window for side in (height, width))
        x = F.pad(x, (0, 0, 0, columns * self.window - width, 0, rows * self.window - height))
        if self.shift:
            x = x.roll((-self.shift, -self.shift), (1, 2))
        windows = self.attn(self._windows(x, rows, columns), self._mask(x, rows, columns) if self.shift else None)
        x = windows.view(batch, rows, columns, self.window, self.window, channels).transpose(2, 3)
        x = x.reshape(batch, rows * self.window, columns * self.window, channels)
        if self.shift:
            x = x.roll((self.shift, self.shift), (1, 2))
        if isinstance(height, torch.SymInt):  # the strides of a slice would bind an exported program to maps of no whole windows
            return x.index_select(1, torch.arange(height)).index_select(2, torch.arange(width))
        return x[:, :height, :width]

    def _windows(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Return the windows (B * rows * columns, window^2, C) of a map (B, H, W, C)."""
        x = x.view(x.shape[0], rows, self.window, columns, self.window, x.shape[-1])
        return x.transpose(2, 3).reshape(-1, self.window**2, x.shape[-1])

    def _mask(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Return the mask (number, window^2, window^2) that separates pixels which are neighbors only because of the shift."""
        down, right = (self._regions(number, x) for number in (rows, columns))
        windows = self._windows((3 * down[:, None] + right)[None, :, :, None], rows, columns)
        return (windows != windows.mT).to(x.dtype) * _MASKED

    def _regions(self, number: int, x: Tensor) -> Tensor:
        """Return the regions along an axis of some windows: 0 before the last window, which holds 1 and, shifted in, 2."""
        position = torch.arange(number * self.window, device=x.device)
        last = (number - 1) * self.window
        return (position >= last).int() + (position >= last + self.window - self.shift).int()


@register_backbone("swin")
class Swin(StagedBackbone):
    """Stages of window attention at strides 4, 8, 16, 32 and with C, 2C, 4C, 8C channels; the defaults are those of Swin-T.

    Accepts images of any size: the patch embedding and the windows pad with zeros, downsampling rounds sizes up. Windows do not
    shrink on maps that are smaller. `timm/swin_*` are the same networks, but pad after they shift, so that their outputs are
    equal only on maps of whole windows. Linear layers are initialized from a truncated normal distribution with standard
    deviation 0.02. The transformers library, which the authors of BTC use, applies stochastic depth to the attention only.

    Args:
        in_chans: Number of input channels.
        channels: Number of channels C of the first stage.
        depths: Number of blocks per stage; every second block shifts its windows by half their side.
        heads: Number of attention heads per stage; must divide the channels.
        window: Side of a window, at least 2.
        mlp_ratio: Ratio of hidden channels of the MLPs to the channels.
        drop_path: Stochastic depth rate of the last block; rates increase linearly from 0.

    Raises:
        ConfigError: An argument is out of range, or the heads do not divide the channels.
    """

    stages_channels_last = True

    def __init__(
        self,
        in_chans: int = 3,
        channels: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.3,
    ) -> None:
        widths = [channels * 2**i for i in range(len(depths))]
        if channels < 1 or window < 2 or mlp_ratio * channels < 1:
            raise ConfigError(
                "backbone swin: channels and mlp_ratio must be positive and window at least 2, "
                f"got {channels}, {mlp_ratio}, {window}"
            )
        if len(heads) != len(depths) or any(number < 1 or width % number for number, width in zip(heads, widths, strict=True)):
            raise ConfigError(f"backbone swin: heads {tuple(heads)} must have one divisor of the channels {widths} per stage")
        super().__init__("swin", in_chans, widths, depths, drop_path, pad_multiple=1)
        self.window = window
        self.patch_embed = PatchEmbed(in_chans, channels)
        self.stages = nn.ModuleList()
        for i, (width, rates) in enumerate(zip(widths, drop_path_rates(drop_path, depths), strict=True)):
            shifts = [block % 2 * (window // 2) for block in range(len(rates))]
            blocks = [
                SwinBlock(width, heads[i], window, shift, mlp_ratio, rate) for shift, rate in zip(shifts, rates, strict=True)
            ]
            downsample = {"downsample": PatchMerging(width // 2)} if i else {}
            self.stages.append(nn.Sequential(OrderedDict(downsample, blocks=nn.Sequential(*blocks))))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        truncated_init_(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode (B, in_chans, H, W); returns one normalized map (B, C_i, ceil(H / s_i), ceil(W / s_i)) per stage."""
        x = F.pad(x, (0, missing(x.shape[-1], PATCH), 0, missing(x.shape[-2], PATCH)))
        levels = self.run_stages(self.patch_embed(x))
        return [norm(level).permute(0, 3, 1, 2) for norm, level in zip(self.norms, levels, strict=True)]
