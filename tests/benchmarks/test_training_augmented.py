"""Training on augmented examples."""

import numpy as np
import pytest
from training_runs import SMALL, batches, standardized, untrained

from benchmarks.augmentation.augmenter import Augmenter, value_range_of
from benchmarks.settings.run import settings_from
from benchmarks.training.inputs import DatasetOnDevice
from benchmarks.training.program import Program

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
        state = np.asarray(program.slots.augmentation_seeds)
        validation = np.stack([each.validation_indices for each in inputs])
        outputs.append((program.outputs_on_test_split(), program.outputs_on_train_split(validation)))
        assert np.array_equal(state, program.slots.augmentation_seeds)
        order = np.stack([batches(each, each.settings, 1) for each in inputs], axis=1)
        losses.append(program.train(order, np.zeros((1, size))))
        # At a rate of 0 nothing was learnt: the weights still give the same.
        assert np.array_equal(program.outputs_on_test_split(), outputs[-1][0])
    assert np.array_equal(outputs[0][0], outputs[1][0])
    assert np.array_equal(outputs[0][1], outputs[1][1])
    assert (np.abs(losses[0] - losses[1]) > 1e-2).all()


def test_range_of_the_inputs_is_found_once(digits, monkeypatch):
    """However many programs augment a dataset, all of it is read for its range a single time."""
    found = []
    monkeypatch.setattr(Program, "_trace", lambda _: None)
    monkeypatch.setattr("benchmarks.training.inputs.value_range_of", lambda each: found.append(each) or (0, 16))
    on_device = DatasetOnDevice.of(digits)
    for width in (8, 16):
        program = Program(settings_from(SMALL | {"model.width": width, "augment.flip": True}), on_device)
        assert program._augmenter.value_range == (0, 16)
    assert len(found) == 1


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
