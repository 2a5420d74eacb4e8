"""Splits and order of a run's data, each from a random stream: validation split, subset of the training part, batches.

All of them depend on the run's seed alone, so that runs of different cells with one seed are pairs: they see the same
examples in the same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.arrays import Array
from zoo.seeds import child_seed

Indices = np.ndarray[Any, np.dtype[np.int32]]


def random_stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of a named child stream of a run."""
    return np.random.default_rng([seed, child_seed(seed, *names)])


def validation_size(num_examples: int, validation_fraction: float) -> int:
    """Number of examples that are set aside for validation."""
    return round(num_examples * validation_fraction)


def split_train_validation(num_examples: int, validation_fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of the training and of the validation part of the official training split, each sorted."""
    num_validation = validation_size(num_examples, validation_fraction)
    order = random_stream(seed, "split").permutation(num_examples).astype(np.int32)
    return np.sort(order[num_validation:]), np.sort(order[:num_validation])


def train_subset_size(num_train: int, fraction: float) -> int:
    """Number of training examples that `train_subset` keeps: the same for every seed."""
    return min(num_train, max(1, round(num_train * fraction)))


def train_subset(train_indices: Indices, labels: Array, fraction: float, seed: int) -> Indices:
    """A fraction of the training part, sorted, with the same share of every class to within one example.

    A smaller fraction's examples are among those of a larger one.

    Args:
        train_indices: the training part.
        labels: of all examples that `train_indices` may point to; whole numbers for classes. Real numbers have no
            classes: their examples are drawn from all.
        fraction: how much of the training part is kept, 0 < fraction <= 1.
        seed: of the run.
    """
    ranks, counts = _ranks_in_class(train_indices, labels, random_stream(seed, "train_fraction"))
    # In this order every beginning has all classes in their proportion.
    order = np.lexsort((labels[train_indices], (2 * ranks + 1) / counts))
    return np.sort(train_indices[order[: train_subset_size(len(train_indices), fraction)]])


def imbalanced_subset_size(num_train: int, labels: Array, num_classes: int, ratio: float) -> int:
    """Number of training examples that `imbalanced_subset` keeps: the same for every seed."""
    return num_train if ratio == 1 else min(num_train, int(_tail(num_train, labels, num_classes, ratio).sum()))


def imbalanced_subset(train_indices: Indices, labels: Array, num_classes: int, ratio: float, seed: int) -> Indices:
    """A long tail: of class c, n * ratio^(c / (num_classes - 1)) examples of the training part, sorted, at least one.

    So the first class keeps its n examples and the last one the share `ratio` (Cui et al. 2019, Class-Balanced Loss,
    section 5.1). A smaller ratio's examples are among those of a larger one, and 1 keeps the whole training part.

    The validation part takes more of a class or less by chance, while runs of one program need equally many examples.
    So n is not what a class has in this very training part but what it has there for nearly every seed: its expected
    number less two standard deviations. Where there are even fewer, the next class gives the missing ones.

    Args:
        train_indices: the training part, all that validation leaves of the official training split. Where a fraction
            of it is wanted too, that is to be drawn from what this function keeps.
        labels: whole numbers from 0, of all examples of the official training split.
        num_classes: at least 2.
        ratio: examples of the rarest class for one of the most frequent, 0 < ratio <= 1.
        seed: of the run.
    """
    if num_classes < 2:
        raise ValueError("a long tail needs at least two classes")
    if ratio == 1:
        return train_indices
    there = np.bincount(labels[train_indices], minlength=num_classes)
    kept = np.zeros(num_classes, np.int64)
    missing = 0
    wanted = _tail(len(train_indices), labels, num_classes, ratio)
    for _ in range(2):  # what is missing in the last classes is taken from the first ones
        for label in range(num_classes):
            kept[label], missing = (
                min(there[label], wanted[label] + missing),
                max(0, wanted[label] + missing - there[label]),
            )
        wanted = kept.copy()
    ranks, _ = _ranks_in_class(train_indices, labels, random_stream(seed, "class_imbalance"))
    return train_indices[ranks < kept[labels[train_indices]]]


def _tail(num_train: int, labels: Array, num_classes: int, ratio: float) -> Array:
    """How many examples of each class a long tail has, whatever the seed."""
    counts = np.bincount(labels, minlength=num_classes)
    share = num_train / len(labels)
    # Of a class in a part that is drawn without replacement: the hypergeometric distribution.
    spread = np.sqrt(counts * share * (1 - share) * (len(labels) - counts) / max(1, len(labels) - 1))
    usual = np.floor(counts * share - 2 * spread)
    shares = ratio ** (np.arange(num_classes) / (num_classes - 1))
    quotas: Array = np.maximum(np.rint(usual * shares), np.minimum(counts, 1)).astype(np.int64)
    return quotas


def _ranks_in_class(train_indices: Indices, labels: Array, stream: np.random.Generator) -> tuple[Array, Array]:
    """Of each training example its place in a random order of its class, from 0, and the number of examples there.

    The order is one of all examples of `labels`, so that it does not depend on which of them are in the training part.
    """
    priorities = stream.permutation(len(labels))[train_indices]
    classes = labels[train_indices]
    if classes.dtype.kind == "f":
        classes = np.zeros(len(classes), np.int32)
    order = np.lexsort((priorities, classes))
    counts = np.bincount(classes)
    ranks = np.empty(len(classes), np.int64)
    ranks[order] = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks, counts[classes]


def batch_order(train_indices: Indices, batch_size: int, seed: int, epoch: int) -> Indices:
    """Indices of the examples of each step of an epoch: (steps, batch_size).

    Every epoch has its own order; the examples left over by the last full batch sit it out.
    """
    steps = len(train_indices) // batch_size
    order = random_stream(seed, "batch_order", epoch).permutation(train_indices)
    return order[: steps * batch_size].reshape(steps, batch_size)
