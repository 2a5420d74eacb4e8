"""The ledger: every planned run has one status, whatever became of it; failures wait until they are asked for."""

from __future__ import annotations

import io
import itertools
import json
import math
import shutil
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy_engine
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from studies import study_of

from benchmarks.cli import progress
from benchmarks.cli.progress import watch
from benchmarks.errors import UserError
from benchmarks.execution import worker
from benchmarks.execution.running import Session
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.groups import groups_of
from benchmarks.plan.leases import LEASE_SECONDS, Leases
from benchmarks.plan.ledger import STATUSES, UNSETTLED, ledger_of, log_of, reopened, ways_to_retry
from benchmarks.plan.shards import Shard
from benchmarks.plan.stacks import program_of
from benchmarks.results import FAILURES, FINAL, RunResult
from benchmarks.store import LEASES, DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from zoo.settings import SettingError

pytestmark = pytest.mark.usefixtures("undrawn")

SUITE = """
name = "tiny"
datasets = ["digits"]
seeds = 3
model = { variant = "mlp_small" }
train = { steps = 5 }
[factors]
"model.activation" = ["relu", "tanh"]
"""

DIGITS = {"digits": DatasetFacts("1.0.0", 1442, 355, 10, (8, 8, 1), "x", "classification")}


@pytest.fixture
def store(tmp_path):
    """A store in which the suite is registered, with no run."""
    opened = Store.create_or_open(tmp_path / "runs")
    opened.register("tiny", SUITE, [0, 1, 2], DIGITS)
    yield opened
    opened.close()


@pytest.fixture
def runs():
    """The six runs of the suite, in the order of the plan."""
    suite = parse_suite(SUITE, "tiny.toml")
    return expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})


def current(store):
    return ledger_of(study_of(store, "tiny"))


def statuses_of(store):
    return [entry.status for entry in current(store).entries]


def silent(store, run):
    """A runner that took a run and gave no sign of life for longer than a lease, by the time of day."""
    Leases(store).take({0: run})
    long_ago = datetime.now(UTC) - timedelta(seconds=LEASE_SECONDS + 1)
    with store._transaction() as connection:
        stale = sa.update(LEASES).where(LEASES.c.key == run.key)
        connection.execute(stale.values(renewed_at=long_ago.isoformat(timespec="seconds")))


def taken_and_left(store, run):
    leases = Leases(store)
    leases.take({0: run})
    leases.release()


def failed_and_reopened(store, run):
    store.record(run, RunResult("failed", message="before"), {})
    store.reopen([run.key], ["failed"])


def reopened_and_taken(store, run):
    failed_and_reopened(store, run)
    Leases(store).take({0: run})


def taken_and_ended(status):
    def end(store, run):
        Leases(store).take({0: run})
        store.record(run, RunResult(status, message=f"it {status}"), {})

    return end


EVENTS = {
    "nothing": (lambda *_: None, "planned"),
    "a runner is on it": (lambda store, run: Leases(store).take({0: run}), "running"),
    "its runner fell silent": (silent, "interrupted"),
    "its runner left it": (taken_and_left, "interrupted"),
    "it is to be tried again": (failed_and_reopened, "planned"),
    "it is tried again": (reopened_and_taken, "running"),
    **{f"it ended as {status}": (taken_and_ended(status), status) for status in FINAL},
}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.sampled_from(sorted(EVENTS)), min_size=6, max_size=6))
def test_every_run_has_one_status(events, runs, tmp_path_factory):
    """Whatever became of each run, its status says so, and the counts add up to the plan."""
    store = Store.create_or_open(tmp_path_factory.mktemp("runs"))
    store.register("tiny", SUITE, [0, 1, 2], DIGITS)
    for event, run in zip(events, runs, strict=True):
        EVENTS[event][0](store, run)
    ledger = current(store)
    assert [entry.status for entry in ledger.entries] == [EVENTS[event][1] for event in events]
    assert sum(ledger.counts.values()) == len(runs)
    assert set(ledger.counts) == set(STATUSES)
    assert ledger.is_settled == all(EVENTS[event][1] not in UNSETTLED for event in events)
    numbers = [value for row in ledger.cells() for name, value in row.items() if name.replace(" ", "_") in STATUSES]
    assert sum(numbers) == len(runs)
    store.close()


