"""The split and the order of batches: every example in its place, and the same for every cell of a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.data.splits import (
    batch_order,
    held_out,
    imbalanced_subset,
    random_stream,
    split_train_validation,
    train_subset,
    train_subset_size,
    validation_size,
)

sizes = st.integers(1, 3000)
fractions = st.floats(0, 0.999)
seeds = st.integers(0, 2**31 - 1)
shares = st.floats(0, 1, exclude_min=True)


def unlabelled(number):
    """Labels that are all of one class."""
    return np.zeros(number, np.int32)


@st.composite
def labelled(draw, most_classes=6):
    """Labels of some classes, each with examples, and a training part of them."""
    num_classes = draw(st.integers(2, most_classes))
    counts = draw(st.lists(st.integers(1, 80), min_size=num_classes, max_size=num_classes))
    labels = np.random.default_rng(draw(seeds)).permutation(np.repeat(np.arange(num_classes, dtype=np.int32), counts))
    train, _ = split_train_validation(labels, draw(st.floats(0, 0.5)), draw(seeds))
    return num_classes, labels, train


@given(size=sizes, fraction=fractions, seed=seeds)
def test_split_is_a_partition(size, fraction, seed):
    """Training and validation part are disjoint, hold every example, and are each sorted whole numbers."""
    train, validation = split_train_validation(unlabelled(size), fraction, seed)
    assert sorted([*train, *validation]) == list(range(size))
    for part in (train, validation):
        assert part.dtype == np.int32
        assert (np.diff(part) > 0).all()


@given(size=sizes, fraction=fractions, seed=seeds)
def test_size_of_the_validation_part(size, fraction, seed):
    """The validation part is as near to the fraction as whole examples allow."""
    _, validation = split_train_validation(unlabelled(size), fraction, seed)
    assert len(validation) == validation_size(size, fraction)
    assert abs(len(validation) - size * fraction) <= 0.5


@pytest.mark.parametrize(
    ("size", "fraction", "expected"), [(60_000, 0.1, 6000), (1440, 0.1, 144), (10, 0.0, 0), (10, 0.96, 10), (7, 0.3, 2)]
)
def test_known_sizes(size, fraction, expected):
    """A tenth of MNIST is 6,000 examples, a tenth of digits' training split 144, and 0 sets none aside."""
    assert validation_size(size, fraction) == expected


@given(case=labelled(), fraction=fractions, seed=seeds, other=seeds)
def test_validation_part_has_each_class_in_its_share(case, fraction, seed, other):
    """Of every class the validation part has the share that it has of all, to within one example, whatever the seed."""
    num_classes, labels, _ = case
    parts = [split_train_validation(labels, fraction, each)[1] for each in (seed, other)]
    counts, again = (np.bincount(labels[part], minlength=num_classes) for part in parts)
    share = len(parts[0]) / len(labels)
    assert (np.abs(counts - share * np.bincount(labels, minlength=num_classes)) <= 1 + 1e-9).all()
    assert np.array_equal(counts, again)


@given(case=labelled(), share=st.floats(0.05, 0.5))
def test_held_out_part_has_every_class(case, share):
    """A part that is held out has of each class the share, to within half an example, at least one; always those."""
    num_classes, labels, _ = case
    part = held_out(labels, share)
    counts, of_all = np.bincount(labels[part], minlength=num_classes), np.bincount(labels, minlength=num_classes)
    assert np.array_equal(part, held_out(labels, share))
    assert (counts >= 1).all()
    assert (np.abs(counts - np.maximum(1, share * of_all)) <= 0.5 + 1e-9).all()


def test_held_out_part_is_random():
    """Examples in the order of their classes, or of their classes in turn, are held out wherever they stand."""
    for labels in (np.repeat(np.arange(4), 100), np.tile(np.arange(4), 100)):
        places = np.flatnonzero(held_out(labels, 0.2))
        assert len(places) == 80
        assert stats.kstest(places / 400, "uniform").pvalue > 1e-3
        assert len(set(places % 5)) == 5


@given(size=st.integers(60, 3000), seed=seeds)
def test_split_follows_the_seed(size, seed):
    """The same seed gives the same split, another seed another."""
    first, again = (split_train_validation(unlabelled(size), 0.3, seed)[1] for _ in range(2))
    other = split_train_validation(unlabelled(size), 0.3, seed + 1)[1]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_split_is_random():
    """Over many seeds each example is in validation as often as any other: a chi-square test does not object."""
    counts = np.zeros(50)
    for seed in range(1000):
        counts[split_train_validation(unlabelled(50), 0.2, seed)[1]] += 1
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
    train, _ = split_train_validation(unlabelled(size), 0.1, seed)
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


