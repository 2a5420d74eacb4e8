"""The compiled program against plain Keras, and the independence of runs from each other."""

import itertools

import keras
import numpy as np
import pytest

import zoo
from benchmarks.data.splits import batch_order
from benchmarks.settings import settings_from
from benchmarks.training.optimizers import OPTIMIZERS
from benchmarks.training.program import DatasetOnDevice, Program
from benchmarks.training.trainer import Trainer, check_fit
from zoo.settings import SettingError

SMALL = {"model.variant": "mlp_small", "train.epochs": 3}
NARROW_RESNET = {"model.variant": "resnet8", "model.width": 4, "train.learning_rate": 1e-2}


@pytest.fixture(scope="module")
def on_device(digits):
    return DatasetOnDevice.of(digits)


@pytest.fixture(scope="module")
def trainer_for(digits, on_device):
    """Makes the trainer of some settings, given as dotted paths."""

    def make(changes):
        return Trainer(Program(settings_from(changes), digits, on_device), digits)

    return make


def step_losses_of_program(trainer, settings, seed, epochs):
    """Losses of every step of one run, trained in its slot beside runs of other seeds."""
    size = trainer.program.stack_size
    seeds = [seed + (slot - seed) % size for slot in range(size)]
    inputs = [trainer.inputs_of(settings, each) for each in seeds]
    trainer.program.start([settings] * size, seeds, [each.standardization for each in inputs])
    losses = []
    for epoch in range(1, epochs + 1):
        orders = [batch_order(each.train_indices, settings.train.batch_size, each.seed, epoch) for each in inputs]
        losses.append(trainer.program.train(np.stack(orders, axis=1))[:, seed % size])
    return np.concatenate(losses)


def step_losses_of_fit(digits, inputs, settings, seed, epochs):
    """Losses of every step of a plain Keras `fit` over the same batches, and the fitted model."""
    model = zoo.build_model(settings.model, digits.input_shape, digits.num_classes, seed)
    row = OPTIMIZERS[settings.train.optimizer]
    optimizer = getattr(keras.optimizers, row.keras_class)(settings.train.learning_rate, **row.arguments)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    losses = []
    for epoch in range(1, epochs + 1):
        order = batch_order(inputs.train_indices, settings.train.batch_size, seed, epoch)
        images = standardized(digits.train.inputs, inputs)[order.ravel()]
        means = []
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda _, logs, means=means: means.append(logs["loss"])
        )
        labels = digits.train.labels[order.ravel()]
        batch_size = settings.train.batch_size
        model.fit(images, labels, batch_size=batch_size, shuffle=False, verbose=0, callbacks=[callback])
        # Keras reports the mean over the epoch so far.
        sums = np.array(means, dtype=np.float64) * np.arange(1, len(means) + 1)
        losses.append(np.diff(sums, prepend=0.0))
    return np.concatenate(losses), model


def standardized(images, inputs):
    return (images.astype(np.float32) - inputs.standardization.shift) * inputs.standardization.scale


# A smooth activation: where a kink is crossed a rounding error later, Keras departs as far from itself within 50 steps.
SMOOTH_RESNET = {**NARROW_RESNET, "model.activation": "gelu"}

