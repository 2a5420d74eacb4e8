"""Files that are cut short, damaged, locked or not to be written, and a disk that is full."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.errors import StoreError
from benchmarks.store import FORMAT, Store
from benchmarks.store.sqlite import BACK_UP_FILE
from tools.faults.bench import SUITE, Bench, NotPossibleError, Tally, goes_on, was_refused, went_well
from tools.faults.folder import NO_REPORT, RUN, SUITE_FILE, Folder, ended

SHORT_LOCK, LONG_LOCK = 3.0, 45.0
"""Seconds that another process keeps the store to itself: less and more than a runner waits."""

BITS_AT_ONCE = 16
"""Stores with a flipped bit that are read at the same time."""


def cut_datasets(bench: Bench, count: int) -> Tally:
    """Cut the files of a dataset short: what was decoded is decoded anew, records that are cut are refused."""
    generator = bench.random("truncated-data")
    ways: list[Callable[[Folder, random.Random], bool]] = [_cut_decoded, _cut_records, _cut_while_used]
    how = "decoded arrays, records, and arrays while they are used"
    return bench.tried(count, lambda folder, number: ways[number % len(ways)](folder, generator), how)


def _cut_decoded(folder: Folder, generator: random.Random) -> bool:
    _cut(generator.choice(sorted((folder.runs / ".decoded").glob("*/*.npy"))), generator)
    return goes_on(folder)


def _cut_records(folder: Folder, generator: random.Random) -> bool:
    shutil.rmtree(folder.runs / ".decoded")
    [records] = (folder.runs / ".datasets").glob("*/*/*-train*")
    kept = records.with_name("kept")
    shutil.copy2(records, kept)
    _cut(records, generator)
    is_refused = was_refused(folder.call(), "digits") and not folder.results()
    kept.replace(records)
    return is_refused and goes_on(folder)


def _cut_while_used(folder: Folder, generator: random.Random) -> bool:
    process = folder.start(*RUN, *NO_REPORT)
    folder.wait_for_runs(process, 1)
    folder.note_runs()
    for path in sorted((folder.runs / ".decoded").glob("*/*.npy")):
        _cut(path, generator)
    is_clear = "Traceback" not in ended(process)[2]
    folder.note_runs()
    return is_clear and goes_on(folder, "--retry", "all")


def _cut(path: Path, generator: random.Random) -> None:
    os.truncate(path, generator.randrange(1, path.stat().st_size))


def fill_disk(bench: Bench, count: int) -> Tally:
    """Let the disk be full in the midst of a suite, and then have room again."""
    whole, generator = bench.undisturbed(SUITE), bench.random("disk-full")
    tally = Tally(whole.results)
    for number in range(count):
        # What the datasets take, and a part of what the store will.
        size = _size_of(whole.folder.runs) * generator.uniform(0.5, 1.0)
        with _small_disk(bench.root / f"disk-{number}", int(size)) as mounted:
            folder = bench.folder(SUITE, path=(mounted or bench.root) / f"full-{number}")
            first = ended(_start_with_little_room(folder, None if mounted else int(size / 4)))
            is_clear = first[0] in (1, 2) and "Traceback" not in first[2]
            folder.note_runs()
            if mounted:
                _mount(mounted, size=2**30, remount=True)
            tally.note(survived=is_clear and goes_on(folder, "--retry", "all"))
            tally.close(folder)
            tally.how = "a small tmpfs" if mounted else "RLIMIT_FSIZE"
            folder.end()
            bench.folders.remove(folder)
    return tally


def _start_with_little_room(folder: Folder, most_bytes: int | None) -> subprocess.Popen[str]:
    if most_bytes is None:
        return folder.start()
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, kept[1]))  # the child has it from this process
    try:
        return folder.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


@contextlib.contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[Path | None]:
    """A file system in memory of so many bytes; None where this process may not mount one."""
    folder.mkdir()
    if not _mount(folder, size):
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def _mount(folder: Path, size: int, *, remount: bool = False) -> bool:
    options = f"{'remount,' if remount else ''}size={size}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return bool(shutil.which("mount")) and not subprocess.run(command, check=False, capture_output=True).returncode


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def forbid_writing(bench: Bench, count: int) -> Tally:
    """Take away the right to write the runs folder, before and after there are runs in it."""
    through = _without_rights()

    def forbid(folder: Folder, number: int) -> bool:
        has_runs = number % 2 == 1
        if has_runs:
            bench.finish(folder)
        with _read_only(folder.runs):
            before = _contents(folder.runs)
            is_refused = was_refused(folder.call(through=through), "cannot be written")
            is_read = not has_runs or went_well(folder.call("status", "study", through=through))
            is_untouched = _contents(folder.runs) == before
        return is_refused and is_read and is_untouched and goes_on(folder)

    return bench.tried(count, forbid, "by root without CAP_DAC_OVERRIDE" if through else "")


def _without_rights() -> Sequence[str]:
    """What starts a command that may write what its permissions say and nothing else, as root may by default."""
    if os.geteuid():
        return ()
    if not shutil.which("setpriv"):
        raise NotPossibleError("root may write everywhere, and setpriv, which takes that right, is not installed")
    return ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


@contextlib.contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    """Take the right to write anything in a folder."""
    kept = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    for path, mode in kept.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in kept.items():
            path.chmod(mode)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=30)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
"""


