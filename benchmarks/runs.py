"""Factors, cells and runs: what is varied, one dataset with one combination of levels, and that with one seed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.settings.run import RunSettings, run_key

LARGEST_SEED = 2**31 - 1
"""What the integers of databases, and the seeds of Keras's initializers, hold."""

Levels = Mapping[str, str]
"""Factor -> label of its level, for every factor."""


@dataclass(frozen=True)
class Factors(Mapping[str, Sequence[str]]):
    """What a study varies: factor -> the labels of its levels; and which of these is the baseline's."""

    levels: Mapping[str, Sequence[str]]
    baseline: Levels

    def __getitem__(self, factor: str) -> Sequence[str]:
        return self.levels[factor]

    def __iter__(self) -> Iterator[str]:
        return iter(self.levels)

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True)
class Cell:
    """One dataset with one combination of levels."""

    dataset: str
    levels: Levels
    settings: RunSettings

    @property
    def title(self) -> str:
        """The levels in a few words."""
        return ", ".join(self.levels.values())


@dataclass(frozen=True)
class Run:
    """One cell with one seed: the unit that is trained, stored, resumed and counted."""

    cell: Cell
    seed: int
    dataset_version: str

    @functools.cached_property
    def key(self) -> str:
        """The content key under which the run is stored."""
        return run_key(self.cell.settings, self.dataset, self.dataset_version, self.seed)

    @property
    def dataset(self) -> str:
        """TFDS name of the dataset, without a pinned version."""
        return self.cell.dataset.partition(":")[0]
