"""Whether the seeds agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from benchmarks.analysis.judgements import JudgedClaim, Judgement
from benchmarks.labels import counted
from benchmarks.metrics import METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Heading, Paragraph, Plot, Plots, Tag
from benchmarks.report.formatting import style_of
from benchmarks.report.plots.differences import paired_dots, seed_lines
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset


def build(report: Report) -> Iterable[Block]:
    """A panel for each judgement on one dataset, and one for each factor, with all seeds."""
    yield Paragraph(
        "The same differences, one dot a seed, in the order of the seeds from the top of a row to its bottom; the bar "
        "is their mean. A cross is a pair of which a run diverged. Each panel has a scale of its own."
    )
    judged = report.claims.judged.judgements if report.claims else []
    judgements = [each for each in judged if any(math.isfinite(pair.difference) for pair in each[1].pairs)]
    if judgements:
        yield Heading("Of the claims")
        yield Plots(tuple(_claims(report, judgements[: limits.MOST_SEED_PANELS])))
        n_left_out = len(judgements[limits.MOST_SEED_PANELS :])
        told = f"{counted(n_left_out, 'more panel')} left out for want of room." if n_left_out else ""
        yield Paragraph(told, "caption")
        yield Heading("Of the differences from the baseline")
    yield from by_dataset(_of_dataset)(report)


def _claims(report: Report, shown: Iterable[tuple[JudgedClaim, Judgement]]) -> Iterator[Plot]:
    for place, (claim, judgement) in enumerate(shown):
        values = report.runs.loc[report.runs["dataset"] == judgement.dataset, judgement.metric]
        style = style_of(METRICS[judgement.metric].unit, values)
        for plot in seed_lines(f"seeds-{place}", claim, judgement, style):
            several = report.has_several_datasets
            yield replace(plot, title=f"{judgement.dataset}: {plot.title}") if several else plot


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    plots = tuple(_dots(dataset))
    yield Plots(plots) if plots else Paragraph("There is no pair of runs yet.")


def _dots(dataset: ReportedDataset) -> Iterator[Plot]:
    for place, (factor, of_factor) in enumerate(dataset.contrasts.items()):
        shown = [each for each in of_factor if each.kind == "simple" and each.estimate.n]
        if shown:
            svg = paired_dots(f"dots-{dataset.number}-{place}", shown, dataset.metric, dataset.style)
            yield Plot((factor, Tag(f"baseline {dataset.report.factors.baseline[factor]}")), svg)


SECTION = Section("seeds", "Seed by seed", build, "Seeds", is_drawn=True)
