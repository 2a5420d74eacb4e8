"""Sets the content of a report as an HTML page and as Markdown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.analysis.cell_means import cell_means
from benchmarks.analysis.contrasts import Pair
from benchmarks.analysis.curves import MOST_SEED_LINES, Curves
from benchmarks.analysis.estimates import Estimate, standardized_mean
from benchmarks.analysis.judgements import JudgedClaim, Judgement
from benchmarks.analysis.summaries import CellSummary, sd_interval
from benchmarks.labels import NOTHING, counted, whole
from benchmarks.metrics import CURVE_METRICS, METRICS, OUTCOME_METRICS, Metric
from benchmarks.report import formatting, limits
from benchmarks.report.content import Content, DatasetContent
from benchmarks.report.ensembles import NOTE, WHY, ensemble_plots
from benchmarks.report.path import change_told, gain_told, path_figures
from benchmarks.report.plots import (
    Plot,
    claim_metrics,
    claims_forest,
    curve_limits,
    forest_plot,
    heat_map,
    importance_bars,
    interaction_plot,
    learning_curve,
    paired_dots,
    pareto_front,
    precision_plot,
    rank_plot,
    reliability_diagram,
    seed_lines,
    time_to_target,
)
from benchmarks.report.plots.reliability import ece_told
from benchmarks.report.prose import SKEWED
from benchmarks.report.search import SearchFigures, search_figures
from benchmarks.report.sections import time_told

RELIABILITY = (
    "How far probabilities can be believed is told by the NLL and the Brier score above, and then by the ECE (15 bins "
    "of equal width over all test examples), which shows more than there is on small test sets: 3 % for a perfect "
    "model on 200 examples. Only what is plotted is claimed: where a model is surer than it is right."
)

_FILTERS = (
    formatting.decimal,
    whole,
    formatting.short,
    counted,
    formatting.percent,
    formatting.p_text,
    time_told,
    ece_told,
    change_told,
    gain_told,
)


@dataclass(frozen=True)
class Titled:
    """A figure with the line above it."""

    title: str
    is_baseline: bool
    svg: Markup


@dataclass(frozen=True)
class CurveFigures:
    """The learning curves of one metric."""

    curves: Curves
    title: str
    panels: tuple[Titled, ...]


@dataclass(frozen=True)
class DatasetFigures:
    """The figures of one dataset."""

    forest: Markup
    dots: tuple[Titled, ...]
    curves: tuple[CurveFigures, ...]
    interactions: tuple[Plot, ...]
    interactions_note: str
    """What there was no room for, in a sentence; empty where all is there."""
    importance: tuple[Plot, ...]
    times: tuple[Plot, ...]
    pareto: tuple[Plot, ...]
    reliability: tuple[Plot, ...]
    ensembles: tuple[Plot, ...]
    precision: tuple[Plot, ...]


@dataclass(frozen=True)
class Figures:
    """All figures of a report."""

    claims: tuple[Plot, ...]
    seeds: tuple[Plot, ...]
    """Of the claims: a line a seed."""
    n_seeds_left_out: int
    datasets: tuple[DatasetFigures, ...]
    ranks: tuple[Plot, ...]
    path: Mapping[str, tuple[Plot, ...]]
    """By dataset."""
    search: SearchFigures | None


def html_page(content: Content) -> str:
    """The report as one HTML file without scripts or references."""
    environment = _environment(autoescape=True)
    seeds = _seed_panels(content)
    figures = Figures(
        tuple(_claims_forests(content)),
        tuple(_claim_seeds(content, seeds[: limits.MOST_SEED_PANELS])),
        len(seeds[limits.MOST_SEED_PANELS :]),
        tuple(_figures(number, dataset, content) for number, dataset in enumerate(content.datasets)),
        rank_plot("ranks", content.ranks),
        path_figures(content.path) if content.path else {},
        search_figures(content.search) if content.search else None,
    )
    return _render(environment, "report.html.j2", content, figures=figures)


def markdown_page(content: Content) -> str:
    """The report as Markdown, without figures."""
    environment = _environment(autoescape=False, finalize=_markdown_unless_marked)
    return _render(environment, "report.md.j2", content)


def _environment(autoescape: bool, finalize: Callable[[Any], Any] | None = None) -> Environment:
    environment = Environment(
        loader=PackageLoader("benchmarks.report"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {function.__name__: function for function in _FILTERS}
    environment.filters |= {"fenced": _fenced, "standardized": standardized_mean}
    environment.filters |= {"sd_range": _sd_range, "divergence_told": _divergence_told}
    environment.filters |= {"target_told": _target_told, "cost_told": _cost_told}
    return environment


def _render(environment: Environment, template: str, content: Content, **more: Any) -> str:
    most = {
        "most_cell_rows": limits.MOST_CELL_ROWS,
        "most_failure_rows": limits.MOST_FAILURE_ROWS,
        "most_claims": limits.MOST_CLAIMS,
        "most_effect_rows": limits.MOST_EFFECT_ROWS,
        "most_group_rows": limits.MOST_GROUP_ROWS,
        "most_setting_columns": limits.MOST_SETTING_COLUMNS,
        "shows_values": len(content.seeds) <= limits.MOST_VALUES,
        "skewed": SKEWED,
        "reliability": RELIABILITY,
        "ensembles": (NOTE, WHY),
    }
    return environment.get_template(template).render(content=content, most_seed_lines=MOST_SEED_LINES, **most, **more)


def _markdown_unless_marked(value: object) -> object:
    return value if isinstance(value, Markup) else formatting.markdown(value)


def _fenced(text: str) -> Markup:
    """Text as a code block of Markdown, whatever backticks it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return Markup(f"{fence}toml\n{text.rstrip()}\n{fence}")


