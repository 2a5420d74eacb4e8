"""What a report says, before it is set as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.contrasts import (
    Contrast,
    Factors,
    is_balanced,
    main_effects,
    main_effects_obstacle,
    simple_contrasts,
)
from benchmarks.analysis.curves import Curves, learning_curves
from benchmarks.analysis.summaries import CellSummary, cell_summaries
from benchmarks.analysis.tables import CURVE_METRICS, MISSING, epoch_table, level_column, run_table
from benchmarks.design import expand_cells, expand_runs
from benchmarks.report.formatting import counted, whole
from benchmarks.report.provenance import Provenance, provenance
from benchmarks.store import Registration, Store
from benchmarks.suite import Suite


@dataclass(frozen=True)
class DatasetContent:
    """What a report says of one dataset."""

    name: str
    summaries: tuple[CellSummary, ...]
    contrasts: Mapping[str, tuple[Contrast, ...]]
    """Factor -> its simple contrasts, each followed by the main effect of the same level, if any."""
    main_obstacle: str | None
    """Why there are no main effects, as a clause; None where there are some."""
    curves: tuple[Curves, ...]

    @property
    def has_raw_values(self) -> bool:
        """Whether a difference has too few pairs for a mean."""
        return any(each.estimate.state == "raw values" for factor in self.contrasts.values() for each in factor)

    @property
    def has_diverged_pairs(self) -> bool:
        """Whether a difference has a pair of which a run diverged."""
        return any(each.without_diverged for factor in self.contrasts.values() for each in factor)


@dataclass(frozen=True)
class Failure:
    """A run that failed or diverged."""

    dataset: str
    cell: str
    seed: int
    status: str
    message: str


@dataclass(frozen=True)
class Content:
    """What a report says."""

    title: str
    question: str
    state: str
    """One sentence: how much of the plan has run."""
    factors: Factors
    baseline: Mapping[str, str]
    seeds: tuple[int, ...]
    datasets: tuple[DatasetContent, ...]
    runs: pd.DataFrame
    failures: tuple[Failure, ...]
    provenance: Provenance

    @property
    def n_intervals(self) -> int:
        """Differences that are shown with an interval."""
        factors = [contrasts for dataset in self.datasets for contrasts in dataset.contrasts.values()]
        return sum(contrast.estimate.state == "interval" for contrasts in factors for contrast in contrasts)


def report_content(suite: Suite, registration: Registration, store: Store) -> Content:
    """Read the runs of a suite from the store and analyse them.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    planned = expand_runs(expand_cells(suite), registration.seeds, registration.versions)
    stored = store.runs([run.key for run in planned])
    runs = run_table(planned, stored, registration.datasets)
    epochs = epoch_table(planned, stored)
    factors = {factor.name: list(factor.levels) for factor in suite.factor_list}
    baseline = suite.baseline_levels
    return Content(
        title=suite.name,
        question=suite.question,
        state=_state(runs, registration),
        factors=factors,
        baseline=baseline,
        seeds=tuple(registration.seeds),
        datasets=tuple(_dataset_content(name, runs, epochs, factors, baseline) for name in suite.datasets),
        runs=runs,
        failures=tuple(_failures(runs, factors)),
        provenance=provenance(registration, planned, runs, store.machines()),
    )


def _dataset_content(
    name: str, runs: pd.DataFrame, epochs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str]
) -> DatasetContent:
    own_runs, own_epochs = runs[runs["dataset"] == name], epochs[epochs["dataset"] == name]
    balanced = is_balanced(own_runs, factors)
    curves = [learning_curves(own_epochs, metric, factors, baseline, balanced) for metric in CURVE_METRICS]
    return DatasetContent(
        name,
        tuple(cell_summaries(own_runs)),
        _contrasts_by_factor(own_runs, factors, baseline),
        main_effects_obstacle(own_runs, factors),
        tuple(found for found in curves if found),
    )


def _contrasts_by_factor(
    runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str]
) -> dict[str, tuple[Contrast, ...]]:
    simple, main = simple_contrasts(runs, factors, baseline), main_effects(runs, factors, baseline)
    order = {(factor, level): place for factor, levels in factors.items() for place, level in enumerate(levels)}
    # Sorting is stable, so a main effect comes after the simple contrast of its level.
    ordered = sorted([*simple, *main], key=lambda contrast: order[contrast.factor, contrast.level])
    return {factor: tuple(each for each in ordered if each.factor == factor) for factor in factors}


def _state(runs: pd.DataFrame, registration: Registration) -> str:
    """Such as: 38 of 40 runs done on digits 1.0.0, 5 seeds; 1 diverged, 1 missing."""
    counts = runs["status"].value_counts()
    datasets = " and ".join(
        f"{name.partition(':')[0]} {registration.datasets[name].version}" for name in dict.fromkeys(runs["dataset"])
    )
    done = f"{whole(int(counts.get('done', 0)))} of {counted(len(runs), 'run')} done on {datasets}"
    others = [("diverged", "diverged"), ("failed", "failed"), (MISSING, "missing")]
    rest = ", ".join(f"{whole(int(counts[status]))} {words}" for status, words in others if status in counts)
    return f"{done}, {counted(len(registration.seeds), 'seed')}" + (f"; {rest}." if rest else ".")


def _failures(runs: pd.DataFrame, factors: Factors) -> list[Failure]:
    return [
        Failure(
            row["dataset"],
            ", ".join(row[level_column(factor)] for factor in factors),
            row["seed"],
            row["status"],
            row["message"],
        )
        for row in runs[runs["status"].isin(["failed", "diverged"])].to_dict("records")
    ]
