"""What a report says, before it is set as HTML or Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pandas as pd

from benchmarks.analysis.claims import explore
from benchmarks.analysis.contrasts import (
    Contrast,
    Factors,
    is_balanced,
    main_effects,
    main_effects_obstacle,
    simple_contrasts,
)
from benchmarks.analysis.curves import Curves, learning_curves
from benchmarks.analysis.judgements import Explored
from benchmarks.analysis.ranks import Ranks
from benchmarks.analysis.reading import read_tables, tuning_trials
from benchmarks.analysis.summaries import CellSummary, cell_summaries
from benchmarks.analysis.tables import MISSING, level_column
from benchmarks.labels import counted, whole
from benchmarks.metrics import CURVE_METRICS, FURTHER_METRICS, METRICS, OUTCOME_METRICS, Metric
from benchmarks.plan.comparisons import Estimable
from benchmarks.plan.registration import standing
from benchmarks.plan.study import Study
from benchmarks.report.claims import Claims, claims_content
from benchmarks.report.ensembles import Ensembles, ensembles
from benchmarks.report.example_noise import ExampleNoise, example_noise
from benchmarks.report.formatting import Style, style_of, titled
from benchmarks.report.path import PathContent, path_content
from benchmarks.report.provenance import Provenance, evaluated_told, provenance
from benchmarks.report.reliability import Reliabilities, reliabilities
from benchmarks.report.search import SearchContent, search_content
from benchmarks.report.sections import Sections, ranks_of, sections_of
from benchmarks.results import FAILURES
from benchmarks.store import DatasetFacts, Registration, Store


@dataclass(frozen=True)
class FurtherMetric:
    """A metric that a report tells beside the outcome."""

    name: str
    metric: Metric
    style: Style

    @property
    def title(self) -> str:
        """For the head of a table."""
        return titled(self.metric.title, self.style.unit_of_values)


@dataclass(frozen=True)
class DatasetContent:
    """What a report says of one dataset."""

    name: str
    facts: DatasetFacts
    metric: Metric
    """The outcome."""
    style: Style
    """How outcomes and their differences are written."""
    further: tuple[FurtherMetric, ...]
    """Those that a run has."""
    summaries: tuple[CellSummary, ...]
    explored: Mapping[str, tuple[Explored, ...]]
    """Factor -> its simple contrasts, each followed by the main effect of the same level, if any."""
    main_obstacle: str | None
    """Why there are no main effects, as a clause; None where there are some."""
    curves: tuple[Curves, ...]
    sections: Sections
    reliability: Reliabilities
    ensembles: Ensembles
    noise: ExampleNoise
    runs: pd.DataFrame
    """Its rows of the run table, for figures."""
    evaluated: str
    """With which weights outcomes are measured, as a clause."""

    @property
    def level_without_learning(self) -> str:
        """What a diverged run counts as."""
        level = self.facts.level_without_learning
        if level is None:
            return "not known"
        return f"{self.metric.title} {self.style.value(level)}{' %' if self.style.unit == 'share' else ''}"

    @property
    def contrasts(self) -> dict[str, tuple[Contrast, ...]]:
        """The same without what is explored about them."""
        return {factor: tuple(each.contrast for each in of_factor) for factor, of_factor in self.explored.items()}

    @property
    def n_diverged(self) -> int:
        """Runs that diverged."""
        return sum(each.n_diverged for each in self.summaries)

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
    claims: Claims | None
    """None where the suite has none."""
    design: Estimable
    datasets: tuple[DatasetContent, ...]
    ranks: Ranks
    path: PathContent | None
    """None where the design is no path."""
    search: SearchContent | None
    """None where the suite searches nothing."""
    runs: pd.DataFrame
    failures: tuple[Failure, ...]
    provenance: Provenance

    @property
    def difference_notes(self) -> tuple[str, ...]:
        """What a difference is, in a sentence, or one for each kind of dataset."""
        return _notes(self.datasets, _difference_note)

    @property
    def cell_notes(self) -> tuple[str, ...]:
        """What the outcome of a cell is, likewise."""
        return _notes(self.datasets, _cell_note)

    @property
    def further(self) -> tuple[Metric, ...]:
        """The further metrics of all datasets, each once."""
        return tuple(dict.fromkeys(each.metric for dataset in self.datasets for each in dataset.further))

    @property
    def n_intervals(self) -> int:
        """Differences that are shown with an interval."""
        factors = [contrasts for dataset in self.datasets for contrasts in dataset.contrasts.values()]
        return sum(contrast.estimate.state == "interval" for contrasts in factors for contrast in contrasts)


def report_content(study: Study) -> Content:
    """Read the runs of a study from its store and analyse them.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
    """
    suite, registration, store, planned = study.suite, study.registration, study.store, study.runs
    assert registration is not None  # else there is nothing to report
    runs, epochs = read_tables(study)
    factors, baseline, design = study.factors, study.baseline, study.estimable
    evaluated = evaluated_told(planned)
    place = standing(suite, registration.seeds, store.claims(suite.name), registration.looks)
    claims = claims_content(suite, runs, place, tuning_trials(study))
    return Content(
        title=suite.name,
        question=suite.question,
        state=_state(runs, registration),
        factors=factors,
        baseline=baseline,
        seeds=tuple(registration.seeds),
        claims=claims,
        design=design,
        datasets=tuple(
            _dataset_content(
                name, registration.datasets[name], runs, epochs, factors, baseline, design, store, evaluated
            )
            for name in suite.datasets
        ),
        ranks=ranks_of(runs, factors, baseline),
        path=path_content(study, runs),
        search=search_content(study, runs),
        runs=runs,
        failures=tuple(_failures(runs, factors)),
        provenance=provenance(suite, registration, planned, runs, store.machines(), claims),
    )


def _dataset_content(
    name: str,
    facts: DatasetFacts,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    factors: Factors,
    baseline: Mapping[str, str],
    design: Estimable,
    store: Store,
    evaluated: str,
) -> DatasetContent:
    own_runs, own_epochs = runs[runs["dataset"] == name], epochs[epochs["dataset"] == name]
    balanced = is_balanced(own_runs, factors)
    curves = [learning_curves(own_epochs, each, factors, baseline, balanced) for each in CURVE_METRICS[facts.task]]
    metric = METRICS[OUTCOME_METRICS[facts.task]]
    explored = explore(_contrasts(own_runs, factors, baseline))
    simple = [each.contrast for each in explored if each.contrast.kind == "simple"]
    return DatasetContent(
        name,
        facts,
        metric,
        style_of(metric.unit, own_runs["outcome"]),
        tuple(_further_metrics(facts, own_runs)),
        tuple(cell_summaries(own_runs)),
        {factor: tuple(each for each in explored if each.contrast.factor == factor) for factor in factors},
        main_effects_obstacle(own_runs, factors),
        tuple(found for found in curves if found),
        sections_of(facts.task, own_runs, own_epochs, factors, baseline, design, simple),
        reliabilities(name, facts, own_runs, factors, baseline, store),
        ensembles(name, facts, own_runs, factors, baseline, store),
        example_noise(name, facts, own_runs, simple, baseline, store),
        own_runs,
        evaluated,
    )


def _further_metrics(facts: DatasetFacts, runs: pd.DataFrame) -> Iterable[FurtherMetric]:
    for name in FURTHER_METRICS[facts.task]:
        values = runs[name].dropna()
        if len(values):
            yield FurtherMetric(name, METRICS[name], style_of(METRICS[name].unit, values))


def _notes(datasets: Iterable[DatasetContent], note: Callable[[DatasetContent], str]) -> tuple[str, ...]:
    """The note of all datasets, or, where they differ, each with the datasets that have it."""
    names: dict[str, list[str]] = {}
    for dataset in datasets:
        names.setdefault(note(dataset), []).append(dataset.name)
    if len(names) == 1:
        return tuple(names)
    return tuple(f"On {' and '.join(having)}: {text[0].lower()}{text[1:]}" for text, having in names.items())


def _difference_note(dataset: DatasetContent) -> str:
    terms = ("level", "baseline") if dataset.metric.better == "higher" else ("baseline", "level")
    return (
        f"A difference is the {dataset.metric.title} of the {terms[0]} minus that of the {terms[1]} in the same seed, "
        f"{dataset.style.unit_of_differences}."
    )


def _cell_note(dataset: DatasetContent) -> str:
    """What the outcomes are, what diverged runs count as, and what an interval may do."""
    is_class_task = dataset.facts.task != "regression"
    what = f"{titled(dataset.metric.title, '')} {dataset.evaluated}"
    if dataset.facts.level_without_learning is None:
        diverged = (
            "A run that diverged has no value here, since the error of always predicting the mean of the training "
            "targets is not known: it is left out, and its cell is marked incomplete."
        )
    else:
        level = "chance level of its dataset" if is_class_task else "error of always predicting the training mean"
        diverged = f"A run that diverged is an outcome: it counts at the {level}."
    bound = "pass 100" if is_class_task else "fall below 0"
    return (
        f"{what}, {dataset.style.unit_of_values}: {dataset.metric.better} is better. {diverged} "
        f"The t interval knows no bounds: where the spread is wide, it can {bound}."
    )


def _contrasts(runs: pd.DataFrame, factors: Factors, baseline: Mapping[str, str]) -> list[Contrast]:
    # The other cells are in no simple contrast, and there can be very many of them.
    levels = runs[[level_column(factor) for factor in factors]]
    neighbours = runs[(levels != [baseline[factor] for factor in factors]).sum(axis="columns") <= 1]
    simple, main = simple_contrasts(neighbours, factors, baseline), main_effects(runs, factors, baseline)
    places = itertools.count()
    order = {(factor, level): next(places) for factor, levels in factors.items() for level in levels}
    # Sorting is stable, so a main effect comes after the simple contrast of its level.
    return sorted([*simple, *main], key=lambda contrast: order[contrast.factor, contrast.level])


def _state(runs: pd.DataFrame, registration: Registration) -> str:
    """Such as: 38 of 40 runs done on digits 1.0.0, 5 seeds; 1 diverged, 1 missing."""
    counts = runs["status"].value_counts()
    datasets = " and ".join(
        f"{name.partition(':')[0]} {registration.datasets[name].version}" for name in dict.fromkeys(runs["dataset"])
    )
    done = f"{whole(int(counts.get('done', 0)))} of {counted(len(runs), 'run')} done on {datasets}"
    others = ["diverged", *FAILURES, MISSING]
    rest = ", ".join(f"{whole(int(counts[each]))} {each.replace('_', ' ')}" for each in others if each in counts)
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
        for row in runs[runs["status"].isin([*FAILURES, "diverged"])].to_dict("records")
    ]
