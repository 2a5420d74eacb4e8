"""Optimizers on the weights of a dense and of a convolutional network: no coefficient is accepted and ignored."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest

import zoo
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.run import settings_from
from benchmarks.training.packed_optimizer import PackedOptimizer
from benchmarks.training.packing import Packing
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
    for name, (_, default) in OPTIMIZERS[optimizer].coefficients.items():
        other = stepped(packings[network], settings_with(optimizer, network, **{name: default / 2 + 0.01}))
        assert not np.array_equal(own, other), name


@pytest.mark.parametrize("network", NETWORKS)
def test_no_optimizer_is_another(network, packings):
    """On each network on which they are accepted, any two give other weights; adamw is adam and the program's decay."""
    names = [name for name in OPTIMIZERS if (name, network) not in REFUSED and name != "adamw"]
    found = {name: stepped(packings[network], settings_with(name, network)) for name in names}
    for one, other in itertools.combinations(names, 2):
        assert not np.array_equal(found[one], found[other]), (one, other)
