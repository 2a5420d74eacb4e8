"""The runner against a plain loop of Keras `fit` on the same runs, in one session.

All sides get the same networks, data, splits, batch sizes and epochs, evaluate on validation every epoch and on the
test split at the end. Importing TensorFlow and reading the data are left out of all; building models and tracing
are counted. The peers also train on the examples left over by the last full batch, one step more an epoch.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf

import zoo
from benchmarks.data.catalog import find_dataset
from benchmarks.data.loading import Dataset, load, prepare
from benchmarks.data.splits import split_train_validation
from benchmarks.data.standardization import fit_standardization
from benchmarks.design import Run, expand_cells, expand_runs
from benchmarks.errors import UserError
from benchmarks.execution.local import train_runs
from benchmarks.execution.machine import machine_facts
from benchmarks.suite import parse_suite
from benchmarks.training.optimizers import OPTIMIZERS
from benchmarks.training.program import EVALUATION_BATCH
from benchmarks.training.stopwatch import Stopwatch
from zoo.settings import nearest


@dataclass(frozen=True)
class Work:
    """What is measured: a suite, and how many of its runs the slow sides train."""

    summary: str
    suite: str
    peer_runs: int
    """A peer's time a run hardly varies, so some of the runs tell it."""


_DIGITS = """
name = "speed_digits"
datasets = ["digits"]
seeds = 5
model = { variant = "mlp_small", normalization = "batch", dropout = 0.1 }
train = { epochs = 30, batch_size = 64, optimizer = "adam", learning_rate = 1e-3 }
data = { standardize = "per_feature", validation_fraction = 0.1 }
[factors]
"model.activation" = ["relu", "tanh", "elu", "gelu"]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""

_MNIST = """
name = "speed_mnist"
datasets = ["mnist"]
seeds = 3
model = { variant = "mlp_small", width = 128 }
train = { epochs = 5, batch_size = 128, optimizer = "adam", learning_rate = 1e-3 }
data = { standardize = "per_feature", validation_fraction = 0.1 }
[factors]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""

_SHAPES = """
name = "speed_shapes"
datasets = ["shapes"]
seeds = 1
model = { variant = "resnet8" }
train = { epochs = 2, batch_size = 128, optimizer = "momentum", learning_rate = 0.05 }
data = { standardize = "per_channel", validation_fraction = 0.04 }
[factors]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""

WORKS: dict[str, Work] = {
    "digits": Work("perceptrons 64-64 with batch normalization and dropout, 30 epochs", _DIGITS, 4),
    "mnist": Work("perceptrons 128-128, 5 epochs", _MNIST, 2),
    "shapes": Work("resnet8 on 7,680 images of 32x32 pixels, 2 epochs", _SHAPES, 1),
}
"""What `ablate speed` can measure."""

OURS = "ablate"


@dataclass(frozen=True)
class Side:
    """One of the programs that are compared."""

    seconds: list[float] = field(default_factory=list)
    """Seconds a run, one value a repetition."""
    accuracies: list[float] = field(default_factory=list)
    """Test accuracies of the runs that all sides train, from the last repetition."""


@dataclass(frozen=True)
class Comparison:
    """What was measured."""

    work: str
    num_runs: int
    sides: dict[str, Side]
    """Name -> what it took; the runner itself is "ablate"."""
    first_step_seconds: float
    """From the start of this process to the end of the runner's first call of training steps."""
    phases: dict[str, float]
    """Seconds a run of the runner's phases, in its last repetition."""
    step_rate: float
    """GFLOP/s of the runner's steps: three times the forward pass's multiply-adds, two operations each."""
    matrix_rate: float
    """GFLOP/s of a float32 product of two 2048 x 2048 matrices on this machine."""
    machine: dict[str, Any]

    @property
    def ratios(self) -> dict[str, float]:
        """How many times the runs per second of each peer, by the medians."""
        ours = statistics.median(self.sides[OURS].seconds)
        return {name: statistics.median(side.seconds) / ours for name, side in self.sides.items() if name != OURS}

    def as_json(self) -> dict[str, Any]:
        """Everything, with the ratios."""
        return {**asdict(self), "ratios": self.ratios}

    def as_text(self) -> str:
        """Some lines for people."""
        repeats = len(self.sides[OURS].seconds)
        lines = [f"{self.work}: {WORKS[self.work].summary}; {self.num_runs} runs, medians of {repeats} (least to most)"]
        for name, side in self.sides.items():
            ratio = f", {self.ratios[name]:.1f} x ours" if name in self.ratios else ""
            accuracy = statistics.fmean(side.accuracies)
            lines.append(f"  {name:15} {_spread(side.seconds)} s a run{ratio}; test accuracy {accuracy:.2%}")
        told = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in self.phases.items())
        lines.append(f"  phases          {told} ms a run")
        lines.append(f"  first step      {self.first_step_seconds:.1f} s after the command, the peers' turns left out")
        share = self.step_rate / self.matrix_rate
        lines.append(
            f"  steady step     {self.step_rate:.1f} GFLOP/s, {share:.0%} of a matrix product's {self.matrix_rate:.0f}"
        )
        lines.append("  machine         " + ", ".join(f"{name} {value}" for name, value in self.machine.items()))
        return "\n".join(lines)


