"""A small engine without TensorFlow, for what hands out the work: it begins in a moment, and compiles nothing.

It trains a softmax regression with momentum, through the trainer that the real engine has: histories, checkpoints,
states, early stopping and divergence are real. A cell's model settings choose where its weights begin and which inputs
are dropped, so that cells differ; optimizers, regularizers and augmentation it does not know.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.data.splits import random_stream
from benchmarks.execution import worker
from benchmarks.plan.stacks import program_of, training_key
from benchmarks.results import failure_of
from benchmarks.settings.run import canonical_json
from benchmarks.training.parts import stack_size
from benchmarks.training.trainer import Trainer, TrainingStoppedError

RATE = 100.0
"""What a learning rate is multiplied with: one that suits Adam is small for plain gradients."""

MOMENTUM = 0.5

_CALLS = "import numpy_engine, undrawn; numpy_engine.use(); undrawn.leave_plots_out()"

ABLATE = [sys.executable, "-c", f"{_CALLS}; from benchmarks.cli import main; main()"]
"""The command line with workers that have this engine, and reports without their plots."""

NAME = "numpy_engine:NumpyEngine"


def use():
    """Give this engine to all workers that this process will start."""
    worker.ENGINE = NAME


class Slots:
    """The state of the runs of a stack: name -> values, each with a leading slot axis."""

    def __init__(self):
        self.values = {}

    def keep_best(self, slots):
        best = self.values.setdefault("best", self.values["weights"].copy())
        best[slots] = self.values["weights"][slots]

    def restore_best(self, slots):
        if "best" in self.values:
            self.values["weights"][slots] = self.values["best"][slots]

    def state(self):
        return {name: value.copy() for name, value in self.values.items()}

    def restore(self, state):
        self.values = {name: value.copy() for name, value in state.items()}

    def state_of(self, slot):
        return {name: value[slot] for name, value in self.values.items()}

    def restore_each(self, states, leading):
        del leading
        self.values = {
            name: np.stack([each.get(name, each["weights"]) for each in states]) for name in set().union(*states)
        }


class NumpyProgram:
    """What `benchmarks.training.program.Program` is to the trainer."""

    def __init__(self, settings, dataset, stopwatch):
        self.settings, self.stopwatch = settings, stopwatch
        self.stack_size = stack_size(settings, dataset)
        self.macs = int(np.prod(dataset.input_shape)) * dataset.num_classes
        self.parameters = self.macs + dataset.num_classes
        self.slots = Slots()
        with stopwatch.phase("build"):
            self._train, self._test = (
                split.inputs.reshape(len(split), -1).astype(np.float32) for split in (dataset.train, dataset.test)
            )
            self._labels = np.eye(dataset.num_classes, dtype=np.float32)[dataset.train.labels]
        with stopwatch.phase("trace"):
            pass

    def start(self, inputs):
        """Set up a stack; one entry a slot."""
        shape = (self._train.shape[1] + 1, self._labels.shape[1])
        streams = [random_stream(each.seed, canonical_json(each.settings.identity()["model"])) for each in inputs]
        weights = np.stack([stream.normal(0, 0.01, shape).astype(np.float32) for stream in streams])
        dropped = [stream.random(shape[0] - 1) < 0.05 for stream in streams]
        self._rates = np.array(
            [each.settings.train.coefficients()["learning_rate"] * RATE for each in inputs], np.float32
        )
        scales = [
            np.where(drop, 0, each.standardization.scale.ravel()) for drop, each in zip(dropped, inputs, strict=True)
        ]
        shifts = [each.standardization.shift.ravel() for each in inputs]
        self._train_inputs, self._test_inputs = (
            np.stack([_with_ones((split - shift) * scale) for shift, scale in zip(shifts, scales, strict=True)])
            for split in (self._train, self._test)
        )
        self.slots.values = {
            "weights": weights,
            "velocity": np.zeros_like(weights),
            "alive": np.ones(len(inputs), bool),
        }

    def train(self, order, factors):
        """Take steps: indices (steps, slots, batch) and factors of the rate (steps, slots) -> losses (steps, slots)."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of runs that diverge
            return np.stack([self._step(*each) for each in zip(order, factors, strict=True)])

    def outputs_on_train_split(self, indices):
        """Examples of the training split, (slots, n) -> (slots, n, classes)."""
        return self._inputs(indices) @ self.slots.values["weights"]

    def outputs_on_test_split(self):
        """The whole test split: (slots, n, classes)."""
        return self._test_inputs @ self.slots.values["weights"]

    def place_not_finite(self, slot, indices):
        del slot, indices
        return "first in the output of head"

    def _step(self, indices, factors):
        values, inputs, targets = self.slots.values, self._inputs(indices), self._labels[indices]
        outputs = inputs @ values["weights"]
        outputs -= outputs.max(axis=2, keepdims=True)
        shares = np.exp(outputs)
        sums = shares.sum(axis=2, keepdims=True)
        losses = (np.log(sums[..., 0]) - (outputs * targets).sum(axis=2)).mean(axis=1, dtype=np.float32)
        gradient = inputs.swapaxes(1, 2) @ (shares / sums - targets) / np.float32(indices.shape[1])
        velocity = MOMENTUM * values["velocity"] - (self._rates * factors)[:, None, None].astype(np.float32) * gradient
        values["alive"] &= np.isfinite(losses)
        alive = values["alive"][:, None, None]
        values["velocity"] = np.where(alive, velocity, values["velocity"]).astype(np.float32)
        values["weights"] = np.where(alive, values["weights"] + velocity, values["weights"]).astype(np.float32)
        return losses

    def _inputs(self, indices):
        """Examples of the training split, indices (slots, n) -> (slots, n, features + 1)."""
        return self._train_inputs[np.arange(self.stack_size)[:, None], indices]


