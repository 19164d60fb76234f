"""Measure the tile sizes of the Triton scan on a GPU: ``python -m cdzoo.ops.tune --states 16 --channels 192 384``.

The fastest tiles are stored in a file named after the GPU in ``~/.cache/cdzoo`` (or ``$XDG_CACHE_HOME/cdzoo``) and are used from
then on. Tiles are measured on request only: they determine the order in which gradients are summed, so automatic tuning could
change results from run to run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import torch

from cdzoo.ops import scan_triton, triton_tiles
from cdzoo.ops.args import ScanArgs
from cdzoo.ops.orders import scan_index

KERNELS = ("segment_ends", "outputs", "gradients")


def milliseconds(run: Callable[[], object], rounds: int = 5) -> float:
    """Return the minimum time of a function on the current CUDA device, after one call that compiles it."""
    times = []
    run()
    for _ in range(rounds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return min(times)


def tune(
    state: int,
    channels: int,
    dtype: torch.dtype,
    device: torch.device,
    batch: int = 2,
    side: int = 64,
    clock: Callable[[Callable[[], object]], float] = milliseconds,
) -> dict[str, int]:
    """Measure the candidates of every kernel and store the fastest.

    Args:
        state: Number of states N.
        channels: Number of channels of the map.
        dtype: Storage type of the maps.
        device: Device to measure on.
        batch: Number of images.
        side: Height and width of the map.
        clock: Function that measures the time of another one.

    Returns:
        Index of the fastest candidate, by key of the cache file.
    """
    gen = torch.Generator().manual_seed(0)
    shapes = [(batch, side**2, channels), (4, batch, side**2, channels), (4, channels, state)]
    shapes += [(batch, side**2, 4, state)] * 2 + [(4, channels)] * 2
    x, delta, A, B, C, D, bias = (torch.randn(shape, generator=gen).to(device) for shape in shapes)
    args = ScanArgs(x.to(dtype), (delta - 2).to(dtype), -A.abs(), B.to(dtype), C.to(dtype), D, bias)
    index = scan_index("cross", side, side, str(device))
    states = scan_triton.forward(args, index, True, True)[1]
    runs: dict[str, Callable[[], object]] = dict.fromkeys(KERNELS, lambda: scan_triton.forward(args, index, True, True))
    runs["gradients"] = lambda: scan_triton.backward(args.x, args, index, True, states)
    best: dict[str, int] = {}
    try:
        for kernel in KERNELS:
            name = triton_tiles.key(kernel, state, channels, dtype)
            times = []
            for number in range(len(triton_tiles.candidates(kernel, state, channels))):
                triton_tiles.trial[name] = number
                times.append(clock(runs[kernel]))
            best[name] = triton_tiles.trial[name] = times.index(min(times))
    finally:
        triton_tiles.trial.clear()
    _store(best, device)
    return best


def _store(found: dict[str, int], device: torch.device) -> None:
    file = triton_tiles.cache_file(device)
    file.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(file.read_text()) if file.exists() else {}
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(known | found, indent=1, sort_keys=True) + "\n")
    temporary.replace(file)
    triton_tiles.forget()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--channels", type=int, nargs="+", default=[192])
    parser.add_argument("--dtypes", nargs="+", default=["float32"], choices=["float32", "bfloat16", "float16"])
    chosen = parser.parse_args()
    reason = scan_triton.unavailable()
    if reason is not None or not torch.cuda.is_available():
        parser.error(reason or "tuning needs a CUDA device")
    for state in chosen.states:
        for channels in chosen.channels:
            for dtype in chosen.dtypes:
                print(tune(state, channels, getattr(torch, dtype), torch.device("cuda", torch.cuda.current_device())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
