"""Learning-rate schedules: name -> the factor on the learning rate at each step of the training.

A factor is a number in [0, 1], computed before the step from how much of the training lies behind it. The one schedule
that looks at the training itself, `halve_on_plateau`, is driven by the trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.arrays import Array


@dataclass(frozen=True)
class Schedule:
    """One row of the table."""

    explanation: str
    source: str
    factor: Callable[..., Array]
    """Share of the training that lies behind each step, in [0, 1), and the values of the settings that it reads ->
    factor."""
    reads: tuple[str, ...] = ()
    """Those settings, in their order."""


def _constant(done: Array) -> Array:
    return np.ones_like(done)


def _step(done: Array, decay_at: Sequence[float], decay_factor: float) -> Array:
    passed = sum((done >= share).astype(np.float64) for share in decay_at)
    return np.asarray(decay_factor**passed)


def _exponential(done: Array, final_factor: float) -> Array:
    return np.asarray(final_factor**done)


def _linear(done: Array) -> Array:
    return 1 - done


def _cosine(done: Array) -> Array:
    return np.asarray((1 + np.cos(np.pi * done)) / 2)


def _warmup_cosine(done: Array, warm: float) -> Array:
    rising = done / warm if warm else np.ones_like(done)
    falling = (1 + np.cos(np.pi * (done - warm) / (1 - warm))) / 2
    return np.where(done < warm, rising, falling)


def _one_cycle(done: Array, warm: float) -> Array:
    start, end = 1 / 25, 1 / 25 / 1e4
    rising = start + (1 - start) * (1 - np.cos(np.pi * done / max(warm, 1e-12))) / 2
    falling = end + (1 - end) * (1 + np.cos(np.pi * (done - warm) / (1 - warm))) / 2
    return np.where(done < warm, rising, falling)


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
        "rises from zero over warmup_fraction of the training, then half a cosine down to zero",
        "Goyal et al. 2017, section 2.2; Loshchilov & Hutter 2017",
        _warmup_cosine,
        ("warmup_fraction",),
    ),
    "one_cycle": Schedule(
        "half a cosine up from 1/25 over warmup_fraction of the training, then one down to 1/250,000",
        "Smith & Topin 2019; torch.optim.lr_scheduler.OneCycleLR",
        _one_cycle,
        ("warmup_fraction",),
    ),
    "halve_on_plateau": Schedule(
        "half as large whenever the monitored value has not improved for plateau_patience epochs",
        "He et al. 2016, section 3.4",
        _constant,
    ),
}
"""Every name that `train.schedule` accepts."""
