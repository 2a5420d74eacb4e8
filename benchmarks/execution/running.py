"""Runs a suite: from plan and store to every run trained and stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.data.dataset import Dataset
from benchmarks.design import Run
from benchmarks.errors import naming_file
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.schedule import check_runs, least_stacks
from benchmarks.execution.workers import Workers, resources
from benchmarks.plan import Plan
from benchmarks.store import DatasetFacts, Store
from benchmarks.training.checkpoints import Checkpoints
from benchmarks.training.metrics import rmse_of_the_mean
from benchmarks.training.results import RunResult
from benchmarks.training.stopwatch import Stopwatch


class Observer(Protocol):
    """Is told how far the training has come."""

    def moved(self, runs_under_way: float) -> None:
        """The stacks under way have so many runs' worth of training behind."""

    def run_done(self, run: Run, result: RunResult) -> None:
        """A run ended and is stored."""


@dataclass(frozen=True)
class Options:
    """How the runs are trained; nothing of it changes a result by more than its last bit."""

    workers: int | None = None
    """Worker processes; by default what fits cores and memory."""
    threads: int | None = None
    """Threads of each worker; by default the cores divided among the workers that the plan can keep busy."""
    dataset_bytes: float | None = None
    """Inputs of a dataset that take more are streamed; by default a quarter of a worker's share of the memory."""
    checkpoint_every: float = 60.0
    """Seconds between two checkpoints of runs under way; 0: after every look at the clock."""
    keep_weights: bool = False
    """Whether the weights of each run that is done are kept beside the store."""


def run_missing(
    plan: Plan, store: Store, observer: Observer, options: Options | None = None, stopwatch: Stopwatch | None = None
) -> None:
    """Train every run of the plan that the store does not hold, and store each at once.

    Args:
        plan: what to train.
        store: where the results go; checkpoints of runs under way lie beside it.
        observer: is told how far the training has come.
        options: how.
        stopwatch: is told where the time goes.

    Raises:
        DatasetError: a dataset cannot be had; nothing was trained.
        SettingError: settings do not fit a dataset; nothing was trained.
    """
    options = options or Options()
    runs_dir = store.path.parent
    available = resources(
        least_stacks(plan.runs),
        least_stacks(plan.missing),
        options.workers,
        options.threads,
        options.dataset_bytes,
    )
    checkpoints = Checkpoints(runs_dir.resolve() / ".checkpoints", options.checkpoint_every)
    with Workers(
        available, plan.references, runs_dir, checkpoints, keep_weights=options.keep_weights, stopwatch=stopwatch
    ) as workers:
        with naming_file(plan.path):
            datasets = workers.open_datasets()
            check_runs(plan.missing, datasets)
        facts = {name: facts_of(data) for name, data in datasets.items()}
        store.register(plan.suite.name, plan.text, list(plan.seeds), facts)
        machine = machine_facts() | {"workers": available.workers, "threads": available.threads}
        for run, result in workers.train(plan.missing, datasets, observer.moved):
            store.record(run, result, machine)
            observer.run_done(run, result)


def facts_of(dataset: Dataset) -> DatasetFacts:
    """What the store keeps of a dataset."""
    return DatasetFacts(
        version=dataset.version,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        input_shape=dataset.input_shape,
        test_split=dataset.test_split,
        task=dataset.task,
        mean_rmse=rmse_of_the_mean(dataset.train.labels, dataset.test.labels) if dataset.task == "regression" else None,
    )
