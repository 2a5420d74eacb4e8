"""The runner against a plain loop of Keras `fit` on the same runs, in one session.

Both sides get the same models, data, splits, batch sizes and epochs, evaluate on validation every epoch and on the
test split at the end. Importing TensorFlow and reading the data are left out of both; building models and tracing are
counted on both sides. `fit` also trains on the examples left over by the last full batch, one step more an epoch.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

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
from benchmarks.training.results import RunResult
from zoo.settings import nearest


@dataclass(frozen=True)
class Work:
    """What is measured: a suite, and how many of its runs the slow side trains."""

    suite: str
    fit_runs: int
    """The `fit` loop's time a run hardly varies, so some of the runs tell it."""


_DIGITS = """
name = "speed_digits"
datasets = ["digits"]
seeds = 5
model = { variant = "mlp_small", dropout = 0.1 }
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

WORKS: dict[str, Work] = {
    "digits": Work(_DIGITS, 8),
    "mnist": Work(_MNIST, 2),
}
"""What `ablate speed` can measure."""


@dataclass(frozen=True)
class Comparison:
    """Seconds a run on both sides, one value a repetition, and the accuracies that they reach."""

    work: str
    num_runs: int
    fit_seconds: list[float] = field(default_factory=list)
    ablate_seconds: list[float] = field(default_factory=list)
    fit_accuracy: float = 0.0
    """Mean test accuracy of the runs that the `fit` loop trains."""
    ablate_accuracy: float = 0.0
    """Mean test accuracy of the same runs, trained by the runner."""
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """How many times the runs per second of the `fit` loop, by the medians."""
        return statistics.median(self.fit_seconds) / statistics.median(self.ablate_seconds)

    def as_json(self) -> dict[str, Any]:
        """Everything, with the ratio."""
        return {**asdict(self), "ratio": self.ratio}

    def as_text(self) -> str:
        """A few lines for people."""
        return "\n".join(
            (
                f"{self.work}: {self.num_runs} runs, medians of {len(self.fit_seconds)} repetitions (least to most)",
                f"  Keras fit loop  {_spread(self.fit_seconds)} s a run, test accuracy {self.fit_accuracy:.2%}",
                f"  ablate          {_spread(self.ablate_seconds)} s a run, test accuracy {self.ablate_accuracy:.2%}",
                f"  ratio           {self.ratio:.1f} x the runs per second",
                "  machine         " + ", ".join(f"{name} {value}" for name, value in self.machine.items()),
            )
        )


def compare(work: str, repeats: int, data_dir: Path, runs_dir: Path) -> Comparison:
    """Time both sides in turn, `repeats` times.

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
    step = len(runs) // WORKS[work].fit_runs
    compared = runs[::step]
    fit_seconds, ablate_seconds, fit_accuracies = [], [], []
    accuracy_of: dict[str, float] = {}
    for _ in range(repeats):
        start = time.perf_counter()
        accuracy_of = {run.key: result.metrics["test_accuracy"] for run, result in _with_ablate(runs, dataset)}
        ablate_seconds.append((time.perf_counter() - start) / len(runs))
        start = time.perf_counter()
        fit_accuracies = [_with_fit(run, dataset) for run in compared]
        fit_seconds.append((time.perf_counter() - start) / len(compared))
    return Comparison(
        work=work,
        num_runs=len(runs),
        fit_seconds=fit_seconds,
        ablate_seconds=ablate_seconds,
        fit_accuracy=statistics.fmean(fit_accuracies),
        ablate_accuracy=statistics.fmean(accuracy_of[run.key] for run in compared),
        machine=machine_facts(),
    )


def _with_ablate(runs: list[Run], dataset: Dataset) -> list[tuple[Run, RunResult]]:
    return list(train_runs(runs, {dataset.name: dataset}))


def _with_fit(run: Run, dataset: Dataset) -> float:
    """Train one run as a Keras user would, and give its test accuracy."""
    settings = run.cell.settings
    train, validation = split_train_validation(len(dataset.train), settings.data.validation_fraction, run.seed)
    standardization = fit_standardization(settings.data.standardize, dataset.train.inputs, train)

    def standardized(inputs: Any) -> Any:
        return (inputs.astype(np.float32) - standardization.shift) * standardization.scale

    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, run.seed)
    row = OPTIMIZERS[settings.train.optimizer]
    model.compile(
        optimizer=getattr(keras.optimizers, row.keras_class)(settings.train.learning_rate, **row.arguments),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    inputs = standardized(dataset.train.inputs)
    labels = dataset.train.labels
    model.fit(
        inputs[train],
        labels[train],
        batch_size=settings.train.batch_size,
        epochs=settings.train.epochs,
        validation_data=(inputs[validation], labels[validation]),
        validation_batch_size=EVALUATION_BATCH,
        verbose=0,
    )
    _, accuracy = model.evaluate(
        standardized(dataset.test.inputs), dataset.test.labels, batch_size=EVALUATION_BATCH, verbose=0
    )
    return float(accuracy)


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"
