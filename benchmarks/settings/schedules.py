"""Learning-rate schedules: name -> the factor on the learning rate at each step of the training.

A factor is a number in [0, 1], computed before the step from how much of the training lies behind it. The one schedule
that looks at the training itself, `reduce_on_plateau`, is driven by the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.arrays import Array

ON_PLATEAU = "reduce_on_plateau"


@dataclass(frozen=True)
class Schedule:
    """One row of the table."""

    explanation: str
    source: str
    factor: Callable[..., Array]
    """Number of each step, from 0, how many the training has, and the values of the settings that it reads ->
    factor."""
    reads: tuple[str, ...] = ()
    """Those settings, in their order."""


def _constant(step: Array, total: int) -> Array:
    del total
    return np.ones(len(step))


def _step(step: Array, total: int, decay_at: Sequence[float], decay_factor: float) -> Array:
    passed = sum((step / total >= share).astype(np.float64) for share in decay_at)
    return np.asarray(decay_factor**passed)


def _exponential(step: Array, total: int, final_factor: float) -> Array:
    return np.asarray(final_factor ** (step / total))


def _linear(step: Array, total: int) -> Array:
    return 1 - step / total


def _cosine(step: Array, total: int) -> Array:
    return np.asarray((1 + np.cos(np.pi * step / total)) / 2)


def _warmup_cosine(step: Array, total: int, warm: float) -> Array:
    steps = warm * total
    falling = (1 + np.cos(np.pi * (step - steps) / (total - steps))) / 2
    return np.where(step < steps, np.minimum((step + 1) / max(steps, 1), 1), falling)


def _one_cycle(step: Array, total: int, warm: float) -> Array:
    start, end = 1 / 25, 1 / 25 / 1e4
    # The last step of each half has the value that the half tends to. A rise or fall of one step has that alone.
    top, last = warm * total - 1, total - 1
    rising = _between(start, 1.0, step / top if top > 0 else np.ones(len(step)))
    falling = _between(1.0, end, (step - top) / (last - top) if last > top else np.ones(len(step)))
    return np.where(step <= top, rising, falling)


def _between(first: float, last: float, share: Array) -> Array:
    """Half a cosine from one value to another."""
    return last + (first - last) * (1 + np.cos(np.pi * share)) / 2


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule("the same throughout", "-", _constant),
    "step": Schedule(
        "times decay_factor at each share in decay_at",
        "He et al. 2016, section 4.2",
        _step,
        ("decay_at", "decay_factor"),
    ),
    "exponential": Schedule(
        "falls to final_factor in equal ratios", "Bengio 2012, section 3.1", _exponential, ("final_factor",)
    ),
    "linear": Schedule("falls to zero in equal steps", "Bengio 2012, section 3.1", _linear),
    "cosine": Schedule("half a cosine down to zero", "Loshchilov & Hutter 2017, equation 5", _cosine),
    "warmup_cosine": Schedule(
        "rises in equal steps over warmup_fraction of the training, from one of them on, then half a cosine down to "
        "zero",
        "He et al. 2019, Bag of Tricks, sections 3.1 and 5.1; Goyal et al. 2017, section 2.2",
        _warmup_cosine,
        ("warmup_fraction",),
    ),
    "one_cycle": Schedule(
        "half a cosine up from 1/25 over warmup_fraction of the training, then one down to 1/250,000 at the last step; "
        "momentum stays as it is",
        "Smith & Topin 2019; torch.optim.lr_scheduler.OneCycleLR with cycle_momentum=False",
        _one_cycle,
        ("warmup_fraction",),
    ),
    ON_PLATEAU: Schedule(
        "times plateau_factor whenever the monitored value has not improved for plateau_patience epochs",
        "He et al. 2016, section 3.4",
        _constant,
    ),
}
"""Every name that `train.schedule` accepts."""
