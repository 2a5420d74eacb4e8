"""Sets the content of a report as an HTML page and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.analysis.curves import MOST_SEED_LINES, Curves
from benchmarks.analysis.estimates import standardized_mean
from benchmarks.report import formatting
from benchmarks.report.content import Content, DatasetContent
from benchmarks.report.figures import curve_limits, forest_plot, learning_curve, paired_dots
from benchmarks.training.metrics import METRICS

MOST_CELL_ROWS = 400
MOST_FAILURE_ROWS = 100
"""Rows of the tables in a page; the CSV files have them all."""

_FILTERS = (formatting.decimal, formatting.whole, formatting.short, formatting.counted)


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


def html_page(content: Content) -> str:
    """The report as one HTML file without scripts or references."""
    environment = _environment(autoescape=True)
    figures = [_figures(number, dataset) for number, dataset in enumerate(content.datasets)]
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
    return environment


def _render(environment: Environment, template: str, content: Content, **more: Any) -> str:
    limits = {"most_cell_rows": MOST_CELL_ROWS, "most_failure_rows": MOST_FAILURE_ROWS}
    return environment.get_template(template).render(content=content, most_seed_lines=MOST_SEED_LINES, **limits, **more)


def _markdown_unless_marked(value: object) -> object:
    return value if isinstance(value, Markup) else formatting.markdown(value)


def _fenced(text: str) -> Markup:
    """Text as a code block of Markdown, whatever backticks it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return Markup(f"{fence}toml\n{text.rstrip()}\n{fence}")


def _figures(number: int, dataset: DatasetContent) -> DatasetFigures:
    return DatasetFigures(
        forest_plot(f"forest-{number}", dataset.contrasts, dataset.metric, dataset.style),
        tuple(_dots(number, dataset)),
        tuple(_curves(f"curves-{number}-{curves.metric}", curves) for curves in dataset.curves),
    )


def _dots(number: int, dataset: DatasetContent) -> Iterable[Titled]:
    for index, (factor, of_factor) in enumerate(dataset.contrasts.items()):
        shown = [each for each in of_factor if each.kind == "simple" and each.estimate.n]
        if shown:
            svg = paired_dots(f"dots-{number}-{index}", shown, dataset.metric, dataset.style)
            yield Titled(factor, False, svg)


def _curves(name: str, curves: Curves) -> CurveFigures:
    limits = curve_limits(curves.panels)
    metric = METRICS[curves.metric]
    style = formatting.style_of(metric.unit)
    baselines = {panel.group: panel.mean for panel in curves.panels if panel.is_baseline}
    panels = []
    for index, panel in enumerate(curves.panels):
        reference = None if panel.is_baseline else baselines.get(panel.group)
        svg = learning_curve(f"{name}-{index}", panel, reference, limits, style)
        panels.append(Titled(panel.title, panel.is_baseline, svg))
    return CurveFigures(curves, formatting.titled(metric.title, style.unit_of_values), tuple(panels))
