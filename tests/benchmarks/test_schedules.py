"""Learning-rate schedules against Keras's own, hand values and their properties."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.settings.schedules import SCHEDULES
from benchmarks.settings.training import TrainConfig, schedule_factors


def factors(name, total, **settings):
    return schedule_factors(TrainConfig(schedule=name, **settings), 0, total, total)


HAND = {
    "constant": ({}, 5, [1, 1, 1, 1, 1]),
    "step": ({}, 8, [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
    "step at other shares": (
        {"decay_at": [0.1, 0.3, 0.7], "decay_factor": 0.5},
        10,
        [1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125],
    ),
    "exponential": ({"final_factor": 0.0625}, 4, [1, 0.5, 0.25, 0.125]),
    "linear": ({}, 4, [1, 0.75, 0.5, 0.25]),
    "cosine": ({}, 4, [1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
    "warmup_cosine": ({"warmup_fraction": 0.5}, 8, [0.25, 0.5, 0.75, 1, 1, (1 + 0.5**0.5) / 2, 0.5, 0.146446609]),
    "warmup_cosine without warm-up": ({"warmup_fraction": 0.0}, 4, [1, 0.853553391, 0.5, 0.146446609]),
    "one_cycle": (
        {"warmup_fraction": 0.5},
        8,
        # The numbers that torch.optim.lr_scheduler.OneCycleLR gives, and its rate at the last step.
        [0.04, 0.28, 0.76, 1, 0.85355398, 0.500002, 0.14645002, 4e-6],
    ),
    "one_cycle without warm-up": ({"warmup_fraction": 0.0}, 3, [0.75000100, 0.25000300, 4e-6]),
    "reduce_on_plateau": ({}, 3, [1, 1, 1]),
}


@pytest.mark.parametrize(("settings", "total", "values"), HAND.values(), ids=HAND)
def test_hand_values(settings, total, values, request):
    """Every factor of a short training is what its formula gives by hand."""
    name = request.node.callspec.id.split()[0]
    found = factors(name, total, **settings)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, values, rtol=1e-6)


def test_hand_values_are_complete():
    """A schedule that is added without hand values fails here."""
    assert {name.split()[0] for name in HAND} == set(SCHEDULES)


@pytest.mark.parametrize("total", [40, 1000])
def test_keras_has_the_same_schedules(total):
    """Where Keras has a schedule of the kind, each step has its rate."""
    import keras

    decays = keras.optimizers.schedules
    warm = total // 5
    theirs = {
        "step": decays.PiecewiseConstantDecay([total // 2 - 1, 3 * total // 4 - 1], [1.0, 0.1, 0.01]),
        "exponential": decays.ExponentialDecay(1.0, total, 0.01),
        "linear": decays.PolynomialDecay(1.0, total, end_learning_rate=0.0),
        "cosine": decays.CosineDecay(1.0, total),
        # Keras's begins its rise at 0; the fall is the same.
        "warmup_cosine": decays.CosineDecay(0.0, total - warm, warmup_target=1.0, warmup_steps=warm),
    }
    for name, schedule in theirs.items():
        settings, first = ({"warmup_fraction": 0.2}, warm) if name == "warmup_cosine" else ({}, 0)
        steps = range(first, total, total // 40)
        expected = [float(schedule(step)) for step in steps]
        found = factors(name, total, **settings)[first :: total // 40]
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=name)


CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "decay_at": st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4, unique=True).map(sorted),
        "decay_factor": st.floats(0.1, 0.9),
        "final_factor": st.floats(1e-6, 1),
        "warmup_fraction": st.floats(0, 0.95),
    },
)

READS = {
    "step": ("decay_at", "decay_factor"),
    "exponential": ("final_factor",),
    "warmup_cosine": ("warmup_fraction",),
    "one_cycle": ("warmup_fraction",),
}


@pytest.mark.parametrize("name", SCHEDULES)
@given(drawn=CONFIGS, total=st.integers(1, 3000))
def test_properties(name, drawn, total):
    """Factors lie in (0, 1]; they do not fall during the warm-up, nor rise ever after."""
    settings = {key: value for key, value in drawn.items() if key in READS.get(name, ())}
    found = factors(name, total, **settings).astype(np.float64)
    assert found.shape == (total,)
    assert found.max() <= 1
    assert found.min() > 0
    warm = settings.get("warmup_fraction", 0.1) if name in ("warmup_cosine", "one_cycle") else 0.0
    if not warm:
        assert found[0] == pytest.approx(1) or name == "one_cycle"
    rising = np.arange(total) <= warm * total - 1
    assert (np.diff(found[rising]) >= 0).all()
    assert (np.diff(found[~rising]) <= 0).all()


@pytest.mark.parametrize(
    ("name", "settings", "last"),
    [
        ("step", {}, 0.01),
        ("exponential", {"final_factor": 0.2}, 0.2),
        ("linear", {}, 0.0),
        ("cosine", {}, 0.0),
        ("warmup_cosine", {}, 0.0),
        ("one_cycle", {}, 4e-6),
    ],
)
def test_where_a_long_training_ends(name, settings, last):
    """The last factors of a long training come as near as one likes to what the schedule falls to."""
    assert factors(name, 1_000_000, **settings)[-1] == pytest.approx(last, abs=1e-5, rel=1e-4)
    if name == "one_cycle":
        assert factors(name, 1_000_000)[-1] == pytest.approx(4e-6, rel=1e-3)


@pytest.mark.parametrize("name", SCHEDULES)
@given(cuts=st.lists(st.integers(0, 100), max_size=5).map(sorted))
def test_parts_make_the_whole(name, cuts):
    """The factors do not depend on how many are asked for at once, to the last bit: a resumed run has the same."""
    config = TrainConfig(schedule=name)
    ends = [0, *cuts, 100]
    parts = [schedule_factors(config, start, stop - start, 100) for start, stop in itertools.pairwise(ends)]
    assert np.array_equal(np.concatenate(parts), schedule_factors(config, 0, 100, 100))


def test_factor_of_a_step_follows_from_its_share():
    """Twice as long a training has the same factor when the same share of it lies behind, warm-ups apart."""
    for name in set(SCHEDULES) - {"warmup_cosine", "one_cycle"}:
        assert np.array_equal(factors(name, 80)[::2], factors(name, 40))


@pytest.mark.parametrize(("total", "warm"), [(100, 0.1), (7, 0.5), (50, 0.02)])
def test_warm_up_rises_from_one_part_to_the_whole(total, warm):
    """He et al. 2019, section 3.1: the i-th of m steps has i / m of the rate, and no step is wasted at 0."""
    steps = int(np.ceil(warm * total))
    expected = np.minimum(np.arange(1, steps + 1) / max(warm * total, 1), 1)
    np.testing.assert_allclose(factors("warmup_cosine", total, warmup_fraction=warm)[:steps], expected, rtol=1e-6)