TRAJECTORIES = [
    *({**SMALL, "train.optimizer": name, "train.learning_rate": 1e-2} for name in OPTIMIZERS),
    {**SMALL, "model.normalization": "batch"},
    {**SMALL, "model.normalization": "layer", "model.activation": "gelu", "model.skip_connections": "identity"},
    {**SMALL, "model.normalization": "rms", "model.skip_connections": "projection", "model.width": [48, 32]},
    {**SMALL, "model.l1": 1e-3, "model.l2": 1e-2},
    {**SMALL, "model.max_norm": 1.0, "train.optimizer": "momentum", "train.learning_rate": 1e-2},
    {**SMALL, "model.weight_standardization": True},
    {**SMALL, "model.activation": "prelu", "model.initial_bias": 0.1, "model.initializer_gain": "activation"},
    {**SMOOTH_RESNET, "train.optimizer": "momentum"},
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
    {"model.variant": "lenet5"},
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


def name_of(changes):
    return " ".join(str(value) for value in changes.values())


@pytest.mark.parametrize("changes", TRAJECTORIES, ids=name_of)
def test_trajectory_equals_plain_fit(changes, digits, trainer_for):
    """Fed the same batches from the same weights, program and Keras `fit` agree in loss after 50 steps."""
    check_against_plain_fit(changes, digits, trainer_for)


@pytest.mark.parametrize("changes", RANDOM, ids=name_of)
def test_what_is_dropped_is_what_plain_fit_drops(changes, digits, trainer_for):
    """A run in a slot drops the very inputs, units, channels, weights and branches that Keras drops with its seed."""
    ours = check_against_plain_fit(changes, digits, trainer_for)
    rates = ("model.input_dropout", "model.dropout", "model.drop_connect", "model.stochastic_depth")
    nothing_dropped = changes | {path: 0.0 for path in rates if path in changes}
    nothing_dropped.pop("model.dropout_kind", None)
    trainer = trainer_for(nothing_dropped)
    without = step_losses_of_program(trainer, settings_from(nothing_dropped), 7, epochs=1)
    assert abs(without[0] - ours[0]) > 1e-2


def check_against_plain_fit(changes, digits, trainer_for):
    """Train one run both ways and compare; the losses of the program's steps."""
    settings, seed = settings_from(changes), 7
    trainer = trainer_for(changes)
    ours = step_losses_of_program(trainer, settings, seed, epochs=3)
    theirs, model = step_losses_of_fit(digits, trainer.inputs_of(settings, seed), settings, seed, epochs=3)
    assert len(ours) == 60
    assert ours[0] == pytest.approx(theirs[0], rel=1e-6)
    np.testing.assert_allclose(ours[:50], theirs[:50], atol=1e-4)
    assert ours[:50].min() < 0.8 * ours[0], "the run must have learnt something for the comparison to mean anything"
    # Of the cross-entropy alone: Keras's own evaluation would add the penalties on the weights.
    test = standardized(digits.test.inputs, trainer.inputs_of(settings, seed))
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = float(entropy(digits.test.labels, model.predict(test, verbose=0)))
    slot = seed % trainer.program.stack_size
    assert trainer.program.evaluate_test_split().loss[slot] == pytest.approx(loss, abs=2e-3)
    return ours


def kernels_after_training(trainer, settings):
    """Name of the hidden weight layer -> its kernels in all slots: (slots, ..., units)."""
    program = trainer.program
    trainer.train_stack({slot: (settings, slot) for slot in range(program.stack_size)})
    variables = program.model.trainable_variables
    ends = np.cumsum([np.prod(variable.shape, dtype=int) for variable in variables])
    packed = np.asarray(program._weights)
    parts = np.split(packed, ends[:-1], axis=1)
    assert packed.shape[1] == ends[-1]
    return {
        variable.path: part.reshape(-1, *variable.shape)
        for variable, part in zip(variables, parts, strict=True)
        if variable.path.endswith("/kernel") and not variable.path.startswith("head")
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


@pytest.mark.parametrize(
    ("base", "fed_in"),
    [
        (SMALL, {}),
        (NARROW_RESNET, {}),
        (SMALL, {"model.initial_bias": 0.3, "model.initializer_gain": "activation", "model.initializer": "orthogonal"}),
        (SMALL, {"model.initializer": "small_normal", "model.initializer_scale": 0.1}),
        ({**NARROW_RESNET, "model.residual_start": "zero_gamma"}, {"model.initializer": "delta_orthogonal"}),
        ({"model.variant": "lenet5"}, {"model.initializer": "glorot_normal", "model.initial_bias": -0.2}),
    ],
    ids=name_of,
)
def test_evaluation_of_untrained_runs(base, fed_in, digits, trainer_for):
    """Before any step, accuracy and loss of every slot are those of the Keras model with its settings and its seed."""
    settings = settings_from({**base, **fed_in})
    trainer = trainer_for(base)
    assert settings.program() == trainer.program.settings.program()
    size = trainer.program.stack_size
    inputs = [trainer.inputs_of(settings, seed) for seed in range(size)]
    trainer.program.start([settings] * size, range(size), [each.standardization for each in inputs])
    validation = trainer.program.evaluate_train_split(np.stack([each.validation_indices for each in inputs]))
    test = trainer.program.evaluate_test_split()
    for seed, each in enumerate(inputs):
        model = zoo.build_model(settings.model, digits.input_shape, digits.num_classes, seed)
        part = each.validation_indices
        for found, images, labels in (
            (test, digits.test.inputs, digits.test.labels),
            (validation, digits.train.inputs[part], digits.train.labels[part]),
        ):
            logits = model.predict(standardized(images, each), verbose=0).astype(np.float64)
            log_sum = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
            loss = (log_sum - logits[np.arange(len(labels)), labels]).mean()
            assert found.loss[seed] == pytest.approx(loss, rel=1e-5)
            assert found.accuracy[seed] == pytest.approx((logits.argmax(1) == labels).mean(), abs=1e-6)


ODD_SIZES = {
    **SMALL,
    "model.width": 13,
    "model.dropout": 0.3,
    "train.batch_size": 50,
    "model.activation": "gelu",
}


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
    ],
    ids=name_of,
)
def test_run_does_not_depend_on_its_neighbours(added, trainer_for):
    """A run gives bit-equal metrics and history alone, in a full stack, and beside other learning rates."""
    changes = ODD_SIZES | added
    settings = settings_from(changes)
    other = settings_from({**changes, "train.learning_rate": 0.02, "model.initializer": "lecun_uniform"})
    trainer = trainer_for(changes)
    size = trainer.program.stack_size
    assert size > 1
    last = size - 1
    alone = trainer.train_stack({last: (settings, last)})[last]
    full = trainer.train_stack({slot: (settings, slot) for slot in range(size)})[last]
    beside_others = trainer.train_stack({**{slot: (other, slot) for slot in range(last)}, last: (settings, last)})[last]
    assert alone.status == "done"
    for result in (full, beside_others):
        assert (result.metrics, result.history) == (alone.metrics, alone.history)


