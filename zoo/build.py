"""From a config to a built model, and to the initial values of the same model under another seed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from zoo.config import InputShape, ModelConfig
from zoo.layers import dropout_seed, make_bias_initializer, make_initializer
from zoo.lenet import build_lenet
from zoo.mlp import build_mlp
from zoo.resnet import build_resnet
from zoo.settings import Problem, SettingError
from zoo.variants import VARIANTS, model_config

BUILDERS: dict[str, Callable[..., keras.Model]] = {"mlp": build_mlp, "lenet": build_lenet, "resnet": build_resnet}


def build_model(
    config: ModelConfig, input_shape: InputShape, num_classes: int, seed: int, *, head: str = "logits"
) -> keras.Model:
    """Build the functional model that a config describes.

    Args:
        config: which network.
        input_shape: shape of one example, (features,) or (height, width, channels).
        num_classes: outputs of the last layer: classes, or the targets of a regression. The binary heads have one
            output whether 1 or 2 is given.
        seed: decides the initial weights and what is dropped in training; the same seed gives the same weights,
            whatever was built before.
        head: what the outputs mean: "logits", "softmax", "binary_logit", "sigmoid" or "regression".

    Returns:
        An uncompiled model: (batch, *input_shape) -> (batch, outputs), float32.

    Raises:
        SettingError: the family cannot take inputs of this shape, there is no such head, or no class.
    """
    if keras.config.image_data_format() != "channels_last":
        problem = Problem(
            "image_data_format", "images have their channels last here", "channels_first", "channels_last"
        )
        raise SettingError([problem])
    config.check_input_shape(tuple(input_shape))
    with _deep_graphs():
        return BUILDERS[config.family](config, tuple(input_shape), num_classes, seed, head)


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Load a model that was saved with `model.save("name.keras")`, in Keras's safe mode.

    `keras.saving.load_model` does the same, but knows of weight standardization, drop-connect, Fixup, and the
    initializers delta_orthogonal and identity only after this package was used, and stops at networks of many hundred
    layers.
    """
    with _deep_graphs():
        return keras.saving.load_model(path, safe_mode=True)


@contextlib.contextmanager
def _deep_graphs() -> Iterator[None]:
    """Allow Keras, which walks a model's graph by recursion, as many calls as the deepest networks need."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def create_model(
    name: str,
    *,
    input_shape: InputShape | None = None,
    num_classes: int | None = None,
    head: str = "logits",
    seed: int = 0,
    **settings: Any,
) -> keras.Model:
    """Build a named model: `create_model("resnet20", activation="gelu")`.

    Args:
        name: a variant; `list_models()` lists them.
        input_shape: shape of one example; by default that of the publication.
        num_classes: outputs of the last layer: classes, or the targets of a regression. By default the classes of the
            publication, and one for a regression or a binary head.
        head: what the outputs mean: "logits", "softmax", "binary_logit", "sigmoid" or "regression".
        seed: decides the initial weights and what is dropped in training.
        settings: settings of the variant's config to replace.

    Raises:
        SettingError: (a ValueError) the name or a setting cannot be used; it names the nearest match.
    """
    config = model_config(name, **settings)
    variant = VARIANTS[name]
    if num_classes is None:
        num_classes = variant.num_classes if head in ("logits", "softmax") else 1
    shape = variant.input_shape if input_shape is None else input_shape
    return build_model(config, shape, num_classes, seed, head=head)


def with_standardization(
    model: keras.Model,
    shift: Any,
    scale: Any,
    *,
    target_shift: float = 0.0,
    target_scale: float = 1.0,
    dtype: str = "float32",
) -> keras.Model:
    """The same model for raw inputs: it computes (inputs - shift) * scale itself.

    The weights are shared with `model`, and the result is saved and loaded as one.

    Args:
        model: takes standardized inputs.
        shift: a number, or an array that broadcasts to one example.
        scale: the same.
        target_shift: of a regression: its outputs are multiplied with `target_scale`, and this is added.
        target_scale: see `target_shift`. Outputs are float64 where single precision would lose what tells them apart.
        dtype: of the raw inputs; float64 where single precision would lose what tells them apart, so that they are
            centred before they are rounded.
    """
    shape = model.input_shape[1:]
    raw = keras.Input(shape, name="raw_inputs", dtype=dtype)
    # Two layers, since (x - shift) * scale is exact where x * scale - shift * scale cancels.
    centred = keras.layers.Rescaling(1.0, _constants(-np.asarray(shift), shape, dtype), name="shift", dtype=dtype)(raw)
    outputs = model(keras.layers.Rescaling(_constants(scale, shape, "float32"), name="scale")(centred))
    if (target_shift, target_scale) != (0.0, 1.0):
        # Single precision has seven digits.
        of_target = "float64" if abs(target_shift) > 1000 * target_scale else "float32"
        outputs = keras.layers.Rescaling(target_scale, target_shift, name="unit_of_target", dtype=of_target)(outputs)
    return keras.Model(raw, outputs, name=f"standardized_{model.name}")


def _constants(values: Any, shape: InputShape, dtype: str) -> list[Any]:
    """Values for each input element as plain numbers: one a channel where all positions have the same."""
    full = np.broadcast_to(np.asarray(values, dtype), shape)
    by_position = full.reshape(-1, shape[-1])
    constants: list[Any] = (by_position[0] if (by_position == by_position[0]).all() else full).tolist()
    return constants


def initial_values(model: keras.Model, config: ModelConfig, seed: int) -> list[np.ndarray[Any, Any]]:
    """The values that `model.variables` would hold had the model been built with this initializer and seed.

    It draws weights anew without building anew, which is what makes many runs of one program cheap.

    Args:
        model: an untrained model of this zoo: what is not drawn at random is taken as it stands there.
        config: the model's config, or one that differs from it in settings that do not shape the program.
        seed: the seed that `build_model` would have been given.
    """
    values = {variable.path: np.asarray(variable) for variable in model.variables}
    for layer in model.layers:
        if hasattr(layer, "kernel_initializer"):
            kernel, bias = layer.kernel, layer.bias
            initializer = make_initializer(config, layer.name, kernel.shape, seed)
            values[kernel.path] = np.asarray(initializer(kernel.shape, dtype=kernel.dtype))
            if bias is not None:
                initializer = make_bias_initializer(config, layer.name, kernel.shape, seed)
                values[bias.path] = np.asarray(initializer(bias.shape, dtype=bias.dtype))
        if hasattr(layer, "seed_generator"):
            state = layer.seed_generator.state
            values[state.path] = np.array([dropout_seed(seed, layer.name), 0], dtype=values[state.path].dtype)
    return [values[variable.path] for variable in model.variables]


def count_parameters(model: keras.Model) -> int:
    """Number of trainable parameters."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
