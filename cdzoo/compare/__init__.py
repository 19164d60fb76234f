"""Runs side by side: scores with their spread, paired tests, costs, training curves and the worst images."""

from cdzoo.compare.page import write_page
from cdzoo.compare.runs import Condition, Run, read_runs
from cdzoo.compare.tables import COLUMNS, further_rows, run_costs, score_rows, score_table, worst_rows

__all__ = [
    "COLUMNS",
    "Condition",
    "Run",
    "further_rows",
    "read_runs",
    "run_costs",
    "score_rows",
    "score_table",
    "worst_rows",
    "write_page",
]
