"""The compiled program against plain Keras: every model, optimizer, schedule and loss gives what `fit` gives.

By day, several layers or losses are compared at once, and of the schedules, whose rates test_schedules.py has by hand,
one of each kind of factor; by night, each alone.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
from training_runs import (
    FIFTY,
    NARROW_RESNET,
    SEED,
    SGD,
    SMALL,
    WITH_BATCH,
    batches,
    name_of,
    standardized,
    train_recorded,
    untrained,
)

from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.run import settings_from
from benchmarks.settings.schedules import SCHEDULES
from benchmarks.training import optimizers


class Fit(NamedTuple):
    """How Keras itself trains what a row of settings asks for."""

    optimizer: Any
    loss: Any = None
    class_weight: bool = False
    plateau: int = 0
    """Patience of ReduceLROnPlateau, or 0."""


LOSSES = {
    "classification": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "binary": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
    "regression": keras.losses.MeanSquaredError,
}


def fit(dataset, inputs, settings, how, steps):
    """Losses of every step of Keras's own `fit` over the same batches, and outputs for the test split."""
    model = untrained(settings, dataset, inputs.seed)
    optimizer = how.optimizer()
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "alpha", "scale"])
    loss = (how.loss or LOSSES[dataset.task])()
    model.compile(optimizer, loss)
    order = batches(inputs, settings, steps)
    labels = dataset.train.labels
    if dataset.task == "regression":
        labels = (labels - labels[inputs.train_indices].mean()) / labels[inputs.train_indices].std()
    elif isinstance(loss, keras.losses.CategoricalCrossentropy):
        labels = keras.utils.to_categorical(labels, dataset.num_classes)
    classes = dataset.train.labels[inputs.train_indices]
    weights = None
    if how.class_weight:
        weights = dict(enumerate(compute_class_weight("balanced", classes=np.unique(classes), y=classes)))
    images, losses = standardized(dataset.train.inputs, inputs), []
    recording = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda _, logs: model.reset_metrics(),  # noqa: ARG005 - Keras hands it in by name
        on_train_batch_end=lambda _, logs: losses.append(logs["loss"]),
    )
    plateau = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=how.plateau, min_delta=0.0)
    plateau.set_model(model)
    plateau.on_train_begin()
    # One call where it can be: Keras puts its moving average into the model at the end of each.
    calls = np.split(order, range(0, steps, len(classes) // settings.train.batch_size)[1:]) if how.plateau else [order]
    for number, part in enumerate(calls):
        model.fit(
            images[part.ravel()],
            labels[part.ravel()],
            batch_size=settings.train.batch_size,
            shuffle=False,
            verbose=0,
            callbacks=[recording],
            class_weight=weights,
        )
        if how.plateau:
            validation = inputs.validation_indices
            value = model.evaluate(images[validation], labels[validation], batch_size=512, verbose=0)
            plateau.on_epoch_end(number, {"val_loss": value})
    return np.array(losses), model.predict(standardized(dataset.test.inputs, inputs), verbose=0)


def reported_loss(dataset, settings, outputs, inputs):
    """What is reported as the test loss: of the outputs alone, without penalties, smoothing or weights."""
    labels = dataset.test.labels
    if dataset.task == "classification":
        return float(keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, outputs))
    if dataset.task == "binary":
        return float(keras.losses.BinaryCrossentropy(from_logits=True)(labels[:, None], outputs))
    train = dataset.train.labels[inputs.train_indices]
    loss = keras.losses.Huber(settings.train.huber_delta) if settings.train.loss == "huber" else LOSSES[dataset.task]()
    return float(loss((labels[:, None] - train.mean()) / train.std(), outputs))


def check_against_plain_fit(trainer, dataset, changes, how, steps=50):
    """Train one run both ways and compare; the losses of the program's steps."""
    settings = settings_from(changes)
    ours, result = train_recorded(trainer, settings, SEED)
    inputs = trainer.inputs_of(settings, SEED)
    theirs, outputs = fit(dataset, inputs, settings, how, len(ours))
    assert len(ours) >= steps
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6)
    np.testing.assert_allclose(ours[:steps], theirs[:steps], atol=1e-4)
    assert ours[:steps].min() < 0.8 * ours[0], "the run must have learnt something for the comparison to mean anything"
    # Of the loss alone: Keras's own evaluation would add the penalties on the weights.
    assert result.metrics["test_loss"] == pytest.approx(reported_loss(dataset, settings, outputs, inputs), abs=2e-3)
    return ours


