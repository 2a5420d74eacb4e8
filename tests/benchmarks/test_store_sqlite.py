"""The store in a SQLite file: nothing lost, and no file taken for what it is not."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import textwrap
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from benchmarks.errors import StoreError
from benchmarks.results import RunResult
from benchmarks.store import APPLICATION_ID, FORMAT, STORE_FILE, DatasetFacts, Store

MACHINE = {"processor": "abacus", "logical_cores": 2}
DONE = RunResult("done", metrics={"test_accuracy": 0.1 + 0.2, "test_loss": 1e-300})


@pytest.fixture
def store(tmp_path):
    """A new store in `tmp_path`."""
    opened = Store.create_or_open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def filled(tmp_path_factory, runs_of):
    """A folder with a closed store of 60 runs, and the runs."""
    folder = tmp_path_factory.mktemp("filled")
    runs = runs_of(30)
    store = Store.create_or_open(folder)
    store.register("small", "text", [0], {})
    for run in runs:
        store.record(run, RunResult("done", {"test_loss": 0.5}, {"train_loss": [run.seed / 7] * 40}), MACHINE)
    store.close()
    assert sorted(path.name for path in folder.iterdir()) == [STORE_FILE]
    return folder, runs


@pytest.fixture
def copy_of_filled(filled, tmp_path):
    """The path of a store of 60 runs that a test may damage."""
    shutil.copy(filled[0] / STORE_FILE, tmp_path / STORE_FILE)
    return tmp_path / STORE_FILE


def refused(path):
    """Check that reading and writing both refuse the file, naming it and leaving every byte; give the message."""
    before = {each.name: each.read_bytes() for each in path.parent.iterdir() if each.name.startswith(STORE_FILE)}
    messages = []
    for attempt in (Store.open, Store.create_or_open):
        with pytest.raises(StoreError) as caught:
            attempt(path.parent)
        messages.append(str(caught.value))
        assert str(path) in messages[-1]
    assert path.read_bytes() == before[path.name], "the file was changed"
    for name in before.keys() - {path.name, f"{STORE_FILE}-shm"}:
        log = path.with_name(name)
        assert log.exists(), f"{name} was removed"
        assert log.read_bytes() == before[name], f"{name} was changed"
    return messages[0]


def test_predictions_are_compressed(store, runs_of):
    """What repeats takes little room in the file."""
    run = runs_of(1)[0]
    store.record(run, replace(DONE, predictions=np.zeros((1000, 1000), np.float16)), MACHINE)
    with sqlite3.connect(store.folder / STORE_FILE) as raw:
        assert raw.execute("SELECT length(data) FROM predictions").fetchone()[0] < 10_000
    raw.close()


def test_predictions_are_stored_with_their_run_or_not_at_all(store, runs_of):
    """Where the predictions cannot be written, the run is not either: it is trained again."""
    run, other = runs_of(1)
    with sqlite3.connect(store.folder / STORE_FILE) as raw:
        raw.execute("CREATE TRIGGER full BEFORE INSERT ON predictions BEGIN SELECT RAISE(ABORT, 'no room'); END")
    raw.close()
    with pytest.raises(StoreError) as caught:
        store.record(run, replace(DONE, predictions=np.zeros((2, 1), np.float16)), MACHINE)
    assert "no room" in str(caught.value)
    assert store.statuses([run.key]) == {}
    assert store.machines() == {}
    store.record(other, DONE, MACHINE)
    assert store.statuses([other.key]) == {other.key: "done"}


def one_bit_changed(data):
    return bytes([*data[:40], data[40] ^ 1, *data[41:]])


@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("data", one_bit_changed),
        ("data", lambda data: data[:-1]),
        ("data", lambda _: b""),
        ("data", lambda _: zlib.compress(bytes(119))),
        ("data", lambda _: zlib.compress(bytes(121))),
        ("data", lambda _: zlib.compress(bytes(50_000_000))),
        ("data", lambda _: "text"),
        ("dtype", lambda _: "rubbish"),
        ("dtype", lambda _: "|O"),
        ("dtype", lambda _: "<f8"),
        ("shape", lambda _: "[20, 4]"),
        ("shape", lambda _: "[-20, -3]"),
        ("shape", lambda _: "[100000000000, 100000000000]"),
        ("shape", lambda _: '["a"]'),
        ("shape", lambda _: "7"),
        ("shape", lambda _: "[20, "),
    ],
)
def test_damaged_predictions(store, runs_of, column, damage):
    """Predictions that are not what was written end in an error that names the run's store; the runs stay readable."""
    run = runs_of(1)[0]
    array = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float16)
    store.record(run, replace(DONE, predictions=array), MACHINE)
    with sqlite3.connect(store.folder / STORE_FILE) as raw:
        [[before]] = raw.execute(f"SELECT {column} FROM predictions")
        raw.execute(f"UPDATE predictions SET {column} = ?", [damage(before)])
    raw.close()
    with pytest.raises(StoreError) as caught:
        store.predictions([run.key])
    assert f"{store.folder / STORE_FILE}: the store is damaged" in str(caught.value)
    assert store.runs([run.key])[run.key].metrics == DONE.metrics


