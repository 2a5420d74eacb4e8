"""The store, on real SQLite files: nothing lost, nothing overwritten, and no file taken for what it is not."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from benchmarks.errors import StoreError
from benchmarks.store import APPLICATION_ID, FORMAT, NOBODY, STORE_FILE, DatasetFacts, RegisteredClaim, Store
from benchmarks.training.results import RunResult

ROOT = Path(__file__).parents[2]
MACHINE = {"processor": "abacus", "logical_cores": 2}
DONE = RunResult(
    "done",
    metrics={"test_accuracy": 0.1 + 0.2, "test_loss": 1e-300},
    history={"train_loss": [1 / 3, 5e-324], "val_loss": [2.0, 1.5]},
    parameters=5_000_000_000,
    seconds=0.125,
)
DIVERGED = RunResult("diverged", history={"train_loss": [9.0]}, parameters=3, seconds=1.0, message="step 3")
FAILED = RunResult("failed", message="ValueError: \N{SNOWMAN} 'quoted'; --", traceback='File "x"\n  line 1\n')


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


def test_round_trip_of_every_field(store, runs_of):
    """What was recorded is there, field by field and digit by digit, after the store is opened anew."""
    run = runs_of(2)[3]
    before = datetime.now(UTC).replace(microsecond=0)
    store.record(run, DONE, MACHINE)
    store.close()
    again = Store.open(store.path.parent)
    (stored,) = again.runs([run.key]).values()
    assert stored.key == run.key
    assert stored.status == "done"
    assert (stored.dataset, stored.dataset_version, stored.seed) == ("digits", "1.0.0", 1)
    assert stored.settings == run.cell.settings.flat()
    assert stored.settings["model.activation"] == "tanh"
    assert stored.metrics == {"test_accuracy": 0.30000000000000004, "test_loss": 1e-300}
    assert stored.history == {"train_loss": [1 / 3, 5e-324], "val_loss": [2.0, 1.5]}
    assert (stored.parameters, stored.seconds) == (5_000_000_000, 0.125)
    assert (stored.message, stored.traceback, stored.attempts) == (None, None, 1)
    assert again.machines() == {stored.machine: MACHINE}
    assert before <= datetime.fromisoformat(stored.finished_at) <= datetime.now(UTC)
    again.close()


def test_claims_are_kept_with_their_moment(store):
    """Each is there after the store is opened anew, by suite; one that is noted again replaces itself alone."""
    first = RegisteredClaim("a1", "GELU | 'beats' ☃", 2, [0, 1, 2], {"alpha": 0.05, "looks": [6, 10]}, 0)
    second = RegisteredClaim("b2", "and this", 1, [0], {"alpha": 0.01, "looks": []}, 4)
    before = datetime.now(UTC).replace(microsecond=0)
    store.register_claims("small", [first, second])
    store.register_claims("other", [first])
    store.close()
    again = Store.open(store.path.parent)
    found = again.claims("small")
    assert list(found) == ["a1", "b2"]
    assert before <= datetime.fromisoformat(found["a1"].registered_at) <= datetime.now(UTC)
    assert [replace(each, registered_at="") for each in found.values()] == [first, second]
    again.register_claims("small", [replace(second, n_results=0)], dropped=["a1"])
    assert {hashed: claim.n_results for hashed, claim in again.claims("small").items()} == {"b2": 0}
    assert list(again.claims("other")) == ["a1"]
    assert again.claims("none") == {}
    again.close()


@pytest.mark.parametrize("result", [DIVERGED, FAILED], ids=["diverged", "failed"])
def test_round_trip_of_bad_ends(store, runs_of, result):
    """A run that diverged or failed keeps its message, traceback and what history it has."""
    run = runs_of(1)[0]
    store.record(run, result, MACHINE)
    stored = store.runs([run.key])[run.key]
    for name in ("status", "metrics", "history", "parameters", "seconds", "message", "traceback"):
        assert getattr(stored, name) == getattr(result, name)


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).normal(size=(360, 10)).astype("<f2"),
        np.array([[250_001.5], [-3.25]], dtype="<f4"),
        np.arange(6, dtype="<f2").reshape(2, 3).T,
        np.array([[np.inf], [-0.0]], dtype=">f4"),
    ],
    ids=["logits", "values", "not in row order", "the other byte order"],
)
def test_round_trip_of_predictions(store, runs_of, array):
    """Predictions come back bit by bit, in their precision and shape, and of the runs alone that have some."""
    run, other = runs_of(1)
    store.record(run, replace(DONE, predictions=array), MACHINE)
    store.record(other, DONE, MACHINE)
    store.close()
    again = Store.open(store.path.parent)
    (kept,) = again.predictions([run.key, other.key, "none"]).values()
    assert (kept.dtype, kept.shape) == (array.dtype, array.shape)
    assert kept.tobytes() == np.ascontiguousarray(array).tobytes()
    assert again.runs([run.key])[run.key].metrics == DONE.metrics
    again.close()


def test_predictions_are_compressed(store, runs_of):
    """What repeats takes little room in the file."""
    run = runs_of(1)[0]
    store.record(run, replace(DONE, predictions=np.zeros((1000, 1000), np.float16)), MACHINE)
    with sqlite3.connect(store.path) as raw:
        assert raw.execute("SELECT length(data) FROM predictions").fetchone()[0] < 10_000
    raw.close()


def test_predictions_follow_the_attempts(store, runs_of):
    """A failed run's next attempt brings its own predictions or none; a finished run keeps what it has."""
    run = runs_of(1)[0]
    first, second, third = (np.full((3, 2), value, np.float16) for value in (1, 2, 3))
    store.record(run, replace(FAILED, predictions=first), MACHINE)
    assert store.predictions([run.key])[run.key].tolist() == first.tolist()
    store.record(run, FAILED, MACHINE)
    assert store.predictions([run.key]) == {}
    store.record(run, replace(FAILED, predictions=first), MACHINE)
    store.record(run, replace(DONE, predictions=second), MACHINE)
    assert store.predictions([run.key])[run.key].tolist() == second.tolist()
    for later in (replace(DONE, predictions=third), DONE, FAILED):
        store.record(run, later, MACHINE)
        assert store.predictions([run.key])[run.key].tolist() == second.tolist()


