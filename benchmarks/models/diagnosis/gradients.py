"""Gradient check of a network on one batch: a wrong gradient is told from a kink of the loss.

Who has a network has imported Keras and TensorFlow; whoever only looks at this module need not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.arrays import Array, Tensor
from benchmarks.models.diagnosis.networks import (
    LossOfOutputs,
    checked_loss,
    gradients_of,
    in_double_precision,
    training_call,
)
from zoo.arguments import checked_seed
from zoo.seeds import child_seed
from zoo.settings import Problem, SettingError

if TYPE_CHECKING:
    import keras

STEPS = (1e-5, 1e-7)
"""How far a tensor of weights is moved to either side for a difference quotient, as a Euclidean length.

The better one counts: the fewer units cross the kink of a ReLU the shorter a step is, and the more rounding does, while
a gradient that is wrong is wrong at any step.
"""
LARGEST_ERROR = 1e-4
"""Relative error up to which a gradient counts as right: a wrong one is off by far more."""
SINGLE_WEIGHTS = 20
"""Weights of a tensor that are moved one by one where its gradient disagrees."""
BESIDE = 1e-3
"""Standard deviation by which all weights are moved away from kinks that lie where they stand."""

_ROUNDING = 1e-15
"""Relative error of a loss in double precision."""


@dataclass(frozen=True)
class GradientCheck:
    """How well the gradient of one tensor of weights agrees with a difference quotient."""

    path: str
    """Of the variable in the model."""
    derivative: float
    """Along the direction in which it was checked, from the gradient."""
    relative_error: float
    """|gradient's - quotient's| / the larger of both, where they are above what rounding does. With kinks where the
    weights stand, that of weights beside them."""
    kinks: float = 0.0
    """Share of the lines through the weights on which the loss has a kink, as at the corner of a ReLU. The tensor's
    direction and single weights are looked at where the gradient disagrees with the quotient; elsewhere it is 0."""

    @property
    def is_right(self) -> bool:
        """Whether both agree."""
        return self.relative_error <= LARGEST_ERROR  # NaN is not


def check_gradients(model: keras.Model, inputs: Array, loss: LossOfOutputs, seed: int | None) -> list[GradientCheck]:
    """Compare the gradient of each tensor of weights with a central difference quotient, in double precision.

    A tensor is moved along its gradient and a random direction at once: the first makes the derivative as large as it
    can be, the second meets an error of any entry. The model is as in training: batch normalization uses the batch's
    statistics, and each evaluation drops the same units.

    Where a unit stands at the corner of its ReLU, as with a bias of zero on an input of zero, the quotient is no
    derivative, and a gradient that disagrees with it is not wrong for that. There the slopes to both sides differ
    however short the step is. All weights are then moved a little, off the corners, and the gradient there decides: an
    error of the backward pass is there as well.

    Args:
        model: functional or sequential in any precision, or any that computes in double precision; it is not changed.
        inputs: of one batch.
        loss: mean loss of the batch from the model's outputs, in double precision if they are.
        seed: of the random directions; None: a random one.

    Returns:
        One result for each trainable variable, in the model's order.

    Raises:
        SettingError: the model has not been built or cannot be made to compute in double precision; or the loss does
            not follow from its outputs as one number in double precision.
    """
    doubled = in_double_precision(model)
    loss_of = _training_loss(doubled, inputs, loss)
    generator = np.random.default_rng(child_seed(checked_seed(seed), "gradient_check"))
    weights = [np.asarray(each) for each in doubled.trainable_variables]
    moved = [each + BESIDE * generator.standard_normal(each.shape) for each in weights]
    here, beside = _Point(loss_of, weights), _Point(loss_of, moved)

    def checked(place: int, path: str) -> GradientCheck:
        direction = _direction(here.gradients[place], generator)
        derivative, error = here.compared(place, direction)
        if not np.isfinite(derivative) or error <= LARGEST_ERROR:
            return GradientCheck(path, derivative, error)
        kinks = here.kinks(place, [direction, *_single_weights(weights[place], generator)])
        if kinks:
            derivative, error = beside.compared(place, _direction(beside.gradients[place], generator))
        return GradientCheck(path, derivative, error, kinks)

    return [checked(place, each.path) for place, each in enumerate(model.trainable_variables)]


@dataclass(frozen=True)
class _Point:
    """Weights, and the loss about them."""

    loss_of: Callable[[Sequence[Any]], Tensor]
    weights: list[Array]

    @cached_property
    def total(self) -> float:
        return float(self.loss_of(self.weights))

    @cached_property
    def gradients(self) -> list[Array]:
        import tensorflow as tf

        watched = [tf.constant(each) for each in self.weights]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            total = self.loss_of(watched)
        return [np.asarray(each) for each in gradients_of(tape, total, watched)]

    def compared(self, place: int, direction: Array) -> tuple[float, float]:
        """The derivative along a direction from the gradient, and its relative error at the better step."""
        derivative = float(np.sum(self.gradients[place] * direction))

        def error(step: float) -> float:
            quotient = sum(self._slopes(place, direction, step)) / 2
            least = _ROUNDING * max(1.0, abs(self.total)) / (step * LARGEST_ERROR)
            return abs(quotient - derivative) / max(abs(quotient), abs(derivative), least)

        return derivative, min(map(error, STEPS))

    def kinks(self, place: int, directions: Sequence[Array]) -> float:
        """The share of directions along which the slopes to both sides differ, and not less at a shorter step."""

        def has_kink(direction: Array) -> bool:
            far, near = (abs(ahead - behind) for behind, ahead in (self._slopes(place, direction, s) for s in STEPS))
            noise = 20 * _ROUNDING * max(1.0, abs(self.total)) / STEPS[-1]
            return near > noise and far / 10 < near < far * 10  # a hundredth if it is smooth, hundredfold if rounded

        return float(np.mean([has_kink(direction) for direction in directions]))

    def _slopes(self, place: int, direction: Array, step: float) -> tuple[float, float]:
        """Difference quotients to either side: behind and ahead."""
        ahead, behind = (
            float(self.loss_of([*self.weights[:place], self.weights[place] + moved, *self.weights[place + 1 :]]))
            for moved in (step * direction, -step * direction)
        )
        return (self.total - behind) / step, (ahead - self.total) / step


def _training_loss(model: keras.Model, inputs: Array, loss: LossOfOutputs) -> Callable[[Sequence[Any]], Tensor]:
    """The loss in training, penalties included, as a function of the trainable weights."""
    import tensorflow as tf

    fixed = [tf.identity(each.value) for each in model.non_trainable_variables]

    def training_loss(weights: Sequence[Any]) -> Tensor:
        outputs, penalties = training_call(model, weights, fixed, inputs)
        total = checked_loss(loss, outputs)
        if total.dtype != tf.float64:
            message = "single precision is too coarse for difference quotients"
            allowed = 'a loss in the precision of the outputs; of keras.losses, one made with dtype="float64"'
            raise SettingError([Problem("loss", message, total.dtype.name, allowed)])
        return tf.add_n([total, *(tf.cast(each, tf.float64) for each in penalties)])

    compiled: Callable[[Sequence[Any]], Tensor] = tf.function(training_loss, autograph=False)
    return compiled


def _direction(gradient: Array, generator: np.random.Generator) -> Array:
    """Of length one: the gradient's and a random one on its side, half each."""
    random = generator.standard_normal(gradient.shape)
    direction = random / np.linalg.norm(np.ravel(random))
    length = np.linalg.norm(np.ravel(gradient))
    if np.isfinite(length) and length > 0:
        side = -1.0 if np.sum(gradient * direction) < 0 else 1.0
        direction = side * direction + gradient / length
    return np.asarray(direction / np.linalg.norm(np.ravel(direction)))


def _single_weights(weights: Array, generator: np.random.Generator) -> list[Array]:
    """Directions that change one weight each, some of all drawn at random."""
    places = generator.permutation(weights.size)[:SINGLE_WEIGHTS]
    return [np.reshape(np.arange(weights.size) == place, weights.shape).astype(np.float64) for place in places]
