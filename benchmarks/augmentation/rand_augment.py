"""RandAugment: Cubuk et al. 2020, Practical automated data augmentation with a reduced search space, section 3.

Keras's layer of this name is another method: it draws one sequence of operations for the whole batch, draws strengths
from zero up where the paper fixes one, turns images by up to the full circle at its largest factor, posterizes less
the larger the factor, has no identity, and equalizes by one histogram of all images.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from benchmarks.arrays import Tensor
from benchmarks.augmentation import pixels
from benchmarks.settings.augmentation import LARGEST_MAGNITUDE

OPERATIONS = (
    "identity",
    "auto_contrast",
    "equalize",
    "rotate",
    "solarize",
    "color",
    "posterize",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
"""The 14 operations of the paper, each as likely as the others."""

# The largest strengths, table 6 of AutoAugment (Cubuk et al. 2019).
_LARGEST_ANGLE = math.radians(30)
_LARGEST_SHEAR = 0.3
_LARGEST_SHIFT = 150 / 331
"""As a share of the side: the table has 150 pixels of images of 331x331."""
_LARGEST_BLEND = 0.9
"""Color, contrast, brightness and sharpness are multiplied by 1 plus or minus this."""
_MOST_BITS = 4
"""How many of 8 bits are dropped at most."""


def apply_operation(images: Tensor, operation: Any, sign: Tensor, magnitude: float) -> Tensor:
    """Change each image by one operation.

    The strength grows with the magnitude in every operation. In the authors' code that is not so: there, colours are
    left as they are at 5 and are close to grey at 0, and all of an image is black at 0 when it is posterized. This is
    what torchvision and timm have come to do as well. What comes in from outside an image is black, as in torchvision;
    in the authors' code it is grey.

    Args:
        images: (batch, height, width, channels), values from 0 to 255.
        operation: (batch,), places in `OPERATIONS`.
        sign: (batch,), 1 or -1, the direction of those operations that have two.
        magnitude: 0 to 10.
    """
    share = magnitude / LARGEST_MAGNITUDE
    chosen = {name: operation == place for place, name in enumerate(OPERATIONS)}
    changed = _move(images, chosen, sign * share)
    changed = _blend(changed, images, chosen, 1 + sign * (_LARGEST_BLEND * share))
    dropped = 2.0 ** round(_MOST_BITS * share)
    others = {
        "auto_contrast": pixels.auto_contrast(images, 255),
        "equalize": pixels.equalize(images),
        "solarize": tf.where(images < 256 * (1 - share), images, 255 - images),
        "posterize": tf.floor(images / dropped) * dropped,
    }
    for name, result in others.items():
        changed = tf.where(_spread(chosen[name]), result, changed)
    return changed


def _move(images: Tensor, chosen: dict[str, Any], strength: Tensor) -> Tensor:
    """Turn, shear or shift the images that are chosen for it, all in one warp; the others stay to the last bit.

    Rotations are about the middle. Shears are about the upper left corner and shift the middle, as in the authors' code
    of AutoAugment and RandAugment and in torchvision.
    """
    height, width = images.shape[1:3]

    def where(name: str, value: Tensor) -> Tensor:
        return tf.where(chosen[name], value, tf.zeros_like(strength))

    angle = where("rotate", strength * _LARGEST_ANGLE)
    shear_x, shear_y = (where(name, strength * _LARGEST_SHEAR) for name in ("shear_x", "shear_y"))
    return pixels.warp(
        images,
        a=tf.cos(angle),
        b=shear_x - tf.sin(angle),
        x=where("translate_x", tf.round(strength * (_LARGEST_SHIFT * width))) + shear_x * (height / 2),
        c=shear_y + tf.sin(angle),
        d=tf.cos(angle),
        y=where("translate_y", tf.round(strength * (_LARGEST_SHIFT * height))) + shear_y * (width / 2),
    )


def _blend(changed: Tensor, images: Tensor, chosen: dict[str, Any], factor: Tensor) -> Tensor:
    """Move images towards or away from what they are without colour, contrast, brightness or sharpness."""
    without = tf.zeros_like(images)  # brightness
    for name, other in (
        ("color", pixels.grey(images)),
        ("contrast", pixels.mean_grey(images)),
        ("sharpness", pixels.smooth(images)),
    ):
        without = tf.where(_spread(chosen[name]), other, without)
    blended = tf.clip_by_value(without + _spread(factor) * (images - without), 0, 255)
    is_blended = chosen["brightness"] | chosen["color"] | chosen["contrast"] | chosen["sharpness"]
    return tf.where(_spread(is_blended), blended, changed)


def _spread(values: Tensor) -> Tensor:
    """One value an image: (batch,) to (batch, 1, 1, 1)."""
    return values[:, tf.newaxis, tf.newaxis, tf.newaxis]
