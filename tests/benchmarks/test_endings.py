"""What commands say at their end of runs and searches that came to nothing, when they are called and later."""

import json
import shutil

import pytest

from benchmarks.data.dataset import open_prepared
from benchmarks.execution.running import dataset_facts
from benchmarks.plan.plan import make_plan
from benchmarks.results import RunResult
from benchmarks.search.outcomes import outcome_told
from benchmarks.store import Store

SUITE = """
name = "tiny"
datasets = ["digits"]
seeds = 2
[model]
variant = "mlp_small"
[train]
epochs = 1
[factors]
"model.activation" = ["relu", "tanh"]
"""

SEARCH = """
[search]
strategy = "random"
trials = 4
objective = "val_loss"
[search.space]
"train.learning_rate" = [0.1, 0.01]
"""

DIVERGED = RunResult("diverged", message="the loss was not finite in epoch 1, step 2")
OUT_OF_LUCK = RunResult("failed", message="ValueError: out of luck", traceback="Traceback ...")


@pytest.fixture
def planned(tmp_path, digits_runs):
    """Makes the plan of a suite with a search or none, beside a store with the decoded digits."""
    shutil.copytree(digits_runs, tmp_path / "runs")

    def make(text):
        path = tmp_path / "tiny.toml"
        path.write_text(text, encoding="utf-8")
        plan = make_plan(path, tmp_path / "runs", tmp_path / "none")
        store = Store.create_or_open(tmp_path / "runs")
        datasets = {name: open_prepared(each, tmp_path / "runs") for name, each in plan.references.items()}
        facts = {name: dataset_facts(dataset) for name, dataset in datasets.items()}
        store.register(plan.name, plan.text, list(plan.seeds), facts)
        return plan, store

    return make


def searched(plan, store, result, number=2):
    """Store that each group was searched in so many trials, each of whose runs gave this."""
    for group in plan.groups:
        trials = []
        for index, values in enumerate(list(group.space.points())[:number]):
            runs = group.runs_at(values)
            for run in runs:
                store.record(run, result, {})
            score = result.metrics.get("val_loss")
            trials.append(
                {"round": 0, "number": index, "values": values, "budget": None, "resumes": None,
                 "keys": [run.key for run in runs], "score": score}
            )  # fmt: skip
        chosen = trials[0]["values"] if result.status == "done" else {}
        store.record_search(group.key, trials, chosen)
    return plan.renewed(store)


def test_tune_that_found_nothing(planned, ablate, tmp_path):
    """No suite is written, nothing says that there is a next step, the reason is told, and the exit code is 1."""
    plan, store = planned(SUITE + SEARCH)
    searched(plan, store, DIVERGED)
    code, out, _ = ablate("tune", tmp_path / "tiny.toml", "--output", tmp_path / "tuned.toml")
    assert code == 1
    assert out.count("2 of 2 trials had no score: diverged: the loss was not finite in epoch 1, step 2") == 2
    assert out.splitlines()[-1].startswith("no suite is written: nothing was found")
    assert "next:" not in out
    assert not (tmp_path / "tuned.toml").exists()
    code, out, _ = ablate("tune", tmp_path / "tiny.toml", "--output", tmp_path / "tuned.toml", "--json")
    assert (code, json.loads(out)) == (1, {"suite": "tiny_tuned", "file": None, "tuned": []})


def test_search_of_fewer_points_than_trials(planned):
    """Where the space has no more points than were tried, that is told beside what was found."""
    plan, store = planned(SUITE + SEARCH)
    done = searched(plan, store, RunResult("done", {"val_loss": 0.5}))
    (first, _) = plan.groups
    told = outcome_told(first, done.searches[first.key], store)
    assert told == ("digits, relu: train.learning_rate = 0.1; 2 of 4 trials were made: the space has no more points")


@pytest.mark.parametrize("command", ["run", "report"])
def test_later_calls_tell_why_runs_failed(command, planned, ablate, tmp_path):
    """The reasons, the most frequent first, with a run to look at, and what can be done."""
    plan, store = planned(SUITE)
    for run, result in zip(plan.runs, (OUT_OF_LUCK, OUT_OF_LUCK, DIVERGED, RunResult("done")), strict=True):
        store.record(run, result, {})
    code, out, _ = ablate(command, tmp_path / "tiny.toml")
    assert code == (1 if command == "run" else 0)
    first, failed, diverged, remedy, *_ = out.splitlines()[-5:]
    assert first == "1 done, 1 diverged, 2 failed"
    assert failed == f"2 failed: ValueError: out of luck (`ablate logs {plan.runs[0].key[:12]}`)"
    assert diverged.startswith("1 diverged: the loss was not finite in epoch 1, step 2 (`ablate logs")
    assert remedy == "once that is mended: `ablate run SUITE --retry failed` tries them again"
