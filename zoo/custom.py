"""The few Keras classes that Keras itself does not have, registered so that saved models load.

Only models that ask for batch normalization with an unbiased variance, weight standardization, drop-connect, Fixup, RMS
gains from zero, delta-orthogonal or identity weights, and LeNet-5 with orthogonal ones, hold any of them; all others
are made of Keras's own layers and load where this package is not installed.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

_registered = keras.saving.register_keras_serializable("zoo")


class _UsedKernel:
    """What weight layers share whose kernel is not used as it is stored.

    Args:
        standardize: whether each unit's weights are used with mean 0 and variance 1: Qiao et al. 2019, Weight
            Standardization, equation 10.
        drop_connect: share of weights that count as zero in training, drawn once a batch; the others are divided by
            1 - share, so that their mean stays (Wan et al. 2013, Regularization of Neural Networks using DropConnect).
        seed: of the weights that are dropped.
    """

    def __init__(self, *args: Any, standardize: bool, drop_connect: float, seed: int | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.standardize = standardize
        self.drop_connect = drop_connect
        self.seed = seed
        if drop_connect:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def used_kernel(self, training: bool) -> Any:
        """The kernel as it meets the inputs."""
        kernel = ops.convert_to_tensor(self.kernel)  # type: ignore[attr-defined] # of the Keras layer beside this class
        if self.standardize:
            inputs = tuple(range(len(kernel.shape) - 1))
            mean, variance = ops.moments(kernel, inputs, keepdims=True)
            # Inside the root, so that the gradient is finite also where all weights are equal.
            kernel = (kernel - mean) * ops.rsqrt(variance + 1e-10)
        if self.drop_connect and training:
            kernel = keras.random.dropout(kernel, self.drop_connect, seed=self.seed_generator)
        return kernel

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        config: dict[str, Any] = super().get_config()  # type: ignore[misc] # as above
        return config | {"standardize": self.standardize, "drop_connect": self.drop_connect, "seed": self.seed}


@_registered
class TransformedDense(_UsedKernel, keras.layers.Dense):  # type: ignore[misc] # Keras has no types
    """A dense layer without activation, whose kernel is standardized or partly dropped before it is used."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply the layer: (batch, ..., n) -> (batch, ..., units)."""
        outputs = ops.matmul(inputs, self.used_kernel(training))
        return outputs if self.bias is None else ops.add(outputs, self.bias)


@_registered
class TransformedConv2D(_UsedKernel, keras.layers.Conv2D):  # type: ignore[misc] # Keras has no types
    """A convolution without activation, whose kernel is standardized or partly dropped before it is used."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Apply the layer: (batch, h, w, c) -> (batch, h', w', filters)."""
        outputs = self.convolution_op(inputs, self.used_kernel(training))
        return outputs if self.bias is None else ops.add(outputs, self.bias)


@_registered
class BatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc] # Keras has no types
    """Keras's layer, whose moving variance takes up the unbiased variance of each batch.

    That is m / (m - 1) times the variance by which the batch itself is normalized, for m numbers a channel: Ioffe &
    Szegedy 2015, Batch Normalization, algorithm 2. Keras leaves the factor out, which is 8 / 7 for dense features of 8
    examples.
    """

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Apply the layer: the shape stays."""
        kept = self.moving_variance * self.momentum
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            taken_up = self.moving_variance - kept
            others = ops.maximum(math.prod(ops.shape(inputs)) // inputs.shape[self.axis] - 1, 1)
            self.moving_variance.assign_add(taken_up / ops.cast(others, taken_up.dtype))
        return outputs


@_registered
class ScalarBias(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Adds one learned number, zero at first: rule 3 of Fixup (Zhang, Dauphin & Ma 2019, section 3)."""

    def build(self, input_shape: Any) -> None:  # noqa: ARG002 - Keras hands it over
        """Make the number."""
        self.bias = self.add_weight(name="bias", shape=(), initializer="zeros")

    def call(self, inputs: Any) -> Any:
        """Apply the layer: the shape stays."""
        return ops.add(inputs, self.bias)


