"""Optimizers on the weights of a dense and of a convolutional network: no coefficient is accepted and ignored."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

import zoo
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.run import settings_from
from benchmarks.settings.training import TrainConfig
from benchmarks.training.packed_optimizer import PackedOptimizer
from benchmarks.training.packing import Packing
from tools.fidelity import optimizers
from zoo.settings import SettingError

NETWORKS = {
    "dense": {"model.variant": "mlp_small", "model.width": 8},
    "linear": {"model.variant": "mlp_small", "model.depth": 0},
    "convolutional": {"model.variant": "resnet8", "model.width": 2},
}
REFUSED = {("muon", "linear"), ("muon", "convolutional")}


@pytest.fixture(scope="module")
def packings():
    """How the weights of each network are packed."""
    models = {name: settings_from(changes).model for name, changes in NETWORKS.items()}
    return {name: Packing(zoo.build_model(model, (8, 8, 1), 10, seed=0)) for name, model in models.items()}


def settings_with(optimizer, network, **coefficients):
    decay = {"train.weight_decay": 0.1} if optimizer == "adamw" else {}
    given = {f"train.{name}": value for name, value in coefficients.items()}
    return settings_from(NETWORKS[network] | {"train.optimizer": optimizer} | decay | given)


def stepped(packing, settings):
    """Some weights after three steps along the same gradients each time."""
    generator = np.random.default_rng(0)
    size = packing.pack([np.asarray(each) for each in packing.model.variables]).weights.size
    weights = keras.Variable(generator.normal(size=(1, size)).astype(np.float32))
    optimizer = PackedOptimizer(settings.train, packing, weights)
    optimizer.rate.assign([[0.01]])
    for _ in range(3):
        optimizer.apply(keras.ops.convert_to_tensor(generator.normal(size=(1, size)).astype(np.float32)))
    return np.asarray(weights)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_coefficient_acts(optimizer, network, packings):
    """Another value of a coefficient gives other weights, or the optimizer is refused on that network."""
    if (optimizer, network) in REFUSED:
        with pytest.raises(SettingError, match=r"train\.optimizer: no effect"):
            settings_with(optimizer, network)
        return
    own = stepped(packings[network], settings_with(optimizer, network))
    for name, (_, default, _) in OPTIMIZERS[optimizer].coefficients.items():
        if name == "learning_rate":  # a number that the program hands over
            continue
        other = stepped(packings[network], settings_with(optimizer, network, **{name: default / 2 + 0.01}))
        assert not np.array_equal(own, other), name


@pytest.mark.parametrize("network", NETWORKS)
def test_no_optimizer_is_another(network, packings):
    """On each network on which they are accepted, any two give other weights; adamw is adam and the program's decay."""
    names = [name for name in OPTIMIZERS if (name, network) not in REFUSED and name != "adamw"]
    found = {name: stepped(packings[network], settings_with(name, network)) for name in names}
    for one, other in itertools.combinations(names, 2):
        assert not np.array_equal(found[one], found[other]), (one, other)


@pytest.mark.parametrize("settings", optimizers.CASES, ids=lambda settings: " ".join(map(str, settings.values())))
def test_steps_are_those_of_the_source(settings):
    """200 steps of each optimizer, in each form, are those of its paper's arithmetic in double precision.

    Keras casts coefficients of adamax to single precision first.
    """
    assert optimizers.compared(**settings).difference < (1e-6 if settings["optimizer"] == "adamax" else 1e-12)


def steps_with_decay(packing, optimizer, **settings):
    """The first step of an optimizer with a gradient of 0 but on biases, and the packed weights before it."""
    train = TrainConfig(optimizer=optimizer, learning_rate=0.1, weight_decay=0.3, **settings)
    size = packing.decays.size
    before = np.random.default_rng(0).normal(size=(1, size)).astype(np.float32)
    weights = keras.Variable(before)
    packed = PackedOptimizer(train, packing, weights)
    packed.rate.assign([[0.1]])
    packed.decay.assign([[0.3]])
    packed.apply(keras.ops.zeros((1, size)))
    return before, np.asarray(weights)


@pytest.mark.parametrize("optimizer", ["momentum", "adam", "rmsprop"])
def test_decoupled_decay_is_a_share_of_each_weight(optimizer, packings):
    """Where the gradient is 0, a step takes rate x decay of each weight away, and nothing of biases and gains."""
    packing = packings["convolutional"]
    before, after = steps_with_decay(packing, optimizer)
    np.testing.assert_allclose(after, before * (1 - 0.03 * packing.decays), rtol=1e-6)


def test_coupled_decay_goes_through_the_optimizer(packings):
    """Of SGD with momentum it is the same at the first step; of adam every decaying weight moves by the rate."""
    packing = packings["convolutional"]
    before, after = steps_with_decay(packing, "momentum", weight_decay_form="coupled")
    np.testing.assert_allclose(after, before * (1 - 0.03 * packing.decays), rtol=1e-5)
    before, after = steps_with_decay(packing, "adam", weight_decay_form="coupled")
    np.testing.assert_allclose(after, before - 0.1 * np.sign(before) * packing.decays, rtol=1e-3, atol=1e-5)


def test_decay_of_lamb_is_a_part_of_what_is_put_in_proportion(packings):
    """Where the gradient is 0, its decaying layers shrink by the rate, whatever the decay; coupled decay does not."""
    packing = packings["dense"]
    before, after = steps_with_decay(packing, "lamb")
    np.testing.assert_allclose(after, before * (1 - 0.1 * packing.decays), rtol=1e-5)
    _, coupled = steps_with_decay(packing, "lamb", weight_decay_form="coupled")
    assert not np.allclose(coupled, after)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_coupled_decay_that_is_another_optimizer(optimizer):
    """AdamW with coupled decay is Adam's, and of plain SGD both forms are one: they are refused."""
    with pytest.raises(SettingError, match="weight_decay_form"):
        TrainConfig(optimizer=optimizer, weight_decay=0.1, weight_decay_form="coupled")
