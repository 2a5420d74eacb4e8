"""The compiled program: one trace that trains many runs, alone or in stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.arrays import Array, Tensor
from benchmarks.augmentation.augmenter import Augmenter
from benchmarks.settings.run import RunSettings
from benchmarks.tasks import Task
from benchmarks.training.fused import with_fused_normalization
from benchmarks.training.inputs import DatasetOnDevice, Inputs
from benchmarks.training.losses import Loss
from benchmarks.training.packing import PackedValues, Packing
from benchmarks.training.parts import RunInputs, stack_size
from benchmarks.training.slots import Slots
from benchmarks.training.stopwatch import Stopwatch

EVALUATION_BATCH = 256
"""Examples that are evaluated at once; the last batch is padded, so that one trace serves all splits."""

HEADS: dict[Task, str] = {"classification": "logits", "binary": "binary_logit", "regression": "regression"}


class Program:
    """Trains runs that share the shape of their computation.

    The runs of a stack sit in numbered slots. All share one trace; each has its own weights, seeds, data order,
    standardization and learning rate. A stack always has `stack_size` slots: where runs are missing, copies fill it
    up, so that the arithmetic of a run stays the same whatever is trained beside it. A slot whose loss is no longer
    finite keeps the weights that it had before that step. The settings are those of any of the runs: what shapes the
    program must be the same in all.
    """

    def __init__(self, settings: RunSettings, data: DatasetOnDevice, stopwatch: Stopwatch | None = None):
        self.settings = settings
        self.data = data
        self.stopwatch = stopwatch or Stopwatch()
        with self.stopwatch.phase("build"):
            self._build()
        with self.stopwatch.phase("trace"):
            self._trace()

    def _build(self) -> None:
        settings, dataset = self.settings, self.data.dataset
        head = HEADS[dataset.task]
        self.model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, seed=0, head=head)
        self.parameters = zoo.count_parameters(self.model)
        self.macs = zoo.count_macs(self.model)
        self.stack_size = stack_size(settings, dataset)
        if self.stack_size == 1:  # the kernel knows one run's images alone
            self.model = with_fused_normalization(self.model)
        self._augmenter = (
            Augmenter(settings.augment, dataset.input_shape, self.data.value_range) if settings.augment.is_on else None
        )
        self._loss = Loss(settings.train, dataset.task, dataset.num_classes, soft_targets=settings.augment.mixes_labels)
        self._packing = Packing(self.model)
        generators = len(self._augmenter.names) if self._augmenter else 0
        self.slots = Slots(self.stack_size, self._packing, settings.train, generators)
        self._make_variables(dataset.num_classes)
        # An optimizer step is a dozen small operations over all weights; XLA makes one pass of them.
        # AutoGraph, which rewrites Python's control flow, is left out everywhere: rewriting takes a second.
        self._update = tf.function(self._trace_update, jit_compile=self.slots.optimizer.is_elementwise, autograph=False)
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
        no_seeds = np.zeros((0, 2), np.int64)
        seeds = [self._augmenter.initial_seeds(each.seed) if self._augmenter else no_seeds for each in inputs]
        self.slots.start(packed, np.stack(seeds))
        self._learning_rate.assign(_column(each.settings.train.coefficients()["learning_rate"] for each in inputs))
        self.slots.optimizer.decay.assign(_column(each.settings.train.weight_decay for each in inputs))
        self._shift.assign(np.stack([each.standardization.shift for each in inputs]))
        self._scale.assign(np.stack([each.standardization.scale for each in inputs]))
        self._unit = np.array([[[each.target_scale], [each.target_shift]] for each in inputs])
        self._target_shift.assign(_column(each.target_shift - self.data.target_origin for each in inputs))
        self._target_scale.assign(_column(each.target_scale for each in inputs))
        self._class_weights.assign(np.stack([each.class_weights for each in inputs]).astype(np.float32))

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

    def place_not_finite(self, slot: int, indices: Array) -> str:
        """Where a training batch (batch_size,) is first not finite with the slot's present weights, as a clause."""
        probe = keras.Model(self.model.inputs, [each.output for each in self._layers()])
        packing = Packing(probe)
        packed = PackedValues(self.slots.weights.value[slot], self.slots.statistics[slot], self.slots.seeds[slot])
        stored = self.data.train_inputs.read(np.tile(indices, (self.stack_size, 1)))
        inputs = self._standardize(stored)[slot]
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

    def _make_variables(self, num_classes: int) -> None:
        """Make what the runs bring, beside their slots."""
        shape, slots = self.model.input_shape[1:], self.stack_size
        self._learning_rate = tf.Variable(np.zeros((slots, 1), np.float32))
        self._is_double = self.data.dataset.train.inputs.dtype == np.float64
        self._shift = tf.Variable(np.zeros((slots, *shape), np.float64 if self._is_double else np.float32))
        self._scale = tf.Variable(np.ones((slots, *shape), np.float32))
        self._target_shift = tf.Variable(np.zeros((slots, 1), np.float32))
        self._target_scale = tf.Variable(np.ones((slots, 1), np.float32))
        self._unit = np.tile([[1.0], [0.0]], (slots, 1, 1))
        self._class_weights = tf.Variable(np.ones((slots, num_classes), np.float32))

    def _trace(self) -> None:
        """Trace and compile everything on one example, so that no run's time holds it; `start` sets all values anew."""
        batch_size = self.settings.train.batch_size
        self.train(np.zeros((1, self.stack_size, batch_size), np.int32), np.zeros((1, self.stack_size)))
        self.outputs_on_train_split(np.zeros((self.stack_size, 1), np.int32))

    def _trace_train_steps(self, order: Tensor, factors: Tensor, source: Any) -> Any:
        steps = tf.shape(order)[0]

        def take_step(step: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
            indices = order[step]
            stored = self.data.train_inputs.next(source, indices)
            return step + 1, losses.write(step, self._train_step(stored, indices, factors[step]))

        losses = tf.TensorArray(tf.float32, size=steps, element_shape=[self.stack_size])
        return _loop(steps, take_step, losses).stack()

    def _train_step(self, stored: Tensor, indices: Tensor, factors: Tensor) -> Tensor:
        slots = self.slots
        inputs, targets = self._batch(stored, indices)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            weights = tf.identity(slots.weights.value)
            tape.watch(weights)
            packed = PackedValues(weights, tf.identity(slots.statistics), tf.identity(slots.seeds))
            loss, packed = self._over_slots(
                self._training_loss, packed, inputs, targets, tf.identity(self._class_weights)
            )
            # The runs share no weight, so the gradient of the sum holds each run's own gradient.
            total = tf.reduce_sum(loss)
        gradient = tape.gradient(total, weights)
        loss = tf.where(self._is_finite(packed), loss, np.nan)
        alive = tf.logical_and(slots.alive, tf.math.is_finite(loss))
        slots.alive.assign(alive)
        self._update(gradient, factors, alive)
        slots.statistics.assign(tf.where(alive[:, tf.newaxis], packed.statistics, slots.statistics))
        slots.seeds.assign(tf.where(alive[:, tf.newaxis, tf.newaxis], packed.seeds, slots.seeds))
        return loss

    def _batch(self, stored: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of one step as the model meets them, augmented where the settings say so."""
        # Numbers in double precision are those of a table, which is mixed if anything: it may be centred before.
        stored = self._centred(stored) if self._is_double else tf.cast(stored, tf.float32)
        targets = self._loss.targets(tf.gather(self.data.train_labels, indices))
        if self._loss.task == "regression":
            shift, scale = (each[:, tf.newaxis] for each in (self._target_shift, self._target_scale))
            targets = (targets - shift) / scale
        if self._augmenter:
            shift = tf.zeros(self._shift.shape) if self._is_double else tf.identity(self._shift)
            stored, targets, seeds = self._augmenter.apply_to_slots(
                stored, targets, tf.identity(self.slots.augmentation_seeds), shift
            )
            self.slots.augmentation_seeds.assign(seeds)
        return stored * self._scale[:, tf.newaxis] if self._is_double else self._standardize(stored), targets

    def _trace_update(self, gradient: Tensor, factors: Tensor, alive: Tensor) -> None:
        train, slots = self.settings.train, self.slots
        before = tf.identity(slots.weights.value)
        slots.optimizer.rate.assign(self._learning_rate * factors[:, tf.newaxis])
        if train.clip_value:
            gradient = tf.clip_by_value(gradient, -train.clip_value, train.clip_value)
        if train.clip_norm:
            norm = tf.norm(gradient, axis=1, keepdims=True)
            gradient *= train.clip_norm / tf.maximum(norm, train.clip_norm)
        slots.optimizer.apply(gradient)
        if self._packing.has_constraints:
            slots.weights.assign(tf.vectorized_map(self._packing.constrain, slots.weights.value))
        slots.weights.assign(tf.where(alive[:, tf.newaxis], slots.weights.value, before))
        if slots.averages:
            share = train.weight_average
            slots.average.assign(share * slots.average + (1 - share) * slots.weights.value)

    def _training_loss(
        self, packed: PackedValues, inputs: Tensor, targets: Tensor, class_weights: Tensor
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
        scale, shift = self._unit[:, :1], self._unit[:, 1:]
        with np.errstate(over="ignore", invalid="ignore"):  # of runs that diverge
            return np.asarray(flat * scale + shift)

    def _trace_outputs(self, indices: Tensor, source: Any) -> Any:
        packed = PackedValues(
            tf.convert_to_tensor(self.slots.evaluated),
            tf.identity(self.slots.statistics),
            tf.identity(self.slots.seeds),
        )
        is_finite = self._is_finite(packed)
        chunks = tf.shape(indices)[0]
        units = self.model.output_shape[-1]

        def evaluate_chunk(chunk: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
            # Both splits are read in the same way, so that one trace serves both.
            stored = self.data.train_inputs.next(source, indices[chunk])
            batch = self._standardize(stored)
            given = self._over_slots(self._inference, packed, batch)
            given = tf.where(is_finite[:, tf.newaxis, tf.newaxis], given, np.nan)
            return chunk + 1, outputs.write(chunk, given)

        outputs = tf.TensorArray(tf.float32, chunks, element_shape=[self.stack_size, EVALUATION_BATCH, units])
        return _loop(chunks, evaluate_chunk, outputs).stack()

    def _inference(self, packed: PackedValues, inputs: Tensor) -> Tensor:
        return self._packing.call(packed, inputs, training=False)[0]

    def _is_finite(self, packed: PackedValues) -> Tensor:
        """Whether the weights and statistics of each slot are finite, where outputs may not tell: (slots,).

        TensorFlow runs a dense layer, a convolution or a fused normalization and its ReLU as one kernel, and that makes
        zeros of what is no number. The layers of a stack are batched products, which it leaves apart.
        """
        is_finite = tf.reduce_all(tf.math.is_finite(packed.statistics), axis=1)
        if self.stack_size > 1:
            return is_finite
        return tf.logical_and(is_finite, tf.reduce_all(tf.math.is_finite(packed.weights), axis=1))

    def _standardize(self, stored: Tensor) -> Tensor:
        return self._centred(stored) * self._scale[:, tf.newaxis]

    def _centred(self, stored: Tensor) -> Tensor:
        """Stored inputs (slots, n, *input_shape) less the shift, in the precision in which they are stored."""
        return tf.cast(tf.cast(stored, self._shift.dtype) - self._shift[:, tf.newaxis], tf.float32)

    def _over_slots(self, function: Callable[..., Any], *slots: Any) -> Tensor:
        """Apply a function of one run to every slot."""
        if self.stack_size == 1:
            only = tf.nest.map_structure(lambda value: value[0], slots)
            return tf.nest.map_structure(lambda value: value[tf.newaxis], function(*only))
        return tf.vectorized_map(lambda slot: function(*slot), slots)


def _loop(number: Any, body: Callable[[Any, Any], tuple[Any, Any]], gathered: Any) -> Tensor:
    """What a loop of so many turns gathers, one turn after another: its body writes to variables."""
    _, gathered = tf.while_loop(lambda turn, _: turn < number, body, (tf.constant(0), gathered), parallel_iterations=1)
    return gathered


def _all_finite(values: Tensor) -> bool:
    return bool(np.isfinite(values).all())


def _column(values: Tensor) -> Array:
    return np.array([[value] for value in values], np.float32)
