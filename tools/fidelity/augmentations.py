"""Augmentations beside SciPy's, Pillow's and NumPy's arithmetic, on the same images with the same draws.

What was drawn for an image is read off the augmented image: two of its channels are ramps, which tell where a pixel
comes from, and one is noise. Where the reference has only finitely many outcomes, the nearest of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageOps

from benchmarks.arrays import Array
from benchmarks.augmentation.augmenter import Augmenter
from benchmarks.augmentation.rand_augment import OPERATIONS, apply_operation
from benchmarks.settings.augmentation import AUGMENTATIONS, AugmentConfig
from tools.fidelity.table import Row

COUNT, SIDE, MIDDLE = 40, 24, 12
MAGNITUDE = 7.0
Reference = Callable[[Array, Array], Array]
"""An image and the same augmented -> what the source makes of it, with the draws that the augmented one shows."""


def rows() -> Iterator[Row]:
    """Every augmentation, and every operation of RandAugment."""
    assert {*AUGMENTATIONS} == {*IMAGES, *MIXTURES, "rand_augment", "gaussian_noise"}
    for name, (config, source, reference) in IMAGES.items():
        yield Row("augmentation", name, source, _of_images(config, reference))
    for name, (strength, source, difference) in MIXTURES.items():
        yield Row("augmentation", name, source, difference(strength))
    yield Row("augmentation", "gaussian_noise", "scipy.stats.norm: Kolmogorov's distance of 700,000 draws", _noise(0.1))
    for name in OPERATIONS:
        source, operation = RAND_AUGMENT[name]
        yield Row("augmentation", f"rand_augment, {name}", source, _of_operation(name, operation))


def _images() -> Array:
    """Images whose channels are the place to the right, the place down, and noise: (images, side, side, 3)."""
    generator = np.random.default_rng(0)
    down, right = np.indices((SIDE, SIDE)) * 10.0
    noise = generator.uniform(60, 200, (COUNT, SIDE, SIDE))
    return np.stack([np.stack([right, down, each], axis=-1) for each in noise]).astype(np.float32)


def _augmented(config: AugmentConfig, images: Array, targets: Array | None = None) -> tuple[Array, Any]:
    augmenter = Augmenter(config, images.shape[1:])
    labels = None if targets is None else tf.constant(targets, tf.float32)
    changed, mixed, _ = augmenter.apply(tf.constant(images), labels, tf.constant(augmenter.initial_seeds(0)))
    return changed.numpy(), mixed


def _of_images(config: AugmentConfig, reference: Reference) -> float:
    images = _images()
    changed, _ = _augmented(config, images)
    pairs = zip(images.astype(np.float64), changed, strict=True)
    return max(_distance(reference(image, found), found) for image, found in pairs)


def _distance(expected: Array, found: Array) -> float:
    return float(np.abs(expected - found).max() / 255)


def _nearest(found: Array, outcomes: Iterable[Array]) -> Array:
    return np.asarray(min(outcomes, key=lambda outcome: np.abs(outcome - found).max()))


def _windows(image: Array, padding: int) -> Iterator[Array]:
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    places = range(2 * padding + 1)
    return (padded[top : top + SIDE, left : left + SIDE] for top in places for left in places)


def _source(found: Array, row: int, column: int) -> Array:
    """The place, right and down, that a pixel's ramps show."""
    return np.array(found[row, column, :2], np.float64) / 10


def _shifted(image: Array, found: Array) -> Array:
    right, down = MIDDLE - _source(found, MIDDLE, MIDDLE)
    return np.asarray(scipy.ndimage.shift(image, (down, right, 0), order=1, mode="grid-constant"))


def _step_to_the_right(found: Array) -> Array:
    return (_source(found, MIDDLE, MIDDLE + 3) - _source(found, MIDDLE, MIDDLE - 3)) / 6


def _about_middle(image: Array, matrix: Array) -> Array:
    """Each pixel from where a matrix (down, right) leads, seen from the middle."""
    middle = np.full(2, (SIDE - 1) / 2)
    transform: dict[str, Any] = {"offset": middle - matrix @ middle, "order": 1, "mode": "grid-constant"}
    return np.stack(
        [scipy.ndimage.affine_transform(channel, matrix, **transform) for channel in image.T.swapaxes(1, 2)], -1
    )


def _rotated(image: Array, found: Array) -> Array:
    right, down = _step_to_the_right(found)
    angle = np.arctan2(down, right)
    return _about_middle(image, np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]))


def _zoomed(image: Array, found: Array) -> Array:
    return _about_middle(image, np.eye(2) * _step_to_the_right(found)[0])


def _contrasted(image: Array, found: Array) -> Array:
    noise, changed = image[..., 2], found[..., 2].astype(np.float64)
    mean = image.mean(axis=(0, 1))
    return np.asarray(np.clip(mean + np.ptp(changed) / np.ptp(noise) * (image - mean), 0, 255))


