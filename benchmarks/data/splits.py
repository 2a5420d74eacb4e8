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


def split_train_validation(labels: Array, validation_fraction: float, seed: int) -> tuple[Indices, Indices]:
    """Indices of the training and of the validation part of the official training split, each sorted.

    Each class has the same share of both to within one example, and equally many for every seed.

    Args:
        labels: of all examples of the split; whole numbers for classes. Real numbers have no classes.
        validation_fraction: of all examples, 0 <= fraction < 1.
        seed: of the run.
    """
    order = _in_proportion(np.arange(len(labels), dtype=np.int32), labels, random_stream(seed, "split"))
    num_validation = validation_size(len(labels), validation_fraction)
    return np.sort(order[num_validation:]), np.sort(order[:num_validation])


def held_out(labels: Array, share: float, seed: int = 0) -> Array:
    """Which examples (n,) are held out of a dataset that has no test split: of each class the share, at least one."""
    ranks, counts = _ranks_in_class(np.arange(len(labels), dtype=np.int32), labels, random_stream(seed, "held_out"))
    is_held_out: Array = ranks < np.maximum(1, np.rint(share * counts))
    return is_held_out


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
    order = _in_proportion(train_indices, labels, random_stream(seed, "train_fraction"))
    return np.sort(order[: train_subset_size(len(train_indices), fraction)])


def imbalanced_subset(train_indices: Indices, labels: Array, num_classes: int, ratio: float, seed: int) -> Indices:
    """A long tail: of class c, n * ratio^(c / (num_classes - 1)) examples of the training part, sorted, at least one.

    So the first class keeps its n examples and the last one the share `ratio` (Cui et al. 2019, Class-Balanced Loss,
    section 5.1). A smaller ratio's examples are among those of a larger one, and 1 keeps the whole training part.

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
    counts = np.bincount(labels[train_indices], minlength=num_classes)
    shares = ratio ** (np.arange(num_classes) / (num_classes - 1))
    kept = np.maximum(np.rint(counts * shares), 1)
    ranks, _ = _ranks_in_class(train_indices, labels, random_stream(seed, "class_imbalance"))
    return train_indices[ranks < kept[labels[train_indices]]]


def _in_proportion(indices: Indices, labels: Array, stream: np.random.Generator) -> Indices:
    """The same examples in a random order of which every beginning has all classes in their proportion."""
    ranks, counts = _ranks_in_class(indices, labels, stream)
    return indices[np.lexsort((labels[indices], (2 * ranks + 1) / counts))]


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
