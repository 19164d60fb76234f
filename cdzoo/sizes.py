"""Heights and widths of images that a model takes, and the padding up to a multiple."""

from __future__ import annotations

from dataclasses import dataclass

from cdzoo.constants import MIN_SIZE


def missing(length: int, multiple: int) -> int:
    """Return the number of pixels up to the next multiple."""
    # torch.compile traces this form for sizes that vary; it cannot trace `-length % multiple`.
    return (multiple - length % multiple) % multiple


@dataclass(frozen=True)
class InputSizes:
    """Heights and widths of images that a model takes, at least `MIN_SIZE` pixels.

    Attributes:
        fixed: The only height and width; None if others are accepted.
        multiple: Heights and widths must be multiples of this.
        square: Whether height and width must be equal.
    """

    fixed: int | None = None
    multiple: int = 1
    square: bool = False

    @property
    def free(self) -> bool:
        """Whether all sizes are accepted."""
        return self == ANY_SIZE

    def problem(self, height: int, width: int) -> str:
        """Return what is wrong with images of a size, as a clause that begins with "are"; empty if they are accepted."""
        if min(height, width) < MIN_SIZE:
            return f"are smaller than {MIN_SIZE}x{MIN_SIZE} pixels, the least that a model takes"
        if self.fixed is not None and (height, width) != (self.fixed, self.fixed):
            return f"are not {self.fixed}x{self.fixed} pixels, the only size that the model takes"
        if height % self.multiple or width % self.multiple:
            return f"are not multiples of {self.multiple} pixels high and wide, which the model requires"
        if self.square and height != width:
            return "are not square, which the model requires"
        return ""

    def largest_window(self, height: int, width: int) -> int:
        """Return the side of the largest square window of an accepted size in an image; 0 if there is none."""
        side = min(height, width)
        if self.fixed is not None:
            return self.fixed if self.fixed <= side else 0
        return side // self.multiple * self.multiple


ANY_SIZE = InputSizes()
