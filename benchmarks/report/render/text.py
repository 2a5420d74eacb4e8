"""What is the same in all formats: what a reader sees of a cell, and the names of columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.labels import column_of, whole
from benchmarks.report.blocks import Cell, Column, Index, Number, Part, Spanning, Table, Tag, Text


def text_of(cell: Cell) -> Text:
    """What a reader sees of a cell."""
    match cell:
        case Number(_, text) | Spanning(text, _):
            return text
        case bool():
            return "yes" if cell else "no"
        case None:
            return whole(None)
        case int() | float():
            return whole(round(cell)) if cell == cell else whole(None)
        case _:
            return cell


def plain(text: Text) -> str:
    """Text without its marks."""
    return "".join(map(_plain, (text,) if isinstance(text, str) else text))


def _plain(part: Part) -> str:
    match part:
        case str():
            return part
        case Index(symbol, index):
            return f"{symbol}_{index}"
        case Tag(text):
            return f" ({text})"
        case _:
            return part.text


def with_groups(table: Table[Any]) -> Table[Any]:
    """A table whose groups are no parts of it, but have a column of their heads."""
    if table.group is None:
        return table
    return replace(table, columns=[Column(table.group_head, table.group), *table.columns], group=None)


def names_of(columns: Sequence[Column[Any]]) -> list[str]:
    """The columns of a file by name, each once."""
    names = [plain(column.head) if column.name is None else column.name for column in columns]
    others = {name for name, column in zip(names, columns, strict=True) if not column.is_level}
    return [column_of(name, others) if column.is_level else name for name, column in zip(names, columns, strict=True)]
