"""Handwritten digits: the 8x8 images that scikit-learn bundles, as a TFDS dataset."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array
from benchmarks.data.embedded.builder import Columns, EmbeddedBuilder, fifth_of_each_class


class Digits(EmbeddedBuilder):
    """1,797 grey 8x8 images of handwritten digits, values 0 to 16, in ten classes.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998
    (CC BY 4.0); the test part of the original, as bundled with scikit-learn. It has no official split.
    """

    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Every fifth image of each class is in the test split."}
    SUPERVISED_KEYS = ("image", "label")
    HOMEPAGE = "https://doi.org/10.24432/C50P49"
    LICENCE = "CC BY 4.0"

    def _features(self) -> dict[str, Any]:
        return {
            "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=10),
        }

    def _examples(self) -> tuple[Columns, Array]:
        from sklearn.datasets import load_digits

        bundled = load_digits()
        images = bundled.images.astype(np.uint8)[..., np.newaxis]
        return {"image": images, "label": bundled.target.tolist()}, fifth_of_each_class(bundled.target)