SEARCHED = (
    SUITE
    + """
[search]
strategy = "grid"
trials = 2
objective = "val_loss"
seeds = [9]
untuned = true
[search.space]
"train.learning_rate" = [0.001, 0.01]
"""
)


def test_runs_without_the_search_have_a_status_too(ablate, tmp_path):
    """With `untuned = true` both sorts of runs are planned; one that the search leaves as it is counts once."""
    suite = parse_suite(SEARCHED, "tiny.toml")
    cells, versions = expand_cells(suite), {"digits": "1.0.0"}
    relu, tanh = groups_of(suite, cells, versions)
    store = Store.create_or_open(tmp_path / "runs")
    store.register("tiny", SEARCHED, [0, 1, 2], DIGITS)
    (tmp_path / "tiny.toml").write_text(SEARCHED, encoding="utf-8")

    def told():
        ledger = current(store)
        plan, listed = (json.loads(ablate(*call, "--json")[1]) for call in (("plan", "tiny.toml"), ("runs", "tiny")))
        [whole] = json.loads(ablate("status", "--json")[1])
        assert len({entry.run.key for entry in ledger.entries}) == len(ledger.entries) == plan["runs"]["total"]
        assert [(row["key"], row["untuned"]) for row in listed] == [
            (entry.run.key, entry.is_untuned) for entry in ledger.entries
        ]
        assert whole["done"] == plan["runs"]["done"] == ledger.counts["done"]
        assert whole["missing"] == plan["runs"]["missing"] == ledger.num_unsettled
        return sum(not entry.is_untuned for entry in ledger.entries), ledger.counts["done"], len(ledger.entries)

    assert told() == (6, 0, 12)
    untuned = expand_runs(cells, [0, 1, 2], versions)
    for run in untuned:
        store.record(run, RunResult("done", {"test_accuracy": 0.9}), {})
    assert told() == (6, 6, 12)
    store.record_search(relu.key, [], {"train.learning_rate": 0.01})
    assert told() == (6, 6, 12)
    store.record_search(tanh.key, [], {"train.learning_rate": untuned[-1].cell.settings.train.learning_rate})
    assert told() == (6, 6, 9)
    assert log_of(store, untuned[0].key).suites == ["tiny"]
    assert [row.get("settings") for row in current(store).cells()] == ["tuned", "tuned", "untuned"]
    store.close()


def test_reasons_are_told_once(store, runs):
    """Equal reasons are one row with their number, the most frequent first; runs that are done have none."""
    for run in runs[:3]:
        store.record(run, RunResult("failed", message="no luck"), {})
    store.record(runs[3], RunResult("timed_out", message="too slow"), {})
    store.record(runs[4], RunResult("done", message="the predictions were not kept"), {})
    rows = [(row["runs"], row["status"], row["reason"]) for row in current(store).reasons()]
    assert rows == [(3, "failed", "no luck"), (1, "timed out", "too slow")]


@pytest.mark.parametrize("way", [*FAILURES, "all"])
def test_what_is_retried(way, store, runs):
    """`--retry` opens the runs that ended in that way, and no outcome; the attempts go on counting."""
    for run, status in zip(runs, FINAL, strict=False):
        store.record(run, RunResult(status, message="first"), {})
    ways = ways_to_retry([way])
    assert ways == (set(FAILURES) if way == "all" else {way})
    store.reopen([run.key for run in runs], ways)
    expected = ["planned" if status in ways else status for status in FINAL] + ["planned"]
    assert statuses_of(store) == expected
    (again, *_) = [run for run, status in zip(runs, FINAL, strict=False) if status in ways]
    assert Leases(store).take({0: again}) == {0: again}
    store.record(again, RunResult("done"), {})
    assert store.runs([again.key])[again.key].attempts == 2


