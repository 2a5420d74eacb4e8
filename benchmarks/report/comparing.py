"""Two stores, two suites or two versions of one, side by side: what changed, and whether it is beyond noise."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

import zoo
from benchmarks.analysis.changes import WORDS, CellChange, Changes, MatchedCell, find_changes
from benchmarks.analysis.estimates import Estimate
from benchmarks.analysis.plain import as_plain
from benchmarks.analysis.tables import run_table
from benchmarks.analysis.verdicts import ALPHA, Obstacle
from benchmarks.errors import UserError
from benchmarks.labels import counted, with_levels
from benchmarks.metrics import METRICS, OUTCOME_METRICS
from benchmarks.plan.groups import WaitingRun
from benchmarks.plan.study import RUNS_A_PART, Study
from benchmarks.report.formatting import Style, flat_facts, style_of
from benchmarks.runs import Run
from benchmarks.settings import training
from benchmarks.settings.run import canonical_json
from benchmarks.store import STORE_FILE, DatasetFacts, Registration, Store, StoredRun, place_of
from benchmarks.suite.claims import least_seeds
from benchmarks.suite.reading import parse_suite, read_suite_text
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError, as_written, nearest, unknown

BUDGETS = ("train.epochs", "train.steps", "train.images", "train.stop_after")
"""Settings that say how long is trained: cells in which they differ are not compared."""

_MOST_NAMED = 4

Revisions = tuple[int, int]
"""Of the zoo, and of the training."""


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    label: str
    registration: Registration
    suite: Suite
    cells: Mapping[int, Run]
    """Number of each cell -> one of its runs."""
    runs: pd.DataFrame
    """What `run_table` gave."""
    revisions: Revisions
    """Of the code that trained its runs."""
    facts: Mapping[str, frozenset[str]]
    """Fact about a machine -> its values, of the machines that its runs are from."""

    @property
    def trials(self) -> int:
        """That each group of cells is tuned with."""
        if self.suite.search:
            return self.suite.search.trials
        return max((tuned.trials for tuned in self.suite.tuned), default=0)


@dataclass(frozen=True)
class Compared:
    """Two sides with all that changed between them."""

    before: str
    after: str
    notes: tuple[str, ...]
    """What differs beside the results."""
    changes: Changes
    styles: Mapping[str, Style]
    """Metric -> how its values are written."""


@dataclass(frozen=True)
class _Source:
    label: str
    store: Store
    registration: Registration


def compare(
    before: str,
    after: str,
    suites: Sequence[str] = (),
    metrics: Sequence[str] = (),
    margin: float = 0.0,
    alpha: float = ALPHA,
    runs_dir: Path = Path("runs"),
    store_url: str | None = None,
) -> Compared:
    """Compare two stores, or two suites or versions of one in the same store.

    Args:
        before: a runs folder, or the URL of a server; or a suite that was run into `runs_dir`, by its name or its file.
        after: likewise.
        suites: the suite in both folders, or that in the first and that in the second.
        metrics: what is compared; by default the outcome of each dataset's task.
        margin: the least difference that matters, in the metric's own unit.
        alpha: share of comparisons without any change in which one or more may be said to have changed.
        runs_dir: where suites are looked for.
        store_url: where given, the server on which they are looked for.

    Raises:
        UserError: there is nothing to compare, or not by this call.
        SettingError: a metric is not known, or a suite is not understood.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise UserError(f"--margin: not a margin\n  given:   {margin}\n  allowed: 0 or more, in the metric's own unit")
    for metric in metrics:
        if metric not in METRICS:
            raise SettingError([unknown("--metric", "metric", metric, METRICS)])
    first, second = (_side(source) for source in _sources(before, after, suites, runs_dir, store_url))
    cells = _matched(first, second)
    wanted = {cell.dataset: _metrics_of(first.registration.datasets[cell.dataset], metrics) for cell in cells}
    if margin:
        _refuse_mixed_units(wanted)
    changes = find_changes(first.runs, after=second.runs, cells=cells, metrics=wanted, margin=margin, alpha=alpha)
    if not any(change.word != "not compared" for change in changes.changes):
        why = dict.fromkeys(change.detail for change in changes.changes)
        reasons = "; ".join(list(why)[:_MOST_NAMED]) or "they have no cell and metric in common"
        raise UserError(f"nothing of {first.label} can be compared with {second.label}: {reasons}")
    both = pd.concat([first.runs, second.runs])
    names = dict.fromkeys(change.metric for change in changes.changes)
    styles = {name: style_of(METRICS[name].unit, both[name]) for name in names}
    return Compared(first.label, second.label, tuple(_notes(first, second, cells)), changes, styles)


