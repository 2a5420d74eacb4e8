"""What the embedded datasets have in common: their form for TFDS, and a fixed test split where none is official."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array

TEST_EVERY = 5

Columns = Mapping[str, Sequence[Any] | Array]
"""Feature -> its values in all examples."""


class EmbeddedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc,call-arg]  # TFDS ships no types
    """A TFDS dataset that is described by its docstring and needs no download."""

    VERSION = tfds.core.Version("1.0.0")
    SUPERVISED_KEYS: ClassVar[tuple[str, str] | None] = None
    HOMEPAGE: ClassVar[str | None] = None
    LICENCE: ClassVar[str] = "Apache-2.0"

    @abstractmethod
    def _features(self) -> dict[str, Any]:
        """The features as TFDS describes them."""

    @abstractmethod
    def _examples(self) -> tuple[Columns, Array]:
        """All examples, and which of them are tested."""

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(self._features()),
            supervised_keys=self.SUPERVISED_KEYS,
            homepage=self.HOMEPAGE,
            license=self.LICENCE,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        columns, is_test = self._examples()
        parts = {"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)}
        return {split: self._generate_examples(columns, part) for split, part in parts.items()}

    def _generate_examples(self, columns: Columns, part: Array) -> Iterator[tuple[int, dict[str, Any]]]:
        for index in part.tolist():
            yield index, {name: values[index] for name, values in columns.items()}


def fifth_of_each_class(labels: Array) -> Array:
    """Which examples are tested: within each class, in the given order, every fifth."""
    is_test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        is_test[np.flatnonzero(labels == label)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return is_test


def fifth_by_target(targets: Array) -> Array:
    """Which examples are tested: of each five in the order of their targets the middle one.

    Both parts then have nearly the same distribution of targets, ends included.
    """
    is_test = np.zeros(len(targets), bool)
    is_test[np.argsort(targets, kind="stable")[TEST_EVERY // 2 :: TEST_EVERY]] = True
    return is_test
