"""The faults of `python -m tools.faults`, each a few times, done to real processes; and that harm is seen."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import psutil
import pytest
from executing import ABLATE, with_tensorflow

from benchmarks.errors import UserError
from benchmarks.plan.leases import Leases
from benchmarks.store import Store
from tools.faults import damage, folder, kills, suites, together
from tools.faults.bench import SUITE, Bench, NotPossibleError, Tally
from tools.faults.faults import COLUMNS, FAULTS, FaultOutcome, Table, chosen_faults

# How often each is done here. Two runners, a loss that is not finite and all that is fuzzed have tests of their own,
# in test_end_to_end.py and benchmarks/test_fuzz_suites.py.
COUNTS = {
    "kill-runner": 2,
    "kill-worker": 2,
    "memory": 1,
    "hang": 1,
    "truncated-data": 2,
    "disk-full": 1,
    "read-only": 2,
    "locked": 1,
    "truncated-store": 1,
    "newer-store": 1,
    "flipped-byte": 150,
    "clock": 2,
    "trivial": 40,
}


BY_NIGHT = {"kill-runner", "kill-worker", "memory", "hang", "truncated-data", "disk-full", "clock", "trivial"}
"""By day, kills are left to test_end_to_end.py and benchmarks/test_workers.py."""

LONGER = SUITE.replace("epochs = 15", "epochs = 60")
"""With the NumPy engine, so that there is time for a fault while it trains."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory, engine):
    """One root for all faults, so that a suite is run without any fault once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "ABLATE", ABLATE[engine])
        for module in (kills, damage, together, suites) if engine == "numpy" else ():
            patch.setattr(module, "SUITE", LONGER)
        made = Bench(tmp_path_factory.mktemp("faults"), seed=7)
        yield made
        made.close()


def test_every_fault_is_tried():
    """What has no test here has one elsewhere, and is named here."""
    assert {*FAULTS} - {*COUNTS} == {"failing", "nan", "two-runners", "fuzz"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.night if name in BY_NIGHT else ()) for name in COUNTS]
)
def test_fault(name, bench):
    """After it, no finished run is lost, none was trained twice, and all results are those of an undisturbed run."""
    check(name, COUNTS[name], bench)


@with_tensorflow
@pytest.mark.night
def test_cells_that_fail(bench):
    """The same of cells that fail where their weights are to be kept, which the small engine has none of."""
    check("failing", 10, bench)


def check(name, count, bench):
    fault = FAULTS[name]
    try:
        outcome = FaultOutcome(fault.summary, fault.attempt(bench, count), 0.0)
    except NotPossibleError as error:
        pytest.skip(str(error))
    assert outcome.is_good, outcome
    assert outcome.tally.tried >= count


@pytest.fixture
def finished(tmp_path, runs_of_study):
    """A folder with a store of some runs that were never trained."""
    return runs_of_study(tmp_path)


@pytest.fixture(scope="session")
def runs_of_study():
    """Give a function that makes a bench's folder with some stored runs."""
    from benchmarks.plan.expansion import expand_cells, expand_runs
    from benchmarks.results import RunResult
    from benchmarks.suite.reading import parse_suite

    suite = parse_suite(SUITE, "study")
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})

    def make(path):
        bench = Bench(path)
        folder = bench.folder(SUITE, is_fresh=True)
        store = Store.open(folder.runs)
        for run in runs:
            store.record(run, RunResult("done", {"test_accuracy": run.seed / 7}), {"cores": 2})
        store.close()
        return folder, runs, RunResult("done", {"test_accuracy": 0.5})

    return make


def test_a_run_that_is_stored_again_is_seen(finished):
    """A second result of a finished run, which the store does not take, is counted."""
    folder, runs, other = finished
    assert (folder.doubled(), folder.lost(), folder.number_finished()) == (0, 0, 30)
    folder.note_runs()
    store = Store.open(folder.runs)
    store.record(runs[3], other, {"cores": 2})
    store.close()
    assert (folder.doubled(), folder.lost()) == (1, 0)