def rows_of(compared: Compared) -> list[dict[str, Any]]:
    """The changes as rows of a table, the worst first."""
    order = list(WORDS)
    changes = sorted(compared.changes.changes, key=lambda change: order.index(change.word))
    factors = list(dict.fromkeys(factor for change in changes for factor in change.levels))
    return [_row(change, factors, compared.styles) for change in changes]


def summary_of(compared: Compared) -> list[str]:
    """What is to be said beside the table, in lines."""
    found = compared.changes
    counts = {word: sum(change.word == word for change in found.changes) for word in WORDS}
    told = ", ".join(f"{number} {word}" for word, number in counts.items() if number)
    held = f"margin {found.margin:g}" if found.margin else "no margin was given, so any change beyond noise counts"
    lines = [
        *compared.notes,
        f"{counted(len(found.changes), 'comparison')}: {told}",
        f"{held}; alpha {found.alpha:g}, with Holm's correction over {found.family}",
    ]
    for name, style in compared.styles.items():
        unit = f", {style.unit_of_differences}" if style.unit_of_differences else ""
        better = "gain" if METRICS[name].better == "higher" else "reduction"
        lines.append(f"{name}: the change is the {better}{unit}, so less than 0 is worse")
    least = least_seeds(found.alpha)
    if any(change.word == "undecided" and len(change.seeds) < least for change in found.changes):
        lines.append(f"with fewer than {least} common seeds nothing can be said; the values are shown as they are")
    return lines


def as_json(compared: Compared) -> dict[str, Any]:
    """All of it in plain values."""
    return {
        "before": compared.before,
        "after": compared.after,
        "notes": list(compared.notes),
        "regressions": len(compared.changes.regressions),
        **as_plain(compared.changes),
    }


def key_at(run: Run, revisions: Revisions) -> str:
    """The key that a run has where the code is of these revisions."""
    identity = run.cell.settings.identity() | {
        "dataset": run.dataset,
        "dataset_version": run.dataset_version,
        "seed": run.seed,
        "zoo_revision": revisions[0],
        "training_revision": revisions[1],
    }
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:32]


def _sources(before: str, after: str, suites: Sequence[str], runs_dir: Path, store_url: str | None) -> list[_Source]:
    given = [before, after]
    are_folders = [_is_store(each) for each in given]
    if suites and (len(suites) > 2 or not all(are_folders)):
        raise UserError(
            f"--suite: not a choice between the suites of two runs folders\n  given:   {', '.join(suites)}\n"
            "  allowed: A and B are runs folders, with one --suite for both, or one for A and one for B"
        )
    if not all(are_folders):
        sources = [
            _of_folder(each, _only_suite(each)) if is_folder else _of_suite(each, runs_dir, store_url)
            for each, is_folder in zip(given, are_folders, strict=True)
        ]
    elif suites:
        sources = [_of_folder(each, suite) for each, suite in zip(given, (suites[0], suites[-1]), strict=True)]
    else:
        sources = [_of_folder(each, suite) for each, suite in zip(given, _common_suite(before, after), strict=True)]
    first, second = sources
    if first.store.identity == second.store.identity and first.registration == second.registration:
        raise UserError(f"A and B are the same: {first.label}\n  allowed: two runs folders, suites or versions of one")
    return sources


def _is_store(given: str) -> bool:
    folder, url = place_of(given, Path())
    return url is not None or (folder / STORE_FILE).is_file()


def _store(given: str) -> Store:
    return Store.open(*place_of(given, Path()))


def _names(given: str) -> list[str]:
    return [each.name for each in _store(given).registrations()]


def _only_suite(given: str) -> str:
    names, store = _names(given), _store(given)
    if len(names) != 1:
        option = f"{'--runs-dir' if store.is_local else '--store'} {store.title}"
        raise UserError(
            f"{store.title}: it has {counted(len(names), 'suite')}\n  given:   a store beside a suite\n"
            f"  allowed: the name of a suite with {option}: {', '.join(names) or 'none was run here'}"
        )
    return names[0]


def _common_suite(before: str, after: str) -> tuple[str, str]:
    """The suite that both folders have, or the only one of each."""
    ours, theirs = _names(before), _names(after)
    common = [name for name in ours if name in theirs]
    if len(common) == 1:
        return common[0], common[0]
    if not common and len(ours) == len(theirs) == 1:
        return ours[0], theirs[0]
    if common:
        raise UserError(
            f"--suite: both folders have several suites\n  allowed: --suite with one of {', '.join(common)}"
        )
    raise UserError(
        "--suite: no suite is in both folders\n"
        f"  allowed: --suite twice: one of {', '.join(ours) or 'none'}, and one of {', '.join(theirs) or 'none'}"
    )


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
    known = {name: facts for each in store.registrations() for name, facts in each.datasets.items()}
    known |= _registered(store, suite.name, given).datasets
    missing = [name for name in suite.datasets if name not in known]
    if missing:
        raise UserError(f"{given}: nothing was run on {', '.join(missing)} in {store.place}")
    datasets = {name: known[name] for name in suite.datasets}
    current = _registered(store, suite.name, given)
    return _Source(given, store, replace(current, text=text, seeds=suite.seed_list, datasets=datasets))