def _sd_range(found: Estimate, style: formatting.Style) -> str:
    low, high = sd_interval(found)
    return f"{style.value(low)} to {style.value(high)}" if found.state == "interval" else NOTHING


def _divergence_told(cell: CellSummary) -> str:
    found = cell.divergence_rate
    if not found.n_diverged:
        return "0"
    rate, low, high = (f"{100 * each:.0f}" for each in (found.share, found.low, found.high))
    return f"{found.n_diverged} ({rate} %: {low} to {high} %)"


def _target_told(target: float, metric: Metric) -> str:
    style = formatting.style_of(metric.unit, [target])
    return f"{style.value(target)}{' %' if style.unit == 'share' else ''}"


def _cost_told(point: Any, cost: str) -> str:
    return whole(round(point.cost)) if cost in ("parameters", "macs") else f"{point.cost:.3g}"


def _figures(number: int, dataset: DatasetContent, content: Content) -> DatasetFigures:
    sections, task = dataset.sections, dataset.facts.task
    outcome, followed = OUTCOME_METRICS[task], CURVE_METRICS[task][0]
    times = sections.times
    pairs, note = _factor_plots(number, dataset, content)
    return DatasetFigures(
        forest_plot(f"forest-{number}", dataset.contrasts, dataset.metric, dataset.style),
        tuple(_dots(number, dataset)),
        tuple(_curves(f"curves-{number}-{curves.metric}", curves) for curves in dataset.curves),
        pairs,
        note,
        importance_bars(f"importance-{number}", sections.importance.found),
        ()
        if times.metric is None
        else time_to_target(
            f"times-{number}",
            times.found,
            followed,
            times.target,
            formatting.style_of(times.metric.unit, [times.target]),
        ),
        tuple(
            plot
            for each in sections.pareto
            for plot in pareto_front(f"pareto-{number}-{each.cost}", each.points, each.cost, outcome, dataset.style)
        ),
        tuple(_reliability(number, dataset)),
        tuple(ensemble_plots(f"ensembles-{number}", dataset.ensembles)),
        precision_plot(f"precision-{number}", _differences(dataset), outcome, dataset.style),
    )


def _reliability(number: int, dataset: DatasetContent) -> Iterable[Plot]:
    for place, each in enumerate(dataset.reliability.cells):
        yield from reliability_diagram(f"reliability-{number}-{place}", each.found, each.title)


