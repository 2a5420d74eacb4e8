"""What is done to weights beside the optimizer: limits, penalties, decay, averages."""

import numpy as np
import pytest
from training_runs import FIFTY, NARROW_RESNET, SGD, SMALL, WITH_BATCH, batches, offsets_of

from benchmarks.execution.local import TrainedValues
from benchmarks.settings.run import settings_from


def kernels_after_training(trainer, settings):
    """Name of the hidden weight layer -> its kernels in all slots: (slots, ..., units)."""
    program = trainer.program
    trainer.train_stack({slot: (settings, slot) for slot in range(program.stack_size)})
    packed = np.asarray(program.slots.weights)
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
    before = np.asarray(program.slots.weights)
    order = np.stack([batches(each, each.settings, 3) for each in inputs], axis=1)
    factors = np.array([[1.0] * size, [0.5] * size, [0.0] * size], np.float32)
    program.train(order, factors)
    after = np.asarray(program.slots.weights)
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
    average = np.asarray(program.slots.weights).astype(np.float64)
    order = np.stack([batches(each, each.settings, 6) for each in inputs], axis=1)
    for step in range(6):
        program.train(order[step : step + 1], np.ones((1, program.stack_size)))
        average = 0.8 * average + 0.2 * np.asarray(program.slots.weights)
    np.testing.assert_allclose(np.asarray(program.slots.average), average, atol=1e-6)
    # What is evaluated is a model with these weights.
    model = TrainedValues.of(program, 1, inputs[1]).as_model(inputs[1].settings, trainer.dataset)
    place, shape = offsets_of(program)["head/kernel"]
    head = np.asarray(program.slots.average)[1, place].reshape(shape)
    assert np.array_equal(model.layers[-1].get_layer("head").kernel, head)
    outputs = program.outputs_on_test_split()[1]
    np.testing.assert_allclose(model.predict(trainer.dataset.test.inputs, verbose=0), outputs, atol=1e-4)
