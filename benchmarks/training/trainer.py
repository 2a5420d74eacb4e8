"""Trains a stack of runs from first to last epoch and measures them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.data.loading import Dataset
from benchmarks.data.splits import Indices, batch_order, split_train_validation, validation_size
from benchmarks.data.standardization import Standardization, fit_standardization
from benchmarks.settings import RunSettings
from benchmarks.training.program import Program
from benchmarks.training.results import RunResult
from zoo.settings import Problem, SettingError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RunInputs:
    """What one run is trained on."""

    settings: RunSettings
    seed: int
    train_indices: Indices
    validation_indices: Indices
    standardization: Standardization


def check_fit(settings: RunSettings, dataset: Dataset) -> None:
    """Refuse settings that do not fit the data.

    Raises:
        SettingError: the validation part, a batch or the model does not fit the size or kind of the data.
    """
    total, fraction = len(dataset.train), settings.data.validation_fraction
    num_validation = validation_size(total, fraction)
    num_train = total - num_validation
    if fraction > 0 and not 0 < num_validation < total:
        given = f"{fraction:g} of {total} examples of {dataset.name}: {num_validation} for validation"
        raise SettingError(
            [Problem("data.validation_fraction", "both parts need examples", given, "0, or a larger share")]
        )
    batch_size = settings.train.batch_size
    if batch_size > num_train:
        message = f"a batch larger than the training part of {dataset.name}"
        problem = Problem("train.batch_size", message, str(batch_size), f"1 to {num_train}")
        raise SettingError([problem])
    try:
        settings.model.check_input_shape(dataset.input_shape)
    except SettingError as error:
        raise error.below(f"model, on {dataset.name}") from None


class Trainer:
    """Trains the runs of one program.

    Args:
        program: the compiled program.
        dataset: the data in memory.
        fitted: the standardizations that were already fitted to this dataset, shared by its trainers: runs of different
            cells with one seed have split and statistics in common.
    """

    def __init__(self, program: Program, dataset: Dataset, fitted: dict[Any, Standardization] | None = None):
        self.program = program
        self.dataset = dataset
        self._fitted = {} if fitted is None else fitted

    def inputs_of(self, settings: RunSettings, seed: int) -> RunInputs:
        """Split and standardize the data for one run."""
        data = settings.data
        train, validation = split_train_validation(len(self.dataset.train), data.validation_fraction, seed)
        part = (data.standardize, data.validation_fraction, seed)
        if part not in self._fitted:
            self._fitted[part] = fit_standardization(data.standardize, self.dataset.train.inputs, train)
        return RunInputs(settings, seed, train, validation, self._fitted[part])

    def train_stack(
        self, runs: Mapping[int, tuple[RunSettings, int]], on_epoch: Callable[[int], None] = lambda _: None
    ) -> dict[int, RunResult]:
        """Train up to a stack of runs and measure them on the test split, once, at the end.

        Args:
            runs: slot -> settings and seed of the run in it.
            on_epoch: called after each epoch with its number, counted from 1.

        Returns:
            Slot -> result.
        """
        start = time.perf_counter()
        inputs = {slot: self.inputs_of(settings, seed) for slot, (settings, seed) in runs.items()}
        filler = next(iter(inputs.values()))
        slots = [inputs.get(slot, filler) for slot in range(self.program.stack_size)]
        records = {slot: _Record() for slot in runs}
        self.program.start(
            [each.settings for each in slots],
            [each.seed for each in slots],
            [each.standardization for each in slots],
        )
        for epoch in range(1, filler.settings.train.epochs + 1):
            self._train_epoch(slots, epoch, records)
            on_epoch(epoch)
            if all(record.divergence for record in records.values()):
                break
        test = self.program.evaluate_test_split()
        seconds = (time.perf_counter() - start) / len(runs)
        return {
            slot: record.result(float(test.accuracy[slot]), float(test.loss[slot]), self.program.parameters, seconds)
            for slot, record in records.items()
        }

    def _train_epoch(self, slots: list[RunInputs], epoch: int, records: dict[int, _Record]) -> None:
        batch_size = slots[0].settings.train.batch_size
        order = np.stack([batch_order(each.train_indices, batch_size, each.seed, epoch) for each in slots], axis=1)
        step_losses = self.program.train(order)
        has_validation = len(slots[0].validation_indices) > 0
        if has_validation:
            validation = self.program.evaluate_train_split(np.stack([each.validation_indices for each in slots]))
        for slot, record in records.items():
            values = {}
            if has_validation:
                values = {"val_accuracy": float(validation.accuracy[slot]), "val_loss": float(validation.loss[slot])}
            record.add_epoch(epoch, step_losses[:, slot], values)


class _Record:
    """What is known of a run while it is trained."""

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.divergence: str | None = None

    def add_epoch(self, epoch: int, step_losses: Array, values: dict[str, float]) -> None:
        """Take in an epoch; from the first value that is not finite the run counts as diverged."""
        if self.divergence:
            return
        finite = np.isfinite(step_losses)
        if not finite.all():
            self.divergence = f"the loss was not finite in epoch {epoch}, step {int(np.argmin(finite)) + 1}"
            return
        values = {"train_loss": float(step_losses.mean(dtype=np.float64)), **values}
        for name, value in values.items():
            if not np.isfinite(value):
                self.divergence = f"{name} was not finite after epoch {epoch}"
                return
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)

    def result(self, test_accuracy: float, test_loss: float, parameters: int, seconds: float) -> RunResult:
        """The outcome, given the evaluation on the test split."""
        divergence = self.divergence
        if not divergence and not np.isfinite(test_loss):
            divergence = "test_loss was not finite after the last epoch"
        if divergence:
            return RunResult(
                "diverged", history=self.history, parameters=parameters, seconds=seconds, message=divergence
            )
        last = {name: values[-1] for name, values in self.history.items()}
        metrics = {"test_accuracy": test_accuracy, "test_loss": test_loss, **last}
        return RunResult("done", metrics, self.history, parameters, seconds)
