"""Mutated suite files: each must be read, or refused with an error for people, under limits of memory and time."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.errors import UserError
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of
from benchmarks.suite.reading import parse_suite, read_suite_text
from tools.faults.bench import Bench, Tally
from tools.faults.mutations import MUTATIONS
from zoo.settings import SettingError

INPUTS_A_PART = 10_000

MOST_BYTES = 3 * 2**30
"""Of address space that a process which reads suites may take; what it takes from the start is a third of it."""

MOST_SECONDS = 20.0
"""Of computing that one suite may take. 100,000 runs, the most that a suite may have, take some seconds."""


@dataclass
class Findings:
    """What came out of some files."""

    read: int = 0
    """All of them."""
    accepted: int = 0
    slowest_seconds: float = 0.0
    faults: dict[str, str] = field(default_factory=dict)
    """Name of the file that was kept -> the end of the traceback."""


class TooSlowError(Exception):
    """A suite takes longer than it may."""


def read_all(seed: int, count: int, folder: Path, most_seconds: float = MOST_SECONDS) -> Findings:
    """Read mutated suites one after another; those that end in a traceback are kept in a folder."""
    found = Findings()
    path = folder / f"under_way-{seed}.toml"  # stays where this process dies of it

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        deadline=None,  # of wall-clock time; `_limited` has one of computing
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(content=st.one_of([make() for make in MUTATIONS]))
    def read(content: bytes) -> None:
        path.write_bytes(content)
        begun = time.process_time()
        try:
            found.accepted += is_accepted(path, most_seconds)
        except Exception:  # this is what is searched for
            kept = folder / f"fault-{seed}-{found.read}.toml"
            kept.write_bytes(content)
            found.faults[kept.name] = traceback.format_exc()[-1500:]
        found.read += 1
        found.slowest_seconds = max(found.slowest_seconds, time.process_time() - begun)

    read()
    path.unlink(missing_ok=True)
    return found


def is_accepted(path: Path, most_seconds: float = MOST_SECONDS) -> bool:
    """Whether a suite file is right: False where it is refused with an error for people; else whatever it raises.

    Raises:
        TooSlowError: it takes more seconds of computing than it may.
    """
    with _limited(most_seconds):
        try:
            suite = parse_suite(read_suite_text(path), path.name)
        except (UserError, SettingError) as error:
            if not str(error).startswith((path.name, str(path))):
                raise AssertionError("an error that names no file") from error
            return False
        try:
            cells = expand_cells(suite)
            groups_of(suite, cells, dict.fromkeys(suite.datasets, "1.0.0"))
        except (UserError, SettingError) as error:
            if isinstance(error, SettingError) and not error.problems:
                raise AssertionError("an error that names no problem") from error
            return False
    if not cells:
        raise AssertionError("a suite without cells")
    return True


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise where more than so many seconds are computed."""

    def end(_: int, __: FrameType | None) -> None:
        raise TooSlowError(f"more than {seconds:g} s")

    kept = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, kept)


def fuzz_suites(bench: Bench, count: int) -> Tally:
    """Read mutated suites in processes of their own, since one could end its process; no runs are trained."""
    folder = bench.root / "fuzz"
    folder.mkdir()
    tally, accepted, slowest = Tally({}), 0, 0.0
    seeds = bench.random("fuzz")
    counts = [min(INPUTS_A_PART, count - start) for start in range(0, count, INPUTS_A_PART)]
    numbers = [seeds.randrange(2**31) for _ in counts]
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawning, _limit_memory) as processes:
        try:
            for found in processes.map(read_all, numbers, counts, itertools.repeat(folder)):
                tally.tried += found.read
                tally.survived += found.read - len(found.faults)
                accepted += found.accepted
                slowest = max(slowest, found.slowest_seconds)
                for name, text in found.faults.items():
                    print(f"{folder / name}:\n{text}", file=sys.stderr)
        except BrokenProcessPool as error:
            raise UserError(f"the reader of suites ended its process; the file is in {folder}") from error
    tally.how = f"{accepted} right, the others refused; the slowest took {1000 * slowest:.0f} ms"
    return tally


def _limit_memory() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
