"""Values of weights: real numbers, finite, and of a precision that a model computes in; and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from cdzoo.errors import WeightsError

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_values(source: str, given: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise unless tensors are real numbers where the module has such, integers where it counts, and finite in its precision.

    Args:
        source: File of the tensors, for the message.
        given: Tensors; those without a counterpart are not checked.
        expected: State dict of the module; its values are not used.

    Raises:
        WeightsError: A tensor is complex, boolean or an integer where the module has real numbers, or the like; has a NaN or an
            infinity; is too large for the precision of the module; or is a negative variance. The message names it.
    """
    for key in [key for key in expected if key in given]:
        value, wanted = given[key], expected[key].dtype
        if _kind(value.dtype) != _kind(wanted):
            raise WeightsError(
                f"{source}: the tensor '{key}' is {_kind(value.dtype)} ({value.dtype}), expected {_kind(wanted)} ({wanted}); "
                "save the state dict of the model again, in its own data types"
            )
        check_finite(source, {key: value})
        if value.dtype != wanted:
            check_finite(source, {key: value.to(wanted)})
        if key.endswith("running_var") and not value.is_meta and bool((value < 0).any()):
            raise WeightsError(f"{source}: the variances in the tensor '{key}' are below 0; use another file of these weights")


def check_finite(source: str, state: Mapping[str, Tensor]) -> None:
    """Raise if a tensor has a NaN or an infinity, or values of less than 16 bits; tensors on the meta device have no values.

    Raises:
        WeightsError: The message names the source and the tensor.
    """
    for key, value in state.items():
        if value.is_floating_point() and value.dtype not in _REAL:
            raise WeightsError(f"{source}: the tensor '{key}' is {value.dtype}; save it as torch.float16 or torch.float32")
        if not value.is_meta and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                f"{source}: the weights are not finite: NaN or infinity in the tensor '{key}', as a training that diverged "
                "leaves them; use weights from before that, or train again with a lower learning rate"
            )


def _kind(dtype: torch.dtype) -> str:
    return (
        "real" if dtype.is_floating_point else "complex" if dtype.is_complex else "boolean" if dtype is torch.bool else "integer"
    )


def state_hash(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of the names, types and values of a state dict."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
