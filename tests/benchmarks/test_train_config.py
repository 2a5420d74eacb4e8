"""The settings of training: lengths, coefficients and combinations that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.settings.optimizers import OPTIMIZERS, with_coefficient
from benchmarks.settings.training import TrainConfig
from benchmarks.training.following import Following
from zoo.settings import SettingError


def problem_of(**settings):
    with pytest.raises(SettingError) as caught:
        TrainConfig(**settings)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({}, 30 * 20),
        ({"epochs": 3}, 60),
        ({"steps": 50}, 50),
        ({"images": 640, "batch_size": 64}, 10),
        ({"images": 641, "batch_size": 64}, 11),
        ({"images": 1, "batch_size": 64}, 1),
        ({"epochs": 0, "steps": 50}, 50),
    ],
)
def test_length_of_the_training(settings, steps):
    """Epochs are passes of full batches, steps are steps, and images are rounded up to whole batches."""
    assert TrainConfig(**settings).total_steps(20) == steps


@given(images=st.integers(1, 10**6), batch_size=st.integers(1, 5000))
def test_images_are_seen(images, batch_size):
    """At least as many training examples are seen as asked for, and less than a batch more."""
    steps = TrainConfig(images=images, batch_size=batch_size).total_steps(20)
    assert images <= steps * batch_size < images + batch_size


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"epochs": 3, "steps": 5}, "steps"),
        ({"epochs": 3, "images": 5}, "images"),
        ({"steps": 3, "images": 5}, "images"),
        ({"epochs": 1, "steps": 3, "images": 5}, "images"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 0, "steps": 0, "images": 0}, "epochs"),
    ],
)
def test_one_length(settings, path):
    """Exactly one of epochs, steps and images is given; the message shows all three and names them as the choice."""
    problem = problem_of(**settings)
    assert problem.path == path
    assert problem.message == (
        "the training has one length" if any(settings.values()) else "the training needs one length"
    )
    given = {"epochs": 0, "steps": 0, "images": 0} | settings
    assert problem.given == ", ".join(f"{name} = {value}" for name, value in given.items())
    assert problem.allowed == "one of epochs, steps, images"


def test_a_length_in_place_of_epochs_is_known_by_itself():
    """Where steps or images are given, epochs are 0 and told apart from the default."""
    assert TrainConfig(steps=50).differing_from_default() == {"epochs": 0, "steps": 50}
    assert TrainConfig(steps=50) == TrainConfig(epochs=0, steps=50)
    assert TrainConfig(steps=50).changed(steps=60) == TrainConfig(steps=60)


@pytest.mark.parametrize(
    "shares",
    [(), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.7, 0.3), (-0.1,), (1.5,), (float("nan"),), (0.5, float("nan"))],
)
def test_shares_of_the_step_schedule(shares):
    """The shares at which the rate falls rise between 0 and 1; anything else is refused with an example."""
    problem = problem_of(schedule="step", decay_at=shares)
    assert problem.path == "decay_at"
    assert "[0.5, 0.75]" in problem.allowed


def test_list_of_shares_is_a_tuple():
    """The shares come as a list from a suite and are kept as a tuple: settings can be hashed."""
    config = TrainConfig(schedule="step", decay_at=[0.25, 0.5])
    assert config.decay_at == (0.25, 0.5)
    assert hash(config) == hash(TrainConfig(schedule="step", decay_at=(0.25, 0.5)))


def test_adamw_needs_weight_decay():
    """AdamW without weight decay would be reported as an optimizer of its own, and it is Adam."""
    problem = problem_of(optimizer="adamw")
    assert problem.path == "weight_decay"
    assert "adamw without weight decay is adam" in problem.message
    assert "adam" in problem.allowed
    assert TrainConfig(optimizer="adamw", weight_decay=0.01).weight_decay == 0.01


COEFFICIENTS = ("learning_rate", "momentum", "beta_1", "beta_2", "squared_decay", "optimizer_epsilon")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", COEFFICIENTS)
def test_coefficients_belong_to_their_optimizers(optimizer, name):
    """A coefficient is taken by the optimizers that have it and refused by all others, which are named."""
    settings = {"optimizer": optimizer, name: 0.5} | ({"weight_decay": 0.1} if optimizer == "adamw" else {})
    if name in OPTIMIZERS[optimizer].coefficients:
        assert getattr(TrainConfig(**settings), name) == 0.5
        return
    problem = problem_of(**settings)
    assert problem.path == name
    assert problem.message == f'no effect with optimizer = "{optimizer}"'
    assert all(f'"{other}"' in problem.allowed for other in with_coefficient(name))


def test_every_coefficient_of_every_optimizer_is_a_setting():
    """What an optimizer's row can take is a setting of training that is unset by default."""
    named = {name for row in OPTIMIZERS.values() for name in row.coefficients}
    assert named == set(COEFFICIENTS)
    assert all(getattr(TrainConfig(), name) is None for name in named)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"optimizer": "momentum", "momentum": 1.0}, "momentum"),
        ({"beta_1": 1.0}, "beta_1"),
        ({"beta_2": -0.1}, "beta_2"),
        ({"optimizer": "rmsprop", "squared_decay": 1.0}, "squared_decay"),
        ({"optimizer_epsilon": 0.0}, "optimizer_epsilon"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"clip_value": -1.0}, "clip_value"),
        ({"weight_average": 1.0}, "weight_average"),
        ({"label_smoothing": 1.0}, "label_smoothing"),
        ({"loss": "huber", "huber_delta": 0.0}, "huber_delta"),
        ({"schedule": "exponential", "final_factor": 0.0}, "final_factor"),
        ({"schedule": "step", "decay_factor": 1.0}, "decay_factor"),
        ({"schedule": "one_cycle", "warmup_fraction": 1.0}, "warmup_fraction"),
        ({"schedule": "reduce_on_plateau", "plateau_patience": 0}, "plateau_patience"),
        ({"checkpoint": "best_val", "early_stopping_patience": -1}, "early_stopping_patience"),
        ({"steps": -1}, "steps"),
        ({"images": -1}, "images"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_out_of_range(settings, path):
    """A number out of its range is refused by its name, with what is allowed."""
    with pytest.raises(SettingError) as caught:
        TrainConfig(**settings)
    problem = caught.value.problems[0]
    assert problem.path == path
    assert problem.given


@pytest.mark.parametrize("name", ["clip_norm", "clip_value", "weight_decay", "huber_delta", "learning_rate"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_no_number_is_infinite(name, value):
    """Infinite and undefined numbers are refused: nothing could be trained with them."""
    with pytest.raises(SettingError) as caught:
        TrainConfig(**({"loss": "huber"} if name == "huber_delta" else {}) | {name: value})
    assert caught.value.problems[0].path == name


@pytest.mark.parametrize(
    ("name", "value", "nearest"),
    [
        ("optimizer", "rmspropp", "rmsprop"),
        ("schedule", "cosin", "cosine"),
        ("loss", "hubber", "huber"),
        ("class_weights", "balance", "balanced"),
        ("checkpoint", "best", "best_val"),
        ("monitor", "val_acc", "val_accuracy"),
    ],
)
def test_misspelt_choice(name, value, nearest):
    """A name that stands in no table is refused with the nearest that does."""
    problem = problem_of(**{name: value})
    assert (problem.path, problem.given, problem.nearest) == (name, value, nearest)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"decay_at": (0.5,)}, "decay_at"),
        ({"decay_factor": 0.5}, "decay_factor"),
        ({"final_factor": 0.1, "schedule": "cosine"}, "final_factor"),
        ({"warmup_fraction": 0.2, "schedule": "cosine"}, "warmup_fraction"),
        ({"plateau_patience": 2}, "plateau_patience"),
        ({"huber_delta": 0.5}, "huber_delta"),
        ({"early_stopping_patience": 2}, "early_stopping_patience"),
    ],
)
def test_setting_without_effect(settings, path):
    """A setting of another schedule, loss or checkpoint rule than the chosen one is refused: it would do nothing."""
    problem = problem_of(**settings)
    assert problem.path == path
    assert problem.message.startswith("no effect with")


