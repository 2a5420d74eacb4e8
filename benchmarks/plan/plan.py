"""What a suite comes to in a runs folder: its cells and runs, and which of them are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.errors import DatasetError, naming_file
from benchmarks.plan.combinations import refuse_too_many
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import Group, check_groups, groups_of, tuned_runs, untuned_runs
from benchmarks.plan.path import FoundPath, cells_found, check_path, path_to_find
from benchmarks.results import FAILURES, FINAL, OUTCOMES, Status
from benchmarks.runs import Cell, Run
from benchmarks.store import Registration, Store, StoredSearch
from benchmarks.suite.reading import parse_suite, read_suite_text
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError

NOT_UNDERSTOOD = "this version of ablate no longer understands the suite"
"""What is said of a stored suite whose runs cannot be told any more."""


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
    groups: Sequence[Group] = ()
    """The cells that are tuned together; none where the suite searches nothing."""
    searches: Mapping[str, StoredSearch] = field(default_factory=dict)
    """Key of a group -> its search, for those that have ended; also of the path, once it was found."""
    path_to_find: FoundPath | None = None
    """The path whose changes are found before the runs along it are trained, where the suite asks for that."""
    untuned: Sequence[Run] = ()
    """The runs without what a search finds, where the suite asks for a comparison with them."""

    looks: Sequence[int] = ()
    """Numbers of seeds at which there are looks, where they were declared on the command line and not in the suite."""

    @property
    def all_runs(self) -> Sequence[Run]:
        """All that is trained for the report, each run once."""
        if not self.untuned:
            return self.runs  # the keys of many runs take their time
        return list({run.key: run for run in (*self.runs, *self.untuned)}.values())

    @property
    def open_groups(self) -> list[Group]:
        """The groups that are to be searched."""
        return [group for group in self.groups if group.key not in self.searches]

    @property
    def open_path(self) -> FoundPath | None:
        """The path that is to be found; None where there is none or it was found."""
        is_open = self.path_to_find is not None and self.path_to_find.key not in self.searches
        return self.path_to_find if is_open else None

    @property
    def is_open(self) -> bool:
        """Whether something is to be searched before all runs are known."""
        return bool(self.open_groups or self.open_path)

    @property
    def versions(self) -> dict[str, str]:
        """Dataset as the suite names it -> version."""
        return {name: reference.version for name, reference in self.references.items()}

    @property
    def missing(self) -> list[Run]:
        """The runs that are to be trained: not stored, or not known before a search has ended."""
        if not self.statuses:
            return list(self.all_runs)  # as above
        return [run for run in self.all_runs if self.statuses.get(run.key) not in FINAL]

    @property
    def counts(self) -> dict[str, int]:
        """Number of all runs by status; "missing" are those that are not stored."""
        return count_by_status(self.all_runs, self.statuses)


def make_plan(
    path: Path, runs_dir: Path, data_dir: Path, num_seeds: int | None = None, store_url: str | None = None
) -> Plan:
    """Read a suite and expand it.

    Args:
        path: the suite file.
        runs_dir: the runs folder; it need not exist.
        data_dir: the TFDS folder of prepared datasets.
        num_seeds: where given, the seeds are 0 to this and not the suite's own.
        store_url: where given, the store is on this server and not in the runs folder.

    Raises:
        UserError, SettingError: the suite, a dataset or the store cannot be used.
    """
    text = read_suite_text(path)
    suite = parse_suite(text, str(path))
    with naming_file(path):
        references = _find_datasets(suite.datasets, data_dir, runs_dir)
        seeds = suite.seed_list if num_seeds is None else list(range(num_seeds))
        refuse_too_many(suite, len(seeds))
        cells = expand_cells(suite)
        versions = {name: reference.version for name, reference in references.items()}
        groups = groups_of(suite, cells, versions)
        check_groups(groups, seeds)
        found_path = path_to_find(suite, versions)
        check_path(found_path, seeds)
        plan = Plan(path, suite, text, seeds, references, cells, [], {}, groups, path_to_find=found_path)
        store = Store.find(runs_dir, store_url)
        if store is None:
            return _with_runs(plan, {})
        try:
            return _with_looks(renewed(plan, store), store)
        finally:
            store.close()


def renewed(plan: Plan, store: Store) -> Plan:
    """The same plan beside what is stored by now.

    Raises:
        SettingError: what a search has found is refused.
    """
    keys = [group.key for group in plan.groups] + ([plan.path_to_find.key] if plan.path_to_find else [])
    found = _with_runs(plan, store.searches(keys))
    return replace(found, statuses=store.statuses(run.key for run in found.all_runs))


def with_seeds(plan: Plan, seeds: Sequence[int], looks: Sequence[int], store: Store) -> Plan:
    """The same plan with other seeds, and the looks that are declared with them.

    Raises:
        SettingError: a search has used one of these seeds.
    """
    check_groups(plan.groups, seeds)
    check_path(plan.path_to_find, seeds)
    return renewed(replace(plan, seeds=seeds, looks=looks), store)


def _with_looks(plan: Plan, store: Store) -> Plan:
    """Looks that were declared stay declared once there are results, of these seeds or of those before."""
    registration = store.registration(plan.suite.name)
    if registration is None or not registration.looks or not plan.suite.claims or plan.suite.analysis.looks:
        return plan
    try:
        before = stored_counts(registration, store)
    except SettingError:  # a suite of an older version of this program
        before = {}
    has_results = any(plan.counts[status] or before.get(status) for status in OUTCOMES)
    return replace(plan, looks=registration.looks) if has_results else plan


def _with_runs(plan: Plan, searches: Mapping[str, StoredSearch]) -> Plan:
    chosen = {key: search.chosen for key, search in searches.items()}
    cells = cells_found(plan.suite, plan.versions, chosen) if plan.path_to_find else plan.cells
    runs = tuned_runs(plan.suite, cells, plan.seeds, plan.versions, chosen)
    untuned = untuned_runs(plan.suite, cells, plan.seeds, plan.versions)
    return replace(plan, cells=cells, runs=runs, searches=searches, untuned=untuned)


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
    """The runs that the report of a suite is about, as it was last run, cell by cell.

    Raises:
        SettingError: this version of the program no longer understands the suite.
    """
    return _reported(_registered_suite(registration), registration)


def all_registered_runs(registration: Registration) -> tuple[list[Run], list[Run]]:
    """The same, and beside them those without what a search finds, where the suite asks for a comparison with them.

    A run that a search leaves as it is counts among the former alone.

    Raises:
        SettingError: this version of the program no longer understands the suite.
    """
    suite = _registered_suite(registration)
    reported = _reported(suite, registration)
    untuned = untuned_runs(suite, expand_cells(suite), registration.seeds, registration.versions)
    known = {run.key for run in reported} if untuned else set()
    return reported, [run for run in untuned if run.key not in known]


def _registered_suite(registration: Registration) -> Suite:
    return parse_suite(registration.text, f"the stored suite {registration.name}")


def _reported(suite: Suite, registration: Registration) -> list[Run]:
    cells = cells_found(suite, registration.versions, registration.found)
    return tuned_runs(suite, cells, registration.seeds, registration.versions, registration.found)


def stored_counts(registration: Registration, store: Store) -> dict[str, int]:
    """Number of all runs of a suite by status, as it was last run."""
    reported, untuned = all_registered_runs(registration)
    runs = [*reported, *untuned]
    return count_by_status(runs, store.statuses(run.key for run in runs))


def count_by_status(runs: Iterable[Run], statuses: Mapping[str, Status]) -> dict[str, int]:
    """Number of runs by status; "missing" are those that are not stored."""
    # Keys take their time where there are many runs, and nobody asks for them where nothing is stored.
    counted = Counter(statuses.get(run.key, "missing") if statuses else "missing" for run in runs)
    return {status: counted[status] for status in (*OUTCOMES, *FAILURES, "missing")}


def weights_file(runs_dir: Path, key: str) -> Path:
    """Where the weights of a run are kept, if they are."""
    return runs_dir / "weights" / f"{key}.npz"


def states_folder(runs_dir: Path) -> Path:
    """Where trainings that may be continued keep their states."""
    return runs_dir / ".states"
