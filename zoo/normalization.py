"""Normalization: name -> the Keras layers for dense and for convolutional features, with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class KerasLayer:
    """A Keras layer class by name, and its arguments."""

    keras_class: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Arguments that settings of the config give: argument -> setting."""
    sized_groups: bool = False
    """Whether `normalization_group_size` decides the number of groups."""


@dataclass(frozen=True)
class Normalization:
    """One row of the table."""

    dense: KerasLayer | None
    """None where nothing is inserted, or where dense features cannot be normalized so."""
    convolution: KerasLayer | None
    explanation: str
    source: str
    has_offset: bool = True
    """Whether it adds an offset of its own, which makes the bias of the layer before it superfluous."""
    least: int = 1
    """How few numbers of an example can be normalized together. With a mean of 0 and a variance of 1, one number is 0,
    and two are 1 and -1, whatever they were: no gradient passes."""


_EPSILON = {"epsilon": "normalization_epsilon"}
_BATCH = KerasLayer("BatchNormalization", settings={"momentum": "normalization_momentum"} | _EPSILON)
_GROUP = KerasLayer("GroupNormalization", settings=_EPSILON, sized_groups=True)
_RMS = KerasLayer("RMSNormalization", settings=_EPSILON)

NORMALIZATIONS: dict[str, Normalization] = {
    "none": Normalization(None, None, "nothing is inserted", "-", has_offset=False),
    "batch": Normalization(_BATCH, _BATCH, "each channel over the batch and all positions", "Ioffe & Szegedy 2015"),
    "layer": Normalization(
        KerasLayer("LayerNormalization", settings=_EPSILON),
        # One group: over height, width and channels of an example, as Ba et al. define it, with a gain per channel.
        KerasLayer("GroupNormalization", {"groups": 1}, _EPSILON),
        "all units of a layer, for each example by itself",
        "Ba, Kiros & Hinton 2016",
        least=3,
    ),
    "group": Normalization(
        _GROUP, _GROUP, "groups of channels over all positions, for each example by itself", "Wu & He 2018", least=3
    ),
    "instance": Normalization(
        None,
        KerasLayer("GroupNormalization", {"groups": -1}, _EPSILON),
        "each channel over all positions, for each example by itself",
        "Ulyanov, Vedaldi & Lempitsky 2016",
        least=3,
    ),
    "rms": Normalization(
        _RMS,
        _RMS,
        "divided by the root mean square of the units, of the channels at each position; no mean, no offset",
        "Zhang & Sennrich 2019",
        has_offset=False,
        least=2,
    ),
}
"""Every name that a config's `normalization` accepts."""

NORMALIZATION_PLACES: dict[str, str] = {
    "before_activation": "between the weights and the activation (Ioffe & Szegedy 2015, section 3.2)",
    "after_activation": "after the activation",
}
"""Every name that a config's `normalization_place` accepts."""

NORMALIZATION_VARIANCES: dict[str, str] = {
    "unbiased": "m / (m - 1) times the batch's, of m numbers a channel (Ioffe & Szegedy 2015, algorithm 2; "
    "torch.nn.BatchNorm2d)",
    "biased": "the batch's own (keras.layers.BatchNormalization)",
}
"""Every name that a config's `normalization_variance` accepts."""


def group_count(channels: int, group_size: int, least: int = 1) -> int:
    """How many groups hold as nearly `group_size` channels each as the number of channels allows.

    Groups are of one size. Where `group_size` does not divide the channels, the divisor that is nearest as a ratio is
    taken: 16 channels by 8 make 2 groups, 84 make 12 of 7, and 5 make one. No group is smaller than `least`, unless
    there are fewer channels.
    """
    divisors = (size for size in range(min(least, channels), channels + 1) if channels % size == 0)
    size = min(divisors, key=lambda size: max(size / group_size, group_size / size))
    return channels // size
