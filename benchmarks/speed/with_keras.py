"""Keras peer: a loop of `fit`, as a Keras user would write it."""

from __future__ import annotations

import keras

import zoo
from benchmarks.data.dataset import Dataset
from benchmarks.runs import Run
from benchmarks.speed.peer import EVALUATION_BATCH, standardized_parts

_OPTIMIZERS = {"adam": keras.optimizers.Adam, "momentum": lambda rate: keras.optimizers.SGD(rate, momentum=0.9)}


def train_run(run: Run, dataset: Dataset) -> float:
    """Train one run and give its test accuracy."""
    settings, parts = run.cell.settings, standardized_parts(run, dataset)
    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, run.seed)
    model.compile(
        optimizer=_OPTIMIZERS[settings.train.optimizer](settings.train.coefficients()["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        *parts["train"],
        batch_size=settings.train.batch_size,
        epochs=settings.train.epochs,
        validation_data=parts["validation"],
        validation_batch_size=EVALUATION_BATCH,
        verbose=0,
    )
    _, accuracy = model.evaluate(*parts["test"], batch_size=EVALUATION_BATCH, verbose=0)
    return float(accuracy)
