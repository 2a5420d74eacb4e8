"""Spirals: points in the plane on interleaved arms, generated, as a TFDS dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array
from benchmarks.data.embedded.held_out import fifth_of_each_class
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


class Spirals(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS ships no types
    """5,000 points in the plane on five spiral arms of one and a quarter turns: 4,000 for training, 1,000 for testing.

    Source: drawn by this module from a fixed seed; the same bytes everywhere. The task of two spirals is by A. Wieland,
    in K. Lang and M. Witbrock, Learning to tell two spirals apart, Connectionist Models Summer School 1988; here there
    are five, with noise. A linear model is hardly better than chance, neighbours tell nearly all. Licence: that of
    this project (Apache-2.0).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Every fifth point of each arm is in the test split."}  # noqa: RUF012 - TFDS's own form

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "point": tfds.features.Tensor(shape=(2,), dtype=np.float32),
            "label": tfds.features.ClassLabel(num_classes=NUM_ARMS),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("point", "label"),
            license="Apache-2.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {"train": self._generate_examples("train"), "test": self._generate_examples("test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        points, labels = draw_spirals()
        for index in np.flatnonzero(fifth_of_each_class(labels) == (split == "test")).tolist():
            yield index, {"point": points[index], "label": int(labels[index])}
