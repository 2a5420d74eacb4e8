"""Standardization: a shift and a scale for every input element, from the training part alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.arrays import Array

_MOST_OF_CHUNK, _CHUNK_BYTES = 4096, 2**27
"""Examples that are looked at at once, and what they may take in float64; fewer where they are large."""


@dataclass(frozen=True)
class Standardization:
    """An input x reaches the model as (x - shift) * scale; both have the shape of one example.

    Both are float32; the shift is float64 where the inputs are, and they are centred in double precision.
    """

    shift: Array
    scale: Array


def fit_standardization(name: str, inputs: Array, train_indices: Array) -> Standardization:
    """Determine shift and scale of inputs (n, *shape), by a rule of `STANDARDIZATIONS` and the training part alone."""
    shift, scale = _FITS[name](inputs, train_indices)
    shape, dtype = inputs.shape[1:], np.float64 if inputs.dtype == np.float64 else np.float32
    return Standardization(
        np.broadcast_to(shift, shape).astype(dtype), np.broadcast_to(scale, shape).astype(np.float32)
    )


def _none(inputs: Array, train_indices: Array) -> tuple[Array, Array]:
    del inputs, train_indices
    return np.zeros(1), np.ones(1)


def _per_feature(inputs: Array, train_indices: Array) -> tuple[Array, Array]:
    mean, mean_square, origin = moments(inputs, train_indices)
    return origin + mean, _inverse(np.sqrt(np.maximum(mean_square - mean**2, 0)), origin)


def _per_channel(inputs: Array, train_indices: Array) -> tuple[Array, Array]:
    mean, mean_square, origin = moments(inputs, train_indices)
    positions = tuple(range(mean.ndim - 1))
    # Moments about one origin for each channel, so that those of its positions can be averaged.
    channel_origin = origin.mean(axis=positions, keepdims=True)
    offset = origin - channel_origin
    square = (mean_square + 2 * offset * mean + offset**2).mean(axis=positions)
    mean = (mean + offset).mean(axis=positions)
    origin = channel_origin.reshape(-1)
    return origin + mean, _inverse(np.sqrt(np.maximum(square - mean**2, 0)), origin)


def _min_max(inputs: Array, train_indices: Array) -> tuple[Array, Array]:
    found = inputs[train_indices[0]], inputs[train_indices[0]]
    for chunk in _chunks(inputs, train_indices):
        found = np.minimum(found[0], chunk.min(axis=0)), np.maximum(found[1], chunk.max(axis=0))
    low, high = (values.astype(np.float64) for values in found)
    return low, _inverse(high - low, low)


_FITS: dict[str, Callable[[Array, Array], tuple[Array, Array]]] = {
    "none": _none,
    "per_feature": _per_feature,
    "per_channel": _per_channel,
    "min_max": _min_max,
}


def moments(inputs: Array, train_indices: Array) -> tuple[Array, Array, Array]:
    """Mean and mean square of the training part about an origin near the mean, in float64, chunk by chunk.

    Moments about an origin near the mean lose no digits where the mean is large beside the spread, and chunks
    keep the memory small for large images.
    """
    origin = next(_chunks(inputs, train_indices)).mean(axis=0, dtype=np.float64)
    total, total_square = np.zeros_like(origin), np.zeros_like(origin)
    for stored in _chunks(inputs, train_indices):
        chunk = stored - origin
        total += chunk.sum(axis=0)
        total_square += np.einsum("n...,n...->...", chunk, chunk)
    return total / len(train_indices), total_square / len(train_indices), origin


def _chunks(inputs: Array, train_indices: Array) -> Iterator[Array]:
    """The training part, some examples at a time: it may be far larger than the memory."""
    size = min(_MOST_OF_CHUNK, max(1, _CHUNK_BYTES // (8 * math.prod(inputs.shape[1:]))))
    return (inputs[train_indices[start : start + size]] for start in range(0, len(train_indices), size))


def _inverse(spread: Array, location: Array) -> Array:
    """One over the spread; a constant input has none and is only shifted, to 0."""
    # Rounding leaves a trace of spread in a constant input, small beside the constant.
    return np.divide(1.0, spread, out=np.ones_like(spread), where=spread > 1e-12 * np.abs(location))
