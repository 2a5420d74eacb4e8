"""Two stores, two suites or two versions of one, side by side: what changed, and whether it is beyond noise."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.analysis.changes import WORDS, CellChange, Changes, MatchedCell, find_changes
from benchmarks.analysis.estimates import Estimate
from benchmarks.analysis.plain import as_plain
from benchmarks.analysis.verdicts import ALPHA, Obstacle
from benchmarks.errors import UserError
from benchmarks.labels import counted, with_levels
from benchmarks.metrics import METRICS, OUTCOME_METRICS
from benchmarks.report.formatting import Style, style_of
from benchmarks.report.sides import Side, sides_of
from benchmarks.runs import Run
from benchmarks.settings.run import canonical_json, current_revisions
from benchmarks.store import DatasetFacts
from benchmarks.suite.claims import least_seeds
from zoo.settings import Problem, SettingError, as_written, unknown

BUDGETS = ("train.epochs", "train.steps", "train.images", "train.stop_after")
"""Settings that say how long is trained: cells in which they differ are not compared."""

_MOST_NAMED = 4


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
        raise UserError(str(Problem("--margin", "not a margin", f"{margin}", "0 or more, in the metric's own unit")))
    for metric in metrics:
        if metric not in METRICS:
            raise SettingError([unknown("--metric", "metric", metric, METRICS)])
    first, second = sides_of(before, after, suites, runs_dir, store_url)
    cells = _matched(first, second)
    wanted = {cell.dataset: _metrics_of(first.study.facts[cell.dataset], metrics) for cell in cells}
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


def _matched(first: Side, second: Side) -> list[MatchedCell]:
    """The cells that belong together: by their levels where the factors are the same, else by all their settings."""
    by_levels = set(first.study.factors) == set(second.study.factors)

    def place(run: Run) -> Hashable:
        own = frozenset(run.cell.levels.items()) if by_levels else canonical_json(run.cell.settings.flat())
        return run.dataset, own

    theirs = {place(run): number for number, run in second.cells.items()}
    found = [(number, run, theirs.get(place(run))) for number, run in first.cells.items()]
    return [
        MatchedCell(run.cell.dataset, run.cell.levels, ours, other, _obstacle(first, second, run, second.cells[other]))
        for ours, run, other in found
        if other is not None
    ]


def _obstacle(first: Side, second: Side, ours: Run, theirs: Run) -> Obstacle | None:
    before, after = first.study.facts[ours.cell.dataset], second.study.facts[theirs.cell.dataset]
    if before != after:
        changed = [
            f"{name.replace('_', ' ')} {value} and {getattr(after, name)}"
            for name, value in vars(before).items()
            if value != getattr(after, name)
        ]
        return Obstacle("changed dataset", f"{ours.dataset}: {', '.join(changed)}")
    settings, others = ours.cell.settings.flat(), theirs.cell.settings.flat()
    changed = [name for name in BUDGETS if settings.get(name) != others.get(name)]
    if changed:
        told = [f"{name} {settings.get(name)} and {others.get(name)}" for name in changed]
        return Obstacle("unequal budget", ", ".join(told))
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
        given = f"{', '.join(metrics)} on {', '.join(wanted)}"
        message = "one margin cannot hold for all that is compared, in different units"
        raise UserError(str(Problem("--margin", message, given, "a --metric that all datasets have")))


def _notes(first: Side, second: Side, cells: Sequence[MatchedCell]) -> Iterator[str]:
    for side, other, number in ((first, second, len(first.cells)), (second, first, len(second.cells))):
        if number > len(cells):
            yield f"{counted(number - len(cells), 'cell')} of {side.label} not in {other.label}"
    seeds, others = set(first.study.seeds), set(second.study.seeds)
    if seeds != others:
        yield f"seeds: {len(seeds)} before, {len(others)} after, {len(seeds & others)} of them in both"
    if {first.revisions, second.revisions} != {current_revisions()}:
        told = [f"zoo {side.revisions[0]}, training {side.revisions[1]}" for side in (first, second)]
        yield f"revisions of the code: {told[0]} before; {told[1]} after: the same settings may mean something else"
    yield from _setting_notes(first, second, cells)
    facts = [name for name in {**first.facts, **second.facts} if first.facts.get(name) != second.facts.get(name)]
    if facts:
        yield "machines differ: " + _some(
            f"{name} {first.facts.get(name, 'unknown')} before, {second.facts.get(name, 'unknown')} after"
            for name in facts
        )


def _setting_notes(first: Side, second: Side, cells: Iterable[MatchedCell]) -> Iterator[str]:
    """Settings beside the budgets that are not the same in cells that are compared."""
    differing: dict[str, set[str]] = {}
    for cell in cells:
        ours, theirs = first.cells[cell.before].cell.settings.flat(), second.cells[cell.after].cell.settings.flat()
        for name in {**ours, **theirs}.keys() - set(BUDGETS):
            before, after = _written(ours.get(name)), _written(theirs.get(name))
            if before != after:
                differing.setdefault(name, set()).add(f"{name} {before} before, {after} after")
    if differing:
        told = (found.pop() if len(found) == 1 else name for name, found in sorted(differing.items()))
        yield "settings differ: " + _some(told)


def _written(value: object) -> str:
    return "none" if value is None else as_written(value)


def _some(texts: Iterable[str]) -> str:
    listed = list(texts)
    more = f"; and {len(listed) - _MOST_NAMED} more" if len(listed) > _MOST_NAMED else ""
    return "; ".join(listed[:_MOST_NAMED]) + more


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
