"""Fixed test splits of embedded datasets that have no official one."""

from __future__ import annotations

import numpy as np

from benchmarks.arrays import Array

TEST_EVERY = 5


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
