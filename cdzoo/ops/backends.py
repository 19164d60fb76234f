"""Backends of the scan: how one is chosen for a device type, checked, and overridden.

A backend is a module with three functions and, optionally, the flag ``READS_HALF``. All tensors are contiguous, on one device and
of one floating type; where ``READS_HALF`` is true, x, delta, B and C may also be float16 or bfloat16 and the others float32:

* ``unavailable() -> str | None``: None, or why it cannot run here and the exact command that would change that;
* ``forward(args, index, delta_softplus, save_states) -> (y, states)``;
* ``backward(grad_y, args, index, delta_softplus, states) -> (dx, ddelta, dA, dB, dC, dD | None, ddelta_bias | None)``;

with args a :class:`cdzoo.ops.args.ScanArgs`; x, y (B, L, Dm); delta (K, B, L, Dm) at map positions, not in scan order;
A (K, Dm, N); B, C (B, L, K, N);
D, delta_bias (K, Dm) or None; index (K, L) int32 permutations; states (K, B, ceil(L / 64), Dm, N), the state before the
first step of each 64, or (0,) when not saved.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
import warnings
from dataclasses import dataclass
from types import ModuleType, TracebackType

import torch

__all__ = ["ScanBackend", "scan_backends", "set_scan_backend"]

_log = logging.getLogger("cdzoo.ops")
_lock = threading.RLock()

# Name -> module and the device types it serves (None: any). The order is the order of preference.
_MODULES: dict[str, str] = {
    "triton": "cdzoo.ops.scan_triton",
    "mamba_ssm": "cdzoo.ops.scan_mamba_ssm",
    "cpu": "cdzoo.ops.scan_cpu",
    "reference": "cdzoo.ops.scan_reference",
}
_DEVICES: dict[str, tuple[str, ...] | None] = {
    "triton": ("cuda",),
    "mamba_ssm": ("cuda",),
    "cpu": ("cpu",),
    "reference": None,
}

_override: str | None = None
_chosen: dict[str, str] = {}  # device type -> backend, once chosen
_verdicts: dict[tuple[str, str], str | None] = {}  # (backend, device type) -> None if trusted, else the reason


@dataclass(frozen=True)
class ScanBackend:
    """State of a scan backend on this machine, a line of ``cdzoo env``.

    Attributes:
        name: what ``CDZOO_SCAN`` and :func:`set_scan_backend` accept.
        usable: whether it runs and agrees with ``reference`` here.
        reason: why not, with the command that would fix it; empty when usable.
        active: whether some device of this machine uses it.
        devices: the device types that use it.
    """

    name: str
    usable: bool
    reason: str
    active: bool
    devices: tuple[str, ...] = ()


def _serves(name: str, device_type: str) -> bool:
    devices = _DEVICES[name]
    if devices is None or device_type in devices:
        return True
    # Triton's interpreter runs the same kernels on CPU tensors; it is slow and serves tests without a GPU.
    return name == "triton" and device_type == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"


def load(name: str) -> ModuleType:
    """Import a backend's module; raises whatever the import raises."""
    return importlib.import_module(_MODULES[name])


def why_not(name: str, device_type: str) -> str | None:
    """Return None if a backend works on a device type, else the reason. The answer is cached."""
    if not _serves(name, device_type):
        return f"it does not run on {device_type} tensors, only on {'/'.join(_DEVICES[name] or ())}"
    if name == "reference":
        return None
    with _lock:
        key = (name, device_type)
        if key not in _verdicts:
            _verdicts[key] = _examine(name, device_type)
        return _verdicts[key]


def _examine(name: str, device_type: str) -> str | None:
    from cdzoo.ops.selfcheck import disagreement

    try:
        module = load(name)
        reason: str | None = module.unavailable()
        if reason is not None:
            return reason
        wrong = disagreement(module, torch.device(device_type))
    except Exception as error:  # a broken extension can raise anything, and the other backends must still be tried
        return f"{type(error).__name__}: {str(error).strip() or 'no message'} (set CDZOO_SCAN=reference to run without it)"
    if wrong is not None:
        return f"self-check failed: {wrong}; reinstall with `pip install --force-reinstall --no-deps cdzoo`"
    return None


def _requested() -> str | None:
    if _override is not None:
        return _override
    name = os.environ.get("CDZOO_SCAN", "").strip()
    return _known(name, "CDZOO_SCAN") if name else None


