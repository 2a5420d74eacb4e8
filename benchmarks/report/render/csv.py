"""Tables as CSV: the values themselves, as programs read them, and nothing that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from typing import Any

from benchmarks.report.blocks import Cell, Number, Spanning, Table
from benchmarks.report.formatting import digits, spreadsheet_text
from benchmarks.report.render.text import names_of, plain, with_groups


def csv_table(table: Table[Any]) -> str:
    """A row per item below the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = with_groups(table).columns
    writer.writerow(map(spreadsheet_text, names_of(columns)))
    writer.writerows([_value(column.cell(item)) for column in columns] for item in table.rows)
    return text.getvalue()


def _value(cell: Cell) -> object:
    if isinstance(cell, Number):
        cell = cell.value
    if isinstance(cell, float):
        return digits(cell)
    if isinstance(cell, Spanning):
        return spreadsheet_text(plain(cell.text))
    return spreadsheet_text(plain(cell) if isinstance(cell, tuple) else cell)
