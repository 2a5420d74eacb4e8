"""Forward passes of the zoo's networks in NumPy and double precision, after the figures and tables of their papers.

Each takes its weights from a built model, layer by layer and by name, and from the config only which network it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
"""Of numbers in double precision: images are (batch, height, width, channels)."""

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.where(x > 0, x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "tanh": np.tanh,
    "scaled_tanh": lambda x: 1.7159 * np.tanh(2 / 3 * x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}
"""The activations of the variants, and those that tests take."""


def convolve(images: Array, kernel: Array, strides: int = 1, *, padded: bool = True) -> Array:
    """Sum over the offsets of a kernel, evenly many zeros on each side, for every `strides`-th pixel."""
    size = len(kernel)
    if padded:
        around = (size // 2, size // 2)
        images = np.pad(images, ((0, 0), around, around, (0, 0)))
    height, width = (length - size + 1 for length in images.shape[1:3])
    return sum(
        images[:, row : row + height : strides, column : column + width : strides] @ kernel[row, column]
        for row in range(size)
        for column in range(size)
    )


def pool_3x3_by_2(images: Array, padding: str) -> Array:
    """Take the largest of 3x3 pixels around every second pixel, or of those that begin with it, as Caffe does."""
    height, width = images.shape[1:3]
    before = [(0 if padding == "same" and length % 2 == 0 else 1) for length in (height, width)]
    around = [(first, 2) for first in before]
    outside = 0.0 if padding == "zeros" else -np.inf
    images = np.pad(images, ((0, 0), *around, (0, 0)), constant_values=outside)
    return np.max([images[:, r : r + height : 2, c : c + width : 2] for r in range(3) for c in range(3)], axis=0)


class Reference:
    """Reads the weights of a built model, and applies what all families have."""

    def __init__(self, model: Any, config: Any):
        self.model, self.config = model, config
        self.activated = FUNCTIONS[config.activation]

    def weights(self, name: str) -> list[Array]:
        """The weights of one layer."""
        return [value.astype("float64") for value in self.model.get_layer(name).get_weights()]

    def dense(self, features: Array, name: str) -> Array:
        """A dense layer, with its bias if it has one."""
        kernel, *bias = self.weights(name)
        return features @ kernel + (bias[0] if bias else 0)

    def normalized(self, features: Array, name: str) -> Array:
        """The normalization after the layer of this name, with moving averages where it has them."""
        if self.config.normalization == "none":
            return features
        if self.config.normalization == "batch":
            gain, offset, mean, variance = self.weights(f"{name}_normalization")
        else:
            gain, offset = self.weights(f"{name}_normalization")
            axes = tuple(range(1, features.ndim))
            mean, variance = features.mean(axes, keepdims=True), features.var(axes, keepdims=True)
        return gain * (features - mean) / np.sqrt(variance + 1e-5) + offset

    def normalized_and_activated(self, features: Array, name: str) -> Array:
        """Both, in the config's order."""
        if self.config.normalization_place == "before_activation":
            return self.activated(self.normalized(features, name))
        return self.normalized(self.activated(features), name)


class Perceptron(Reference):
    """A multilayer perceptron, from the description in `MLPConfig`'s docstring."""

    def logits(self, inputs: Array) -> Array:
        """The outputs of the last layer: (batch, ...) -> (batch, outputs)."""
        features = inputs.reshape(len(inputs), -1).astype("float64")
        for index in range(1, self.config.depth + 1):
            name = f"hidden_{index}"
            hidden = self.normalized_and_activated(self.dense(features, f"{name}_dense"), name)
            added = hidden.shape[1] - features.shape[1]
            if self.config.skip_connections == "identity" and added >= 0:
                hidden = hidden + np.pad(features, ((0, 0), (0, added)))
            elif self.config.skip_connections == "projection":
                hidden = hidden + (self.dense(features, f"{name}_projection") if added else features)
            features = hidden
        return self.dense(features, "head")


TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""
"""As it is printed in LeCun et al. 1998: a row for each map of S2, a column for each map of C3."""
CONNECTED = np.array([[mark == "X" for mark in row] for row in TABLE_I.split()])


class LeNet(Reference):
    """LeNet-5, after section II.B of its paper."""

    def logits(self, inputs: Array) -> Array:
        """The outputs of the last layer, of images of 32x32 or more: (batch, h, w, channels) -> (batch, outputs)."""
        features = self.activated(self._convolved(inputs.astype("float64"), "c1"))
        features = self._subsampled(features, "s2")
        maps = []
        for number in range(16):
            # The order of a part's inputs is our own: as the indices run on from the first, round the six.
            seen = np.flatnonzero(CONNECTED[:, number]).tolist()
            if number < 12:
                seen = [index % 6 for index in range(number % 6, number % 6 + len(seen))]
            assert sorted(seen) == np.flatnonzero(CONNECTED[:, number]).tolist()
            maps.append(self._convolved(features[..., seen], f"c3_{number + 1}"))
        features = self._subsampled(self.activated(np.concatenate(maps, axis=-1)), "s4")
        features = self.activated(self._convolved(features, "c5")).reshape(len(inputs), -1)
        return self.dense(self.activated(self.dense(features, "f6")), "head")

    def _convolved(self, images: Array, name: str) -> Array:
        kernel, bias = self.weights(name)
        return convolve(images, kernel, padded=False) + bias

    def _subsampled(self, images: Array, name: str) -> Array:
        """Sum 2x2 pixels, times a quarter of the coefficient, as the paper's is a quarter of one on the mean."""
        coefficient, offset = (value.reshape(-1) for value in self.weights(name))
        images = images[:, : images.shape[1] // 2 * 2, : images.shape[2] // 2 * 2]
        total = images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]
        return self.activated(coefficient / 4 * total + offset)