def adam(rate=1e-3, epsilon=1e-8, **arguments):
    return lambda: optimizers.Adam(learning_rate=rate, epsilon=epsilon, **arguments)


# Where a normalization makes gradients of rounding errors alone, Adam's own epsilon lets them move weights.
CALM = {"train.optimizer_epsilon": 1e-4}


# A smooth activation: where a kink is crossed a rounding error later, Keras departs as far from itself within 50 steps.
SMOOTH_RESNET = {**NARROW_RESNET, "model.activation": "gelu"}

MODELS = [
    {
        **SMALL,
        "model.normalization": "batch",
        "model.weight_standardization": True,
        "model.l1": 1e-3,
        "model.l2": 1e-2,
    },
    {
        **SMALL,
        "model.normalization": "rms",
        "model.skip_connections": "projection",
        "model.width": [48, 32],
        "model.max_norm": 1.0,
    },
    {**SMALL, "model.activation": "prelu", "model.initial_bias": 0.1, "model.initializer_gain": "activation"},
    {**NARROW_RESNET, "model.normalization": "none", "model.activation": "prelu", "model.residual_start": "fixup"},
]

MORE_MODELS = [
    {"model.variant": "lenet5", "train.epochs": 3, "train.learning_rate": 0.002},
    {**SMALL, "model.normalization": "batch"},
    {**SMALL, "model.normalization": "layer", "model.activation": "gelu", "model.skip_connections": "identity"},
    {**SMALL, "model.normalization": "rms", "model.skip_connections": "projection", "model.width": [48, 32]},
    {**SMALL, "model.l1": 1e-3, "model.l2": 1e-2},
    {**SMALL, "model.max_norm": 1.0, "train.learning_rate": 1e-2},
    {**SMALL, "model.weight_standardization": True},
    {**NARROW_RESNET, "model.normalization": "layer", "model.normalization_place": "after_activation"},
    {**SMALL, "model.l1": 1e-2},
    {**SMALL, "model.l2": 1e-2},
    {
        **SMOOTH_RESNET,
        "model.normalization": "group",
        "model.normalization_group_size": 2,
        "model.block_order": "pre_activation",
        "model.skip_connections": "projection",
    },
    {
        **NARROW_RESNET,
        "model.activation": "tanh",
        "model.normalization": "instance",
        "model.squeeze_excitation": 2,
        "train.learning_rate": 3e-3,
    },
    {**SMOOTH_RESNET, "model.max_norm": 1.0, "model.weight_standardization": True},
]

RANDOM = [
    {**SMALL, "model.input_dropout": 0.2, "model.dropout": 0.3},
    {**SMALL, "model.drop_connect": 0.3, "model.skip_connections": "identity", "model.stochastic_depth": 0.5},
]

MORE_RANDOM = [
    {
        **SMOOTH_RESNET,
        "model.dropout": 0.2,
        "model.dropout_kind": "channels",
        "model.stochastic_depth": 0.3,
        "model.drop_connect": 0.1,
    },
]