@pytest.mark.parametrize("change", ["DELETE FROM runs WHERE key = ?", "UPDATE runs SET metrics = '{}' WHERE key = ?"])
def test_a_run_that_is_lost_or_changed_is_seen(finished, change):
    """A finished run that is gone, or another, is counted as lost, and the results are not equal."""
    folder, runs, _ = finished
    folder.note_runs()
    expected = folder.results()
    with sqlite3.connect(folder.store) as connection:
        connection.execute(change, [runs[3].key])
    connection.close()
    tally = Tally(expected)
    tally.note(survived=True)
    tally.close(folder)
    assert (tally.lost, tally.doubled, tally.is_equal) == (1, 0, False)
    assert not FaultOutcome("it", tally, 1.0).is_good


@pytest.mark.parametrize(
    ("tried", "survived", "lost", "doubled", "is_equal", "is_good"),
    [
        (2, 2, 0, 0, True, True),
        (2, 1, 0, 0, True, False),
        (2, 2, 1, 0, True, False),
        (2, 2, 0, 1, True, False),
        (2, 2, 0, 0, False, False),
    ],
)
def test_what_is_good(tried, survived, lost, doubled, is_equal, is_good):
    """Only where all was survived, nothing lost or doubled and all is equal, a fault did no harm."""
    assert FaultOutcome("it", Tally({}, tried, survived, lost, doubled, is_equal), 1.0).is_good is is_good


def test_table():
    """A row a fault under the columns' names, sums below, and a program is told the same."""
    table = Table(
        [
            FaultOutcome("a", Tally({}, 3, 2, 1, 0, False), 12.4),
            FaultOutcome("bcd", Tally({}, 4000, 4000, 0, 2, True, "so"), 1.0),
        ],
        {"cores": 2},
    )
    lines = table.as_markdown().splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == list(COLUMNS)
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["a", "3", "2", "1", "0", "NO", "12", ""]
    assert len({len(line) for line in lines[:4]}) == 1
    assert lines[5] == "4,003 tried, 4,002 survived, 1 finished runs lost, 2 doubled. On cores 2."
    assert json.loads(json.dumps(table.as_json()))["is_good"] is False


def test_unknown_fault():
    """A misspelt name is met with all names and the nearest."""
    with pytest.raises(UserError, match="nearest: kill-worker"):
        chosen_faults(["kill-workr"])
    assert list(chosen_faults(["nan"])) == ["nan"]
    assert chosen_faults([]) == FAULTS


def test_command_for_no_fault(tmp_path):
    """The command ends with 2 where there is no such fault."""
    command = [sys.executable, "-m", "tools.faults", "--only", "nothing"]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert wrong.returncode == 2
    assert "no such fault" in wrong.stderr
    assert not wrong.stdout


FEWER = """
import dataclasses, runpy
from tools.faults.faults import FAULTS
FAULTS["fuzz"] = dataclasses.replace(FAULTS["fuzz"], quick={count})
runpy.run_module("tools.faults", run_name="__main__")
"""


@pytest.mark.parametrize("count", [100, pytest.param(FAULTS["fuzz"].quick, marks=pytest.mark.night)])
def test_command(count, tmp_path):
    """The command prints the table of one fault."""
    command = [sys.executable, "-c", FEWER.format(count=count), "--only", "fuzz", "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    [told] = json.loads(done.stdout)["outcomes"]
    assert told["tried"] >= count
    assert told["survived"] == told["tried"]


def test_clock_of_the_machine_that_jumps_ends_no_lease(tmp_path, monkeypatch):
    """A living runner of this machine is one also after the clock was set, which moves the time of every start."""
    store = Store.create_or_open(tmp_path)
    holder = Leases(store)
    store.lease(["a" * 32], holder._owner)
    told = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: told(process) + 86_400)
    assert Leases(store).others(["a" * 32]) == {"a" * 32}
    store.close()