def test_format_marks(store):
    """The file says itself what it is: SQLite's application id and user version, and a write-ahead log."""
    with sqlite3.connect(store.folder / STORE_FILE) as raw:
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert raw.execute("PRAGMA user_version").fetchone() == (FORMAT,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def test_no_store_yet(tmp_path):
    """Reading where nothing was run is refused and makes nothing."""
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "runs")
    assert str(tmp_path / "runs") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_opening_makes_no_other_files(tmp_path):
    """A new runs folder, also several levels deep, holds the store and nothing left over."""
    folder = tmp_path / "a" / "b"
    Store.create_or_open(folder).close()
    Store.create_or_open(folder).close()
    assert [path.name for path in folder.iterdir()] == [STORE_FILE]


def test_foreign_database(tmp_path):
    """A database of another program is refused and left alone."""
    path = tmp_path / STORE_FILE
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE runs (key TEXT)")
    raw.commit()
    raw.close()
    assert "another program" in refused(path)


def live_copy(source, target):
    """Copy a database with its write-ahead log while it is open, as a crash would leave it."""
    for name in (STORE_FILE, f"{STORE_FILE}-wal"):
        shutil.copy(source.with_name(name), target / name)


def test_foreign_database_with_a_log(tmp_path):
    """A crashed database of another program keeps its write-ahead log: its last transactions are not ours to apply."""
    (tmp_path / "live").mkdir()
    (tmp_path / "copy").mkdir()
    live = tmp_path / "live" / STORE_FILE
    raw = sqlite3.connect(live)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("CREATE TABLE precious (key TEXT)")
    raw.commit()
    live_copy(live, tmp_path / "copy")
    raw.close()
    assert "another program" in refused(tmp_path / "copy" / STORE_FILE)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"hello", b"\0" * 5000, b"SQLite format 3\0", b"SQLite format 3\0" + b"x" * 5000, os.urandom(9000)],
    ids=["empty", "one byte", "text", "zeros", "name only", "name and rubbish", "random"],
)
def test_not_a_database(tmp_path, content):
    """A file that is no database is refused and left alone, also an empty one."""
    path = tmp_path / STORE_FILE
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("version", [FORMAT + 1, FORMAT - 1, 1000])
def test_another_format(copy_of_filled, version):
    """A store of a newer or older format is refused, and both formats are named."""
    raw = sqlite3.connect(copy_of_filled)
    raw.execute(f"PRAGMA user_version = {version}")
    raw.close()
    message = refused(copy_of_filled)
    assert f"format {version}" in message
    assert f"format {FORMAT}" in message


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_truncated(copy_of_filled, share):
    """A store that lost its end is refused and left as it is."""
    content = copy_of_filled.read_bytes()
    copy_of_filled.write_bytes(content[: int(len(content) * share)])
    refused(copy_of_filled)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_truncated_with_a_log(copy_of_filled, tmp_path, runs_of, share):
    """A store that lost its end is refused also where a write-ahead log lies beside it, and both stay."""
    store = Store.open(tmp_path)
    store.record(runs_of(31)[30], DONE, MACHINE)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    live_copy(copy_of_filled, crashed)
    store.close()
    path = crashed / STORE_FILE
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path)


