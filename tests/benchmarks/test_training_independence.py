"""A run comes out the same whatever is trained beside it, again, and from wherever its data are read."""

import itertools

import numpy as np
import pytest
from training_runs import NARROW_RESNET, SMALL, name_of, same, without

from benchmarks.settings.run import settings_from
from benchmarks.training.inputs import DatasetOnDevice, StreamedInputs
from benchmarks.training.program import Program
from benchmarks.training.trainer import Trainer

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
    "train.schedule": "reduce_on_plateau",
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

PER_SLOT_WITH_BATCH = PER_SLOT | {"model.normalization": "batch", "train.monitor": "val_accuracy"}

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


@pytest.mark.parametrize(
    "added",
    [
        pytest.param({}, marks=pytest.mark.night),
        pytest.param({"model.normalization": "batch"}, marks=pytest.mark.night),
        pytest.param({"model.normalization": "layer"}, marks=pytest.mark.night),
        {
            "model.input_dropout": 0.2,
            "model.drop_connect": 0.3,
            "model.skip_connections": "identity",
            "model.stochastic_depth": 0.5,
        },
        {"model.l1": 1e-4, "model.l2": 1e-3, "model.max_norm": 0.8, "model.activation": "prelu"},
        {"model.weight_standardization": True, "model.normalization": "group", "model.width": 14},
        pytest.param(PER_SLOT, marks=pytest.mark.night),
        PER_SLOT_WITH_BATCH,
        pytest.param(
            without(PER_SLOT, "train.clip_norm", "train.optimizer")
            | {"train.clip_value": 0.1, "train.optimizer": "nadam"},
            marks=pytest.mark.night,
        ),
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


CHANNELS = {"model.dropout": 0.2, "model.dropout_kind": "channels"}
SKIPPED = {"model.stochastic_depth": 0.5, "model.drop_connect": 0.2}


@pytest.mark.parametrize(
    "changes",
    [
        {**SMALL, "model.dropout": 0.2},
        pytest.param({**NARROW_RESNET, "train.epochs": 1}, marks=pytest.mark.night),
        {**NARROW_RESNET, "train.epochs": 1, **CHANNELS, **SKIPPED},
        pytest.param({**NARROW_RESNET, "train.epochs": 1, **CHANNELS}, marks=pytest.mark.night),
        pytest.param({**NARROW_RESNET, "train.epochs": 1, **SKIPPED}, marks=pytest.mark.night),
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
    changes = ODD_SIZES | PER_SLOT_WITH_BATCH
    settings, trainer = settings_from(changes), trainer_for(changes)
    first = trainer.train_stack({2: (settings, 2)})[2]
    trainer.train_stack({slot: (settings, 10 + slot) for slot in range(5)})
    assert same(trainer.train_stack({2: (settings, 2)})[2], first)


STREAMED = {
    "dense": {"model.dropout": 0.2, "train.checkpoint": "best_val", "augment.translate": 0.1},
    "convolutions": {"model.variant": "lenet5", "train.optimizer": "momentum", "augment.translate": 0.1},
}


@pytest.mark.parametrize("name", ["dense", pytest.param("convolutions", marks=pytest.mark.night)])
def test_streamed_equals_in_memory(name, digits):
    """Read from its file through `tf.data`, a dataset gives the numbers that it gives in memory, to the last bit."""
    settings = settings_from(SMALL | STREAMED[name])
    results = []
    for most_bytes in (digits.num_bytes, digits.num_bytes - 1):
        data = DatasetOnDevice.of(digits, most_bytes)
        trainer = Trainer(Program(settings, data), digits)
        results.append(trainer.train_stack({slot: (settings, slot) for slot in range(trainer.program.stack_size)}))
    in_memory, streamed = results
    assert isinstance(data.train_inputs, StreamedInputs)
    assert {slot: (each.metrics, each.history) for slot, each in streamed.items()} == {
        slot: (each.metrics, each.history) for slot, each in in_memory.items()
    }
    assert all(
        np.array_equal(in_memory[slot].predictions, streamed[slot].predictions, equal_nan=True) for slot in streamed
    )
