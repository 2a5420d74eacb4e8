"""Trains runs one program after another in this process."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from benchmarks.data.loading import Dataset
from benchmarks.design import Run
from benchmarks.execution.schedule import group_by_program, stacks
from benchmarks.training.program import DatasetOnDevice, Program
from benchmarks.training.results import RunResult
from benchmarks.training.trainer import Trainer, check_fit


class Observer(Protocol):
    """Is told how far the training has come."""

    def epoch_done(self, num_runs: int, share: float) -> None:
        """An epoch of `num_runs` runs ended: `share` of their training."""

    def run_done(self, run: Run, result: RunResult) -> None:
        """A run ended and is stored."""


def check_runs(runs: Iterable[Run], datasets: Mapping[str, Dataset]) -> None:
    """Refuse runs that do not fit their data, before anything is trained.

    Raises:
        SettingError: settings do not fit the size or kind of the data.
    """
    for group in group_by_program(runs):
        check_fit(group[0].cell.settings, datasets[group[0].dataset])


def train_runs(
    runs: Iterable[Run], datasets: Mapping[str, Dataset], observer: Observer
) -> Iterator[tuple[Run, RunResult]]:
    """Train runs and give each result as soon as it is there.

    Args:
        runs: what to train, in any order.
        datasets: name without version -> data in memory.
        observer: is told of every epoch.
    """
    on_device: dict[str, DatasetOnDevice] = {}
    for group in group_by_program(runs):
        dataset = datasets[group[0].dataset]
        if dataset.name not in on_device:
            on_device = {dataset.name: DatasetOnDevice.of(dataset)}
        try:
            trainer = Trainer(Program(group[0].cell.settings, dataset, on_device[dataset.name]), dataset)
        except Exception as error:  # whatever Keras makes of odd settings must not end the other runs
            yield from ((run, _failed(error)) for run in group)
            continue
        for stack in stacks(group, trainer.program.stack_size):
            yield from _train_stack(trainer, stack, observer)


def _train_stack(trainer: Trainer, stack: dict[int, Run], observer: Observer) -> list[tuple[Run, RunResult]]:
    epochs = trainer.program.settings.train.epochs
    pairs = {slot: (run.cell.settings, run.seed) for slot, run in stack.items()}
    try:
        results = trainer.train_stack(pairs, lambda epoch: observer.epoch_done(len(stack), epoch / epochs))
    except Exception as error:  # as above
        results = {slot: _failed(error) for slot in stack}
    return [(run, results[slot]) for slot, run in stack.items()]


def _failed(error: Exception) -> RunResult:
    summary = str(error).strip().splitlines() or [""]
    message = f"{type(error).__name__}: {summary[0]}"
    return RunResult("failed", message=message, traceback="".join(traceback.format_exception(error)))
