"""The settings of data."""

from __future__ import annotations

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


class DataConfig(Settings):
    """How the examples of a dataset reach a model."""

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