def _registered(store: Store, name: str, place: str) -> Registration:
    found = store.registration(name)
    if found is None:
        names = [each.name for each in store.registrations()]
        closest = nearest(name, names)
        raise UserError(
            f"{place}: no such suite was run into {store.place}\n  given:   {name}\n"
            f"  allowed: a runs folder, a suite file, or one of {', '.join(names) or 'none: nothing was run here'}"
            + (f"\n  nearest: {closest}" if closest else "")
        )
    return found


def _side(source: _Source) -> Side:
    registration, store = source.registration, source.store
    study = Study.registered(registration, store)
    planned = study.runs
    revisions, keys = _keys(planned, store)
    stored: dict[str, StoredRun] = {}
    for start in range(0, len(planned), RUNS_A_PART):
        part = planned[start : start + RUNS_A_PART]
        found = store.runs([keys[run.key] for run in part])
        # Settings and histories take most of the room of a stored run, and nothing here looks at them.
        stored |= {
            run.key: replace(found[keys[run.key]], settings={}, history={}) for run in part if keys[run.key] in found
        }
    if not stored:
        raise UserError(
            f"{source.label}: none of its {counted(len(planned), 'run')} is stored in {store.place}; it was never "
            "trained, or by a version of this program to which its settings meant something else"
        )
    runs = run_table(planned, stored, registration.datasets)
    machines = store.machines()
    store.close()
    facts: dict[str, set[str]] = {}
    for machine in set(runs["machine"]) - {""}:
        for name, value in flat_facts(machines.get(machine, {})):
            facts.setdefault(name, set()).add(value)
    return Side(
        label=source.label,
        registration=registration,
        suite=study.suite,
        cells=dict(zip(runs["cell"].tolist(), planned, strict=True)),
        runs=runs,
        revisions=revisions,
        facts={name: frozenset(values) for name, values in sorted(facts.items())},
    )


def _keys(planned: Sequence[Run], store: Store) -> tuple[Revisions, dict[str, str]]:
    """The newest revisions of the code of which a run is stored, and key now -> key then."""
    current = (zoo.REVISION, training.REVISION)
    keys = {run.key: run.key for run in planned}
    if store.statuses(keys):
        return current, keys
    for revisions in _earlier(current):
        then = {run.key: run.key if isinstance(run, WaitingRun) else key_at(run, revisions) for run in planned}
        if store.statuses(then.values()):
            return revisions, then
    return current, keys


def _earlier(current: Revisions) -> Iterator[Revisions]:
    """Earlier revisions, the newest first."""
    pairs = itertools.product(range(1, current[0] + 1), range(1, current[1] + 1))
    return iter(sorted((pair for pair in pairs if pair != current), key=lambda pair: (-sum(pair), -pair[1])))


def _matched(first: Side, second: Side) -> list[MatchedCell]:
    """The cells that belong together: by their levels where the factors are the same, else by all their settings."""
    by_levels = set(first.suite.factors) == set(second.suite.factors)

    def place(run: Run) -> Hashable:
        own = frozenset(run.cell.levels.items()) if by_levels else canonical_json(run.cell.settings.flat())
        return run.dataset, own

    theirs = {place(run): number for number, run in second.cells.items()}
    return [
        MatchedCell(
            run.cell.dataset,
            run.cell.levels,
            number,
            theirs[place(run)],
            _obstacle(first, second, run, second.cells[theirs[place(run)]]),
        )
        for number, run in first.cells.items()
        if place(run) in theirs
    ]


def _obstacle(first: Side, second: Side, ours: Run, theirs: Run) -> Obstacle | None:
    before = first.registration.datasets[ours.cell.dataset]
    after = second.registration.datasets[theirs.cell.dataset]
    if before != after:
        changed = [
            f"{name.replace('_', ' ')} {value} and {getattr(after, name)}"
            for name, value in vars(before).items()
            if value != getattr(after, name)
        ]
        return Obstacle("changed dataset", f"{ours.dataset}: {', '.join(changed)}")
    settings = [run.cell.settings.flat() for run in (ours, theirs)]
    budgets = [
        f"{name} {settings[0].get(name)} and {settings[1].get(name)}"
        for name in BUDGETS
        if settings[0].get(name) != settings[1].get(name)
    ]
    if budgets:
        return Obstacle("unequal budget", ", ".join(budgets))
    if first.trials != second.trials:
        return Obstacle("unequal budget", f"{first.trials} and {second.trials} tuning trials")
    return None


