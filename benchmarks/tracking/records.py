"""Records: what trackers show of a run, the same for all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from benchmarks.labels import column_of
from benchmarks.metrics import OUTCOME_METRICS
from benchmarks.plan.study import Study
from benchmarks.store import DatasetFacts, StoredRun

RUNS_A_PART = 500
"""Runs that are read at once: a store can hold more than memory does."""

COLUMNS = ("dataset", "seed", "settings")
"""What tells runs apart beside the factors of a suite."""

OUTCOME = "outcome"
"""The metric that reports compare: test accuracy or RMSE, and for a diverged run the level of who learnt nothing."""

FINAL_PREFIX = "final/"
"""Begins the name of a metric that is followed over the epochs too: its value for the weights that were kept."""


_Name = TypeVar("_Name", str, int)


@dataclass(frozen=True)
class Tracked:
    """What was written for a tracker."""

    tracker: str
    place: str
    """A URI or a folder."""
    written: int
    """Runs that were written, for the first time or anew."""
    unchanged: int
    """Runs that were there already."""
    viewer: str
    """The command that shows them, or the address of a server that does."""

    def as_text(self) -> str:
        """Two lines for people."""
        return f"{self.tracker}: {self.written} runs written, {self.unchanged} there already\n  viewer: {self.viewer}"


@dataclass(frozen=True)
class Record:
    """A run that is stored, beside what follows from its suite."""

    run: StoredRun
    suite: str
    dataset: str
    """As in the suite."""
    levels: Mapping[str, str]
    """What tells its cell from others: a column for each factor -> label of its level. Where cells are trained with and
    without what a search finds, `settings` says which."""
    metrics: Mapping[str, float]
    """One number each, all finite."""
    undefined: tuple[str, ...]
    """Metrics without a finite number; trackers would show something else in their place."""
    curves: Mapping[str, Mapping[int, float]]
    """Metric -> epoch, from 1 -> its value after it; finite ones alone."""
    machine: Mapping[str, Any]
    """Facts of the machine and its software."""

    @property
    def cell(self) -> str:
        """The cell in a few words: its levels, and the dataset."""
        return ", ".join((*self.levels.values(), self.dataset))

    @property
    def name(self) -> str:
        """The run in a few words."""
        return f"{self.cell}, seed {self.run.seed}"

    @property
    def finished_at(self) -> float:
        """Seconds since 1970."""
        return datetime.fromisoformat(self.run.finished_at).timestamp()

    @property
    def started_at(self) -> float:
        """Seconds since 1970."""
        return self.finished_at - self.run.seconds

    @property
    def epochs(self) -> int:
        """How many epochs it was followed for."""
        return max((epoch for curve in self.curves.values() for epoch in curve), default=0)


def records_of(study: Study) -> Iterator[Record]:
    """Every run of a study that is stored, in the order of the plan; those without what a search finds at the end."""
    machines, place = study.store.machines(), 0
    has_untuned = len(study.all_runs) > len(study.runs)
    for part, stored in study.stored_in_parts(study.all_runs, RUNS_A_PART):
        for run in part:
            found = stored.get(run.key)
            if found is not None:
                levels = {column_of(factor, COLUMNS): level for factor, level in run.cell.levels.items()}
                if has_untuned:
                    levels["settings"] = "tuned" if place < len(study.runs) else "untuned"
                values = _values(found, study.facts[run.cell.dataset])
                metrics = _finite(values)
                yield Record(
                    run=found,
                    suite=study.name,
                    dataset=run.cell.dataset,
                    levels=levels,
                    metrics=metrics,
                    undefined=tuple(name for name in values if name not in metrics),
                    curves={name: _finite(dict(enumerate(curve, start=1))) for name, curve in found.history.items()},
                    machine=machines.get(found.machine, {}),
                )
            place += 1


def _finite(values: Mapping[_Name, float | None]) -> dict[_Name, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _values(stored: StoredRun, facts: DatasetFacts) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    if stored.status == "done":
        values[OUTCOME] = stored.metrics.get(OUTCOME_METRICS[facts.task])
    elif stored.status == "diverged":
        values[OUTCOME] = facts.level_without_learning
    for name, value in stored.metrics.items():
        values[FINAL_PREFIX + name if name in stored.history else name] = value
    if stored.parameters is not None:
        values["parameters"] = stored.parameters
    return values | {"seconds": stored.seconds}