def test_failures_are_nobodys_until_they_are_asked_for(store, runs):
    """A run that failed is given to no runner, so that two runners do not both try it."""
    store.record(runs[0], RunResult("failed"), {})
    assert Leases(store).take(dict(enumerate(runs[:2]))) == {1: runs[1]}


def test_retry_that_is_none():
    """A status that cannot be retried is met with the nearest that can."""
    with pytest.raises(SettingError) as caught:
        ways_to_retry(["failde"])
    assert "nearest: failed" in str(caught.value)


READ_NO_MORE = {"renewed": lambda _: None}
"""Of a stand-in for a plan: nobody asks it what is stored afterwards."""


def test_trials_are_retried_with_their_search(store, runs):
    """A trial that failed is opened too, and its search with it; a search without one stays as it is."""
    plan_of = SimpleNamespace(
        all_runs=runs[:1],
        searches={
            "bad": SimpleNamespace(trials=[{"keys": [runs[1].key]}]),
            "good": SimpleNamespace(trials=[{"keys": [runs[2].key]}]),
        },
        **READ_NO_MORE,
    )
    store.record(runs[1], RunResult("failed"), {})
    store.record(runs[2], RunResult("done"), {})
    for key in ("bad", "good"):
        store.record_search(key, [], {})
    reopened(plan_of, store, {"failed"})
    assert store.statuses([run.key for run in runs]) == {runs[2].key: "done"}
    assert set(store.found()) == {"good"}


