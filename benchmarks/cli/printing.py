"""Printing that several commands share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli.rendering import UNBROKEN, make_console, print_json, say

if TYPE_CHECKING:
    from rich.console import Console

    from benchmarks.report.index import IndexClaim
    from benchmarks.tracking.records import Tracked


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
    """Say where the report of a suite is, how its runs ended, what became of its claims, and where it is tracked."""
    from benchmarks.report.claims import CLAIMS_FILE
    from benchmarks.report.index import written_verdicts

    verdicts = written_verdicts(path.parent) if path.with_name(CLAIMS_FILE).is_file() else ()
    if as_json:
        told = {"tracked": [each.as_json() for each in tracked]} if tracked else {}
        told |= {"claims": [asdict(each) for each in verdicts]} if verdicts else {}
        print_json({"suite": name, "runs": counts, "report": str(path), **told})
        return
    lines = [f"{each.statement}{f' ({each.dataset})' if each.dataset else ''}: {_said(each)}" for each in verdicts]
    say("\n".join([describe(counts), *lines, f"report: {path}", *(each.as_text() for each in tracked)]))


def _said(claim: IndexClaim) -> str:
    return f"{claim.word}: {claim.kind}" if claim.kind else f"{claim.word}, without a verdict: the report says why"
