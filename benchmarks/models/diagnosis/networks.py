"""Gradient check and flow of signals of one network on one batch, in double precision.

Who has a network has imported Keras and TensorFlow; whoever only looks at this module need not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.arrays import Array, Tensor
from zoo.seeds import child_seed

if TYPE_CHECKING:
    import keras

LossOfOutputs = Callable[[Any], Any]
"""Mean loss of a batch from the model's outputs for it."""

STEPS = (1e-5, 1e-7)
"""How far a tensor of weights is moved to either side for a difference quotient, as a Euclidean length.

The better one counts: the fewer units cross the kink of a ReLU the shorter a step is, and the more rounding does, while
a gradient that is wrong is wrong at any step.
"""
LARGEST_ERROR = 1e-4
"""Relative error up to which a gradient counts as right: kinks are met, and a wrong one is off by far more."""
VANISHING = 1e-3
"""Share of the last layer's gradient below which that of the first counts as vanished; above 1 / this, as exploded."""

_ROUNDING = 1e-15
"""Relative error of a loss in double precision."""
_IDLE = 1e-9
"""Standard deviation over a batch, as a share of the layer's largest output, up to which a unit counts as idle."""


@dataclass(frozen=True)
class GradientCheck:
    """How well the gradient of one tensor of weights agrees with a difference quotient."""

    path: str
    """Of the variable in the model."""
    derivative: float
    """Along the direction in which it was checked, from the gradient."""
    relative_error: float
    """|gradient's - quotient's| / the larger of both, where they are above what rounding does."""

    @property
    def is_right(self) -> bool:
        """Whether both agree."""
        return self.relative_error <= LARGEST_ERROR  # NaN is not


@dataclass(frozen=True)
class LayerSignal:
    """What passes one layer of weights, forwards and backwards."""

    name: str
    output_deviation: float
    """Standard deviation of its outputs, before any activation, over batch and units."""
    gradient_norm: float
    """Euclidean length of the gradient of the loss by its outputs, over batch and units."""


@dataclass(frozen=True)
class Signal:
    """What passes a network on one batch."""

    loss: float
    layers: tuple[LayerSignal, ...]
    """The layers of weights, from the inputs on."""
    idle_units: float
    """Share of hidden units (channels, for images) that give the same for all examples: dead, or saturated."""

    @property
    def gradient_ratio(self) -> float:
        """Gradient at the first layer of weights, as a share of that at the last."""
        first, last = self.layers[0].gradient_norm, self.layers[-1].gradient_norm
        return first / last if last else float("nan")

    @property
    def finding(self) -> str:
        """What becomes of the gradient on its way back to the first layer, in a word."""
        if not np.isfinite(self.gradient_ratio):
            return "not finite"
        if self.gradient_ratio < VANISHING:
            return "vanishes"
        return "explodes" if self.gradient_ratio > 1 / VANISHING else "arrives"


def in_double_precision(model: keras.Model) -> keras.Model:
    """The same functional model with the same values, computing in double precision."""
    import keras

    def doubled(operation: Any) -> Tensor:
        own = {"dtype": "float64"} if isinstance(operation, keras.Layer) else {}
        return type(operation).from_config(operation.get_config() | own)

    made = keras.models.clone_model(model, clone_function=doubled)
    made.set_weights(model.get_weights())
    return made


