"""Prints the table of all faults: python -m tools.faults [--only NAME] [--quick]."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli.rendering import print_json, say
from benchmarks.errors import UserError
from benchmarks.execution.machine import machine_facts
from tools.faults.bench import Bench
from tools.faults.faults import FAULTS, FaultOutcome, Table, chosen_faults, try_faults


def main(
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help=f"Try these alone: {', '.join(FAULTS)}.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Try each a few times only.")] = False,
    seed: Annotated[int, typer.Option(help="Of the moments and places that are drawn.")] = 0,
    folder: Annotated[
        Path | None, typer.Option(help="An empty folder to work in, which stays; else one that is removed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Do to real jobs what happens to jobs, and print what became of their runs.

    Takes some 30 minutes on two cores; with --quick, six. Exit code: 0 no run was lost or trained twice, 1 otherwise.
    """
    try:
        faults = chosen_faults(only or ())
        with tempfile.TemporaryDirectory(prefix="ablate-faults-") as made:
            root = folder or Path(made)
            _refuse_used(root)
            root.mkdir(parents=True, exist_ok=True)
            bench = Bench(root.resolve(), seed)
            outcomes = []
            try:
                for outcome in try_faults(bench, faults, is_quick=quick):
                    told = outcome if isinstance(outcome, str) else f"{outcome.fault}: {outcome.seconds:.0f} s"
                    print(told, file=sys.stderr, flush=True)
                    if isinstance(outcome, FaultOutcome):
                        outcomes.append(outcome)
            finally:
                bench.close()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    table = Table(outcomes, machine_facts())
    if as_json:
        print_json(table.as_json())
    else:
        say(table.as_markdown())
    raise typer.Exit(0 if table.is_good else 1)


def _refuse_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--folder: not an empty folder\n  given:   {folder}\n  allowed: a new or an empty one")


if __name__ == "__main__":
    typer.run(main)
