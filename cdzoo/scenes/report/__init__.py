"""Report of a scene: an HTML page with both dates, the map, its totals and the largest changes, for people who did not make it.

`summary.py` computes the content (`content.py`), `pictures.py` draws the pictures, and `page.py` writes both as HTML.
"""

from cdzoo.scenes.report.content import Column, SeriesContent, Table
from cdzoo.scenes.report.write import write_report
from cdzoo.scenes.report.zones import footprint_summary

__all__ = ["Column", "SeriesContent", "Table", "footprint_summary", "write_report"]