def _differences(dataset: DatasetContent) -> dict[str, list[float]]:
    """Each difference from the baseline, seed by seed, by what it is of."""
    simple = (each for of_factor in dataset.contrasts.values() for each in of_factor if each.kind == "simple")
    return {f"{each.factor} = {each.level}": [pair.difference for pair in each.pairs] for each in simple}


def _factor_plots(number: int, dataset: DatasetContent, content: Content) -> tuple[tuple[Plot, ...], str]:
    """An interaction plot and a heat map for the pairs of factors that interact most, and what is left out."""
    pairs = list(itertools.combinations(content.factors, 2))
    if not pairs:
        return (), ""
    if len(dataset.runs) > limits.MOST_PLOTTED_RUNS:
        return (), "Combinations of two factors are not plotted: there are too many runs."
    by_p = {frozenset((each.factor, each.at_factor)): None for each, _ in dataset.sections.interactions.found}
    order = list(by_p)
    pairs.sort(key=lambda pair: order.index(frozenset(pair)) if frozenset(pair) in by_p else len(order))
    shown = []
    for place, (first, second) in enumerate(pairs[: limits.MOST_FACTOR_PAIRS]):
        found = cell_means(dataset.runs, content.factors, first, second, content.baseline)
        name = f"pair-{number}-{place}"
        shown += [
            *interaction_plot(f"{name}-lines", found, dataset.style),
            *heat_map(f"{name}-heat", found, dataset.style),
        ]
    left_out = len(pairs) - limits.MOST_FACTOR_PAIRS
    chosen = "those with the smallest p" if by_p else "the first of the suite"
    note = f"Plotted are {limits.MOST_FACTOR_PAIRS} of {len(pairs)} pairs of factors, {chosen}." if left_out > 0 else ""
    return tuple(shown), note


def _claims_forests(content: Content) -> Iterable[Plot]:
    if content.claims:
        for metric in claim_metrics(content.claims.judged):
            judged = content.claims.judged
            yield from claims_forest(f"claims-{metric}", judged, metric, content.claims.styles[metric])


def _claim_seeds(content: Content, shown: Iterable[tuple[JudgedClaim, Judgement]]) -> Iterable[Plot]:
    for place, (claim, judgement) in enumerate(shown):
        values = content.runs.loc[content.runs["dataset"] == judgement.dataset, judgement.metric]
        style = formatting.style_of(METRICS[judgement.metric].unit, values)
        for plot in seed_lines(f"seeds-{place}", claim, judgement, style):
            several = len(content.datasets) > 1
            yield replace(plot, title=f"{judgement.dataset}: {plot.title}") if several else plot


def _seed_panels(content: Content) -> list[tuple[JudgedClaim, Judgement]]:
    """The judgements on one dataset of which a seed has values: each has a panel."""
    claims = content.claims.judged.claims if content.claims else ()
    judgements = [(claim, each) for claim in claims for each in claim.judgements]
    return [(claim, each) for claim, each in judgements if any(map(_is_whole, each.pairs))]


def _is_whole(pair: Pair) -> bool:
    return math.isfinite(pair.difference)


def _dots(number: int, dataset: DatasetContent) -> Iterable[Titled]:
    for index, (factor, of_factor) in enumerate(dataset.contrasts.items()):
        shown = [each for each in of_factor if each.kind == "simple" and each.estimate.n]
        if shown:
            svg = paired_dots(f"dots-{number}-{index}", shown, dataset.metric, dataset.style)
            yield Titled(factor, False, svg)


def _curves(name: str, curves: Curves) -> CurveFigures:
    span = curve_limits(curves.panels)
    metric = METRICS[curves.metric]
    style = formatting.style_of(metric.unit)
    baselines = {panel.group: panel.mean for panel in curves.panels if panel.is_baseline}
    panels = []
    for index, panel in enumerate(curves.panels):
        reference = None if panel.is_baseline else baselines.get(panel.group)
        svg = learning_curve(f"{name}-{index}", panel, reference, span, style)
        panels.append(Titled(panel.title, panel.is_baseline, svg))
    return CurveFigures(curves, formatting.titled(metric.title, style.unit_of_values), tuple(panels))
