"""Schedules beside their sources' formulas, written out for each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.settings.schedules import ON_PLATEAU, SCHEDULES
from benchmarks.settings.training import TrainConfig, schedule_factors
from tools.fidelity.table import Row

TOTAL = 200


def _one_cycle(step: int) -> float:
    """torch.optim.lr_scheduler.OneCycleLR: pct_start 0.1, div_factor 25, final_div_factor 10,000."""
    first, last = 0.1 * TOTAL - 1, TOTAL - 1
    if step <= first:
        return 1 + (1 / 25 - 1) / 2 * (1 + math.cos(math.pi * step / first))
    least = 1 / 25 / 1e4
    return least + (1 - least) / 2 * (1 + math.cos(math.pi * (step - first) / (last - first)))


def _warmup_cosine(step: int) -> float:
    """He et al. 2019: step i of m (from 1) has i / m of the rate; then half a cosine over the other steps."""
    warm = TOTAL // 10
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (TOTAL - warm)))


REFERENCES: dict[str, tuple[str, Callable[[int], float]]] = {
    "constant": ("1", lambda step: float(step >= 0)),
    "step": (
        "He et al. 2016, section 4.2: divided by 10 at 1/2 and at 3/4",
        lambda step: 0.1 ** (step // 50 - 1 if step >= 100 else 0),
    ),
    "exponential": ("0.01^(t / T)", lambda step: math.exp(math.log(0.01) * step / TOTAL)),
    "linear": ("1 - t / T", lambda step: (TOTAL - step) / TOTAL),
    "cosine": ("Loshchilov & Hutter 2017, equation 5", lambda step: 0.5 + 0.5 * math.cos(step / TOTAL * math.pi)),
    "warmup_cosine": ("He et al. 2019, sections 3.1 and 5.1", _warmup_cosine),
    "one_cycle": ("torch.optim.lr_scheduler.OneCycleLR, without momentum", _one_cycle),
}


def rows() -> Iterator[Row]:
    """Every schedule but the one that looks at the training."""
    assert {*REFERENCES} | {ON_PLATEAU} == {*SCHEDULES}
    for name, (reference, factor) in REFERENCES.items():
        found = schedule_factors(TrainConfig(schedule=name), 0, TOTAL, TOTAL)
        expected = np.array([factor(step) for step in range(TOTAL)])
        yield Row("schedule", name, reference, float(np.abs(found - expected).max()))
