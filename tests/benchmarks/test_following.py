"""What is concluded from a run's values after each epoch, by curves made by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.settings.training import TrainConfig
from benchmarks.training.following import Following


def followed(curve, name="val_loss", **settings):
    """A run after an epoch for each value of a curve, and the epochs which were the best so far."""
    run = Following(TrainConfig(**settings))
    best = [epoch for epoch, value in enumerate(curve, start=1) if run.add_epoch(epoch, {name: value})]
    return run, best


def stopping(patience, **settings):
    return {"checkpoint": "best_val", "early_stopping_patience": patience} | settings


@pytest.mark.parametrize(
    ("patience", "curve", "stopped_after", "best_epoch"),
    [
        (1, [3, 2, 2.5, 1], 3, 2),
        (2, [3, 2, 2.5, 1, 1.5, 1.2, 0.5], 6, 4),
        (3, [3, 2, 2.5, 1, 1.5, 1.2, 0.5], None, 7),
        (3, [1, 2, 3, 4, 0], 4, 1),
        (2, [2, 2, 2, 1], 3, 1),
        (1, [5, 4, 3, 2, 1], None, 5),
        (0, [1, 2, 3, 4, 5, 6, 7, 8], None, 1),
    ],
)
def test_early_stopping(patience, curve, stopped_after, best_epoch):
    """The run ends after `patience` epochs that are no better than the best, which a tie is not."""
    run, _ = followed(curve, **stopping(patience))
    assert (run.stopped_after, run.best_epoch) == (stopped_after, best_epoch)
    assert run.is_over == (stopped_after is not None)


def test_nothing_is_taken_in_after_the_end():
    """Epochs after the end change neither history nor best epoch: the stack may go on for others."""
    run, best = followed([3, 2, 2.5, 1], **stopping(1))
    assert run.history == {"val_loss": [3, 2, 2.5]}
    assert best == [1, 2]


def test_best_epochs():
    """Each epoch that is better than all before is the best so far, and no other."""
    assert followed([4, 5, 3, 3, 2, 6], checkpoint="best_val")[1] == [1, 3, 5]


def test_accuracy_is_better_when_it_is_higher():
    """With val_accuracy as the monitored value the best is the highest, and stopping and halving follow it."""
    curve = [0.5, 0.7, 0.6, 0.9, 0.8, 0.85, 0.95]
    monitor = {"monitor": "val_accuracy"}
    run, best = followed(curve, "val_accuracy", **stopping(2, **monitor))
    assert (best, run.stopped_after, run.best_epoch) == ([1, 2, 4], 6, 4)
    halved, _ = followed(
        curve, "val_accuracy", schedule="reduce_on_plateau", plateau_factor=0.5, plateau_patience=1, **monitor
    )
    assert halved.rate_factor == 1 / 8


def test_monitored_value_is_the_one_that_is_looked_at():
    """Of two values that disagree, the monitored one decides."""
    epochs = [{"val_loss": 1.0, "val_accuracy": 0.1}, {"val_loss": 2.0, "val_accuracy": 0.2}]
    for monitor, best_epoch in (("val_loss", 1), ("val_accuracy", 2)):
        run = Following(TrainConfig(checkpoint="best_val", monitor=monitor))
        for epoch, values in enumerate(epochs, start=1):
            run.add_epoch(epoch, values)
        assert run.best_epoch == best_epoch


@pytest.mark.parametrize(
    ("patience", "curve", "factors"),
    [
        (1, [3, 3, 3, 2, 2], [1, 1 / 2, 1 / 4, 1 / 4, 1 / 8]),
        (2, [3, 4, 4, 4, 4, 2, 4, 1, 5, 5], [1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 1 / 8]),
        (3, [3, 2, 1, 0.5], [1, 1, 1, 1]),
    ],
)
def test_halving_on_plateaus(patience, curve, factors):
    """The learning rate is halved whenever `patience` epochs in a row were no better than the best."""
    for epochs, factor in enumerate(factors, start=1):
        run, _ = followed(curve[:epochs], schedule="reduce_on_plateau", plateau_factor=0.5, plateau_patience=patience)
        assert run.rate_factor == factor


def test_halving_does_not_put_off_the_end():
    """Early stopping counts from the best epoch, whether or not the rate was halved since."""
    settings = stopping(3, schedule="reduce_on_plateau", plateau_factor=0.5, plateau_patience=2)
    run, _ = followed([1, 2, 2, 2, 2], **settings)
    assert (run.stopped_after, run.rate_factor) == (4, 0.5)


def test_only_its_schedule_halves():
    """On a plateau, a run of another schedule keeps its rate."""
    assert followed([1, 2, 2, 2, 2, 2, 2, 2], checkpoint="best_val")[0].rate_factor == 1


def test_without_a_look_at_validation_nothing_is_best():
    """Where neither weights, end nor rate follow the validation part, no epoch is noted and it need not be there."""
    run, best = followed([3, 2, 1], "train_loss")
    assert (run.best_epoch, best, run.is_over) == (0, [], False)
    assert run.history == {"train_loss": [3, 2, 1]}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_epoch_with_a_value_that_is_not_finite(value):
    """The run is over, the epoch is named, and it is not in the history."""
    run = Following(TrainConfig())
    run.add_epoch(1, {"train_loss": 2.0, "val_loss": 3.0})
    assert not run.add_epoch(2, {"train_loss": 1.0, "val_loss": value})
    assert run.divergence == "val_loss was not finite after epoch 2"
    assert run.is_over
    assert run.history == {"train_loss": [2.0], "val_loss": [3.0]}


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ([], None),
        ([1, 2], None),
        ([1, math.nan, 2], 1),
        ([math.inf], 0),
        ([1, 2, -math.inf, math.nan], 2),
    ],
)
def test_first_not_finite(losses, step):
    """The index of the first loss that is no number or infinite, or None."""
    assert Following(TrainConfig()).first_not_finite(np.array(losses, np.float32)) == step


@given(
    curve=st.lists(st.floats(0, 10), min_size=2, max_size=30),
    cut=st.integers(0, 30),
    patience=st.integers(0, 4),
    plateau=st.integers(1, 4),
)
def test_written_down_and_taken_up_again(curve, cut, patience, plateau):
    """A run that is written down as JSON after any epoch and taken up again ends as one that never was."""
    config = TrainConfig(
        **stopping(patience, schedule="reduce_on_plateau", plateau_factor=0.5, plateau_patience=plateau)
    )
    whole, broken = Following(config), Following(config)
    for epoch, value in enumerate(curve, start=1):
        if epoch == cut:
            broken = Following.from_json(config, json.loads(json.dumps(broken.as_json())))
        assert broken.add_epoch(epoch, {"val_loss": value}) == whole.add_epoch(epoch, {"val_loss": value})
    assert broken == whole


def test_untouched_run_can_be_written_down():
    """Before the first epoch the best value is infinite, and comes back as that."""
    run = Following(TrainConfig())
    assert Following.from_json(run.config, json.loads(json.dumps(run.as_json()))) == run
