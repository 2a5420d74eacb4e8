"""Models with a search space under a stock Keras Tuner."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import numpy as np
import pytest

import tuning
from tuning import TuningError

# Keras Tuner 1.4.8 uses names of Python's threading that are on their way out.
pytestmark = pytest.mark.filterwarnings("ignore:(currentThread|getName).*:DeprecationWarning")

SPACE = {
    "model.units": {"linear": [2, 6], "step": 2},
    "model.activation": ["relu", "tanh"],
    "train.optimizer": ["adam", "sgd"],
    "train.learning_rate": {"log": [1e-3, 1e-1]},
    "train.momentum": {"linear": [0.5, 0.9], "when": {"train.optimizer": "sgd"}},
}


def create_model(units, activation, outputs):
    import keras

    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(units, activation=activation), keras.layers.Dense(outputs)]
    )


def compile_model(model, optimizer, learning_rate, momentum=None):
    import keras

    assert (momentum is None) == (optimizer == "adam")
    chosen = keras.optimizers.Adam(learning_rate) if momentum is None else keras.optimizers.SGD(learning_rate, momentum)
    model.compile(chosen, "mse")


@pytest.fixture
def stock_tuner(monkeypatch):
    """Keras Tuner as it is, but for the import of TensorBoard, which it does not declare, where that is missing."""
    import keras_tuner

    if importlib.util.find_spec("tensorboard") is None:
        monkeypatch.setattr(keras_tuner.Tuner, "_configure_tensorboard_dir", lambda *_: None)
    return keras_tuner


def test_a_stock_tuner_searches_the_space(stock_tuner, tmp_path):
    """Keras Tuner's random search builds, compiles and trains models of the space, conditions and all."""
    hypermodel = tuning.hypermodel(create_model, SPACE, compile_model, outputs=1)
    tuner = stock_tuner.RandomSearch(
        hypermodel, stock_tuner.Objective("val_loss", "min"), max_trials=4, seed=3, directory=tmp_path
    )
    inputs = np.random.default_rng(0).normal(size=(32, 3))
    tuner.search(inputs, inputs[:, :1], validation_split=0.5, epochs=1, verbose=0)
    space = tuning.parse_space(SPACE)
    points = [space.point_from(trial.hyperparameters.values) for trial in tuner.oracle.trials.values()]
    assert len(points) == 4
    assert all(map(space.has, points))
    assert {trial.status for trial in tuner.oracle.trials.values()} == {"COMPLETED"}
    best = tuner.get_best_hyperparameters()[0]
    model = tuner.hypermodel.build(best)
    assert model.layers[0].units == space.point_from(best.values)["model.units"]
    assert float(model.optimizer.learning_rate) == pytest.approx(best["train.learning_rate"])


def test_a_tuner_may_compile_the_models(stock_tuner, tmp_path):
    """Without compile_model the tuner's own optimizer and loss are used."""
    space = {"model.units": [2, 4]}
    hypermodel = tuning.hypermodel(create_model, space, activation="relu", outputs=1)
    tuner = stock_tuner.GridSearch(
        hypermodel,
        stock_tuner.Objective("loss", "min"),
        directory=tmp_path,
        optimizer="sgd",
        loss="mse",
        metrics=["mae"],
    )
    inputs = np.ones((4, 3))
    tuner.search(inputs, inputs[:, :1], epochs=1, verbose=0)
    assert sorted(trial.hyperparameters["model.units"] for trial in tuner.oracle.trials.values()) == [2, 4]


def test_models_are_found_by_name_where_a_package_offers_them(monkeypatch):
    """The name goes to the function that an installed package has registered as an entry point."""

    class Offered:
        def load(self):
            return lambda name, **settings: (name, settings)

    asked = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: asked.append(group) or [Offered()])
    hypermodel = tuning.hypermodel("resnet20", {"model.dropout": [0.1]}, num_classes=7)
    import keras_tuner

    assert hypermodel.build(keras_tuner.HyperParameters()) == ("resnet20", {"dropout": 0.1, "num_classes": 7})
    assert asked == ["tuning.models"]


@pytest.mark.parametrize(
    ("space", "arguments", "path", "message"),
    [
        (
            {"train.learning_rate": {"log": [1e-3, 1e-1]}},
            {},
            '"train.learning_rate"',
            "no effect without compile_model",
        ),
        ({"data.batch": [1, 2]}, {}, '"data.batch"', "no such part of a hypermodel"),
        ({"units": [1, 2]}, {}, "units", "no such part of a hypermodel"),
        ({"model.units": [1, 2]}, {"units": 3}, '"model.units"', "both searched and fixed"),
        ({"model.units": []}, {}, '"model.units"', "no choices"),
    ],
)
def test_settings_that_nobody_takes_are_refused(space, arguments, path, message):
    """Each setting of the space is handed to one of the two functions, or the space is refused."""
    with pytest.raises(TuningError) as caught:
        tuning.hypermodel(create_model, space, **arguments)
    [problem] = caught.value.problems
    assert (problem.path, problem.message) == (path, message)


def test_a_name_that_no_package_offers_is_refused(monkeypatch):
    """It is said where names come from."""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    with pytest.raises(TuningError, match=r"no installed package offers models by name.*tuning\.models"):
        tuning.hypermodel("resnet20", {"model.dropout": [0.1]})