@_registered
class ScalarScale(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Multiplies with one learned number, one at first: rule 3 of Fixup (Zhang, Dauphin & Ma 2019, section 3)."""

    def build(self, input_shape: Any) -> None:  # noqa: ARG002 - Keras hands it over
        """Make the number."""
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")

    def call(self, inputs: Any) -> Any:
        """Apply the layer: the shape stays."""
        return ops.multiply(inputs, self.scale)


@_registered
class RMSNormalizationFromZero(keras.layers.RMSNormalization):  # type: ignore[misc] # Keras has no types
    """RMS normalization whose gain is zero at first, where Keras's is one: Goyal et al. 2017, section 5.1."""

    def build(self, input_shape: Any) -> None:
        """Make the gain."""
        super().build(input_shape)
        self.scale.assign(ops.zeros(self.scale.shape))


def _centred(matrix: Any, shape: tuple[int, ...]) -> Any:
    """A kernel of `shape` that is zero but for a matrix (inputs, outputs) at its middle position."""
    positions = shape[:-2]
    before = [(size - 1) // 2 for size in positions]
    padding = [(first, size - 1 - first) for first, size in zip(before, positions, strict=True)]
    return ops.pad(ops.reshape(matrix, (1,) * len(positions) + tuple(shape[-2:])), [*padding, (0, 0), (0, 0)])


@_registered
class DeltaOrthogonal(keras.initializers.Orthogonal):  # type: ignore[misc] # Keras has no types
    """Orthogonal weights at the middle of a convolution's kernel, zero around them.

    Xiao et al. 2018, Dynamical Isometry and a Mean Field Theory of CNNs, algorithm 1. Kernels of dense layers are
    orthogonal. Where there are fewer outputs than inputs the columns are orthonormal, where there are more the rows.
    """

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Draw a kernel (..., inputs, outputs)."""
        return _centred(super().__call__(tuple(shape[-2:]), dtype), tuple(shape))


@_registered
class CentredIdentity(keras.initializers.Initializer):  # type: ignore[misc] # Keras has no types
    """The identity, times a gain, at the middle of a kernel: output i is input i."""

    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Make a kernel (..., inputs, outputs)."""
        return _centred(self.gain * ops.eye(shape[-2], shape[-1], dtype=dtype), tuple(shape))

    def get_config(self) -> dict[str, Any]:
        """What makes the same initializer again."""
        return {"gain": self.gain}


@_registered
class PartOfOrthogonal(keras.initializers.Initializer):  # type: ignore[misc] # Keras has no types
    """The weights of one unit of an orthogonal convolution whose units see some of the inputs each.

    The whole kernel, zero where nothing is connected, is a matrix from all inputs to the units with orthonormal
    columns, or rows where there are fewer, times a gain.

    Args:
        seen: the inputs that each unit of the whole sees.
        unit: which of the units this is.
        centred: whether all but the middle of the kernel is zero, as in delta-orthogonal kernels.
        gain: what all weights are multiplied with.
        seed: of the whole, the same for all of its units.
    """

    def __init__(self, seen: Any, unit: int, centred: bool, gain: float = 1.0, seed: int | None = None):
        self.seen, self.unit, self.centred = [list(each) for each in seen], unit, centred
        self.gain, self.seed = gain, seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """Draw the kernel (..., inputs of the unit, 1)."""
        used = (1,) * len(shape[:-2]) if self.centred else tuple(shape[:-2])
        connected = np.zeros((*used, 1 + max(map(max, self.seen)), len(self.seen)), bool)
        for unit, inputs in enumerate(self.seen):
            connected[..., inputs, unit] = True
        flat = connected.reshape(-1, len(self.seen))
        drawn = np.asarray(keras.random.normal(flat.shape, seed=self.seed), np.float64)
        whole = self.gain * _orthonormal_within(drawn, flat).reshape(connected.shape)
        kernel = ops.convert_to_tensor(whole[..., self.seen[self.unit], self.unit, np.newaxis], dtype)
        return _centred(kernel, tuple(shape)) if self.centred else kernel

    def get_config(self) -> dict[str, Any]:
        """What makes the same initializer again."""
        return {name: getattr(self, name) for name in ("seen", "unit", "centred", "gain", "seed")}


def _orthonormal_within(drawn: Any, connected: Any) -> Any:
    """Orthonormal columns, or rows where there are fewer, made of those drawn: zero where nothing is connected."""
    if drawn.shape[0] < drawn.shape[1]:
        return _orthonormal_within(drawn.T, connected.T).T
    found = np.zeros_like(drawn)
    for number, sees in enumerate(connected.T):
        column = np.where(sees, drawn[:, number], 0)
        before = np.where(sees[:, np.newaxis], found[:, :number], 0)
        column -= before @ np.linalg.lstsq(before, column)[0]
        found[:, number] = column / np.linalg.norm(column)
    return found
