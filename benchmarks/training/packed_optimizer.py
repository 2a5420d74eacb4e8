"""An optimizer over packed weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.arrays import Tensor
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.training import TrainConfig
from benchmarks.training.packing import Packing, flatten


class PackedOptimizer:
    """One Keras optimizer for the packed weights (slots, parameters) of a stack, each run with a rate of its own.

    One that looks at whole layers has variables of the layers' own shapes beside the packed weights, and one run.
    """

    def __init__(self, train: TrainConfig, packing: Packing, weights: keras.Variable):
        row = OPTIMIZERS[train.optimizer]
        self.is_elementwise = row.is_elementwise
        self.rate = tf.Variable(np.zeros((weights.shape[0], 1), np.float32))
        """Of the step under way: the run's learning rate times the schedule's factor."""
        self._packing, self._weights = packing, weights
        coefficients = {
            argument: default if getattr(train, setting) is None else getattr(train, setting)
            for setting, (argument, default) in row.coefficients.items()
        }
        # Weight decay is the program's, since it is a number a run.
        arguments = dict(row.arguments) | coefficients | {"weight_decay": None}
        if row.is_elementwise:
            self._optimized, rate = [weights], self.rate.read_value
        else:
            self._optimized, rate = packing.separate_variables(), lambda: self.rate.read_value()[0, 0]
        self._optimizer = getattr(keras.optimizers, row.keras_class)(learning_rate=rate, **arguments)
        self._optimizer.build(self._optimized)
        self._start = [np.asarray(variable) for variable in self.variables]

    @property
    def variables(self) -> list[Tensor]:
        """All that its steps change but the weights."""
        return list(self._optimizer.variables)

    def start(self) -> None:
        """Begin anew."""
        for variable, value in zip(self.variables, self._start, strict=True):
            variable.assign(value)

    def is_by_slot(self, variable: Any) -> bool:
        """Whether one of its variables has an entry for each slot, or one for all."""
        return self.is_elementwise and tuple(variable.shape) == tuple(self._weights.shape)

    def apply(self, gradient: Tensor) -> None:
        """Take a step: gradient of the packed weights (slots, parameters)."""
        if self.is_elementwise:
            self._optimizer.apply([gradient], self._optimized)
            return
        for variable, part in zip(self._optimized, self._packing.weights_of(self._weights.value[0]), strict=True):
            variable.assign(part)
        self._optimizer.apply(self._packing.weights_of(gradient[0]), self._optimized)
        self._weights.assign(flatten(each.value for each in self._optimized)[tf.newaxis])
