"""What a built model really holds, read off its layers and not off the config it was built from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from zoo.activations import ACTIVATIONS
from zoo.build import count_parameters
from zoo.graph import checked_graph
from zoo.initializers import INITIALIZERS
from zoo.settings import Problem, SettingError

_NORMALIZATION_LAYERS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
    keras.layers.SpectralNormalization,
)
_ACTIVATION_LAYERS = {
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "PReLU": "prelu",
    "ELU": "elu",
    "Softmax": "softmax",
}
_OF_KERAS_NAME = {
    row.arguments["activation"]: name
    for name, row in ACTIVATIONS.items()
    if "activation" in row.arguments and row.input_factor == 1
}


_BYTES = {"float64": 8, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Audit:
    """What was found in a model."""

    parameters: int
    """Trainable parameters."""
    macs: int
    """Multiplications and additions, counted together, of the weight layers for one example."""
    weight_layers: int
    """Dense and convolutional layers."""
    activations: frozenset[str]
    """Names of all hidden activations, those inside weight layers included, "linear" left out. A name of the zoo's
    table, else Keras's own; the scaled tanh shows as "tanh"."""
    gates: frozenset[str]
    """Names of the activations whose output scales other features, as in squeeze-and-excitation."""
    head_activation: str
    """Name of the activation that gives the model's outputs."""
    normalizations: frozenset[str]
    """Class names of all normalization layers."""
    initializers: frozenset[str]
    """What the kernels were drawn from: names of the zoo's table, else Keras's class and its arguments."""
    dropout_rates: frozenset[float]
    """Rates of all layers that drop units or channels."""
    branch_drop_rates: tuple[float, ...]
    """Rates of all layers that drop whole branches, in the model's order."""
    activation_bytes: int
    """Memory of all layers' outputs for one example, as they are kept for the backward pass."""


def audit_model(model: keras.Model) -> Audit:
    """Read off what a model holds, in models inside it too.

    Raises:
        SettingError: it is no functional or sequential model that has been built, or leaves sizes open, on which the
            multiplications depend.
    """
    checked_graph(model)
    operations = list(_operations(model))
    layers = [each for each in operations if isinstance(each, keras.Layer)]
    weight_layers = [layer for layer in layers if hasattr(layer, "kernel_initializer")]
    hidden, gates, head = (frozenset(map(str, map(activation_name, each))) for each in _activations(model))
    dropouts = [layer for layer in layers if isinstance(layer, keras.layers.Dropout)]
    branch_dropouts = [layer for layer in dropouts if layer.noise_shape is not None]
    return Audit(
        parameters=count_parameters(model),
        macs=count_macs(model),
        weight_layers=len(weight_layers),
        activations=hidden,
        gates=gates,
        head_activation=next(iter(head), "linear"),
        normalizations=frozenset(type(layer).__name__ for layer in layers if isinstance(layer, _NORMALIZATION_LAYERS)),
        initializers=frozenset(_initializer_name(layer.kernel_initializer) for layer in weight_layers),
        dropout_rates=frozenset(layer.rate for layer in dropouts if layer.noise_shape is None),
        branch_drop_rates=tuple(layer.rate for layer in branch_dropouts),
        activation_bytes=sum(map(_output_bytes, operations)),
    )


def count_macs(model: keras.Model) -> int:
    """Multiplications and additions, counted together, of the weight layers for one example.

    Each weight of a kernel meets one input at each position of the output.

    Raises:
        SettingError: see `audit_model`.
    """
    shapes = [tuple(each.shape[1:]) for each in checked_graph(model).inputs]
    if any(None in shape for shape in shapes):
        message = "the number of multiplications depends on sizes that are left open"
        allowed = "the same model, built for one size"
        raise SettingError([Problem("model", message, f"inputs of shape {', '.join(map(str, shapes))}", allowed)])
    layers = [each for each in _operations(model) if hasattr(each, "kernel")]
    return sum(math.prod(each.kernel.shape) * math.prod(each.output.shape[1:-1]) for each in layers)


def _activations(model: keras.Model) -> tuple[list[Any], list[Any], list[Any]]:
    """What applies an activation that is not linear: to hidden features, to gates and to the model's outputs."""
    hidden: list[Any] = []
    gates: list[Any] = []
    head: list[Any] = []
    outputs = _output_tensors(model)
    products = (each for each in _operations(model) if isinstance(each, keras.layers.Multiply))
    gated = {id(tensor) for product in products for tensor in keras.tree.flatten(product.input)}
    for operation in _operations(model):
        if activation_name(operation) in (None, "linear"):
            continue
        place = id(operation.output)
        (head if place in outputs else gates if place in gated else hidden).append(operation)
    return hidden, gates, head


def _operations(model: keras.Model) -> Iterator[Any]:
    """Layers and bare operations; those of models inside the model in their place."""
    for operation in getattr(model, "operations", model.layers):
        if isinstance(operation, keras.Model):
            yield from _operations(operation)
        else:
            yield operation


def _output_tensors(model: keras.Model) -> set[int]:
    """Ids of the model's output tensors, and of the same tensors inside a model that gives them."""
    tensors = {id(tensor) for tensor in model.outputs}
    for tensor in model.outputs:
        giver = tensor._keras_history.operation
        if isinstance(giver, keras.Model):
            tensors |= _output_tensors(giver)
    return tensors


def activation_name(operation: Any) -> str | None:
    """Name of the activation that a layer or a bare operation applies, as in `Audit.activations`; None: it has none."""
    kind = type(operation).__name__
    if kind in _ACTIVATION_LAYERS:
        return _ACTIVATION_LAYERS[kind]
    if kind == "Gelu":  # a bare operation of `keras.ops`
        return "gelu_tanh" if operation.approximate else "gelu"
    if not hasattr(operation, "activation"):
        return None
    name = getattr(operation.activation, "__name__", type(operation.activation).__name__)
    return _OF_KERAS_NAME.get(name, name)


def _initializer_name(initializer: Any) -> str:
    """Name of the table's row that it agrees with, else class and arguments."""
    kind, arguments = type(initializer).__name__, initializer.get_config()
    if kind == "PartOfOrthogonal":
        return "delta_orthogonal" if initializer.centred else "orthogonal"
    for name, row in INITIALIZERS.items():
        fixed = {} if row.takes_scale else row.arguments
        if row.keras_class.removeprefix("zoo>") == kind and fixed.items() <= arguments.items():
            return name
    told = {name: value for name, value in arguments.items() if name != "seed" and value is not None}
    return f"{kind}({', '.join(f'{name}={value}' for name, value in told.items())})"


def _output_bytes(operation: Any) -> int:
    return sum(
        math.prod(size or 1 for size in tensor.shape[1:]) * _BYTES.get(str(tensor.dtype), 4)
        for tensor in keras.tree.flatten(operation.output)
    )
