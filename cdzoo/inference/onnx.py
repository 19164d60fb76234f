"""`OnnxModel`: an exported model, run by ONNX Runtime instead of PyTorch."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cdzoo.errors import ConfigError, InputError, require
from cdzoo.inference.exported import Metadata
from cdzoo.inference.sources import Array
from cdzoo.io.files import PathLike
from cdzoo.models.checks import check_images
from cdzoo.models.preprocess import normalize_images, pad_edges, to_unit
from cdzoo.models.scale import aligned, at_scale
from cdzoo.sizes import missing
from cdzoo.tasks import get_task
from cdzoo.tasks.base import Output

SUFFIX = ".onnx"
INPUTS = ("before", "after")
PROBABILITY = "probability"
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
_TYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16}


def is_exported(model: object) -> bool:
    """Return whether a model is named by the path of an exported file."""
    return isinstance(model, str | os.PathLike) and os.fspath(model).lower().endswith(SUFFIX)


class OnnxModel:
    """Model of a file written by `cdzoo export`; implements `cdzoo.inference.model.PairModel`.

    Args:
        path: The `.onnx` file. It is read once.
        device: `"cpu"`, `"cuda"`, or `"auto"` for CUDA if the installed ONNX Runtime has it.
        threads: Number of threads; by default that of PyTorch, which environment variables such as `OMP_NUM_THREADS` set.

    Attributes:
        path: Path of the file.
        sha256: Hash of the file.
        metadata: What the file says about itself.
        config: Description of the model.
        task: Meaning of the outputs.
        origin: Where the weights come from; None for newly initialized weights.
        pretrained_cfg: Description of the weights; None without published weights.
        bands: Number of bands of each date.
        input_sizes: Sizes of images that it takes.
        pad_multiple: Images are padded to multiples of this before the file is run.
        window_multiple: Windows of larger images start at multiples of this.
        local: Whether a logit depends only on a neighborhood of its pixel.
        device: Device of the images that `__call__` takes.
        threads: Number of threads.

    Raises:
        InputError: There is no such file, it is damaged or for a newer ONNX Runtime, or it was not written by cdzoo.
        ConfigError: The device is not available.
        UnknownNameError: The task of the model is not known; import the file that defines it first.
        MissingDependencyError: onnxruntime is not installed.
    """

    def __init__(self, path: PathLike, device: str = "cpu", threads: int | None = None) -> None:
        self.path = Path(path)
        content = _read(self.path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.threads = threads or torch.get_num_threads()
        self._session = _open(self.path, content, device, self.threads)
        try:
            properties = self._session.get_modelmeta().custom_metadata_map
            self._inputs = {one.name: one.type for one in self._session.get_inputs()}
            self.output_names = [one.name for one in self._session.get_outputs()]
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: damaged: a name in it is not UTF-8; copy it again") from error
        self.metadata = found = Metadata.from_properties(properties, str(path))
        self.config, self.origin, self.pretrained_cfg = found.model_config(), found.origin, found.pretrained_cfg
        self.task = get_task(self.config.task, self.config.class_names)
        self.bands, self.num_dates = self.config.bands, len(self.config.bands)
        self.input_sizes, self.local = found.sizes, found.local
        self.pad_multiple = found.pad_multiple
        self.window_multiple = aligned(found.pad_multiple, self.config.input_scale)
        self.device = torch.device("cpu")  # ONNX Runtime copies the images to its own device
        self._check_interface("model_type" in properties)
        self._type = _TYPES.get(self._inputs[INPUTS[0]], torch.float32)

    @property
    def fixed_input_size(self) -> int | None:
        """Height and width that the file takes; None if it takes others."""
        return self.input_sizes.fixed

    def __call__(self, *images: Tensor) -> Output:
        """Return the output of the file at the size of the images.

        Args:
            *images: One tensor (B, bands, H, W) per date, of one size: values in [0, 1] if `metadata.normalized`, else normalized
                with the mean and standard deviation of `config`; resampled by its `input_scale`.

        Returns:
            Logits (B, K, H, W) or a dict of them, as a `ChangeDetector`; if `metadata.probabilities`, probabilities (B, C, H, W).

        Raises:
            InputError: The images do not match each other or the model.
        """
        check_images(images, self.bands, self.input_sizes)
        height, width = images[0].shape[-2:]
        padded = [pad_edges(image.to(self._type), *self.padding(height, width)).cpu().contiguous().numpy() for image in images]
        found = [torch.from_numpy(array)[..., :height, :width].float() for array in self._run(padded)]
        return found[0] if len(found) == 1 else dict(zip(self.output_names, found, strict=True))

    def probabilities(self, output: Output) -> Tensor:
        """Return the probabilities (B, ..., H, W) in [0, 1] of an output of the model; (B, H, W) of change for `binary`."""
        if not self.metadata.probabilities:
            return self.task.probabilities(output)
        assert isinstance(output, Tensor)
        return output if self.task.probability_names else output[:, 0]

    def predict_probabilities(self, *images: Tensor, scale: float = 1.0) -> Tensor:
        """Return the probabilities (B, ..., H, W) of one tensor (B, bands, H, W) per date, uint8 or float in [0, 1].

        Args:
            *images: The images.
            scale: Factor by which they are enlarged for the network, in addition to `config.input_scale`.

        Raises:
            InputError: The images do not match each other or the model.
        """
        unit = tuple(map(to_unit, images)) if self.metadata.normalized else normalize_images(self.config, *images)
        return at_scale(lambda *resampled: self.probabilities(self(*resampled)), unit, scale * self.config.input_scale)

    def padding(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of rows and columns that are appended below and to the right of an image."""
        down, right = (max(length, self.metadata.min_size) - length for length in (height, width))
        return down + missing(height + down, self.pad_multiple), right + missing(width + right, self.pad_multiple)

    def eval(self) -> OnnxModel:
        """Return the model, which is always in evaluation mode."""
        return self

    def __repr__(self) -> str:
        """Return the name of the model, the file, and how it is run."""
        return f"OnnxModel({self.config.name}, {self.path}, {self.metadata.precision}, {self._session.get_providers()[0]})"

    def _run(self, images: list[Array]) -> list[Array]:
        """Return the outputs for images (N, bands, H, W); files of a fixed number of pairs are run several times."""
        count = len(images[0])
        batch = self.metadata.batch or count
        parts = []
        for first in range(0, count, batch):
            pairs = [image[first : first + batch] for image in images]
            if (lacking := batch - len(pairs[0])) > 0:
                pairs = [np.concatenate([image, np.repeat(image[-1:], lacking, 0)]) for image in pairs]
            try:
                parts.append(self._session.run(None, dict(zip(INPUTS, pairs, strict=True))))
            except Exception as error:  # ONNX Runtime has no common class of errors
                shape = "x".join(map(str, pairs[0].shape))
                raise InputError(
                    f"{self.path}: ONNX Runtime cannot run it on images of {shape} ({_reason(error)}); export the model "
                    "again, or predict with the model itself"
                ) from error
        return [np.concatenate(arrays)[:count] for arrays in zip(*parts, strict=True)]

    def _check_interface(self, is_for_deepness: bool) -> None:
        """Check the names of inputs and outputs."""
        expected = [PROBABILITY] if self.metadata.probabilities else [*self.task.outputs(self.config.num_classes)]
        if [*self._inputs] != [*INPUTS]:
            raise InputError(
                f"{self.path}: has the input(s) {', '.join(self._inputs)}, expected {', '.join(INPUTS)}"
                + ("; it is for Deepness" if is_for_deepness else "")
                + "; export the model for cdzoo: cdzoo export MODEL -o model.onnx"
            )
        if len(self.output_names) != len(expected) or (len(expected) > 1 and self.output_names != expected):
            raise InputError(
                f"{self.path}: has the output(s) {', '.join(self.output_names)}, expected {', '.join(expected)} for the task "
                f"'{self.task.name}'; export the model again: cdzoo export MODEL -o model.onnx"
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); write it with: cdzoo export MODEL -o model.onnx") from error


