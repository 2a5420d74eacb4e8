"""The split and the order of batches: every example in its place, and the same for every cell of a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.data.splits import batch_order, random_stream, split_train_validation, validation_size

sizes = st.integers(1, 3000)
fractions = st.floats(0, 0.999)
seeds = st.integers(0, 2**31 - 1)


@given(size=sizes, fraction=fractions, seed=seeds)
def test_split_is_a_partition(size, fraction, seed):
    """Training and validation part are disjoint, hold every example, and are each sorted whole numbers."""
    train, validation = split_train_validation(size, fraction, seed)
    assert sorted([*train, *validation]) == list(range(size))
    for part in (train, validation):
        assert part.dtype == np.int32
        assert (np.diff(part) > 0).all()


@given(size=sizes, fraction=fractions, seed=seeds)
def test_size_of_the_validation_part(size, fraction, seed):
    """The validation part is as near to the fraction as whole examples allow."""
    _, validation = split_train_validation(size, fraction, seed)
    assert len(validation) == validation_size(size, fraction)
    assert abs(len(validation) - size * fraction) <= 0.5


@pytest.mark.parametrize(
    ("size", "fraction", "expected"), [(60_000, 0.1, 6000), (1440, 0.1, 144), (10, 0.0, 0), (10, 0.96, 10), (7, 0.3, 2)]
)
def test_known_sizes(size, fraction, expected):
    """A tenth of MNIST is 6,000 examples, a tenth of digits' training split 144, and 0 sets none aside."""
    assert validation_size(size, fraction) == expected


@given(size=st.integers(60, 3000), seed=seeds)
def test_split_follows_the_seed(size, seed):
    """The same seed gives the same split, another seed another."""
    first, again = (split_train_validation(size, 0.3, seed)[1] for _ in range(2))
    other = split_train_validation(size, 0.3, seed + 1)[1]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_split_is_random():
    """Over many seeds each example is in validation as often as any other: a chi-square test does not object."""
    counts = np.zeros(50)
    for seed in range(1000):
        counts[split_train_validation(50, 0.2, seed)[1]] += 1
    assert counts.sum() == 10_000
    # Drawn without replacement, so the variance is (1 - 0.2) times that of Poisson counts.
    statistic = ((counts - 200) ** 2 / (200 * 0.8)).sum()
    assert 1e-3 < stats.chi2.sf(statistic, df=49) < 1 - 1e-3


@given(size=sizes, batch_size=st.integers(1, 300), seed=seeds, epoch=st.integers(1, 100))
def test_each_example_at_most_once_an_epoch(size, batch_size, seed, epoch):
    """An epoch has as many full batches as there can be, each example at most once, and none from elsewhere."""
    train = np.arange(5, 5 + 3 * size, 3, dtype=np.int32)
    order = batch_order(train, batch_size, seed, epoch)
    assert order.shape == (size // batch_size, batch_size)
    assert order.dtype == np.int32
    assert len(np.unique(order)) == order.size
    assert np.isin(order, train).all()
    assert size - order.size == size % batch_size


def test_input_is_left_alone():
    """Ordering the batches does not reorder the indices that were handed in."""
    train = np.arange(100, dtype=np.int32)
    batch_order(train, 10, 0, 1)
    assert np.array_equal(train, np.arange(100))


@given(seed=seeds, epoch=st.integers(1, 100))
def test_every_epoch_has_its_own_order(seed, epoch):
    """The same seed and epoch give the same order, another epoch and another seed another."""
    train = np.arange(200, dtype=np.int32)
    order = batch_order(train, 20, seed, epoch)
    assert np.array_equal(order, batch_order(train, 20, seed, epoch))
    assert not np.array_equal(order, batch_order(train, 20, seed, epoch + 1))
    assert not np.array_equal(order, batch_order(train, 20, seed + 1, epoch))


def test_other_examples_sit_out_each_epoch():
    """The examples left over by the last full batch are drawn anew, so that none is left out for good."""
    train = np.arange(25, dtype=np.int32)
    seen = [set(batch_order(train, 10, 0, epoch).ravel()) for epoch in range(1, 41)]
    assert all(len(each) == 20 for each in seen)
    assert set.union(*seen) == set(train)
    assert len({frozenset(each) for each in seen}) > 30


@given(
    size=st.integers(10, 500), seed=seeds, epoch=st.integers(1, 50), first=st.integers(1, 9), second=st.integers(1, 9)
)
def test_order_does_not_depend_on_the_batch_size(size, seed, epoch, first, second):
    """Cells with other batch sizes see the same examples in the same order, cut differently."""
    train, _ = split_train_validation(size, 0.1, seed)
    one, other = (batch_order(train, batch_size, seed, epoch).ravel() for batch_size in (first, second))
    shared = min(len(one), len(other))
    assert np.array_equal(one[:shared], other[:shared])


@given(size=st.integers(10, 500), seed=seeds, epoch=st.integers(1, 50))
def test_order_is_one_of_positions(size, seed, epoch):
    """The order of an epoch is a shuffle of positions that seed and epoch alone give, whatever stands in them."""
    positions = batch_order(np.arange(size, dtype=np.int32), 1, seed, epoch).ravel()
    train = np.arange(size, dtype=np.int32) * 7 + 3
    assert np.array_equal(batch_order(train, 1, seed, epoch).ravel(), train[positions])


def test_streams_are_unrelated():
    """The split says nothing about the order of batches, nor one seed about the next."""
    draws = [
        random_stream(0, "split").random(2000),
        random_stream(1, "split").random(2000),
        random_stream(0, "batch_order", 1).random(2000),
        random_stream(0, "batch_order", 2).random(2000),
    ]
    correlations = np.abs(np.corrcoef(draws) - np.eye(4))
    assert correlations.max() < 0.1
    assert np.array_equal(draws[0], random_stream(0, "split").random(2000))