@pytest.mark.parametrize(
    "changes",
    [
        {**SMALL, "model.dropout": 0.2},
        {**NARROW_RESNET, "train.epochs": 1},
        {**NARROW_RESNET, "train.epochs": 1, "model.dropout": 0.2, "model.dropout_kind": "channels"},
        {**NARROW_RESNET, "train.epochs": 1, "model.stochastic_depth": 0.5, "model.drop_connect": 0.2},
    ],
    ids=name_of,
)
def test_same_run_twice_in_separate_programs(changes, trainer_for):
    """Two programs traced apart give bit-equal metrics for one run, for dense and for convolutional nets."""
    first, second = (trainer_for(changes).train_stack({0: (settings_from(changes), 0)})[0] for _ in range(2))
    assert first.status == "done"
    assert (first.metrics, first.history) == (second.metrics, second.history)


def test_seeds_give_different_runs(trainer_for):
    """Runs of one cell with different seeds differ in their losses."""
    results = trainer_for(SMALL).train_stack({slot: (settings_from(SMALL), slot) for slot in range(5)})
    losses = [results[slot].metrics["test_loss"] for slot in range(5)]
    assert all(first != second for first, second in itertools.combinations(losses, 2))


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
    alone = trainer.train_stack({1: (settings, 1)})[1]
    assert results[1].status == "done"
    assert results[1].metrics == alone.metrics


def test_stack_of_diverged_runs_ends_early(trainer_for):
    """Once every run of a stack has diverged its remaining epochs are not trained."""
    wild = settings_from({**SMALL, "train.optimizer": "sgd", "train.learning_rate": 1e30})
    epochs = []
    trainer_for({**SMALL, "train.optimizer": "sgd"}).train_stack({0: (wild, 0)}, epochs.append)
    assert epochs == [1]


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
    assert result.history["train_loss"][0] > result.history["train_loss"][-1]


def test_accuracies_are_whole_counts(trainer_for, digits):
    """An accuracy times the number of examples is a whole number in float64: equal counts give equal differences."""
    accuracy = trainer_for(SMALL).train_stack({0: (settings_from(SMALL), 0)})[0].metrics["test_accuracy"]
    count = round(accuracy * len(digits.test))
    assert accuracy == count / len(digits.test)


def test_no_validation_part(trainer_for):
    """Without a validation part a run has test and training metrics only."""
    changes = {**SMALL, "data.validation_fraction": 0.0}
    result = trainer_for(changes).train_stack({0: (settings_from(changes), 0)})[0]
    assert set(result.metrics) == {"test_accuracy", "test_loss", "train_loss"}


def test_test_split_is_read_once(trainer_for, monkeypatch):
    """The test split is evaluated once a run, after the last epoch."""
    trainer = trainer_for(SMALL)
    events = []
    evaluate = trainer.program.evaluate_test_split
    monkeypatch.setattr(trainer.program, "evaluate_test_split", lambda: events.append("test") or evaluate())
    trainer.train_stack({0: (settings_from(SMALL), 0)}, lambda epoch: events.append(epoch))
    assert events == [1, 2, 3, "test"]


@pytest.mark.parametrize(
    ("changes", "path", "given"),
    [
        ({"train.batch_size": 1299}, "train.batch_size", "1299"),
        ({"data.validation_fraction": 1e-9}, "data.validation_fraction", "1e-09 of 1442"),
        ({"data.validation_fraction": 0.9999}, "data.validation_fraction", "0.9999 of 1442"),
    ],
)
def test_settings_that_do_not_fit_the_data(changes, path, given, digits):
    """Settings that leave a part of the data empty, or a batch unfilled, are refused with what is allowed."""
    with pytest.raises(SettingError) as caught:
        check_fit(settings_from({**SMALL, **changes}), digits)
    problem = caught.value.problems[0]
    assert problem.path == path
    assert problem.given.startswith(given)
    assert problem.allowed


def test_largest_batch_that_fits(digits):
    """A batch of all 1,298 training examples is accepted."""
    check_fit(settings_from({**SMALL, "train.batch_size": 1298}), digits)
