"""Tables of numbers that scikit-learn bundles, as TFDS datasets: one feature a column."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array
from benchmarks.data.embedded.builder import Columns, EmbeddedBuilder, fifth_by_target, fifth_of_each_class

_SPLIT_OF_CLASSES = "Every fifth row of each class is in the test split."


class _Table(EmbeddedBuilder, skip_registration=True):  # type: ignore[call-arg]  # TFDS ships no types
    """A table of scikit-learn with its columns under their names there, `_` for what is no letter or digit."""

    @abstractmethod
    def _bundled(self) -> Any:
        """The table as scikit-learn gives it: `data`, `target`, `feature_names` and perhaps `target_names`."""

    def _features(self) -> dict[str, Any]:
        bundled = self._bundled()
        columns = dict.fromkeys(_names(bundled), np.float32)
        if "target_names" in bundled:
            return columns | {"label": tfds.features.ClassLabel(names=[str(name) for name in bundled.target_names])}
        return columns | {"target": np.float32}

    def _examples(self) -> tuple[Columns, Array]:
        bundled = self._bundled()
        columns = dict(zip(_names(bundled), bundled.data.T.tolist(), strict=True))
        if "target_names" in bundled:
            return columns | {"label": bundled.target.tolist()}, fifth_of_each_class(bundled.target)
        return columns | {"target": bundled.target.tolist()}, fifth_by_target(bundled.target)


def _names(bundled: Any) -> list[str]:
    return [name.replace(" ", "_").replace("/", "_") for name in bundled.feature_names]


class Wine(_Table):
    """178 Italian wines of three cultivars, with 13 results of a chemical analysis each.

    Source: S. Aeberhard and M. Forina, Wine, UCI Machine Learning Repository 1992 (CC BY 4.0), as bundled with
    scikit-learn. It has no official split.
    """

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

    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "Of each five rows in the order of their targets the middle one is in the test split."
    }
    HOMEPAGE = "https://www4.stat.ncsu.edu/~boos/var.select/diabetes.html"
    LICENCE = "none stated by the authors of the data; scikit-learn, which bundles them, is under BSD 3-Clause"

    def _bundled(self) -> Any:
        from sklearn.datasets import load_diabetes

        return load_diabetes(scaled=False)