STOPPING = {"checkpoint": "best_val", "early_stopping_patience": 4}
HALVING = {"schedule": "reduce_on_plateau", "plateau_patience": 4}


@pytest.mark.parametrize(
    ("settings", "path", "allowed"),
    [
        (STOPPING | {"epochs": 5}, "early_stopping_patience", "at most 3, or more epochs"),
        (HALVING | {"epochs": 5}, "plateau_patience", "at most 3, or more epochs"),
        (STOPPING | HALVING | {"early_stopping_patience": 3, "epochs": 5}, "plateau_patience", "at most 3, or more"),
        ({"schedule": "reduce_on_plateau", "epochs": 2}, "plateau_patience", "only with more epochs"),
        ({"checkpoint": "best_val", "early_stopping_patience": 1, "epochs": 1}, "early_stopping_patience", "only with"),
    ],
)
def test_patience_that_outlasts_the_training(settings, path, allowed):
    """Where the training is over before a patience can be, nothing would ever be stopped or halved: it is refused."""
    problem = problem_of(**settings)
    assert problem.path == path
    assert problem.message.startswith("no effect")
    assert problem.allowed.startswith(allowed)


@pytest.mark.parametrize("settings", [STOPPING, HALVING], ids=["stopping", "halving"])
@pytest.mark.parametrize("length", [{"epochs": 6}, {"steps": 3}, {"images": 100}], ids=["epochs", "steps", "images"])
def test_patience_that_can_end(settings, length):
    """A patience that ends before the last epoch is taken, and any where the training is not given in epochs."""
    assert TrainConfig(**settings | length)


