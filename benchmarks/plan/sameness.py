"""Sameness: cells of different settings that train the same network in the same way; pure, known before training.

What is compared is what settings come to: the distribution that initial weights are drawn from, the rates at each step,
the loss that a task has. Only what is surely the same is found.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from benchmarks.runs import Cell
from benchmarks.settings.run import RunSettings, canonical_json
from benchmarks.settings.schedules import ON_PLATEAU, SCHEDULES
from benchmarks.settings.training import TrainConfig, schedule_factors
from benchmarks.tasks import Task
from zoo.config import ModelConfig
from zoo.initializers import INITIALIZERS

_LENGTHS = (1, 2, 3, 10, 97, 1000, 4096)
"""Steps of trainings over which schedules are compared whose length is not known yet."""


@dataclass(frozen=True)
class Known:
    """What is known of a dataset."""

    task: Task | None = None
    is_table: bool = False
    """Whether its examples are rows of numbers, whose channels are its features."""


@dataclass(frozen=True)
class Same:
    """Cells of one dataset that train the same network in the same way, or gave the same results."""

    cells: tuple[Cell, ...]

    @property
    def named(self) -> str:
        """Their levels and the dataset, in words."""
        return " and ".join(f"({cell.title})" for cell in self.cells) + f" on {self.cells[0].dataset}"

    @property
    def differing(self) -> list[str]:
        """The settings in which they differ all the same."""
        flat = [cell.settings.flat() for cell in self.cells]
        return [path for path in flat[0] if any(each.get(path) != flat[0][path] for each in flat)]


def same_cells(cells: Iterable[Cell], known: Mapping[str, Known]) -> list[Same]:
    """Find the cells that train the same network in the same way as others.

    Args:
        cells: of a suite.
        known: dataset as in the suite -> what is known of it; of others, nothing is.
    """
    alike: dict[tuple[Hashable, ...], list[Cell]] = {}
    for cell in cells:
        meaning = _meaning(cell.settings, known.get(cell.dataset, Known()))
        alike.setdefault((cell.dataset, *meaning), []).append(cell)
    return [Same(tuple(group)) for group in alike.values() if len(group) > 1]


def _meaning(settings: RunSettings, known: Known) -> tuple[Hashable, ...]:
    """What a cell trains and how."""
    data = settings.data
    if known.is_table and data.standardize == "per_channel":
        data = data.changed(standardize="per_feature")
    training = _training(settings.train, known.task)
    return _model(settings.model), training, data, settings.augment, getattr(settings, "search", "")


# A design repeats each section's settings many times over.
@functools.lru_cache(maxsize=2**16)
def _model(config: ModelConfig) -> str:
    values = config.differing_from_default()
    row = replace(INITIALIZERS[config.initializer], formula="", source="")
    if config.initializer_gain == "activation":
        kept = {name: value for name, value in row.arguments.items() if name != row.factor_argument}
        row = replace(row, arguments=kept)
    return canonical_json(values | {"family": config.family, "initializer": repr(row)})


@functools.lru_cache(maxsize=2**16)
def _training(config: TrainConfig, task: Task | None) -> str:
    values = config.differing_from_default()
    if task:
        values["loss"] = config.loss_for(task)
    if config.schedule != ON_PLATEAU:
        values = {name: value for name, value in values.items() if name not in SCHEDULES[config.schedule].reads}
        values["schedule"] = _factors(config)
    return canonical_json(values)


def _factors(config: TrainConfig) -> str:
    """The factors on the rate at every step, as a hash."""
    lengths = (config.steps,) if config.steps else _LENGTHS
    found = (schedule_factors(config, 0, length, length).tobytes() for length in lengths)
    return hashlib.sha256(b"".join(found)).hexdigest()
