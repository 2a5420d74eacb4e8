"""Fractions of two-level factorial designs; pure."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Iterable

from benchmarks.suite.suite import Suite


def words_of(suite: Suite) -> tuple[int, ...]:
    """The fraction that a suite with the design `fractional` asks for, a word for each factor."""
    return fraction(len(suite.factors), suite.chosen_design.resolution)


def num_base_factors(words: Iterable[int]) -> int:
    """How many factors vary freely in a fraction: it has 2 to the power of that many combinations."""
    return max(words).bit_length()


@functools.lru_cache
def fraction(num_factors: int, resolution: int) -> tuple[int, ...]:
    """The smallest fraction of a two-level factorial that is found with this resolution, a word for each factor.

    A word is the set of base factors, as bits, whose product the factor is (Box and Hunter 1961): with base factors A,
    B and C, the word 7 is D = ABC. The resolution is the least number of words whose product is the identity. Words
    are taken one by one such that no `resolution - 1` multiply to it: first those that make the fewest products of
    `resolution` factors the identity, and, where these do not suffice, simply the first that go. For resolution 4 no
    fraction is smaller; for resolution 5 none is known to be smaller up to 17 factors.
    """
    for base_factors in itertools.count(resolution - 1):
        for prefers_few in (True, False):
            words = _words(base_factors, num_factors, resolution, prefers_few=prefers_few)
            if len(words) == num_factors:
                return words
    raise AssertionError("with as many base factors as factors there is always one")


def _words(base_factors: int, num_factors: int, resolution: int, *, prefers_few: bool) -> tuple[int, ...]:
    """As many words as there are, up to one for each factor; those of the base factors first."""
    words: list[int] = []
    # products[size]: word -> how many sets of so many factors multiply to it.
    products = [Counter({0: 1}), *(Counter[int]() for _ in range(resolution - 1))]
    candidates = [1 << place for place in range(min(base_factors, num_factors))]
    while candidates and len(words) < num_factors:
        word = min(candidates, key=lambda each: products[-1][each]) if prefers_few else candidates[0]
        words.append(word)
        for size in reversed(range(1, resolution)):
            for product, number in products[size - 1].items():
                products[size][product ^ word] += number
        if len(words) < base_factors:
            candidates = candidates[1:]
        else:
            candidates = [each for each in range(1, 2**base_factors) if not any(each in made for made in products[:-1])]
    return tuple(words)
