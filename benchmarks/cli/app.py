"""Command line: all commands in one table, and what is around each of them."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from benchmarks.cli import datasets, diagnosing, following, models, planning, reporting, running, tracking
from benchmarks.cli.arguments import INTERRUPTED, TERMINATED, WRONG_CALL
from benchmarks.cli.rendering import say
from benchmarks.cli.streams import patient_streams
from benchmarks.errors import UserError
from benchmarks.execution.interrupts import Terminated, interruptible

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk says that is full or broken."""

app = typer.Typer(
    name="ablate",
    help="Does this choice matter for my network? Trains a matrix of settings on TFDS data, reports it with intervals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

COMMANDS = (
    planning.new,
    planning.plan,
    diagnosing.diagnose,
    running.run,
    running.tune,
    reporting.report,
    following.status,
    following.watch,
    following.logs,
    following.runs,
    reporting.compare,
    reporting.index,
    following.merge,
    tracking.track,
    models.export,
    models.models,
    models.profile,
    models.speed,
    datasets.datasets,
    planning.schema,
)
"""Every command, in the order of the help: first what a person does with a suite, then what is beside it."""


def _told_to_end(command: Callable[..., None]) -> Callable[..., None]:
    """The same command with a line and an exit code for Ctrl-C, and a code of its own for SIGTERM."""

    @functools.wraps(command)
    def call(*arguments: object, **options: object) -> None:
        interruptible()
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as interrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED) from None

    return call


for each in COMMANDS:
    app.command()(_told_to_end(each))


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        say(f"ablate {version('ablation-zoo')}")
        raise typer.Exit


@app.callback()
def _ablate(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


def _with_home(argument: str) -> str:
    """An argument whose ~ means the home folder: shells leave it as it is behind = and between quotes."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return option + equals + os.path.expanduser(value)  # noqa: PTH111 - not all of them are paths


def main() -> None:
    """Run the command line; an error that a person can mend is one message and exit code 2.

    So is a disk without room, also where it is what is printed that has none: whoever reads a part of it is to know.
    """
    from zoo.settings import SettingError

    with patient_streams():
        try:
            app([_with_home(argument) for argument in sys.argv[1:]], prog_name="ablate")
        except (UserError, SettingError) as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(WRONG_CALL)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            place = f"{error.filename}: " if error.filename else ""
            print(f"error: {place}{error.strerror}", file=sys.stderr)
            sys.exit(WRONG_CALL)
