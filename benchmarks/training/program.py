"""The compiled program: one trace that trains many runs, alone or in stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from benchmarks.data.loading import Dataset
from benchmarks.data.standardization import Standardization
from benchmarks.settings import RunSettings
from benchmarks.training.optimizers import OPTIMIZERS
from benchmarks.training.packing import PackedValues, Packing

Array = np.ndarray[Any, Any]

SMALL_MODEL = 50_000
"""Parameters up to which a dense model counts as small: its weights and gradients stay in the processor's caches."""

EVALUATION_BATCH = 256
"""Examples that are evaluated at once; the last batch is padded, so that one trace serves all splits."""


@dataclass(frozen=True)
class DatasetOnDevice:
    """A dataset as tensors, shared by all programs that read it."""

    train_inputs: Any
    train_labels: Any
    test_inputs: Any
    test_labels: Any

    @classmethod
    def of(cls, dataset: Dataset) -> DatasetOnDevice:
        """Hand a dataset to TensorFlow."""
        parts = (dataset.train.inputs, dataset.train.labels, dataset.test.inputs, dataset.test.labels)
        return cls(*(tf.constant(part) for part in parts))


@dataclass(frozen=True)
class Evaluation:
    """Sums over evaluated examples, one value a slot: (slots,)."""

    accuracy: Array
    loss: Array


