"""How training went, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.analysis.curves import MOST_SEED_LINES, Curves, learning_curves
from benchmarks.labels import counted
from benchmarks.metrics import CURVE_METRICS, METRICS
from benchmarks.report.blocks import Block, Heading, Paragraph, Plot, Plots
from benchmarks.report.formatting import sentences, style_of, titled
from benchmarks.report.plots.curves import curve_limits, learning_curve
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset
from benchmarks.report.tables import baseline_tag


def build(report: Report) -> Iterable[Block]:
    """A panel for each cell or level, metric by metric."""
    yield Paragraph(
        sentences(
            "Thin: single seeds. Bold: the mean of the runs that are done. Dashed: the mean of the baseline. Dotted, "
            "ending in a cross: a run that diverged. Failed and missing runs have no line.",
            len(report.seeds) > MOST_SEED_LINES
            and f"Of the {len(report.seeds)} seeds, only the first {MOST_SEED_LINES} have a thin line.",
        )
    )
    yield from by_dataset(_of_dataset)(report)


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    factors, epochs = dataset.report.factors, dataset.epochs
    metrics = CURVE_METRICS[dataset.facts.task]
    found = [learning_curves(epochs, metric, factors, dataset.is_balanced) for metric in metrics]
    if not any(found):
        yield Paragraph("No run has finished an epoch yet.")
    for curves in filter(None, found):
        metric = METRICS[curves.metric]
        yield Heading(titled(metric.title, style_of(metric.unit).unit_of_values), 4)
        yield Paragraph(_shown(curves), "caption")
        yield Plots(tuple(_panels(f"curves-{dataset.number}-{curves.metric}", curves)), "small")


def _shown(curves: Curves) -> str:
    """Which panels there are, where not all cells have one."""
    return sentences(
        {
            "cells": "",
            "levels": "There are too many cells for a panel each: a panel is a level, averaged over the done runs of "
            "all cells that have it.",
            "neighbours": "There are too many cells for a panel each: shown are the baseline and the cells that differ "
            "from it in one factor.",
        }[curves.shown],
        curves.n_left_out and f"{counted(curves.n_left_out, 'panel')} more left out for want of room.",
    )


def _panels(name: str, curves: Curves) -> Iterator[Plot]:
    span = curve_limits(curves.panels)
    style = style_of(METRICS[curves.metric].unit)
    baselines = {panel.group: panel.mean for panel in curves.panels if panel.is_baseline}
    for place, panel in enumerate(curves.panels):
        reference = None if panel.is_baseline else baselines.get(panel.group)
        svg = learning_curve(f"{name}-{place}", panel, reference, span, style)
        yield Plot((panel.title, *baseline_tag(panel.is_baseline)), svg)


SECTION = Section("curves", "Learning curves", build, is_drawn=True)
