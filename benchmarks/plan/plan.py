"""Plan: a study that is to be run, with the file it comes from and the place of its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.errors import DatasetError, naming_file
from benchmarks.plan.combinations import refuse_too_many
from benchmarks.plan.groups import check_groups
from benchmarks.plan.path import check_path
from benchmarks.plan.study import Expansion, Study
from benchmarks.results import OUTCOMES
from benchmarks.store import Store
from benchmarks.suite.reading import parse_suite, read_suite_text
from zoo.settings import SettingError


@dataclass(frozen=True)
class Plan(Study):
    """A suite that is to be run, beside what is stored of it."""

    path: Path = field(kw_only=True)
    """Where the suite file is."""
    references: Mapping[str, DatasetReference] = field(kw_only=True)
    """Dataset as the suite names it -> where it is."""

    def with_seeds(self, seeds: Sequence[int], looks: Sequence[int], store: Store) -> Plan:
        """The same plan with other seeds, and the looks that are declared with them.

        Raises:
            SettingError: a search has used one of these seeds.
        """
        check_groups(self.groups, seeds)
        check_path(self.path_to_find, seeds)
        return self.changed(seeds=seeds, looks=looks).renewed(store)


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
        versions = {name: reference.version for name, reference in references.items()}
        plan = Plan(Expansion(suite, versions), text, seeds, path=path, references=references)
        check_groups(plan.groups, seeds)
        check_path(plan.path_to_find, seeds)
        store = Store.find(runs_dir, store_url)
        if store is None:
            return _read(plan)
        try:
            return _read(_with_looks(plan.renewed(store), store))
        finally:
            store.close()


def _read(plan: Plan) -> Plan:
    """The same plan, its runs made and their statuses read."""
    _ = plan.all_runs, plan.statuses
    return plan


def _with_looks(plan: Plan, store: Store) -> Plan:
    """Looks that were declared stay declared once there are results, of these seeds or of those before."""
    registration = store.registration(plan.suite.name)
    if registration is None or not registration.looks or not plan.suite.claims or plan.suite.analysis.looks:
        return plan
    try:
        before = Study.registered(registration, store, plan).counts
    except SettingError:  # a suite of an older version of this program
        before = {}
    has_results = any(plan.counts[status] or before.get(status) for status in OUTCOMES)
    return plan.changed(looks=registration.looks) if has_results else plan


def _find_datasets(names: Sequence[str], data_dir: Path, runs_dir: Path) -> dict[str, DatasetReference]:
    references: dict[str, DatasetReference] = {}
    for name in names:
        found = find_dataset(name, data_dir, runs_dir)
        twin = next((other for other, reference in references.items() if reference == found), None)
        if twin:
            raise DatasetError(f"datasets: {twin!r} and {name!r} are the same data: {found.name} {found.version}")
        references[name] = found
    return references