# Optimizer -> learning rate, coefficients other than its own, and the same in Keras: its own class, or ours in its
# `fit` where epsilon stands elsewhere, which test_optimizers.py compares with the sources.
COEFFICIENTS = {
    "sgd": (0.1, {}, keras.optimizers.SGD, {}),
    "momentum": (0.02, {"momentum": 0.7}, keras.optimizers.SGD, {"momentum": 0.7}),
    "nesterov": (0.02, {"momentum": 0.8}, keras.optimizers.SGD, {"momentum": 0.8, "nesterov": True}),
    "adagrad": (0.05, {"optimizer_epsilon": 1e-2}, optimizers.Adagrad, {"epsilon": 1e-2}),
    "adadelta": (
        1.0,
        {"squared_decay": 0.8, "optimizer_epsilon": 1e-4},
        keras.optimizers.Adadelta,
        {"rho": 0.8, "epsilon": 1e-4},
    ),
    "rmsprop": (
        3e-3,
        {"squared_decay": 0.8, "momentum": 0.3, "optimizer_epsilon": 1e-3},
        optimizers.RMSprop,
        {"rho": 0.8, "momentum": 0.3, "epsilon": 1e-3},
    ),
    "adam": (
        1e-2,
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3},
        optimizers.Adam,
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
    ),
    "adamw": (
        1e-2,
        {"beta_1": 0.7, "beta_2": 0.95, "optimizer_epsilon": 1e-4, "weight_decay": 0.3},
        optimizers.Adam,
        {"beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-4, "weight_decay": 0.3},
    ),
    "nadam": (
        1e-2,
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3},
        optimizers.NAdam,
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
    ),
    "adamax": (
        1e-2,
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3},
        keras.optimizers.Adamax,
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
    ),
    "lion": (1e-3, {"beta_1": 0.8, "beta_2": 0.95}, keras.optimizers.Lion, {"beta_1": 0.8, "beta_2": 0.95}),
    "lamb": (
        1e-2,
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3},
        keras.optimizers.Lamb,
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
    ),
    "muon": (
        1e-2,
        {"momentum": 0.8, "weight_decay": 0.3},
        keras.optimizers.Muon,
        {"momentum": 0.8, "weight_decay": 0.3, "adam_weight_decay": 0.3, "exclude_layers": ["head"]},
    ),
}

