"""The compiled program against plain Keras, and the independence of runs from each other."""

import itertools
import re
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

import zoo
from benchmarks.augmentation.augmenter import Augmenter, value_range_of
from benchmarks.data.splits import batch_order
from benchmarks.execution.local import TrainedValues
from benchmarks.settings import settings_from
from benchmarks.training.inputs import DatasetOnDevice, StreamedInputs
from benchmarks.training.optimizers import OPTIMIZERS
from benchmarks.training.parts import check_fit, training_indices
from benchmarks.training.program import Program
from benchmarks.training.schedules import SCHEDULES
from benchmarks.training.trainer import Trainer
from zoo.settings import SettingError

SMALL = {"model.variant": "mlp_small", "train.epochs": 3}
NARROW_RESNET = {"model.variant": "resnet8", "model.width": 4, "train.learning_rate": 1e-2, "train.epochs": 3}
SGD = {"train.optimizer": "sgd"}
SEED = 7

HEADS = {"classification": "logits", "binary": "binary_logit", "regression": "regression"}


@pytest.fixture(scope="module")
def data(digits, diabetes, breast_cancer):
    """The three datasets by name, in memory and as tensors."""
    return {each.name: (each, DatasetOnDevice.of(each)) for each in (digits, diabetes, breast_cancer)}


@pytest.fixture(scope="module")
def fresh_trainer(data):
    """Makes a trainer, with a program of its own, of some settings given as dotted paths."""

    def make(changes, dataset="digits"):
        found, on_device = data[dataset]
        return Trainer(Program(settings_from(changes), found, on_device), found)

    return make


@pytest.fixture(scope="module")
def trainer_for(fresh_trainer):
    """Gives a trainer for some settings; those that can share a program share it."""
    made = {}

    def give(changes, dataset="digits"):
        key = (dataset, settings_from(changes).program())
        if key not in made:
            made[key] = fresh_trainer(changes, dataset)
        return made[key]

    return give


def train_recorded(trainer, settings, seed):
    """Losses of every step of one run, trained in its slot beside runs of other seeds, and its result."""
    program, recorded = trainer.program, []
    train, size = program.train, program.stack_size

    def recording(order, factors):
        recorded.append(train(order, factors))
        return recorded[-1]

    program.train = recording
    try:
        runs = {slot: (settings, seed + (slot - seed) % size) for slot in range(size)}
        result = trainer.train_stack(runs)[seed % size]
    finally:
        del program.train
    return np.concatenate(recorded)[:, seed % size], result


def batches(inputs, settings, steps):
    """Indices of the examples of the first steps of a run."""
    orders, epoch = [], 0
    while sum(map(len, orders)) < steps:
        epoch += 1
        orders.append(batch_order(inputs.train_indices, settings.train.batch_size, inputs.seed, epoch))
    return np.concatenate(orders)[:steps]


def standardized(examples, inputs):
    return (examples.astype(np.float32) - inputs.standardization.shift) * inputs.standardization.scale


def untrained(settings, dataset, seed):
    """The Keras model with which a run begins."""
    return zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, seed, head=HEADS[dataset.task])


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


def adam(rate=1e-3, **arguments):
    return lambda: keras.optimizers.Adam(rate, **arguments)


# A smooth activation: where a kink is crossed a rounding error later, Keras departs as far from itself within 50 steps.
SMOOTH_RESNET = {**NARROW_RESNET, "model.activation": "gelu"}

MODELS = [
    {**SMALL, "model.normalization": "batch"},
    {**SMALL, "model.normalization": "layer", "model.activation": "gelu", "model.skip_connections": "identity"},
    {**SMALL, "model.normalization": "rms", "model.skip_connections": "projection", "model.width": [48, 32]},
    {**SMALL, "model.l1": 1e-3, "model.l2": 1e-2},
    {**SMALL, "model.l1": 1e-2},
    {**SMALL, "model.l2": 1e-2},
    {**SMALL, "model.max_norm": 1.0, "train.learning_rate": 1e-2},
    {**SMALL, "model.weight_standardization": True},
    {**SMALL, "model.activation": "prelu", "model.initial_bias": 0.1, "model.initializer_gain": "activation"},
    {**NARROW_RESNET, "model.normalization": "layer", "model.normalization_place": "after_activation"},
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
    {**NARROW_RESNET, "model.normalization": "none", "model.activation": "prelu", "model.residual_start": "fixup"},
    {"model.variant": "lenet5", "train.epochs": 3},
]

RANDOM = [
    {**SMALL, "model.input_dropout": 0.2, "model.dropout": 0.3},
    {**SMALL, "model.drop_connect": 0.3, "model.skip_connections": "identity", "model.stochastic_depth": 0.5},
    {
        **SMOOTH_RESNET,
        "model.dropout": 0.2,
        "model.dropout_kind": "channels",
        "model.stochastic_depth": 0.3,
        "model.drop_connect": 0.1,
    },
]

# Optimizer -> learning rate, coefficients other than its own, and the same in Keras.
COEFFICIENTS = {
    "sgd": (0.1, {}, keras.optimizers.SGD, {}),
    "momentum": (0.02, {"momentum": 0.7}, keras.optimizers.SGD, {"momentum": 0.7}),
    "nesterov": (0.02, {"momentum": 0.8}, keras.optimizers.SGD, {"momentum": 0.8, "nesterov": True}),
    "adagrad": (0.05, {"optimizer_epsilon": 1e-2}, keras.optimizers.Adagrad, {"epsilon": 1e-2}),
    "adadelta": (
        1.0,
        {"squared_decay": 0.8, "optimizer_epsilon": 1e-4},
        keras.optimizers.Adadelta,
        {"rho": 0.8, "epsilon": 1e-4},
    ),
    "rmsprop": (
        3e-3,
        {"squared_decay": 0.8, "momentum": 0.3, "optimizer_epsilon": 1e-3},
        keras.optimizers.RMSprop,
        {"rho": 0.8, "momentum": 0.3, "epsilon": 1e-3},
    ),
    "adam": (
        1e-2,
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3},
        keras.optimizers.Adam,
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3},
    ),
    "adamw": (
        1e-2,
        {"beta_1": 0.7, "beta_2": 0.95, "optimizer_epsilon": 1e-4, "weight_decay": 0.3},
        keras.optimizers.AdamW,
        {"beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-4, "weight_decay": 0.3},
    ),
    "nadam": (
        1e-2,
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3},
        keras.optimizers.Nadam,
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
        {"beta_1": 0.8, "beta_2": 0.99, "optimizer_epsilon": 1e-3, "weight_decay": 0.3},
        keras.optimizers.Lamb,
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "weight_decay": 0.3},
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
    "adagrad": (0.05, keras.optimizers.Adagrad, {}),
    "adadelta": (1.0, keras.optimizers.Adadelta, {}),
    "rmsprop": (1e-2, keras.optimizers.RMSprop, {}),
    "adam": (1e-2, keras.optimizers.Adam, {}),
    "nadam": (1e-2, keras.optimizers.Nadam, {}),
    "adamax": (1e-2, keras.optimizers.Adamax, {}),
    "lion": (1e-3, keras.optimizers.Lion, {}),
    "lamb": (1e-2, keras.optimizers.Lamb, {}),
    "muon": (
        1e-2,
        keras.optimizers.Muon,
        {"exclude_layers": ["head"], "weight_decay": None, "adam_weight_decay": None},
    ),
}

