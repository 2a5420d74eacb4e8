"""The compiled program: one trace that trains many runs, alone or in stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.augmentation.augmenter import Augmenter, value_range_of
from benchmarks.data.dataset import Dataset
from benchmarks.data.standardization import Standardization
from benchmarks.data.tasks import Task
from benchmarks.settings import RunSettings
from benchmarks.training.fused import with_fused_normalization
from benchmarks.training.inputs import DatasetOnDevice, Inputs
from benchmarks.training.losses import Loss
from benchmarks.training.optimizers import OPTIMIZERS
from benchmarks.training.packing import PackedValues, Packing, flatten
from benchmarks.training.parts import stack_size
from benchmarks.training.stopwatch import Stopwatch

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 256
"""Examples that are evaluated at once; the last batch is padded, so that one trace serves all splits."""

HEADS: dict[Task, str] = {"classification": "logits", "binary": "binary_logit", "regression": "regression"}
"""Task -> the head of the model."""


@dataclass(frozen=True)
class RunInputs:
    """What one run brings to a program."""

    settings: RunSettings
    seed: int
    train_indices: Array
    validation_indices: Array
    standardization: Standardization
    target_shift: float
    """A numeric target t is learnt as (t - target_shift) / target_scale; 0 and 1 for classes."""
    target_scale: float
    class_weights: Array
    """What an example of each class counts in the loss: (classes,)."""


class Program:
    """Trains runs that share the shape of their computation.

    The runs of a stack sit in numbered slots. All share one trace; each has its own weights, seeds, data order,
    standardization and learning rate. A stack always has `stack_size` slots: where runs are missing, copies fill it
    up, so that the arithmetic of a run stays the same whatever is trained beside it. A slot whose loss is no longer
    finite keeps the weights that it had before that step.

    Args:
        settings: settings of any of the runs; what shapes the program must be the same in all.
        dataset: for the shape of its examples, its task and the number of classes.
        data: the same dataset as tensors.
        stopwatch: is told where the time goes.
    """

    def __init__(
        self, settings: RunSettings, dataset: Dataset, data: DatasetOnDevice, stopwatch: Stopwatch | None = None
    ):
        self.settings = settings
        self.data = data
        self.stopwatch = stopwatch or Stopwatch()
        self._best: tuple[Any, Any] | None = None
        """Weights and statistics of each slot's best epoch so far, once there was one."""
        with self.stopwatch.phase("build"):
            self._build(dataset)
        with self.stopwatch.phase("trace"):
            self._trace()

    def _build(self, dataset: Dataset) -> None:
        settings = self.settings
        head = HEADS[dataset.task]
        self.model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, seed=0, head=head)
        self.parameters = zoo.count_parameters(self.model)
        self.macs = zoo.count_macs(self.model)
        self._optimizer_row = OPTIMIZERS[settings.train.optimizer]
        self.stack_size = stack_size(settings, dataset)
        if self.stack_size == 1:  # the kernel knows one run's images alone
            self.model = with_fused_normalization(self.model)
        self._augmenter = augmenter_for(settings, dataset)
        self._loss = Loss(
            settings.train,
            dataset.task,
            dataset.num_classes,
            soft_targets=settings.augment.mixes_labels,
        )
        self._num_classes = dataset.num_classes
        self._packing = Packing(self.model)
        self._make_variables()
        self._make_optimizer()
        # An optimizer step is a dozen small operations over all weights; XLA makes one pass of them.
        # AutoGraph, which rewrites Python's control flow, is left out everywhere: rewriting takes a second.
        self._update = tf.function(self._trace_update, jit_compile=self._optimizer_row.is_elementwise, autograph=False)
        slots, batch_size = self.stack_size, settings.train.batch_size
        self._train_steps = tf.function(
            self._trace_train_steps,
            input_signature=[
                tf.TensorSpec([None, slots, batch_size], tf.int32),
                tf.TensorSpec([None, slots], tf.float32),
                self.data.train_inputs.signature(slots, batch_size),
            ],
            autograph=False,
        )
        self._outputs = tf.function(
            self._trace_outputs,
            input_signature=[
                tf.TensorSpec([None, slots, EVALUATION_BATCH], tf.int32),
                self.data.train_inputs.signature(slots, EVALUATION_BATCH),
            ],
            autograph=False,
        )

    def start(self, inputs: Sequence[RunInputs]) -> None:
        """Set up a stack: initial weights, fresh optimizer; one entry a slot."""
        packed = [self._packing.pack(zoo.initial_values(self.model, each.settings.model, each.seed)) for each in inputs]
        self._weights.assign(np.stack([values.weights for values in packed]))
        if self._averages:
            self._average.assign(self._weights.value)
        self._best = None
        self._statistics.assign(np.stack([values.statistics for values in packed]))
        self._seeds.assign(np.stack([values.seeds for values in packed]))
        if self._augmenter:
            self._augmentation_seeds.assign(np.stack([self._augmenter.initial_seeds(each.seed) for each in inputs]))
        self._alive.assign(np.ones(self.stack_size, bool))
        self._learning_rate.assign(_column(each.settings.train.learning_rate for each in inputs))
        self._weight_decay.assign(_column(each.settings.train.weight_decay for each in inputs))
        self._shift.assign(np.stack([each.standardization.shift for each in inputs]))
        self._scale.assign(np.stack([each.standardization.scale for each in inputs]))
        self._target_shift.assign(_column(each.target_shift for each in inputs))
        self._target_scale.assign(_column(each.target_scale for each in inputs))
        self._class_weights.assign(np.stack([each.class_weights for each in inputs]).astype(np.float32))
        for variable, value in zip(self._optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)

    def train(self, order: Array, factors: Array) -> Array:
        """Train one step after another.

        Args:
            order: indices of the examples of each step: (steps, slots, batch_size).
            factors: what the learning rate is multiplied with at each step: (steps, slots).

        Returns:
            The mean loss of each step's batch: (steps, slots).
        """
        source = self.data.train_inputs.source(order)
        losses = self._train_steps(tf.constant(order, tf.int32), tf.constant(factors, tf.float32), source)
        return np.asarray(losses)

    def outputs_on_train_split(self, indices: Array) -> Array:
        """What the slots give for examples of the official training split: indices (slots, n) -> (slots, n, units)."""
        return self._outputs_on(self.data.train_inputs, indices)

    def outputs_on_test_split(self) -> Array:
        """What the slots give for the whole test split: (slots, n, units)."""
        indices = np.arange(len(self.data.test_labels), dtype=np.int32)
        return self._outputs_on(self.data.test_inputs, np.tile(indices, (self.stack_size, 1)))

    def keep_best(self, slots: Array) -> None:
        """Remember the weights of some slots as their best so far: mask (slots,)."""
        chosen = tf.constant(slots)[:, tf.newaxis]
        if self._best is None:
            self._best = (tf.Variable(self._evaluated), tf.Variable(self._statistics))
        for best, now in zip(self._best, (self._evaluated, self._statistics), strict=True):
            best.assign(tf.where(chosen, now, best))

    def restore_best(self, slots: Array) -> None:
        """Go back to the remembered weights in some slots: mask (slots,)."""
        if self._best is None:
            return
        chosen = tf.constant(slots)[:, tf.newaxis]
        for target, best in zip((self._evaluated, self._statistics), self._best, strict=True):
            target.assign(tf.where(chosen, best, target))

    def state(self) -> dict[str, Array]:
        """All that training changes, by name, for a checkpoint."""
        return {name: np.asarray(variable) for name, variable in self._state_variables().items()}

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from a state that `state` gave."""
        if "best_0" in state and self._best is None:
            self._best = (tf.Variable(self._evaluated), tf.Variable(self._statistics))
        for name, variable in self._state_variables().items():
            variable.assign(state[name])

    def state_of_slot(self, slot: int) -> dict[str, Array]:
        """All that training changes in one slot, by name, so that the run can be continued beside others."""
        return {
            name: np.asarray(variable)[slot] if self._is_by_slot(name, variable) else np.asarray(variable)
            for name, variable in self._state_variables().items()
        }

    def restore_slots(self, states: Sequence[dict[str, Array]], leading: int) -> None:
        """Go on from what `state_of_slot` gave, slot by slot, after equally many steps.

        Args:
            states: one for each slot.
            leading: the slot that says what all slots share, such as the optimizer's count of its steps.
        """
        evaluated = "average" if self._averages else "weights"
        stand_ins = {"best_0": evaluated, "best_1": "statistics"}  # of runs for which no epoch was remembered
        if any("best_0" in state for state in states) and self._best is None:
            self._best = (tf.Variable(self._evaluated), tf.Variable(self._statistics))
        for name, variable in self._state_variables().items():
            if self._is_by_slot(name, variable):
                variable.assign(np.stack([state.get(name, state[stand_ins.get(name, name)]) for state in states]))
            else:
                variable.assign(states[leading][name])

    def trained_values(self, slot: int) -> dict[str, Array]:
        """The weights and statistics of one slot as they are evaluated, by the paths of the model's variables."""
        return self._packing.values_by_path(
            PackedValues(self._evaluated[slot], self._statistics[slot], self._seeds[slot])
        )

    def place_not_finite(self, slot: int, indices: Array) -> str:
        """Where a training batch is first not finite with the slot's present weights, as a clause."""
        probe = keras.Model(self.model.inputs, [each.output for each in self._layers()])
        packing = Packing(probe)
        packed = PackedValues(self._weights.value[slot], self._statistics[slot], self._seeds[slot])
        stored = self.data.train_inputs.read(np.tile(indices, (self.stack_size, 1)))
        inputs = self._standardize(tf.cast(stored, tf.float32))[slot]
        outputs, _, packed = packing.call(packed, inputs, training=True)
        layer = next(
            (each.name for each, output in zip(self._layers(), outputs, strict=True) if not _all_finite(output)), None
        )
        if layer:
            return f"first in the output of {layer}"
        # A variance overflows where what it normalizes does not.
        variable = next(
            (path for path, value in packing.values_by_path(packed).items() if not _all_finite(value)), None
        )
        return "all layers' outputs were finite" + (f", but not {variable}" if variable else "")

    def _layers(self) -> list[Any]:
        return [each for each in self.model.layers if not isinstance(each, keras.layers.InputLayer)]

    def _state_variables(self) -> dict[str, Any]:
        variables = {
            "weights": self._weights,
            "average": self._average,
            "statistics": self._statistics,
            "seeds": self._seeds,
            "augmentation_seeds": self._augmentation_seeds,
            "alive": self._alive,
        }
        variables |= {f"optimizer_{index}": each for index, each in enumerate(self._optimizer.variables)}
        best: tuple[Any, ...] = self._best or ()
        return variables | {f"best_{index}": each for index, each in enumerate(best)}

    def _is_by_slot(self, name: str, variable: Any) -> bool:
        """Whether a variable of the state has an entry for each slot, or one for all."""
        if name.startswith("optimizer"):
            return self._optimizer_row.is_elementwise and tuple(variable.shape) == tuple(self._weights.shape)
        return name != "average" or self._averages

    @property
    def _averages(self) -> bool:
        return self.settings.train.weight_average > 0

    @property
    def _evaluated(self) -> Any:
        """The variable whose weights are evaluated."""
        return self._average if self._averages else self._weights

    def _make_variables(self) -> None:
        start = self._packing.pack([np.asarray(variable) for variable in self.model.variables])
        shape = self.model.input_shape[1:]
        slots = self.stack_size
        # Keras's optimizers take Keras variables; the rest needs none of what those add.
        self._weights = keras.Variable(np.tile(start.weights, (slots, 1)), name="weights")
        self._average = tf.Variable(np.tile(start.weights, (slots if self._averages else 0, 1)))
        self._statistics = tf.Variable(np.tile(start.statistics, (slots, 1)))
        self._seeds = tf.Variable(np.tile(start.seeds, (slots, 1, 1)))
        seeds = self._augmenter.initial_seeds(0) if self._augmenter else np.zeros((0, 2), np.int64)
        self._augmentation_seeds = tf.Variable(np.tile(seeds, (slots, 1, 1)))
        self._alive = tf.Variable(np.ones(slots, bool))
        self._learning_rate = tf.Variable(np.zeros((slots, 1), np.float32))
        self._weight_decay = tf.Variable(np.zeros((slots, 1), np.float32))
        self._shift = tf.Variable(np.zeros((slots, *shape), np.float32))
        self._scale = tf.Variable(np.ones((slots, *shape), np.float32))
        self._target_shift = tf.Variable(np.zeros((slots, 1), np.float32))
        self._target_scale = tf.Variable(np.ones((slots, 1), np.float32))
        self._class_weights = tf.Variable(np.ones((slots, self._num_classes), np.float32))
        self._decays = tf.constant(self._packing.decays)

    def _make_optimizer(self) -> None:
        train, row = self.settings.train, self._optimizer_row
        # The rate of the step under way: the run's learning rate times the schedule's factor.
        self._rate = tf.Variable(np.zeros((self.stack_size, 1), np.float32))
        coefficients = {
            argument: default if getattr(train, setting) is None else getattr(train, setting)
            for setting, (argument, default) in row.coefficients.items()
        }
        # Weight decay is ours, since it is a number a run.
        arguments = dict(row.arguments) | coefficients | {"weight_decay": None}
        if row.is_elementwise:
            self._optimized, rate = [self._weights], self._rate.read_value
        else:
            self._optimized, rate = self._packing.separate_variables(), lambda: self._rate.read_value()[0, 0]
        self._optimizer = getattr(keras.optimizers, row.keras_class)(learning_rate=rate, **arguments)
        self._optimizer.build(self._optimized)
        self._optimizer_start = [np.asarray(variable) for variable in self._optimizer.variables]

    def _trace(self) -> None:
        """Trace and compile everything on one example, so that no run's time holds it; `start` sets all values anew."""
        batch_size = self.settings.train.batch_size
        self.train(np.zeros((1, self.stack_size, batch_size), np.int32), np.zeros((1, self.stack_size)))
        self.outputs_on_train_split(np.zeros((self.stack_size, 1), np.int32))

    def _trace_train_steps(self, order: Any, factors: Any, source: Any) -> Any:
        steps = tf.shape(order)[0]

        def take_step(step: Any, losses: Any) -> tuple[Any, Any]:
            indices = order[step]
            stored = self.data.train_inputs.next(source, indices)
            return step + 1, losses.write(step, self._train_step(stored, indices, factors[step]))

        losses = tf.TensorArray(tf.float32, size=steps, element_shape=[self.stack_size])
        return _loop(steps, take_step, losses).stack()

    def _train_step(self, stored: Any, indices: Any, factors: Any) -> Any:
        inputs, targets = self._batch(stored, indices)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            weights = tf.identity(self._weights.value)
            tape.watch(weights)
            packed = PackedValues(weights, tf.identity(self._statistics), tf.identity(self._seeds))
            loss, packed = self._over_slots(
                self._training_loss, packed, inputs, targets, tf.identity(self._class_weights)
            )
            # The runs share no weight, so the gradient of the sum holds each run's own gradient.
            total = tf.reduce_sum(loss)
        gradient = tape.gradient(total, weights)
        loss = tf.where(self._is_finite(packed), loss, np.nan)
        alive = tf.logical_and(self._alive, tf.math.is_finite(loss))
        self._alive.assign(alive)
        self._update(gradient, factors, alive)
        self._statistics.assign(tf.where(alive[:, tf.newaxis], packed.statistics, self._statistics))
        self._seeds.assign(tf.where(alive[:, tf.newaxis, tf.newaxis], packed.seeds, self._seeds))
        return loss

    def _batch(self, stored: Any, indices: Any) -> tuple[Any, Any]:
        """Inputs and targets of one step as the model meets them, augmented where the settings say so."""
        stored = tf.cast(stored, tf.float32)
        targets = self._loss.targets(tf.gather(self.data.train_labels, indices))
        if self._loss.task == "regression":
            shift, scale = (each[:, tf.newaxis] for each in (self._target_shift, self._target_scale))
            targets = (targets - shift) / scale
        if self._augmenter:
            stored, targets, seeds = self._augmenter.apply_to_slots(
                stored, targets, tf.identity(self._augmentation_seeds), tf.identity(self._shift)
            )
            self._augmentation_seeds.assign(seeds)
        return self._standardize(stored), targets

    def _trace_update(self, gradient: Any, factors: Any, alive: Any) -> None:
        train = self.settings.train
        before = tf.identity(self._weights.value)
        self._rate.assign(self._learning_rate * factors[:, tf.newaxis])
        if train.clip_value:
            gradient = tf.clip_by_value(gradient, -train.clip_value, train.clip_value)
        if train.clip_norm:
            norm = tf.norm(gradient, axis=1, keepdims=True)
            gradient *= train.clip_norm / tf.maximum(norm, train.clip_norm)
        self._weights.assign(before - before * (self._rate * self._weight_decay * self._decays))
        self._apply_optimizer(gradient)
        if self._packing.has_constraints:
            self._weights.assign(tf.vectorized_map(self._packing.constrain, self._weights.value))
        self._weights.assign(tf.where(alive[:, tf.newaxis], self._weights.value, before))
        if self._averages:
            share = train.weight_average
            self._average.assign(share * self._average + (1 - share) * self._weights.value)

    def _apply_optimizer(self, gradient: Any) -> None:
        if self._optimizer_row.is_elementwise:
            self._optimizer.apply([gradient], self._optimized)
            return
        for variable, part in zip(self._optimized, self._packing.weights_of(self._weights.value[0]), strict=True):
            variable.assign(part)
        self._optimizer.apply(self._packing.weights_of(gradient[0]), self._optimized)
        self._weights.assign(flatten(each.value for each in self._optimized)[tf.newaxis])

    def _training_loss(
        self, packed: PackedValues, inputs: Any, targets: Any, class_weights: Any
    ) -> tuple[Any, PackedValues]:
        outputs, penalty, packed = self._packing.call(packed, inputs, training=True)
        return self._loss.mean(outputs, targets, class_weights) + penalty, packed

    def _outputs_on(self, inputs: Inputs, indices: Array) -> Array:
        count = indices.shape[1]
        chunks = -(-count // EVALUATION_BATCH)
        padded = np.zeros((self.stack_size, chunks * EVALUATION_BATCH), np.int32)
        padded[:, :count] = indices
        chunked = np.moveaxis(padded.reshape(self.stack_size, chunks, EVALUATION_BATCH), 0, 1)
        outputs = np.asarray(self._outputs(tf.constant(chunked), inputs.source(chunked)))
        flat = np.moveaxis(outputs, 1, 0).reshape(self.stack_size, chunks * EVALUATION_BATCH, -1)[:, :count]
        if self._loss.task != "regression":
            return flat
        shift, scale = (np.asarray(each)[:, np.newaxis] for each in (self._target_shift, self._target_scale))
        with np.errstate(over="ignore", invalid="ignore"):  # of runs that diverge
            return np.asarray(flat * scale + shift)

    def _trace_outputs(self, indices: Any, source: Any) -> Any:
        packed = PackedValues(
            tf.convert_to_tensor(self._evaluated), tf.identity(self._statistics), tf.identity(self._seeds)
        )
        is_finite = self._is_finite(packed)
        chunks = tf.shape(indices)[0]
        units = self.model.output_shape[-1]

        def evaluate_chunk(chunk: Any, outputs: Any) -> tuple[Any, Any]:
            # Both splits are read in the same way, so that one trace serves both.
            stored = self.data.train_inputs.next(source, indices[chunk])
            batch = self._standardize(tf.cast(stored, tf.float32))
            given = self._over_slots(self._inference, packed, batch)
            given = tf.where(is_finite[:, tf.newaxis, tf.newaxis], given, np.nan)
            return chunk + 1, outputs.write(chunk, given)

        outputs = tf.TensorArray(tf.float32, chunks, element_shape=[self.stack_size, EVALUATION_BATCH, units])
        return _loop(chunks, evaluate_chunk, outputs).stack()

    def _inference(self, packed: PackedValues, inputs: Any) -> Any:
        return self._packing.call(packed, inputs, training=False)[0]

    def _is_finite(self, packed: PackedValues) -> Any:
        """Whether the weights and statistics of each slot are finite, where outputs may not tell: (slots,).

        TensorFlow runs a dense layer, a convolution or a fused normalization and its ReLU as one kernel, and that makes
        zeros of what is no number. The layers of a stack are batched products, which it leaves apart.
        """
        is_finite = tf.reduce_all(tf.math.is_finite(packed.statistics), axis=1)
        if self.stack_size > 1:
            return is_finite
        return tf.logical_and(is_finite, tf.reduce_all(tf.math.is_finite(packed.weights), axis=1))

    def _standardize(self, stored: Any) -> Any:
        return (stored - self._shift[:, tf.newaxis]) * self._scale[:, tf.newaxis]

    def _over_slots(self, function: Callable[..., Any], *slots: Any) -> Any:
        """Apply a function of one run to every slot."""
        if self.stack_size == 1:
            only = tf.nest.map_structure(lambda value: value[0], slots)
            return tf.nest.map_structure(lambda value: value[tf.newaxis], function(*only))
        return tf.vectorized_map(lambda slot: function(*slot), slots)


def augmenter_for(settings: RunSettings, dataset: Dataset) -> Augmenter | None:
    """What augments the training examples, or None where nothing does."""
    if not settings.augment.is_on:
        return None
    return Augmenter(settings.augment, dataset.input_shape, value_range_of(dataset.train.inputs))


def _loop(number: Any, body: Callable[[Any, Any], tuple[Any, Any]], gathered: Any) -> Any:
    """What a loop of so many turns gathers, one turn after another: its body writes to variables."""
    _, gathered = tf.while_loop(lambda turn, _: turn < number, body, (tf.constant(0), gathered), parallel_iterations=1)
    return gathered


def _all_finite(values: Any) -> bool:
    return bool(np.isfinite(values).all())


def _column(values: Any) -> Array:
    return np.array([[value] for value in values], np.float32)
