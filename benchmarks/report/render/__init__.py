"""Sets the blocks of a report: as a page of HTML, as Markdown, as LaTeX tables, and as CSV files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.report.blocks import Table
from benchmarks.report.render.csv import csv_table
from benchmarks.report.render.latex import latex_table

FILES: Mapping[str, Callable[[Table[Any]], str]] = {".csv": csv_table, ".tex": latex_table}
"""End of the name of a table's file -> what writes it."""
