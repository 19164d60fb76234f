"""Export every architecture and compare the files with PyTorch: ``python benchmarks/export.py --all --speed``.

Each architecture is exported at its own width to ONNX and to ``.pt2``, in its own process, with random weights and batch norms
that have the statistics of a batch. The files are compared with the model as ``cdzoo export`` does: one and three pairs, at two
sizes where the network takes them. ``--speed`` times onnxruntime against PyTorch, forward, on one pair: CPU time of one thread,
median of interleaved rounds. The results are written after each architecture; a second call continues, and ``--again`` repeats
those that failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import cdzoo
from cdzoo.errors import CdzooError
from cdzoo.export.check import onnx_runner
from cdzoo.export.config import ExportCfg
from cdzoo.export.program import Deployed, deployed, trace
from cdzoo.export.sizes import FileSizes
from cdzoo.export.write import write
from cdzoo.factory import list_architectures
from cdzoo.io.files import write_json
from cdzoo.layers.position_attention import PositionAttention
from cdzoo.results import Environment

RESULTS = Path(__file__).parent / "results" / "export.json"
LEAST_SPREAD = 1e-3  # of an output, so that a constant does not pass for a right one
SIZE = 256  # pixels, for the timing


def example_model(name: str) -> cdzoo.ChangeDetector:
    """Return an architecture with random weights whose outputs depend on the images."""
    torch.manual_seed(0)
    model = cdzoo.create_model(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        # Deep random networks double the rounding errors of fp32 every few layers; less so where units are seldom cut off.
        for norm in norms:
            norm.bias.add_(1.0)
        for parameter in model.parameters():
            if parameter.unique().numel() == 1:  # such as the factor 0 of an attention, which would hide it
                parameter.add_(0.1 * torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, PositionAttention):  # untrained, it picks single positions, and fp32 differs from fp64 by 3e-4
                for parameter in module.query.parameters():
                    parameter.mul_(0.1)
    deployable = Deployed(model, ExportCfg())
    side = model.fixed_input_size or FileSizes.of(model).smallest
    with torch.no_grad():
        model.train()
        model(*deployable.images(side, side, 2))
    return model.eval()


def spread(module: Deployed, sizes: FileSizes) -> float:
    """Return the standard deviation of each output over pixels as a share of its largest magnitude; the least of them."""
    with torch.no_grad():
        outputs = module(*module.images(*sizes.example(1), 1))
    return min((output.std((-2, -1)).max() / output.abs().max()).item() for output in outputs)


def time_both(module: Deployed, path: Path, rounds: int) -> dict[str, float]:
    """Return the CPU time of a forward pass in PyTorch and in onnxruntime in milliseconds, and their ratio."""
    side = module.model.fixed_input_size or SIZE
    images, run = module.images(side, side, 1), onnx_runner(path, threads=1)
    times: dict[str, list[float]] = {"torch": [], "onnx": []}
    with torch.no_grad():
        for number in range(rounds + 1):
            for name, call in (("torch", lambda: module(*images)), ("onnx", lambda: run(images))):
                start = time.process_time()
                call()
                if number:  # the first round warms up
                    times[name].append(1e3 * (time.process_time() - start))
    ratios = [onnx / torch for torch, onnx in zip(*times.values(), strict=True)]
    medians = {f"{name}_ms": round(statistics.median(values), 2) for name, values in times.items()}
    return {**medians, "ratio": round(statistics.median(ratios), 3), "size": side}


def export_one(name: str, rounds: int) -> dict[str, Any]:
    """Export an architecture to both formats; return errors, sizes and times."""
    torch.set_num_threads(1)
    start = time.process_time()
    cfg, model = ExportCfg(), example_model(name)
    sizes, module = FileSizes.of(model), deployed(model, cfg)
    found: dict[str, Any] = {"sizes": dataclasses.asdict(sizes), "spread": spread(module, sizes)}
    if found["spread"] < LEAST_SPREAD:
        raise SystemExit(f"the outputs of {name} are near constant: spread {found['spread']:.2g}")
    program = trace(module, cfg, sizes)
    found["trace_s"] = round(time.process_time() - start, 1)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".onnx", ".pt2"):
            start = time.process_time()
            try:
                result = write(program, module, Path(folder) / f"model{suffix}", cfg, sizes)
            except CdzooError as error:
                found[suffix[1:]] = {"problem": str(error).replace(folder, ""), "seconds": round(time.process_time() - start, 1)}
                continue
            entry = {"error": result.metadata.error, "mb": round(result.megabytes, 1)}
            found[suffix[1:]] = {**entry, "seconds": round(time.process_time() - start, 1)}
            if rounds and suffix == ".onnx":
                found["speed"] = time_both(module, result.path, rounds)
    return found


def cost(name: str) -> float:
    """Return an estimate of the time that the export of an architecture takes: the number of its modules."""
    with torch.device("meta"):
        try:
            model = cdzoo.create_model(name)
        except Exception:  # an initialization that needs values
            return 1e6
    scans = sum(type(module).__name__ in ("SS2D", "MambaScan") for module in model.modules())
    return len(list(model.modules())) + 100 * scans


def run_process(words: Sequence[str], limit: float) -> dict[str, Any]:
    """Run this script for one architecture; return its result, or the problem that ended it."""
    try:
        done = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"problem": f"took more than {limit:.0f} s"}
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return {"problem": lines[-1][:500] if lines else f"ended with code {done.returncode}"}


def failed(entry: dict[str, Any]) -> bool:
    """Return whether an architecture was not exported to both formats."""
    return "problem" in entry or any("problem" in entry.get(kind, {"problem": ""}) for kind in ("onnx", "pt2"))


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="architectures")
    parser.add_argument("--all", action="store_true", help="all of them, small ones first")
    parser.add_argument("--speed", action="store_true", help="time them, too")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--again", action="store_true", help="repeat those that failed")
    parser.add_argument("--limit", type=float, default=7200, help="seconds for one architecture")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    rounds = chosen.rounds if chosen.speed else 0
    if chosen.one:
        print(json.dumps(export_one(chosen.models[0], rounds)))
        return
    known = sorted(list_architectures(), key=cost) if chosen.all else chosen.models
    results: dict[str, Any] = json.loads(chosen.out.read_text())["results"] if chosen.out.exists() else {}
    for number, name in enumerate(known, 1):
        if name in results and not (chosen.again and failed(results[name])):
            continue
        start = time.time()
        words = ["--one", name, *(["--speed", "--rounds", str(rounds)] if rounds else [])]
        results[name] = run_process(words, chosen.limit)
        write_json(chosen.out, {"environment": Environment.current().to_dict(), "results": dict(sorted(results.items()))})
        print(f"[{number}/{len(known)}] {name}: {time.time() - start:.0f} s, {json.dumps(results[name])}", flush=True)
    bad = [name for name in known if failed(results[name])]
    print(f"{len(known) - len(bad)} of {len(known)} exported; failed: {', '.join(bad) or 'none'}")


if __name__ == "__main__":
    main()
