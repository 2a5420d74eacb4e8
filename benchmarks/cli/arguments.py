"""Arguments that several commands share, and the exit codes."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.errors import UserError

DONE, SOME_FAILED, WRONG_CALL, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
"""Exit codes: all runs done; some failed or diverged; the suite or the call is wrong; interrupted; told to end."""

REGRESSION = 1
"""Exit code of `ablate compare` where something got worse."""

RUNS_DIR = Path("runs")

SuiteArgument = Annotated[str, typer.Argument(metavar="SUITE", help="A suite file, or the name of a shipped suite.")]
RegisteredSuite = Annotated[
    str, typer.Argument(metavar="SUITE", help="A suite that was run here: its name, or its file.")
]
RunsDir = Annotated[Path, typer.Option(help="Folder of the store and the reports.")]
StoreURL = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="ABLATE_STORE",
        metavar="URL",
        help="Keep runs on a Postgres server, postgresql://USER@HOST/DATABASE, not in the folder; '' is the folder.",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option(help="TFDS folder of prepared datasets; by default TFDS_DATA_DIR or TFDS's own.")
]
Seeds = Annotated[int | None, typer.Option(min=1, max=100_000, help="Use seeds 0 to N-1 and not the suite's own.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; by default what fits cores and memory, and finds work.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def check_picture(show: Path, endings: Container[str], allowed: str) -> None:
    """Refuse a path where no picture can be drawn, before anything else is done."""
    if show.suffix.lower() not in endings or not show.parent.is_dir() or show.is_dir():
        raise UserError(f"--show: not a place for a picture\n  given:   {show}\n  allowed: {allowed}")
