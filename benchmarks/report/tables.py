"""Columns and lines that the tables of a report have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from benchmarks.analysis.estimates import Estimate
from benchmarks.labels import whole
from benchmarks.report.blocks import COVERED, Cell, Code, Column, Number, Spanning, Table, Tag, Text, joined
from benchmarks.report.formatting import Style

Item = TypeVar("Item")


def number(head: Text, cell: Callable[[Item], Cell], name: str | None = None) -> Column[Item]:
    """A column of numbers."""
    return Column(head, cell, is_number=True, name=name)


def valued(
    head: Text, value: Callable[[Item], float], text: Callable[[float], str], name: str | None = None
) -> Column[Item]:
    """A column of numbers that a reader sees as text."""
    return number(head, lambda item: Number(value(item), text(value(item))), name)


def attributes(of: Callable[[Item], Any], *names: str) -> list[Column[Item]]:
    """A column of numbers for each of some attributes, by their names."""

    def column(name: str) -> Column[Item]:
        return number(name, lambda item: getattr(of(item), name))

    return [column(name) for name in names]


def level_columns(
    factors: Iterable[str],
    levels: Callable[[Item], Mapping[str, str | None]],
    tags: Callable[[Item], Iterable[Tag]] = lambda _: (),
) -> list[Column[Item]]:
    """A column for each factor, with the tags of the row in the first."""

    def column(factor: str, is_first: bool) -> Column[Item]:
        def cell(item: Item) -> Text:
            return (levels(item)[factor] or "", *(tags(item) if is_first else ()))

        return Column(factor, cell, is_level=True)

    return [column(factor, place == 0) for place, factor in enumerate(factors)]


def baseline_tag(is_baseline: bool) -> tuple[Tag, ...]:
    """The tag of a baseline, or none."""
    return (Tag("baseline"),) if is_baseline else ()


def estimate_columns(
    head: str,
    found: Callable[[Item], Estimate],
    style: Style,
    *,
    raw: Callable[[Item], str] | None = None,
    further: Sequence[Column[Item]] = (),
) -> list[Column[Item]]:
    """The mean of an estimate with its interval; where it has too few values for one, these stand across all columns.

    Args:
        head: of the column of means.
        found: item -> the estimate.
        style: how it is written.
        raw: item -> its values, where they are not written as the style has it.
        further: what else is about the mean.
    """
    columns: list[Column[Item]] = [
        valued(head, lambda item: found(item).mean, style.value),
        number("95 % interval", lambda item: style.interval(found(item))),
        *further,
    ]

    def covered(column: Column[Item]) -> Column[Item]:
        def cell(item: Item) -> Cell:
            if found(item).state in ("interval", "degenerate"):
                return column.cell(item)
            is_first = column is columns[0]
            return Spanning(raw(item) if raw else style.raw(found(item)), len(columns)) if is_first else COVERED

        return replace(column, cell=cell)

    return [covered(column) for column in columns]


def file_columns(prefix: str, found: Callable[[Item], Estimate]) -> list[Column[Item]]:
    """Mean, standard deviation and interval of an estimate, for a file."""
    columns = attributes(found, "mean", "sd", "ci_low", "ci_high")
    return [replace(column, head=f"{prefix}{column.head}") for column in columns]


def shortened(table: Table[Item], most: int, noun: str, file: str = "") -> Table[Item]:
    """The first rows of a table, which says so, and which file has them all."""
    told = left_out(table.rows, most, noun, file)
    return replace(table, rows=table.rows[:most], caption=joined(table.caption, told))


def left_out(rows: Sequence[Any], most: int, noun: str, file: str = "") -> Text:
    """That a table has the first rows alone, and the file that has all; empty where it has them all."""
    if len(rows) <= most:
        return ""
    told = f"The first {most} of {whole(len(rows))} {noun}".rstrip()
    return (f"{told}; ", Code(file), " has them all.") if file else f"{told}."
