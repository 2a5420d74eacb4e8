"""The settings of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from zoo.settings import OneOf, Settings, setting

STANDARDIZATIONS: dict[str, str] = {
    "none": "values as they are stored: pixels from 0 to 255",
    "per_feature": "each input element to mean 0 and standard deviation 1",
    "per_channel": "each channel to mean 0 and standard deviation 1, over examples and positions",
    "min_max": "each input element to the range 0 to 1",
}
"""Every name that `data.standardize` accepts.

All statistics come from the training part of a run; an input that is constant there becomes 0.
"""

StandardizationName = Annotated[str, OneOf("standardization", STANDARDIZATIONS)]

TASK_CHOICES: dict[str, str] = {
    "by_target": "classes where the target is a class, a text or a boolean; a number where it is one",
    "classification": "the distinct values of the target are classes, in their order; two of them make a binary task",
    "regression": "the target is a number; of a class, the number that is its name",
}
"""Every name that `data.task` accepts."""

TaskChoice = Annotated[str, OneOf("task", TASK_CHOICES)]


@dataclass(frozen=True)
class Reading:
    """How a dataset is read, the same for all runs of a suite: the settings that `DataConfig` has of the same names."""

    train: str = ""
    test: str = ""
    task: str = "by_target"


OF_WHOLE_SUITE = tuple(f"data.{name}" for name in Reading.__dataclass_fields__)
"""Settings that no factor and no search can change: every cell is trained and tested on the same examples."""


class DataConfig(Settings):
    """How the examples of a dataset reach a model."""

    train: str = setting(
        "",
        "What is trained on, as TFDS writes splits: train[:80%], train+validation; by default train.",
        shapes_program=False,
    )
    test: str = setting(
        "",
        "What is tested on, likewise; by default test, else validation, else a fifth of each class that is held out.",
        shapes_program=False,
    )
    task: TaskChoice = setting("by_target", "What is learnt from the target.", shapes_program=False)

    standardize: StandardizationName = setting(
        "per_feature", "How inputs are shifted and scaled, by the training part.", shapes_program=False
    )
    validation_fraction: float = setting(
        0.1, "Share of the official training split that is set aside, drawn by the run's seed; 0 for none.", ge=0, lt=1
    )
    train_fraction: float = setting(
        1.0, "Share of the training part that is trained on, the same in every class.", gt=0, le=1
    )
    class_imbalance: float = setting(
        1.0,
        "Share of its examples that the rarest class keeps; the others in between on a geometric scale "
        "(Cui et al. 2019, section 5.1).",
        gt=0,
        le=1,
    )

    @property
    def reading(self) -> Reading:
        """How the dataset is read."""
        return Reading(self.train, self.test, self.task)
