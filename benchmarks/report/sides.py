"""The two sides of a comparison: the suites that A and B name, and what is stored of their runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmarks.analysis.tables import run_table
from benchmarks.errors import UserError
from benchmarks.labels import counted
from benchmarks.plan.groups import WaitingRun
from benchmarks.plan.study import Study, stored_runs
from benchmarks.report.formatting import flat_facts
from benchmarks.runs import Run
from benchmarks.settings.run import Revisions, current_revisions, run_key
from benchmarks.store import STORE_FILE, Registration, Store, place_of
from benchmarks.suite.reading import parse_suite, read_suite_text
from zoo.settings import Problem, nearest


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    label: str
    study: Study
    cells: Mapping[int, Run]
    """Number of each cell -> one of its runs."""
    runs: pd.DataFrame
    """What `run_table` gave."""
    revisions: Revisions
    """Of the code that trained its runs."""
    facts: Mapping[str, str]
    """Fact about a machine -> its values, of the machines that its runs are from."""

    @property
    def trials(self) -> int:
        """That each group of cells is tuned with."""
        suite = self.study.suite
        return suite.search.trials if suite.search else max((tuned.trials for tuned in suite.tuned), default=0)


@dataclass(frozen=True)
class _Source:
    """Where a side comes from."""

    label: str
    store: Store
    registration: Registration


def sides_of(
    before: str, after: str, suites: Sequence[str], runs_dir: Path, store_url: str | None
) -> tuple[Side, Side]:
    """What is stored of two suites; the arguments are those of `compare`.

    Raises:
        UserError: they are not two, or nothing is stored of one.
        SettingError: a suite is not understood.
    """
    given = (before, after)
    are_folders = [_is_store(each) for each in given]
    if suites and (len(suites) > 2 or not all(are_folders)):
        allowed = "A and B are runs folders, with one --suite for both, or one for A and one for B"
        what = "not a choice between the suites of two runs folders"
        raise _refused("--suite", what, ", ".join(suites), allowed)
    if all(are_folders):
        names = (suites[0], suites[-1]) if suites else _common_suite(*given)
        first, second = itertools.starmap(_of_folder, zip(given, names, strict=True))
    else:
        first, second = (
            _of_folder(each, _only_suite(each)) if is_folder else _of_suite(each, runs_dir, store_url)
            for each, is_folder in zip(given, are_folders, strict=True)
        )
    if first.store.identity == second.store.identity and first.registration == second.registration:
        allowed = "two runs folders, suites or versions of one"
        raise _refused("A and B are the same", first.label, None, allowed)
    return _side(first), _side(second)


def _refused(place: str, message: str, given: str | None, allowed: str, closest: str | None = None) -> UserError:
    return UserError(str(Problem(place, message, given, allowed, closest)))


def _is_store(given: str) -> bool:
    folder, url = place_of(given, Path())
    return url is not None or (folder / STORE_FILE).is_file()


def _store(given: str) -> Store:
    return Store.open(*place_of(given, Path()))


def _names(store: Store) -> list[str]:
    return [each.name for each in store.registrations()]


def _only_suite(given: str) -> str:
    store = _store(given)
    names = _names(store)
    if len(names) != 1:
        option = f"{'--runs-dir' if store.is_local else '--store'} {store.title}"
        allowed = f"the name of a suite with {option}: {', '.join(names) or 'none was run here'}"
        raise _refused(store.title, f"it has {counted(len(names), 'suite')}", "a store beside a suite", allowed)
    return names[0]


def _common_suite(before: str, after: str) -> tuple[str, str]:
    """The suite that both folders have, or the only one of each."""
    ours, theirs = _names(_store(before)), _names(_store(after))
    common = [name for name in ours if name in theirs]
    if len(common) == 1:
        return common[0], common[0]
    if not common and len(ours) == len(theirs) == 1:
        return ours[0], theirs[0]
    if common:
        allowed = f"--suite with one of {', '.join(common)}"
        raise _refused("--suite", "both folders have several suites", None, allowed)
    allowed = f"--suite twice: one of {', '.join(ours) or 'none'}, and one of {', '.join(theirs) or 'none'}"
    raise _refused("--suite", "no suite is in both folders", None, allowed)


def _of_folder(folder: str, suite: str) -> _Source:
    store = _store(folder)
    return _Source(f"{store.title} ({suite})", store, _registered(store, suite, "--suite"))


def _of_suite(given: str, runs_dir: Path, store_url: str | None) -> _Source:
    """A suite by its name, or a version of one by its file, in a store."""
    path, store = Path(given), Store.open(runs_dir, store_url)
    if not path.is_file():
        return _Source(given, store, _registered(store, given, "A and B"))
    text = read_suite_text(path)
    suite = parse_suite(text, given)
    current = _registered(store, suite.name, given)
    known = {name: facts for each in store.registrations() for name, facts in each.datasets.items()} | current.datasets
    missing = [name for name in suite.datasets if name not in known]
    if missing:
        raise UserError(f"{given}: nothing was run on {', '.join(missing)} in {store.place}")
    datasets = {name: known[name] for name in suite.datasets}
    return _Source(given, store, replace(current, text=text, seeds=suite.seed_list, datasets=datasets))


def _registered(store: Store, name: str, place: str) -> Registration:
    found = store.registration(name)
    if found is None:
        names = _names(store)
        allowed = f"a runs folder, a suite file, or one of {', '.join(names) or 'none: nothing was run here'}"
        raise _refused(place, f"no such suite was run into {store.place}", name, allowed, nearest(name, names))
    return found


def _side(source: _Source) -> Side:
    store = source.store
    study = Study.registered(source.registration, store)
    revisions, now = _keys(study.runs, store)
    # Settings and histories take most of the room of a stored run, and nothing here looks at them.
    stored = {now[key]: replace(run, settings={}, history={}) for key, run in stored_runs(store, list(now))}
    if not stored:
        raise UserError(
            f"{source.label}: none of its {counted(len(study.runs), 'run')} is stored in {store.place}; it was never "
            "trained, or by a version of this program to which its settings meant something else"
        )
    runs = run_table(study.runs, stored, study.facts)
    cells = dict(zip(runs["cell"].tolist(), study.runs, strict=True))
    facts = _machine_facts(set(runs["machine"]) - {""}, store)
    store.close()
    return Side(source.label, study, cells, runs, revisions, facts)


def _machine_facts(used: set[str], store: Store) -> dict[str, str]:
    machines, values = store.machines(), dict[str, set[str]]()
    for machine in used:
        for name, value in flat_facts(machines.get(machine, {})):
            values.setdefault(name, set()).add(value)
    return {name: " or ".join(sorted(found)) for name, found in sorted(values.items())}


def _keys(planned: Sequence[Run], store: Store) -> tuple[Revisions, dict[str, str]]:
    """The newest revisions of the code of which a run is stored, and key then -> key now."""
    newest = current_revisions()
    pairs = itertools.product(range(1, newest[0] + 1), range(1, newest[1] + 1))
    for revisions in sorted(pairs, key=lambda pair: (-sum(pair), -pair[1])):
        keys = {_key_at(run, revisions): run.key for run in planned}
        if store.statuses(keys):
            return revisions, keys
    return newest, {}


def _key_at(run: Run, revisions: Revisions) -> str:
    """The key that a run has where the code is of these revisions; none has one while its settings are open."""
    if isinstance(run, WaitingRun) or revisions == current_revisions():
        return run.key
    return run_key(run.cell.settings, run.dataset, run.dataset_version, run.seed, revisions)
