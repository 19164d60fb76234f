"""Programs of `torch.export` that an exported file is made of."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from cdzoo.errors import ConfigError
from cdzoo.export.config import ExportCfg
from cdzoo.export.sizes import FileSizes
from cdzoo.models.detector import ChangeDetector


class Deployed(nn.Module):
    """A model with the normalization before it and the probabilities after it that a file contains.

    Args:
        model: Model on the CPU in evaluation mode.
        cfg: Options of the file.

    Attributes:
        input_names: Names of the images.
        output_names: Names of the outputs.
    """

    def __init__(self, model: ChangeDetector, cfg: ExportCfg) -> None:
        super().__init__()
        self.model = model
        self.normalize, self.probabilities = cfg.normalize, cfg.probabilities
        self.mean, self.std = (nn.Buffer(torch.tensor(v).view(-1, 1, 1)) for v in (model.config.mean, model.config.std))
        dates = model.num_dates
        self.input_names = ["before", "after"] if dates == 2 else [f"date{date}" for date in range(1, dates + 1)]
        self.output_names = ["probability"] if cfg.probabilities else list(model.task.outputs(model.num_classes))

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of `output_names`, each (N, C, H, W)."""
        if self.normalize:
            images = tuple((image - self.mean) / self.std for image in images)
        output = self.model(*images)
        if self.probabilities:
            found = self.model.task.probabilities(output)
            return (found.unsqueeze(1) if found.ndim == 3 else found,)
        return tuple(output.values()) if isinstance(output, dict) else (output,)

    def images(self, height: int, width: int, batch: int) -> tuple[Tensor, ...]:
        """Return images for a check: patches of even brightness with noise, some of them changed; always the same ones."""
        generator = torch.Generator().manual_seed(0)
        dates: list[Tensor] = []
        for bands in self.model.bands:
            patches = torch.rand(batch, bands, -(-height // 16), -(-width // 16), generator=generator)
            if dates and dates[0].shape[1] == bands:
                kept = torch.rand(batch, 1, *patches.shape[2:], generator=generator) < 0.7
                patches = torch.where(kept, dates[0][:, :, ::16, ::16], patches)
            large = patches.repeat_interleave(16, 2).repeat_interleave(16, 3)[..., :height, :width]
            dates.append((large + 0.1 * torch.randn(large.shape, generator=generator)).clamp(0, 1))
        return tuple(dates) if self.normalize else tuple((date - self.mean) / self.std for date in dates)


def deployed(model: ChangeDetector, cfg: ExportCfg, kind: type[Deployed] = Deployed) -> Deployed:
    """Return a model as a file of some kind contains it: on the CPU, in evaluation mode."""
    devices = {parameter.device.type for parameter in model.parameters()}
    if devices - {"cpu"} or any(part.training for part in model.modules()):
        model = copy.deepcopy(model).cpu()
    return kind(model, cfg).eval()


def trace(module: Deployed, cfg: ExportCfg, sizes: FileSizes) -> ExportedProgram:
    """Return the program of a model whose batch, height and width are free where the options and the network allow it.

    Raises:
        ConfigError: An operator of the model cannot be exported, or depends on the size in a way that cannot.
    """
    torch._dynamo.reset()  # sizes of earlier programs would be reused
    images = module.images(*sizes.example(0), cfg.batch or 2)
    free: dict[int, Any] = {}
    if cfg.batch is None:
        free[0] = Dim("batch", min=1)
    if sizes.accepted.fixed is None:
        height = Dim("height", min=sizes.smallest // sizes.multiple)
        width = height if sizes.accepted.square else Dim("width", min=sizes.smallest // sizes.multiple)
        free[2], free[3] = sizes.multiple * height, sizes.multiple * width
        if sizes.multiple == 1:
            free[2], free[3] = height, width
    try:
        with torch.no_grad(), without_fake_cache(), _even_padding(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(module, images, dynamic_shapes=((free,) * len(images),), strict=False)
    except Exception as error:  # of the code of any component
        raise ConfigError(f"{module.model.config.name} cannot be exported: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Return the first lines of the first cause of an error of the exporter."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:500] or type(error).__name__


@contextmanager
def _even_padding() -> Iterator[None]:
    """Use that maps are multiples of the strides of the layers of timm that pad as TensorFlow does.

    Their padding is a function of the size, and nested in every further size; for multiples of the stride it is constant.
    """
    padding: Any = sys.modules.get("timm.layers.padding")
    if padding is None:
        yield
        return
    of_any_size = padding.get_same_padding

    def of_multiple(x: Any, kernel_size: int, stride: int, dilation: int) -> Any:
        if isinstance(x, int):
            return of_any_size(x, kernel_size, stride, dilation)
        return max((kernel_size - 1) * dilation + 1 - stride, 0)

    padding.get_same_padding = of_multiple
    try:
        yield
    finally:
        padding.get_same_padding = of_any_size


def without_fake_cache() -> Any:
    """Return a context without torch's cache of shapes, which takes longer than it saves when sizes are symbols."""
    return torch._dynamo.config.patch(fake_tensor_cache_enabled=False)
