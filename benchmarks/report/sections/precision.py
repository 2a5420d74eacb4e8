"""What further seeds would tell, and how far the differences hang on the test examples whatever the seeds."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.estimates import LEAST_N, half_widths
from benchmarks.analysis.example_noise import PairNoise, pair_noise, right_answers
from benchmarks.analysis.tables import level_column
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Column, Heading, Paragraph, Plots, Table
from benchmarks.report.formatting import sentences
from benchmarks.report.plots.sizes import precision_plot
from benchmarks.report.report import ReportedDataset
from benchmarks.report.section import Section, by_dataset, outputs_obstacle
from benchmarks.report.tables import number, valued

SIZES = (3, 6, 10, 20, 40)
"""Numbers of seeds for which the precision is told."""


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    yield from _precision(dataset)
    yield from _noise(dataset)


def _precision(dataset: ReportedDataset) -> Iterator[Block]:
    style, simple = dataset.style, dataset.simple_contrasts
    spreads = [each.estimate.sd for each in simple if each.estimate.state == "interval"]
    if not spreads:
        yield Paragraph("No precision is given: no difference from the baseline has an interval.")
        return
    sd = statistics.median(spreads)
    yield Paragraph(
        f"With the median spread of {counted(len(spreads), 'difference')} from the baseline (SD {style.value(sd)} "
        f"{style.unit_of_differences}), a 95 % interval would reach this far to each side:"
    )
    n_seeds = dataset.runs["seed"].nunique()
    sizes = sorted({*SIZES, n_seeds} - set(range(LEAST_N)))
    widths = zip(sizes, half_widths(sd, sizes).tolist(), strict=True)

    def column(size: int, width: float) -> Column[str]:
        return valued(f"{size} (now)" if size == n_seeds else f"{size}", lambda _: width, style.value)

    columns = [Column[str]("Seeds", lambda sign: sign), *itertools.starmap(column, widths)]
    yield Table("Table of precision", columns, ["±"])
    differences = {f"{each.factor} = {each.level}": [pair.difference for pair in each.pairs] for each in simple}
    yield Plots(precision_plot(f"precision-{dataset.number}", differences, dataset.outcome, style))


@dataclass(frozen=True)
class _Noise:
    """One difference from the baseline."""

    contrast: Contrast
    pairs: tuple[PairNoise, ...]
    """The level's run first, then the baseline's with the same seed."""

    def mean(self, name: str) -> float:
        """An attribute of the pairs, averaged over them."""
        return statistics.fmean(getattr(pair, name) for pair in self.pairs)


def _noise(dataset: ReportedDataset) -> Iterator[Block]:
    known = [each for each in dataset.simple_contrasts if each.estimate.n]
    found = list(_noise_of(dataset, known))
    if not found:
        obstacle = outputs_obstacle(dataset, "accuracy", "pair of runs")
        yield Paragraph(f"The noise of the test examples is not given: {obstacle}.")
        return
    yield Heading("How much hangs on the test examples?", 4)
    yield Paragraph(
        f"All runs are tested on the same {counted(dataset.facts.num_test, 'example')}. With as many other ones, the "
        "difference in accuracy of a pair of runs would be off by its noise: a standard error, the mean over the "
        "pairs. Further seeds are tested on the same examples, and do not take all of it away."
    )
    yield _noise_table(dataset, found, len(known))


def _noise_table(dataset: ReportedDataset, found: Sequence[_Noise], n_differences: int) -> Block:
    style = dataset.style
    columns: list[Column[_Noise]] = [
        Column("Level", lambda each: f"{each.contrast.factor} = {each.contrast.level}"),
        valued("Noise of a pair", lambda each: each.mean("error"), style.value),
        valued("SD over the seeds", lambda each: each.contrast.estimate.sd, style.value),
        number("Level alone right", lambda each: f"{style.value(each.mean('only_first'))} %"),
        number("Baseline alone right", lambda each: f"{style.value(each.mean('only_second'))} %"),
        number("Pairs", lambda each: len(each.pairs)),
    ]
    told = sentences(
        f"Noise and SD {style.unit_of_differences}; right alone: share of the examples, mean over the pairs.",
        len(found) < n_differences and f"{len(found)} of {counted(n_differences, 'difference')} from the baseline.",
    )
    return Table("Table of the noise of the test examples", columns, found, caption=told)


def _noise_of(dataset: ReportedDataset, contrasts: Iterable[Contrast]) -> Iterator[_Noise]:
    """Hold which examples the runs of a level have right against those of the baseline, seed by seed."""
    report, done, labels = dataset.report, dataset.done, dataset.labels
    if dataset.facts.task == "regression" or labels is None:
        return

    def right(levels: Mapping[str, str], seeds: Sequence[int]) -> dict[int, np.ndarray]:
        cell = done[(done[[level_column(each) for each in levels]] == list(levels.values())).all(axis="columns")]
        own = cell[cell["seed"].isin(seeds)]
        return {
            seed: right_answers(dataset.facts.task, made, labels)
            for seed, key in zip(own["seed"], own["key"], strict=True)
            for made in report.study.store.predictions([key]).values()
        }

    at_baseline = right(report.factors.baseline, sorted(done["seed"].unique())[: limits.MOST_NOISE_PAIRS])
    for contrast in list(contrasts)[: limits.MOST_NOISE_DIFFERENCES]:
        at_level = right({**report.factors.baseline, contrast.factor: contrast.level}, list(at_baseline))
        if pairs := tuple(pair_noise(own, at_baseline[seed]) for seed, own in at_level.items()):
            yield _Noise(contrast, pairs)


SECTION = Section("precision", "Precision", by_dataset(_of_dataset))
