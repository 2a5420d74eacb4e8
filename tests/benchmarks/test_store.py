"""The store, on SQLite and on a Postgres server: what is recorded comes back, and nothing is lost or overwritten."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import sqlalchemy as sa

from benchmarks.results import RunResult
from benchmarks.store import NOBODY, RUNS, STORE_FILE, DatasetFacts, RegisteredClaim, Store

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
def store(tmp_path, store_url):
    """A new store, in `tmp_path` or beside it."""
    opened = Store.create_or_open(tmp_path, store_url)
    yield opened
    opened.close()


def test_round_trip_of_every_field(store, store_url, runs_of):
    """What was recorded is there, field by field and digit by digit, after the store is opened anew."""
    run = runs_of(2)[3]
    before = datetime.now(UTC).replace(microsecond=0)
    store.record(run, DONE, MACHINE)
    store.close()
    again = Store.open(store.folder, store_url)
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


def test_claims_are_kept_with_their_moment(store, store_url):
    """Each is there after the store is opened anew, by suite; one that is noted again replaces itself alone."""
    first = RegisteredClaim("a1", "GELU | 'beats' ☃", 2, [0, 1, 2], {"alpha": 0.05, "looks": [6, 10]}, 0)
    second = RegisteredClaim("b2", "and this", 1, [0], {"alpha": 0.01, "looks": []}, 4)
    before = datetime.now(UTC).replace(microsecond=0)
    store.register_claims("small", [first, second])
    store.register_claims("other", [first])
    store.close()
    again = Store.open(store.folder, store_url)
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
def test_round_trip_of_predictions(store, store_url, runs_of, array):
    """Predictions come back bit by bit, in their precision and shape, and of the runs alone that have some."""
    run, other = runs_of(1)
    store.record(run, replace(DONE, predictions=array), MACHINE)
    store.record(other, DONE, MACHINE)
    store.close()
    again = Store.open(store.folder, store_url)
    (kept,) = again.predictions([run.key, other.key, "none"]).values()
    assert (kept.dtype, kept.shape) == (array.dtype, array.shape)
    assert kept.tobytes() == np.ascontiguousarray(array).tobytes()
    assert again.runs([run.key])[run.key].metrics == DONE.metrics
    again.close()


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
    store.record(runs[0], DONE, MACHINE)
    row = vars(store.runs([runs[0].key])[runs[0].key])
    with store._transaction() as connection:  # one for all: a thousand would take a while
        connection.execute(sa.insert(RUNS), [row | {"key": run.key, "seed": run.seed} for run in runs[1:1200]])
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


def test_killed_while_recording(tmp_path, store_url, runs_of, start):
    """Every run that a process said was recorded is there after the process was killed without warning."""
    script = f"""
        from pathlib import Path
        from benchmarks.plan.expansion import expand_cells, expand_runs
        from benchmarks.store import Store
        from benchmarks.suite.suite import Suite
        from benchmarks.results import RunResult
        suite = Suite(name="small", datasets=["digits"], seeds=2000, model={{"variant": "mlp_small"}},
                      factors={{"model.activation": ["relu", "tanh"]}})
        store = Store.create_or_open(Path({str(tmp_path)!r}), {store_url!r})
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
    store = Store.create_or_open(tmp_path, store_url)
    stored = store.runs(keys)
    assert len(stored) - len(printed) in (0, 1)
    assert {key: stored[key].metrics for key in printed} == {key: {"test_loss": keys[key] / 7} for key in printed}
    store.close()


def test_two_processes_record_at_once(tmp_path, store_url, runs_of, start):
    """Two runners in one folder wait for each other: every run of both is stored."""
    script = f"""
        import sys
        from pathlib import Path
        from benchmarks.plan.expansion import expand_cells, expand_runs
        from benchmarks.store import Store
        from benchmarks.suite.suite import Suite
        from benchmarks.results import RunResult
        suite = Suite(name="small", datasets=["digits"], seeds=40, model={{"variant": "mlp_small"}},
                      factors={{"model.activation": ["relu", "tanh"]}})
        half = int(sys.stdin.readline())
        store = Store.create_or_open(Path({str(tmp_path)!r}), {store_url!r})
        for run in expand_runs(expand_cells(suite), suite.seed_list, {{"digits": "1.0.0"}})[half::2]:
            store.record(run, RunResult("done"), {{"processor": str(half)}})
        print("stored all")
    """
    runners = [start(script) for _ in range(2)]
    outputs = [runner.communicate(f"{half}\n")[0] for half, runner in enumerate(runners)]
    assert outputs == ["stored all\n"] * 2
    store = Store.open(tmp_path, store_url)
    assert set(store.statuses(run.key for run in runs_of(40))) == {run.key for run in runs_of(40)}
    assert len(store.machines()) == 2
    store.close()


def test_runners_make_the_same_store_at_once(tmp_path, start):
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
            assert [path.name for path in folder.iterdir()] == [STORE_FILE], "something was left over"
            store = Store.open(folder)
            assert {each.name for each in store.registrations()} == {"a", "b"}
            store.close()
    finally:
        for runner in runners:
            runner.communicate()


