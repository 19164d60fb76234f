"""Scan backends: automatic choice for each device type, self-check, and override.

A backend is a module with the three functions below. Tensors are contiguous, not empty, on one device and of one floating-point
type. If the
module sets ``READS_HALF = True``, x, delta, B and C may also be float16 or bfloat16 while the others are float32.

* ``unavailable() -> str | None``: None, or why the backend cannot run here and the command that fixes it;
* ``forward(args, index, delta_softplus, save_states) -> (y, states)``;
* ``backward(grad_y, args, index, delta_softplus, states) -> (dx, ddelta, dA, dB, dC, dD | None, ddelta_bias | None)``.

``args`` is a :class:`cdzoo.ops.args.ScanArgs`. Shapes, with K directions and L positions: x, y (B, L, Dm); delta (K, B, L, Dm),
indexed by map position, not by scan step; A (K, Dm, N); B, C (B, L, K, N); D, delta_bias (K, Dm) or None; index (K, L) int32
permutations; states (K, B, ceil(L / 64), Dm, N), the state before each chunk of 64 steps, or (0,) if not saved.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import warnings
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch

from cdzoo.ops.selfcheck import disagreement

__all__ = ["ScanBackend", "scan_backends", "set_scan_backend"]

_log = logging.getLogger("cdzoo.ops")
_lock = threading.RLock()
_override: str | None = None

_DEVICES: dict[str, tuple[str, ...]] = {"triton": ("cuda",), "mamba_ssm": ("cuda",), "cpu": ("cpu",), "reference": ()}
"""Device types of each backend (empty: any), in order of preference."""


@dataclass(frozen=True)
class ScanBackend:
    """State of a scan backend on this machine, as shown by ``cdzoo env``.

    Attributes:
        name: Name accepted by ``CDZOO_SCAN`` and :func:`set_scan_backend`.
        usable: Whether it runs here and agrees with ``reference``.
        reason: Why it is not usable, with the command that fixes it; empty if it is.
        active: Whether a device of this machine uses it.
        devices: Device types that use it.
    """

    name: str
    usable: bool
    reason: str
    active: bool
    devices: tuple[str, ...] = ()


def _serves(name: str, device_type: str) -> bool:
    # Triton's interpreter runs the same kernels on CPU tensors; it is slow and meant for tests without a GPU.
    interpreted = name == "triton" and device_type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    return interpreted or not _DEVICES[name] or device_type in _DEVICES[name]


def load(name: str) -> ModuleType:
    """Import the module of a backend; errors of the import are not caught."""
    return importlib.import_module(f"cdzoo.ops.scan_{name}")


def why_not(name: str, device_type: str) -> str | None:
    """Return None if a backend works on a device type, else the reason. Results are cached."""
    if not _serves(name, device_type):
        return f"it does not run on {device_type} tensors, only on {'/'.join(_DEVICES[name])}"
    return None if name == "reference" else _examine(name, device_type)


@cache
def _examine(name: str, device_type: str | None = None) -> str | None:
    """Return None if a backend works, else the reason. Without a device type, skip the self-check."""
    try:
        module = load(name)
        reason: str | None = module.unavailable()
        if reason is None and device_type is not None:
            difference = disagreement(module, torch.device(device_type))
            if difference is not None:
                reason = f"self-check failed: {difference}; reinstall with `pip install --force-reinstall --no-deps cdzoo`"
    except Exception as error:  # a broken extension can raise anything, and the other backends must still be tried
        return f"{type(error).__name__}: {str(error).strip() or 'no message'} (set CDZOO_SCAN=reference to run without it)"
    return reason


def _reasons(name: str) -> list[str | None]:
    """Return why a backend cannot be used (None if it can) on each device type that it supports here; at least one item."""
    served = [why_not(name, device) for device in _device_types() if _serves(name, device)]
    return served or [_examine(name) or f"no {'/'.join(_DEVICES[name])} device here"]


def _known(name: str, source: str) -> str:
    if name not in _DEVICES:
        raise ValueError(f"{source}: unknown scan backend {name!r}; known backends: {', '.join(_DEVICES)}")
    return name


def choose(device_type: str) -> str:
    """Return the name of the backend for tensors of a device type.

    Raises:
        ValueError: ``CDZOO_SCAN`` names an unknown backend.
        RuntimeError: The requested backend cannot be used; the message has the reason and a remedy.
    """
    wanted = _override or os.environ.get("CDZOO_SCAN", "").strip()
    if not wanted:
        with _lock:
            return _choose_automatically(device_type)
    reason = why_not(_known(wanted, "CDZOO_SCAN"), device_type)
    if reason is not None:
        raise RuntimeError(f"scan backend {wanted!r} was requested but cannot be used on {device_type}: {reason}")
    return wanted


@cache
def _choose_automatically(device_type: str) -> str:
    """Return the first usable backend in order of preference; warn if that is ``reference`` where faster ones exist."""
    failed: dict[str, str] = {}
    for name, devices in _DEVICES.items():
        if devices and device_type not in devices:  # not _serves: Triton's interpreter is used on request only
            continue
        reason = why_not(name, device_type)
        if reason is None:
            break
        failed[name] = reason
    if name == "reference" and failed:
        reasons = "; ".join(f"{other}: {reason}" for other, reason in failed.items())
        if device_type == "cpu":
            _log.warning("cdzoo: selective scan runs on the slow `reference` backend (%s)", reasons)
        else:
            warnings.warn(
                f"cdzoo: the selective scan runs on the `reference` backend on {device_type.upper()}: correct, but MANY TIMES "
                f"SLOWER than a fused kernel. Not usable: {reasons}",
                RuntimeWarning,
                stacklevel=3,
            )
    return name


def backend_for(device_type: str, dtype: torch.dtype) -> ModuleType:
    """Return the module to run: ``reference`` for float64, because the others compute in fp32."""
    return load("reference" if dtype == torch.float64 else choose(device_type))


def _set_override(name: str | None) -> None:
    global _override
    _override = name


def set_scan_backend(name: str | None) -> AbstractContextManager[object]:
    """Use one backend for all scans, from this call on or until the end of a ``with`` block.

    Args:
        name: ``"reference"``, ``"cpu"``, ``"triton"`` or ``"mamba_ssm"``; None returns to ``CDZOO_SCAN`` or, if that is not
            set, to the automatic choice.

    Returns:
        Context manager that restores the previous setting on exit.

    Raises:
        ValueError: There is no backend of this name.
        RuntimeError: The backend cannot be used on any device of this machine.
    """
    if name is not None:
        reasons = _reasons(_known(name, "set_scan_backend"))
        if None not in reasons:
            raise RuntimeError(f"scan backend {name!r} cannot be used here: {reasons[0]}")
    restore = ExitStack()
    restore.callback(_set_override, _override)
    _set_override(name)
    return restore


def _device_types() -> list[str]:
    return ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]


def scan_backends() -> list[ScanBackend]:
    """List all backends with their state on this machine; runs the self-checks that have not run yet."""
    chosen: dict[str, str] = {}
    for device in _device_types():
        try:
            chosen[device] = choose(device)
        except (RuntimeError, ValueError) as error:
            _log.warning("cdzoo: %s", error)
    found = []
    for name in _DEVICES:
        reasons = _reasons(name)
        reason = "" if None in reasons else str(reasons[0])
        users = tuple(device for device, backend in chosen.items() if backend == name)
        found.append(ScanBackend(name, not reason, reason, bool(users), users))
    return found


def forget() -> None:
    """Clear cached choices and self-checks, such as after building the native library."""
    _choose_automatically.cache_clear()
    _examine.cache_clear()
