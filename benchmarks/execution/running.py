"""Runs a suite: from plan and store to every run trained and stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.loading import Dataset, load, prepare
from benchmarks.design import Run
from benchmarks.errors import naming_file
from benchmarks.execution.local import check_runs, train_runs
from benchmarks.execution.machine import machine_facts
from benchmarks.plan import Plan
from benchmarks.store import DatasetFacts, Store
from benchmarks.training.results import RunResult


class Observer(Protocol):
    """Is told how far the training has come."""

    def epoch_done(self, num_runs: int, share: float) -> None:
        """An epoch of `num_runs` runs ended: `share` of their training is done."""

    def run_done(self, run: Run, result: RunResult) -> None:
        """A run ended and is stored."""


def run_missing(plan: Plan, store: Store, observer: Observer) -> None:
    """Train every run of the plan that the store does not hold, and store each at once.

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
    for run, result in train_runs(plan.missing, datasets, observer.epoch_done):
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
    )
