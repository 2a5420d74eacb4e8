"""How Hyperband spends its epochs."""

from __future__ import annotations

import pytest

from tuning.hyperband import Rung, brackets_of, cost, plan_brackets


def test_brackets_are_those_of_the_paper():
    """Li et al. 2018, table 1, 81 epochs and factor 3: sizes of the first rungs, and the epochs of all."""
    brackets = brackets_of(81, 3)
    assert [bracket[0].size for bracket in brackets] == [81, 34, 15, 8, 5]
    epochs = [[rung.epochs for rung in bracket] for bracket in brackets]
    assert epochs == [[1, 3, 9, 27, 81], [3, 9, 27, 81], [9, 27, 81], [27, 81], [81]]
    assert [rung.size for rung in brackets[0]] == [81, 27, 9, 3, 1]


@pytest.mark.parametrize(("max_epochs", "factor"), [(1, 3), (2, 3), (9, 3), (10, 2), (30, 3), (64, 4), (100, 3)])
def test_brackets_are_those_of_keras_tuner(max_epochs, factor):
    """The plan is made without Keras Tuner, whose oracle then follows it: both have the same sizes and epochs."""
    import keras_tuner

    oracle = keras_tuner.oracles.HyperbandOracle("val_loss", max_epochs, factor, seed=1)
    expected = [
        tuple(Rung(oracle._get_size(bracket, rung), oracle._get_epochs(bracket, rung)) for rung in range(bracket + 1))
        for bracket in reversed(range(oracle._get_num_brackets()))
    ]
    assert brackets_of(max_epochs, factor) == expected


def test_continued_trainings_cost_what_is_added():
    """Nine for 1 epoch, three of them on to 3 and one of those to 9: 9 + 3 * 2 + 6."""
    assert cost((Rung(9, 1), Rung(3, 3), Rung(1, 9))) == 9 + 6 + 6


def test_a_plan_ends_where_epochs_or_points_do():
    """Brackets are taken in turn, again from the first after the last, until one is not paid or not filled."""
    brackets = brackets_of(9, 3)
    each = [cost(bracket) for bracket in brackets]
    assert plan_brackets(9, 3, each[0] - 1, None) == []
    assert plan_brackets(9, 3, each[0] + each[1], None) == brackets[:2]
    assert plan_brackets(9, 3, 2 * sum(each), None) == brackets * 2
    assert plan_brackets(9, 3, 1000, brackets[0][0].size + brackets[1][0].size) == brackets[:2]