def test_crash_leaves_a_log_that_is_read(copy_of_filled, tmp_path, filled, runs_of):
    """What lies only in the write-ahead log when the machine dies is there when the store is opened again."""
    last = runs_of(31)[30]
    assert last.key not in {run.key for run in filled[1]}
    store = Store.open(tmp_path)
    store.record(last, DONE, MACHINE)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    live_copy(copy_of_filled, crashed)
    store.close()
    again = Store.create_or_open(crashed)
    assert again.statuses([last.key, *(run.key for run in filled[1])]) == dict.fromkeys(
        [last.key, *(run.key for run in filled[1])], "done"
    )
    again.close()


def test_a_log_cut_short_loses_its_end_only(copy_of_filled, tmp_path, filled, runs_of):
    """Where the end of the log was not written out, the transactions before it are there, and the store works on."""
    new = runs_of(34)[30:34]
    store = Store.open(tmp_path)
    for run in new:
        store.record(run, DONE, MACHINE)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    live_copy(copy_of_filled, crashed)
    store.close()
    log = crashed / f"{STORE_FILE}-wal"
    log.write_bytes(log.read_bytes()[:-2000])
    again = Store.create_or_open(crashed)
    old = {run.key for run in filled[1]}
    assert set(again.statuses([*old, *(run.key for run in new)])) == old | {run.key for run in new[:3]}
    again.record(new[3], DONE, MACHINE)
    assert again.statuses([new[3].key]) == {new[3].key: "done"}
    again.close()


def test_a_page_of_rubbish(copy_of_filled):
    """A store with 4 KiB overwritten in its middle is refused and left as it is."""
    content = bytearray(copy_of_filled.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = random.Random(0).randbytes(4096)
    copy_of_filled.write_bytes(content)
    refused(copy_of_filled)


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.night), pytest.param(3, marks=pytest.mark.night)]
)
def test_flipped_bytes_end_in_a_clear_error_or_in_data(seed, filled, tmp_path):
    """Wherever bytes of a store flip, opening and reading it gives runs or a StoreError that names it."""
    folder, runs = filled
    content = (folder / STORE_FILE).read_bytes()
    generator = random.Random(seed)
    refusals = 0
    for number in range(40):
        broken = bytearray(content)
        place = generator.randrange(len(content) - 8)
        for offset in range(8):
            broken[place + offset] ^= 0xFF
        path = tmp_path / str(number) / STORE_FILE
        path.parent.mkdir()
        path.write_bytes(broken)
        try:
            store = Store.open(path.parent)
            try:
                store.runs(run.key for run in runs)
                store.machines()
                store.registrations()
            finally:
                store.close()
        except StoreError as error:
            refusals += 1
            assert str(path) in str(error)  # noqa: PT017 - being readable is a good outcome too
    assert refusals


def test_store_is_a_folder(tmp_path):
    """A folder in the store's place is refused."""
    (tmp_path / STORE_FILE).mkdir()
    for attempt in (Store.open, Store.create_or_open):
        with pytest.raises(StoreError) as caught:
            attempt(tmp_path)
        assert str(tmp_path) in str(caught.value)


def test_runs_folder_under_a_file(tmp_path):
    """A runs folder that cannot be made is refused, and the file in its way is left alone."""
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(StoreError) as caught:
            Store.create_or_open(folder)
        assert str(folder) in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def guarded():
    """A folder that this process may write, and the one that `read_only` starts may not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "runs"
        folder.mkdir()
        Path(name).chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def read_only(start, guarded):
    """Give a function that starts a script which may only read in `guarded`; it is told the number of keys it sees."""
    preamble = f"""
        import os, sys
        from pathlib import Path
        from benchmarks import cli
        from benchmarks.errors import StoreError
        from benchmarks.store import Store
        import encodings.idna, sqlalchemy.dialects.sqlite.pysqlite, benchmarks.plan.plan, benchmarks.cli.rendering
        if os.geteuid() == 0:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
        folder = Path({str(guarded)!r})
    """

    def run(script):
        guarded.chmod(0o555)
        return start(textwrap.dedent(preamble) + textwrap.dedent(script))

    return run


def test_runs_folder_is_read_only(guarded, read_only):
    """A runs folder that may not be written is refused to who would write, with and without a store in it."""
    script = """
        try:
            Store.create_or_open(folder)
        except StoreError as error:
            print(error)
    """
    for fill in (False, True):
        guarded.chmod(0o755)
        if fill:
            Store.create_or_open(guarded).close()
        output = read_only(script).communicate()[0]
        assert output.startswith(f"{guarded}: the runs folder cannot be written"), output


KEYS_SEEN = """
    try:
        store = Store.open(folder)
        print(len(store.keys()), flush=True)
        for line in sys.stdin:
            print(len(store.keys()), flush=True)
    except StoreError as error:
        print("refused:", error)
