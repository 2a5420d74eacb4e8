"""A study: what a suite comes to is made once, and what is trained is what is reported."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from studies import plan_of, study_of

from benchmarks import cli
from benchmarks.plan import study as study_module
from benchmarks.plan.groups import WaitingRun
from benchmarks.results import RunResult
from benchmarks.search.greedy import find_path
from benchmarks.search.loop import search_groups
from benchmarks.store import DatasetFacts, Store

FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")
SUITE = """
name = "one"
datasets = ["digits"]
seeds = 6
{design}
[model]
variant = "mlp_small"
width = 8
[train]
epochs = 2
[data]
validation_fraction = 0.2
[factors]
"model.activation" = ["relu", "tanh"]
"model.dropout" = [0.0, 0.5]
[baseline]
"model.activation" = "relu"
"model.dropout" = 0.0
"""
CLAIM = """
[[claims]]
statement = "Tanh is better"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.01
"""
SEARCH = """
[search]
strategy = "random"
trials = 3
per = "cell"
seeds = [1000, 1001]
objective = "val_loss"
untuned = true
[search.space]
"train.learning_rate" = { log = [1e-4, 1e-1] }
"""
PATH = 'design = { name = "path", objective = "val_accuracy" }'
TEXTS = {
    "factorial": SUITE.format(design="") + CLAIM,
    "search": SUITE.format(design="") + SEARCH,
    "path": SUITE.format(design=PATH),
}


def result_of(run):
    """Made up of the run's levels and seed alone."""
    value = 0.8 + 0.1 * ("tanh" in run.cell.title) + 0.01 * np.random.default_rng(run.seed).normal()
    measured = {"test_accuracy": value, "val_accuracy": value, "val_loss": 1 - value}
    return RunResult("done", measured, {"train_loss": [1.0, 0.5]}, parameters=100)


@pytest.fixture
def ablate(tmp_path, monkeypatch, capsys):
    """Calls a command on the suite of a text, all runs of which are stored with made-up results."""

    def call(text, *words):
        path, runs_dir = tmp_path / "one.toml", tmp_path / "runs"
        path.write_text(text, encoding="utf-8")
        if not runs_dir.exists():
            fill(text, runs_dir)
        command = [str(path) if word == "SUITE" else word for word in words]
        monkeypatch.setattr(sys, "argv", ["ablate", *command, "--runs-dir", str(runs_dir)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().out

    return call


def fill(text, runs_dir):
    """Search, train and register a suite, with made-up results."""
    store = Store.create_or_open(runs_dir)

    def train(runs):
        for run in runs:
            store.record(run, result_of(run), {"cores": 1})

    plan = plan_of(text, store)
    search_groups(plan.open_groups, store, train)
    if plan.open_path:
        find_path(plan.open_path, store, train)
    plan = plan.renewed(store)
    train(plan.missing)
    store.register("one", text, plan.suite.seed_list, {"digits": FACTS})
    store.close()


@pytest.mark.parametrize(
    "command", ["plan SUITE", "run SUITE", "report one", "status one", "status", "runs one", "index"]
)
@pytest.mark.parametrize("kind", TEXTS)
def test_cells_are_expanded_once(kind, command, ablate, monkeypatch):
    """Each command makes the cells of a suite once, whether it has a search, a path or neither."""
    ablate(TEXTS[kind], "status")
    calls = []
    expand = study_module.expand_cells
    monkeypatch.setattr(study_module, "expand_cells", lambda suite: calls.append(suite.name) or expand(suite))
    code, out = ablate(TEXTS[kind], *command.split())
    assert code == 0, out
    assert calls == ["one"]


@pytest.mark.parametrize("kind", TEXTS)
def test_what_is_trained_is_what_is_reported(kind, tmp_path):
    """A suite as it was registered has the runs of the plan that was trained, in order, and none is missing."""
    fill(TEXTS[kind], tmp_path / "runs")
    store = Store.open(tmp_path / "runs")
    plan, study = plan_of(TEXTS[kind], store), study_of(store, "one")
    assert [run.key for run in plan.all_runs] == [run.key for run in study.all_runs]
    assert plan.missing == study.missing == []
    assert study.counts["done"] == len(study.all_runs) == (48 if kind == "search" else len(study.cells) * 6)
    assert not any(isinstance(run, WaitingRun) for run in study.runs)


def test_other_seeds_share_the_expansion(tmp_path):
    """A plan with other seeds has the same cells, not made anew; with the same seeds also the runs."""
    store = Store.create_or_open(tmp_path / "runs")
    plan = plan_of(TEXTS["factorial"], store)
    more = plan.with_seeds(range(9), (6, 9), store)
    assert more.cells is plan.cells
    assert (len(plan.runs), len(more.runs)) == (24, 36)
    assert more.analysis.looks == [6, 9]
    assert plan.renewed(store).runs is plan.runs
