"""A throw-away folder in which the real command is called, and what its store says, read without the project's code."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.store import Store

ABLATE = [sys.executable, "-c", "from benchmarks.cli import main; main()"]

SUITE_FILE = "study.toml"

RUN = ("run", SUITE_FILE, "--workers", "1")
"""How a suite is run, where it does not matter how many workers there are."""

NO_REPORT = ("--shard", "1/1")
"""One part of one is all of a suite, and its report is not written: most faults are no matter of it."""

RUN_WITH_ALL_CORES = ("run", SUITE_FILE)

SECONDS_FOR_A_COMMAND = 900.0
"""A command that takes longer hangs."""

Results = dict[str, tuple[Any, ...]]
"""Key of each run with an outcome -> all that must be equal whatever happened to it."""

_RESULTS = """
    SELECT runs.key, status, metrics, history, parameters, hex(predictions.data)
    FROM runs LEFT JOIN predictions ON predictions.key = runs.key WHERE status IN ('done', 'diverged')
"""

# A trigger before an insert fires also where the row is not taken, since there is one: nothing of it goes unseen.
_NOTE_WHAT_IS_STORED = """
    CREATE TABLE fault_notes (key TEXT, status TEXT);
    CREATE TRIGGER fault_notes BEFORE INSERT ON runs BEGIN INSERT INTO fault_notes VALUES (NEW.key, NEW.status); END;
"""


class Folder:
    """A folder with a suite file, in which `ablate` is called.

    Args:
        path: is made.
        text: of the suite.
        like: a folder whose prepared and decoded datasets are copied, so that they need not be made anew.
    """

    def __init__(self, path: Path, text: str, like: Folder | None = None):
        self.path = path
        self.text = text
        self.runs = path / "runs"
        self._started: list[subprocess.Popen[str]] = []
        self._seen: Results = {}
        path.mkdir(parents=True)
        (path / SUITE_FILE).write_text(text, encoding="utf-8")
        if like:
            for name in (".datasets", ".decoded"):
                if (like.runs / name).exists():
                    shutil.copytree(like.runs / name, self.runs / name)
        Store.create_or_open(self.runs).close()
        with self.connected() as connection:
            connection.executescript(_NOTE_WHAT_IS_STORED)

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.runs / "store.sqlite"

    def start(
        self, *arguments: str, environment: Mapping[str, str] | None = None, through: Sequence[str] = ()
    ) -> subprocess.Popen[str]:
        """Start `ablate` with these arguments, by default `RUN`.

        Args:
            arguments: of the command.
            environment: is added to that of this process.
            through: a command that starts it.
        """
        process = subprocess.Popen(
            [*through, *ABLATE, *(arguments or RUN)],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ
            | {"TFDS_DATA_DIR": str(self.path / "none"), "PYTHONUNBUFFERED": "1"}
            | dict(environment or {}),
        )
        self._started.append(process)
        return process

    def call(self, *arguments: str, through: Sequence[str] = ()) -> tuple[int, str, str]:
        """Call it and wait: exit code, standard output, standard error."""
        return ended(self.start(*arguments, through=through))

    def results(self) -> Results:
        """What is stored of every run that has an outcome, straight from the file."""
        with self.connected() as connection:
            return {key: tuple(rest) for key, *rest in connection.execute(_RESULTS)}

    def wait_for_runs(self, process: subprocess.Popen[str], number: int) -> None:
        """Wait until so many runs have an outcome, or the process has ended."""
        while process.poll() is None and self.number_finished() < number:
            time.sleep(0.01)

    def number_finished(self) -> int:
        """How many runs have an outcome."""
        with self.connected() as connection:
            counted = connection.execute("SELECT count(*) FROM runs WHERE status IN ('done', 'diverged')")
            return int(counted.fetchone()[0])

    def statuses(self) -> dict[str, int]:
        """Status -> how many runs have it."""
        with self.connected() as connection:
            return dict(connection.execute("SELECT status, count(*) FROM runs GROUP BY status"))

    def note_runs(self) -> None:
        """Note what is finished by now: from here on it must stay as it is."""
        self._seen |= {key: result for key, result in self.results().items() if key not in self._seen}

    def lost(self) -> int:
        """How many of the runs that `note_runs` saw are gone, or another."""
        found = self.results()
        return sum(found.get(key) != result for key, result in self._seen.items())

    def doubled(self) -> int:
        """How many runs were stored with an outcome more than once."""
        query = "SELECT count(*) - count(DISTINCT key) FROM fault_notes WHERE status IN ('done', 'diverged')"
        with self.connected() as connection:
            return int(connection.execute(query).fetchone()[0])

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """The store's database, as anybody can open it."""
        with contextlib.closing(sqlite3.connect(self.store, timeout=30)) as connection, connection:
            yield connection

    def end(self) -> None:
        """End whatever of its processes is still there."""
        for process in self._started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(ValueError):  # its pipes are read already
                process.communicate()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command: exit code, standard output, standard error."""
    out, err = process.communicate(timeout=SECONDS_FOR_A_COMMAND)
    return process.returncode, out, err


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The worker processes of a runner that live."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if any("spawn_main" in part for part in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
    return found


def wait_until(process: subprocess.Popen[str], moment: float) -> bool:
    """Wait until a moment on the steady clock; whether the process still lives then."""
    while process.poll() is None and time.monotonic() < moment:
        time.sleep(0.01)
    return process.poll() is None