FIFTY = {"model.variant": "mlp_small", "train.steps": 50, "train.learning_rate": 1e-2}
TEN_EPOCHS = FIFTY | {"train.batch_size": 250}


def one_cycle(step):
    """PyTorch's OneCycleLR over 50 steps, of which 10 rise, where the last would come one step later."""
    low, high, end = 1e-2 / 25, 1e-2, 1e-2 / 25e4
    if step < 10:
        return low + (high - low) * (1 - np.cos(np.pi * step / 10)) / 2
    return end + (high - end) * (1 + np.cos(np.pi * (step - 10) / 40)) / 2


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
    "warmup_cosine": (
        {"warmup_fraction": 0.2},
        lambda: decays.CosineDecay(0.0, decay_steps=40, warmup_target=1e-2, warmup_steps=10),
    ),
    "one_cycle": ({"warmup_fraction": 0.2}, lambda: FromFormula([one_cycle(step) for step in range(50)])),
}

smooth = keras.losses.CategoricalCrossentropy
WITH_BATCH = {"model.normalization": "batch"}

TRAINING = {
    **{
        f"{name} with coefficients": (
            "digits",
            FIFTY
            | {"train.optimizer": name, "train.learning_rate": rate}
            | {f"train.{key}": value for key, value in given.items()},
            Fit(lambda kind=kind, rate=rate, arguments=arguments: kind(rate, **arguments)),
        )
        for name, (rate, given, kind, arguments) in COEFFICIENTS.items()
    },
    **{
        name: (
            "digits",
            FIFTY | {"train.optimizer": name, "train.learning_rate": rate},
            Fit(lambda kind=kind, rate=rate, arguments=arguments: kind(rate, **arguments)),
        )
        for name, (rate, kind, arguments) in OWN.items()
    },
    **{
        f"schedule {name}": (
            "digits",
            FIFTY | {"train.schedule": name} | {f"train.{key}": value for key, value in given.items()},
            Fit(lambda rate=rate: keras.optimizers.Adam(rate())),
        )
        for name, (given, rate) in RATES.items()
    },
    "schedule halve_on_plateau": (
        "digits",
        TEN_EPOCHS
        | SGD
        | {"train.schedule": "halve_on_plateau", "train.plateau_patience": 1, "train.learning_rate": 0.7},
        Fit(lambda: keras.optimizers.SGD(0.7), plateau=1),
    ),
    "weight decay beside normalization": (
        "digits",
        FIFTY | WITH_BATCH | {"train.weight_decay": 1.0, "model.activation": "prelu"},
        Fit(adam(1e-2, weight_decay=1.0)),
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
        FIFTY | WITH_BATCH | {"train.weight_average": 0.7},
        Fit(adam(1e-2, use_ema=True, ema_momentum=0.7)),
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


def test_every_optimizer_and_schedule_is_in_the_tables_above():
    """An optimizer or a schedule that is added without a comparison with Keras fails here."""
    assert set(COEFFICIENTS) == set(OPTIMIZERS)
    assert set(OWN) | {"adamw"} == set(OPTIMIZERS)
    for name, (_, given, _, _) in COEFFICIENTS.items():
        assert set(given) - {"weight_decay"} == set(OPTIMIZERS[name].coefficients)
    assert set(RATES) | {"halve_on_plateau"} == set(SCHEDULES)


@pytest.mark.parametrize(("dataset", "changes", "how"), TRAINING.values(), ids=TRAINING)
def test_training_equals_plain_fit(dataset, changes, how, data, trainer_for):
    """Fed the same batches from the same weights, program and Keras `fit` agree in loss over 50 steps and after."""
    check_against_plain_fit(trainer_for(changes, dataset), data[dataset][0], changes, how)


def name_of(value):
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)


@pytest.mark.parametrize("changes", MODELS, ids=name_of)
def test_model_equals_plain_fit(changes, digits, trainer_for):
    """Whatever the layers and their regularizers, program and Keras `fit` agree in loss over 50 steps and after."""
    rate = settings_from(changes).train.learning_rate
    check_against_plain_fit(trainer_for(changes), digits, changes, Fit(adam(rate)))


@pytest.mark.parametrize("changes", RANDOM, ids=name_of)
def test_what_is_dropped_is_what_plain_fit_drops(changes, digits, trainer_for):
    """A run in a slot drops the very inputs, units, channels, weights and branches that Keras drops with its seed."""
    rate = settings_from(changes).train.learning_rate
    ours = check_against_plain_fit(trainer_for(changes), digits, changes, Fit(adam(rate)))
    rates = ("model.input_dropout", "model.dropout", "model.drop_connect", "model.stochastic_depth")
    nothing_dropped = changes | {path: 0.0 for path in rates if path in changes} | {"train.epochs": 1}
    nothing_dropped.pop("model.dropout_kind", None)
    without, _ = train_recorded(trainer_for(nothing_dropped), settings_from(nothing_dropped), SEED)
    assert abs(without[0] - ours[0]) > 1e-2


def offsets_of(program):
    """Path of each weight -> its place in the packed weights and its shape."""
    variables = program.model.trainable_variables
    ends = np.cumsum([np.prod(variable.shape, dtype=int) for variable in variables])
    assert ends[-1] == program._weights.shape[1]
    starts = [0, *ends[:-1]]
    return {
        variable.path: (slice(start, end), tuple(variable.shape))
        for variable, start, end in zip(variables, starts, ends, strict=True)
    }


def kernels_after_training(trainer, settings):
    """Name of the hidden weight layer -> its kernels in all slots: (slots, ..., units)."""
    program = trainer.program
    trainer.train_stack({slot: (settings, slot) for slot in range(program.stack_size)})
    packed = np.asarray(program._weights)
    return {
        path: packed[:, place].reshape(-1, *shape)
        for path, (place, shape) in offsets_of(program).items()
        if path.endswith("/kernel") and not path.startswith("head")
    }


@pytest.mark.parametrize("changes", [SMALL, {**NARROW_RESNET, "train.epochs": 1}], ids=["dense", "convolutional"])
def test_max_norm_holds_in_every_slot(changes, trainer_for):
    """After training, the weights into each hidden unit are no longer than the limit, and without it they are."""
    limit, lengths = 0.7, {}
    for max_norm in (0.0, limit):
        trained = {**changes, "model.max_norm": max_norm}
        kernels = kernels_after_training(trainer_for(trained), settings_from(trained))
        lengths[max_norm] = {
            name: np.sqrt((kernel**2).sum(axis=tuple(range(1, kernel.ndim - 1)))) for name, kernel in kernels.items()
        }
    assert len(lengths[limit]) == (2 if changes is SMALL else 7)
    for name, each in lengths[limit].items():
        assert each.max() <= limit * (1 + 1e-6)
        assert each.max(axis=1).min() > 0.99 * limit, "the limit is to have been reached in every slot"
        assert lengths[0.0][name].max(axis=1).min() > limit


def test_penalty_is_of_training_alone(trainer_for):
    """The losses of training hold l1 times the sum of |w| and l2 times the sum of w^2; those of evaluation do not."""
    changes = {**SMALL, "train.epochs": 1, "model.initializer": "constant", "train.learning_rate": 1e-9}
    weights = 64 * 64 + 64 * 64 + 64 * 10
    results = {}
    for l1, l2 in ((0.0, 0.0), (1e-3, 0.0), (0.0, 0.1)):
        trained = {**changes, "model.l1": l1, "model.l2": l2}
        results[l1, l2] = trainer_for(trained).train_stack({0: (settings_from(trained), 0)})[0].metrics
    plain = results.pop((0.0, 0.0))
    # Every weight is 0.01, and stays so at this learning rate.
    for (l1, l2), metrics in results.items():
        penalty = weights * (l1 * 0.01 + l2 * 0.01**2)
        assert metrics["train_loss"] - plain["train_loss"] == pytest.approx(penalty, rel=1e-3)
        assert metrics["test_loss"] == pytest.approx(plain["test_loss"], abs=1e-5)
        assert metrics["val_loss"] == pytest.approx(plain["val_loss"], abs=1e-5)


DECAYING = {
    "dense": {**SMALL, "model.normalization": "batch", "model.activation": "prelu"},
    "convolutional": {**NARROW_RESNET, "model.normalization": "group", "model.normalization_group_size": 2},
}


@pytest.mark.parametrize("changes", DECAYING.values(), ids=DECAYING)
def test_weight_decay_spares_biases_and_normalization(changes, trainer_for):
    """Where the gradient does next to nothing, a step takes rate times decay from each kernel and nothing else."""
    # Gradients are cut to nothing, so that only the decay is left; each slot has a rate and a decay of its own.
    base = {**changes, **SGD, "train.clip_value": 1e-12}
    trainer = trainer_for(base)
    program = trainer.program
    size = program.stack_size
    rates, amounts = [0.1 * (slot + 1) for slot in range(size)], [0.5 * (slot % 3) for slot in range(size)]
    inputs = [
        trainer.inputs_of(settings_from(base | {"train.learning_rate": rate, "train.weight_decay": amount}), slot)
        for slot, (rate, amount) in enumerate(zip(rates, amounts, strict=True))
    ]
    program.start(inputs)
    before = np.asarray(program._weights)
    order = np.stack([batches(each, each.settings, 3) for each in inputs], axis=1)
    factors = np.array([[1.0] * size, [0.5] * size, [0.0] * size], np.float32)
    program.train(order, factors)
    after = np.asarray(program._weights)
    for slot, (rate, amount) in enumerate(zip(rates, amounts, strict=True)):
        kept = (1 - rate * amount) * (1 - 0.5 * rate * amount)
        for path, (place, _) in offsets_of(program).items():
            expected = before[slot, place] * (kept if path.endswith("/kernel") else 1)
            np.testing.assert_allclose(after[slot, place], expected, rtol=1e-5, atol=1e-9, err_msg=path)


def test_average_begins_with_the_initial_weights(trainer_for):
    """The average is the share of its old value and the rest of the new weights, from the initial weights on."""
    changes = FIFTY | WITH_BATCH | {"train.weight_average": 0.8}
    trainer = trainer_for(changes)
    program = trainer.program
    inputs = [trainer.inputs_of(settings_from(changes), seed) for seed in range(program.stack_size)]
    program.start(inputs)
    average = np.asarray(program._weights).astype(np.float64)
    order = np.stack([batches(each, each.settings, 6) for each in inputs], axis=1)
    for step in range(6):
        program.train(order[step : step + 1], np.ones((1, program.stack_size)))
        average = 0.8 * average + 0.2 * np.asarray(program._weights)
    np.testing.assert_allclose(np.asarray(program._average), average, atol=1e-6)
    # What is evaluated is a model with these weights.
    model = TrainedValues.of(program, 1, inputs[1]).as_model(inputs[1].settings, trainer.dataset)
    place, shape = offsets_of(program)["head/kernel"]
    head = np.asarray(program._average)[1, place].reshape(shape)
    assert np.array_equal(model.layers[-1].get_layer("head").kernel, head)
    outputs = program.outputs_on_test_split()[1]
    np.testing.assert_allclose(model.predict(trainer.dataset.test.inputs, verbose=0), outputs, atol=1e-4)


@pytest.mark.parametrize(
    ("dataset", "base", "fed_in"),
    [
        ("digits", SMALL, {}),
        ("digits", NARROW_RESNET, {}),
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


ODD_SIZES = {
    **SMALL,
    "model.width": 13,
    "model.dropout": 0.3,
    "train.batch_size": 50,
    "model.activation": "gelu",
}

# Everything at once that each run of a stack has for itself.
PER_SLOT = {
    "train.epochs": 8,
    "train.learning_rate": 0.3,
    "train.optimizer": "momentum",
    "train.checkpoint": "best_val",
    "train.early_stopping_patience": 3,
    "train.schedule": "halve_on_plateau",
    "train.plateau_patience": 1,
    "train.weight_average": 0.9,
    "train.weight_decay": 0.01,
    "train.clip_norm": 1.0,
    "train.label_smoothing": 0.1,
    "train.class_weights": "balanced",
    "augment.flip": True,
    "augment.crop_padding": 1,
    "augment.gaussian_noise": 0.1,
    "augment.mixup": 0.2,
}

OTHERS = [
    {"train.learning_rate": 0.02, "model.initializer": "lecun_uniform"},
    {"train.learning_rate": 1e30},
    {"train.weight_decay": 0.3, "data.standardize": "min_max"},
    {
        "train.schedule": "cosine",
        "train.checkpoint": "best_val",
        "train.early_stopping_patience": 1,
        "train.monitor": "val_accuracy",
    },
]
"""What the runs beside have otherwise; none of it shapes the program."""


def same(first, second):
    """Whether two results are equal to the last bit, seconds left out."""
    if (first.predictions is None) != (second.predictions is None):
        return False
    told = [(each.status, each.message, each.metrics, each.history) for each in (first, second)]
    return told[0] == told[1] and (
        first.predictions is None or first.predictions.tobytes() == second.predictions.tobytes()
    )


def without(changes, *paths):
    return {path: value for path, value in changes.items() if path not in paths}


@pytest.mark.parametrize(
    "added",
    [
        {},
        {"model.normalization": "batch"},
        {"model.normalization": "layer"},
        {
            "model.input_dropout": 0.2,
            "model.drop_connect": 0.3,
            "model.skip_connections": "identity",
            "model.stochastic_depth": 0.5,
        },
        {"model.l1": 1e-4, "model.l2": 1e-3, "model.max_norm": 0.8, "model.activation": "prelu"},
        {"model.weight_standardization": True, "model.normalization": "group", "model.width": 14},
        PER_SLOT,
        PER_SLOT | {"model.normalization": "batch", "train.monitor": "val_accuracy"},
        without(PER_SLOT, "train.clip_norm", "train.optimizer") | {"train.clip_value": 0.1, "train.optimizer": "nadam"},
    ],
    ids=name_of,
)
def test_run_does_not_depend_on_its_neighbours(added, trainer_for):
    """A run gives bit-equal metrics, history and predictions alone, in a full stack, and beside other settings."""
    changes = ODD_SIZES | added
    settings = settings_from(changes)
    trainer = trainer_for(changes)
    size = trainer.program.stack_size
    assert size == 5
    last = size - 1
    alone = trainer.train_stack({last: (settings, last)})[last]
    full = trainer.train_stack({slot: (settings, slot) for slot in range(size)})[last]
    plain = without(changes, "train.schedule", "train.plateau_patience", "train.checkpoint", "train.monitor")
    plain = without(plain, "train.early_stopping_patience")
    others = {slot: (settings_from(plain | other), slot) for slot, other in enumerate(OTHERS)}
    assert {other.program() for other, _ in others.values()} == {settings.program()}
    beside_others = trainer.train_stack({**others, last: (settings, last)})
    assert alone.status == "done"
    assert same(full, alone)
    assert same(beside_others[last], alone)
    if added.get("train.schedule"):
        epochs = {len(result.history["train_loss"]) for result in beside_others.values() if result.status == "done"}
        assert len(epochs) > 1, "some run is to have been stopped before another"


@pytest.mark.parametrize(
    "changes",
    [
        {**SMALL, "model.dropout": 0.2},
        {**NARROW_RESNET, "train.epochs": 1},
        {**NARROW_RESNET, "train.epochs": 1, "model.dropout": 0.2, "model.dropout_kind": "channels"},
        {**NARROW_RESNET, "train.epochs": 1, "model.stochastic_depth": 0.5, "model.drop_connect": 0.2},
        {
            **NARROW_RESNET,
            "train.epochs": 1,
            "augment.flip": True,
            "augment.rotate": 10.0,
            "augment.rand_augment": 5.0,
            "augment.cutmix": 1.0,
        },
    ],
    ids=name_of,
)
def test_same_run_twice_in_separate_programs(changes, fresh_trainer):
    """Two programs traced apart give bit-equal results for one run, for dense and for convolutional nets."""
    first, second = (fresh_trainer(changes).train_stack({0: (settings_from(changes), 0)})[0] for _ in range(2))
    assert first.status == "done"
    assert same(first, second)


def test_seeds_give_different_runs(trainer_for):
    """Runs of one cell with different seeds differ in their losses."""
    results = trainer_for(SMALL).train_stack({slot: (settings_from(SMALL), slot) for slot in range(5)})
    losses = [results[slot].metrics["test_loss"] for slot in range(5)]
    assert all(first != second for first, second in itertools.combinations(losses, 2))


def test_a_second_stack_begins_anew(trainer_for):
    """Averages, moments, best weights and random states of one stack are gone when the next one starts."""
    changes = ODD_SIZES | PER_SLOT
    settings, trainer = settings_from(changes), trainer_for(changes)
    first = trainer.train_stack({2: (settings, 2)})[2]
    trainer.train_stack({slot: (settings, 10 + slot) for slot in range(5)})
    assert same(trainer.train_stack({2: (settings, 2)})[2], first)


# What goes to and fro, so that the best epoch is neither the first nor the last.
RESTLESS = {
    **SMALL,
    "model.normalization": "batch",
    "model.dropout": 0.2,
    "train.optimizer": "rmsprop",
    "train.learning_rate": 0.03,
    "train.batch_size": 100,
}
BEST = {"train.checkpoint": "best_val"}


@pytest.mark.parametrize("added", [{}, {"train.weight_average": 0.8}], ids=["weights", "average"])
@pytest.mark.parametrize(("monitor", "patience"), [("val_loss", 2), ("val_accuracy", 3), ("val_loss", 0)])
def test_best_weights_are_those_of_a_run_that_ends_there(monitor, patience, added, trainer_for):
    """With best_val, all metrics are to the last bit those of a run whose epochs end with the best one."""
    epochs = 12 if added else 11
    changes = RESTLESS | BEST | added | {"train.epochs": epochs, "train.monitor": monitor}
    changes |= {"train.early_stopping_patience": patience}
    result = trainer_for(changes).train_stack({3: (settings_from(changes), 3)})[3]
    curve = np.array(result.history[monitor])
    best = 1 + int((curve if monitor == "val_loss" else -curve).argmin())
    assert 1 < best < len(curve), "the best epoch is to lie inside for the comparison to mean anything"
    assert len(curve) == (min(epochs, best + patience) if patience else epochs)
    ending = without(RESTLESS | added, "train.epochs") | {"train.epochs": best}
    short = trainer_for(ending).train_stack({3: (settings_from(ending), 3)})[3]
    assert result.metrics == short.metrics
    assert result.predictions.tobytes() == short.predictions.tobytes()
    assert {name: values[:best] for name, values in result.history.items()} == short.history


def test_last_weights_are_the_default(trainer_for):
    """Without best_val the weights after the last step are tested, though another epoch was better."""
    changes = RESTLESS | {"train.epochs": 11}
    trainer = trainer_for(changes)
    last = trainer.train_stack({3: (settings_from(changes), 3)})[3]
    best = trainer.train_stack({3: (settings_from(changes | BEST), 3)})[3]
    assert last.history == best.history
    assert min(last.history["val_loss"]) < last.history["val_loss"][-1] == last.metrics["val_loss"]
    assert best.metrics["val_loss"] == min(best.history["val_loss"])
    assert last.metrics["test_loss"] != best.metrics["test_loss"]
    outputs = trainer.program.outputs_on_test_split()[3]
    assert best.metrics["test_accuracy"] == (outputs.argmax(1) == trainer.dataset.test.labels).mean()


@pytest.mark.parametrize(
    ("length", "steps", "epochs"),
    [
        ({"train.epochs": 2}, 40, 2),
        ({"train.steps": 50}, 50, 3),
        ({"train.steps": 40}, 40, 2),
        ({"train.steps": 7}, 7, 1),
        ({"train.images": 1000}, 16, 1),
        ({"train.images": 64 * 21}, 21, 2),
    ],
    ids=name_of,
)
def test_length_of_the_training(length, steps, epochs, trainer_for):
    """The training has the steps that are asked for, and an epoch that ends in the middle counts as one."""
    changes = {"model.variant": "mlp_small", **length}
    trainer = trainer_for(changes)
    losses, result = train_recorded(trainer, settings_from(changes), 0)
    assert len(losses) == steps
    assert {name: len(values) for name, values in result.history.items()} == {
        "train_loss": epochs,
        "val_accuracy": epochs,
        "val_loss": epochs,
    }
    parts = np.split(losses.astype(np.float64), range(20, steps, 20))
    assert result.history["train_loss"] == pytest.approx([part.mean() for part in parts])


def test_shorter_training_is_the_beginning_of_a_longer(trainer_for):
    """At a constant rate the steps of a short training are the first of a longer one, to the last bit."""
    short, long = ({"model.variant": "mlp_small", "train.steps": steps} for steps in (31, 50))
    first, _ = train_recorded(trainer_for(short), settings_from(short), 1)
    second, _ = train_recorded(trainer_for(long), settings_from(long), 1)
    assert np.array_equal(first, second[:31])


@pytest.mark.parametrize("fraction", [0.5, 0.1])
def test_fraction_of_the_training_part(fraction, digits):
    """A fraction of the training part is trained on, with every class in its share; validation stays as it is."""
    settings = settings_from({**SMALL, "data.train_fraction": fraction})
    for seed in range(3):
        train, validation = training_indices(settings, digits, seed)
        whole, same_validation = training_indices(settings_from(SMALL), digits, seed)
        assert len(train) == round(1298 * fraction)
        assert set(train) < set(whole)
        assert np.array_equal(validation, same_validation)
        shares = np.bincount(digits.train.labels[train]) / np.bincount(digits.train.labels[whole])
        np.testing.assert_allclose(shares, fraction, atol=0.02)


def test_imbalance_of_the_training_part(digits, trainer_for):
    """The first class keeps its examples, the last a tenth, those between less and less; validation stays as it is."""
    changes = {**SMALL, "data.class_imbalance": 0.1}
    settings, sizes = settings_from(changes), set()
    for seed in range(3):
        train, validation = training_indices(settings, digits, seed)
        assert np.array_equal(validation, training_indices(settings_from(SMALL), digits, seed)[1])
        counts = np.bincount(digits.train.labels[train])
        assert counts[-1] / counts[0] == pytest.approx(0.1, abs=0.02)
        np.testing.assert_allclose(counts / counts[0], 0.1 ** (np.arange(10) / 9), atol=0.1)
        sizes.add(len(train))
    (size,) = sizes
    assert trainer_for(changes).steps_per_epoch == size // 64
    halved = settings_from(changes | {"data.train_fraction": 0.5})
    assert len(training_indices(halved, digits, 0)[0]) == round(size * 0.5)


def test_balanced_weights(digits, trainer_for):
    """Each class counts n / (classes x its examples), so that all classes together count the same."""
    changes = {**SMALL, "data.class_imbalance": 0.1, "train.class_weights": "balanced"}
    inputs = trainer_for(changes).inputs_of(settings_from(changes), 0)
    counts = np.bincount(digits.train.labels[inputs.train_indices])
    np.testing.assert_allclose(inputs.class_weights, len(inputs.train_indices) / (10 * counts), rtol=1e-6)
    plain = trainer_for(SMALL).inputs_of(settings_from(SMALL), 0)
    assert np.array_equal(plain.class_weights, np.ones(10))


def test_diverged_run_leaves_its_neighbours_alone(trainer_for):
    """A run whose loss is no longer finite is recorded with epoch and step; the others go on as without it."""
    settings = settings_from({**SMALL, "train.optimizer": "sgd", "train.learning_rate": 0.05})
    wild = settings_from({**SMALL, "train.optimizer": "sgd", "train.learning_rate": 1e30})
    trainer = trainer_for({**SMALL, "train.optimizer": "sgd"})
    results = trainer.train_stack({0: (wild, 0), 1: (settings, 1)})
    assert results[0].status == "diverged"
    assert results[0].message is not None
    assert "epoch 1, step " in results[0].message
    assert results[0].metrics == {}
    assert results[0].predictions is None
    alone = trainer.train_stack({1: (settings, 1)})[1]
    assert results[1].status == "done"
    assert same(results[1], alone)


def test_stack_of_diverged_runs_ends_early(trainer_for):
    """Once every run of a stack has diverged its remaining epochs are not trained."""
    wild = settings_from({**SMALL, "train.optimizer": "sgd", "train.learning_rate": 1e30})
    epochs = []
    trainer_for({**SMALL, "train.optimizer": "sgd"}).train_stack({0: (wild, 0)}, epochs.append)
    assert epochs == [1]


def test_step_of_a_divergence(digits, trainer_for):
    """The step is the first whose loss is not finite, the layer the first that overflows, the weights those before."""
    changes = {**SMALL, **SGD, "train.learning_rate": 1e13}
    settings, trainer = settings_from(changes), trainer_for(changes)
    losses, result = train_recorded(trainer, settings, SEED)
    step = 1 + int(np.argmin(np.isfinite(losses)))
    assert 1 < step < 20
    program, size = trainer.program, trainer.program.stack_size
    slot = SEED % size
    kept = np.asarray(program._weights)[slot]
    # The same steps one by one, in a stack of this run alone.
    inputs = trainer.inputs_of(settings, SEED)
    program.start([inputs] * size)
    order = batches(inputs, settings, 20)
    for index in range(step - 1):
        program.train(np.tile(order[index], (1, size, 1)), np.ones((1, size)))
    before = np.asarray(program._weights)[slot]
    assert np.array_equal(kept, before)
    # Which layer overflows, layer by layer in NumPy.
    weights = {path: before[place].reshape(shape) for path, (place, shape) in offsets_of(program).items()}
    hidden = standardized(digits.train.inputs, inputs)[order[step - 1]].reshape(64, -1)
    dense = [each for each in program.model.layers if isinstance(each, keras.layers.Dense)]
    expected = None
    with np.errstate(all="ignore"):
        for layer in dense:
            hidden = hidden @ weights[f"{layer.name}/kernel"] + weights[f"{layer.name}/bias"]
            if not np.isfinite(hidden).all():
                expected = layer.name
                break
            hidden = np.maximum(hidden, 0)
    place = f"first in the output of {expected}" if expected else "all layers' outputs were finite"
    assert result.message == f"the loss was not finite in epoch 1, step {step}; {place}"


def poison(program, slot, path):
    """Make one weight of a slot no number; all weights of that slot as they are then."""
    place, _ = offsets_of(program)[path]
    weights = np.asarray(program._weights).copy()
    weights[slot, place.start] = np.nan
    program._weights.assign(weights)
    return weights[slot]


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        ({**SMALL, **SGD}, None),
        ({**NARROW_RESNET, **SGD, "train.epochs": 2, "model.skip_connections": "projection"}, 4),
        ({**SMALL, "train.optimizer": "muon", "model.normalization": "batch"}, 2),
    ],
    ids=["dense", "convolutional", "muon"],
)
def test_place_of_a_divergence(changes, layers, trainer_for):
    """A weight that becomes no number after the first epoch: epoch 2, step 1, in that weight's layer, and no later."""
    settings, trainer = settings_from(changes), trainer_for(changes)
    program = trainer.program
    slot = program.stack_size - 1
    paths = [path for path in offsets_of(program) if path.endswith(("/kernel", "/gamma"))]
    for path in paths[:: len(paths) // layers] if layers else paths:
        poisoned = []

        def spoil(epoch, path=path, poisoned=poisoned):
            if epoch == 1:
                poisoned.append(poison(program, slot, path))

        result = trainer.train_stack({slot: (settings, 0)}, spoil)[slot]
        layer = path.rpartition("/")[0]
        assert result.status == "diverged"
        message = re.fullmatch(
            r"the loss was not finite in epoch 2, step 1; first in the output of (.+)", result.message
        )
        assert message, result.message
        assert message[1] == layer
        assert len(result.history["train_loss"]) == 1
        assert np.array_equal(np.asarray(program._weights)[slot], poisoned[0], equal_nan=True)


def test_divergence_in_the_middle_of_calls(trainer_for, monkeypatch):
    """The step is counted within its epoch, however many steps the program takes at a call."""
    changes = {**SMALL, **SGD, "train.learning_rate": 1e13}
    trainer = trainer_for(changes)
    message = trainer.train_stack({0: (settings_from(changes), 0)})[0].message
    monkeypatch.setattr("benchmarks.training.trainer.STEPS_A_CALL", 1)
    assert trainer.train_stack({0: (settings_from(changes), 0)})[0].message == message


@pytest.mark.parametrize("dataset", ["diabetes", "breast_cancer"])
def test_divergence_without_many_classes(dataset, trainer_for):
    """A regression or a binary classification that diverges is recorded as any other, without a warning."""
    changes = {**SMALL, **SGD, "train.learning_rate": 1e12}
    result = trainer_for(changes, dataset).train_stack({0: (settings_from(changes), 0)})[0]
    assert result.status == "diverged"
    assert "the loss was not finite in epoch 1, step " in result.message


AUGMENTED = {
    "augment.flip": True,
    "augment.crop_padding": 1,
    "augment.gaussian_noise": 0.3,
    "augment.cutout": 3,
    "augment.mixup": 0.5,
}


def test_training_examples_alone_are_augmented(trainer_for):
    """Outputs for validation and test examples are bit-equal with and without augmentation; losses of training not."""
    changes = SMALL | AUGMENTED
    outputs, losses = [], []
    for given in (SMALL, changes):
        trainer = trainer_for(given)
        program, size = trainer.program, trainer.program.stack_size
        inputs = [trainer.inputs_of(settings_from(given), seed) for seed in range(size)]
        program.start(inputs)
        state = np.asarray(program._augmentation_seeds)
        validation = np.stack([each.validation_indices for each in inputs])
        outputs.append((program.outputs_on_test_split(), program.outputs_on_train_split(validation)))
        assert np.array_equal(state, program._augmentation_seeds)
        order = np.stack([batches(each, each.settings, 1) for each in inputs], axis=1)
        losses.append(program.train(order, np.zeros((1, size))))
        # At a rate of 0 nothing was learnt: the weights still give the same.
        assert np.array_equal(program.outputs_on_test_split(), outputs[-1][0])
    assert np.array_equal(outputs[0][0], outputs[1][0])
    assert np.array_equal(outputs[0][1], outputs[1][1])
    assert (np.abs(losses[0] - losses[1]) > 1e-2).all()


def test_augmentation_that_is_off_is_none(trainer_for):
    """Settings that say that nothing is augmented share run and program with those that say nothing."""
    off = SMALL | {"augment.flip": False, "augment.mixup": 0.0, "augment.gaussian_noise": 0.0}
    assert settings_from(off) == settings_from(SMALL)
    assert trainer_for(off) is trainer_for(SMALL)


MIXED = {
    "mixup": ("digits", {"augment.mixup": 0.4}),
    "mixup, smoothed and weighted": (
        "digits",
        {
            "augment.mixup": 0.4,
            "train.label_smoothing": 0.2,
            "train.class_weights": "balanced",
            "data.class_imbalance": 0.2,
        },
    ),
    "mixup of two classes": (
        "breast_cancer",
        {"augment.mixup": 0.4, "train.label_smoothing": 0.1, "train.class_weights": "balanced"},
    ),
    "cutmix after a flip": ("digits", {"augment.cutmix": 1.0, "augment.flip": True}),
    "cutout, erased to the mean": ("digits", {"augment.cutout": 4}),
    "noise on a regression": ("diabetes", {"augment.gaussian_noise": 0.2}),
}


@pytest.mark.parametrize(("dataset", "added"), MIXED.values(), ids=MIXED)
def test_loss_of_augmented_examples(dataset, added, data, trainer_for):
    """The losses of two steps at rate 0 are those of NumPy, on examples and shares as the augmenter gives them."""
    changes = SMALL | added
    found, settings = data[dataset][0], settings_from(changes)
    trainer = trainer_for(changes, dataset)
    size, classes = trainer.program.stack_size, found.num_classes
    inputs = [trainer.inputs_of(settings, seed) for seed in range(size)]
    trainer.program.start(inputs)
    order = np.stack([batches(each, settings, 2) for each in inputs], axis=1)
    losses = trainer.program.train(order, np.zeros((2, size)))
    augmenter = Augmenter(settings.augment, found.input_shape, value_range_of(found.train.inputs))
    for slot in (0, size - 1):
        each, state = inputs[slot], augmenter.initial_seeds(slot)
        model = untrained(settings, found, slot)
        for step in range(2):
            chosen = order[step, slot]
            labels = found.train.labels[chosen]
            targets = {
                "classification": lambda labels=labels: np.eye(classes, dtype=np.float32)[labels],
                "binary": lambda labels=labels: labels[:, None].astype(np.float32),
                "regression": lambda labels=labels, each=each: ((labels - each.target_shift) / each.target_scale)[
                    :, None
                ].astype(np.float32),
            }[found.task]()
            stored = found.train.inputs[chosen].astype(np.float32)
            stored, targets, state = augmenter.apply(stored, targets, state, each.standardization.shift)
            outputs = model(standardized(np.asarray(stored), each)).numpy().astype(np.float64)
            expected = numpy_loss(found.task, outputs, np.asarray(targets, np.float64), settings.train, each)
            assert losses[step, slot] == pytest.approx(expected, rel=1e-4)


def numpy_loss(task, outputs, targets, train, inputs):
    """The mean loss of a batch by its formula, for targets that may be mixed."""
    if task == "regression":
        return ((outputs - targets) ** 2).mean()
    if task == "binary":
        # As two classes: what is smoothed and weighted is then the same formula.
        outputs = np.concatenate([np.zeros_like(outputs), outputs], axis=1)
        targets = np.concatenate([1 - targets, targets], axis=1)
    log_probabilities = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    smoothed = targets * (1 - train.label_smoothing) + train.label_smoothing / targets.shape[1]
    weights = targets @ inputs.class_weights if train.class_weights == "balanced" else 1
    return (-(smoothed * log_probabilities).sum(1) * weights).mean()


@pytest.mark.parametrize(
    ("dataset", "added"),
    [
        ("digits", {"train.weight_average": 0.9, "train.checkpoint": "best_val"}),
        ("breast_cancer", {}),
        ("diabetes", {"train.learning_rate": 0.03}),
    ],
)
def test_predictions_are_the_outputs_of_the_model(dataset, added, data, trainer_for):
    """What is kept of a run is what its trained model gives for the test examples, to the precision it is kept in."""
    changes, found = SMALL | added, data[dataset][0]
    trainer = trainer_for(changes, dataset)
    settings = settings_from(changes)
    result = trainer.train_stack({1: (settings, 5)})[1]
    values = TrainedValues.of(trainer.program, 1, trainer.inputs_of(settings, 5))
    model = values.as_model(settings, found)
    outputs = model.predict(found.test.inputs.astype(np.float32), verbose=0)
    if found.task == "regression":
        np.testing.assert_allclose(result.predictions, outputs, rtol=1e-4)
        rmse = np.sqrt(((result.predictions[:, 0].astype(np.float64) - found.test.labels) ** 2).mean())
        assert rmse == pytest.approx(result.metrics["test_rmse"], rel=1e-6)
        return
    assert result.predictions.dtype == np.float16
    expected = outputs - outputs.max(1, keepdims=True) if found.task == "classification" else outputs
    np.testing.assert_allclose(result.predictions, expected, rtol=2e-3, atol=2e-3)
    guessed = result.predictions.argmax(1) if found.task == "classification" else result.predictions[:, 0] > 0
    assert (guessed == found.test.labels).mean() == result.metrics["test_accuracy"]


def test_history_and_metrics_of_a_finished_run(trainer_for):
    """Every epoch has a value in the history, and the metrics of validation are those of the last epoch."""
    result = trainer_for(SMALL).train_stack({2: (settings_from(SMALL), 2)})[2]
    assert {name: len(values) for name, values in result.history.items()} == {
        "train_loss": 3,
        "val_accuracy": 3,
        "val_loss": 3,
    }
    assert {name: result.metrics[name] for name in result.history} == {
        name: values[-1] for name, values in result.history.items()
    }
    assert result.parameters == 64 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10
    assert result.macs == 64 * 64 + 64 * 64 + 64 * 10
    assert result.history["train_loss"][0] > result.history["train_loss"][-1]


def test_accuracies_are_whole_counts(trainer_for, digits):
    """An accuracy times the number of examples is a whole number in float64: equal counts give equal differences."""
    accuracy = trainer_for(SMALL).train_stack({0: (settings_from(SMALL), 0)})[0].metrics["test_accuracy"]
    count = round(accuracy * len(digits.test))
    assert accuracy == count / len(digits.test)


CLASS_METRICS = {"test_accuracy", "test_nll", "test_brier", "test_ece", "test_loss", "train_loss"}


@pytest.mark.parametrize(
    ("dataset", "measured", "validated"),
    [
        ("digits", CLASS_METRICS | {"test_top5_accuracy"}, {"val_accuracy", "val_loss"}),
        ("breast_cancer", CLASS_METRICS, {"val_accuracy", "val_loss"}),
        ("diabetes", {"test_rmse", "test_mae", "test_r2", "test_loss", "train_loss"}, {"val_rmse", "val_loss"}),
    ],
)
def test_metrics_of_each_task(dataset, measured, validated, trainer_for):
    """A run has the metrics of its task; without a validation part it has those of test and training only."""
    for fraction, expected in ((0.1, measured | validated), (0.0, measured)):
        changes = {**SMALL, "data.validation_fraction": fraction}
        result = trainer_for(changes, dataset).train_stack({0: (settings_from(changes), 0)})[0]
        assert set(result.metrics) == expected
        assert set(result.history) == expected - (measured - {"train_loss"})


def test_targets_are_learnt_in_deviations(diabetes, trainer_for):
    """Numeric targets are learnt with mean 0 and deviation 1 in the training part, and given back in their unit."""
    changes = {**SMALL, "train.learning_rate": 1e-2}
    trainer = trainer_for(changes, "diabetes")
    inputs = trainer.inputs_of(settings_from(changes), 0)
    targets = diabetes.train.labels[inputs.train_indices].astype(np.float64)
    assert (inputs.target_shift, inputs.target_scale) == pytest.approx((targets.mean(), targets.std()))
    assert targets.std() > 10, "the targets are to be of another size than 1 for this to mean anything"
    result = trainer.train_stack({0: (settings_from(changes), 0)})[0]
    predictions = result.predictions[:, 0]
    assert np.corrcoef(predictions, diabetes.test.labels)[0, 1] > 0.5
    assert result.metrics["test_loss"] == pytest.approx((result.metrics["test_rmse"] / targets.std()) ** 2, rel=1e-6)


def test_test_split_is_read_once(trainer_for, monkeypatch):
    """The test split is evaluated once a run, after the last epoch."""
    trainer = trainer_for(SMALL)
    events = []
    outputs = trainer.program.outputs_on_test_split
    monkeypatch.setattr(trainer.program, "outputs_on_test_split", lambda: events.append("test") or outputs())
    trainer.train_stack({0: (settings_from(SMALL), 0)}, lambda epoch: events.append(epoch))
    assert events == [1, 2, 3, "test"]


UNFIT = [
    ("digits", {"train.batch_size": 1299}, "train.batch_size", "1299", "1 to 1298"),
    ("digits", {"train.batch_size": 66, "data.train_fraction": 0.05}, "train.batch_size", "66", "1 to 65"),
    ("diabetes", {"train.batch_size": 320}, "train.batch_size", "320", "1 to 319"),
    ("digits", {"data.validation_fraction": 1e-9}, "data.validation_fraction", "1e-09 of 1442", "0, or a larger share"),
    ("digits", {"data.validation_fraction": 0.9999}, "data.validation_fraction", "0.9999 of 1442", "0, or a"),
    ("digits", BEST | {"data.validation_fraction": 0.0}, "data.validation_fraction", "0", "more than 0"),
    (
        "digits",
        {"train.schedule": "halve_on_plateau", "data.validation_fraction": 0.0},
        "data.validation_fraction",
        "0",
        "more than 0",
    ),
    ("diabetes", {"train.loss": "cross_entropy"}, "train.loss", "cross_entropy", "by_task, squared or huber"),
    ("digits", {"train.loss": "squared"}, "train.loss", "squared", "by_task, cross_entropy"),
    ("breast_cancer", {"train.loss": "huber"}, "train.loss", "huber", "by_task, cross_entropy"),
    ("diabetes", {"train.label_smoothing": 0.1}, "train.label_smoothing", None, "0.0"),
    ("diabetes", {"train.class_weights": "balanced"}, "train.class_weights", None, "none"),
    ("diabetes", BEST | {"train.monitor": "val_accuracy"}, "train.monitor", None, "val_loss"),
    ("diabetes", {"data.class_imbalance": 0.5}, "data.class_imbalance", None, "1"),
    ("diabetes", {"augment.flip": True}, "augment.flip", "true on examples of shape (10,)", "examples of shape"),
    ("diabetes", {"augment.mixup": 0.2}, "augment.mixup", "0.2 on a regression", "0, or a dataset with classes"),
    ("breast_cancer", {"augment.cutmix": 1.0}, "augment.cutmix", "1.0 on examples of shape (30,)", "examples of"),
    ("digits", {"augment.crop_padding": 8}, "augment.crop_padding", "8 on images of 8x8 pixels", "0 to 7"),
    ("digits", {"augment.cutout": 9}, "augment.cutout", "9 on images of 8x8 pixels", "0 to 8"),
    ("digits", {"augment.color_jitter": 0.5}, "augment.color_jitter", "0.5 on images with 1 channel", "images with 3"),
    ("diabetes", {"model.variant": "resnet8"}, "model, on diabetes", None, None),
]


@pytest.mark.parametrize(
    ("dataset", "changes", "path", "given", "allowed"), UNFIT, ids=[f"{row[0]} {name_of(row[1])}" for row in UNFIT]
)
def test_settings_that_do_not_fit_the_data(dataset, changes, path, given, allowed, data):
    """What does not fit the data is refused before training: by its path, with what was given and what is allowed."""
    with pytest.raises(SettingError) as caught:
        check_fit(settings_from({**SMALL, **changes}), data[dataset][0])
    (problem,) = caught.value.problems
    assert problem.path.startswith(path)
    if given:
        assert problem.given.startswith(given)
    if allowed:
        assert problem.allowed.startswith(allowed)


def test_everything_that_does_not_fit_is_named_at_once(digits):
    """Of several augmentations that do not fit, each is named."""
    with pytest.raises(SettingError) as caught:
        check_fit(settings_from({**SMALL, "augment.cutout": 9, "augment.color_jitter": 0.5}), digits)
    assert [problem.path for problem in caught.value.problems] == ["augment.color_jitter", "augment.cutout"]


FITTING = [
    ("digits", {"train.batch_size": 1298}),
    ("digits", {"train.batch_size": 65, "data.train_fraction": 0.05}),
    ("digits", BEST | {"train.monitor": "val_accuracy", "train.label_smoothing": 0.1}),
    ("digits", {"augment.cutout": 8, "augment.crop_padding": 7}),
    ("breast_cancer", {"train.class_weights": "balanced", "data.class_imbalance": 0.5, "augment.mixup": 0.2}),
    ("diabetes", BEST | {"train.loss": "huber", "augment.gaussian_noise": 0.1}),
    ("digits", {"data.validation_fraction": 0.0}),
]


@pytest.mark.parametrize(("dataset", "changes"), FITTING, ids=[f"{row[0]} {name_of(row[1])}" for row in FITTING])
def test_settings_that_just_fit_the_data(dataset, changes, data):
    """What just fits the data is accepted: a batch of all examples, a square as large as the image."""
    check_fit(settings_from({**SMALL, **changes}), data[dataset][0])


STREAMED = {
    "dense": {"model.dropout": 0.2, "train.checkpoint": "best_val"},
    "convolutions": {"model.variant": "lenet5", "train.optimizer": "momentum", "augment.translate": 0.1},
}


@pytest.mark.parametrize("name", STREAMED)
def test_streamed_equals_in_memory(name, digits):
    """Read from its file through `tf.data`, a dataset gives the numbers that it gives in memory, to the last bit."""
    settings = settings_from(SMALL | STREAMED[name])
    results = []
    for most_bytes in (digits.num_bytes, digits.num_bytes - 1):
        data = DatasetOnDevice.of(digits, most_bytes)
        trainer = Trainer(Program(settings, digits, data), digits)
        results.append(trainer.train_stack({slot: (settings, slot) for slot in range(trainer.program.stack_size)}))
    in_memory, streamed = results
    assert isinstance(data.train_inputs, StreamedInputs)
    assert {slot: (each.metrics, each.history) for slot, each in streamed.items()} == {
        slot: (each.metrics, each.history) for slot, each in in_memory.items()
    }
    assert all(
        np.array_equal(in_memory[slot].predictions, streamed[slot].predictions, equal_nan=True) for slot in streamed
    )


def test_streamed_run_that_diverges_names_its_layer(digits):
    """The batch at which a streamed run diverged is read again to find the layer."""
    settings = settings_from(SMALL | {"train.optimizer": "sgd", "train.learning_rate": 1e30})
    trainer = Trainer(Program(settings, digits, DatasetOnDevice.of(digits, 0)), digits)
    result = trainer.train_stack({0: (settings, 0)})[0]
    assert result.status == "diverged"
    assert "first in the output of" in result.message
