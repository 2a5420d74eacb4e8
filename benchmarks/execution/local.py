"""Engine: trains stacks of runs one after another in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

import zoo
from benchmarks.arrays import Array
from benchmarks.data.dataset import Dataset
from benchmarks.data.standardization import Standardization
from benchmarks.files import replaced
from benchmarks.plan.stacks import program_of, training_key
from benchmarks.results import RunResult, failure_of
from benchmarks.runs import Run
from benchmarks.settings.run import RunSettings
from benchmarks.training.checkpoints import CheckpointFile, States
from benchmarks.training.inputs import DatasetOnDevice
from benchmarks.training.parts import RunInputs
from benchmarks.training.program import HEADS, Program
from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.trainer import Trainer, TrainingStoppedError

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
        return cls(
            program.slots.values_of(slot),
            np.asarray(inputs.standardization.shift),
            np.asarray(inputs.standardization.scale),
            inputs.target_shift,
            inputs.target_scale,
        )

    def as_model(self, settings: RunSettings, dataset: Dataset) -> keras.Model:
        """The network with its weights, between raw inputs and, for a regression, the target's own unit.

        Raises:
            KeyError, ValueError: they are not those of a run with these settings on this dataset.
        """
        shape, head, model = dataset.input_shape, HEADS[dataset.task], settings.model
        if model.normalization == "batch":
            # Trained, it is the same network in Keras's own layers, which load without this package.
            model = model.changed(normalization_variance="biased")
        network = zoo.build_model(model, shape, dataset.num_classes, seed=0, head=head)
        for variable in network.variables:
            if keras.backend.is_float_dtype(variable.dtype):
                variable.assign(self.variables[variable.path])
        return zoo.with_standardization(
            network,
            self.shift,
            self.scale,
            target_shift=self.target_shift,
            target_scale=self.target_scale,
            raw_dtype=str(self.shift.dtype),
        )

    def write(self, path: Path) -> None:
        """Write them as an `.npz` file, in place of one that is there."""
        named: dict[str, Any] = {f"variables/{name}": value for name, value in self.variables.items()}
        named |= {name: value for name, value in vars(self).items() if name != "variables"}
        with replaced(path) as file:
            np.savez(file, **named)

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


@dataclass(frozen=True)
class _Data:
    """A dataset in use."""

    name: str
    dataset: Dataset
    on_device: DatasetOnDevice
    fitted: dict[Any, Standardization] = field(default_factory=dict)
    """The standardizations that were fitted to it so far."""


class Engine:
    """Trains stacks one after another, and keeps what one leaves for the next: data, program, standardizations.

    Args:
        open_dataset: gives a dataset by its name in the suite.
        stopwatch: is told where the time goes.
        on_trained: is given the weights of each run that is done; an error in it fails the runs of the stack.
        most_bytes: inputs of a dataset that take more than this are streamed.
        should_stop: is asked from time to time.
        states: where runs that end before their schedule leave their state, and longer ones of the same training take
            it up.
    """

    def __init__(
        self,
        open_dataset: Callable[[str], Dataset],
        stopwatch: Stopwatch | None = None,
        on_trained: OnTrained | None = None,
        most_bytes: float = math.inf,
        should_stop: Callable[[], bool] = lambda: False,
        states: States | None = None,
    ):
        self.stopwatch = stopwatch or Stopwatch()
        self._open_dataset = open_dataset
        self._on_trained = on_trained
        self._most_bytes = most_bytes
        self._should_stop = should_stop
        self._states = states
        self._data: _Data | None = None
        self._program: tuple[tuple[str, ...], Trainer | Exception] | None = None

    def train(
        self, stack: Mapping[int, Run], on_epoch: OnEpoch = lambda *_: None, checkpoint: CheckpointFile | None = None
    ) -> list[tuple[Run, RunResult]]:
        """Train the runs of a stack, which have one program.

        Args:
            stack: slot -> run.
            on_epoch: is told of every epoch.
            checkpoint: where the state is written, and taken up.

        Raises:
            TrainingStoppedError: it was asked to stop.
        """
        trainer = self._trainer_for(next(iter(stack.values())))
        if isinstance(trainer, Exception):
            return [(run, failure_of(trainer)) for run in stack.values()]
        epochs = next(iter(stack.values())).cell.settings.train.stop_after or trainer.epochs
        states = {slot: self._states.of(training_key(run)) for slot, run in stack.items()} if self._states else None
        pairs = {slot: (run.cell.settings, run.seed) for slot, run in stack.items()}

        def epoch_done(epoch: int) -> None:
            on_epoch(len(stack), epoch / epochs)

        def give(slot: int, inputs: RunInputs) -> None:
            if self._on_trained:
                self._on_trained(stack[slot], TrainedValues.of(trainer.program, slot, inputs))

        try:
            results = trainer.train_stack(pairs, epoch_done, checkpoint, give, states)
        except TrainingStoppedError:
            raise
        except Exception as error:  # whatever Keras makes of odd settings must not end the other runs
            results = {slot: failure_of(error) for slot in stack}
        return [(run, results[slot]) for slot, run in stack.items()]

    def _trainer_for(self, run: Run) -> Trainer | Exception:
        """The trainer of a run's program, or why there is none; the last one is kept."""
        program = program_of(run)
        if self._program is None or self._program[0] != program:
            self._program = None  # frees the memory of the last one before the next is made
            data = self._data_of(run.cell.dataset)
            try:
                made = Program(run.cell.settings, data.on_device, self.stopwatch)
                self._program = program, Trainer(made, data.dataset, data.fitted, self._should_stop)
            except Exception as error:  # as above
                self._program = program, error
        return self._program[1]

    def _data_of(self, name: str) -> _Data:
        """An open dataset; the last one is kept."""
        if self._data is None or self._data.name != name:
            self._data = None
            dataset = self._open_dataset(name)
            self._data = _Data(name, dataset, DatasetOnDevice.of(dataset, self._most_bytes))
        return self._data
