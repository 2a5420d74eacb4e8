"""Report: what its sections are made from, a study's runs, read and analysed once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.analysis.claims import explore
from benchmarks.analysis.contrasts import Contrast, is_balanced, main_effects, main_effects_obstacle, simple_contrasts
from benchmarks.analysis.judgements import Explored
from benchmarks.analysis.reading import read_tables, tuning_trials
from benchmarks.analysis.summaries import CellSummary, cell_summaries
from benchmarks.analysis.tables import MISSING, identical_cells, level_column
from benchmarks.labels import counted, whole
from benchmarks.metrics import METRICS, OUTCOME_METRICS, Metric
from benchmarks.plan.registration import standing
from benchmarks.plan.sameness import Same
from benchmarks.plan.study import Study
from benchmarks.report import limits
from benchmarks.report.blocks import Code, Mark, Part
from benchmarks.report.claims import Claims, claims_content
from benchmarks.report.formatting import Style, style_of
from benchmarks.results import FAILURES
from benchmarks.runs import Factors
from benchmarks.store import DatasetFacts


@dataclass(frozen=True)
class Report:
    """The runs of a study with what several sections say of them; each part is worked out when it is first read.

    Every attribute raises a `SettingError` where the suite does not expand, and a `StoreError` where the store cannot
    be read.
    """

    study: Study

    @property
    def runs(self) -> pd.DataFrame:
        """What `run_table` gave."""
        return self._tables[0]

    @property
    def epochs(self) -> pd.DataFrame:
        """What `epoch_table` gave."""
        return self._tables[1]

    @cached_property
    def factors(self) -> Factors:
        """What is varied, and the levels that others are compared with."""
        return self.study.factors

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the plan."""
        return tuple(self.study.seeds)

    @cached_property
    def claims(self) -> Claims | None:
        """The claims as they are judged; None where the suite has none."""
        study = self.study
        return claims_content(study.suite, self.runs, standing(study), tuning_trials(study))

    @cached_property
    def datasets(self) -> tuple[ReportedDataset, ...]:
        """The datasets of the suite."""
        return tuple(ReportedDataset(self, number, name) for number, name in enumerate(self.study.suite.datasets))

    @property
    def has_several_datasets(self) -> bool:
        """Whether what is said of a dataset names it."""
        return len(self.datasets) > 1

    @property
    def state(self) -> str:
        """Such as: 38 of 40 runs done on digits 1.0.0, 5 seeds; 1 diverged, 1 missing."""
        counts = self.runs["status"].value_counts()
        datasets = " and ".join(
            f"{name.partition(':')[0]} {self.study.facts[name].version}" for name in dict.fromkeys(self.runs["dataset"])
        )
        done = f"{whole(int(counts.get('done', 0)))} of {counted(len(self.runs), 'run')} done on {datasets}"
        others = ["diverged", *FAILURES, MISSING]
        rest = ", ".join(f"{whole(int(counts[each]))} {each.replace('_', ' ')}" for each in others if each in counts)
        return f"{done}, {counted(len(self.seeds), 'seed')}" + (f"; {rest}." if rest else ".")

    @property
    def standing(self) -> tuple[Part, ...]:
        """What of the report is a verdict, what is exploratory, and what its comparisons hang on."""
        told = "".join(f" {sentence}" for sentence in (*self.study.cautions, *self._identical_told))
        if self.study.suite.claims:
            return (
                "Verdicts are given on the registered claims alone. All else in this report is exploratory: intervals, "
                f"and no verdicts.{told}",
            )
        return (
            "This suite registers no claims. The report therefore gives intervals and no verdicts, and all of it is "
            "exploratory. A statement that is to be judged stands in the suite as a ",
            Code("[[claims]]"),
            " table, with the margin that matters, before ",
            Code("ablate run"),
            f" trains its runs.{told}",
        )

    @property
    def _identical_told(self) -> Iterator[str]:
        """Sentences on the cells that gave identical results."""
        groups = identical_cells(self.runs)
        for numbers in groups[: limits.IDENTICAL_CELLS]:
            same = Same(tuple(self.study.cells[number] for number in numbers))
            yield (
                f"The cells {same.named} gave identical results with every seed, up to rounding: what they differ in "
                f"({', '.join(same.differing)}) changed nothing here."
            )
        if len(groups) > limits.IDENTICAL_CELLS:
            yield f"So did the cells of {len(groups) - limits.IDENTICAL_CELLS} further groups."

    @cached_property
    def evaluated(self) -> str:
        """With which weights the test examples were read, as a clause."""
        found = {run.cell.settings.train.checkpoint for run in self.study.runs}
        return ", or ".join(told for rule, told in _EVALUATED.items() if rule in found)

    def baseline_mark(self, item: Any) -> tuple[Mark, ...]:
        """What marks the row of a table that is of the baseline."""
        return ("baseline",) if self.is_baseline(item.levels) else ()

    def is_baseline(self, levels: Mapping[str, str]) -> bool:
        """Whether a cell with these levels is the baseline."""
        return dict(levels) == dict(self.factors.baseline)

    @cached_property
    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        return read_tables(self.study)


