"""Plan: a study that is to be run, with the file it comes from and the place of its data."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.data.dataset import Dataset, open_prepared
from benchmarks.errors import DatasetError, naming_file
from benchmarks.plan.combinations import refuse_too_many
from benchmarks.plan.group_checks import check_groups
from benchmarks.plan.path import check_path
from benchmarks.plan.stacks import check_runs
from benchmarks.plan.study import Expansion, Study
from benchmarks.results import OUTCOMES
from benchmarks.store import Store
from benchmarks.suite.reading import parse_suite, read_suite_text
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError


@dataclass(frozen=True)
class Plan(Study):
    """A suite that is to be run, beside what is stored of it."""

    path: Path = field(kw_only=True)
    """Where the suite file is."""
    references: Mapping[str, DatasetReference] = field(kw_only=True)
    """Dataset as the suite names it -> where it is."""
    unread: Sequence[str] = field(kw_only=True)
    """The datasets whose content is not known before they are read, and with it which of the runs are stored."""

    def with_data(self, versions: Mapping[str, str], store: Store | None) -> Plan:
        """The same plan for the data that were read, beside what is stored of their runs.

        Args:
            versions: dataset as the suite names it -> version, with its content.
            store: None where nothing was ever run.
        """
        plan = self.changed(expansion=Expansion(self.suite, versions), unread=())
        return _read(_beside(plan, store) if store else plan)

    def changed_data(self, store: Store | None) -> Iterator[str]:
        """What is to be said of data that have changed since the suite was last run, in sentences."""
        before = store.registration(self.name) if store else None
        for name, version in self.versions.items():
            then = before.versions.get(name, version) if before else version
            if version != then and name not in self.unread:
                yield (
                    f"The data of {name} have changed since this suite was run: they were {then} then, and are "
                    f"{version} now. Runs on what they were do not count."
                )

    def with_seeds(self, seeds: Sequence[int], looks: Sequence[int], store: Store) -> Plan:
        """The same plan with other seeds, and the looks that are declared with them.

        Raises:
            SettingError: a search has used one of these seeds.
        """
        check_groups(self.groups, seeds)
        check_path(self.path_to_find, seeds)
        return self.changed(seeds=seeds, looks=looks).renewed(store)

    def check_fit(self, datasets: Mapping[str, Dataset]) -> None:
        """Refuse what is to be trained and does not fit its data.

        Args:
            datasets: those that can be opened, by their names in the suite.

        Raises:
            SettingError: settings do not fit the task, the size or the shape of a dataset.
        """
        of_searches = (run for group in self.open_groups for run in group.corner_runs())
        of_path = self.open_path.first_runs() if self.open_path else []
        with naming_file(self.path):
            check_runs(itertools.chain(self.missing, of_searches, of_path), datasets)


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
        UserError, SettingError: the suite, a dataset or the store cannot be used; also where settings do not fit a
            dataset that lies decoded in the runs folder.
    """
    text = read_suite_text(path)
    suite = parse_suite(text, str(path))
    with naming_file(path):
        references = _find_datasets(suite, data_dir, runs_dir)
        seeds = suite.seed_list if num_seeds is None else list(range(num_seeds))
        refuse_too_many(suite, len(seeds))
        found = {name: open_prepared(reference, runs_dir) for name, reference in references.items()}
        opened = {name: dataset for name, dataset in found.items() if dataset}
        unread = [name for name, each in references.items() if name not in opened and each.origin != "embedded"]
        with contextlib.ExitStack() as closing:
            store = Store.find(runs_dir, store_url)
            if store:
                closing.callback(store.close)
            versions = {
                name: opened[name].version if name in opened else _version_of_unread(name, reference, suite, store)
                for name, reference in references.items()
            }
            plan = Plan(Expansion(suite, versions), text, seeds, path=path, references=references, unread=unread)
            check_groups(plan.groups, seeds)
            check_path(plan.path_to_find, seeds)
            plan = _read(_beside(plan, store) if store else plan)
        plan.check_fit(opened)
        return plan


def _version_of_unread(name: str, reference: DatasetReference, suite: Suite, store: Store | None) -> str:
    """The version of a dataset that is not read yet: where it is not here at all, the one that the suite was run on."""
    is_elsewhere = reference.origin in ("download", "bucket")
    known = store.registration(suite.name) if store and is_elsewhere else None
    return known.versions.get(name, reference.version) if known else reference.version


def _read(plan: Plan) -> Plan:
    """The same plan, its runs made and their statuses read."""
    _ = plan.all_runs, plan.statuses
    return plan


def _beside(plan: Plan, store: Store) -> Plan:
    """A plan beside what is stored; looks that were declared stay so once there are results, of whichever seeds."""
    plan = plan.renewed(store)
    registration = store.registration(plan.suite.name)
    if registration is None or not registration.looks or not plan.suite.claims or plan.suite.analysis.looks:
        return plan
    try:
        before = Study.registered(registration, store, plan).counts
    except SettingError:  # a suite of an older version of this program
        before = {}
    has_results = any(plan.counts[status] or before.get(status) for status in OUTCOMES)
    return plan.changed(looks=registration.looks) if has_results else plan


def _find_datasets(suite: Suite, data_dir: Path, runs_dir: Path) -> dict[str, DatasetReference]:
    references: dict[str, DatasetReference] = {}
    for name in suite.datasets:
        found = find_dataset(name, data_dir, runs_dir, suite.reading)
        twin = next((other for other, reference in references.items() if reference == found), None)
        if twin:
            raise DatasetError(f"datasets: {twin!r} and {name!r} are the same data: {found.name} {found.version}")
        references[name] = found
    return references
