"""Records of a store, as the rest of the program sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.results import Status
from benchmarks.tasks import Task


@dataclass(frozen=True)
class DatasetFacts:
    """What a report needs to know of a dataset."""

    version: str
    num_train: int
    num_test: int
    num_classes: int
    """1 for a regression."""
    input_shape: tuple[int, ...]
    test_split: str
    """Where the test examples come from, for people."""
    task: Task
    mean_rmse: float | None = None
    """For a regression: the test RMSE of who always predicts the mean of the training targets, if that is known."""
    notes: tuple[str, ...] = ()
    """What of how it is read a person may have meant otherwise, in sentences."""

    @property
    def chance_level(self) -> float | None:
        """Accuracy of a guess among equally likely classes; None for a regression."""
        return None if self.task == "regression" else 1 / self.num_classes

    @property
    def level_without_learning(self) -> float | None:
        """The outcome of who learnt nothing, which a diverged run counts as; None where it is not known."""
        return self.mean_rmse if self.task == "regression" else self.chance_level


@dataclass(frozen=True)
class Registration:
    """A suite as it was last run: what a report needs beside the runs."""

    name: str
    text: str
    """The suite file."""
    seeds: list[int]
    datasets: dict[str, DatasetFacts]
    """Name as in the suite -> facts."""
    registered_at: str
    looks: list[int] = field(default_factory=list)
    """Numbers of seeds at which there are looks, as `ablate run --until-resolved` declared them; else none."""

    @property
    def versions(self) -> dict[str, str]:
        """Dataset as in the suite -> version."""
        return {name: facts.version for name, facts in self.datasets.items()}


@dataclass(frozen=True)
class RegisteredClaim:
    """A claim as it was registered."""

    hash: str
    """What `claim_hash` gave; of a former registration, with more after a slash."""
    statement: str
    n_judgements: int
    """How many p-values it has a share in alpha for."""
    seeds: list[int]
    """Those of the suite at that time."""
    analysis: dict[str, Any]
    """How it was to be judged, in plain values."""
    n_results: int
    """How many runs that it compares had results already."""
    cells: str = ""
    """A hash of all settings of the cells that it compares."""
    n_results_before: int = 0
    """How many runs that it compared had results when the settings of these cells were changed; of a former
    registration, when it ended."""
    registered_at: str = ""
    """When it was first stored; nothing before."""

    @property
    def is_former(self) -> bool:
        """Whether it was taken out, edited or registered anew, after something was seen of it."""
        return "/" in self.hash


@dataclass(frozen=True)
class StoredRun:
    """A run as it lies in the store."""

    key: str
    status: Status
    dataset: str
    dataset_version: str
    seed: int
    settings: dict[str, Any]
    """Every setting by its dotted path."""
    metrics: dict[str, float]
    history: dict[str, list[float]]
    parameters: int | None
    macs: int | None
    """Multiply-accumulates of the weight layers for one example."""
    seconds: float
    message: str | None
    traceback: str | None
    attempts: int
    machine: str
    """Id of the machine's facts."""
    finished_at: str


@dataclass(frozen=True)
class Lease:
    """A run that a runner is on, or was on."""

    owner: str
    """`NOBODY` where it ended without a result."""
    number: int
    renewed_at: str


@dataclass(frozen=True)
class StoredSearch:
    """A search that has ended, as it lies in the store."""

    key: str
    trials: list[dict[str, Any]]
    """What was tried, in order, in plain values."""
    chosen: dict[str, Any]
    """Setting -> value; empty where no trial had a score."""
    finished_at: str
