"""Runs a suite: from plan and store to every run trained and stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.loading import Dataset, load, prepare
from benchmarks.design import Run
from benchmarks.errors import naming_file
from benchmarks.execution.local import Checkpoints, TrainedValues, check_runs, train_runs
from benchmarks.execution.machine import machine_facts
from benchmarks.plan import Plan, weights_file
from benchmarks.store import DatasetFacts, Store
from benchmarks.training.metrics import rmse_of_the_mean
from benchmarks.training.results import RunResult
from benchmarks.training.stopwatch import Stopwatch


class Observer(Protocol):
    """Is told how far the training has come."""

    def epoch_done(self, num_runs: int, share: float) -> None:
        """An epoch of `num_runs` runs ended: `share` of their training is done."""

    def run_done(self, run: Run, result: RunResult) -> None:
        """A run ended and is stored."""


CHECKPOINT_SECONDS = 60.0


def run_missing(
    plan: Plan,
    store: Store,
    observer: Observer,
    checkpoint_every: float = CHECKPOINT_SECONDS,
    *,
    keep_weights: bool = False,
    stopwatch: Stopwatch | None = None,
) -> None:
    """Train every run of the plan that the store does not hold, and store each at once.

    Args:
        plan: what to train.
        store: where the results go; checkpoints of runs under way lie beside it.
        observer: is told how far the training has come.
        checkpoint_every: seconds between two checkpoints of runs under way; 0: after every look at the clock.
        keep_weights: whether the weights of each run that is done are kept beside the store.
        stopwatch: is told where the time goes.

    Raises:
        DatasetError: a dataset cannot be had; nothing was trained.
        SettingError: settings do not fit a dataset; nothing was trained.
    """
    with naming_file(plan.path):
        datasets = load_datasets(plan.references)
        check_runs(plan.missing, datasets)
    store.register(
        plan.suite.name, plan.text, list(plan.seeds), {name: facts_of(data) for name, data in datasets.items()}
    )
    machine = machine_facts()
    checkpoints = Checkpoints(store.path.parent / ".checkpoints", checkpoint_every)

    def keep(run: Run, values: TrainedValues) -> None:
        values.write(weights_file(store.path.parent, run.key))

    on_trained = keep if keep_weights else None
    for run, result in train_runs(plan.missing, datasets, observer.epoch_done, checkpoints, stopwatch, on_trained):
        store.record(run, result, machine)
        observer.run_done(run, result)


def load_datasets(references: Mapping[str, DatasetReference]) -> dict[str, Dataset]:
    """Prepare and read the datasets, under the names that the suite gives them."""
    for reference in references.values():
        prepare(reference)
    return {name: load(reference) for name, reference in references.items()}


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