def test_predictions_are_stored_with_their_run_or_not_at_all(store, runs_of):
    """Where the predictions cannot be written, the run is not either: it is trained again."""
    run, other = runs_of(1)
    with sqlite3.connect(store.path) as raw:
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
    with sqlite3.connect(store.path) as raw:
        [[before]] = raw.execute(f"SELECT {column} FROM predictions")
        raw.execute(f"UPDATE predictions SET {column} = ?", [damage(before)])
    raw.close()
    with pytest.raises(StoreError) as caught:
        store.predictions([run.key])
    assert f"{store.path}: the store is damaged" in str(caught.value)
    assert store.runs([run.key])[run.key].metrics == DONE.metrics


def test_a_message_that_is_no_unicode(store, runs_of):
    """A message with the name of a file that is not UTF-8 is stored, not stumbled over: the other runs go on."""
    run = runs_of(1)[0]
    store.record(run, RunResult("failed", message="no file caf\udce9", traceback="caf\udce9"), MACHINE)
    assert store.runs([run.key])[run.key].message.startswith("no file caf")


@pytest.mark.parametrize("first", [DONE, DIVERGED], ids=["done", "diverged"])
@pytest.mark.parametrize("second", [DONE, DIVERGED, FAILED], ids=["by done", "by diverged", "by failed"])
def test_a_finished_run_is_never_replaced(store, runs_of, first, second):
    """A run that is done or diverged stays as it is, whatever is recorded for it later."""
    run = runs_of(1)[0]
    store.record(run, first, MACHINE)
    before = store.runs([run.key])
    store.record(run, RunResult(**{**vars(second), "seconds": 77.0}), {"processor": "other"})
    assert store.runs([run.key]) == before


def test_a_failed_run_is_replaced_and_attempts_are_counted(store, runs_of):
    """Each further attempt at a failed run takes its place wholly, and is counted."""
    run, other = runs_of(1)
    store.record(other, FAILED, MACHINE)
    store.record(run, FAILED, MACHINE)
    store.record(run, RunResult("failed", message="second"), MACHINE)
    again = store.runs([run.key])[run.key]
    assert (again.attempts, again.message, again.traceback) == (2, "second", None)
    store.record(run, DONE, {"processor": "other"})
    last = store.runs([run.key])[run.key]
    assert (last.status, last.attempts, last.message) == ("done", 3, None)
    assert (last.metrics, last.history, last.parameters) == (DONE.metrics, DONE.history, DONE.parameters)
    assert store.machines()[last.machine] == {"processor": "other"}
    assert store.runs([other.key])[other.key].attempts == 1