def lock_store(bench: Bench, count: int) -> Tally:
    """Have another process keep the store to itself in the midst of a suite: for a short time, and for too long."""
    generator = bench.random("locked")

    def lock(folder: Folder, number: int) -> bool:
        process = folder.start()
        folder.wait_for_runs(process, generator.randrange(0, 12))
        seconds = LONG_LOCK if number % 2 else SHORT_LOCK
        command = [sys.executable, "-c", _LOCK, str(folder.store), str(seconds)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as locker:
            assert locker.stdout is not None
            locker.stdout.readline()
            folder.note_runs()
            first = ended(process)
        return (went_well(first) or was_refused(first, "locked")) and goes_on(folder)

    how = f"for {SHORT_LOCK:g} s" + (f" and {LONG_LOCK:g} s" if count > 1 else "")
    return bench.tried(count, lock, how, is_at_once=True)


def cut_store(bench: Bench, count: int) -> Tally:
    """Cut the store short; it is refused and left as it is, and its back-up takes its place."""
    generator = bench.random("truncated-store")
    return _damaged_store(bench, count, lambda path: _cut(path, generator))


def newer_store(bench: Bench, count: int) -> Tally:
    """Give the store the format of a later version; it is refused and left as it is."""

    def make_newer(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {FORMAT + 1}")

    return _damaged_store(bench, count, make_newer)


def _damaged_store(bench: Bench, count: int, damage: Callable[[Path], None]) -> Tally:
    def restore(folder: Folder, _: int) -> bool:
        bench.finish(folder)
        damage(folder.store)
        damaged = folder.store.read_bytes()
        is_refused = all(
            was_refused(folder.call(*arguments), "store.sqlite", BACK_UP_FILE)
            for arguments in (RUN, ("status",), ("report", SUITE_FILE))
        )
        is_untouched = folder.store.read_bytes() == damaged
        (folder.runs / BACK_UP_FILE).replace(folder.store)
        return is_refused and is_untouched and goes_on(folder)

    return bench.tried(count, restore, "refused, and its back-up put in its place")


def flip_bytes(bench: Bench, count: int) -> Tally:
    """Flip one byte of a store after another: each time it is refused, or nothing that it says has changed."""
    whole, generator = bench.undisturbed(SUITE), bench.random("flipped-byte")
    content, expected = whole.folder.store.read_bytes(), _all_of(whole.folder.runs)
    bits = [(generator.randrange(len(content)), generator.randrange(8)) for _ in range(count)]
    tally, refused = Tally(whole.results), 0
    # What is damaged is looked at again a moment later, and in that time others can be tried.
    with ThreadPoolExecutor(BITS_AT_ONCE) as threads:
        for found, is_untouched in threads.map(lambda bit: _read_flipped(bench, content, *bit), bits):
            if found is None:
                refused += 1
                tally.note(survived=is_untouched)
            else:
                tally.note(survived=found == expected)
                tally.lost += sum(found.get(key) != each for key, each in expected.items())
    tally.is_equal = not tally.lost
    tally.how = f"{refused} refused; the others changed nothing that is told"
    return tally


def _read_flipped(bench: Bench, content: bytes, place: int, bit: int) -> tuple[dict[str, str] | None, bool]:
    """What a store tells in which one bit is another, None where it is refused; and whether it is left as it is."""
    damaged = bytearray(content)
    damaged[place] ^= 1 << bit
    with tempfile.TemporaryDirectory(dir=bench.root) as made:
        path = Path(made) / "store.sqlite"
        path.write_bytes(damaged)
        try:
            found = _all_of(path.parent)
        except StoreError:
            found = None
        return found, path.read_bytes() == damaged


def _all_of(folder: Path) -> dict[str, str]:
    """All that a store tells of its runs, by key, read as a report reads it."""
    store = Store.open(folder)
    try:
        keys = store.keys()
        predictions = {key: values.tobytes() for key, values in store.predictions(keys).items()}
        return {key: repr((run, predictions.get(key))) for key, run in store.runs(keys).items()}
    finally:
        store.close()
