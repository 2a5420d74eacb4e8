"""What several commands print."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.rendering import UNBROKEN, make_console, print_json, say

if TYPE_CHECKING:
    from rich.console import Console


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


def tell_report(name: str, counts: dict[str, int], path: Path, as_json: bool) -> None:
    """Say where the report of a suite is, and how its runs ended."""
    if as_json:
        print_json({"suite": name, "runs": counts, "report": str(path)})
    else:
        say(f"{describe(counts)}\nreport: {path}")
