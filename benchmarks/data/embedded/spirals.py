"""Spirals: points in the plane on interleaved arms, generated, as a TFDS dataset."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array
from benchmarks.data.embedded.builder import Columns, EmbeddedBuilder, fifth_of_each_class
from benchmarks.data.embedded.uniforms import Uniforms

NUM_ARMS = 5
POINTS_PER_ARM = 1000

_SEED = 1988
_TURNS = 1.25
_NOISE = 0.025


def draw_spirals() -> tuple[Array, Array]:
    """All points, float32 (n, 2), and the arms they belong to; the arms take turns."""
    uniforms = Uniforms(_SEED)
    count = NUM_ARMS * POINTS_PER_ARM
    labels = np.arange(count) % NUM_ARMS
    # The square root spreads the points evenly over the length of an arm, whose radius grows with its angle.
    radius = np.sqrt(uniforms.draw(count, low=0.01, high=1.0))
    angle = 2 * np.pi * (_TURNS * radius + labels / NUM_ARMS)
    # Nearly normal: the sum of twelve uniform numbers, less its mean, has variance 1.
    noise = _NOISE * (uniforms.draw(count, 2, 12).sum(axis=2) - 6)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1) + noise
    # Sines and cosines differ in their last bit from machine to machine; 16 bits after the point do not.
    return (np.round(points * 2**16) / 2**16).astype(np.float32), labels


class Spirals(EmbeddedBuilder):
    """5,000 points in the plane on five spiral arms of one and a quarter turns: 4,000 for training, 1,000 for testing.

    Source: drawn by this module from a fixed seed; the same bytes everywhere. The task of two spirals is by A. Wieland,
    in K. Lang and M. Witbrock, Learning to tell two spirals apart, Connectionist Models Summer School 1988; here there
    are five, with noise. A linear model is hardly better than chance, neighbours tell nearly all. Licence: that of
    this project (Apache-2.0).
    """

    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Every fifth point of each arm is in the test split."}
    SUPERVISED_KEYS = ("point", "label")

    def _features(self) -> dict[str, Any]:
        return {
            "point": tfds.features.Tensor(shape=(2,), dtype=np.float32),
            "label": tfds.features.ClassLabel(num_classes=NUM_ARMS),
        }

    def _examples(self) -> tuple[Columns, Array]:
        points, labels = draw_spirals()
        return {"point": points, "label": labels.tolist()}, fifth_of_each_class(labels)
