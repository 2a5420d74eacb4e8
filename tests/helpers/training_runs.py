"""The runs that the tests of training make, and what they need to look into them."""

import numpy as np

import zoo
from benchmarks.data.splits import batch_order

SMALL = {"model.variant": "mlp_small", "train.epochs": 3}
NARROW_RESNET = {"model.variant": "resnet8", "model.width": 4, "train.learning_rate": 1e-2, "train.epochs": 3}
FIFTY = {"model.variant": "mlp_small", "train.steps": 50, "train.learning_rate": 1e-2}
WITH_BATCH = {"model.normalization": "batch"}
SGD = {"train.optimizer": "sgd"}
SEED = 7
BEST = {"train.checkpoint": "best_val"}

HEADS = {"classification": "logits", "binary": "binary_logit", "regression": "regression"}


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


def offsets_of(program):
    """Path of each weight -> its place in the packed weights and its shape."""
    variables = program.model.trainable_variables
    ends = np.cumsum([np.prod(variable.shape, dtype=int) for variable in variables])
    assert ends[-1] == program.slots.weights.shape[1]
    starts = [0, *ends[:-1]]
    return {
        variable.path: (slice(start, end), tuple(variable.shape))
        for variable, start, end in zip(variables, starts, ends, strict=True)
    }


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


def name_of(value):
    return " ".join(map(str, value.values())) if isinstance(value, dict) else str(value)