@pytest.mark.parametrize("broken_at", ["reopen", "forget_searches"])
def test_retry_after_an_interrupt(broken_at, store, runs, monkeypatch):
    """Interrupted between a trial and its search, `--retry` finds both the next time: none is lost."""
    plan = SimpleNamespace(
        all_runs=[], searches={"bad": SimpleNamespace(trials=[{"keys": [runs[1].key]}])}, **READ_NO_MORE
    )
    store.record(runs[1], RunResult("failed"), {})
    store.record_search("bad", [], {})
    with monkeypatch.context() as patch:
        patch.setattr(Store, broken_at, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reopened(plan, store, {"failed"})
    reopened(plan, store, {"failed"})
    assert (store.statuses([runs[1].key]), store.found()) == ({}, {})


def test_trials_alone_are_retried(store, runs):
    """`ablate tune` opens the trials of a search, and leaves the runs of the report as they are."""
    plan = SimpleNamespace(
        all_runs=runs[:1], searches={"bad": SimpleNamespace(trials=[{"keys": [runs[1].key]}])}, **READ_NO_MORE
    )
    for run in runs[:2]:
        store.record(run, RunResult("failed"), {})
    reopened(plan, store, {"failed"}, trials_alone=True)
    assert store.statuses([run.key for run in runs]) == {runs[0].key: "failed"}


def test_log_of_a_run(store, runs):
    """The log has the reason, the traceback, the attempts, the machine and the end of the history."""
    result = RunResult("failed", history={"train_loss": [float(n) for n in range(9)]}, message="no", traceback="File x")
    store.record(runs[0], result, {"processor": "abacus"})
    store.record(runs[1], RunResult("done"), {})
    log = log_of(store, runs[0].key[:9].upper())
    assert (log.key, log.suites, log.status) == (runs[0].key, ["tiny"], "failed")
    assert (log.levels, log.seed) == ({"model.activation": "relu"}, 0)
    assert (log.stored.message, log.stored.traceback, log.stored.attempts) == ("no", "File x", 1)
    assert log.machine == {"processor": "abacus"}
    assert [epoch["epoch"] for epoch in log.epochs] == [5, 6, 7, 8, 9]
    assert log.epochs[-1]["train_loss"] == 8.0


def test_log_of_a_run_without_a_result(store, runs):
    """Also a run that nobody tried has a log; one that is tried again still tells how it ended before."""
    assert log_of(store, runs[0].key).as_json()["status"] == "planned"
    reopened_and_taken(store, runs[1])
    log = log_of(store, runs[1].key)
    assert (log.status, log.stored.message) == ("running", "before")


@pytest.mark.parametrize(("given_key", "told"), [("", "no such run"), ("%", "no such run"), ("_", "no such run")])
def test_log_of_no_run(given_key, told, store, runs):
    """A key that is none is refused; what means something to a database means nothing here."""
    store.record(runs[0], RunResult("done"), {})
    with pytest.raises(UserError) as caught:
        log_of(store, given_key)
    assert told in str(caught.value)


def test_runner_that_was_killed(store, runs, tmp_path):
    """What a runner of this machine was on is interrupted from the moment that its process is gone."""
    code = f"""
import os, signal
from pathlib import Path
from benchmarks.plan.leases import Leases
from benchmarks.store import Store
store = Store.open(Path({str(tmp_path / "runs")!r}))
store.lease([{runs[1].key!r}], Leases(store)._owner, 1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    Leases(store).take({0: runs[0]})
    assert statuses_of(store)[:3] == ["running", "interrupted", "planned"]


def test_log_of_several_runs(store):
    """A beginning that several keys share is refused, and they are named."""
    seeds = list(range(17))  # two keys each, and sixteen ways to begin: three at least begin alike
    store.register("tiny", SUITE, seeds, DIGITS)
    keys = [entry.run.key for entry in current(store).entries]
    first, number = Counter(key[0] for key in keys).most_common(1)[0]
    with pytest.raises(UserError, match=f"{number} keys begin like this") as caught:
        log_of(store, first)
    shown = sorted(key for key in keys if key[0] == first)
    assert all(key in str(caught.value) for key in shown[:5])


def test_status_and_logs_on_the_command_line(store, runs, ablate):
    """`status SUITE` counts every run, `logs` shows the traceback, both also as JSON."""
    store.record(runs[0], RunResult("done", {"test_accuracy": 0.5}), {})
    store.record(runs[1], RunResult("out_of_memory", message="SIGKILL", traceback='File "x"'), {})
    code, out, _ = ablate("status", "tiny")
    assert code == 0
    assert "tiny: 6 runs: 4 planned, 1 done, 1 out of memory" in out
    assert "SIGKILL" in out
    told = json.loads(ablate("status", "tiny", "--json")[1])
    assert told["runs"]["total"] == 6 == sum(told["runs"][status] for status in STATUSES)
    assert [entry["key"] for entry in told["entries"]] == [run.key for run in runs]
    code, out, _ = ablate("logs", runs[1].key[:12])
    assert code == 0
    assert 'File "x"' in out
    assert "out of memory" in out
    assert json.loads(ablate("logs", runs[0].key, "--json")[1])["metrics"] == {"test_accuracy": 0.5}


def test_status_of_a_suite_of_another_version(store, runs, ablate):
    """A stored suite that is no longer understood is named, and all others are counted."""
    store.record(runs[0], RunResult("done"), {})
    store.register("older", SUITE.replace('"tiny"', '"older"').replace("steps", "stepps"), [0], DIGITS)
    code, out, _ = ablate("status")
    assert code == 0
    assert "older: this version of ablate no longer understands the suite" in out
    older, tiny = sorted(json.loads(ablate("status", "--json")[1]), key=lambda row: row["suite"])
    assert (tiny["done"], tiny["missing"], tiny["problem"]) == (1, 5, None)
    assert (older["done"], older["missing"]) == (None, None)
    assert "no longer understands" in older["problem"]


def test_numbers_that_are_not_finite_are_null(store, runs, ablate):
    """JSON has no word for them, and programs refuse what Python writes in its place."""
    history = {"train_loss": [1.0, math.nan, math.inf, -math.inf]}
    store.record(runs[0], RunResult("diverged", {"test_loss": math.inf}, history), {})
    code, out, err = ablate("logs", runs[0].key, "--json")
    assert code == 0, err
    told = json.loads(out, parse_constant=lambda word: pytest.fail(f"no JSON: {word}"))
    assert told["history"]["train_loss"] == [1.0, None, None, None]
    assert told["metrics"] == {"test_loss": None}


def test_watching_plain(store, runs):
    """Where there is no terminal each change is a line, and it ends when nothing is left to be trained."""
    console = Console(file=io.StringIO(), force_terminal=False)
    waiting = list(runs)

    def read():
        if len(waiting) < 5 and waiting:
            store.record(waiting[0], RunResult("done"), {})
        if waiting:
            waiting.pop(0)
        return current(store)

    for run in runs[:2]:
        store.record(run, RunResult("done"), {})
    assert watch(read, console, pause=0.0).is_settled
    lines = console.file.getvalue().splitlines()
    assert lines[0] == "tiny: 6 runs: 4 planned, 2 done"
    assert lines[1].startswith("tiny: 6 runs: 3 planned, 3 done; ")
    assert lines[-1] == "tiny: 6 runs: 6 done"
    assert len(lines) == len(set(lines)) == 5


def test_watching_tells_the_time_that_is_left(store, runs, monkeypatch):
    """At one run in ten seconds, three runs take another half a minute; what ended before is no part of the pace."""
    clock = iter([100.0, 110.0, 120.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    store.record(runs[0], RunResult("done"), {})
    pace = progress._Pace(current(store))
    assert "left" not in pace.told(current(store)), "nothing has ended yet"
    for run in runs[1:3]:
        store.record(run, RunResult("done"), {})
    assert pace.told(current(store)) == "tiny: 6 runs: 3 planned, 3 done; 0.1 runs/s, 30 s left"


def test_watching_on_a_terminal(store):
    """On a terminal there is a table that fits it, and the cursor is there again at the end, also after Ctrl-C."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=7)

    def read():
        if console.file.getvalue():
            raise KeyboardInterrupt
        return current(store)

    with pytest.raises(KeyboardInterrupt):
        watch(read, console, pause=0.0)
    written = console.file.getvalue()
    assert "6 planned" in written
    assert "1 more cells" in written
    assert written.count("\x1b[?25h") >= 1


@settings(max_examples=40)
@given(count=st.integers(1, 60), seeds=st.integers(1, 40))
def test_shards_partition_the_runs(count, seeds):
    """The parts share no run and are the whole together, of nearly equal sizes, programs together, for every number."""
    suite = parse_suite(SUITE.replace("seeds = 3", f"seeds = {seeds}"), "tiny.toml")
    planned = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    data = {"digits": SimpleNamespace(input_shape=(8, 8, 1), num_classes=10)}
    parts = [Shard(number, count).keys(planned, data) for number in range(1, count + 1)]
    assert sum(map(len, parts)) == len(planned)
    assert set().union(*parts) == {run.key for run in planned}
    assert max(map(len, parts)) <= -(-len(planned) // count) + 10
    mixed = [part for part in parts if len({program_of(run) for run in planned if run.key in part}) > 1]
    assert len(mixed) <= 1  # there are two programs, and so one border


def test_shards_do_not_depend_on_what_is_stored(runs):
    """What is missing is divided as the whole plan is: a job that comes later finds the parts of those before it."""
    data = {"digits": SimpleNamespace(input_shape=(8, 8, 1), num_classes=10)}
    jobs = [
        Session(SimpleNamespace(runs=runs, groups=()), None, None, data, None, Shard(number, 3)) for number in (1, 2, 3)
    ]
    wholes = [{run.key for run in job.own(runs)} for job in jobs]
    for missing in (runs[1:], runs[::2], runs[:1], []):
        parts = [[run.key for run in job.own(missing)] for job in jobs]
        assert sorted(itertools.chain(*parts)) == sorted(run.key for run in missing)
        assert all(set(part) <= whole for part, whole in zip(parts, wholes, strict=True))


@pytest.mark.parametrize("given_shard", ["", "3", "0/4", "5/4", "-1/4", "1/0", "1/2/3", "a/b", "1 /2"])
def test_shards_that_are_none(given_shard):
    """What is no part of a plan is refused, with an example of one."""
    with pytest.raises(UserError) as caught:
        Shard.parse(given_shard)
    assert "such as 3/16" in str(caught.value)


@pytest.fixture(params=["numpy", pytest.param("tensorflow", marks=pytest.mark.night)])
def obstacle(request, tmp_path, digits_runs, monkeypatch):
    """A file that makes runs raise: in the way of the folder for weights, or of the small engine, which has none."""
    shutil.copytree(digits_runs, tmp_path / "runs")
    path = tmp_path / "runs" / "weights"
    if request.param == "numpy":
        monkeypatch.setattr(worker, "ENGINE", "numpy_engine:FailingEngine")
        path = tmp_path / numpy_engine.OBSTACLE
    path.touch()
    return path


def test_a_run_that_raises_is_tried_once(ablate, tmp_path, obstacle):
    """An exception fails its runs with the traceback; they are tried again where `--retry` asks for it."""
    (tmp_path / "tiny.toml").write_text(SUITE)
    options = ("--keep-weights",) if obstacle.name == "weights" else ()
    assert ablate("run", "tiny.toml", *options, "--workers", "1")[0] == 1
    store = Store.open(tmp_path / "runs")
    assert statuses_of(store) == ["failed"] * 6
    log = log_of(store, current(store).entries[0].run.key)
    assert "Traceback" in log.stored.traceback
    assert obstacle.name in log.stored.message
    obstacle.unlink()
    code, out, _ = ablate("run", "tiny.toml")
    assert (code, "to train" in out) == (1, False)
    assert log_of(store, log.key).stored.attempts == 1
    assert ablate("run", "tiny.toml", "--retry", "timed_out")[0] == 1
    assert log_of(store, log.key).stored.attempts == 1
    code, out, _ = ablate("run", "tiny.toml", "--retry", "failed", "--workers", "1")
    assert (code, "6 of 6 runs to train" in out) == (0, True)
    assert statuses_of(store) == ["done"] * 6
    assert log_of(store, log.key).stored.attempts == 2


@pytest.mark.usefixtures("engine")
def test_shards_on_the_command_line(ablate, tmp_path, digits_runs):
    """Each job of an array trains its part, into stores of their own, and joined they are the whole suite."""
    (tmp_path / "study.toml").write_text(SUITE)
    keys = []
    for number in (1, 2):
        shutil.copytree(digits_runs, tmp_path / f"part{number}")
        code, out, err = ablate("run", "study.toml", "--shard", f"{number}/2", "--runs-dir", f"part{number}", "--json")
        assert code == 0, err
        keys.append(set(Store.open(tmp_path / f"part{number}").keys()))
        assert json.loads(out)["runs"]["done"] == len(keys[-1])
    assert not keys[0] & keys[1]
    assert len(keys[0] | keys[1]) == 6
    code, out, err = ablate("merge", "part1", "part2", "--into", "whole")
    assert code == 0, err
    store = Store.open(tmp_path / "whole")
    assert statuses_of(store) == ["done"] * 6
    assert ablate("report", "study.toml", "--runs-dir", "whole")[0] == 0
    for number, own in enumerate(keys, start=1):
        code, out, err = ablate("run", "study.toml", "--shard", f"{number}/2", "--runs-dir", "whole")
        assert code == 0, err
        part, then = out.splitlines()[-2:]
        assert part == f"part {number}/2: {len(own)} done", "a part that is done already tells of itself alone"
        assert then == "once all parts are in one store: ablate report study.toml"
