"""Child seeds: where they lie, and that different streams are unrelated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo.seeds import child_seed

seeds = st.integers(0, 2**63)
names = st.text(alphabet=st.characters(exclude_characters="\x1f", exclude_categories=["Cs"]), max_size=12)


@pytest.mark.parametrize(
    ("seed", "path", "digest"),
    [
        (0, ("weights", "stem"), 0xF866DD5C),
        (7, (), 0x10220A3A),
        (123456789, ("dropout", "hidden_1_dropout"), 0x508500B8),
        (2, ("split", 3), 0x77E21991),
    ],
)
def test_known_answers(seed, path, digest):
    r"""A child is the upper 31 bits of what GNU's b2sum prints: `printf 'SEED\x1fNAME' | b2sum -l 32`."""
    assert child_seed(seed, *path) == digest // 2


@given(seed=seeds, path=st.lists(names | st.integers(0, 99), max_size=4))
def test_fits_in_31_bits(seed, path):
    """A child is a plain whole number that Keras's initializers take."""
    child = child_seed(seed, *path)
    assert type(child) is int
    assert 0 <= child < 2**31


@given(seed=seeds, path=st.lists(names, min_size=1, max_size=4), other=names)
def test_name_and_seed_both_matter(seed, path, other):
    """Another seed, another last name, one name more and one name fewer each give another child."""
    child = child_seed(seed, *path)
    assert child != child_seed(seed + 1, *path)
    assert child != child_seed(seed, *path, other)
    assert child != child_seed(seed, *path[:-1])
    if other != path[-1]:
        assert child != child_seed(seed, *path[:-1], other)


def test_names_are_not_run_together():
    """Where one name ends and the next begins matters, also between the seed and the first name."""
    children = {
        child_seed(1, "ab", "c"),
        child_seed(1, "a", "bc"),
        child_seed(1, "abc"),
        child_seed(1, "1a"),
        child_seed(11, "a"),
        child_seed(1, "c", "ab"),
    }
    assert len(children) == 6


def test_kind_of_whole_number_does_not_matter():
    """A seed that went through NumPy gives the same child as Python's own number."""
    assert child_seed(np.int64(5), "weights") == child_seed(5, "weights")


def test_spread_over_the_whole_range():
    """The children of 0, 1, 2, ... are uniform over [0, 2**31) and unrelated to their neighbours."""
    children = np.array([child_seed(seed, "weights", "stem") for seed in range(4000)]) / 2**31
    assert stats.kstest(children, "uniform").pvalue > 1e-3
    assert stats.pearsonr(children[:-1], children[1:]).pvalue > 1e-3
