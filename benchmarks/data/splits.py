"""The random streams of a run that concern data: validation split and order of batches.

All of them depend on the run's seed alone, so that runs of different cells with one seed are pairs: they see the same
examples in the same order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

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


def batch_order(train_indices: Indices, batch_size: int, seed: int, epoch: int) -> Indices:
    """Indices of the examples of each step of an epoch: (steps, batch_size).

    Every epoch has its own order; the examples left over by the last full batch sit it out.
    """
    steps = len(train_indices) // batch_size
    order = random_stream(seed, "batch_order", epoch).permutation(train_indices)
    return order[: steps * batch_size].reshape(steps, batch_size)
