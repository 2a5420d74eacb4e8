"""Errors of tuning are told as those of the zoo are, though neither imports the other."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tuning.errors
import zoo.settings

NAMES = ["relu", "ReLU6", "leaky_relu", "gelu", "gelu_tanh", "linear", "train.learning_rate", "train.momentum"]
words = st.sampled_from(NAMES) | st.text("aeglrnu_.T6", max_size=12)


@pytest.mark.parametrize(
    ("given_name", "nearest"),
    [
        ("gleu", "gelu"),
        ("RELU", "relu"),
        ("relu6", "ReLU6"),
        ("train.learningrate", "train.learning_rate"),
        ("xyz", None),
    ],
)
def test_nearest_name(given_name, nearest):
    """What is nearest is found whatever the case, and nothing where nothing is near."""
    assert tuning.errors.unknown("space", "setting", given_name, NAMES).nearest == nearest


@given(words, st.lists(words, unique_by=str.lower, max_size=6))
def test_unknown_names_are_told_alike(name, names):
    """Both packages tell an unknown name in the same words, with the same nearest one."""
    one, other = (module.unknown("a.path", "thing", name, names) for module in (tuning.errors, zoo.settings))
    assert str(one) == str(other)


def test_errors_go_to_other_processes():
    """A pickled error is the same error, as is a setting's."""
    error = tuning.errors.TuningError([tuning.errors.Problem("space", "wrong", "3", "2")])
    back = pickle.loads(pickle.dumps(error))
    assert (str(back), back.problems) == (str(error), error.problems)
