"""From a config to a built model, and to the initial values of the same model under another seed."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from zoo.arguments import checked_name, checked_seed, checked_shape, told
from zoo.config import ModelConfig
from zoo.graph import checked_graph, checked_model, deep_graphs, named, number_operations, own_name
from zoo.layers import dropout_seed, make_bias_initializer, make_initializer
from zoo.lenet import build_lenet
from zoo.mlp import build_mlp
from zoo.resnet import build_resnet
from zoo.settings import Problem, SettingError, as_written
from zoo.variants import VARIANTS, model_config

BUILDERS: dict[str, Callable[..., keras.Model]] = {"mlp": build_mlp, "lenet": build_lenet, "resnet": build_resnet}


def build_model(
    config: ModelConfig,
    input_shape: int | Sequence[int | None],
    num_classes: int,
    seed: int | None,
    *,
    head: str = "logits",
    name: str | None = None,
) -> keras.Model:
    """Build the functional model that a config describes.

    Args:
        config: which network.
        input_shape: shape of one example, (features,) or (height, width, channels); a number counts features. Height
            and width may be None, and are then open, where global pooling comes before the head: in residual networks.
        num_classes: outputs of the last layer: classes, or the targets of a regression. The binary heads have one
            output whether 1 or 2 is given.
        seed: decides the initial weights and what is dropped in training; the same seed gives the same weights,
            whatever was built before. None: a random one, another for each model.
        head: what the outputs mean: "logits", "softmax", "binary_logit", "sigmoid" or "regression".
        name: of the model; with an underscore, the names of all its layers begin with it, so that several models can
            be joined in one. None: that of the family. It changes no weights.

    Returns:
        An uncompiled model: (batch, *input_shape) -> (batch, outputs), float32, or float64 under Keras's policy
        "float64".

    Raises:
        SettingError: an argument is of the wrong type or out of range, the family cannot take inputs of this shape, or
            there is no such head.
    """
    _checked_config(config)
    if keras.config.image_data_format() != "channels_last":
        problem = Problem(
            "image_data_format", "images have their channels last here", "channels_first", "channels_last"
        )
        raise SettingError([problem])
    shape, seed = checked_shape(input_shape), checked_seed(seed)
    config.check_input_shape(shape)
    with deep_graphs():
        model = BUILDERS[config.family](config, shape, num_classes, seed, head)
        number_operations(model)
        return model if name is None else named(model, checked_name(name))


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Load a model that was saved with `model.save("name.keras")`, in Keras's safe mode.

    `keras.saving.load_model` does the same, but knows of what is in `zoo.custom`, batch normalization with an unbiased
    variance above all, only after this package was used, and stops at networks of many hundred layers.

    Raises:
        SettingError: (a ValueError) there is no such file, or it holds no model.
    """
    try:
        with deep_graphs():
            return keras.saving.load_model(path, safe_mode=True)
    except (TypeError, ValueError):
        if isinstance(path, str | os.PathLike) and zipfile.is_zipfile(path):
            raise
        problem = Problem("path", "no saved model", told(path), 'a file that model.save("name.keras") wrote')
        raise SettingError([problem]) from None


def create_model(
    variant: str,
    /,
    *,
    input_shape: int | Sequence[int | None] | None = None,
    num_classes: int | None = None,
    head: str = "logits",
    seed: int | None = 0,
    name: str | None = None,
    **settings: Any,
) -> keras.Model:
    """Build a named model: `create_model("resnet20", activation="gelu")`.

    Args:
        variant: its name; `list_models()` lists them.
        input_shape: shape of one example, as for `build_model`; by default that of the publication.
        num_classes: outputs of the last layer: classes, or the targets of a regression. By default the classes of the
            publication, and one for a regression or a binary head.
        head: what the outputs mean: "logits", "softmax", "binary_logit", "sigmoid" or "regression".
        seed: decides the initial weights and what is dropped in training. None: a random one.
        name: of the model and, before theirs, of its layers; see `build_model`.
        settings: settings of the variant's config to replace.

    Raises:
        SettingError: (a ValueError) the variant, an argument or a setting cannot be used; it names the nearest match.
    """
    config = model_config(variant, **settings)
    row = VARIANTS[variant]
    if num_classes is None:
        num_classes = row.num_classes if head in ("logits", "softmax") else 1
    shape = row.input_shape if input_shape is None else input_shape
    return build_model(config, shape, num_classes, seed, head=head, name=name)


def initial_values(model: keras.Model, config: ModelConfig, seed: int | None) -> list[np.ndarray[Any, Any]]:
    """The values that `model.variables` would hold had the model been built with this initializer and seed.

    It draws weights anew without building anew, which is what makes many runs of one program cheap.

    Args:
        model: an untrained model of this zoo: what is not drawn at random is taken as it stands there.
        config: the model's config, or one that differs from it in settings that do not shape the program.
        seed: the seed that `build_model` would have been given.

    Raises:
        SettingError: an argument is of the wrong type.
    """
    checked_graph(model)
    config, seed = _checked_config(config), checked_seed(seed)
    values = {variable.path: np.asarray(variable) for variable in model.variables}
    for layer in model.layers:
        if hasattr(layer, "kernel_initializer"):
            kernel, bias, name = layer.kernel, layer.bias, own_name(model, layer)
            initializer = make_initializer(config, name, kernel.shape, seed)
            values[kernel.path] = np.asarray(initializer(kernel.shape, dtype=kernel.dtype))
            if bias is not None:
                initializer = make_bias_initializer(config, name, kernel.shape, seed)
                values[bias.path] = np.asarray(initializer(bias.shape, dtype=bias.dtype))
        if hasattr(layer, "seed_generator"):
            state = layer.seed_generator.state
            values[state.path] = np.array(
                [dropout_seed(seed, own_name(model, layer)), 0], dtype=values[state.path].dtype
            )
    return [values[variable.path] for variable in model.variables]


def count_parameters(model: keras.Model) -> int:
    """Number of trainable parameters.

    Raises:
        SettingError: it is no model that has been built.
    """
    return sum(int(np.prod(variable.shape)) for variable in checked_model(model).trainable_variables)


def _checked_config(config: object) -> ModelConfig:
    if not isinstance(config, ModelConfig):
        allowed = 'a config, such as model_config("resnet20")'
        raise SettingError([Problem("config", "wrong type", as_written(config), allowed)])
    return config
