"""The report's section on a search, from a training that is made up: what it says follows from known scores."""

from __future__ import annotations

import csv
import io
import math
import re

import pytest

from benchmarks.design import expand_cells
from benchmarks.plan import registered_runs
from benchmarks.report.writing import write_report
from benchmarks.search.groups import groups_of, untuned_runs
from benchmarks.search.loop import search_groups
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite import parse_suite
from benchmarks.training.results import RunResult

VERSIONS = {"digits": "1.0.0", "diabetes": "1.0.0"}
FACTS = {
    "digits": DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "split", "classification"),
    "diabetes": DatasetFacts("1.0.0", 354, 88, 1, (10,), "split", "regression", mean_rmse=80.0),
}
BEST_RATE = {"relu": 1e-2, "tanh": 3e-3}

SUITE = """
name = "searched"
datasets = {datasets}
seeds = {seeds}
[model]
variant = "mlp_small"
[train]
epochs = 9
learning_rate = 0.001
[factors]
"model.activation" = ["relu", "tanh"]
{more_factors}
[search]
strategy = "{strategy}"
trials = {trials}
objective = "{objective}"
untuned = {untuned}
seeds = [1000, 1001]
[search.space]
"train.learning_rate" = {{ log = [1e-4, 1e-1] }}
"train.weight_decay" = {{ log = [1e-6, 1e-2], or = 0 }}
"train.optimizer" = ["momentum", "adam"]
"train.momentum" = {{ linear = [0.8, 0.99], when = {{ "train.optimizer" = "momentum" }} }}
"""


def text_of(**changes):
    """The text of a suite."""
    given = {"datasets": '["digits"]', "seeds": 6, "more_factors": "", "strategy": "random", "trials": 12}
    return SUITE.format(**given | {"objective": "val_accuracy", "untuned": "true"} | changes)


def accuracy(run):
    """What the made-up training reaches: the nearer to the best learning rate, the better; seeds differ a little."""
    train = run.cell.settings.train
    distance = math.log10(train.learning_rate / BEST_RATE[run.cell.settings.model.activation])
    momentum = 0.0 if train.optimizer == "adam" else (train.momentum - 0.9) ** 2
    return 0.9 - 0.05 * distance**2 - momentum - train.weight_decay + 0.002 * math.sin(37 * run.seed + 50 * distance)


def result_of(run):
    """The outcome of a run."""
    train, seed = run.cell.settings.train, run.seed
    if train.learning_rate > 0.08:
        return RunResult("diverged", {}, {"train_loss": [1.0]}, 9034, 0.25, message="made up")
    good = accuracy(run)
    epochs = train.stop_after or train.epochs
    if run.dataset == "diabetes":
        metrics = {"val_loss": 10 * (1 - good), "val_rmse": 100 * (1 - good), "test_rmse": 100 * (1 - good) + seed % 3}
    else:
        metrics = {"val_accuracy": good, "val_loss": 1 - good, "test_accuracy": good - 0.01 + 0.001 * (seed % 3)}
    return RunResult("done", metrics, {"train_loss": [1.0] * epochs}, 9034, 0.5 * epochs)


class Study:
    """A suite in a store of its own, whose search and runs are made up."""

    def __init__(self, folder, text, *, searches=True, reports=True):
        self.folder, self.suite = folder, parse_suite(text, "searched.toml")
        self.store = Store.create_or_open(folder)
        facts = {name: FACTS[name] for name in self.suite.datasets}
        self.store.register(self.suite.name, text, self.suite.seed_list, facts)
        cells = expand_cells(self.suite)
        if searches:
            search_groups(groups_of(self.suite, cells, VERSIONS), self.store, self.train)
        self.registration = self.store.registration(self.suite.name)
        self.reported = registered_runs(self.registration)
        self.untuned = untuned_runs(self.suite, cells, self.suite.seed_list, VERSIONS)
        if reports:
            self.train(self.reported + self.untuned)
        write_report(self.suite, self.registration, self.store, folder / "report")

    def train(self, runs):
        """Store what is made up of these runs."""
        for run in runs:
            self.store.record(run, result_of(run), {"cores": 1})

    def read(self, name):
        """A file of the report."""
        return (self.folder / "report" / name).read_text(encoding="utf-8")

    def rows(self, name):
        """The rows of a CSV file of the report."""
        return list(csv.DictReader(io.StringIO(self.read(name))))

    def section(self):
        """The page's section on the search."""
        return re.search(r'<section id="search">.*?</section>', self.read("report.html"), re.DOTALL)[0]
