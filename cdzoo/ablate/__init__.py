"""Ablation studies: a grid of components and seeds, its training runs, and tables of their scores."""

from cdzoo.ablate.grid import Grid, Job, Table, read_grid
from cdzoo.ablate.report import write_report
from cdzoo.ablate.runs import run_grid

__all__ = ["Grid", "Job", "Table", "read_grid", "run_grid", "write_report"]