"""


def test_reading_in_a_folder_that_cannot_be_written(guarded, read_only, runs_of):
    """Who may only read sees at any time what is stored, whether a runner is on it or not, and leaves nothing."""
    runs = runs_of(4)
    writer = Store.create_or_open(guarded)
    writer.record(runs[0], DONE, MACHINE)
    writer.close()
    process = read_only(KEYS_SEEN)
    seen = [process.stdout.readline()]
    assert seen == ["1\n"]
    assert [path.name for path in guarded.iterdir()] == [STORE_FILE]

    def seen_now():
        print(file=process.stdin, flush=True)
        return process.stdout.readline()

    for number in range(1, 7):
        guarded.chmod(0o755)
        if number % 2:
            writer = Store.open(guarded)
        writer.record(runs[number], DONE, MACHINE)
        if not number % 2:
            writer.close()
        guarded.chmod(0o555)
        assert (number, seen_now()) == (number, f"{number + 1}\n")
        assert Path(f"{guarded / STORE_FILE}-wal").exists() == bool(number % 2)
    assert [path.name for path in guarded.iterdir()] == [STORE_FILE]


def test_status_in_a_folder_that_cannot_be_written(issue_suite, guarded, read_only):
    """`ablate status` shows the suites of a store that it may only read."""
    store = Store.create_or_open(guarded)
    facts = DatasetFacts("1.0.0", 1442, 355, 10, (8, 8, 1), "x", task="classification")
    store.register("activations", issue_suite, [0], {"digits": facts})
    store.close()
    script = "sys.argv = ['ablate', 'status', '--json', '--runs-dir', str(folder)]\ncli.main()"
    output = read_only(script).communicate()[0]
    assert '"suite": "activations"' in output, output


def test_log_that_cannot_be_read(copy_of_filled, guarded, read_only, runs_of):
    """After a crash, who may only read is told that the last transactions lie in a log, and is shown no older state."""
    store = Store.open(copy_of_filled.parent)
    store.record(runs_of(31)[30], DONE, MACHINE)
    live_copy(copy_of_filled, guarded)
    store.close()
    before = {path.name: path.read_bytes() for path in guarded.iterdir()}
    output = read_only(KEYS_SEEN).communicate()[0]
    assert output.startswith(f"refused: {guarded / STORE_FILE}: its last transactions are in a log"), output
    assert {path.name: path.read_bytes() for path in guarded.iterdir()} == before
    guarded.chmod(0o755)
    again = Store.open(guarded)
    assert len(again.keys()) == 61
    again.close()
    assert read_only(KEYS_SEEN).communicate()[0] == "61\n"


def test_what_was_read_while_the_file_changed_does_not_count(copy_of_filled, runs_of, monkeypatch):
    """Where a file that is read without locks changes meanwhile, it is read anew, and the answer is the new one."""
    monkeypatch.setattr("benchmarks.store.sqlite._is_writable", lambda _: False)
    reader = Store.open(copy_of_filled.parent)
    monkeypatch.undo()
    (run,) = runs_of(31)[30:31]
    times = []

    def read(connection):
        found = connection.scalar(sa.text("SELECT count(*) FROM runs"))
        if not times:
            writer = Store.open(copy_of_filled.parent)
            writer.record(run, DONE, MACHINE)
            writer.close()
        times.append(found)
        return found

    assert reader._do(read) == 61
    assert times == [60, 61]
    reader.close()


def test_full_disk_is_told(tmp_path, start):
    """Where the disk is full when the store is made, that is said in a clear error and no half-made file stays."""
    script = f"""
        import resource
        from pathlib import Path
        from benchmarks.errors import StoreError
        from benchmarks.store import Store
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        try:
            Store.create_or_open(Path({str(tmp_path / "runs")!r}))
        except StoreError as error:
            print("refused:", error)
    """
    output = start(script).communicate()[0]
    assert output.startswith("refused:"), output
    assert str(tmp_path / "runs") in output
    assert list((tmp_path / "runs").iterdir()) == []
