"""Format a static report of the scan kernels as the table of docs/scan.md."""

from __future__ import annotations

from typing import Any


def table(report: dict[str, Any], baseline: dict[str, Any]) -> str:
    """Return a Markdown table of a report next to that of earlier kernels."""
    before = {(e["pass"], e["target"], e["states"]): e for e in baseline["passes"]}
    lines = [
        "| pass | target | N | registers | spills | programs per SM | instructions | special | barriers | bytes | bound, ps "
        "| before |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in report["passes"]:
        if entry["dtype"] != "fp32":
            continue
        rows = [row for row in entry["kernels"] if row["kernel"] != "carry"]
        old = before[entry["pass"], entry["target"], entry["states"]]
        cells = [
            entry["pass"],
            entry["target"],
            entry["states"],
            ", ".join(str(row["registers"]) for row in rows),
            max(row["spill_instructions"] for row in rows),
            ", ".join(str(row["programs_per_multiprocessor"]) for row in rows),
            f"{entry['instructions_per_element_and_state']:.1f}",
            f"{entry['special_functions_per_element_and_state']:.1f}",
            f"{sum(row['per_element_and_state']['barriers'] for row in rows):.2f}",
            f"{entry['bytes_per_element']:.0f}",
            f"{entry['bound_ps_per_element_and_state']:.2f}",
            f"{old['instructions_per_element_and_state']:.0f}; {old['bound_ps_per_element_and_state']:.2f} ps",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def cuda_table(report: dict[str, Any]) -> str:
    """Return a Markdown table of the times on a GPU, those of the kernels alone and those of calls from Python."""
    lines = [
        "| size | N | maps | pass | kernels, ms | mamba-ssm | VMamba with mamba-ssm | calls, ms | mamba-ssm | bandwidth |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for entry in report["scans"]:
        own = entry["times"]["triton"]
        rate = entry["moved_bytes"] / own["graph_ms"] * 1e3 / report["copy_bytes_per_s"]
        kernels, calls = entry["graph_ratios"], entry["ratios"]
        cells = [
            ", ".join(map(str, entry["size"])),
            entry["states"],
            entry["dtype"],
            entry["mode"],
            f"{own['graph_ms']:.2f}",
            f"{kernels['mamba_ssm']:.1f} x",
            f"{kernels['vmamba with mamba_ssm']:.1f} x",
            f"{own['min_ms']:.2f}",
            f"{calls['mamba_ssm']:.1f} x",
            f"{100 * rate:.0f}%",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