def _open(path: Path, content: bytes, device: str, threads: int) -> Any:
    """Return a session of ONNX Runtime."""
    runtime = require("onnxruntime", "export", f"{path}: running an exported model")
    available = [name for name, provider in _PROVIDERS.items() if provider in runtime.get_available_providers()]
    if device != "auto" and device not in available:
        raise ConfigError(
            f"device '{device}': not available for exported models; available: {', '.join(available)}, auto"
            + ("; install onnxruntime-gpu instead of onnxruntime for CUDA" if device == "cuda" else "")
        )
    providers = [_PROVIDERS[name] for name in (available if device == "auto" else dict.fromkeys((device, "cpu")))]
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    try:
        return runtime.InferenceSession(content, options, providers=providers, enable_fallback=0)  # which prints errors
    except Exception as error:  # ONNX Runtime has no common class of errors
        text = _reason(error)
        if "IR version" in text or "opset" in text.lower():
            raise InputError(
                f"{path}: is for a newer ONNX Runtime than {runtime.__version__} ({text}); install a newer one: pip install -U "
                "onnxruntime, or export the model again with an older --ir-version or --opset"
            ) from error
        raise InputError(
            f"{path}: damaged or truncated, or not an ONNX file ({text}); copy it again, or write it with: cdzoo export MODEL -o "
            "model.onnx"
        ) from error


def _reason(error: Exception) -> str:
    """Return the message of an error of ONNX Runtime; long ones begin with the name of a function in C++."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else f"... {text[-200:]}"