def _metrics_of(facts: DatasetFacts, metrics: Sequence[str]) -> list[str]:
    """Those that are asked for and that the task has; the outcome where none is asked for."""
    return [name for name in metrics or (OUTCOME_METRICS[facts.task],) if facts.task in METRICS[name].tasks]


def _refuse_mixed_units(wanted: Mapping[str, Sequence[str]]) -> None:
    metrics = sorted({name for names in wanted.values() for name in names})
    units = {METRICS[name].unit for name in metrics}
    n_targets = sum(any(METRICS[name].unit == "target" for name in names) for names in wanted.values())
    if len(units) > 1 or n_targets > 1:
        raise UserError(
            "--margin: one margin cannot hold for all that is compared, in different units\n"
            f"  given:   {', '.join(metrics)} on {', '.join(wanted)}\n  allowed: a --metric that all datasets have"
        )


def _notes(first: Side, second: Side, cells: Sequence[MatchedCell]) -> Iterator[str]:
    for side, other, number in ((first, second, len(first.cells)), (second, first, len(second.cells))):
        if number > len(cells):
            yield f"{counted(number - len(cells), 'cell')} of {side.label} not in {other.label}"
    seeds = [set(side.registration.seeds) for side in (first, second)]
    if seeds[0] != seeds[1]:
        yield f"seeds: {len(seeds[0])} before, {len(seeds[1])} after, {len(seeds[0] & seeds[1])} of them in both"
    current = (zoo.REVISION, training.REVISION)
    if first.revisions != second.revisions or first.revisions != current:
        told = [f"zoo {side.revisions[0]}, training {side.revisions[1]}" for side in (first, second)]
        yield f"revisions of the code: {told[0]} before; {told[1]} after: the same settings may mean something else"
    yield from _setting_notes(first, second, cells)
    facts = [name for name in {**first.facts, **second.facts} if first.facts.get(name) != second.facts.get(name)]
    if facts:
        yield "machines differ: " + _some(
            f"{name} {_values(first.facts.get(name))} before, {_values(second.facts.get(name))} after" for name in facts
        )


def _setting_notes(first: Side, second: Side, cells: Iterable[MatchedCell]) -> Iterator[str]:
    """Settings beside the budgets that are not the same in cells that are compared."""
    differing: dict[str, set[tuple[str, str]]] = {}
    for cell in cells:
        ours, theirs = (
            side.cells[number].cell.settings.flat() for side, number in ((first, cell.before), (second, cell.after))
        )
        for name in {**ours, **theirs}:
            values = (_written(ours.get(name)), _written(theirs.get(name)))
            if values[0] != values[1] and name not in BUDGETS:
                differing.setdefault(name, set()).add(values)
    if differing:
        told = (
            f"{name} " + (f"{next(iter(pairs))[0]} before, {next(iter(pairs))[1]} after" if len(pairs) == 1 else "")
            for name, pairs in sorted(differing.items())
        )
        yield "settings differ: " + _some(each.strip() for each in told)


def _written(value: object) -> str:
    return "none" if value is None else as_written(value)


def _some(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f"; and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return "; ".join(listed[:_MOST_NAMED]) + more


def _values(found: frozenset[str] | None) -> str:
    return " or ".join(sorted(found)) if found else "unknown"


def _row(change: CellChange, factors: Sequence[str], styles: Mapping[str, Style]) -> dict[str, Any]:
    style, found = styles[change.metric], change.evidence
    is_raw = found.state == "raw values"
    diverged = (change.diverged_before, change.diverged_after)
    said = [change.word, change.detail, f"{diverged[0]} diverged before, {diverged[1]} after" if any(diverged) else ""]
    row = {
        "dataset": change.dataset,
        **({"metric": change.metric} if len(styles) > 1 else {}),
        "seeds": len(change.seeds),
        "before": _value(change.before, style),
        "after": _value(change.after, style),
        "change": style.differences.values(found.differences) if is_raw else style.difference(found.mean),
        "interval": style.differences.interval(found) if found.state == "interval" else None,
        "adjusted p": None if math.isnan(change.adjusted_p) else f"{change.adjusted_p:.3g}",
        "found": ": ".join(part for part in said if part),
    }
    return with_levels(row, {factor: change.levels.get(factor) for factor in factors})


def _value(found: Estimate, style: Style) -> str:
    return style.values(found.values) if found.state in ("raw values", "no values") else style.value(found.mean)
