"""Rendering of what the command line writes to a terminal or a pipe. Nothing heavy is imported here."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

UNBROKEN = 1_000
"""Columns that no line of a table needs."""


def row_table(rows: Sequence[Mapping[str, Any]], right: Container[str] = ()) -> Any:
    """A table of rows that have the same names; numbers, and the columns of these names, are set flush right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in rows[0]:
        # The path of a setting stays as it is written in a suite.
        header = name if "." in name else name.replace("_", " ")
        is_right = name in right or any(isinstance(row[name], int) for row in rows)
        table.add_column(Text(header), overflow="fold", justify="right" if is_right else "left")
    for row in rows:
        cells = ("-" if value is None else value for value in row.values())
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells))
    return table


def make_console(*, to_error: bool = False) -> Console:
    """The terminal, or a pipe; messages of a command that prints JSON go to standard error."""
    from rich.console import Console

    return Console(stderr=to_error)


def make_wide_console() -> Console:
    """A console for rows: who reads a pipe wants one line a row."""
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    return console


def print_json(value: object) -> None:
    """Print JSON for a program to read; it knows no number that is not finite, so those are null."""
    from benchmarks.analysis.plain import as_plain

    say(json.dumps(as_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def say(text: str) -> None:
    """Print a line as it is."""
    print(text, flush=True)


def tell(console: Console, text: str, style: str | None = None) -> None:
    """Print a line to a console as it is: what looks like markup is none, and nothing of it is broken or coloured."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True, emoji=False)


def path_text(changes: Iterable[tuple[str, str]]) -> str:
    """The changes along a path that was found, in words."""
    told = ", then ".join(f"{factor} = {level}" for factor, level in changes)
    return told or "no change made the baseline better"


def phases_text(totals: Mapping[str, float], seconds: float) -> str:
    """Seconds of each phase of a training and what it is, the most first, then the rest and the whole."""
    from benchmarks.training.stopwatch import PHASES

    rows = [(name, spent, PHASES.get(name, "")) for name, spent in sorted(totals.items(), key=lambda each: -each[1])]
    rows.append(("rest", seconds - sum(totals.values()), "importing TensorFlow, reading data, the store, all else"))
    rows.append(("whole", seconds, ""))
    lines = [f"{'phase':12}{'seconds':>10}{'share':>8}"]
    for name, spent, meaning in rows:
        lines.append(f"{name:12}{spent:10.3f}{100 * spent / seconds:7.1f}%  {meaning}".rstrip())
    return "\n".join(lines)


def describe(counts: Mapping[str, int]) -> str:
    """How many runs have ended how: "3 done, 1 failed"."""
    return ", ".join(
        f"{number} {status.replace('_', ' ')}" for status, number in counts.items() if number or status == "done"
    )
