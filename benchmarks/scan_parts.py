"""Where the native scan spends its time: ``python benchmarks/scan_parts.py --out benchmarks/results/scan_parts.json``.

The time of a pass is a constant per element plus a constant per element and state. Both are fitted by least squares to the CPU
times of one thread for 1 to 32 states, and compared with the rate of the scan's own exponential and with the rate of a copy.
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
    # Relative errors count, or 32 states alone would decide.
    design = np.stack([np.ones_like(states), states], 1) / values[:, None]
    element, state = np.linalg.lstsq(design, np.ones_like(values), rcond=None)[0]
    return float(element), float(state)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--backend", default="cpu")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    roof = roofline("cpu")
    exponential, byte = 1e9 / roof["exp_per_s"], 1e9 / roof["bytes_per_s"]
    best = times(chosen.backend, chosen.rounds)
    report = {"roofline": roof, "exponential_ns": exponential, "states": list(STATES), "passes": {}}
    for mode, measured in best.items():
        element, state = fit(measured)
        counted = 1 if mode == "forward" else 2  # the backward pass computes the decays again and keeps those of a chunk
        moved = 4 * (1 + 2 / 4) * (1 if mode == "forward" else 3) * byte  # delta per direction, x and y shared by four
        report["load_average"] = os.getloadavg()
        report["passes"][mode] = {
            "ns_per_element": measured,
            "fitted_ns_per_element": element,
            "fitted_ns_per_element_and_state": state,
            "exponentials_ns_per_element_and_state": counted * exponential,
            "other_ns_per_element_and_state": state - counted * exponential,
            "memory_ns_per_element": moved,
            "largest_error_of_fit": max(abs(element + state * n - v) / v for n, v in measured.items()),
        }
        print(mode, json.dumps(report["passes"][mode]))
    if chosen.out:
        chosen.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
