"""How long a run is trained, and which of its weights are evaluated."""

import numpy as np
import pytest
from training_runs import BEST, SMALL, name_of, train_recorded, without

from benchmarks.settings.run import settings_from

# What goes to and fro, so that the best epoch is neither the first nor the last.
RESTLESS = {
    **SMALL,
    "model.normalization": "batch",
    "model.dropout": 0.2,
    "train.optimizer": "rmsprop",
    "train.learning_rate": 0.03,
    "train.batch_size": 100,
}


@pytest.mark.parametrize("added", [{}, {"train.weight_average": 0.8}], ids=["weights", "average"])
@pytest.mark.parametrize(("monitor", "patience"), [("val_loss", 2), ("val_accuracy", 3), ("val_loss", 0)])
def test_best_weights_are_those_of_a_run_that_ends_there(monitor, patience, added, trainer_for):
    """With best_val, all metrics are to the last bit those of a run whose epochs end with the best one."""
    epochs = 13 if added else 11
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
