"""`cdzoo compare`."""

from __future__ import annotations

from cdzoo.errors import ConfigError
from cdzoo.io.files import output_path
from cdzoo.io.outputs import check_outputs
from cdzoo.tables import render


def compare(
    runs: list[str], *, html: str | None = None, worst: int = 8, pictures: bool = False, latency: str | None = None
) -> None:
    """Compare runs side by side. The table has scores with their spread and intervals, paired tests, costs and the worst images.

    Scores of different splits, protocols or samples are in different tables.

    Args:
        runs: Folders of cdzoo train (one seed or several), or files of cdzoo eval --out.
        html: HTML page to write too: one file with the tables, curves and worst images.
        worst: Number of worst images.
        pictures: Draw the worst images on the page; loads the models and their data.
        latency: File of cdzoo benchmark --format json with the latency of the models.
    """
    if worst < 1:
        raise ConfigError(f"--worst must be at least 1, got {worst}")
    if pictures and html is None:
        raise ConfigError("--pictures are on the page: name it with --html FILE.html")
    if html is not None:
        output_path(html, "--html", (".html",), "the page is HTML")
        check_outputs({"--html": html}, [*runs, *([latency] if latency else [])])
    from cdzoo.compare import further_rows, read_runs, run_costs, score_table, worst_rows, write_page

    groups = read_runs(runs)
    costs = {run.label: run_costs(run, latency) for found in groups.values() for run in found}
    for condition, found in groups.items():
        print(f"{condition}\n{score_table(found, costs)}")
        if further := further_rows(found):
            labels = {key: key for key in ("score", *(run.label for run in found))}
            print(f"scores of the task in percent\n{render(further, labels)}")
        if lines := worst_rows(found, worst):
            print(f"worst images: wrong pixels of all runs, F1 of each\n{render(lines, {key: key for key in lines[0]})}")
    if html is not None:
        write_page(html, groups, costs, worst, pictures)
        print(f"written to {html}")