OWN = {
    "sgd": (0.1, keras.optimizers.SGD, {}),
    "momentum": (0.02, keras.optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (0.02, keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (0.05, optimizers.Adagrad, {"epsilon": 1e-10}),
    "adadelta": (1.0, keras.optimizers.Adadelta, {"epsilon": 1e-6}),
    "rmsprop": (1e-2, optimizers.RMSprop, {"epsilon": 1e-8}),
    "adam": (1e-2, optimizers.Adam, {"epsilon": 1e-8}),
    "nadam": (1e-2, optimizers.NAdam, {"epsilon": 1e-8}),
    "adamax": (1e-2, keras.optimizers.Adamax, {"epsilon": 1e-8}),
    "lion": (1e-3, keras.optimizers.Lion, {}),
    "lamb": (1e-2, keras.optimizers.Lamb, {"epsilon": 1e-6}),
    "muon": (
        1e-2,
        keras.optimizers.Muon,
        {"exclude_layers": ["head"], "weight_decay": None, "adam_weight_decay": None},
    ),
}


TEN_EPOCHS = FIFTY | {"train.batch_size": 250}


def one_cycle(step):
    """PyTorch's OneCycleLR over 50 steps, of which 10 rise."""
    low, high, end = 1e-2 / 25, 1e-2, 1e-2 / 25e4
    if step <= 9:
        return low + (high - low) * (1 - np.cos(np.pi * step / 9)) / 2
    return end + (high - end) * (1 + np.cos(np.pi * (step - 9) / 40)) / 2


def warmup_cosine(step):
    """Ten steps up, the first with a tenth of the rate, and half a cosine down."""
    return 1e-2 * ((step + 1) / 10 if step < 10 else (1 + np.cos(np.pi * (step - 10) / 40)) / 2)


class FromFormula(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule from a list of rates."""

    def __init__(self, rates):
        self.rates = keras.ops.convert_to_tensor(rates, "float32")

    def __call__(self, step):
        return keras.ops.take(self.rates, keras.ops.cast(step, "int32"))


decays = keras.optimizers.schedules

RATES = {
    "constant": ({}, lambda: 1e-2),
    "step": (
        {"decay_at": [0.3, 0.75], "decay_factor": 0.3},
        lambda: decays.PiecewiseConstantDecay([14, 37], [1e-2, 3e-3, 9e-4]),
    ),
    "exponential": ({"final_factor": 0.1}, lambda: decays.ExponentialDecay(1e-2, 50, 0.1)),
    "linear": ({}, lambda: decays.PolynomialDecay(1e-2, 50, end_learning_rate=0.0)),
    "cosine": ({}, lambda: decays.CosineDecay(1e-2, 50)),
    "warmup_cosine": ({"warmup_fraction": 0.2}, lambda: FromFormula([warmup_cosine(step) for step in range(50)])),
    "one_cycle": ({"warmup_fraction": 0.2}, lambda: FromFormula([one_cycle(step) for step in range(50)])),
}

smooth = keras.losses.CategoricalCrossentropy


TRAINING = {
    **{
        f"{name} with coefficients": (
            "digits",
            FIFTY
            | {"train.optimizer": name, "train.learning_rate": rate}
            | {f"train.{key}": value for key, value in given.items()},
            Fit(lambda kind=kind, rate=rate, arguments=arguments: kind(learning_rate=rate, **arguments)),
        )
        for name, (rate, given, kind, arguments) in COEFFICIENTS.items()
    },
    **{
        name: (
            "digits",
            FIFTY | {"train.optimizer": name, "train.learning_rate": rate},
            Fit(lambda kind=kind, rate=rate, arguments=arguments: kind(learning_rate=rate, **arguments)),
        )
        for name, (rate, kind, arguments) in OWN.items()
    },
    **{
        f"schedule {name}": (
            "digits",
            FIFTY | {"train.schedule": name} | {f"train.{key}": value for key, value in given.items()},
            Fit(lambda rate=rate: optimizers.Adam(learning_rate=rate(), epsilon=1e-8)),
        )
        for name, (given, rate) in RATES.items()
    },
    "schedule reduce_on_plateau": (
        "digits",
        TEN_EPOCHS
        | SGD
        | {"train.schedule": "reduce_on_plateau", "train.plateau_patience": 1, "train.plateau_factor": 0.5}
        | {"train.learning_rate": 0.7},
        Fit(lambda: keras.optimizers.SGD(0.7), plateau=1),
    ),
    "weight decay beside normalization": (
        "digits",
        FIFTY | WITH_BATCH | CALM | {"train.weight_decay": 1.0, "model.activation": "prelu"},
        Fit(adam(1e-2, 1e-4, weight_decay=1.0)),
    ),
    "weight decay of sgd on a schedule": (
        "digits",
        FIFTY | SGD | {"train.weight_decay": 0.5, "train.learning_rate": 0.1, "train.schedule": "linear"},
        Fit(lambda: keras.optimizers.SGD(decays.PolynomialDecay(0.1, 50, end_learning_rate=0.0), weight_decay=0.5)),
    ),
    "clip_norm": (
        "digits",
        FIFTY | SGD | {"train.clip_norm": 0.5, "train.learning_rate": 0.2},
        Fit(lambda: keras.optimizers.SGD(0.2, global_clipnorm=0.5)),
    ),
    "clip_norm of muon": (
        "digits",
        FIFTY | {"train.clip_norm": 0.5, "train.optimizer": "muon"},
        Fit(
            lambda: keras.optimizers.Muon(
                1e-2, exclude_layers=["head"], weight_decay=None, adam_weight_decay=None, global_clipnorm=0.5
            )
        ),
    ),
    "clip_value": (
        "digits",
        FIFTY | SGD | {"train.clip_value": 0.01, "train.learning_rate": 0.2},
        Fit(lambda: keras.optimizers.SGD(0.2, clipvalue=0.01)),
    ),
    # Of a short memory: Keras's average begins with the weights after the first step, ours with those before it.
    "weight_average": (
        "digits",
        FIFTY | WITH_BATCH | CALM | {"train.weight_average": 0.7},
        Fit(adam(1e-2, 1e-4, use_ema=True, ema_momentum=0.7)),
    ),
    "label_smoothing": (
        "digits",
        FIFTY | {"train.label_smoothing": 0.2},
        Fit(adam(1e-2), lambda: smooth(from_logits=True, label_smoothing=0.2)),
    ),
    "class_weights": (
        "digits",
        FIFTY | {"train.class_weights": "balanced", "data.class_imbalance": 0.1},
        Fit(adam(1e-2), class_weight=True),
    ),
    "class_weights beside label_smoothing": (
        "digits",
        FIFTY | {"train.class_weights": "balanced", "data.class_imbalance": 0.1, "train.label_smoothing": 0.1},
        Fit(adam(1e-2), lambda: smooth(from_logits=True, label_smoothing=0.1), class_weight=True),
    ),
    "squared": ("diabetes", FIFTY | {"train.loss": "squared"}, Fit(adam(1e-2))),
    "squared by task": ("diabetes", FIFTY, Fit(adam(1e-2))),
    "huber": (
        "diabetes",
        FIFTY | {"train.loss": "huber", "train.huber_delta": 0.5},
        Fit(adam(1e-2), lambda: keras.losses.Huber(0.5)),
    ),
    "sigmoid": ("breast_cancer", FIFTY, Fit(adam(1e-2))),
    "sigmoid with label_smoothing": (
        "breast_cancer",
        FIFTY | {"train.label_smoothing": 0.2, "train.loss": "cross_entropy"},
        Fit(adam(1e-2), lambda: keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)),
    ),
    "sigmoid with class_weights": (
        "breast_cancer",
        FIFTY | {"train.class_weights": "balanced"},
        Fit(adam(1e-2), class_weight=True),
    ),
    "convolutions": (
        "digits",
        SMOOTH_RESNET
        | {
            "train.epochs": 0,
            "train.steps": 50,
            "train.optimizer": "momentum",
            "train.weight_decay": 0.1,
            "train.clip_norm": 1.0,
            "train.weight_average": 0.7,
            "train.label_smoothing": 0.1,
            "train.schedule": "cosine",
        },
        Fit(
            lambda: keras.optimizers.SGD(
                decays.CosineDecay(1e-2, 50),
                momentum=0.9,
                weight_decay=0.1,
                global_clipnorm=1.0,
                use_ema=True,
                ema_momentum=0.7,
            ),
            lambda: smooth(from_logits=True, label_smoothing=0.1),
        ),
    ),
}


BY_NIGHT = (
    set(OWN)
    | {f"schedule {name}" for name in set(RATES) - {"cosine"}}
    | {"label_smoothing", "class_weights", "sigmoid", "sigmoid with label_smoothing", "squared by task"}
    | {"clip_norm of muon"}
)


def by_night(rows):
    return [pytest.param(each, marks=pytest.mark.night) for each in rows]


def test_every_optimizer_and_schedule_is_in_the_tables_above():
    """An optimizer or a schedule that is added without a comparison with Keras fails here."""
    assert set(COEFFICIENTS) == set(OPTIMIZERS)
    assert set(OWN) | {"adamw"} == set(OPTIMIZERS)
    for name, (_, given, _, _) in COEFFICIENTS.items():
        assert set(given) - {"weight_decay"} == set(OPTIMIZERS[name].coefficients) - {"learning_rate"}
    assert set(RATES) | {"reduce_on_plateau"} == set(SCHEDULES)


@pytest.mark.parametrize(
    ("dataset", "changes", "how"),
    [
        pytest.param(*row, id=name, marks=pytest.mark.night if name in BY_NIGHT else ())
        for name, row in TRAINING.items()
    ],
)
def test_training_equals_plain_fit(dataset, changes, how, data, trainer_for):
    """Fed the same batches from the same weights, program and Keras `fit` agree in loss over 50 steps and after."""
    check_against_plain_fit(trainer_for(changes, dataset), data[dataset][0], changes, how)


@pytest.mark.parametrize("changes", [*MODELS, *by_night(MORE_MODELS)], ids=name_of)
def test_model_equals_plain_fit(changes, digits, trainer_for):
    """Whatever the layers and their regularizers, program and Keras `fit` agree in loss over 50 steps and after."""
    changes = changes | CALM
    rate = settings_from(changes).train.coefficients()["learning_rate"]
    check_against_plain_fit(trainer_for(changes), digits, changes, Fit(adam(rate, 1e-4)))


@pytest.mark.parametrize("changes", [*RANDOM, *by_night(MORE_RANDOM)], ids=name_of)
def test_what_is_dropped_is_what_plain_fit_drops(changes, digits, trainer_for):
    """A run in a slot drops the very inputs, units, channels, weights and branches that Keras drops with its seed."""
    rate = settings_from(changes).train.coefficients()["learning_rate"]
    ours = check_against_plain_fit(trainer_for(changes), digits, changes, Fit(adam(rate)))
    rates = ("model.input_dropout", "model.dropout", "model.drop_connect", "model.stochastic_depth")
    nothing_dropped = changes | {path: 0.0 for path in rates if path in changes} | {"train.epochs": 1}
    nothing_dropped.pop("model.dropout_kind", None)
    without, _ = train_recorded(trainer_for(nothing_dropped), settings_from(nothing_dropped), SEED)
    assert abs(without[0] - ours[0]) > 1e-2


@pytest.mark.parametrize(
    ("dataset", "base", "fed_in"),
    [
        pytest.param("digits", SMALL, {}, marks=pytest.mark.night),
        pytest.param("digits", NARROW_RESNET, {}, marks=pytest.mark.night),
        (
            "digits",
            SMALL,
            {"model.initial_bias": 0.3, "model.initializer_gain": "activation", "model.initializer": "orthogonal"},
        ),
        ("digits", SMALL, {"model.initializer": "small_normal", "model.initializer_scale": 0.1}),
        (
            "digits",
            {**NARROW_RESNET, "model.residual_start": "zero_gamma"},
            {"model.initializer": "delta_orthogonal"},
        ),
        (
            "digits",
            {"model.variant": "lenet5"},
            {"model.initializer": "glorot_normal", "model.initial_bias": -0.2},
        ),
        ("breast_cancer", SMALL, {"data.standardize": "min_max"}),
        ("diabetes", SMALL, {"data.standardize": "none"}),
    ],
    ids=name_of,
)
def test_evaluation_of_untrained_runs(dataset, base, fed_in, data, trainer_for):
    """Before any step, the outputs of every slot are those of the Keras model with its settings and its seed."""
    settings = settings_from({**base, **fed_in})
    trainer, found = trainer_for(base, dataset), data[dataset][0]
    assert settings.program() == trainer.program.settings.program()
    size = trainer.program.stack_size
    inputs = [trainer.inputs_of(settings, seed) for seed in range(size)]
    trainer.program.start(inputs)
    validation = trainer.program.outputs_on_train_split(np.stack([each.validation_indices for each in inputs]))
    test = trainer.program.outputs_on_test_split()
    for seed, each in enumerate(inputs):
        model = untrained(settings, found, seed)
        scale, shift = 1.0, 0.0
        if found.task == "regression":
            targets = found.train.labels[each.train_indices]
            scale, shift = targets.std(), targets.mean()
        for outputs, examples in (
            (test, found.test.inputs),
            (validation, found.train.inputs[each.validation_indices]),
        ):
            expected = model.predict(standardized(examples, each), verbose=0) * scale + shift
            np.testing.assert_allclose(outputs[seed], expected, rtol=1e-4, atol=1e-4 * scale)


def test_coupled_weight_decay_is_l2(trainer_for):
    """Of SGD with momentum, a coupled weight decay of d trains as a penalty of d / 2 does, and decoupled does not."""
    base = FIFTY | {"train.optimizer": "momentum"}
    decay = {"train.weight_decay": 0.02}
    found = [
        train_recorded(trainer_for(changes), settings_from(changes), SEED)[1].metrics["test_loss"]
        for changes in (
            base | decay | {"train.weight_decay_form": "coupled"},
            base | {"model.l2": 0.01},
            base | decay,
        )
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert abs(found[2] - found[0]) > 1e-4
