"""How long a plan will take, by what like runs took."""

import shutil

import pytest

from benchmarks.cli.estimating import Expected, _shortened, expected_time, program_without_length
from benchmarks.plan.plan import make_plan
from benchmarks.results import RunResult
from benchmarks.runs import Cell, Run
from benchmarks.store import Store

SUITE = """
name = "study"
datasets = ["digits"]
seeds = {seeds}
model = {{ variant = "mlp_small", width = 8 }}
train = {{ epochs = {epochs} }}
[factors]
"model.activation" = ["relu", "tanh"]
"model.initializer" = ["he_normal", "lecun_normal"]
"""


@pytest.fixture
def plan_of(tmp_path):
    def plan(seeds, epochs, more=""):
        path = tmp_path / "study.toml"
        path.write_text(SUITE.format(seeds=seeds, epochs=epochs) + more)
        return make_plan(path, tmp_path / "runs", tmp_path / "none")

    return plan


def store_seconds(plan, tmp_path, seconds_of):
    """Store runs of a plan as done in so many seconds each; None leaves one out."""
    store = Store.create_or_open(tmp_path / "runs")
    for run in plan.runs:
        if seconds_of(run) is not None:
            store.record(run, RunResult("done", seconds=seconds_of(run)), {})


def test_nothing_is_known_at_first(plan_of, tmp_path):
    """Without a store nothing is known, and the text says what would help."""
    expected = expected_time(plan_of(2, 5), tmp_path / "runs", probes=False)
    assert (expected.seconds, expected.num_known, expected.num_unknown) == (0, 0, 8)
    assert expected.as_text() == "expected time: not known; nothing is known of 8 runs: --probe measures"


def test_stored_runs_of_the_program_tell(plan_of, tmp_path):
    """Ten times the epochs take ten times as long; a program that was never trained is told apart."""

    def seconds(run):
        return 3.0 if run.cell.settings.model.activation == "relu" else None

    store_seconds(plan_of(2, 5), tmp_path, seconds)
    expected = expected_time(plan_of(4, 50), tmp_path / "runs", probes=False)
    assert (expected.num_known, expected.num_unknown) == (8, 8)
    assert expected.seconds == pytest.approx(8 * 30.0)
    assert "nothing is known of 8 runs" in expected.as_text()


def test_only_what_is_missing_counts(plan_of, tmp_path):
    """Runs that are stored take no more time."""
    store_seconds(plan_of(2, 5), tmp_path, lambda _: 2.0)
    expected = expected_time(plan_of(3, 5), tmp_path / "runs", probes=False)
    assert (expected.num_known, expected.num_unknown) == (4, 0)
    assert expected.seconds == pytest.approx(8.0)


SEARCH = """
[search]
strategy = "{strategy}"
trials = 6
objective = "val_loss"
seeds = [1000, 1001]
[search.space]
"train.learning_rate" = {{ log = [1e-4, 1e-1] }}
"train.optimizer" = ["adam", "rmsprop"]
"""


@pytest.mark.parametrize("strategy", ["random", "hyperband"])
def test_trials_of_a_search_take_their_time(strategy, plan_of, tmp_path):
    """Each trial takes a training of each seed, all of hyperband's the epochs of its rungs; a program has its rate."""
    rate = {"adam": 0.2, "rmsprop": 0.4}
    plan = plan_of(3, 9, SEARCH.format(strategy=strategy))
    runs = [run for group in plan.groups for run in group.sampled_runs()]
    assert {run.cell.settings.train.optimizer for run in runs} == set(rate)
    unknown = expected_time(plan, tmp_path / "runs", probes=False)
    store = Store.create_or_open(tmp_path / "runs")
    for run in runs:
        store.record(run, RunResult("done", seconds=9 * rate[run.cell.settings.train.optimizer]), {})
    store.close()
    expected = expected_time(plan, tmp_path / "runs", probes=False)
    # Of the four cells, four rungs of hyperband: 9 of 1 epoch, 3 to 3, 1 to 9; and 5 of 3, 2 to 9: 21 + 27 epochs.
    trials, epochs = {"random": (6, 6 * 9), "hyperband": (9 + 3 + 1 + 5 + 2, 21 + 27)}[strategy]
    assert unknown.num_unknown == expected.num_known == 4 * 3 + 4 * 2 * trials
    assert (unknown.num_known, expected.num_unknown) == (0, 0)
    low, high = (4 * 2 * epochs * each for each in rate.values())
    assert low < expected.seconds_of_search < high
    assert expected.seconds == pytest.approx(expected.seconds_of_search + 4 * 3 * 9 * 0.2)
    assert "of it for the search" in expected.as_text()


def test_time_is_divided_among_workers():
    """The text tells the time of all workers together."""
    assert Expected(120.0, 8, 0, workers=2).as_text() == "expected time: 1 min 0 s with 2 workers, compiling left out"
    assert Expected(120.0, 8, 0, workers=1).as_text() == "expected time: 2 min 0 s with 1 worker, compiling left out"


@pytest.mark.slow
@pytest.mark.parametrize(
    "train",
    [
        {"epochs": 50, "stop_after": 10},
        {"epochs": 50, "checkpoint": "best_val", "early_stopping_patience": 10},
        {"epochs": 50, "schedule": "reduce_on_plateau"},
        {"epochs": 50, "optimizer": "adamw", "weight_decay": 0.1},
        {"steps": 5000, "schedule": "step", "optimizer": "momentum", "momentum": 0.5},
        {"images": 1_000_000, "batch_size": 32},
    ],
    ids=lambda train: " ".join(train),
)
def test_probes_are_short_and_of_the_same_program(train, settings_of):
    """A run is probed by a short one of its program, whatever its own end, patience and schedule are."""
    settings = settings_of({f"train.{name}": value for name, value in train.items()})
    run = Run(Cell("digits", {}, settings), 0, "1.0.0")
    short = _shortened(run)
    assert program_without_length(short) == program_without_length(run)
    assert 0 < short.cell.settings.train.total_steps(20) <= 200


@pytest.mark.usefixtures("engine")
def test_probe_trains_and_stores_nothing(plan_of, tmp_path, digits_runs):
    """A probe finds the rate of every program and leaves no run in the store."""
    shutil.copytree(digits_runs, tmp_path / "runs")
    plan = plan_of(2, 100)
    expected = expected_time(plan, tmp_path / "runs", probes=True)
    assert (expected.num_known, expected.num_unknown) == (8, 0)
    assert expected.seconds > 0
    assert plan_of(2, 100).counts["missing"] == 8
