"""Trains stacks of runs with a compiled program and gathers what each run gives; the program imports TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.arrays import Array
from benchmarks.data.dataset import Dataset
from benchmarks.data.splits import batch_order
from benchmarks.data.standardization import Standardization, fit_standardization
from benchmarks.metrics import headline, objective, test_metrics
from benchmarks.results import RunResult, kept_predictions
from benchmarks.settings.run import RunSettings
from benchmarks.settings.training import schedule_factors
from benchmarks.training.checkpoints import Checkpoint, CheckpointFile, Position, StateFile
from benchmarks.training.following import Following
from benchmarks.training.parts import RunInputs, steps_per_epoch, training_indices

if TYPE_CHECKING:
    from benchmarks.training.program import Program

STEPS_A_CALL = 200
"""Most steps that the program takes without checking the clock, interrupts, and losses that are not finite."""

SECONDS_A_CALL = 1.0
"""How long such a call should take at most, once it is known how long a step takes."""

_FIRST_CALL = 10
"""Steps of the first call, after which that is known."""


class TrainingStoppedError(Exception):
    """The training was asked to stop; where it has a checkpoint, it was written."""


class Trainer:
    """Trains the runs of one program; whether it should stop is asked after every call of the program."""

    def __init__(
        self,
        program: Program,
        dataset: Dataset,
        fitted: dict[Any, Standardization] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ):
        self.program = program
        self.dataset = dataset
        self.should_stop = should_stop
        self.seconds_a_step: float | None = None
        """How long a step took in the last call; None before the first."""
        self._fitted = {} if fitted is None else fitted
        """Standardizations of this dataset, shared by its trainers: runs with one seed have split and statistics in
        common, whatever their cells."""
        self.steps_per_epoch = steps_per_epoch(program.settings, dataset)
        self.total_steps = program.settings.train.total_steps(self.steps_per_epoch)
        self.epochs = -(-self.total_steps // self.steps_per_epoch)

    @property
    def steps_of_a_call(self) -> int:
        """How many steps the program is to take at once; how they are divided changes no number."""
        if self.seconds_a_step is None:
            return min(_FIRST_CALL, STEPS_A_CALL)
        return min(max(1, int(SECONDS_A_CALL / self.seconds_a_step)), STEPS_A_CALL)

    def inputs_of(self, settings: RunSettings, seed: int) -> RunInputs:
        """Split and standardize the data for one run."""
        return run_inputs(settings, seed, self.dataset, self._fitted)

    def train_stack(
        self,
        runs: Mapping[int, tuple[RunSettings, int]],
        on_epoch: Callable[[int], None] = lambda _: None,
        checkpoint: CheckpointFile | None = None,
        on_trained: Callable[[int, RunInputs], None] = lambda *_: None,
        states: Mapping[int, StateFile] | None = None,
    ) -> dict[int, RunResult]:
        """Train up to a stack of runs and measure them on the test split, once, at the end.

        Args:
            runs: slot -> settings and seed of the run in it; all end after the same epoch.
            on_epoch: called after each epoch with its number, counted from 1.
            checkpoint: where to write the state from time to time, and to go on from what is there.
            on_trained: called at the end with slot and inputs of each run that is done, while the program holds the
                weights that were measured.
            states: slot -> where the state of a run that ends before its schedule is kept, and one of fewer epochs is
                looked for. Where not all runs have one of the same epoch, all are trained from their beginning.

        Returns:
            Slot -> result.

        Raises:
            TrainingStoppedError: it was asked to stop.
        """
        stack = _Stack(self, runs)
        if not (checkpoint and stack.resume(checkpoint)) and states:
            stack.take_up(states)
        while stack.position.epoch <= stack.last_epoch and not stack.is_over:
            stack.train_epoch(checkpoint)
            on_epoch(stack.position.epoch - 1)
        if states:
            stack.keep(states)
        results = stack.results()
        for slot, result in results.items():
            if result.status == "done":
                on_trained(slot, stack.inputs[slot])
        return results


class _Stack:
    """One stack on its way through the training."""

    def __init__(self, trainer: Trainer, runs: Mapping[int, tuple[RunSettings, int]]):
        self._start = time.perf_counter()
        self.trainer, self.program = trainer, trainer.program
        self.stopwatch = trainer.program.stopwatch
        with self.stopwatch.phase("input"):
            self.inputs = {slot: trainer.inputs_of(settings, seed) for slot, (settings, seed) in runs.items()}
        filler = next(iter(self.inputs.values()))
        self.slots = [self.inputs.get(slot, filler) for slot in range(self.program.stack_size)]
        self.followed = {slot: Following(each.settings.train) for slot, each in self.inputs.items()}
        ends = {each.settings.train.stop_after or trainer.epochs for each in self.inputs.values()}
        if len(ends) > 1:
            raise ValueError(f"the runs of one stack end after different epochs: {sorted(ends)}")
        (self.last_epoch,) = ends
        self.position = Position(epoch=1, steps=0)
        self.losses = np.zeros((0, self.program.stack_size), np.float32)
        """Losses of the steps of the present epoch."""
        with self.stopwatch.phase("start"):
            self.program.start(self.slots)

    @property
    def is_over(self) -> bool:
        return all(each.is_over for each in self.followed.values())

    def train_epoch(self, checkpoint: CheckpointFile | None) -> None:
        """Train from the present position to the end of its epoch, and look at the validation part there."""
        epoch, trainer = self.position.epoch, self.trainer
        behind = (epoch - 1) * trainer.steps_per_epoch
        steps = min(trainer.steps_per_epoch, trainer.total_steps - behind)
        with self.stopwatch.phase("input"):
            order = self._order(epoch, steps)
            factors = self._factors(behind, steps)
        while self.position.steps < steps:
            start, stop = self.position.steps, min(self.position.steps + trainer.steps_of_a_call, steps)
            with self.stopwatch.phase("step"):
                began = time.perf_counter()
                losses = self.program.train(order[start:stop], factors[start:stop])
                trainer.seconds_a_step = (time.perf_counter() - began) / (stop - start)
            self.losses = np.concatenate([self.losses, losses])
            self.position = Position(epoch, stop)
            self._note_divergence(order)
            if stop < steps:
                self._write_if_due(checkpoint)
        self._end_epoch(epoch)
        self.position, self.losses = Position(epoch + 1, 0), self.losses[:0]
        if epoch < self.last_epoch:
            self._write_if_due(checkpoint)

    def results(self) -> dict[int, RunResult]:
        """What each run gives, by slot."""
        keeps_best = [each.settings.train.checkpoint == "best_val" for each in self.slots]
        with self.stopwatch.phase("test"):
            self.program.slots.restore_best(np.array(keeps_best))
            outputs = self.program.outputs_on_test_split()
        seconds = (time.perf_counter() - self._start) / len(self.followed)
        with self.stopwatch.phase("bookkeeping"):
            return {slot: self._result(slot, outputs[slot], seconds) for slot in self.followed}

    def resume(self, checkpoint: CheckpointFile) -> bool:
        """Go on from a checkpoint; False where there is none."""
        found = checkpoint.read()
        if found is None:
            return False
        arrays = dict(found.arrays)
        self.losses = arrays.pop("losses")
        self.program.slots.restore(arrays)
        self.position = found.position
        self._start -= found.values["seconds"]
        for slot, told in found.values["runs"].items():
            self.followed[int(slot)] = Following.from_json(self.followed[int(slot)].config, told)
        return True

    def take_up(self, states: Mapping[int, StateFile]) -> None:
        """Go on from where shorter trainings of these runs ended, if each left a state of the same epoch."""
        epochs = {states[slot].newest(self.last_epoch) for slot in self.followed}
        if len(epochs) > 1 or 0 in epochs:
            return
        (behind,) = epochs
        read = {slot: states[slot].read(behind) for slot in self.followed}
        found = {slot: state for slot, state in read.items() if state}
        if len(found) < len(self.followed):
            return
        for slot, state in found.items():
            self.followed[slot] = Following.from_json(self.followed[slot].config, state.values["run"])
        # A run that stopped early has taken fewer steps than those that go on.
        leading = next((slot for slot, each in self.followed.items() if not each.is_over), next(iter(found)))
        filler = next(iter(found.values()))
        slots = range(self.program.stack_size)
        self.program.slots.restore_each([found.get(slot, filler).arrays for slot in slots], leading)
        self.position = Position(behind + 1, 0)
        self._start -= sum(state.values["seconds"] for state in found.values())

    def keep(self, states: Mapping[int, StateFile]) -> None:
        """Keep the state of each run that ended before its schedule did and may be continued."""
        seconds = (time.perf_counter() - self._start) / len(self.followed)
        for slot, followed in self.followed.items():
            if followed.config.stop_after and not followed.divergence:
                values = {"seconds": seconds, "run": followed.as_json()}
                checkpoint = Checkpoint(Position(self.last_epoch + 1, 0), self.program.slots.state_of(slot), values)
                # A disk that is full costs whoever would have gone on the epochs so far, and not this run.
                with self.stopwatch.phase("bookkeeping"), suppress(OSError):
                    states[slot].write(self.last_epoch, checkpoint)

    def _write_if_due(self, checkpoint: CheckpointFile | None) -> None:
        is_last = self.trainer.should_stop()
        if checkpoint and (is_last or checkpoint.is_due()):
            with self.stopwatch.phase("bookkeeping"):
                checkpoint.write(self._checkpoint())
        if is_last:
            raise TrainingStoppedError

    def _checkpoint(self) -> Checkpoint:
        values = {
            "seconds": time.perf_counter() - self._start,
            "runs": {str(slot): each.as_json() for slot, each in self.followed.items()},
        }
        return Checkpoint(self.position, self.program.slots.state() | {"losses": self.losses}, values)

    def _order(self, epoch: int, steps: int) -> Array:
        batch_size = self.program.settings.train.batch_size
        orders = [batch_order(each.train_indices, batch_size, each.seed, epoch)[:steps] for each in self.slots]
        return np.stack(orders, axis=1)

    def _factors(self, behind: int, steps: int) -> Array:
        total = self.trainer.total_steps
        factors = [schedule_factors(each.settings.train, behind, steps, total) for each in self.slots]
        for slot, followed in self.followed.items():
            factors[slot] = factors[slot] * np.float32(followed.rate_factor)
        return np.stack(factors, axis=1)

    def _note_divergence(self, order: Array) -> None:
        for slot, followed in self.followed.items():
            step = followed.first_not_finite(self.losses[:, slot])
            if step is None or followed.is_over:
                continue
            place = self.program.place_not_finite(slot, order[step, slot])
            followed.divergence = f"the loss was not finite in epoch {self.position.epoch}, step {step + 1}; {place}"

    def _end_epoch(self, epoch: int) -> None:
        values = {slot: {"train_loss": float(self.losses[:, slot].mean(dtype=np.float64))} for slot in self.followed}
        if len(self.slots[0].validation_indices):
            with self.stopwatch.phase("validation"):
                indices = np.stack([each.validation_indices for each in self.slots])
                outputs = self.program.outputs_on_train_split(indices)
            for slot in self.followed:
                values[slot] |= self._validation_values(slot, outputs[slot])
        best = np.zeros(self.program.stack_size, bool)
        for slot, followed in self.followed.items():
            best[slot] = followed.add_epoch(epoch, values[slot]) and followed.config.checkpoint == "best_val"
        if best.any():
            self.program.slots.keep_best(best)

    def _validation_values(self, slot: int, outputs: Array) -> dict[str, float]:
        labels = self.trainer.dataset.train.labels[self.slots[slot].validation_indices]
        name, value = headline(self.trainer.dataset.task, outputs, labels)
        return {f"val_{name}": value, "val_loss": self._objective(slot, outputs, labels)}

    def _objective(self, slot: int, outputs: Array, labels: Array) -> float:
        train, inputs = self.slots[slot].settings.train, self.slots[slot]
        task = self.trainer.dataset.task
        return objective(
            train.loss_for(task),
            task=task,
            outputs=outputs,
            labels=labels,
            target_scale=inputs.target_scale,
            huber_delta=train.huber_delta,
        )

    def _result(self, slot: int, outputs: Array, seconds: float) -> RunResult:
        followed, dataset = self.followed[slot], self.trainer.dataset
        result = partial(
            RunResult,
            history=followed.history,
            parameters=self.program.parameters,
            macs=self.program.macs,
            seconds=seconds,
        )
        divergence = followed.divergence
        if not divergence and not np.isfinite(outputs).all():
            divergence = "the outputs for the test split were not finite after the last epoch"
        if divergence:
            return result(status="diverged", message=divergence)
        chosen = followed.best_epoch - 1 if followed.config.checkpoint == "best_val" else -1
        predictions, note = kept_predictions(dataset.task, outputs)
        metrics = {
            **test_metrics(dataset.task, outputs, dataset.test.labels),
            "test_loss": self._objective(slot, outputs, dataset.test.labels),
            **{name: values[chosen] for name, values in followed.history.items()},
        }
        return result(status="done", metrics=metrics, message=note, predictions=predictions)


def run_inputs(
    settings: RunSettings, seed: int, dataset: Dataset, fitted: dict[Any, Standardization] | None = None
) -> RunInputs:
    """Split and standardize the data for one run; what is fitted to this dataset is kept in `fitted`."""
    fitted = {} if fitted is None else fitted
    train, validation = training_indices(settings, dataset, seed)
    part = (settings.data, seed)
    if part not in fitted:
        fitted[part] = fit_standardization(settings.data.standardize, dataset.train.inputs, train)
    labels, shift, scale = dataset.train.labels[train], 0.0, 1.0
    if dataset.task == "regression":
        shift, scale = float(labels.mean(dtype=np.float64)), float(labels.std(dtype=np.float64)) or 1.0
    return RunInputs(
        settings=settings,
        seed=seed,
        train_indices=train,
        validation_indices=validation,
        standardization=fitted[part],
        target_shift=shift,
        target_scale=scale,
        class_weights=_class_weights(labels, dataset.num_classes, settings.train.class_weights),
    )


def _class_weights(labels: Array, num_classes: int, rule: str) -> Array:
    """What an example of each class counts: (classes,); a class without examples counts as any other."""
    if rule == "none":
        return np.ones(num_classes, np.float32)
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * np.maximum(counts, 1))).astype(np.float32)
