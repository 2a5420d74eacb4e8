"""How a compiled program gets at the inputs of a split: in the device's memory, or streamed through `tf.data`.

Both give the same numbers in the same order, so a run comes out the same whichever it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.arrays import Array, Tensor
from benchmarks.augmentation.augmenter import ValueRange, value_range_of
from benchmarks.data.dataset import Dataset

BATCHES_AHEAD = 4
"""Batches that are read while others are trained on."""


class InputsInMemory:
    """Inputs (examples, *input_shape) as one tensor, of which batches are gathered."""

    def __init__(self, inputs: Array):
        self._tensor = tf.constant(inputs)

    def source(self, _indices: Array) -> Any:
        """What a compiled function is handed to read the examples at indices (calls, slots, n), call after call."""
        return self._tensor

    def signature(self, _slots: int, _batch_size: int) -> Any:
        """The type of what `source` gives."""
        return tf.TensorSpec([None, *self._tensor.shape[1:]], self._tensor.dtype)

    def next(self, source: Any, indices: Tensor) -> Tensor:
        """Within a compiled function: the stored examples (slots, n, *input_shape) of the next indices (slots, n)."""
        return tf.gather(source, indices)

    def read(self, indices: Array) -> Tensor:
        """The stored examples (slots, n, *input_shape) at indices (slots, n), outside a compiled function."""
        return tf.gather(self._tensor, indices)


class StreamedInputs:
    """Inputs (examples, *input_shape) that stay in their file; batches are read ahead of the steps that need them."""

    def __init__(self, inputs: Array):
        self._inputs = inputs

    def source(self, indices: Array) -> Any:
        """An iterator over batches."""
        shape = [*indices.shape[1:], *self._inputs.shape[1:]]

        def read(of_call: Tensor) -> Tensor:
            batch = tf.numpy_function(self._rows, [of_call], tf.as_dtype(self._inputs.dtype), stateful=False)
            return tf.ensure_shape(batch, shape)

        calls = tf.data.Dataset.from_tensor_slices(tf.constant(indices, tf.int32))
        return iter(calls.map(read, num_parallel_calls=1, deterministic=True).prefetch(BATCHES_AHEAD))

    def signature(self, slots: int, batch_size: int) -> Any:
        """An iterator over batches of one shape."""
        batch = tf.TensorSpec([slots, batch_size, *self._inputs.shape[1:]], tf.as_dtype(self._inputs.dtype))
        return tf.data.IteratorSpec(batch)

    def next(self, source: Any, _indices: Tensor) -> Tensor:
        """Take the batch that was read ahead."""
        return source.get_next()

    def read(self, indices: Array) -> Tensor:
        """Read them from the file."""
        return tf.constant(self._rows(indices))

    def _rows(self, indices: Array) -> Array:
        return np.asarray(self._inputs[indices])


Inputs = InputsInMemory | StreamedInputs
"""The inputs of one split."""


@dataclass(frozen=True)
class DatasetOnDevice:
    """A dataset as compiled programs read it, shared by all of them; its labels are always in memory."""

    dataset: Dataset
    train_inputs: Inputs
    train_labels: Tensor
    """(examples,), as those of the test split; targets of a regression less their origin, in single precision."""
    target_origin: float
    """The mean of the training targets, in double precision; 0 for classes."""
    test_inputs: Inputs
    test_labels: Tensor

    @classmethod
    def of(cls, dataset: Dataset, most_bytes: float = float("inf")) -> DatasetOnDevice:
        """Hand a dataset to TensorFlow; inputs that take more than `most_bytes` are streamed."""
        kind = InputsInMemory if dataset.num_bytes <= most_bytes else StreamedInputs
        is_regression = dataset.task == "regression"
        origin = float(dataset.train.labels.mean()) if is_regression else 0.0
        train_labels, test_labels = (
            tf.constant((each.labels - origin).astype(np.float32) if is_regression else each.labels)
            for each in (dataset.train, dataset.test)
        )
        return cls(dataset, kind(dataset.train.inputs), train_labels, origin, kind(dataset.test.inputs), test_labels)

    @cached_property
    def value_range(self) -> ValueRange:
        """The range of the stored training inputs, for which all of them are read."""
        return value_range_of(self.dataset.train.inputs)
