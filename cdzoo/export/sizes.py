"""`FileSizes`: heights and widths that an exported file takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from cdzoo.constants import MIN_SIZE
from cdzoo.errors import ConfigError
from cdzoo.models.detector import ChangeDetector
from cdzoo.sizes import InputSizes, missing


@dataclass(frozen=True)
class FileSizes:
    """Heights and widths that an exported file takes. The file does not pad: its images are padded before.

    Attributes:
        multiple: Height and width are multiples of this: of the padding of the model, and of the stride of its coarsest level.
        accepted: Sizes of images that the network takes; `fixed` also if the file is written for one size.
        smallest: Smallest height and width: more than one pixel of the coarsest level, and more than one window of a backbone
            that attends in windows, since programs are traced for more than one.
    """

    multiple: int
    accepted: InputSizes
    smallest: int

    @classmethod
    def of(cls, model: ChangeDetector, size: int | None = None) -> FileSizes:
        """Return the sizes of a model, or only one height and width.

        Raises:
            ConfigError: The model does not take this size.
        """
        strides = [stride for encoder in model.encoders for stride in encoder.out_strides]
        multiple = math.lcm(model.pad_multiple, model.size_multiple, *strides)
        windows = (getattr(encoder, "window", 1) * max(encoder.out_strides) for encoder in model.encoders)
        least = max(MIN_SIZE - 1, *windows, multiple)
        sizes = cls(multiple, model.input_sizes, model.input_sizes.fixed or (least // multiple + 1) * multiple)
        if size is None:
            return sizes
        if (fixed := sizes.accepted.fixed) not in (None, size):
            raise ConfigError(f"size={size}: {model.config.name} takes images of {fixed}x{fixed} pixels only: leave the size out")
        if add := missing(size, sizes.multiple):
            near = size + add
            raise ConfigError(
                f"size={size}: a file of {model.config.name} takes multiples of {sizes.multiple} pixels, for example {near}"
            )
        return replace(sizes, accepted=replace(sizes.accepted, fixed=size), smallest=size)

    def example(self, number: int) -> tuple[int, int]:
        """Return a size for tracing (0) or one of two for checks (1, 2); free sizes all differ, and their height and width."""
        if self.accepted.fixed is not None:
            return (self.accepted.fixed,) * 2
        height, width = ((1, 2), (0, 1), (2, 1))[number]
        if self.accepted.square:
            width = height
        return self.smallest + height * self.multiple, self.smallest + width * self.multiple
