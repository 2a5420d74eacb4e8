"""Trains runs one program after another in this process."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from benchmarks.data.loading import Dataset
from benchmarks.data.standardization import Standardization
from benchmarks.design import Run
from benchmarks.execution.schedule import group_by_program, stacks
from benchmarks.training.program import DatasetOnDevice, Program
from benchmarks.training.results import RunResult
from benchmarks.training.trainer import Trainer, check_fit

OnEpoch = Callable[[int, float], None]
"""Is told of every epoch: how many runs are in the stack, and what share of their training is done."""


def check_runs(runs: Iterable[Run], datasets: Mapping[str, Dataset]) -> None:
    """Refuse runs that do not fit their data, before anything is trained.

    Raises:
        SettingError: settings do not fit the size or kind of the data.
    """
    for group in group_by_program(runs):
        check_fit(group[0].cell.settings, datasets[group[0].cell.dataset])


def train_runs(
    runs: Iterable[Run], datasets: Mapping[str, Dataset], on_epoch: OnEpoch = lambda *_: None
) -> Iterator[tuple[Run, RunResult]]:
    """Train runs and give each result as soon as it is there.

    Args:
        runs: what to train, in any order.
        datasets: name as in the suite -> data in memory.
        on_epoch: is told of every epoch.
    """
    on_device: dict[str, DatasetOnDevice] = {}
    fitted: dict[str, dict[Any, Standardization]] = defaultdict(dict)
    for group in group_by_program(runs):
        cell = group[0].cell
        dataset = datasets[cell.dataset]
        if cell.dataset not in on_device:
            on_device = {cell.dataset: DatasetOnDevice.of(dataset)}
        try:
            program = Program(cell.settings, dataset, on_device[cell.dataset])
        except Exception as error:  # whatever Keras makes of odd settings must not end the other runs
            yield from ((run, _failed(error)) for run in group)
            continue
        trainer = Trainer(program, dataset, fitted[cell.dataset])
        for stack in stacks(group, program.stack_size):
            yield from _train_stack(trainer, stack, on_epoch)


def _train_stack(trainer: Trainer, stack: dict[int, Run], on_epoch: OnEpoch) -> list[tuple[Run, RunResult]]:
    epochs = trainer.program.settings.train.epochs
    pairs = {slot: (run.cell.settings, run.seed) for slot, run in stack.items()}
    try:
        results = trainer.train_stack(pairs, lambda epoch: on_epoch(len(stack), epoch / epochs))
    except Exception as error:  # as above
        results = {slot: _failed(error) for slot in stack}
    return [(run, results[slot]) for slot, run in stack.items()]


def _failed(error: Exception) -> RunResult:
    summary = str(error).strip().splitlines() or [""]
    message = f"{type(error).__name__}: {summary[0]}"
    return RunResult("failed", message=message, traceback="".join(traceback.format_exception(error)))
