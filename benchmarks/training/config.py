"""The settings of training."""

from __future__ import annotations

from typing import Annotated

from benchmarks.training.optimizers import OPTIMIZERS
from zoo.settings import OneOf, Settings, setting

OptimizerName = Annotated[str, OneOf("optimizer", OPTIMIZERS)]


class TrainConfig(Settings):
    """How a model is trained.

    An epoch is every training example once, in an order drawn anew; the examples left over by the last full batch sit
    that epoch out.
    """

    epochs: int = setting(30, "Passes over the training examples.", ge=1)
    batch_size: int = setting(64, "Examples in each step.", ge=1)
    optimizer: OptimizerName = setting("adam", "How gradients become steps.")
    learning_rate: float = setting(
        1e-3, "Size of a step; constant over the training.", gt=0, allow_inf_nan=False, shapes_program=False
    )
