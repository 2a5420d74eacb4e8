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
        self._weights = model.trainable_variables
        self._others = model.non_trainable_variables
        self._statistics = [each for each in self._others if "float" in str(each.dtype)]
        self._seeds = [each for each in self._others if "float" not in str(each.dtype)]

    def pack(self, values: list[Array]) -> PackedValues:
        """Pack values of one run that are listed, and shaped, as `model.variables` is."""
        by_path = _by_path(self.model.variables, values)
        return PackedValues(
            weights=_flat(by_path[each.path] for each in self._weights),
            statistics=_flat(by_path[each.path] for each in self._statistics),
            seeds=np.array([by_path[each.path] for each in self._seeds], dtype=np.int64).reshape(-1, 2),
        )

    def values_by_path(self, packed: PackedValues) -> dict[str, Array]:
        """The weights and statistics of one run, by the paths of the model's variables and of their shapes."""
        parts = [*self.weights_of(packed.weights), *_unflat(packed.statistics, self._statistics)]
        return _by_path([*self._weights, *self._statistics], map(np.asarray, parts))

    @property
    def decaying(self) -> list[bool]:
        """Which trainable variables decay: kernels do, biases and gains of normalization do not."""
        kernels = {id(layer.kernel) for layer in self.model.layers if hasattr(layer, "kernel_initializer")}
        return [id(each) in kernels for each in self._weights]

    @property
    def decays(self) -> Array:
        """Which packed weights decay, 1 or 0: (parameters,)."""
        return _flat(np.full(each.shape, decays) for each, decays in zip(self._weights, self.decaying, strict=True))

    def weights_of(self, packed: Tensor) -> list[Tensor]:
        """The packed weights (parameters,) of one run, variable by variable and of their shapes."""
        return _unflat(packed, self._weights)

    def separate_variables(self) -> list[keras.Variable]:
        """Variables of the weights' own shapes and names, for optimizers that need to tell layers apart."""
        return [
            keras.Variable(np.zeros(each.shape, np.float32), name=each.path.replace("/", "_")) for each in self._weights
        ]

    @property
    def has_constraints(self) -> bool:
        """Whether some weights are projected after each step."""
        return any(each.constraint for each in self._weights)

    def constrain(self, weights: Tensor) -> Tensor:
        """Packed weights (parameters,) of one run as the constraints of their layers leave them, of the same shape."""
        parts = zip(self.weights_of(weights), self._weights, strict=True)
        return flatten(each.constraint(part) if each.constraint else part for part, each in parts)

    def call(self, packed: PackedValues, inputs: Tensor, *, training: bool) -> tuple[Tensor, Tensor, PackedValues]:
        """Apply the model of one run, whose variables have no leading axis, to inputs (batch, *input_shape).

        Returns:
            Outputs (batch, units), the penalty on the weights, a scalar, and the variables as the call leaves them.
        """
        weights = self.weights_of(packed.weights)
        outputs, updated, penalties = self.model.stateless_call(
            weights, self.other_values(packed), inputs, training=training, return_losses=True
        )
        by_path = _by_path(self._others, updated)
        statistics, seeds = packed.statistics, packed.seeds
        if self._statistics:
            statistics = flatten(by_path[each.path] for each in self._statistics)
        if self._seeds:
            seeds = tf.stack([tf.cast(by_path[each.path], tf.int64) for each in self._seeds])
        return outputs, tf.add_n([tf.zeros([]), *penalties]), PackedValues(packed.weights, statistics, seeds)

    def other_values(self, packed: PackedValues) -> list[Tensor]:
        """The values of the variables of one run that are not trained, in the model's order and of their shapes."""
        by_path = _by_path(self._statistics, _unflat(packed.statistics, self._statistics))
        by_path |= {each.path: packed.seeds[row] for row, each in enumerate(self._seeds)}
        return [by_path[each.path] for each in self._others]


def flatten(parts: Iterable[Any]) -> Tensor:
    """Tensors of any shapes, end to end as one of shape (values,)."""
    return tf.concat([tf.reshape(part, [-1]) for part in parts], 0)


def _flat(values: Iterable[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.float32), *(np.ravel(value) for value in values)]).astype(np.float32)


def _unflat(flat: Tensor, variables: list[Any]) -> list[Tensor]:
    if not variables:
        return []
    parts = tf.split(flat, [int(np.prod(each.shape)) for each in variables])
    return [tf.reshape(part, each.shape) for part, each in zip(parts, variables, strict=True)]


def _by_path(variables: Iterable[Any], values: Iterable[Any]) -> dict[str, Any]:
    return {variable.path: value for variable, value in zip(variables, values, strict=True)}
