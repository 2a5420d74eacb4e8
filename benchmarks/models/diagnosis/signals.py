"""Flow of signals through one network on one batch: how far outputs and gradients get, layer by layer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.arrays import Array, Tensor
from benchmarks.models.diagnosis.networks import LossOfOutputs, checked_loss, gradients_of, training_call
from zoo.settings import Problem, SettingError

if TYPE_CHECKING:
    import keras

VANISHING = 1e-3
"""Share of the last layer's gradient below which that of the first counts as vanished; above 1 / this, as exploded."""

_IDLE = 1e-9
"""Standard deviation over a batch, as a share of the layer's largest output, up to which a unit counts as idle."""

_EAGER = "called without tf.function, or after tf.config.run_functions_eagerly(True)"


@dataclass(frozen=True)
class LayerSignal:
    """What passes one layer of weights, forwards and backwards."""

    name: str
    output_deviation: float
    """Standard deviation of its outputs over batch and units: before the activation, unless it applies one itself."""
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


def measure_signal(model: keras.Model, inputs: Array, loss: LossOfOutputs) -> Signal:
    """Measure what passes a network: outputs of each layer of weights, gradients by them, and idle units.

    Glorot and Bengio 2010, sections 3 and 4, follow the same quantities from layer to layer. The model is as in
    training, and is not changed.

    Args:
        model: any Keras model that has been built, in any precision, models in it, layers that are used several times
            and a `call` of its own included.
        inputs: of one batch.
        loss: mean loss of the batch from the model's outputs.

    Raises:
        SettingError: the model has not been built, has no layer with a kernel, or runs one inside a compiled function,
            where its outputs cannot be seen; or the loss does not follow from the outputs as one number.
    """
    import tensorflow as tf

    from zoo.graph import checked_model

    checked_model(model)
    weights, fixed = ([each.value for each in v] for v in (model.trainable_variables, model.non_trainable_variables))
    with tf.GradientTape() as tape, _recorded(_operations(model), tape) as calls:
        outputs, penalties = training_call(model, weights, fixed, inputs)
        total = checked_loss(loss, outputs)
        total += sum(tf.cast(each, total.dtype) for each in penalties)
    weighted = [call for call in calls if hasattr(call.operation, "kernel")]
    if not weighted:
        message, allowed = "no call of a layer with a kernel was seen", f"dense or convolutional layers, {_EAGER}"
        raise SettingError([Problem("model", message, model.name, allowed)])
    gradients = gradients_of(tape, total, [call.output for call in weighted])
    hidden = _hidden(calls, outputs)
    return Signal(
        float(total), _by_layer(weighted, gradients), _idle_share([np.asarray(call.output) for call in hidden])
    )


@dataclass(frozen=True)
class _Call:
    """One use of a layer or of a bare operation."""

    operation: Any
    inputs: list[Any]
    output: Any


def _operations(model: keras.Model) -> list[Any]:
    """All layers, also those inside of others, and the bare operations of functional models among them."""
    layers = [model, *model._flatten_layers(include_self=False)]
    bare = [operation for layer in layers for operation in getattr(layer, "operations", [])]
    return list({id(each): each for each in [*layers[1:], *bare]}.values())


@contextlib.contextmanager
def _recorded(operations: Sequence[Any], tape: Any) -> Iterator[list[_Call]]:
    """Note each call of the operations, and watch what it gives."""
    import keras
    import tensorflow as tf

    calls: list[_Call] = []

    def noting(operation: Any, call: Any) -> Any:
        def noted(*arguments: Any, **keywords: Any) -> Any:
            given = call(*arguments, **keywords)
            output = keras.tree.flatten(given)[0]
            if tf.is_symbolic_tensor(output):
                message = f"what its layer {operation.name} gives cannot be seen inside a compiled function"
                raise SettingError([Problem("model", message, allowed=f"layers that are {_EAGER}")])
            if tf.is_tensor(output) and output.dtype.is_floating:
                tape.watch(output)
                calls.append(_Call(operation, keras.tree.flatten((arguments, keywords)), output))
            return given

        return noted

    for operation in operations:
        # In the instance itself: a layer's own attributes are tracked, and locked once it is built.
        vars(operation)["call"] = noting(operation, operation.call)
    try:
        yield calls
    finally:
        for operation in operations:
            del vars(operation)["call"]


def _hidden(calls: Sequence[_Call], outputs: Any) -> list[_Call]:
    """The calls that apply an activation to hidden features: neither to the model's outputs nor to gates."""
    import keras

    from zoo.audit import activation_name

    products = [call for call in calls if isinstance(call.operation, keras.layers.Multiply)]
    others = {id(each) for each in [*keras.tree.flatten(outputs), *(each for call in products for each in call.inputs)]}
    return [
        call
        for call in calls
        if activation_name(call.operation) not in (None, "linear") and id(call.output) not in others
    ]


def _by_layer(calls: Sequence[_Call], gradients: Sequence[Tensor]) -> tuple[LayerSignal, ...]:
    """What passed each layer, in all its calls together."""
    passed: dict[int, tuple[str, list[Array], list[Array]]] = {}
    for call, gradient in zip(calls, gradients, strict=True):
        _, outputs, backwards = passed.setdefault(id(call.operation), (call.operation.name, [], []))
        outputs.append(np.ravel(call.output))
        backwards.append(np.ravel(gradient))
    return tuple(
        LayerSignal(name, float(np.std(np.concatenate(outputs))), float(np.linalg.norm(np.concatenate(backwards))))
        for name, outputs, backwards in passed.values()
    )


def _idle_share(activated: Sequence[Array]) -> float:
    """Share of the units, last axis, whose values do not differ over all others."""
    flat = [values.reshape(-1, values.shape[-1]) for values in activated]
    idle = [each.std(axis=0) <= _IDLE * np.abs(each).max() for each in flat]
    return float(np.concatenate(idle).mean()) if idle else 0.0
