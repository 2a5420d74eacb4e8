"""Columns and lines that the tables of a report have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from benchmarks.analysis.estimates import Estimate
from benchmarks.labels import whole
from benchmarks.report.blocks import COVERED, Cell, Code, Column, Spanning, Tag, Text

Item = TypeVar("Item")


def number(head: Text, cell: Callable[[Item], Cell], name: str | None = None) -> Column[Item]:
    """A column of numbers."""
    return Column(head, cell, is_number=True, name=name)


def attributes(of: Callable[[Item], Any], *names: str) -> list[Column[Item]]:
    """A column of numbers for each of some attributes, by their names.

    Args:
        of: item -> what has them.
        names: of the attributes, and of the columns.
    """

    def column(name: str) -> Column[Item]:
        return number(name, lambda item: getattr(of(item), name))

    return [column(name) for name in names]


def level_columns(
    factors: Iterable[str],
    levels: Callable[[Item], Mapping[str, str | None]],
    tags: Callable[[Item], tuple[Tag, ...]] = lambda _: (),
) -> list[Column[Item]]:
    """A column for each factor, with the tags of the row in the first.

    Args:
        factors: of the table.
        levels: item -> factor -> label of its level.
        tags: item -> what is said of its cell.
    """

    def column(factor: str, is_first: bool) -> Column[Item]:
        def cell(item: Item) -> Text:
            return (levels(item)[factor] or "", *(tags(item) if is_first else ()))

        return Column(factor, cell, is_level=True)

    return [column(factor, place == 0) for place, factor in enumerate(factors)]


def baseline_tag(is_baseline: bool) -> tuple[Tag, ...]:
    """The tag of a baseline, or none."""
    return (Tag("baseline"),) if is_baseline else ()


def estimate_columns(
    found: Callable[[Item], Estimate], raw: Callable[[Item], str], columns: Mapping[Text, Callable[[Item], Cell]]
) -> list[Column[Item]]:
    """Columns about the mean of an estimate; where it has too few values for one, these stand across all of them.

    Args:
        found: item -> the estimate.
        raw: item -> its values, written.
        columns: head -> what stands there.
    """

    def column(head: Text, cell: Callable[[Item], Cell], is_first: bool) -> Column[Item]:
        def covered(item: Item) -> Cell:
            if found(item).state in ("interval", "degenerate"):
                return cell(item)
            return Spanning(raw(item), len(columns)) if is_first else COVERED

        return number(head, covered)

    return [column(head, cell, place == 0) for place, (head, cell) in enumerate(columns.items())]


def file_columns(prefix: str, found: Callable[[Item], Estimate]) -> list[Column[Item]]:
    """Mean, standard deviation and interval of an estimate, for a file."""
    columns = attributes(found, "mean", "sd", "ci_low", "ci_high")
    return [replace(column, head=f"{prefix}{column.head}") for column in columns]


def left_out(rows: Sequence[Any], most: int, noun: str, file: str = "") -> Text:
    """That a table has the first rows alone, and the file that has all; empty where it has them all."""
    if len(rows) <= most:
        return ""
    told = f"The first {most} of {whole(len(rows))} {noun}".rstrip()
    return (f"{told}; ", Code(file), " has them all.") if file else f"{told}."
