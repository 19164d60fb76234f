"""Break down the time of the native scan: ``python benchmarks/scan_parts.py``.

The time of a pass is a constant per element plus a constant per element and state. Both are fitted by least squares to the CPU
times of one thread for 1 to 32 states, and compared with the rate of the scan's own exponential and with the rate of a copy.

``--report benchmarks/results/scan_cpu.json`` fits the times and rates of a report of ``scan.py`` instead of measuring, which is
preferable on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from roofline import clock, roofline
from scan import Case, make, runner, selected

STATES = (1, 2, 4, 8, 16, 32)
CHANNELS, SIDE, BATCH = 192, 64, 2


def times(name: str, rounds: int) -> dict[str, dict[int, float]]:
    """Return nanoseconds per element by pass and number of states, the shortest of interleaved rounds."""
    elements = 4 * BATCH * SIDE**2 * CHANNELS
    runs = {}
    for state in STATES:
        problems = make(Case(f"N{state}", BATCH, state, ((CHANNELS, SIDE),)), "cpu")
        for mode in ("forward", "training"):
            runs[mode, state] = runner(name, problems, mode == "training")
    best: dict[str, dict[int, float]] = {"forward": {}, "training": {}}
    with selected(name):
        for run in runs.values():
            run()
        for _ in range(rounds):
            for (mode, state), run in runs.items():
                spent = clock(run, "cpu") * 1e6 / elements
                best[mode][state] = min(spent, best[mode].get(state, spent))
    return best


def fit(measured: dict[int, float]) -> tuple[float, float]:
    """Return nanoseconds per element and per element and state."""
    states = np.array(list(measured), dtype=float)
    values = np.array(list(measured.values()))
    # Relative errors, because otherwise 32 states alone would determine the fit.
    design = np.stack([np.ones_like(states), states], 1) / values[:, None]
    element, state = np.linalg.lstsq(design, np.ones_like(values), rcond=None)[0]
    return float(element), float(state)


def from_report(file: Path, name: str) -> tuple[dict[str, dict[int, float]], dict]:
    """Return nanoseconds per element and the roofline of a report of ``scan.py``, from its cases of one map."""
    report = json.loads(file.read_text())
    found: dict[str, dict[int, float]] = {"forward": {}, "training": {}}
    for entry in report["cases"]:
        case = entry["case"]
        if case["name"].startswith(f"D{CHANNELS}_{SIDE}x{SIDE}"):
            elements = 4 * case["batch"] * SIDE**2 * CHANNELS
            for mode, measured in found.items():
                measured[case["state"]] = entry[mode][name]["min_ms"] * 1e6 / elements
    return {mode: dict(sorted(measured.items())) for mode, measured in found.items()}, report["roofline"]


def parts(best: dict[str, dict[int, float]], roof: dict) -> dict:
    """Return the parts of the time of each pass."""
    exponential, byte = 1e9 / roof["exp_per_s"], 1e9 / roof["bytes_per_s"]
    passes = {}
    for mode, measured in best.items():
        element, state = fit(measured)
        counted = 1 if mode == "forward" else 2  # the backward pass computes the decays again and keeps those of a chunk
        passes[mode] = {
            "ns_per_element": measured,
            "fitted_ns_per_element": element,
            "fitted_ns_per_element_and_state": state,
            "exponentials_ns_per_element_and_state": counted * exponential,
            "other_ns_per_element_and_state": state - counted * exponential,
            # delta per direction; x and y are shared by four. Training reads them again and writes gradients as large.
            "memory_ns_per_element": 4 * (1 + 2 / 4) * (1 if mode == "forward" else 3) * byte,
            "largest_error_of_fit": max(abs(element + state * n - v) / v for n, v in measured.items()),
        }
    return passes


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--report", type=Path, help="report of scan.py to fit instead of measuring")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.report:
        best, roof = from_report(chosen.report, chosen.backend)
    else:
        roof = roofline("cpu")
        best = times(chosen.backend, chosen.rounds)
    report = {"roofline": roof, "load_average": os.getloadavg(), "passes": parts(best, roof)}
    print(json.dumps(report["passes"], indent=1))
    if chosen.out:
        chosen.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
