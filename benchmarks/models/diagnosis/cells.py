"""Diagnosis of the cells of a suite, each before it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.arrays import Array, Tensor
from benchmarks.data.dataset import Dataset
from benchmarks.data.splits import batch_order
from benchmarks.models.diagnosis.gradients import GradientCheck, check_gradients
from benchmarks.models.diagnosis.networks import LossOfOutputs, in_double_precision, loss_after
from benchmarks.models.diagnosis.signals import Signal, measure_signal
from benchmarks.runs import Cell
from benchmarks.settings.run import RunSettings
from benchmarks.training.losses import Loss
from benchmarks.training.parts import RunInputs, check_fit
from benchmarks.training.program import HEADS
from benchmarks.training.trainer import run_inputs

CHECKED_EXAMPLES = 8
"""Examples of the batch that gradients are checked on: each tensor takes four passes, and few examples show as much."""

HIGH_LOSS = 2.0
"""How many times the loss of outputs that are all zero a network's first loss may be before it is called high."""

MANY_IDLE = 0.1
"""Share of idle units from which they are told."""


@dataclass(frozen=True)
class CellDiagnosis:
    """What was seen of one cell on the first batch of its first seed."""

    cell: Cell
    signal: Signal
    checks: tuple[GradientCheck, ...]
    loss_of_zeros: float
    """What outputs that are all zero would cost: equal probabilities for all classes, or the targets' mean."""
    steps: int
    loss_after_steps: float | None
    """Loss of the batch after so many steps on it alone; None where none were made."""

    @property
    def worst_check(self) -> GradientCheck:
        """The tensor of weights whose gradient agrees least with a difference quotient."""
        return max(self.checks, key=lambda check: np.inf if np.isnan(check.relative_error) else check.relative_error)

    @property
    def is_sound(self) -> bool:
        """Whether all gradients are right and what passes the network is finite."""
        return self.worst_check.is_right and bool(np.isfinite(self.signal.loss))

    @property
    def findings(self) -> list[str]:
        """What a person should know, in sentences; none where nothing stands out."""
        signal, worst = self.signal, self.worst_check
        found = []
        if not worst.is_right:
            found.append(f"the gradient of {worst.path} is off by {worst.relative_error:.2g} of its size")
        if not np.isfinite(signal.loss):
            found.append("the loss is not finite before any step")
        elif signal.loss > HIGH_LOSS * self.loss_of_zeros:
            found.append(
                f"the first loss is {signal.loss:.3g}; outputs that are all zero have {self.loss_of_zeros:.3g}"
            )
        first, last = signal.layers[0].name, signal.layers[-1].name
        if signal.finding != "arrives":
            found.append(
                f"the gradient {signal.finding}: at {first} it is {signal.gradient_ratio:.1e} of that at {last}"
            )
        if signal.idle_units >= MANY_IDLE:
            found.append(f"{signal.idle_units:.0%} of the hidden units give the same for every example")
        if self.loss_after_steps is not None and not self.loss_after_steps < self.loss_of_zeros / 2:
            found.append(
                f"{self.steps} steps on one batch do not learn it by heart: the loss is {self.loss_after_steps:.3g}"
            )
        return found

    def as_json(self) -> dict[str, Any]:
        """All of it, for a program."""
        return {
            "dataset": self.cell.dataset,
            "levels": dict(self.cell.levels),
            "loss": self.signal.loss,
            "loss_of_zeros": self.loss_of_zeros,
            "gradient_ratio": self.signal.gradient_ratio,
            "gradient": self.signal.finding,
            "idle_units": self.signal.idle_units,
            "steps": self.steps,
            "loss_after_steps": self.loss_after_steps,
            "layers": [vars(layer) for layer in self.signal.layers],
            "gradient_checks": [vars(check) | {"is_right": check.is_right} for check in self.checks],
            "findings": self.findings,
        }


def diagnose(
    cells: Sequence[Cell], datasets: Mapping[str, Dataset], seed: int, steps: int = 0
) -> Iterator[CellDiagnosis]:
    """Diagnose the new network of each cell, one after another.

    The seed decides the split, the weights and the batch, as in a run with it. On that one batch, each network is then
    trained for so many steps.

    Raises:
        SettingError: settings do not fit the data; nothing was diagnosed.
    """
    for cell in cells:
        check_fit(cell.settings, datasets[cell.dataset])
    for cell in cells:
        yield diagnose_cell(cell, datasets[cell.dataset], seed, steps)


def diagnose_cell(cell: Cell, dataset: Dataset, seed: int, steps: int = 0) -> CellDiagnosis:
    """Diagnose the new network of one cell; see `diagnose`."""
    settings = cell.settings
    prepared = run_inputs(settings, seed, dataset)
    indices = batch_order(prepared.train_indices, settings.train.batch_size, seed, 0)[0]
    inputs = _inputs(prepared, dataset, indices)
    loss = _batch_loss(settings, prepared, dataset, indices)
    model = zoo.build_model(
        settings.model, dataset.input_shape, dataset.num_classes, seed=seed, head=HEADS[dataset.task]
    )
    doubled = in_double_precision(model)
    few = _batch_loss(settings, prepared, dataset, indices[:CHECKED_EXAMPLES])
    return CellDiagnosis(
        cell=cell,
        signal=measure_signal(doubled, inputs, loss),
        checks=tuple(check_gradients(doubled, inputs[:CHECKED_EXAMPLES], few, seed)),
        loss_of_zeros=float(loss(tf.zeros((len(indices), *model.output_shape[1:]), tf.float64))),
        steps=steps,
        loss_after_steps=loss_after(model, inputs, loss, steps) if steps else None,
    )


def _batch_loss(settings: RunSettings, prepared: RunInputs, dataset: Dataset, indices: Array) -> LossOfOutputs:
    """The loss of a run on one batch, from its outputs in any precision."""
    loss = Loss(settings.train, dataset.task, dataset.num_classes, soft_targets=False)
    labels = dataset.train.labels[indices]
    if dataset.task == "regression":
        labels = (labels - prepared.target_shift) / prepared.target_scale
    targets = loss.targets(tf.constant(labels))

    def loss_of(outputs: Tensor) -> Tensor:
        cast = targets if targets.dtype.is_integer else tf.cast(targets, outputs.dtype)
        return loss.mean(outputs, cast, tf.cast(prepared.class_weights, outputs.dtype))

    return loss_of


def _inputs(prepared: RunInputs, dataset: Dataset, indices: Array) -> Array:
    """A batch as the model meets it, not augmented."""
    standardization = prepared.standardization
    centred = dataset.train.inputs[indices].astype(standardization.shift.dtype) - standardization.shift
    return (centred * standardization.scale).astype(keras.config.floatx())
