"""Optimizers beside their sources' arithmetic, over 200 steps of one layer in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from benchmarks.settings.optimizers import MOMENTUM_FORMS, OPTIMIZERS
from benchmarks.settings.training import TrainConfig
from benchmarks.training.optimizers import make_optimizer
from tools.fidelity.optimizer_references import REFERENCES, trajectory
from tools.fidelity.table import Row

SHAPE, STEPS, DECAY = (5, 7), 200, 0.3


def compared(**settings: Any) -> Row:
    """Compare one optimizer, with the settings of `TrainConfig`, along gradients whose sizes differ by 10,000."""
    train = TrainConfig(**settings)
    generator = np.random.default_rng(0)
    weights = generator.normal(size=SHAPE)
    gradients = [generator.normal(size=SHAPE) * 10.0 ** -(step % 5) for step in range(STEPS)]
    coefficients = train.coefficients() | {"momentum_form": train.momentum_form, "weight_decay": DECAY}
    expected = trajectory(train.optimizer, weights, gradients, coefficients)
    found = _trained(train, weights, gradients)
    moved = max(np.abs(each - weights).max() for each in expected)
    difference = max(np.abs(ours - theirs).max() for ours, theirs in zip(found, expected, strict=True)) / moved
    told = ", ".join(f"{name} {value}" for name, value in settings.items() if name not in ("optimizer", "weight_decay"))
    reference = (REFERENCES[train.optimizer].__doc__ or "").rstrip(".")
    return Row("optimizer", train.optimizer + (f", {told}" if told else ""), reference, float(difference))


CASES: list[dict[str, Any]] = [
    {"optimizer": name} | ({"weight_decay": DECAY} if name == "adamw" else {}) | form
    for name, row in OPTIMIZERS.items()
    for form in ([{"momentum_form": each} for each in MOMENTUM_FORMS] if row.has_momentum_forms else [{}])
]
"""Every optimizer with its own coefficients, in every form of momentum."""


def rows() -> Iterator[Row]:
    """A row for each of the cases."""
    return (compared(**case) for case in CASES)


def _trained(train: TrainConfig, weights: Any, gradients: Any) -> list[Any]:
    kept = keras.config.floatx()
    keras.config.set_floatx("float64")  # of the rate and of numbers that Keras makes on the way
    try:
        variable = keras.Variable(weights, dtype="float64", name="hidden_kernel")
        optimizer = make_optimizer(train, train.coefficients()["learning_rate"], lambda: [DECAY])
        optimizer.build([variable])
        found = []
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient, dtype="float64")], [variable])
            found.append(np.array(variable))
        return found
    finally:
        keras.config.set_floatx(kept)
