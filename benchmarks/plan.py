"""What a suite comes to in a runs folder: its cells and runs, and which of them are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.design import Cell, Run, expand_cells, expand_runs
from benchmarks.errors import DatasetError, naming_file
from benchmarks.store import STORE_FILE, Registration, Store
from benchmarks.suite import Suite, parse_suite, read_suite_text
from benchmarks.training.results import Status

FINAL: tuple[Status, ...] = ("done", "diverged")
"""Statuses that stand; a failed run is tried again by the next `ablate run`."""


@dataclass(frozen=True)
class Plan:
    """A suite, expanded, beside what is stored of it."""

    path: Path
    """Where the suite file is."""
    suite: Suite
    text: str
    """The suite file."""
    seeds: Sequence[int]
    references: dict[str, DatasetReference]
    """Dataset as the suite names it -> where it is."""
    cells: list[Cell]
    runs: list[Run]
    statuses: dict[str, Status]
    """Key -> status, for the runs that are stored."""

    @property
    def versions(self) -> dict[str, str]:
        """Dataset as the suite names it -> version."""
        return {name: reference.version for name, reference in self.references.items()}

    @property
    def missing(self) -> list[Run]:
        """The runs that are to be trained: not stored, or failed."""
        return [run for run in self.runs if self.statuses.get(run.key) not in FINAL]

    @property
    def counts(self) -> dict[str, int]:
        """Number of runs by status; "missing" are those that are not stored."""
        return count_by_status(self.runs, self.statuses)


def make_plan(path: Path, runs_dir: Path, data_dir: Path, num_seeds: int | None = None) -> Plan:
    """Read a suite and expand it.

    Args:
        path: the suite file.
        runs_dir: the runs folder; it need not exist.
        data_dir: the TFDS folder of prepared datasets.
        num_seeds: where given, the seeds are 0 to this and not the suite's own.

    Raises:
        UserError, SettingError: the suite, a dataset or the store cannot be used.
    """
    text = read_suite_text(path)
    suite = parse_suite(text, str(path))
    with naming_file(path):
        references = _find_datasets(suite.datasets, data_dir, runs_dir)
        cells = expand_cells(suite)
    seeds = suite.seed_list if num_seeds is None else list(range(num_seeds))
    versions = {name: reference.version for name, reference in references.items()}
    runs = expand_runs(cells, seeds, versions)
    return Plan(path, suite, text, seeds, references, cells, runs, stored_statuses(runs_dir, runs))


def stored_statuses(runs_dir: Path, runs: Sequence[Run]) -> dict[str, Status]:
    """The statuses of those of these runs that the runs folder holds."""
    if not (runs_dir / STORE_FILE).exists():
        return {}
    store = Store.open(runs_dir)
    try:
        return store.statuses(run.key for run in runs)
    finally:
        store.close()


def _find_datasets(names: Sequence[str], data_dir: Path, runs_dir: Path) -> dict[str, DatasetReference]:
    references: dict[str, DatasetReference] = {}
    for name in names:
        found = find_dataset(name, data_dir, runs_dir)
        twin = next((other for other, reference in references.items() if reference == found), None)
        if twin:
            raise DatasetError(f"datasets: {twin!r} and {name!r} are the same data: {found.name} {found.version}")
        references[name] = found
    return references


def registered_runs(registration: Registration) -> list[Run]:
    """The runs of a suite as it was last run, cell by cell.

    Raises:
        SettingError: this version of the program no longer understands the suite.
    """
    suite = parse_suite(registration.text, f"the stored suite {registration.name}")
    return expand_runs(expand_cells(suite), registration.seeds, registration.versions)


def stored_counts(registration: Registration, store: Store) -> dict[str, int]:
    """Number of runs of a suite by status, as it was last run."""
    runs = registered_runs(registration)
    return count_by_status(runs, store.statuses(run.key for run in runs))


def count_by_status(runs: Iterable[Run], statuses: Mapping[str, Status]) -> dict[str, int]:
    """Number of runs by status; "missing" are those that are not stored."""
    # Keys take their time where there are many runs, and nobody asks for them where nothing is stored.
    counted = Counter(statuses.get(run.key, "missing") if statuses else "missing" for run in runs)
    return {status: counted[status] for status in ("done", "diverged", "failed", "missing")}


def weights_file(runs_dir: Path, key: str) -> Path:
    """Where the weights of a run are kept, if they are."""
    return runs_dir / "weights" / f"{key}.npz"
