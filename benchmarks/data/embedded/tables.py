"""Tables of numbers that scikit-learn bundles, as TFDS datasets: one feature a column."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.data.embedded.held_out import fifth_by_target, fifth_of_each_class

_SPLIT_OF_CLASSES = "Every fifth row of each class is in the test split."


class _Table(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[misc,call-arg]  # TFDS ships no types
    """A table of scikit-learn with its columns under their names there, `_` for what is no letter or digit."""

    HOMEPAGE: ClassVar[str]
    LICENCE: ClassVar[str]

    @abstractmethod
    def _bundled(self) -> Any:
        """The table as scikit-learn gives it: `data`, `target`, `feature_names` and perhaps `target_names`."""

    def _info(self) -> tfds.core.DatasetInfo:
        bundled = self._bundled()
        columns = dict.fromkeys(_names(bundled), np.float32)
        if "target_names" in bundled:
            target = {"label": tfds.features.ClassLabel(names=[str(name) for name in bundled.target_names])}
        else:
            target = {"target": np.float32}
        features = tfds.features.FeaturesDict(columns | target)
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=features,
            homepage=self.HOMEPAGE,
            license=self.LICENCE,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        del dl_manager  # nothing is downloaded
        return {"train": self._generate_examples("train"), "test": self._generate_examples("test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        bundled = self._bundled()
        has_classes = "target_names" in bundled
        is_test = (fifth_of_each_class if has_classes else fifth_by_target)(bundled.target)
        names = _names(bundled)
        for index in np.flatnonzero(is_test == (split == "test")).tolist():
            target = {"label": int(bundled.target[index])} if has_classes else {"target": bundled.target[index]}
            yield index, dict(zip(names, bundled.data[index].tolist(), strict=True)) | target


def _names(bundled: Any) -> list[str]:
    return [name.replace(" ", "_").replace("/", "_") for name in bundled.feature_names]


class Wine(_Table):
    """178 Italian wines of three cultivars, with 13 results of a chemical analysis each.

    Source: S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository 1992 (CC BY 4.0), as bundled with
    scikit-learn. It has no official split.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": _SPLIT_OF_CLASSES}
    HOMEPAGE = "https://doi.org/10.24432/C5PC7J"
    LICENCE = "CC BY 4.0"

    def _bundled(self) -> Any:
        from sklearn.datasets import load_wine

        return load_wine()


class BreastCancer(_Table):
    """569 breast masses, malignant or benign, with 30 measurements of their cell nuclei each.

    Source: W. Wolberg, O. Mangasarian, N. Street and W. Street, Breast Cancer Wisconsin (Diagnostic), UCI Machine
    Learning Repository 1993 (CC BY 4.0), as bundled with scikit-learn. It has no official split.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": _SPLIT_OF_CLASSES}
    HOMEPAGE = "https://doi.org/10.24432/C5DW2B"
    LICENCE = "CC BY 4.0"

    def _bundled(self) -> Any:
        from sklearn.datasets import load_breast_cancer

        return load_breast_cancer()


class Diabetes(_Table):
    """442 diabetes patients: age, sex, body mass index, blood pressure and six serum values; how far it got in a year.

    The target is a number from 25 to 346, larger where the disease progressed more.

    Source: B. Efron, T. Hastie, I. Johnstone and R. Tibshirani, Least Angle Regression, Annals of Statistics 32 (2004)
    407-499, unscaled, as bundled with scikit-learn (BSD 3-Clause; the paper's authors state no licence of the data).
    It has no official split.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "Of each five rows in the order of their targets the middle one is in the test split."
    }
    HOMEPAGE = "https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html"
    LICENCE = "none stated by the authors of the data; scikit-learn, which bundles them, is under BSD 3-Clause"

    def _bundled(self) -> Any:
        from sklearn.datasets import load_diabetes

        return load_diabetes(scaled=False)