def test_numbers_that_json_does_not_have(store, runs_of):
    """Infinite and missing numbers, the least and the greatest come back from metrics and curves as they were."""
    run = runs_of(1)[0]
    odd = [float("inf"), -float("inf"), float("nan"), -0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2]
    metrics = {"test_loss": float("nan")}
    store.record(run, RunResult("diverged", metrics, {"train_loss": odd}, seconds=0.1 + 0.2), MACHINE)
    stored = store.runs([run.key])[run.key]
    assert list(map(repr, stored.history["train_loss"])) == list(map(repr, odd))
    assert repr(stored.metrics) == "{'test_loss': nan}"
    assert stored.seconds == 0.30000000000000004


def test_order_of_settings_and_metrics(store, runs_of):
    """What a run measured comes back in its order, which tables show."""
    run = runs_of(1)[0]
    store.record(run, RunResult("done", {"z": 1.0, "a": 2.0, "test_loss": 3.0}), MACHINE)
    assert list(store.runs([run.key])[run.key].metrics) == ["z", "a", "test_loss"]


def test_a_message_with_a_nul(store, runs_of):
    """A traceback with a NUL byte is stored, as that byte or as its escape, and the text around it stays."""
    run = runs_of(1)[0]
    store.record(run, RunResult("failed", message="a\0b", traceback="x\0y"), {"processor": "q\0r"})
    stored = store.runs([run.key])[run.key]
    assert (stored.message, stored.traceback) in [("a\0b", "x\0y"), ("a\\x00b", "x\\x00y")]
    assert list(store.machines().values()) == [{"processor": "q\0r"}]


def test_order_of_texts(store):
    """Texts are in the order of their characters' numbers, whatever the language of a server: reports depend on it."""
    statements = ["a b", "A", "a", "B", "b", "_", "é", "z", "Z", "aB", "\N{SNOWMAN}"]
    claims = [RegisteredClaim(str(number), text, 1, [0], {}, 0) for number, text in enumerate(statements)]
    store.register_claims("small", claims)
    for text in statements:
        store.register(text, "text", [0], {})
    assert [each.statement for each in store.claims("small").values()] == sorted(statements)
    assert [each.name for each in store.registrations()] == sorted(statements)


@pytest.mark.parametrize("labels", [np.arange(360) % 10, np.linspace(0, 1, 7, dtype="<f4")[:, None], np.array([True])])
def test_labels_are_kept_once(store, labels):
    """The test labels of a dataset come back bit by bit, for its version alone; what is there stays."""
    assert store.labels("digits", "1.0.0") is None
    store.keep_labels("digits", "1.0.0", labels)
    store.keep_labels("digits", "1.0.0", labels[::-1])
    kept = store.labels("digits", "1.0.0")
    assert (kept.dtype, kept.shape, kept.tobytes()) == (labels.dtype, labels.shape, labels.tobytes())
    assert (store.labels("digits", "1.0.1"), store.labels("mnist", "1.0.0")) == (None, None)


def test_labels_come_along(tmp_path, store):
    """Who takes over the notes of another store has its labels too, and keeps its own."""
    other = Store.create_or_open(tmp_path / "other")
    other.keep_labels("digits", "1.0.0", np.arange(3))
    other.keep_labels("wine", "1.0.0", np.arange(4))
    store.keep_labels("digits", "1.0.0", np.arange(5))
    store.take_over_notes(other)
    assert store.labels("digits", "1.0.0").tolist() == [0, 1, 2, 3, 4]
    assert store.labels("wine", "1.0.0").tolist() == [0, 1, 2, 3]
    other.close()


def test_runners_of_many_processes_share_all_runs(tmp_path, store_url, runs_of, start):
    """Eight processes that ask for the same 200 runs at once, in several orders: each run is granted exactly once."""
    script = f"""
        import random, sys, time
        from pathlib import Path
        from benchmarks.store import Store
        number, *keys = sys.stdin.readline().split()
        store = Store.open(Path({str(tmp_path)!r}), {store_url!r})
        random.Random(int(number)).shuffle(keys)
        print("ready")
        sys.stdin.readline()
        granted = []
        for first in range(0, len(keys), 5):
            granted += store.lease(keys[first : first + 5], "runner " + number)
            time.sleep(0.01)  # else SQLite gives one of them all, and the others wait
        print(*granted)
    """
    Store.create_or_open(tmp_path, store_url).close()
    keys = [run.key for run in runs_of(100)]
    runners = [start(script) for _ in range(8)]
    for number, runner in enumerate(runners):
        print(number, *keys, file=runner.stdin, flush=True)
    assert [runner.stdout.readline() for runner in runners] == ["ready\n"] * 8
    for runner in runners:
        print(file=runner.stdin, flush=True)
    granted = [runner.stdout.readline().split() for runner in runners]
    assert sorted(key for part in granted for key in part) == sorted(keys)
    assert sum(map(bool, granted)) > 1, "one had all: they did not ask at once"
