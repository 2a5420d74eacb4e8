"""Several runners on one store, and clocks that jump."""

from __future__ import annotations

import random
import subprocess
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from tools.faults.bench import SUITE, Bench, NotPossibleError, Tally, went_well
from tools.faults.folder import NO_REPORT, RUN, Folder, ended

JUMPS_A_SUITE = 5


def two_runners(bench: Bench, count: int) -> Tally:
    """Start two runners at the same moment: between them they train every run once, and both end with all of it."""

    def start_two(folder: Folder, _: int) -> bool:
        processes = [folder.start(*RUN, *NO_REPORT) for _ in range(2)]
        told = [ended(process) for process in processes]
        return all(went_well(each) for each in told)

    return bench.tried(count, start_two)


def jump_clocks(bench: Bench, count: int) -> Tally:
    """Let the time of day jump by years, to and fro, under two runners on one store."""
    if find_spec("libfaketime") is None:
        raise NotPossibleError("libfaketime is not installed: pip install ablation-zoo[faults]")
    whole, generator = bench.undisturbed(SUITE), bench.random("clock")
    tally = Tally(whole.results, how=f"two runners, {JUMPS_A_SUITE} jumps of up to 20 years a suite")
    while tally.tried < count:
        folder = bench.folder(SUITE)
        processes = [folder.start(environment=_clock_of(folder, name)) for name in "ab"]
        jumps = _jump_while(processes, folder, generator, whole.seconds / JUMPS_A_SUITE)
        told = [ended(process) for process in processes]
        for _ in range(jumps):
            tally.note(survived=all(went_well(each) for each in told))
        tally.close(folder)
    return tally


def _jump_while(processes: list[subprocess.Popen[str]], folder: Folder, generator: random.Random, pause: float) -> int:
    """Set the clocks now and then, each by itself, as long as the processes live; how often."""
    jumps = 0
    while jumps < JUMPS_A_SUITE and all(process.poll() is None for process in processes):
        shown = datetime.now(UTC) + timedelta(days=generator.uniform(-7300, 7300))
        _set_clock(folder, generator.choice("ab"), f"@{shown:%Y-%m-%d %H:%M:%S}")
        jumps += 1
        time.sleep(pause)
        folder.note_runs()
    return jumps


def _clock_of(folder: Folder, name: str) -> dict[str, str]:
    """What gives a process a time of day of its own, which is read from a file."""
    library = find_spec("libfaketime")
    assert library is not None  # as `jump_clocks` has seen
    assert library.origin is not None
    _set_clock(folder, name, "+0")
    return {
        "LD_PRELOAD": str(Path(library.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"),
        "FAKETIME_TIMESTAMP_FILE": str(_clock_file(folder, name)),
        "FAKETIME_NO_CACHE": "1",
        # What the steady clock shows no jump changes.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _set_clock(folder: Folder, name: str, text: str) -> None:
    path = _clock_file(folder, name)
    made = path.with_suffix(".new")
    made.write_text(f"{text}\n", encoding="ascii")
    made.replace(path)


def _clock_file(folder: Folder, name: str) -> Path:
    return folder.path / f"clock-{name}"
