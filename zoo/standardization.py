"""Standardization inside a model, which is then fed raw inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from zoo.arguments import OpenShape, told
from zoo.graph import checked_graph
from zoo.settings import Problem, SettingError


def with_standardization(
    model: keras.Model,
    shift: Any,
    scale: Any,
    *,
    target_shift: float = 0.0,
    target_scale: float = 1.0,
    raw_dtype: str | None = None,
) -> keras.Model:
    """The same model for raw inputs: it computes (inputs - shift) * scale itself.

    The weights are shared with `model`, and the result is saved and loaded as one.

    Args:
        model: takes standardized inputs.
        shift: a number, or an array that broadcasts to one example.
        scale: the same.
        target_shift: of a regression: its outputs are multiplied with `target_scale`, and this is added.
        target_scale: see `target_shift`. Outputs are float64 where the shift is so large that single precision would
            lose what tells them apart.
        raw_dtype: of the raw inputs, by default as of the model's; float64 where single precision would lose what tells
            them apart, so that they are centred before they are rounded.

    Raises:
        SettingError: `model` is no functional or sequential model of one input, or a value is no finite number, or
            does not broadcast to an example.
    """
    graph = checked_graph(model)
    if len(graph.inputs) != 1:
        problem = Problem("model", "one input is standardized", f"{len(graph.inputs)} inputs", "a model with one")
        raise SettingError([problem])
    (inputs,) = graph.inputs
    shape, dtype = tuple(inputs.shape[1:]), inputs.dtype
    offset, factor = -_numbers("shift", shift, shape), _numbers("scale", scale, shape)
    of_target = [_number("target_scale", target_scale), _number("target_shift", target_shift)]
    of_raw = raw_dtype or dtype
    raw = keras.Input(shape, name="raw_inputs", dtype=of_raw)
    # Two layers, since (x - shift) * scale is exact where x * scale - shift * scale cancels.
    centred = keras.layers.Rescaling(1.0, _constants(offset, of_raw), name="shift", dtype=of_raw)(raw)
    outputs = graph(keras.layers.Rescaling(_constants(factor, dtype), name="scale", dtype=dtype)(centred))
    if of_target != [1.0, 0.0]:
        unit, offset = of_target
        # Single precision has seven digits.
        of_outputs = "float64" if abs(offset) > 1000 * abs(unit) else outputs.dtype
        in_unit = (_as_precise(np.array([each]), of_outputs) for each in of_target)
        outputs = keras.layers.Rescaling(*in_unit, name="unit_of_target", dtype=of_outputs)(outputs)
    return keras.Model(raw, outputs, name=f"standardized_{graph.name}")


def _numbers(path: str, values: Any, shape: OpenShape) -> Any:
    """Finite values for each element of an input; axes that are left open have one."""
    known = tuple(size or 1 for size in shape)
    allowed = f"a finite number, or an array of them that broadcasts to the shape {shape} of an example"
    try:
        return np.broadcast_to(_finite(values), known)
    except (TypeError, ValueError):
        given = told(values) if np.ndim(values) == 0 else f"shape {np.shape(values)}: {told(values)}"
        raise SettingError([Problem(path, "wrong value", given, allowed)]) from None


def _number(path: str, value: Any) -> float:
    try:
        return float(_finite(value).reshape(()))
    except (TypeError, ValueError):
        raise SettingError([Problem(path, "wrong value", told(value), "a finite number")]) from None


def _finite(values: Any) -> Any:
    found = np.asarray(values)
    if found.dtype.kind not in "iuf":
        raise TypeError
    found = found.astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError
    return found


def _constants(full: Any, dtype: str) -> Any:
    """Values for each input element: one a channel where all positions have the same."""
    by_position = full.reshape(-1, full.shape[-1])
    return _as_precise(by_position[0] if (by_position == by_position[0]).all() else full, dtype)


def _as_precise(values: Any, dtype: str) -> Any:
    """Plain numbers, which Keras takes for single precision; in double precision, an array."""
    return values if dtype == "float64" else values.tolist()