class ResidualNetwork(Reference):
    """A residual or plain network, after the figures and tables of the papers that `ResNetConfig` names."""

    def __init__(self, model: Any, config: Any, layout: tuple[int, ...]):
        super().__init__(model, config)
        self.layout = layout

    def logits(self, inputs: Array) -> Array:
        """The outputs of the last layer: (batch, height, width, channels) -> (batch, outputs)."""
        pre, large = self.config.block_order == "pre_activation", self.config.stem == "imagenet"
        features = self._convolved(inputs.astype("float64"), "stem", 2 if large else 1)
        features = features if pre else self.normalized_and_activated(features, "stem")
        features = pool_3x3_by_2(features, self.config.stem_padding) if large else features
        for stage, count in enumerate(self.layout, start=1):
            for block in range(1, count + 1):
                at_start = self.config.downsampling_block == "first" and block == 1 and stage > 1
                at_end = self.config.downsampling_block == "last" and block == count and stage < len(self.layout)
                run = self._pre_activation_block if pre else self._post_activation_block
                features = run(features, f"stage_{stage}_block_{block}", 2 if at_start or at_end else 1)
        features = self.normalized_and_activated(features, "final") if pre else features
        pooled = {
            "average": features.mean((1, 2)),
            "max": features.max((1, 2)),
            "flatten": features.reshape(len(features), -1),
        }
        return self.dense(pooled[self.config.pooling], "head")

    def _convolved(self, images: Array, name: str, strides: int = 1) -> Array:
        kernel, *bias = self.weights(name)
        return convolve(images, kernel, strides) + (bias[0] if bias else 0)

    def _strides_of(self, strides: int) -> tuple[int, ...]:
        """Strides of each convolution of a branch."""
        if self.config.block == "basic":
            return strides, 1
        return (strides, 1, 1) if self.config.strided_convolution == "1x1" else (1, strides, 1)

    def _post_activation_block(self, features: Array, name: str, strides: int) -> Array:
        before = self.config.normalization_place == "before_activation"
        each = self._strides_of(strides)
        hidden = features
        for number, step in enumerate(each, start=1):
            layer = f"{name}_convolution_{number}"
            hidden = self._convolved(hidden, layer, step)
            if number < len(each):
                hidden = self.normalized_and_activated(hidden, layer)
        hidden = self.normalized(hidden, layer) if before else hidden
        hidden = self._excited(hidden, name) + self._shortcut(features, hidden, name, strides, normalize=before)
        return self.activated(hidden) if before else self.normalized(self.activated(hidden), layer)

    def _pre_activation_block(self, features: Array, name: str, strides: int) -> Array:
        hidden = shortcut = features
        for number, step in enumerate(self._strides_of(strides), start=1):
            layer = f"{name}_convolution_{number}"
            hidden = self.normalized_and_activated(hidden, layer)
            if number == 1 and self._shortcut_is_activated(name):
                shortcut = hidden
            hidden = self._convolved(hidden, layer, step)
        return self._excited(hidden, name) + self._shortcut(shortcut, hidden, name, strides, normalize=False)

    def _shortcut_is_activated(self, name: str) -> bool:
        """He et al. 2016, Identity Mappings, appendix: of the first unit, and projections; or fb.resnet.torch's."""
        first = name.endswith("_block_1") if self.config.activated_shortcuts == "every_stage" else name == FIRST_BLOCK
        return first or self._has_layer(f"{name}_projection")

    def _has_layer(self, name: str) -> bool:
        return any(layer.name == name for layer in self.model.layers)

    def _excited(self, images: Array, name: str) -> Array:
        if not self.config.squeeze_excitation:
            return images
        gate = self.dense(images.mean((1, 2), keepdims=True), f"{name}_squeeze")
        assert gate.shape[-1] == max(images.shape[3] // self.config.squeeze_excitation, 1)
        return images / (1 + np.exp(-self.dense(self.activated(gate), f"{name}_excitation")))

    def _shortcut(self, features: Array, branch: Array, name: str, strides: int, *, normalize: bool) -> Array:
        kind, channels = self.config.skip_connections, branch.shape[3]
        if kind == "none":
            return 0
        grows = channels != features.shape[3]
        if kind == "projection_everywhere" or (kind == "projection" and grows):
            images = self._convolved(features, f"{name}_projection", strides)
            return self.normalized(images, f"{name}_projection") if normalize else images
        assert not self._has_layer(f"{name}_projection")
        outputs = np.zeros_like(branch)
        start = (channels - features.shape[3]) // 2
        outputs[..., start : start + features.shape[3]] = features[:, ::strides, ::strides]
        return outputs


FIRST_BLOCK = "stage_1_block_1"