class Program:
    """Trains runs that share the shape of their computation.

    The runs of a stack sit in numbered slots. All share one trace; each has its own weights, seeds, data order,
    standardization and learning rate. A stack always has `stack_size` slots: where runs are missing, copies fill it
    up, so that the arithmetic of a run stays the same whatever is trained beside it.

    Args:
        settings: settings of any of the runs; what shapes the program must be the same in all.
        dataset: for the shape of its examples and the number of classes.
        data: the same dataset as tensors.
    """

    def __init__(self, settings: RunSettings, dataset: Dataset, data: DatasetOnDevice):
        self.settings = settings
        self.data = data
        self.model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, seed=0)
        self.parameters = zoo.count_parameters(self.model)
        self.stack_size = stack_size_of(self.model)
        self._packing = Packing(self.model)
        self._make_variables()
        # An optimizer step is a dozen small operations over all weights; XLA makes one pass of them.
        self._update = tf.function(self._trace_update, jit_compile=True)
        batch_size = settings.train.batch_size
        self._train_steps = tf.function(
            self._trace_train_steps,
            input_signature=[tf.TensorSpec([None, self.stack_size, batch_size], tf.int32)],
        )
        self._evaluate = tf.function(self._trace_evaluate, input_signature=self._evaluation_signature())
        self._trace(batch_size)

    def start(
        self,
        settings: Sequence[RunSettings],
        seeds: Sequence[int],
        standardizations: Sequence[Standardization],
    ) -> None:
        """Set up a stack: initial weights, fresh optimizer; one entry a slot in each argument."""
        packed = [
            self._packing.pack(zoo.initial_values(self.model, each.model, seed))
            for each, seed in zip(settings, seeds, strict=True)
        ]
        self._weights.assign(np.stack([values.weights for values in packed]))
        self._statistics.assign(np.stack([values.statistics for values in packed]))
        self._seeds.assign(np.stack([values.seeds for values in packed]))
        self._learning_rate.assign(np.array([[each.train.learning_rate] for each in settings], np.float32))
        self._shift.assign(np.stack([each.shift for each in standardizations]))
        self._scale.assign(np.stack([each.scale for each in standardizations]))
        for variable, value in zip(self._optimizer.variables, self._optimizer_start, strict=True):
            variable.assign(value)

    def train(self, order: Array) -> Array:
        """Train one step after another.

        Args:
            order: indices of the examples of each step: (steps, slots, batch_size).

        Returns:
            The mean loss of each step's batch: (steps, slots).
        """
        return np.asarray(self._train_steps(tf.constant(order, tf.int32)))

    def evaluate_train_split(self, indices: Array) -> Evaluation:
        """Evaluate on examples of the official training split, such as the validation part: (slots, n) indices."""
        return self._evaluate_on(self.data.train_inputs, self.data.train_labels, indices)

    def evaluate_test_split(self) -> Evaluation:
        """Evaluate on the whole test split."""
        indices = np.arange(len(self.data.test_labels), dtype=np.int32)
        return self._evaluate_on(self.data.test_inputs, self.data.test_labels, np.tile(indices, (self.stack_size, 1)))

    def _make_variables(self) -> None:
        start = self._packing.pack([np.asarray(variable) for variable in self.model.variables])
        shape = self.model.input_shape[1:]
        slots = self.stack_size
        # Keras's optimizers take Keras variables; the rest needs none of what those add.
        self._weights = keras.Variable(np.tile(start.weights, (slots, 1)), name="weights")
        self._statistics = tf.Variable(np.tile(start.statistics, (slots, 1)))
        self._seeds = tf.Variable(np.tile(start.seeds, (slots, 1, 1)))
        self._learning_rate = tf.Variable(np.zeros((slots, 1), np.float32))
        self._shift = tf.Variable(np.zeros((slots, *shape), np.float32))
        self._scale = tf.Variable(np.ones((slots, *shape), np.float32))
        row = OPTIMIZERS[self.settings.train.optimizer]
        self._optimizer = getattr(keras.optimizers, row.keras_class)(
            learning_rate=self._learning_rate.read_value, **row.arguments
        )
        self._optimizer.build([self._weights])
        self._optimizer_start = [np.asarray(variable) for variable in self._optimizer.variables]

    def _trace(self, batch_size: int) -> None:
        """Trace and compile everything on one example, so that no run's time holds it; `start` sets all values anew."""
        self.train(np.zeros((1, self.stack_size, batch_size), np.int32))
        self.evaluate_train_split(np.zeros((self.stack_size, 1), np.int32))

    def _trace_train_steps(self, order: Any) -> Any:
        steps = tf.shape(order)[0]
        losses = tf.TensorArray(tf.float32, size=steps, element_shape=[self.stack_size])
        for step in tf.range(steps):
            losses = losses.write(step, self._train_step(order[step]))
        return losses.stack()

    def _train_step(self, indices: Any) -> Any:
        inputs = self._read_inputs(self.data.train_inputs, indices)
        labels = tf.gather(self.data.train_labels, indices)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            weights = tf.identity(self._weights.value)
            tape.watch(weights)
            packed = PackedValues(weights, tf.identity(self._statistics), tf.identity(self._seeds))
            loss, packed = self._over_slots(self._training_loss, packed, inputs, labels)
            # The runs share no weight, so the gradient of the sum holds each run's own gradient.
            total = tf.reduce_sum(loss)
        gradient = tape.gradient(total, weights)
        self._update(gradient)
        self._statistics.assign(packed.statistics)
        self._seeds.assign(packed.seeds)
        return loss

    def _trace_update(self, gradient: Any) -> None:
        self._optimizer.apply([gradient], [self._weights])
        if self._packing.has_constraints:
            self._weights.assign(tf.vectorized_map(self._packing.constrain, self._weights.value))

    def _training_loss(self, packed: PackedValues, inputs: Any, labels: Any) -> tuple[Any, PackedValues]:
        logits, penalty, packed = self._packing.call(packed, inputs, training=True)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        return tf.reduce_mean(loss) + penalty, packed

    def _evaluate_on(self, inputs: Any, labels: Any, indices: Array) -> Evaluation:
        count = indices.shape[1]
        chunks = -(-count // EVALUATION_BATCH)
        padded = np.zeros((self.stack_size, chunks * EVALUATION_BATCH), np.int32)
        padded[:, :count] = indices
        counted = np.arange(chunks * EVALUATION_BATCH) < count
        correct, loss = self._evaluate(
            inputs,
            labels,
            tf.constant(np.moveaxis(padded.reshape(self.stack_size, chunks, EVALUATION_BATCH), 0, 1)),
            tf.constant(counted.reshape(chunks, EVALUATION_BATCH)),
        )
        # Counts are exact; float64 keeps equal accuracies equal when differences are taken.
        return Evaluation(*(np.asarray(total, np.float64) / count for total in (correct, loss)))

    def _evaluation_signature(self) -> list[tf.TensorSpec]:
        stored = self.data.train_inputs
        return [
            tf.TensorSpec([None, *stored.shape[1:]], stored.dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, self.stack_size, EVALUATION_BATCH], tf.int32),
            tf.TensorSpec([None, EVALUATION_BATCH], tf.bool),
        ]

    def _trace_evaluate(self, inputs: Any, labels: Any, indices: Any, counted: Any) -> tuple[Any, Any]:
        packed = PackedValues(self._weights.value, tf.identity(self._statistics), tf.identity(self._seeds))
        correct = tf.zeros([self.stack_size])
        loss = tf.zeros([self.stack_size])
        for chunk in tf.range(tf.shape(indices)[0]):
            batch_inputs = self._read_inputs(inputs, indices[chunk])
            batch_labels = tf.gather(labels, indices[chunk])
            logits = self._over_slots(self._inference, packed, batch_inputs)
            right = tf.cast(tf.equal(tf.argmax(logits, -1, output_type=tf.int32), batch_labels), tf.float32)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(batch_labels, logits)
            # A padding example counts 0; its loss may be infinite, so it is left out and not multiplied away.
            correct += tf.reduce_sum(tf.where(counted[chunk], right, 0.0), -1)
            loss += tf.reduce_sum(tf.where(counted[chunk], losses, 0.0), -1)
        return correct, loss

    def _inference(self, packed: PackedValues, inputs: Any) -> Any:
        return self._packing.call(packed, inputs, training=False)[0]

    def _read_inputs(self, inputs: Any, indices: Any) -> Any:
        """Standardized inputs (slots, n, *shape) of the examples at indices (slots, n)."""
        stored = tf.cast(tf.gather(inputs, indices), tf.float32)
        return (stored - self._shift[:, tf.newaxis]) * self._scale[:, tf.newaxis]

    def _over_slots(self, function: Callable[..., Any], packed: PackedValues, *arguments: Any) -> Any:
        """Apply a function of one run to every slot."""
        slots = (packed, *arguments)
        if self.stack_size == 1:
            only = tf.nest.map_structure(lambda value: value[0], slots)
            return tf.nest.map_structure(lambda value: value[tf.newaxis], function(*only))
        return tf.vectorized_map(lambda slot: function(*slot), slots)


def stack_size_of(model: keras.Model) -> int:
    """How many runs of a model are trained at once.

    Small dense models gain most: their steps are mostly the cost of starting operations. The gradient of a vectorized
    convolution falls back to a loop and is some fifty times slower, so those runs go one after another.
    """
    if any(isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D) for layer in model.layers):
        return 1
    return 5 if zoo.count_parameters(model) <= SMALL_MODEL else 3
