"""`Branch`: additional output of a change detector."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from cdzoo.components import Decoder, Fusion, Head, Pyramid
from cdzoo.errors import ConfigError


class Branch(nn.Module):
    """Additional output of a model, computed from the pyramids of some dates: `forward(pyramids, size) -> (B, K, H, W)`.

    Args:
        head: Predicts the output.
        dates: Indices of the dates; the first date by default.
        fusion: Combines their pyramids; may be omitted for one date.
        decoder: Refines the pyramid; None for no decoder.

    Raises:
        ConfigError: There are several dates but no fusion.
    """

    def __init__(
        self, head: Head, dates: Sequence[int] = (0,), fusion: Fusion | None = None, decoder: Decoder | None = None
    ) -> None:
        super().__init__()
        if fusion is None and len(dates) != 1:
            raise ConfigError(f"a branch of {len(dates)} dates requires a fusion")
        self.head, self.dates, self.fusion, self.decoder = head, tuple(dates), fusion, decoder

    def forward(self, pyramids: Sequence[Pyramid], size: tuple[int, int]) -> Tensor:
        """Return the output at `size`, the height and width of the padded images."""
        chosen = [pyramids[date] for date in self.dates]
        features = chosen[0] if self.fusion is None else self.fusion(*chosen)
        return self.head(features if self.decoder is None else self.decoder(features), size)
