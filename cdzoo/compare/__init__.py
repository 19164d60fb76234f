"""Runs side by side: scores with their spread, paired tests, costs, training curves and the worst images."""

from cdzoo.compare.page import write_page
from cdzoo.compare.runs import Condition, Run, read_runs
from cdzoo.compare.tables import COLUMNS, run_costs, score_rows, worst_rows

__all__ = ["COLUMNS", "Condition", "Run", "read_runs", "run_costs", "score_rows", "worst_rows", "write_page"]