@given(case=labelled(), fraction=shares, seed=seeds)
def test_fraction_is_the_same_in_every_class(case, fraction, seed):
    """A fraction keeps that share of the whole as near as can be, and of every class to within one example."""
    num_classes, labels, train = case
    kept = train_subset(train, labels, fraction, seed)
    assert len(kept) == train_subset_size(len(train), fraction)
    assert abs(len(kept) - fraction * len(train)) <= max(0.5, 1 - fraction * len(train))
    before, after = (np.bincount(labels[part], minlength=num_classes) for part in (train, kept))
    assert (np.abs(after - before * len(kept) / len(train)) <= 1 + 1e-9).all()


@given(case=labelled(), one=shares, other=shares, seed=seeds)
def test_fractions_are_nested(case, one, other, seed):
    """A smaller fraction's examples are among a larger one's, all of them in the training part, sorted and once."""
    _, labels, train = case
    small, large = (train_subset(train, labels, fraction, seed) for fraction in sorted((one, other)))
    assert np.isin(small, large).all()
    assert np.isin(large, train).all()
    assert (np.diff(large) > 0).all()
    assert large.dtype == np.int32


@given(case=labelled(), seed=seeds)
def test_whole_fraction_and_even_classes_keep_all(case, seed):
    """At 1 both subsets are the training part itself."""
    num_classes, labels, train = case
    assert np.array_equal(train_subset(train, labels, 1.0, seed), train)
    assert np.array_equal(imbalanced_subset(train, labels, num_classes, 1.0, seed), train)


@given(size=st.integers(20, 300), one=shares, other=shares, seed=seeds)
def test_fraction_of_real_targets(size, one, other, seed):
    """Targets that are real numbers have no classes: the fraction is of the whole, and still nested."""
    targets = np.linspace(-1, 1, size, dtype=np.float32)
    train, _ = split_train_validation(targets, 0.2, seed)
    small, large = (train_subset(train, targets, fraction, seed) for fraction in sorted((one, other)))
    assert (len(small), len(large)) == tuple(train_subset_size(len(train), each) for each in sorted((one, other)))
    assert np.isin(small, large).all()
    assert np.isin(large, train).all()


def test_fraction_of_real_targets_is_random():
    """A half of many real targets has no more of the small ones than of the large ones, as chance has it."""
    targets = np.arange(4000, dtype=np.float32)
    kept = train_subset(np.arange(4000, dtype=np.int32), targets, 0.5, 3)
    assert stats.binomtest(int((kept < 2000).sum()), 2000).pvalue > 1e-3


def test_fraction_follows_the_seed_alone():
    """Another seed keeps others, and a larger validation part does not change the order of those that remain."""
    labels = np.arange(400, dtype=np.int32) % 4
    everything = np.arange(400, dtype=np.int32)
    first, again, other = (train_subset(everything, labels, 0.3, seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    # Without the examples of the third quarter, more of the others are reached, and none of them is given up.
    part = np.concatenate([everything[:200], everything[300:]])
    assert np.isin(first[np.isin(first, part)], train_subset(part, labels, 0.4, 5)).all()


@pytest.mark.parametrize("subset", ["fraction", "imbalance"])
def test_each_example_is_kept_as_often_as_others_of_its_class(subset):
    """Over many seeds each example of a class is kept as often as any other: a chi-square test does not object."""
    labels = np.arange(100, dtype=np.int32) % 2
    everything = np.arange(100, dtype=np.int32)
    counts = np.zeros(100)
    for seed in range(600):
        if subset == "fraction":
            kept = train_subset(everything, labels, 0.2, seed)
        else:
            kept = imbalanced_subset(everything, labels, 2, 0.2, seed)
        counts[kept] += 1
    rare = counts[labels == 1]
    assert rare.sum() == 6000
    statistic = ((rare - 120) ** 2 / (120 * 0.8)).sum()
    assert 1e-3 < stats.chi2.sf(statistic, df=49) < 1 - 1e-3


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        # CIFAR-10-LT as published: imbalance factors 10 and 100 of 5,000 images a class (12,406 for 100, 20,431 for
        # 10, where the fractions of an image are cut off; here they are rounded).
        (0.1, [5000, 3871, 2997, 2321, 1797, 1391, 1077, 834, 646, 500]),
        (0.01, [5000, 2997, 1797, 1077, 646, 387, 232, 139, 83, 50]),
    ],
)
def test_long_tail_is_the_published_one(ratio, expected):
    """On 5,000 examples a class the counts are those of the long-tailed CIFAR-10 of Cui et al., within one example."""
    labels = np.tile(np.arange(10, dtype=np.int32), 5000)
    everything = np.arange(50_000, dtype=np.int32)
    kept = imbalanced_subset(everything, labels, 10, ratio, 0)
    assert np.abs(np.bincount(labels[kept]) - expected).max() <= 1
    assert abs(len(kept) - sum(expected)) <= 10


