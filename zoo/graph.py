"""Graph of a built model: whether there is one, and the names of its operations."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras

from zoo.settings import Problem, SettingError, as_written


def checked_model(model: object) -> keras.Model:
    """A model whose weights are there.

    Raises:
        SettingError: it is none.
    """
    if not isinstance(model, keras.Model):
        raise SettingError([Problem("model", "wrong type", as_written(model), "a keras.Model")])
    if not model.built:
        raise SettingError([Problem("model", "it has no weights yet", model.name, "a model that has been built")])
    return model


def checked_graph(model: object) -> keras.Model:
    """A model whose operations are known before it is called.

    Raises:
        SettingError: it is none, or a subclass of `keras.Model` with a `call` of its own.
    """
    made = checked_model(model)
    if not getattr(made, "inputs", None):
        message = "its layers are known only to its own `call`"
        raise SettingError([Problem("model", message, type(made).__name__, "a functional or a sequential model")])
    return made


def number_operations(model: keras.Model) -> None:
    """Name the operations that are no layers by their number in this model.

    Keras counts them over the whole process, so that equal builds would have unequal configs.
    """
    numbers: Counter[str] = Counter()
    for operation in model.operations:
        if not isinstance(operation, keras.Layer):
            kind = type(operation).__name__.lower()
            numbers[kind] += 1
            operation.name = f"{kind}_{numbers[kind]}"


def named(model: keras.Model, name: str) -> keras.Model:
    """The same untrained model by another name, with which the names of its layers begin."""

    def renamed(operation: Any) -> Any:
        return type(operation).from_config(operation.get_config() | {"name": f"{name}_{operation.name}"})

    old = model.input
    inputs = keras.Input(batch_shape=old.shape, dtype=old.dtype, name=f"{name}_{old.name}")
    return keras.Model(inputs, keras.models.clone_model(model, inputs, renamed).output, name=name)


def own_name(model: keras.Model, layer: keras.Layer) -> str:
    """The name that a layer has in a model that was not given a name."""
    return str(layer.name.removeprefix(f"{model.name}_"))


@contextlib.contextmanager
def deep_graphs() -> Iterator[None]:
    """Allow Keras, which walks a model's graph by recursion, as many calls as the deepest networks need."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
