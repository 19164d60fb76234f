"""Tables of docs/scan.md from the reports of `scan_static.py` and `scan_cuda.py`."""

from __future__ import annotations

from typing import Any

from cdzoo.tables import render


def table(report: dict[str, Any], baseline: dict[str, Any]) -> str:
    """Return a Markdown table of a report beside that of earlier kernels."""
    before = {(e["pass"], e["target"], e["states"]): e for e in baseline["passes"]}
    lines = []
    for entry in report["passes"]:
        if entry["dtype"] != "fp32":
            continue
        rows = [row for row in entry["kernels"] if row["kernel"] != "carry"]
        old = before[entry["pass"], entry["target"], entry["states"]]
        lines.append(
            {
                "pass": entry["pass"],
                "target": entry["target"],
                "N": str(entry["states"]),
                "registers": ", ".join(str(row["registers"]) for row in rows),
                "spills": max(row["spill_instructions"] for row in rows),
                "programs per SM": ", ".join(str(row["programs_per_multiprocessor"]) for row in rows),
                "instructions": f"{entry['instructions_per_element_and_state']:.1f}",
                "special": f"{entry['special_functions_per_element_and_state']:.1f}",
                "barriers": f"{sum(row['per_element_and_state']['barriers'] for row in rows):.2f}",
                "bytes": f"{entry['bytes_per_element']:.0f}",
                "bound, ps": f"{entry['bound_ps_per_element_and_state']:.2f}",
                "before": f"{old['instructions_per_element_and_state']:.0f}; {old['bound_ps_per_element_and_state']:.2f} ps",
            }
        )
    return render(lines, {key: key for key in lines[0]}, "markdown")


def cuda_table(report: dict[str, Any]) -> str:
    """Return a Markdown table of the times on a GPU, those of the kernels alone and those of calls from Python."""
    lines = []
    for entry in report["scans"]:
        own = entry["times"]["triton"]
        rate = entry["moved_bytes"] / own["graph_ms"] * 1e3 / report["copy_bytes_per_s"]
        kernels, calls = entry["graph_ratios"], entry["ratios"]
        lines.append(
            {
                "size": ", ".join(map(str, entry["size"])),
                "N": str(entry["states"]),
                "maps": entry["dtype"],
                "pass": entry["mode"],
                "kernels, ms": f"{own['graph_ms']:.2f}",
                "mamba-ssm": f"{kernels['mamba_ssm']:.1f} x",
                "VMamba with mamba-ssm": f"{kernels['vmamba with mamba_ssm']:.1f} x",
                "calls, ms": f"{own['min_ms']:.2f}",
                "calls, mamba-ssm": f"{calls['mamba_ssm']:.1f} x",
                "bandwidth": f"{100 * rate:.0f}%",
            }
        )
    return render(lines, {key: key for key in lines[0]}, "markdown")
