"""What several test files of tuning need."""

from __future__ import annotations

import pytest

from tuning import parse_space

ISSUE_SPACE = {
    "train.learning_rate": {"log": [1e-4, 1e-1]},
    "train.weight_decay": {"log": [1e-6, 1e-2], "or": 0},
    "model.dropout": {"linear": [0.0, 0.6], "step": 0.1},
    "train.optimizer": ["momentum", "adam"],
    "train.momentum": {"linear": [0.8, 0.99], "when": {"train.optimizer": "momentum"}},
}

FINITE_SPACE = {
    "model.activation": ["relu", "gelu"],
    "model.dropout": {"linear": [0.0, 0.6], "step": 0.1, "or": "none"},
    "train.clip": {"choices": [True, False], "when": {"model.activation": "relu"}},
    "train.norm": {"log": [1, 8], "step": 2, "when": {"train.clip": True, "model.dropout": [0.3, "none"]}},
}


@pytest.fixture
def issue_space():
    """The space of the feature request, with a condition and an alternative."""
    return parse_space(ISSUE_SPACE)


@pytest.fixture
def finite_space():
    """A space of 8 + 16 + 6 points with chains of conditions."""
    return parse_space(FINITE_SPACE)
