"""Augmenter: applies augmentations to batches, as pure functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.arrays import Array, Tensor
from benchmarks.augmentation import pixels
from benchmarks.augmentation.rand_augment import OPERATIONS, apply_operation
from benchmarks.settings.augmentation import AUGMENTATIONS, AugmentConfig
from zoo.seeds import child_seed

ValueRange = tuple[float | Array, float | Array]
"""The lowest and the highest value of the inputs; for feature vectors, one of each feature."""

PIXEL_RANGE: ValueRange = (0.0, 255.0)


def value_range_of(inputs: Array) -> ValueRange:
    """The range of stored inputs (n, *shape): of bytes all that they can hold, else what is found.

    It is one for all pixels and channels of images, and one for each feature of vectors, whose units differ. Bytes
    that use less than half of their range, as images of 17 grey levels do, count as numbers.
    """
    if inputs.dtype == np.uint8 and inputs.max() >= 128:
        return PIXEL_RANGE
    if inputs.ndim == 2:
        return inputs.min(axis=0).astype(np.float32), inputs.max(axis=0).astype(np.float32)
    return float(inputs.min()), float(inputs.max())


class Augmenter:
    """Makes the augmentations of one config.

    Each augmentation draws from a generator of its own, so that what it draws does not depend on the others. The
    states of the generators are handed in and out: nothing is kept here.

    Args:
        config: what is on, and how strong it is.
        input_shape: shape of one example. The config must fit it: see `AugmentConfig.check_data`.
        value_range: of the stored inputs; numbers for images.
    """

    def __init__(self, config: AugmentConfig, input_shape: tuple[int, ...], value_range: ValueRange = PIXEL_RANGE):
        self.config = config
        self.input_shape = tuple(input_shape)
        self.value_range = value_range
        self.names = tuple(name for name in AUGMENTATIONS if getattr(config, name))
        """The augmentations that are on: one row of the seeds each."""
        # Only the states that `apply` is given are used; a seed here spares Python's global generator a draw.
        self._generators = {name: keras.random.SeedGenerator(seed=0, name=name) for name in self.names}
        self._layers = self._make_layers()
        steps: dict[str, Callable[..., tuple[Any, Any]]] = {
            "flip": self._window,
            "crop_padding": self._window,
            "color_jitter": self._color_jitter,
            "rand_augment": self._rand_augment,
            "cutout": self._cutout,
            "gaussian_noise": self._gaussian_noise,
            "mixup": self._mixup,
            "cutmix": self._cutmix,
        }
        # Mirroring and cropping are one step.
        names = [name for name in self.names if name != "crop_padding" or not config.flip]
        self._steps = [steps.get(name) or self._layer_step(name) for name in names]

    def initial_seeds(self, seed: int) -> Array:
        """The generators' first states for a run: (generators, 2), int64.

        An augmentation begins in the same state in every run of a seed, whatever else is on.
        """
        states = [[child_seed(seed, "augmentation", name), 0] for name in self.names]
        return np.array(states, np.int64).reshape(-1, 2)

    def apply(
        self, inputs: Tensor, targets: Tensor, seeds: Tensor, erased: Tensor = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Augment one batch of one run.

        Args:
            inputs: (batch, *shape), float32, as they are stored.
            targets: (batch, classes), float32, one-hot or mixed already; None where no labels are mixed.
            seeds: the states of the generators: (generators, 2), int64.
            erased: what cutout puts in place of an example's pixels, of a shape that broadcasts to an example's.
                DeVries & Taylor put zeros into standardized images, which is the shift of a standardization. None: the
                lowest value.

        Returns:
            Inputs and targets, augmented, and the next states.

        Raises:
            ValueError: labels are to be mixed and there are no targets.
        """
        if self.config.mixes_labels and targets is None:
            raise ValueError("mixup and cutmix mix labels: give the targets")
        if not self._steps:
            return inputs, targets, seeds
        states = [generator.state for generator in self._generators.values()]
        mapping = [(state, seeds[row]) for row, state in enumerate(states)]
        fill = self.value_range[0] if erased is None else erased
        with keras.StatelessScope(state_mapping=mapping) as scope:
            for step in self._steps:
                inputs, targets = step(inputs, targets, fill)
            following = [tf.cast(scope.get_current_value(state), tf.int64) for state in states]
        return inputs, targets, tf.stack(following)

    def apply_to_slots(
        self, inputs: Tensor, targets: Tensor, seeds: Tensor, erased: Tensor = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Augment one batch of each run of a stack: `apply` with a leading run axis on every argument.

        The runs go one after another. `tf.vectorized_map` gives the same, but the operations that matter here, random
        numbers and warps, have no vectorized form in TensorFlow and become loops in it.
        """
        done = [
            self.apply(*(None if each is None else each[slot] for each in (inputs, targets, seeds, erased)))
            for slot in range(inputs.shape[0])
        ]
        new_inputs, new_targets, new_seeds = zip(*done, strict=True)
        return tf.stack(new_inputs), None if targets is None else tf.stack(new_targets), tf.stack(new_seeds)

    def _make_layers(self) -> dict[str, keras.Layer]:
        """Keras's own layers, of those augmentations where they do what is wanted.

        A factor is always a pair: a single number s means -s to s to some layers, 0 to s to others, and RandomContrast
        takes it for 1 to 1 + s, where its documentation says 1 - s to 1 + s.
        """
        config, black = self.config, self.value_range[0]
        warping = {"fill_mode": "constant", "fill_value": black, "seed": 0, "dtype": "float32"}
        colour = {"value_range": self.value_range, "seed": 0, "dtype": "float32"}
        turn, shift, zoom = config.rotate / 360, config.translate, config.scale
        makers: dict[str, Callable[[], keras.Layer]] = {
            "flip": lambda: keras.layers.RandomFlip("horizontal", seed=0, dtype="float32"),
            "translate": lambda: keras.layers.RandomTranslation((-shift, shift), (-shift, shift), **warping),
            "rotate": lambda: keras.layers.RandomRotation((-turn, turn), **warping),
            "scale": lambda: keras.layers.RandomZoom((-zoom, zoom), **warping),
            "contrast": lambda: keras.layers.RandomContrast((config.contrast, config.contrast), **colour),
            "brightness": lambda: keras.layers.RandomBrightness((-config.brightness, config.brightness), **colour),
        }
        layers = {name: makers[name]() for name in self.names if name in makers}
        for name, layer in layers.items():
            self._generators[name] = layer.generator
        return layers

    def _layer_step(self, name: str) -> Callable[..., tuple[Any, Any]]:
        layer = self._layers[name]
        return lambda images, targets, _erased: (layer(images, training=True), targets)

    def _window(self, images: Tensor, targets: Tensor, _erased: Tensor) -> tuple[Tensor, Tensor]:
        batch, padding = tf.shape(images)[0], self.config.crop_padding
        mirrored = tf.zeros([batch], tf.bool)
        corners = tf.zeros([batch, 2], tf.int32)
        if self.config.flip:
            mirrored = tf.reshape(self._layers["flip"].get_random_transformation(images)["flips"], [batch])
        if padding:
            corners = keras.random.randint([batch, 2], 0, 2 * padding + 1, seed=self._generators["crop_padding"])
        return pixels.windows(images, padding, self.value_range[0], corners, mirrored), targets

    def _color_jitter(self, images: Tensor, targets: Tensor, _erased: Tensor) -> tuple[Tensor, Tensor]:
        # Keras's RandomColorJitter shifts brightness where Howard 2013 multiplies it, keeps one order, makes every
        # other image grey altogether (RandomSaturation takes s for -s to s), and leaves the value range where it
        # makes colours stronger.
        generator, strength = self._generators["color_jitter"], self.config.color_jitter
        shape = [tf.shape(images)[0], 3]
        factors = keras.random.uniform(shape, 1 - strength, 1 + strength, seed=generator)
        order = tf.argsort(keras.random.uniform(shape, seed=generator))
        for turn in range(3):
            kind = order[:, turn, tf.newaxis, tf.newaxis, tf.newaxis]
            factor = tf.gather(factors, order[:, turn], axis=1, batch_dims=1)[:, tf.newaxis, tf.newaxis, tf.newaxis]
            without_colour = pixels.grey(images)
            without_contrast = tf.reduce_mean(without_colour, [1, 2], keepdims=True)
            without = tf.where(kind == 0, self.value_range[0], tf.where(kind == 1, without_contrast, without_colour))
            images = tf.clip_by_value(without + factor * (images - without), *self.value_range)
        return images, targets

    def _rand_augment(self, images: Tensor, targets: Tensor, _erased: Tensor) -> tuple[Tensor, Tensor]:
        generator, config = self._generators["rand_augment"], self.config
        low, high = self.value_range
        is_bytes = (low, high) == PIXEL_RANGE
        images = images if is_bytes else (images - low) * (255 / (high - low))
        shape = [config.rand_augment_operations, tf.shape(images)[0]]
        operations = keras.random.randint(shape, 0, len(OPERATIONS), seed=generator)
        signs = tf.where(keras.random.uniform(shape, seed=generator) < 0.5, -1.0, 1.0)
        for turn in range(config.rand_augment_operations):
            images = apply_operation(images, operations[turn], signs[turn], config.rand_augment)
        return images if is_bytes else images * ((high - low) / 255) + low, targets

    def _cutout(self, images: Tensor, targets: Tensor, erased: Tensor) -> tuple[Tensor, Tensor]:
        # Keras's RandomErasing draws a rectangle that lies within the image; DeVries & Taylor's square may reach over
        # the edge, which they found to matter (section 3).
        (height, width), side = self.input_shape[:2], self.config.cutout
        middle = keras.random.uniform([2, tf.shape(images)[0]], seed=self._generators["cutout"])
        top = tf.cast(middle[0] * height, tf.int32) - side // 2
        left = tf.cast(middle[1] * width, tf.int32) - side // 2
        square = pixels.rectangles(height, width=width, top=top, bottom=top + side, left=left, right=left + side)
        return tf.where(square, tf.cast(erased, images.dtype), images), targets

    def _gaussian_noise(self, inputs: Tensor, targets: Tensor, _erased: Tensor) -> tuple[Tensor, Tensor]:
        # Keras's GaussianNoise allows deviations up to 1, which is not enough for pixels up to 255.
        low, high = self.value_range
        noise = keras.random.normal(tf.shape(inputs), seed=self._generators["gaussian_noise"])
        return inputs + noise * (self.config.gaussian_noise * (high - low)), targets

    def _mixup(self, inputs: Tensor, targets: Tensor, _erased: Tensor) -> tuple[Tensor, Tensor]:
        # Keras's MixUp takes images only, and draws in single precision: see `_symmetric_beta`.
        generator, batch = self._generators["mixup"], tf.shape(inputs)[0]
        partner = keras.random.shuffle(tf.range(batch), seed=generator)
        share = _symmetric_beta(batch, self.config.mixup, generator)
        inputs = _mixed(inputs, tf.gather(inputs, partner), share)
        return inputs, _mixed(targets, tf.gather(targets, partner), share)

    def _cutmix(self, images: Tensor, targets: Tensor, _erased: Tensor) -> tuple[Tensor, Tensor]:
        # Keras's CutMix draws alpha itself, uniformly from 0 to its factor and anew for each batch, so that areas are
        # not Beta(alpha, alpha); it keeps the rectangle within the image; and it mixes the labels by the area of a
        # rectangle whose corners lie between pixels. Yun et al., algorithm A1, count the pixels of one cut off at the
        # edges.
        generator, batch = self._generators["cutmix"], tf.shape(images)[0]
        height, width = self.input_shape[:2]
        partner = keras.random.shuffle(tf.range(batch), seed=generator)
        side = tf.sqrt(1 - _symmetric_beta(batch, self.config.cutmix, generator))
        middle = keras.random.uniform([2, batch], seed=generator)
        top, bottom = _ends(middle[0], side, height)
        left, right = _ends(middle[1], side, width)
        pasted = pixels.rectangles(height, width=width, top=top, bottom=bottom, left=left, right=right)
        share = 1 - tf.cast((bottom - top) * (right - left), tf.float32) / (height * width)
        images = tf.where(pasted, tf.gather(images, partner), images)
        return images, _mixed(targets, tf.gather(targets, partner), share)


def _symmetric_beta(count: Tensor, alpha: float, generator: Any) -> Tensor:
    """Draws from Beta(alpha, alpha): (count,).

    Keras's `random.beta` divides gamma variates, which TensorFlow keeps from being smaller than the smallest normal
    number. In single precision, as MixUp takes it, both of a pair are there in 17 % of draws at alpha 0.01, and the
    share is one half where it should be 0 or 1. In double precision it is one in a million, and at 0.02 none.
    """
    return tf.cast(keras.random.beta([count], alpha, alpha, dtype="float64", seed=generator), tf.float32)


def _ends(middle: Tensor, share: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """First pixel and first pixel after it of `share` of an axis about a pixel, cut off at the image's edges."""
    half = tf.cast(share * size, tf.int32) // 2
    center = tf.cast(middle * size, tf.int32)
    return tf.maximum(center - half, 0), tf.minimum(center + half, size)


def _mixed(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """`share` of one and the rest of the other, example by example."""
    share = tf.reshape(share, [-1] + [1] * (len(own.shape) - 1))
    return share * own + (1 - share) * other
