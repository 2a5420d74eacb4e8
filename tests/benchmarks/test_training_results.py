"""What a finished run gives: predictions, history and metrics."""

import numpy as np
import pytest
from training_runs import SMALL

from benchmarks.data.dataset import Dataset, Examples
from benchmarks.execution.local import TrainedValues
from benchmarks.settings.run import settings_from
from benchmarks.training.inputs import DatasetOnDevice
from benchmarks.training.program import Program
from benchmarks.training.trainer import Trainer


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


def test_numbers_far_from_zero_are_learnt_as_near_it():
    """What is learnt from numbers about 1e9 is what is learnt from the same about 0, and so is what is exported."""
    rng = np.random.default_rng(0)
    settings = settings_from({**SMALL, "train.epochs": 20, "train.learning_rate": 1e-2})
    inputs = rng.integers(0, 50, (200, 3)).astype(np.float64)
    targets = inputs @ [1.0, -2.0, 0.5]
    found, offset = [], 1e9
    for far in (0.0, offset):
        given = (inputs + far).astype(np.float64 if far else np.float32)
        parts = [Examples(given[part], targets[part] + far) for part in (slice(150), slice(150, None))]
        dataset = Dataset("made", "1.0.0", *parts, num_classes=1, test_split="made")
        trainer = Trainer(Program(settings, DatasetOnDevice.of(dataset)), dataset)
        result = trainer.train_stack({0: (settings, 0)})[0]
        model = TrainedValues.of(trainer.program, 0, trainer.inputs_of(settings, 0)).as_model(settings, dataset)
        exported = np.asarray(model(given[150:]), np.float64)
        np.testing.assert_allclose(exported, result.predictions, rtol=0, atol=1e-3)
        found.append((result, result.predictions - far))
    (near, expected), (far, given) = found
    assert near.metrics["test_r2"] > 0.9
    np.testing.assert_allclose(given, expected, atol=0.05)
    for name in ("test_r2", "test_rmse", "val_loss"):
        assert far.metrics[name] == pytest.approx(near.metrics[name], rel=1e-2)


def test_test_split_is_read_once(trainer_for, monkeypatch):
    """The test split is evaluated once a run, after the last epoch."""
    trainer = trainer_for(SMALL)
    events = []
    outputs = trainer.program.outputs_on_test_split
    monkeypatch.setattr(trainer.program, "outputs_on_test_split", lambda: events.append("test") or outputs())
    trainer.train_stack({0: (settings_from(SMALL), 0)}, lambda epoch: events.append(epoch))
    assert events == [1, 2, 3, "test"]