def _known(name: str, source: str) -> str:
    if name not in _MODULES:
        raise ValueError(f"{source}: unknown scan backend {name!r}; known backends: {', '.join(_MODULES)}")
    return name


def choose(device_type: str) -> str:
    """Return the name of the backend that tensors of a device type use.

    Raises:
        ValueError: ``CDZOO_SCAN`` names an unknown backend.
        RuntimeError: the requested backend cannot be used; the message has the reason and a remedy.
    """
    wanted = _requested()
    if wanted is not None:
        reason = why_not(wanted, device_type)
        if reason is not None:
            raise RuntimeError(f"scan backend {wanted!r} was asked for but cannot be used on {device_type}: {reason}")
        return wanted
    with _lock:
        if device_type not in _chosen:
            # The interpreter is used on request only, hence the table and not _serves.
            order = [n for n, devices in _DEVICES.items() if devices is None or device_type in devices]
            _chosen[device_type] = next(n for n in order if why_not(n, device_type) is None)
            _announce(device_type, order)
        return _chosen[device_type]


def _announce(device_type: str, order: list[str]) -> None:
    if _chosen[device_type] != "reference" or order == ["reference"]:
        return
    reasons = "; ".join(f"{n}: {why_not(n, device_type)}" for n in order if n != "reference")
    if device_type == "cpu":
        _log.warning("cdzoo: selective scan runs on the slow `reference` backend (%s)", reasons)
    else:
        warnings.warn(
            f"cdzoo: the selective scan runs on the `reference` backend on {device_type.upper()}: correct, but MANY TIMES "
            f"SLOWER than a fused kernel. Not usable: {reasons}",
            RuntimeWarning,
            stacklevel=2,
        )


def backend_for(device_type: str, dtype: torch.dtype) -> ModuleType:
    """Return the module to run: ``reference`` for float64, because the others compute in fp32."""
    return load("reference" if dtype == torch.float64 else choose(device_type))


class _Restore:
    """Context manager that restores the setting from before :func:`set_scan_backend`."""

    def __init__(self, previous: str | None) -> None:
        self._previous = previous

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        global _override
        _override = self._previous


def set_scan_backend(name: str | None) -> _Restore:
    """Use one backend for all scans, from this call on or until the end of a ``with`` block.

    Args:
        name: ``"reference"``, ``"cpu"``, ``"triton"`` or ``"mamba_ssm"``; None goes back to ``CDZOO_SCAN`` or, when that
            is unset, to the automatic choice.

    Returns:
        An object that restores the previous setting when used as a context manager; otherwise ignore it.

    Raises:
        ValueError: no backend has that name.
        RuntimeError: the backend cannot be used on any device of this machine.
    """
    global _override
    if name is not None:
        _known(name, "set_scan_backend")
        reasons = {device: why_not(name, device) for device in _device_types()}
        if all(reason is not None for reason in reasons.values()):
            said = next((r for d, r in reasons.items() if r and _serves(name, d)), None) or reasons[_device_types()[0]]
            raise RuntimeError(f"scan backend {name!r} cannot be used here: {_why(name) or said}")
    previous, _override = _override, name
    return _Restore(previous)


def _why(name: str) -> str | None:
    """Return the reason that the module gives, also for a device type that this machine does not have."""
    try:
        reason: str | None = load(name).unavailable()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return reason


def _device_types() -> list[str]:
    return ["cuda", "cpu"] if torch.cuda.is_available() else ["cpu"]


def scan_backends() -> list[ScanBackend]:
    """List every backend with its state on this machine; runs the self-checks that have not run yet."""
    active: dict[str, list[str]] = {}
    for device in _device_types():
        try:
            active.setdefault(choose(device), []).append(device)
        except (RuntimeError, ValueError) as error:
            _log.warning("cdzoo: %s", error)
    found = []
    for name in _MODULES:
        served = [d for d in _device_types() if _serves(name, d)]
        reasons = [why_not(name, d) for d in served] or [_why(name) or f"no {(_DEVICES[name] or ('',))[0]} device here"]
        usable = any(reason is None for reason in reasons)
        users = tuple(active.get(name, ()))
        found.append(ScanBackend(name, usable, "" if usable else str(reasons[0]), bool(users), users))
    return found


def forget() -> None:
    """Drop cached choices and verdicts (after building the native library, and in tests)."""
    with _lock:
        _chosen.clear()
        _verdicts.clear()