def compare(work: str, repeats: int, data_dir: Path, runs_dir: Path) -> Comparison:
    """Time all sides in turn, `repeats` times.

    Raises:
        UserError: no such work, or its dataset cannot be had.
    """
    if work not in WORKS:
        closest = nearest(work, WORKS)
        raise UserError(
            f"WORK: nothing of this name to measure\n  given:   {work}\n  allowed: {', '.join(WORKS)}"
            + (f"\n  nearest: {closest}" if closest else "")
        )
    suite = parse_suite(WORKS[work].suite, work)
    reference = find_dataset(suite.datasets[0], data_dir, runs_dir)
    prepare(reference)
    dataset = load(reference)
    runs = expand_runs(expand_cells(suite), suite.seed_list, {reference.name: reference.version})
    compared = runs[:: len(runs) // WORKS[work].peer_runs]
    sides = {OURS: Side(), **{name: Side() for name in _PEERS}}
    first_step = 0.0
    for _ in range(repeats):
        stopwatch = Stopwatch()
        start = time.perf_counter()
        results = {run.key: result for run, result in train_runs(runs, {dataset.name: dataset}, stopwatch=stopwatch)}
        _note(sides[OURS], start, len(runs), [results[run.key].metrics["test_accuracy"] for run in compared])
        first_step = first_step or _since_process_start(stopwatch)
        for name, train in _PEERS.items():
            start = time.perf_counter()
            _note(sides[name], start, len(compared), [train(run, dataset) for run in compared])
    return Comparison(
        work=work,
        num_runs=len(runs),
        sides=sides,
        first_step_seconds=first_step,
        phases={name: seconds / len(runs) for name, seconds in stopwatch.totals().items()},
        step_rate=_training_operations(runs, dataset) / stopwatch.totals()["step"] / 1e9,
        matrix_rate=_matrix_rate(),
        machine=machine_facts(),
    )


def _note(side: Side, start: float, num_runs: int, accuracies: list[float]) -> None:
    side.seconds.append((time.perf_counter() - start) / num_runs)
    side.accuracies[:] = accuracies


def _since_process_start(stopwatch: Stopwatch) -> float:
    ended = stopwatch.first("step")
    assert ended is not None
    since_then = time.perf_counter() - ended
    return time.time() - float(psutil.Process().create_time()) - since_then


def _training_operations(runs: list[Run], dataset: Dataset) -> float:
    """Floating-point operations of all runs' steps: the backward pass takes twice the forward pass's."""
    total = 0.0
    for run in runs:
        settings = run.cell.settings
        model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, run.seed)
        train, _ = split_train_validation(len(dataset.train), settings.data.validation_fraction, run.seed)
        batch_size = settings.train.batch_size
        examples = settings.train.epochs * (len(train) // batch_size) * batch_size
        total += 2 * 3 * zoo.audit_model(model).macs * examples
    return total


def _matrix_rate() -> float:
    """GFLOP/s of a float32 matrix product, the best of ten."""
    size = 2048
    matrix = tf.random.stateless_normal([size, size], seed=[0, 0])
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


def standardized_parts(run: Run, dataset: Dataset) -> dict[str, tuple[Any, Any]]:
    """Inputs and labels of the parts "train", "validation" and "test" of a run, as a user would prepare them."""
    data = run.cell.settings.data
    train, validation = split_train_validation(len(dataset.train), data.validation_fraction, run.seed)
    standardization = fit_standardization(data.standardize, dataset.train.inputs, train)

    def standardized(inputs: Any) -> Any:
        return (inputs.astype(np.float32) - standardization.shift) * standardization.scale

    inputs, labels = standardized(dataset.train.inputs), dataset.train.labels
    return {
        "train": (inputs[train], labels[train]),
        "validation": (inputs[validation], labels[validation]),
        "test": (standardized(dataset.test.inputs), dataset.test.labels),
    }


def _with_fit(run: Run, dataset: Dataset) -> float:
    """Train one run as a Keras user would, and give its test accuracy."""
    settings, parts = run.cell.settings, standardized_parts(run, dataset)
    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, run.seed)
    row = OPTIMIZERS[settings.train.optimizer]
    model.compile(
        optimizer=getattr(keras.optimizers, row.keras_class)(
            settings.train.learning_rate, **row.arguments, **dict(row.coefficients.values())
        ),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        *parts["train"],
        batch_size=settings.train.batch_size,
        epochs=settings.train.epochs,
        validation_data=parts["validation"],
        validation_batch_size=EVALUATION_BATCH,
        verbose=0,
    )
    _, accuracy = model.evaluate(*parts["test"], batch_size=EVALUATION_BATCH, verbose=0)
    return float(accuracy)


_PEERS: dict[str, Callable[[Run, Dataset], float]] = {"Keras fit loop": _with_fit}


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"