def check_gradients(model: keras.Model, inputs: Array, loss: LossOfOutputs, seed: int) -> list[GradientCheck]:
    """Compare the gradient of each tensor of weights with a central difference quotient.

    A tensor is moved along its gradient and a random direction at once: the first makes the derivative as large as it
    can be, the second meets an error of any entry. The model is as in training: batch normalization uses the batch's
    statistics, and each evaluation drops the same units.

    Args:
        model: in double precision, from `in_double_precision`.
        inputs: of one batch.
        loss: mean loss of the batch from the model's outputs.
        seed: of the random directions.

    Returns:
        One result for each trainable variable, in the model's order.
    """
    import tensorflow as tf

    weights = [tf.identity(each.value) for each in model.trainable_variables]
    fixed = [tf.identity(each.value) for each in model.non_trainable_variables]

    def training_loss(moved: Sequence[Any]) -> Tensor:
        outputs, _, penalties = model.stateless_call(moved, fixed, inputs, training=True, return_losses=True)
        return tf.add_n([loss(outputs), *penalties])

    loss_of = tf.function(training_loss, autograph=False)

    with tf.GradientTape() as tape:
        tape.watch(weights)
        total = loss_of(weights)
    gradients = tape.gradient(total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    generator = np.random.default_rng(child_seed(seed, "gradient_check"))

    def checked(place: int, path: str, gradient: Array) -> GradientCheck:
        direction = _direction(gradient, generator)
        derivative = float(np.sum(gradient * direction))

        def error(step: float) -> float:
            ahead, behind = (
                float(loss_of([*weights[:place], weights[place] + side * direction, *weights[place + 1 :]]))
                for side in (step, -step)
            )
            quotient = (ahead - behind) / (2 * step)
            least = _ROUNDING * max(1.0, abs(float(total))) / (step * LARGEST_ERROR)
            return abs(quotient - derivative) / max(abs(quotient), abs(derivative), least)

        return GradientCheck(path, derivative, min(map(error, STEPS)))

    paths = [each.path for each in model.trainable_variables]
    return [
        checked(place, path, np.asarray(gradient))
        for place, (path, gradient) in enumerate(zip(paths, gradients, strict=True))
    ]


def measure_signal(model: keras.Model, inputs: Array, loss: LossOfOutputs) -> Signal:
    """Measure what passes a network: outputs of each layer of weights, gradients by them, and idle units.

    Glorot and Bengio 2010, sections 3 and 4, follow the same quantities from layer to layer.

    Args:
        model: in double precision, from `in_double_precision`; computing as in training.
        inputs: of one batch.
        loss: mean loss of the batch from the model's outputs.
    """
    import keras
    import tensorflow as tf

    from zoo.audit import hidden_activations

    layers = [each for each in model.layers if hasattr(each, "kernel")]
    hidden = hidden_activations(model)
    probe = keras.Model(model.input, [[each.output for each in layers], [each.output for each in hidden], model.output])
    with tf.GradientTape() as tape:
        outputs, activated, last = probe(inputs, training=True)
        total = tf.add_n([loss(last), *model.losses])
    gradients = tape.gradient(total, outputs)
    measured = (
        LayerSignal(layer.name, float(np.std(output)), float(np.linalg.norm(np.ravel(gradient))))
        for layer, output, gradient in zip(layers, outputs, gradients, strict=True)
    )
    return Signal(float(total), tuple(measured), _idle_share([np.asarray(each) for each in activated]))


def loss_after(model: keras.Model, inputs: Array, loss: LossOfOutputs, steps: int) -> float:
    """Loss of a batch after so many steps of Adam on this batch alone: a network that can learn has learnt it by heart.

    The model's weights are changed.
    """
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)

    def current() -> Tensor:
        return tf.add_n([loss(model(inputs, training=True)), *model.losses])

    def step() -> None:
        with tf.GradientTape() as tape:
            total = current()
        optimizer.apply(tape.gradient(total, [each.value for each in model.trainable_variables]))

    train = tf.function(step, autograph=False)
    for _ in range(steps):
        train()
    return float(current())


def _direction(gradient: Array, generator: np.random.Generator) -> Array:
    """Of length one: the gradient's and a random one, half each."""
    random = generator.standard_normal(gradient.shape)
    direction = random / np.linalg.norm(np.ravel(random))
    length = np.linalg.norm(np.ravel(gradient))
    if np.isfinite(length) and length > 0:
        direction = direction + gradient / length
    return np.asarray(direction / np.linalg.norm(np.ravel(direction)))


def _idle_share(activated: Sequence[Array]) -> float:
    """Share of the units, last axis, whose values do not differ over all others."""
    flat = [values.reshape(-1, values.shape[-1]) for values in activated]
    idle = [each.std(axis=0) <= _IDLE * np.abs(each).max() for each in flat]
    return float(np.concatenate(idle).mean()) if idle else 0.0
