"""From a config to a built model, and to the initial values of the same model under another seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from zoo.config import InputShape, ModelConfig
from zoo.layers import dropout_seed, make_initializer
from zoo.mlp import build_mlp
from zoo.resnet import build_resnet
from zoo.settings import Problem, SettingError
from zoo.variants import VARIANTS, model_config

BUILDERS: dict[str, Callable[..., keras.Model]] = {"mlp": build_mlp, "resnet": build_resnet}
"""Family -> the function that builds it."""


def build_model(config: ModelConfig, input_shape: InputShape, num_classes: int, seed: int) -> keras.Model:
    """Build the functional model that a config describes.

    Args:
        config: which network.
        input_shape: shape of one example, (features,) or (height, width, channels).
        num_classes: number of logits, one a class.
        seed: decides the initial weights and the dropout masks; the same seed gives the same weights, whatever was
            built before.

    Returns:
        An uncompiled model: (batch, *input_shape) -> logits (batch, num_classes), float32.

    Raises:
        SettingError: the family cannot take inputs of this shape, or there is no class.
    """
    config.check_input_shape(tuple(input_shape))
    if num_classes < 1:
        raise SettingError([Problem("num_classes", "a model needs an output", str(num_classes), "1 or more")])
    return BUILDERS[config.family](config, tuple(input_shape), num_classes, seed)


def create_model(
    name: str,
    *,
    input_shape: InputShape | None = None,
    num_classes: int | None = None,
    seed: int = 0,
    **settings: Any,
) -> keras.Model:
    """Build a named model: `create_model("resnet20", activation="gelu")`.

    Args:
        name: a variant; `list_models()` lists them.
        input_shape: shape of one example; by default that of the publication.
        num_classes: number of logits; by default that of the publication.
        seed: decides the initial weights and the dropout masks.
        settings: settings of the variant's config to replace.

    Raises:
        SettingError: (a ValueError) the name or a setting cannot be used; it names the nearest match.
    """
    config = model_config(name, **settings)
    variant = VARIANTS[name]
    return build_model(
        config,
        variant.input_shape if input_shape is None else input_shape,
        variant.num_classes if num_classes is None else num_classes,
        seed,
    )


def initial_values(model: keras.Model, config: ModelConfig, seed: int) -> list[np.ndarray[Any, Any]]:
    """The values that `model.variables` would hold had the model been built with this initializer and seed.

    It draws weights anew without building anew, which is what makes many runs of one program cheap.

    Args:
        model: an untrained model of this zoo: what is not drawn at random is taken as it stands there.
        config: the model's config, or one that differs from it in the initializer alone.
        seed: the seed that `build_model` would have been given.
    """
    values = {variable.path: np.asarray(variable) for variable in model.variables}
    for layer in model.layers:
        if hasattr(layer, "kernel_initializer"):
            kernel = layer.kernel
            initializer = make_initializer(config, layer.name, seed)
            values[kernel.path] = np.asarray(initializer(kernel.shape, dtype=kernel.dtype))
        if isinstance(layer, keras.layers.Dropout):
            state = layer.seed_generator.state
            values[state.path] = np.array([dropout_seed(seed, layer.name), 0], dtype=values[state.path].dtype)
    return [values[variable.path] for variable in model.variables]


def count_parameters(model: keras.Model) -> int:
    """Number of trainable parameters."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
