"""An optimizer over packed weights."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.arrays import Tensor
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.training import TrainConfig
from benchmarks.training.optimizers import make_optimizer
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
        self.decay = tf.Variable(np.zeros((weights.shape[0], 1), np.float32))
        """The weight decay of each run."""
        self._packing, self._weights = packing, weights
        self._decays = tf.constant(packing.decays)
        self._is_coupled = train.weight_decay_form == "coupled"
        self._decays_within = row.decays_within and not self._is_coupled
        if row.is_elementwise:
            self._optimized, rate = [weights], self.rate.read_value
        else:
            self._optimized, rate = packing.separate_variables(), lambda: self.rate.read_value()[0, 0]
        self._optimizer = make_optimizer(train, rate, self._layer_decays)
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
        """Take a step, weight decay included: gradient of the packed weights (slots, parameters)."""
        weights = tf.identity(self._weights.value)
        if self._is_coupled:
            gradient += self.decay * self._decays * weights
        elif not self._decays_within:
            self._weights.assign(weights - weights * (self.rate * self.decay * self._decays))
        if self.is_elementwise:
            self._optimizer.apply([gradient], self._optimized)
            return
        for variable, part in zip(self._optimized, self._packing.weights_of(self._weights.value[0]), strict=True):
            variable.assign(part)
        self._optimizer.apply(self._packing.weights_of(gradient[0]), self._optimized)
        self._weights.assign(flatten(each.value for each in self._optimized)[tf.newaxis])

    def _layer_decays(self) -> list[Tensor]:
        return [self.decay[0, 0] * float(decays and self._decays_within) for decays in self._packing.decaying]
