"""Runs that are no longer finite: where they stop, what is told of them, and that others go on."""

import re

import keras
import numpy as np
import pytest
from training_runs import NARROW_RESNET, SEED, SGD, SMALL, batches, offsets_of, same, standardized, train_recorded

from benchmarks.settings.run import settings_from
from benchmarks.training.inputs import DatasetOnDevice
from benchmarks.training.program import Program
from benchmarks.training.trainer import Trainer


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
    kept = np.asarray(program.slots.weights)[slot]
    # The same steps one by one, in a stack of this run alone.
    inputs = trainer.inputs_of(settings, SEED)
    program.start([inputs] * size)
    order = batches(inputs, settings, 20)
    for index in range(step - 1):
        program.train(np.tile(order[index], (1, size, 1)), np.ones((1, size)))
    before = np.asarray(program.slots.weights)[slot]
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
    weights = np.asarray(program.slots.weights).copy()
    weights[slot, place.start] = np.nan
    program.slots.weights.assign(weights)
    return weights[slot]


CONVOLUTIONAL = {**NARROW_RESNET, **SGD, "train.epochs": 2, "model.skip_connections": "projection"}
WITH_BIASES = {"model.variant": "lenet5", "model.activation": "relu", "train.epochs": 2, **SGD}


@pytest.mark.parametrize(
    ("changes", "layers"),
    [
        pytest.param({**SMALL, **SGD}, None, id="dense"),
        pytest.param(CONVOLUTIONAL, 3, id="convolutional"),
        pytest.param(CONVOLUTIONAL, 6, id="convolutional, more layers", marks=pytest.mark.night),
        pytest.param({**SMALL, "train.optimizer": "muon", "model.normalization": "batch"}, 2, id="muon"),
        # TensorFlow makes zeros of what is no number where it runs these layers and their ReLU as one kernel.
        pytest.param({**SMALL, "train.optimizer": "lamb"}, None, id="dense alone"),
        pytest.param(WITH_BIASES, 2, id="convolutional with biases"),
        pytest.param(WITH_BIASES, 4, id="convolutional with biases, more layers", marks=pytest.mark.night),
    ],
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
        assert np.array_equal(np.asarray(program.slots.weights)[slot], poisoned[0], equal_nan=True)


def test_weights_that_are_no_numbers_after_the_last_step(trainer_for):
    """What the last step made of a weight is seen, though no loss follows and TensorFlow's kernel hides it."""
    changes = {**SMALL, "train.optimizer": "lamb"}
    trainer = trainer_for(changes)

    def spoil(epoch):
        if epoch == 3:
            poison(trainer.program, 0, "hidden_1_dense/kernel")

    result = trainer.train_stack({0: (settings_from(changes), 0)}, spoil)[0]
    assert result.status == "diverged"
    assert result.message == "the outputs for the test split were not finite after the last epoch"


def test_variance_that_overflows(trainer_for):
    """Where a variance overflows, which makes zeros of what it normalizes, the layer of the variance is told."""
    wild = settings_from(CONVOLUTIONAL | {"train.learning_rate": 1e12})
    message = trainer_for(CONVOLUTIONAL).train_stack({0: (wild, 0)})[0].message
    assert re.fullmatch(
        r"the loss was not finite in epoch 1, step \d+; all layers' outputs were finite, but not .+/moving_variance",
        message,
    )


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


def test_streamed_run_that_diverges_names_its_layer(digits):
    """The batch at which a streamed run diverged is read again to find the layer."""
    settings = settings_from(SMALL | {"train.optimizer": "sgd", "train.learning_rate": 1e30})
    trainer = Trainer(Program(settings, DatasetOnDevice.of(digits, 0)), digits)
    result = trainer.train_stack({0: (settings, 0)})[0]
    assert result.status == "diverged"
    assert "first in the output of" in result.message
