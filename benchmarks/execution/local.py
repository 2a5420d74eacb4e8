"""Trains runs one program after another in this process."""

from __future__ import annotations

import os
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.data.loading import Dataset
from benchmarks.data.standardization import Standardization
from benchmarks.design import Run
from benchmarks.execution.schedule import group_by_program, stacks
from benchmarks.training.checkpoints import CheckpointFile
from benchmarks.training.program import DatasetOnDevice, Program, RunInputs
from benchmarks.training.results import RunResult
from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.trainer import Trainer, check_fit

Array = np.ndarray[Any, Any]

OnEpoch = Callable[[int, float], None]
"""Is told of every epoch: how many runs are in the stack, and what share of their training is done."""


@dataclass(frozen=True)
class TrainedValues:
    """What training made of a run: with its settings and its dataset, all that its model needs to predict."""

    variables: dict[str, Array]
    """Path of each variable of the model -> its value; states of random generators are left out."""
    shift: Array
    scale: Array
    """The model takes (input - shift) * scale."""
    target_shift: float
    target_scale: float
    """A regression's output, times the scale, plus the shift, is in the target's unit."""

    @classmethod
    def of(cls, program: Program, slot: int, inputs: RunInputs) -> TrainedValues:
        """Take them from a program that has just trained and measured the run in one of its slots."""
        model = program.trained_model(slot, inputs)
        return cls(
            {each.path: np.asarray(each) for each in model.variables if keras.backend.is_float_dtype(each.dtype)},
            np.asarray(inputs.standardization.shift),
            np.asarray(inputs.standardization.scale),
            inputs.target_shift,
            inputs.target_scale,
        )

    def write(self, path: Path) -> None:
        """Write them as an `.npz` file, in place of one that is there, so that at each moment one whole file is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        named: dict[str, Any] = {f"variables/{name}": value for name, value in self.variables.items()}
        named |= {name: value for name, value in vars(self).items() if name != "variables"}
        made = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with made.open("wb") as file:
                np.savez(file, **named)
                file.flush()
                os.fsync(file.fileno())
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> TrainedValues:
        """Read what `write` wrote.

        Raises:
            OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile: it is not there, or damaged.
        """
        # Opened here, since NumPy leaves a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            named = {name: stored[name] for name in stored.files}
        variables = {
            name.removeprefix("variables/"): value for name, value in named.items() if name.startswith("variables/")
        }
        shift, scale = named["shift"], named["scale"]
        return cls(variables, shift, scale, float(named["target_shift"]), float(named["target_scale"]))


OnTrained = Callable[[Run, TrainedValues], None]
"""Is given what training made of each run that is done, before its result is given."""


def check_runs(runs: Iterable[Run], datasets: Mapping[str, Dataset]) -> None:
    """Refuse runs that do not fit their data, before anything is trained.

    Raises:
        SettingError: settings do not fit the size or kind of the data.
    """
    for dataset, settings in dict.fromkeys((run.cell.dataset, run.cell.settings) for run in runs):
        check_fit(settings, datasets[dataset])


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often runs under way are written down."""

    folder: Path
    interval: float
    """Seconds between two checkpoints of a stack."""


def train_runs(
    runs: Iterable[Run],
    datasets: Mapping[str, Dataset],
    on_epoch: OnEpoch = lambda *_: None,
    checkpoints: Checkpoints | None = None,
    stopwatch: Stopwatch | None = None,
    on_trained: OnTrained | None = None,
) -> Iterator[tuple[Run, RunResult]]:
    """Train runs and give each result as soon as it is there.

    Args:
        runs: what to train, in any order.
        datasets: name as in the suite -> data in memory.
        on_epoch: is told of every epoch.
        checkpoints: where runs under way are written down, and taken up again; a checkpoint is removed once all
            results of its stack were taken.
        stopwatch: is told where the time goes.
        on_trained: is given the weights of each run that is done; an error in it fails the runs of the stack.
    """
    stopwatch = stopwatch or Stopwatch()
    on_device: dict[str, DatasetOnDevice] = {}
    fitted: dict[str, dict[Any, Standardization]] = defaultdict(dict)
    for group in group_by_program(runs):
        cell = group[0].cell
        dataset = datasets[cell.dataset]
        if cell.dataset not in on_device:
            on_device = {cell.dataset: DatasetOnDevice.of(dataset)}
        try:
            program = Program(cell.settings, dataset, on_device[cell.dataset], stopwatch)
        except Exception as error:  # whatever Keras makes of odd settings must not end the other runs
            yield from ((run, _failed(error)) for run in group)
            continue
        trainer = Trainer(program, dataset, fitted[cell.dataset])
        for stack in stacks(group, program.stack_size):
            file = _checkpoint_file(checkpoints, stack)
            yield from _train_stack(trainer, stack, on_epoch, file, on_trained)
            if file:
                file.remove()


def _checkpoint_file(checkpoints: Checkpoints | None, stack: dict[int, Run]) -> CheckpointFile | None:
    if checkpoints is None:
        return None
    names = (f"{slot} {run.key}" for slot, run in sorted(stack.items()))
    return CheckpointFile(checkpoints.folder, names, checkpoints.interval)


def _train_stack(
    trainer: Trainer,
    stack: dict[int, Run],
    on_epoch: OnEpoch,
    checkpoint: CheckpointFile | None,
    on_trained: OnTrained | None,
) -> list[tuple[Run, RunResult]]:
    pairs = {slot: (run.cell.settings, run.seed) for slot, run in stack.items()}

    def epoch_done(epoch: int) -> None:
        on_epoch(len(stack), epoch / trainer.epochs)

    def give(slot: int, inputs: RunInputs) -> None:
        if on_trained:
            on_trained(stack[slot], TrainedValues.of(trainer.program, slot, inputs))

    try:
        results = trainer.train_stack(pairs, epoch_done, checkpoint, give)
    except Exception as error:  # as above
        results = {slot: _failed(error) for slot in stack}
    return [(run, results[slot]) for slot, run in stack.items()]


def _failed(error: Exception) -> RunResult:
    summary = str(error).strip().splitlines() or [""]
    message = f"{type(error).__name__}: {summary[0]}"
    return RunResult("failed", message=message, traceback="".join(traceback.format_exception(error)))