def _with_ones(inputs):
    """Inputs with a one for the bias."""
    return np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1).astype(np.float32)


class NumpyEngine:
    """What `benchmarks.execution.local.Engine` is to a worker."""

    program = NumpyProgram

    def __init__(self, orders, stopwatch, should_stop):
        assert not orders.keep_weights, "the NumPy engine has no weights to keep"
        threadpool_limits(orders.resources.threads)
        self._orders, self._stopwatch, self._should_stop = orders, stopwatch, should_stop
        self._made = (None, None)

    def train(self, stack, on_epoch, checkpoint):
        """Train the runs of a stack: run and result of each."""
        states, first = self._orders.states, next(iter(stack.values()))
        trainer = self._trainer_for(first)
        epochs = first.cell.settings.train.stop_after or trainer.epochs
        try:
            results = trainer.train_stack(
                {slot: (run.cell.settings, run.seed) for slot, run in stack.items()},
                lambda epoch: on_epoch(len(stack), epoch / epochs),
                checkpoint,
                states={slot: states.of(training_key(run)) for slot, run in stack.items()} if states else None,
            )
        except TrainingStoppedError:
            raise
        except Exception as error:
            results = {slot: failure_of(error) for slot in stack}
        return [(run, results[slot]) for slot, run in stack.items()]

    def _trainer_for(self, run):
        program = program_of(run)
        if self._made[0] != program:
            dataset = worker.opened(self._orders, run.cell.dataset)
            made = self.program(run.cell.settings, dataset, self._stopwatch)
            self._made = program, Trainer(made, dataset, should_stop=self._should_stop)
        return self._made[1]


class SlowProgram(NumpyProgram):
    """Takes longer for each call, once an epoch is over, than a pool waits for a process that it ends."""

    seconds = 5.0

    def train(self, order, factors):
        begun = self.slots.values["velocity"].any()
        losses = super().train(order, factors)
        if begun:
            time.sleep(self.seconds)
        return losses


class SlowEngine(NumpyEngine):
    """The same engine with such a program."""

    program = SlowProgram


OBSTACLE = Path("in_the_way")
"""Of the folder in which the command is called."""


class FailingProgram(NumpyProgram):
    """Raises as long as a file is there."""

    def start(self, inputs):
        if OBSTACLE.exists():
            raise FileExistsError(OBSTACLE)
        super().start(inputs)


class FailingEngine(NumpyEngine):
    """The same engine with such a program."""

    program = FailingProgram