@dataclass(frozen=True)
class ReportedDataset:
    """One dataset of a report."""

    report: Report
    number: int
    """Tells its figures from those of the others."""
    name: str

    @property
    def facts(self) -> DatasetFacts:
        """Its version, task, sizes and shape."""
        return self.report.study.facts[self.name]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Its rows of the run table."""
        return self.report.runs[self.report.runs["dataset"] == self.name]

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Its rows of the epoch table."""
        return self.report.epochs[self.report.epochs["dataset"] == self.name]

    @property
    def done(self) -> pd.DataFrame:
        """Those of its runs that are done."""
        return self.runs[self.runs["status"] == "done"]

    @property
    def n_cells(self) -> int:
        """How many cells it has."""
        return int(self.runs["cell"].nunique())

    @cached_property
    def labels(self) -> np.ndarray | None:
        """The class or target of each test example; None where they were not kept."""
        return self.report.study.store.labels(self.name.partition(":")[0], self.facts.version)

    @property
    def outcome(self) -> str:
        """The name of the metric that runs are compared by."""
        return OUTCOME_METRICS[self.facts.task]

    @property
    def metric(self) -> Metric:
        """The same metric."""
        return METRICS[self.outcome]

    @cached_property
    def style(self) -> Style:
        """How outcomes and their differences are written."""
        return style_of(self.metric.unit, self.runs["outcome"])

    @cached_property
    def is_balanced(self) -> bool:
        """Whether it has every combination of levels."""
        return is_balanced(self.runs, self.report.factors)

    @cached_property
    def summaries(self) -> tuple[CellSummary, ...]:
        """Its cells."""
        return tuple(cell_summaries(self.runs))

    @cached_property
    def explored(self) -> Mapping[str, tuple[Explored, ...]]:
        """Factor -> its simple contrasts, each followed by the main effect of the same level, if any."""
        found = explore(_contrasts(self.runs, self.report.factors))
        return {
            factor: tuple(each for each in found if each.contrast.factor == factor) for factor in self.report.factors
        }

    @property
    def contrasts(self) -> dict[str, tuple[Contrast, ...]]:
        """The same without what is explored about them."""
        return {factor: tuple(each.contrast for each in of_factor) for factor, of_factor in self.explored.items()}

    @property
    def all_contrasts(self) -> list[Contrast]:
        """Those of all factors, one factor after the other."""
        return [each for of_factor in self.contrasts.values() for each in of_factor]

    @property
    def simple_contrasts(self) -> list[Contrast]:
        """The differences from the baseline."""
        return [each for each in self.all_contrasts if each.kind == "simple"]

    @cached_property
    def main_obstacle(self) -> str | None:
        """Why there are no main effects, as a clause; None where there are some."""
        return main_effects_obstacle(self.runs, self.report.factors)


_EVALUATED: Mapping[str, str] = {
    "last": "after the last epoch",
    "best_val": "with the weights of the epoch that was best on the validation part",
}
"""Value of `train.checkpoint` -> which weights are evaluated, as a clause."""


def _contrasts(runs: pd.DataFrame, factors: Factors) -> Iterable[Contrast]:
    # The other cells are in no simple contrast, and there can be very many of them.
    levels = runs[[level_column(factor) for factor in factors]]
    neighbours = runs[(levels != [factors.baseline[factor] for factor in factors]).sum(axis="columns") <= 1]
    simple, main = simple_contrasts(neighbours, factors), main_effects(runs, factors)
    places = itertools.count()
    order = {(factor, level): next(places) for factor, levels in factors.items() for level in levels}
    # Sorting is stable, so a main effect comes after the simple contrast of its level.
    return sorted([*simple, *main], key=lambda contrast: order[contrast.factor, contrast.level])
