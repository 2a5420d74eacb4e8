"""Runners and workers that die at random moments, run out of memory, or hang."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tools.faults.bench import SUITE, Bench, NotPossibleError, Tally, goes_on, went_well
from tools.faults.folder import NO_REPORT, RUN, RUN_WITH_ALL_CORES, Folder, ended, wait_until, workers_of

SHRINK = 0.9
"""A moment that came after the end of the command is brought forward by so much."""

KILLS_A_COMMAND = 2
"""Of workers: a stack whose worker dies three times is given up, as it should be, and its runs would have failed."""

LIMIT_BYTES = 256 * 2**20
"""What a worker may allocate more once it was told to allocate without end."""


def kill_runner(bench: Bench, count: int) -> Tally:
    """Kill the runner at moments spread over the whole command, from its start to the report."""
    whole = bench.undisturbed(SUITE)
    tally, folder, waiting = Tally(whole.results), None, 0
    for moment in _moments(count, whole.seconds, bench.random("kill-runner")):
        while True:
            folder = folder or bench.folder(SUITE, is_fresh=True)
            process = folder.start(*RUN_WITH_ALL_CORES)
            if wait_until(process, time.monotonic() + moment):
                break
            _settle(tally, folder, waiting, ended(process))
            folder, waiting, moment = None, 0, moment * SHRINK
        process.kill()
        ended(process)
        waiting += 1
        folder.note_runs()
    if folder:
        _settle(tally, folder, waiting, folder.call())
    return tally


def _settle(tally: Tally, folder: Folder, kills: int, last: tuple[int, str, str]) -> None:
    """Note the kills that a folder has survived, if the last command ended well."""
    for _ in range(kills):
        tally.note(survived=went_well(last))
    tally.close(folder)


def kill_worker(bench: Bench, count: int) -> Tally:
    """Kill workers at random moments from their start on; the runner goes on by itself."""
    return _hit_workers(bench, count, "kill-worker", lambda _, worker: worker.kill())


def starve_worker(bench: Bench, count: int) -> Tally:
    """Have workers allocate without end, until the kernel kills them, or gives them no more."""
    with _memory_group(LIMIT_BYTES) as group:

        def starve(folder: Folder, worker: psutil.Process) -> None:
            if group:
                (group / "cgroup.procs").write_text(str(worker.pid), encoding="ascii")
            (folder.path / f"allocate-{worker.pid}").touch()

        plugin = _written_plugin(bench, None if group else LIMIT_BYTES)
        path = os.pathsep.join(filter(None, (str(plugin), os.environ.get("PYTHONPATH"))))
        tally = _hit_workers(bench, count, "memory", starve, {"PYTHONPATH": path})
    tally.how = "killed by the kernel at a cgroup's limit" if group else "no more memory by RLIMIT_AS"
    return tally


def _hit_workers(
    bench: Bench,
    count: int,
    name: str,
    hit: Callable[[Folder, psutil.Process], None],
    environment: dict[str, str] | None = None,
) -> Tally:
    """Do something deadly to workers at random moments, `KILLS_A_COMMAND` a command."""
    whole, generator = bench.undisturbed(SUITE), bench.random(name)
    moments, tally = _moments(count, whole.seconds, generator), Tally(whole.results)
    while moments:
        folder = bench.folder(SUITE, is_fresh=True)
        process = folder.start(*RUN_WITH_ALL_CORES, *NO_REPORT, environment=environment)
        begun, hits = time.monotonic(), 0
        for moment in sorted(moments[:KILLS_A_COMMAND]):
            wait_until(process, begun + moment)
            victim = _some_worker(process, generator)
            if victim is None:
                moments[moments.index(moment)] *= SHRINK
                break
            with contextlib.suppress(psutil.NoSuchProcess):
                hit(folder, victim)
                hits += 1
                psutil.wait_procs([victim], timeout=60)
            moments.remove(moment)
            folder.note_runs()
        _settle(tally, folder, hits, ended(process))
    return tally


def _some_worker(process: subprocess.Popen[str], generator: random.Random) -> psutil.Process | None:
    """One of the workers, once there are some; None where the command ends without."""
    while process.poll() is None:
        found = workers_of(process)
        if found:
            return generator.choice(found)
        time.sleep(0.05)
    return None


def _moments(count: int, seconds: float, generator: random.Random) -> list[float]:
    """Random moments, one in each of so many equal parts of the time, in random order."""
    found = [(place + generator.random()) / count * seconds for place in range(count)]
    generator.shuffle(found)
    return found


# Put before the project's code into every process of a command. A worker whose id is asked for allocates until it dies.
_ALLOCATE = """
import os, sys, threading, time

MOST = 4 * 2**30  # so that a limit that does not hold does not take the machine with it

def _allocate():
    while not os.path.exists(f"allocate-{os.getpid()}"):
        time.sleep(0.01)
    limit = LIMIT
    if limit:
        import resource
        with open("/proc/self/statm") as file:
            taken = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + limit, taken + limit))
    kept = []
    size = 16 * 2**20
    while len(kept) * size < MOST:
        try:
            kept.append(b"x" * size)
        except MemoryError:
            time.sleep(0.01)

if "spawn_main" in " ".join(sys.orig_argv):
    threading.Thread(target=_allocate, daemon=True).start()
"""


def _written_plugin(bench: Bench, limit: int | None) -> Path:
    """A folder for PYTHONPATH with what makes workers allocate."""
    folder = bench.root / "plugin"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(_ALLOCATE.replace("LIMIT\n", f"{limit}\n", 1), encoding="utf-8")
    return folder


@contextlib.contextmanager
def _memory_group(limit: int) -> Iterator[Path | None]:
    """A control group of the kernel in which processes may take so much; None where none can be made."""
    made, groups = None, Path("/sys/fs/cgroup")
    for root, file in ((groups / "memory", "memory.limit_in_bytes"), (groups, "memory.max")):
        folder = root / f"ablate-fault-{os.getpid()}"
        try:
            folder.mkdir()
            (folder / file).write_text(str(limit), encoding="ascii")
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        made = folder
        break
    try:
        yield made
    finally:
        if made:
            _remove_group(made)


def _remove_group(group: Path) -> None:
    """Remove a control group, which can be done once its processes are gone."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)


HANG_LIMIT = 2.5
"""Seconds that a run may take where a worker is stopped; its stack of five may take five times that."""


def hang_worker(bench: Bench, count: int) -> Tally:
    """Stop workers for good; the time limit ends them, and their runs are tried again when that is asked for."""
    if not hasattr(signal, "SIGSTOP"):
        raise NotPossibleError("no process can be stopped on this system")
    generator = bench.random("hang")

    def hang(folder: Folder, _: int) -> bool:
        process = folder.start(*RUN, *NO_REPORT, "--time-limit", str(HANG_LIMIT))
        folder.wait_for_runs(process, generator.randrange(1, 12))
        victim = _some_worker(process, generator)
        if victim:
            victim.suspend()
        first = ended(process)
        folder.note_runs()
        stopped = folder.statuses().get("timed_out", 0)
        is_well_again = goes_on(folder, "--retry", "timed_out")
        return victim is not None and went_well(first, 1) and stopped > 0 and is_well_again

    return bench.tried(count, hang, f"SIGSTOP, and --time-limit {HANG_LIMIT:g}", is_at_once=True)