def test_shortest_training_in_which_a_patience_acts():
    """The longest patience that is taken does act, after the last epoch but one, and not before."""
    run = Following(TrainConfig(**STOPPING | HALVING | {"epochs": 6}))
    for epoch in range(1, 6):
        assert (run.stopped_after, run.rate_factor) == (None, 1.0)
        run.add_epoch(epoch, {"val_loss": 1.0})
    assert (run.stopped_after, run.rate_factor) == (5, 0.1)


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        ({}, False),
        ({"checkpoint": "best_val"}, True),
        ({"schedule": "reduce_on_plateau"}, True),
        ({"schedule": "cosine"}, False),
    ],
)
def test_needs_validation(settings, needs):
    """The validation part is looked at while training for the best weights and for plateaus, and else not."""
    assert TrainConfig(**settings).needs_validation == needs


@pytest.mark.parametrize(
    ("task", "by_task"), [("classification", "cross_entropy"), ("binary", "cross_entropy"), ("regression", "squared")]
)
def test_loss_by_task(task, by_task):
    """By default classes are learnt by cross-entropy and numbers by squares; a named loss is that loss."""
    assert TrainConfig().loss_for(task) == by_task
    assert TrainConfig(loss="huber").loss_for(task) == "huber"


@pytest.mark.parametrize(
    ("optimizer", "name", "own"),
    [(optimizer, name, own) for optimizer, row in OPTIMIZERS.items() for name, (_, own, _) in row.coefficients.items()],
)
def test_a_coefficient_that_is_the_optimizers_own(optimizer, name, own):
    """Written out, it makes no other run and no other program than left out; another value makes both."""
    base = TrainConfig(optimizer=optimizer, weight_decay=0.1)
    written, other = base.changed(**{name: own}), base.changed(**{name: own / 2 + 0.01})
    assert written.differing_from_default() == base.differing_from_default()
    assert written.shaping_program() == base.shaping_program()
    assert other.differing_from_default() == base.differing_from_default() | {name: own / 2 + 0.01}
    assert (other.shaping_program() != base.shaping_program()) is (name != "learning_rate")
