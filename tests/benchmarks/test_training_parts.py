"""Which examples a run takes, and settings that do not fit the data."""

import numpy as np
import pytest
from training_runs import BEST, SMALL, name_of

from benchmarks.settings.run import settings_from
from benchmarks.training.parts import check_fit, training_indices
from zoo.settings import SettingError


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


UNFIT = [
    ("digits", {"train.batch_size": 1299}, "train.batch_size", "1299", "1 to 1298"),
    ("digits", {"train.batch_size": 66, "data.train_fraction": 0.05}, "train.batch_size", "66", "1 to 65"),
    ("diabetes", {"train.batch_size": 320}, "train.batch_size", "320", "1 to 319"),
    (
        "digits",
        {"data.validation_fraction": 1e-9},
        "data.validation_fraction",
        "1e-09 of 1442",
        "0, or from 0.00069 to 0.999307",
    ),
    ("digits", {"data.validation_fraction": 0.9999}, "data.validation_fraction", "0.9999 of 1442", "0, or from"),
    ("digits", BEST | {"data.validation_fraction": 0.0}, "data.validation_fraction", "0", "more than 0"),
    (
        "digits",
        {"train.schedule": "reduce_on_plateau", "train.plateau_patience": 1, "data.validation_fraction": 0.0},
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