def test_a_reopened_run_is_not_there_until_its_next_attempt(store, runs_of):
    """A failed run that is to be tried again counts as missing, keeps how it ended, and outcomes are never reopened."""
    done, failed = runs_of(1)
    store.record(done, DONE, MACHINE)
    store.record(failed, FAILED, MACHINE)
    keys = [done.key, failed.key]
    assert store.reopen(keys, ["timed_out"]) == set()
    assert store.reopen(keys, ["failed", "done"]) == {failed.key}
    assert set(store.statuses(keys)) == set(store.runs(keys)) == {done.key}
    assert store.attempt(failed.key).message == FAILED.message
    assert store.lease(keys, "me") == {failed.key}
    store.record(failed, RunResult("failed", message="again"), MACHINE)
    assert store.runs([failed.key])[failed.key].attempts == 2


def test_keys_by_their_beginning(store, runs_of):
    """Keys are found by what they begin with, taken as it is."""
    runs = runs_of(4)
    for run in runs:
        store.record(run, DONE, MACHINE)
    keys = sorted(run.key for run in runs)
    assert store.keys() == keys
    assert store.keys(keys[3][:20]) == [keys[3]]
    assert store.keys("%") == store.keys("_" * 32) == []


def test_a_lease_that_ends_leaves_its_mark(store, runs_of):
    """A run that somebody was on stays marked until it has a result, and is free for the next."""
    run, other = runs_of(1)
    store.lease([run.key, other.key], "first")
    store.end_leases("first")
    assert {lease.owner for lease in store.leases([run.key, other.key]).values()} == {NOBODY}
    assert store.lease([run.key], "second") == {run.key}
    store.record(run, DONE, MACHINE)
    assert set(store.leases([run.key, other.key])) == {other.key}


def test_taking_over_replaces_no_outcome(tmp_path, store, runs_of):
    """Another store's outcome takes the place of a failure alone; what is done here by now stays, as it was."""
    done, failed = runs_of(1)
    other = Store.create_or_open(tmp_path / "other")
    there = replace(DONE, seconds=77.0, predictions=np.ones((2, 1), np.float16))
    for run, result in ((done, DONE), (failed, FAILED)):
        store.record(run, result, MACHINE)
        other.record(run, there, {"processor": "other"})
    keys = [done.key, failed.key]
    store.take_over(other, keys)
    assert {key: run.seconds for key, run in store.runs(keys).items()} == {done.key: DONE.seconds, failed.key: 77.0}
    assert set(store.predictions(keys)) == {failed.key}
    other.close()


def test_more_keys_than_one_query_takes(store, runs_of):
    """Statuses and runs of many keys at once come in full, and nothing that was not asked for or is not there."""
    runs = runs_of(640)
    assert len(runs) == 1280
    with sqlite3.connect(store.path) as raw:  # one transaction for all: a thousand would take a while
        store.record(runs[0], DONE, MACHINE)
        columns = [row[1] for row in raw.execute("PRAGMA table_info(runs)")]
        row = dict(zip(columns, raw.execute("SELECT * FROM runs").fetchone(), strict=True))
        raw.executemany(
            f"INSERT INTO runs VALUES ({', '.join('?' * len(columns))})",
            [tuple((row | {"key": run.key, "seed": run.seed}).values()) for run in runs[1:1200]],
        )
    raw.close()
    asked = [run.key for run in runs[100:]]
    assert store.statuses(asked) == {run.key: "done" for run in runs[100:1200]}
    found = store.runs(iter(asked))
    assert {key: each.seed for key, each in found.items()} == {run.key: run.seed for run in runs[100:1200]}
    assert store.statuses([]) == {}


