"""What several commands print."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rendering import UNBROKEN, make_console, print_json, say

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.tracking.config import Tracked


def make_wide_console() -> Console:
    """A console for rows: who reads a pipe wants one line a row."""
    console = make_console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = UNBROKEN
    return console


def describe(counts: dict[str, int]) -> str:
    """How many runs have ended how: "3 done, 1 failed"."""
    return ", ".join(
        f"{number} {status.replace('_', ' ')}" for status, number in counts.items() if number or status == "done"
    )


def tell_report(name: str, counts: dict[str, int], path: Path, as_json: bool, tracked: Sequence[Tracked] = ()) -> None:
    """Say where the report of a suite is, how its runs ended, and where they are tracked."""
    if as_json:
        told = {"tracked": [each.as_json() for each in tracked]} if tracked else {}
        print_json({"suite": name, "runs": counts, "report": str(path), **told})
    else:
        say("\n".join([describe(counts), f"report: {path}", *(each.as_text() for each in tracked)]))
