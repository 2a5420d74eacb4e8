"""The variables of a model as three flat arrays with a leading run axis.

Packed, the state of a stack of runs is three tensors whatever the model: an optimizer step costs the same handful of
operations for two layers as for two hundred, and a learning rate of its own for every run is a column.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from benchmarks.arrays import Array, Tensor


class PackedValues(NamedTuple):
    """The variables of one run (or, with a leading axis, of a stack of them)."""

    weights: Tensor
    """Trainable values, float32: (parameters,)."""
    statistics: Tensor
    """Other float values, such as moving averages, float32: (values,)."""
    seeds: Tensor
    """States of the random generators, int64: (generators, 2)."""


class Packing:
    """How the variables of one model are laid out in the flat arrays."""

    def __init__(self, model: keras.Model):
        self.model = model
        other = model.non_trainable_variables
        self._statistic_positions = [index for index, value in enumerate(other) if "float" in str(value.dtype)]
        self._seed_positions = [index for index, value in enumerate(other) if "float" not in str(value.dtype)]
        self._weight_shapes = [tuple(value.shape) for value in model.trainable_variables]
        self._constraints = [value.constraint for value in model.trainable_variables]
        self._statistic_shapes = [tuple(other[index].shape) for index in self._statistic_positions]
        position = {value.path: index for index, value in enumerate(model.variables)}
        self._trainable_order = [position[value.path] for value in model.trainable_variables]
        self._other_order = [position[value.path] for value in other]

    def pack(self, values: list[Array]) -> PackedValues:
        """Pack values of one run that are listed, and shaped, as `model.variables` is."""
        other = [values[index] for index in self._other_order]
        return PackedValues(
            weights=_flat(values[index] for index in self._trainable_order),
            statistics=_flat(other[index] for index in self._statistic_positions),
            seeds=np.array([other[index] for index in self._seed_positions], dtype=np.int64).reshape(-1, 2),
        )

    def values_by_path(self, packed: PackedValues) -> dict[str, Array]:
        """The weights and statistics of one run, by the paths of the model's variables and of their shapes."""
        other = self.model.non_trainable_variables
        variables = [*self.model.trainable_variables, *(other[index] for index in self._statistic_positions)]
        parts = [*self.weights_of(packed.weights), *_unflat(packed.statistics, self._statistic_shapes)]
        return {variable.path: np.asarray(part) for variable, part in zip(variables, parts, strict=True)}

    @property
    def decaying(self) -> list[bool]:
        """Which trainable variables decay: kernels do, biases and gains of normalization do not."""
        kernels = {id(layer.kernel) for layer in self.model.layers if hasattr(layer, "kernel_initializer")}
        return [id(value) in kernels for value in self.model.trainable_variables]

    @property
    def decays(self) -> Array:
        """Which packed weights decay, 1 or 0: (parameters,)."""
        return _flat(np.full(shape, each) for shape, each in zip(self._weight_shapes, self.decaying, strict=True))

    def weights_of(self, packed: Tensor) -> list[Tensor]:
        """The packed weights (parameters,) of one run, variable by variable and of their shapes."""
        return _unflat(packed, self._weight_shapes)

    def separate_variables(self) -> list[keras.Variable]:
        """Variables of the weights' own shapes and names, for optimizers that need to tell layers apart."""
        return [
            keras.Variable(np.zeros(value.shape, np.float32), name=value.path.replace("/", "_"))
            for value in self.model.trainable_variables
        ]

    @property
    def has_constraints(self) -> bool:
        """Whether some weights are projected after each step."""
        return any(self._constraints)

    def constrain(self, weights: Tensor) -> Tensor:
        """Packed weights (parameters,) of one run as the constraints of their layers leave them, of the same shape."""
        parts = self.weights_of(weights)
        projected = [part if each is None else each(part) for part, each in zip(parts, self._constraints, strict=True)]
        return flatten(projected)

    def call(self, packed: PackedValues, inputs: Tensor, *, training: bool) -> tuple[Tensor, Tensor, PackedValues]:
        """Apply the model of one run.

        Args:
            packed: its variables, without a leading axis.
            inputs: (batch, *input_shape).
            training: whether it is a step of the training.

        Returns:
            Outputs (batch, units), the penalty on the weights, a scalar, and the variables as the call leaves them.
        """
        weights = self.weights_of(packed.weights)
        outputs, updated, penalties = self.model.stateless_call(
            weights, self.other_values(packed), inputs, training=training, return_losses=True
        )
        statistics, seeds = packed.statistics, packed.seeds
        if self._statistic_positions:
            statistics = flatten([updated[index] for index in self._statistic_positions])
        if self._seed_positions:
            seeds = tf.stack([tf.cast(updated[index], tf.int64) for index in self._seed_positions])
        return outputs, tf.add_n([tf.zeros([]), *penalties]), PackedValues(packed.weights, statistics, seeds)

    def other_values(self, packed: PackedValues) -> list[Tensor]:
        """The values of the variables of one run that are not trained, in the model's order and of their shapes."""
        other: list[Any] = [None] * (len(self._statistic_positions) + len(self._seed_positions))
        statistics = _unflat(packed.statistics, self._statistic_shapes)
        for index, value in zip(self._statistic_positions, statistics, strict=True):
            other[index] = value
        for row, index in enumerate(self._seed_positions):
            other[index] = packed.seeds[row]
        return other


def flatten(parts: Iterable[Any]) -> Tensor:
    """Tensors of any shapes, end to end as one of shape (values,)."""
    return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)


def _flat(values: Iterable[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.float32), *(np.ravel(value) for value in values)]).astype(np.float32)


def _unflat(flat: Tensor, shapes: list[tuple[int, ...]]) -> list[Tensor]:
    if not shapes:
        return []
    parts = tf.split(flat, [int(np.prod(shape)) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]