def test_machines_are_kept_once(store, runs_of):
    """The facts of a machine are stored once however many runs it trained, in whatever order they are told."""
    runs = runs_of(2)
    for run in runs[:3]:
        store.record(run, DONE, MACHINE)
    store.record(runs[3], DONE, dict(reversed(MACHINE.items())))
    assert list(store.machines().values()) == [MACHINE]
    assert len({each.machine for each in store.runs(run.key for run in runs).values()}) == 1


def test_registration_round_trip(store):
    """A registered suite comes back as it was: text, seeds, and the facts of every dataset."""
    facts = DatasetFacts("3.0.1", 60_000, 10_000, 10, (28, 28, 1), "the official test split", task="classification")
    text = 'name = "é\N{SNOWMAN}"\r\n# 100% \\ "quoted"\n'
    store.register("one", text, [3, 1], {"mnist:3.0.1": facts})
    registration = store.registration("one")
    assert (registration.name, registration.text, registration.seeds) == ("one", text, [3, 1])
    assert registration.datasets == {"mnist:3.0.1": facts}
    assert registration.datasets["mnist:3.0.1"].chance_level == 0.1
    assert datetime.fromisoformat(registration.registered_at).tzinfo is not None
    versions = {"mnist:3.0.1": "3.0.1"}
    assert store.is_registered("one", text, [3, 1], versions)
    assert not store.is_registered("one", text, [1, 3], versions)
    assert not store.is_registered("one", text + " ", [3, 1], versions)
    assert not store.is_registered("one", text, [3, 1], {"mnist:3.0.1": "3.0.2"})
    assert not store.is_registered("two", text, [3, 1], versions)
    assert store.registration("two") is None


def test_a_registered_regression(store):
    """Its task and the error of predicting the mean come back; it has no chance level."""
    facts = DatasetFacts("1.0.0", 353, 89, 1, (10,), "x", task="regression", mean_rmse=1 / 3)
    store.register("one", "text", [0], {"diabetes": facts})
    assert store.registration("one").datasets == {"diabetes": facts}
    assert (facts.chance_level, facts.level_without_learning) == (None, 1 / 3)
    assert DatasetFacts("1.0.0", 8, 2, 4, (3,), "x", task="classification").level_without_learning == 0.25


def test_registering_anew_replaces(store):
    """A suite registered with another text or other seeds replaces the former; others stay."""
    facts = DatasetFacts("1.0.0", 8, 2, 2, (3,), "x", task="binary")
    store.register("one", "old", [0], {})
    store.register("two", "other", [0], {})
    store.register("one", "new", [0, 1], {"digits": facts})
    assert {each.name: (each.text, each.seeds, each.datasets) for each in store.registrations()} == {
        "one": ("new", [0, 1], {"digits": facts}),
        "two": ("other", [0], {}),
    }


def test_new_data_is_registered(store):
    """The same suite on another version of its data is registered anew, else its report would look for other runs."""
    old = DatasetFacts("3.0.0", 8, 2, 2, (3,), "x", task="binary")
    new = DatasetFacts("3.0.1", 9, 2, 2, (3,), "x", task="binary")
    store.register("one", "text", [0], {"mnist": old})
    store.register("one", "text", [0], {"mnist": new})
    assert store.registration("one").datasets == {"mnist": new}


def test_format_marks(store):
    """The file says itself what it is: SQLite's application id and user version, and a write-ahead log."""
    with sqlite3.connect(store.path) as raw:
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


def test_flipped_bytes_end_in_a_clear_error_or_in_data(filled, tmp_path):
    """Wherever bytes of a store flip, opening and reading it gives runs or a StoreError that names it."""
    folder, runs = filled
    content = (folder / STORE_FILE).read_bytes()
    generator = random.Random(1)
    refusals = 0
    for number in range(120):
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_runs_folder_is_read_only(tmp_path):
    """A runs folder that may not be written is refused, with and without a store in it."""
    folder = tmp_path / "runs"
    folder.mkdir()
    for fill in (False, True):
        folder.chmod(0o700)
        if fill:
            Store.create_or_open(folder).close()
        folder.chmod(0o500)
        with pytest.raises(StoreError) as caught:
            Store.create_or_open(folder)
        assert f"{folder}: the runs folder cannot be written" in str(caught.value)
        folder.chmod(0o700)


