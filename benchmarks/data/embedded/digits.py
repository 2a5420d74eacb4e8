"""Handwritten digits: the 8x8 images that scikit-learn bundles, as a TFDS dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.data.embedded.held_out import fifth_of_each_class


class Digits(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc]  # TFDS ships no types
    """1,797 grey 8x8 images of handwritten digits, values 0 to 16, in ten classes.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998
    (CC BY 4.0); the test part of the original, as bundled with scikit-learn. It has no official split.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Every fifth image of each class is in the test split."}  # noqa: RUF012 - TFDS's own form

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(8, 8, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            homepage="https://doi.org/10.24432/C50P49",
            license="CC BY 4.0",
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {"train": self._generate_examples("train"), "test": self._generate_examples("test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        from sklearn.datasets import load_digits

        bundled = load_digits()
        for index in np.flatnonzero(fifth_of_each_class(bundled.target) == (split == "test")).tolist():
            image, label = bundled.images[index].astype(np.uint8), int(bundled.target[index])
            yield index, {"image": image[..., np.newaxis], "label": label}
