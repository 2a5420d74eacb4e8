"""What changed between two tables of runs of the same cells: paired over seeds, and held against a margin.

A change of a cell in a metric is judged as a claim of equivalence is: it is worse or better where its whole interval
lies beyond the margin, the t test against the nearer margin says so after Holm's correction over all changes, and the
sign-flip test agrees. With fewer than six seeds nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from benchmarks.analysis.contrasts import oriented
from benchmarks.analysis.estimates import Estimate, estimate
from benchmarks.analysis.verdicts import ALPHA, Evidence, Obstacle, evidence_of, holm, verdict_of
from benchmarks.metrics import METRICS

Word = Literal["worse", "better", "within the margin", "equal", "undecided", "not compared"]

WORDS: Mapping[Word, str] = {
    "worse": "worse by more than the margin",
    "better": "better by more than the margin",
    "within the margin": "changed by less than the margin, if at all",
    "equal": "the same value with every seed",
    "undecided": "not told from noise, or from the margin",
    "not compared": "what stands in the way is said",
}
"""What is said of a change."""


@dataclass(frozen=True)
class MatchedCell:
    """A cell that both tables have."""

    dataset: str
    levels: Mapping[str, str]
    before: int
    """Its number in the first table."""
    after: int
    """Its number in the second one."""
    obstacle: Obstacle | None
    """Why it must not be compared, where it must not."""


@dataclass(frozen=True)
class CellChange:
    """What became of one cell in one metric."""

    dataset: str
    levels: Mapping[str, str]
    metric: str
    word: Word
    detail: str
    """What stands in the way of more, if anything does."""
    seeds: tuple[int, ...]
    """That both tables plan."""
    n_before: int
    """Seeds that the first table plans."""
    n_after: int
    diverged_before: int
    """Of the seeds that both plan."""
    diverged_after: int
    before: Estimate
    """Of the values with the seeds that both plan, as they are measured."""
    after: Estimate
    evidence: Evidence
    """On after minus before, turned so that more is better."""
    adjusted_p: float
    """Holm's, over all changes; NaN where nothing was tested."""


@dataclass(frozen=True)
class Changes:
    """All changes between two tables."""

    margin: float
    alpha: float
    family: int
    """The number of p-values that Holm's correction is over."""
    changes: tuple[CellChange, ...]

    @property
    def regressions(self) -> tuple[CellChange, ...]:
        """Those for the worse."""
        return tuple(change for change in self.changes if change.word == "worse")


def find_changes(
    before: pd.DataFrame,
    after: pd.DataFrame,
    cells: Iterable[MatchedCell],
    metrics: Mapping[str, Sequence[str]],
    margin: float = 0.0,
    alpha: float = ALPHA,
) -> Changes:
    """Compare matched cells.

    Args:
        before: what `run_table` gave of the first.
        after: what it gave of the second.
        cells: which belong together.
        metrics: dataset -> the metrics that are compared on it.
        margin: the least difference that matters, in the metric's own unit.
        alpha: share of unchanged cells of which any may be said to have changed.
    """
    sides = [dict(iter(table.groupby("cell", sort=False))) for table in (before, after)]
    found = [
        _compared(cell, metric, sides[0][cell.before], sides[1][cell.after], margin, alpha)
        for cell in cells
        for metric in metrics[cell.dataset]
    ]
    tested = [each for each in found if each.word != "not compared"]
    adjusted = iter(holm([each.evidence.tested.p for each in tested]))
    changes = tuple(each if each.word == "not compared" else _judged(each, next(adjusted)) for each in found)
    return Changes(margin, alpha, len(tested), changes)


def _compared(
    cell: MatchedCell, metric: str, before: pd.DataFrame, after: pd.DataFrame, margin: float, alpha: float
) -> CellChange:
    """A change before it is judged: "not compared" where it must not be, and "undecided" else."""
    sides = [oriented(side, metric).set_index("seed").sort_index() for side in (before, after)]
    shared = sides[0].index.intersection(sides[1].index)
    first, second = (side.loc[shared] for side in sides)
    differences = second["outcome"] - first["outcome"]
    evidence = evidence_of(differences, margin, "equivalence", alpha)
    obstacle = cell.obstacle
    if obstacle is None and shared.empty:
        obstacle = Obstacle("no common seed")
    elif obstacle is None and differences.isna().any():
        missing = int(differences.isna().sum())
        obstacle = Obstacle("missing pair", f"{missing} of {len(shared)}: failed, missing, or without this metric")
    sign = METRICS[metric].sign
    return CellChange(
        dataset=cell.dataset,
        levels=cell.levels,
        metric=metric,
        word="not compared" if obstacle else "undecided",
        detail=_told(obstacle) if obstacle else "",
        seeds=tuple(int(each) for each in shared),
        n_before=len(sides[0]),
        n_after=len(sides[1]),
        diverged_before=int((first["status"] == "diverged").sum()),
        diverged_after=int((second["status"] == "diverged").sum()),
        before=estimate(sign * first["outcome"]),
        after=estimate(sign * second["outcome"]),
        evidence=evidence,
        adjusted_p=math.nan,
    )


def _judged(change: CellChange, adjusted_p: float) -> CellChange:
    evidence = change.evidence
    if not any(evidence.differences):
        return replace(change, word="equal", detail="")
    if evidence.obstacle:
        return replace(change, detail=_told(evidence.obstacle))
    verdict = verdict_of(evidence, adjusted_p)
    words: dict[tuple[str, str], Word] = {
        ("supported", "equivalent"): "within the margin",
        ("refuted", "superior"): "better",
        ("refuted", "inferior"): "worse",
    }
    word = words.get((verdict.word, verdict.kind), "undecided")
    detail = "" if word != "undecided" else f"{verdict.kind} {verdict.detail}".strip()
    return replace(change, word=word, detail=detail, adjusted_p=adjusted_p)


def _told(obstacle: Obstacle) -> str:
    return f"{obstacle.kind} ({obstacle.detail})" if obstacle.detail else obstacle.kind