def start(script):
    """Start Python on a script with the project in reach, its input and output in lines."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", textwrap.dedent(script)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_processes_make_the_same_store_at_once(tmp_path):
    """Two runners that start at the same moment in an empty folder both get the one store."""
    script = """
        import sys, time
        from pathlib import Path
        from benchmarks.store import DatasetFacts, Store
        print("ready")
        for line in sys.stdin:
            folder, name, moment = line.strip().split("|")
            while time.time() < float(moment):
                pass
            try:
                store = Store.create_or_open(Path(folder))
                store.register(name, "text", [0], {})
                store.close()
                print("made")
            except Exception as error:
                print(f"{type(error).__name__}: {error}".replace(chr(10), " "))
    """
    runners = [start(script) for _ in range(2)]
    try:
        assert [runner.stdout.readline() for runner in runners] == ["ready\n"] * 2
        for number in range(10):
            folder = tmp_path / str(number)
            moment = datetime.now(UTC).timestamp() + 0.02
            for name, runner in zip("ab", runners, strict=True):
                print(f"{folder}|{name}|{moment}", file=runner.stdin, flush=True)
            assert [runner.stdout.readline() for runner in runners] == ["made\n"] * 2
            assert [path.name for path in folder.iterdir()] == [STORE_FILE]
            store = Store.open(folder)
            assert {each.name for each in store.registrations()} == {"a", "b"}
            store.close()
    finally:
        for runner in runners:
            runner.communicate()


def test_killed_while_recording(tmp_path, runs_of):
    """Every run that a process said was recorded is there after the process was killed without warning."""
    script = f"""
        from pathlib import Path
        from benchmarks.design import expand_cells, expand_runs
        from benchmarks.store import Store
        from benchmarks.suite import Suite
        from benchmarks.training.results import RunResult
        suite = Suite(name="small", datasets=["digits"], seeds=2000, model={{"variant": "mlp_small"}},
                      factors={{"model.activation": ["relu", "tanh"]}})
        store = Store.create_or_open(Path({str(tmp_path)!r}))
        for run in expand_runs(expand_cells(suite), suite.seed_list, {{"digits": "1.0.0"}}):
            store.record(run, RunResult("done", {{"test_loss": run.seed / 7}}), {{"processor": "abacus"}})
            print(run.key)
    """
    keys = {run.key: run.seed for run in runs_of(2000)}
    process = start(script)
    try:
        printed = [process.stdout.readline().strip() for _ in range(25)]
        process.kill()
        printed += [line for line in process.stdout.read().splitlines() if line in keys]
    finally:
        process.kill()
        process.communicate()
    assert set(printed) <= set(keys), printed
    assert len(printed) < len(keys)
    store = Store.create_or_open(tmp_path)
    stored = store.runs(keys)
    assert len(stored) - len(printed) in (0, 1)
    assert {key: stored[key].metrics for key in printed} == {key: {"test_loss": keys[key] / 7} for key in printed}
    store.close()


def test_two_processes_record_at_once(tmp_path, runs_of):
    """Two runners in one folder wait for each other: every run of both is stored."""
    script = f"""
        import sys
        from pathlib import Path
        from benchmarks.design import expand_cells, expand_runs
        from benchmarks.store import Store
        from benchmarks.suite import Suite
        from benchmarks.training.results import RunResult
        suite = Suite(name="small", datasets=["digits"], seeds=40, model={{"variant": "mlp_small"}},
                      factors={{"model.activation": ["relu", "tanh"]}})
        half = int(sys.stdin.readline())
        store = Store.create_or_open(Path({str(tmp_path)!r}))
        for run in expand_runs(expand_cells(suite), suite.seed_list, {{"digits": "1.0.0"}})[half::2]:
            store.record(run, RunResult("done"), {{"processor": str(half)}})
        print("stored all")
    """
    runners = [start(script) for _ in range(2)]
    outputs = [runner.communicate(f"{half}\n")[0] for half, runner in enumerate(runners)]
    assert outputs == ["stored all\n"] * 2
    store = Store.open(tmp_path)
    assert set(store.statuses(run.key for run in runs_of(40))) == {run.key for run in runs_of(40)}
    assert len(store.machines()) == 2
    store.close()


def test_full_disk_is_told(tmp_path):
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