def _brightened(image: Array, found: Array) -> Array:
    return np.asarray(np.clip(image + np.median(found[..., 2].astype(np.float64) - image[..., 2]), 0, 255))


def _erased(image: Array, side: int) -> Iterator[Array]:
    rows, columns = np.indices((SIDE, SIDE))
    for top in range(-(side // 2), SIDE - side // 2):
        for left in range(-(side // 2), SIDE - side // 2):
            square = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
            yield np.where(square[..., None], 0.0, image)


IMAGES: dict[str, tuple[AugmentConfig, str, Reference]] = {
    "flip": (
        AugmentConfig(flip=True),
        "He et al. 2016, section 4.2; NumPy",
        lambda image, found: _nearest(found, (image, image[:, ::-1])),
    ),
    "crop_padding": (
        AugmentConfig(crop_padding=4),
        "He et al. 2016, section 4.2; NumPy",
        lambda image, found: _nearest(found, _windows(image, 4)),
    ),
    "translate": (AugmentConfig(translate=0.2), "scipy.ndimage.shift, linear", _shifted),
    "rotate": (AugmentConfig(rotate=30), "scipy.ndimage.affine_transform, linear", _rotated),
    "scale": (AugmentConfig(scale=0.3), "scipy.ndimage.affine_transform, linear", _zoomed),
    "contrast": (AugmentConfig(contrast=0.3), "Keras's RandomContrast: its formula in NumPy", _contrasted),
    "brightness": (AugmentConfig(brightness=0.2), "Keras's RandomBrightness: its formula in NumPy", _brightened),
    "cutout": (
        AugmentConfig(cutout=8),
        "DeVries & Taylor 2017, section 3; NumPy",
        lambda image, found: _nearest(found, _erased(image, 8)),
    ),
}
"""Setting -> its config here, its reference, and what that makes of an image."""


def _jittered(strength: float) -> float:
    """Howard 2013: enhancement of brightness, contrast and colour, in the order and by the factors that fit.

    On images of two colours and grey, all of which stay within the range, three products tell the factors.
    """
    pure = np.array([[[120.0, 100.0, 110.0], [130.0, 140.0, 150.0]]])
    changed, _ = _augmented(
        AugmentConfig(color_jitter=strength), np.repeat(pure[None], COUNT, axis=0).astype(np.float32)
    )
    return max(_distance(_fitted(pure, found), found) for found in changed)


def _fitted(image: Array, found: Array) -> Array:
    """Brightness b, contrast c, colour s: means times b, distances of means times b c, those of colours times b c s."""
    luma = np.array([0.299, 0.587, 0.114])
    grey, changed = image @ luma, found.astype(np.float64) @ luma
    brightness = changed.mean() / grey.mean()
    contrast = np.ptp(changed) / np.ptp(grey) / brightness
    colours, new = image - grey[..., None], found - changed[..., None]
    colour = float(np.sum(colours * new) / np.sum(colours**2)) / brightness / contrast
    expected = grey.mean() + contrast * (grey - grey.mean())
    return np.asarray(brightness * (expected[..., None] + contrast * colour * colours))


def _mixed_up(alpha: float) -> float:
    """Zhang et al. 2018, equation 1: inputs and labels of two examples, in the shares that the labels show."""
    images = _images()
    changed, shares = _augmented(AugmentConfig(mixup=alpha), images, np.eye(COUNT))
    return _distance(np.tensordot(shares.numpy().astype(np.float64), images.astype(np.float64), 1), changed)


def _cut_and_mixed(alpha: float) -> float:
    """Yun et al. 2019, equations 1 and 2: a rectangle of another image; labels in the shares of the pixels."""
    images = _images()
    changed, shares = _augmented(AugmentConfig(cutmix=alpha), images, np.eye(COUNT))
    difference = 0.0
    for place, (own, found, share) in enumerate(zip(images, changed, shares.numpy(), strict=True)):
        rows, columns = np.nonzero(np.any(own != found, axis=-1))
        expected = own.copy()
        if len(rows):
            box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            partner = int(np.argmax(np.where(np.arange(COUNT) == place, -1, share)))
            expected[box] = images[partner][box]
            difference = max(difference, abs(share[partner] - expected[box].size / 3 / SIDE**2))
        difference = max(difference, _distance(expected, found))
    return float(difference)


MIXTURES: dict[str, tuple[float, str, Callable[[float], float]]] = {
    "color_jitter": (0.4, "Howard 2013, section 2; its products in NumPy", _jittered),
    "mixup": (1.0, "Zhang et al. 2018, equation 1; NumPy", _mixed_up),
    "cutmix": (1.0, "Yun et al. 2019, equations 1 and 2; NumPy", _cut_and_mixed),
}
"""Setting -> its strength here, its reference, and the largest difference from it."""


def _noise(strength: float) -> float:
    images = np.repeat(_images(), 10, axis=0)
    changed, _ = _augmented(AugmentConfig(gaussian_noise=strength), images)
    drawn = (changed.astype(np.float64) - images).ravel() / (255 * strength)
    return float(scipy.stats.kstest(drawn, "norm").statistic)


def _of_operation(name: str, operation: Callable[[Array, float], Array]) -> float:
    """The largest difference over both directions and several images of whole levels."""
    images = np.round(_images())[:8]
    differences = []
    for sign in (-1.0, 1.0):
        chosen = tf.fill([len(images)], OPERATIONS.index(name))
        found = apply_operation(tf.constant(images), chosen, tf.fill([len(images)], sign), MAGNITUDE).numpy()
        expected = (operation(image.astype(np.float64), sign * MAGNITUDE / 10) for image in images)
        differences += [_distance(one, other) for one, other in zip(expected, found, strict=True)]
    return max(differences)


def _by_pillow(change: Callable[[Image.Image, float], Image.Image]) -> Callable[[Array, float], Array]:
    return lambda image, share: np.asarray(change(Image.fromarray(image.astype(np.uint8)), share), np.float64)


def _warped(*place: Callable[[float], float]) -> Callable[[Array, float], Array]:
    """Pillow's affine transform with coefficients that follow from the strength: about the upper left corner."""
    return _by_pillow(
        lambda image, share: image.transform(
            image.size, Image.Transform.AFFINE, [each(share) for each in place], Image.Resampling.NEAREST
        )
    )


def _blended(without: Callable[[Array], Any]) -> Callable[[Array, float], Array]:
    """Away from what an image is without something, or towards it: ImageEnhance's blend, without its rounding."""
    return lambda image, share: np.clip(without(image) + (1 + 0.9 * share) * (image - without(image)), 0, 255)


def _grey(image: Array) -> Array:
    return np.asarray((image @ [0.299, 0.587, 0.114])[..., None])


def _smooth(image: Array) -> Array:
    kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]])[..., None] / 13
    inner = (slice(1, -1), slice(1, -1))
    smoothed = image.copy()
    smoothed[inner] = scipy.ndimage.convolve(image, kernel)[inner]
    return smoothed


def _stretched(image: Array, _share: float) -> Array:
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    return np.asarray((image - low) / (high - low) * 255)


def _zero(_share: float) -> float:
    return 0.0


def _one(_share: float) -> float:
    return 1.0


def _sheared(share: float) -> float:
    return 0.3 * share


def _moved(share: float) -> float:
    return round(share * 150 / 331 * SIDE)


_CORNER = "Cubuk et al. 2019 and torchvision: Pillow, about the corner"
RAND_AUGMENT: dict[str, tuple[str, Callable[[Array, float], Array]]] = {
    "identity": ("Cubuk et al. 2020, section 3", lambda image, _share: image),
    "auto_contrast": ("ImageOps.autocontrast, unrounded in NumPy", _stretched),
    "equalize": ("Pillow's ImageOps.equalize", _by_pillow(lambda image, _share: ImageOps.equalize(image))),
    "rotate": ("Pillow's Image.rotate", _by_pillow(lambda image, share: image.rotate(30 * share))),
    "solarize": (
        "Pillow's ImageOps.solarize",
        _by_pillow(lambda image, share: ImageOps.solarize(image, math.ceil(256 * (1 - abs(share))))),
    ),
    "color": ("ImageEnhance.Color, unrounded in NumPy", _blended(_grey)),
    "posterize": (
        "Pillow's ImageOps.posterize",
        _by_pillow(lambda image, share: ImageOps.posterize(image, 8 - round(4 * abs(share)))),
    ),
    "contrast": ("ImageEnhance.Contrast, unrounded in NumPy", _blended(lambda image: _grey(image).mean())),
    "brightness": ("ImageEnhance.Brightness, unrounded in NumPy", _blended(lambda _image: 0.0)),
    "sharpness": ("ImageEnhance.Sharpness, unrounded in SciPy", _blended(_smooth)),
    "shear_x": (_CORNER, _warped(_one, _sheared, _zero, _zero, _one, _zero)),
    "shear_y": (_CORNER, _warped(_one, _zero, _zero, _sheared, _one, _zero)),
    "translate_x": ("torchvision: Pillow, nearest pixel", _warped(_one, _zero, _moved, _zero, _one, _zero)),
    "translate_y": ("torchvision: Pillow, nearest pixel", _warped(_one, _zero, _zero, _zero, _one, _moved)),
}
"""Operation -> its reference, and what that makes of an image at a share, signed, of the largest strength."""