@given(case=labelled(), one=shares, other=shares, seed=seeds)
def test_long_tails_are_nested(case, one, other, seed):
    """A smaller ratio's examples are among a larger one's, all of them in the training part, sorted and once."""
    num_classes, labels, train = case
    small, large = (imbalanced_subset(train, labels, num_classes, ratio, seed) for ratio in sorted((one, other)))
    assert np.isin(small, large).all()
    assert np.isin(large, train).all()
    assert (np.diff(large) > 0).all()
    assert large.dtype == np.int32


@given(case=labelled(), ratio=shares, seed=seeds, other=seeds)
def test_size_of_a_long_tail_is_the_same_for_every_seed(case, ratio, seed, other):
    """Seeds of one cell train on equally many examples, or they could not share a compiled program."""
    num_classes, labels, train = case
    another, _ = split_train_validation(labels, 1 - len(train) / len(labels), other)
    assert len(another) == len(train)
    parts = [(train, seed), (another, other)]
    kept = [imbalanced_subset(part, labels, num_classes, ratio, each) for part, each in parts]
    counts = [np.bincount(labels[each], minlength=num_classes) for each in kept]
    assert np.array_equal(*counts)


@given(seed=seeds, ratio=st.floats(0.02, 0.99), num_classes=st.integers(2, 12))
def test_shares_of_a_long_tail_after_a_split(seed, ratio, num_classes):
    """Of 200 examples of each class 180 are trained on, so that the tail's numbers are the formula's, rounded."""
    labels = np.tile(np.arange(num_classes, dtype=np.int32), 200)
    train, _ = split_train_validation(labels, 0.1, seed)
    kept = imbalanced_subset(train, labels, num_classes, ratio, seed)
    scale = ratio ** (np.arange(num_classes) / (num_classes - 1))
    assert np.bincount(labels[kept]).tolist() == np.rint(180 * scale).tolist()


def test_long_tail_of_two_classes():
    """Of two classes the first stays whole and the second keeps the ratio."""
    labels = np.repeat(np.arange(2, dtype=np.int32), 100)
    kept = imbalanced_subset(np.arange(200, dtype=np.int32), labels, 2, 0.25, 0)
    assert np.bincount(labels[kept]).tolist() == [100, 25]
    assert kept[:100].tolist() == list(range(100))


def test_tiny_ratio_leaves_one_of_each_class():
    """However small the ratio, no class vanishes: one example of each of the rare ones stays."""
    labels = np.repeat(np.arange(3, dtype=np.int32), 100)
    kept = imbalanced_subset(np.arange(300, dtype=np.int32), labels, 3, 0.001, 0)
    assert np.bincount(labels[kept])[1:].min() >= 1


def test_long_tail_needs_classes():
    """A regression has no classes that could be rare."""
    with pytest.raises(ValueError, match="two classes"):
        imbalanced_subset(np.arange(5, dtype=np.int32), np.zeros(5, np.int32), 1, 0.5, 0)


def test_streams_of_the_subsets_are_unrelated():
    """Which examples a fraction keeps says nothing of which a long tail keeps."""
    labels = np.repeat(np.arange(2, dtype=np.int32), 2000)
    everything = np.arange(4000, dtype=np.int32)
    half = train_subset(everything, labels, 0.5, 0)
    tail = imbalanced_subset(everything, labels, 2, 0.5, 0)
    rare = np.arange(2000, 4000)
    both = np.isin(rare, half) & np.isin(rare, tail)
    assert stats.binomtest(int(both.sum()), 2000, 0.25).pvalue > 1e-3
