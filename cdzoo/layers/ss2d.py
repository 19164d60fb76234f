"""SS2D: 2D selective scan (S6) in several directions.

Sources: A. Gu, T. Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752, for S6 and its
initialization; Y. Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv 2401.10166, for the scan in four
directions. Parameters have the names of VMamba.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cdzoo.errors import ConfigError
from cdzoo.names import check_known
from cdzoo.ops import list_scan_orders, ss2d_scan
from cdzoo.ops.orders import num_directions


class SS2D(nn.Module):
    """Selective scan of a channels-last map in K directions; outputs are summed over directions at each position.

    Each direction k has its own projections, A and D:
    (dt, B, C) = x_proj_k(u);  dt = softplus(dt_proj_k(dt) + dt_bias_k);  h_t = exp(dt A) h_{t-1} + dt B_t u_t;
    y_t = C_t . h_t + D u_t. The input term is dt * B (first order), as in Mamba implementations, instead of the exact
    zero-order hold, and dt is passed through softplus (the GLMamba paper prints SiLU).

    Args:
        channels: Number of channels D.
        d_state: State size N per channel.
        dt_rank: Rank of the projection to dt; `ceil(model_channels / 16)` in Mamba.
        scan: Scan order, one of `cdzoo.ops.list_scan_orders()`.
        dt_min: Minimum dt at initialization.
        dt_max: Maximum dt at initialization.

    Raises:
        ConfigError: `scan` is unknown, or a number is below 1.
    """

    def __init__(
        self, channels: int, d_state: int, dt_rank: int, scan: str = "cross", dt_min: float = 1e-3, dt_max: float = 1e-1
    ) -> None:
        super().__init__()
        if channels < 1 or d_state < 1:
            raise ConfigError(f"selective scan: channels and d_state must be at least 1, got {channels} and {d_state}")
        check_known("unknown scan", scan, list_scan_orders())
        directions = num_directions(scan)
        self.channels = channels
        self.d_state = d_state
        self.dt_rank = dt_rank
        self.scan = scan
        self.directions = directions
        self.x_proj_weight = nn.Parameter(torch.empty(directions, dt_rank + 2 * d_state, channels))
        self.dt_projs_weight = nn.Parameter(torch.empty(directions, channels, dt_rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(directions, channels))
        self.A_logs = nn.Parameter(torch.empty(directions * channels, d_state))
        self.Ds = nn.Parameter(torch.ones(directions * channels))
        self.reset_parameters(dt_min, dt_max)

    @torch.no_grad()
    def reset_parameters(self, dt_min: float, dt_max: float) -> None:
        """Initialize as Mamba does: A = -(1..N), D = 1, softplus(dt_bias) log-uniform in [dt_min, dt_max]."""
        nn.init.uniform_(self.x_proj_weight, -(self.channels**-0.5), self.channels**-0.5)
        nn.init.uniform_(self.dt_projs_weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
        dt = torch.empty_like(self.dt_projs_bias).uniform_(math.log(dt_min), math.log(dt_max)).exp()
        self.dt_projs_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # inverse of softplus
        self.A_logs.copy_(torch.arange(1, self.d_state + 1, dtype=self.A_logs.dtype).log().expand_as(self.A_logs))
        nn.init.ones_(self.Ds)

    def forward(self, x: Tensor) -> Tensor:
        """Scan a channels-last map (B, H, W, D) in all directions; the output has the same shape."""
        batch, height, width, channels = x.shape
        k, rank, n = self.directions, self.dt_rank, self.d_state
        # The projections are pointwise, so all directions share one product in the memory order of the map.
        projected = F.linear(x, self.x_proj_weight.flatten(0, 1)).view(batch, height, width, k, rank + 2 * n)
        # Slices instead of `split`, for which ONNX has sequences only: (B, H, W, K, R), (B, H, W, K, N) twice
        dt, b, c = projected[..., :rank], projected[..., rank : rank + n], projected[..., rank + n :]
        dt = dt.permute(3, 0, 1, 2, 4).reshape(k, batch * height * width, rank)
        dt = torch.bmm(dt, self.dt_projs_weight.mT).view(k, batch, height, width, channels)
        return ss2d_scan(
            x,
            dt,
            -torch.exp(self.A_logs.float()).view(k, channels, n),
            b,
            c,
            D=self.Ds.float().view(k, channels),
            delta_bias=self.dt_projs_bias.float(),
            delta_softplus=True,
            order=self.scan,
        )

    def extra_repr(self) -> str:
        """Return the arguments shown by `print(model)`."""
        return f"channels={self.channels}, d_state={self.d_state}, dt_rank={self.dt_rank}, scan={self.scan!r}"
