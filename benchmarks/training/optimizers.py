"""Optimizers that do what their sources say where Keras's own do not: in form, schedule, or the place of epsilon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.training import TrainConfig


def make_optimizer(train: TrainConfig, rate: Any, layer_decays: Callable[[], Sequence[Any]]) -> Any:
    """The optimizer that the settings ask for, without weight decay but that which is a part of its step.

    Args:
        train: says which, and its coefficients.
        rate: a number, or a function that gives one.
        layer_decays: gives the weight decay of each variable, where it is a part of the step.
    """
    row = OPTIMIZERS[train.optimizer]
    arguments = dict(row.arguments) | {"learning_rate": rate, "weight_decay": None}
    for name, value in train.coefficients().items():
        if name != "learning_rate":
            arguments[row.coefficients[name].argument] = value
    if row.has_momentum_forms:
        arguments["form"] = train.momentum_form
    if row.decays_within:
        arguments["layer_decays"] = layer_decays
    return (_OWN.get(row.class_name) or getattr(keras.optimizers, row.class_name))(**arguments)


class Momentum(keras.optimizers.SGD):  # type: ignore[misc] # Keras has no types
    """SGD with momentum in a given form, with the names of `MOMENTUM_FORMS`.

    Args:
        form: how momentum, rate and gradient come together.
        arguments: of `keras.optimizers.SGD`; the momentum is more than 0.
    """

    def __init__(self, form: str = "rate_inside", **arguments: Any):
        super().__init__(**arguments)
        self.form = form

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step."""
        velocity = self.momentums[self._get_variable_index(variable)]
        # With the rate inside, the velocity is a step; else it is what the rate makes a step of.
        is_inside = self.form == "rate_inside"
        share = learning_rate if is_inside else 1 - self.momentum if self.form == "average" else 1.0
        self.assign(velocity, self.momentum * velocity + share * gradient)
        ahead = self.momentum * velocity + share * gradient if self.nesterov else velocity
        self.assign_sub(variable, ahead if is_inside else learning_rate * ahead)


class Adagrad(keras.optimizers.Adagrad):  # type: ignore[misc] # as above
    """Adagrad whose sum begins at 0, and whose epsilon is added to the root: Duchi, Hazan & Singer 2011, figure 1."""

    def __init__(self, **arguments: Any):
        super().__init__(initial_accumulator_value=0.0, **arguments)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step."""
        total = self._accumulators[self._get_variable_index(variable)]
        self.assign_add(total, ops.square(gradient))
        self.assign_sub(variable, learning_rate * gradient / (ops.sqrt(total) + self.epsilon))


class RMSprop(keras.optimizers.RMSprop):  # type: ignore[misc] # as above
    """RMSprop whose epsilon is added to the root, as in torch.optim.RMSprop."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step."""
        index = self._get_variable_index(variable)
        mean = self._velocities[index]
        self.assign(mean, self.rho * mean + (1 - self.rho) * ops.square(gradient))
        step = learning_rate * gradient / (ops.sqrt(mean) + self.epsilon)
        if self.momentum > 0:
            velocity = self._momentums[index]
            self.assign(velocity, self.momentum * velocity + step)
            step = velocity
        self.assign_sub(variable, step)


class Adam(keras.optimizers.Adam):  # type: ignore[misc] # as above
    """Adam whose epsilon is added to the corrected root: Kingma & Ba 2015, algorithm 1.

    Keras adds it to the root before its correction, which makes it up to 30 times as large in the first steps.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step."""
        mean, root = self._corrected(gradient, variable)
        self.assign_sub(variable, learning_rate * mean / (root + self.epsilon))

    def _corrected(self, gradient: Any, variable: Any) -> tuple[Any, Any]:
        """The moving mean of gradients, and the root of that of squares, both corrected for their start at 0."""
        index, step = self._get_variable_index(variable), ops.cast(self.iterations + 1, variable.dtype)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        return mean / (1 - self.beta_1**step), ops.sqrt(square / (1 - self.beta_2**step))


class NAdam(keras.optimizers.Nadam):  # type: ignore[misc] # as above
    """Adam with Nesterov momentum: Dozat 2016, whose momentum grows 250 times as slowly as that of Keras."""

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        self.assign(self._u_product, self._u_product * self._momentum_at(self.iterations + 1, self._u_product.dtype))
        # That of Keras's own class would multiply with its own momentum.
        super(keras.optimizers.Nadam, self)._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step."""
        index, dtype = self._get_variable_index(variable), variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        now, next_one = self._momentum_at(self.iterations + 1, dtype), self._momentum_at(self.iterations + 2, dtype)
        product = ops.cast(self._u_product, dtype)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        ahead = next_one * mean / (1 - product * next_one) + (1 - now) * gradient / (1 - product)
        root = ops.sqrt(square / (1 - self.beta_2**step))
        self.assign_sub(variable, learning_rate * ahead / (root + self.epsilon))

    def _momentum_at(self, step: Any, dtype: str) -> Any:
        return self.beta_1 * (1 - 0.5 * 0.96 ** (ops.cast(step, dtype) / 250))


class Lamb(Adam):
    """Adam whose step in each layer is in proportion to the layer's weights: You et al. 2020, algorithm 2.

    Args:
        layer_decays: gives the weight decay of each variable, a part of the step.
        arguments: of `keras.optimizers.Adam`.
    """

    def __init__(self, layer_decays: Callable[[], Sequence[Any]], **arguments: Any):
        super().__init__(**arguments)
        self.layer_decays = layer_decays

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take a step."""
        mean, root = self._corrected(gradient, variable)
        decay = self.layer_decays()[self._get_variable_index(variable)]
        step = mean / (root + self.epsilon) + decay * variable
        weight, length = (ops.sqrt(ops.sum(ops.square(each))) for each in (variable, step))
        is_known = ops.logical_and(weight > 0, length > 0)
        ratio = ops.where(is_known, weight / ops.where(length > 0, length, 1.0), 1.0)
        self.assign_sub(variable, learning_rate * ratio * step)


_OWN = {row.__name__: row for row in (Momentum, Adagrad, RMSprop, Adam, NAdam, Lamb)}
