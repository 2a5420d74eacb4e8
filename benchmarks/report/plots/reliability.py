"""Reliability diagrams: how often the most probable class is right, by how sure the model was."""

from __future__ import annotations

from matplotlib.figure import Figure

from benchmarks.analysis.estimates import estimate
from benchmarks.analysis.reliability import Reliability
from benchmarks.labels import counted, whole
from benchmarks.metrics import CALIBRATION_BINS
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import percent, sentences
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, draw

_WIDTH, _HEIGHT = 3.0, 3.2
_LEAST_IN_A_BIN = 10


def reliability_diagram(name: str, found: Reliability, cell: str = "") -> tuple[Plot, ...]:
    """Accuracy over confidence, with the diagonal on which both agree, and how many examples each bin has."""
    known = [each for each in found.bins if each.n]

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.17, 0.36, 0.79, 0.62))
        axes.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=1)
        points = [(100 * each.confidence, 100 * each.accuracy) for each in known]
        for each, (x, y) in zip(known, points, strict=True):
            axes.plot([x, x], [x, y], color=FIRST, linewidth=0.9)
            face = FIRST if each.n >= _LEAST_IN_A_BIN else PAPER
            axes.plot([x], [y], "o", color=FIRST, markerfacecolor=face, markersize=4.5, zorder=3, clip_on=False)
        axes.plot([x for x, _ in points], [y for _, y in points], color=FIRST, linewidth=1.2)
        below = figure.add_axes((0.17, 0.135, 0.79, 0.17))
        total = sum(each.n for each in found.bins)
        for each in known:
            place, width = 100 * each.low, 100 * (each.high - each.low)
            below.bar(place, 100 * each.n / total, width, align="edge", facecolor=FIRST, alpha=0.6, edgecolor=PAPER)
        for each_axes in (axes, below):
            each_axes.set(xlim=(0, 100), xticks=[0, 25, 50, 75, 100])
        axes.set(ylim=(0, 100), yticks=[0, 25, 50, 75, 100], xticklabels=[])
        axes.set_ylabel("right, %", labelpad=2, color=INK)
        below.set_yticks([0, 50, 100] if max(each.n for each in known) > total / 2 else [0, 25, 50])
        below.set_ylabel("share, %", labelpad=2, color=INK)
        below.set_xlabel("probability of the most probable class, %", labelpad=2)

    title = f"Can the probabilities of {cell} be believed?" if cell else "Can the probabilities be believed?"
    of_runs = f" of each of {counted(found.n_runs, 'run')}" if found.n_runs > 1 else ""
    runs = f", the mean over the runs' own; the bins hold all {found.n_runs} runs together" if found.n_runs > 1 else ""
    note = sentences(
        "Below the dashed line, the model is surer than it is right.",
        f"{CALIBRATION_BINS} bins of equal width, each with its upper edge, over the n = {whole(found.n_examples)} "
        f"test examples{of_runs}.",
        f"Expected calibration error {ece_told(found)}{runs}; if every probability were true, a run with this n "
        f"would still show about {percent(found.ece_by_chance)} %.",
        any(each.n < _LEAST_IN_A_BIN for each in known)
        and f"Hollow: fewer than {_LEAST_IN_A_BIN} examples in the bin.",
    )
    return (Plot(title, draw(name, title, _WIDTH, _HEIGHT, paint), note),)


def ece_told(found: Reliability) -> str:
    """The mean calibration error with its t interval over the runs, in words; without one where they are too few."""
    over_runs = estimate(found.eces)
    told = f"{percent(found.ece)} %"
    if over_runs.state == "interval":
        ends = f"{percent(over_runs.ci_low)} to {percent(over_runs.ci_high)} %"
        told += f" (95 % t interval over {found.n_runs} runs: {ends})"
    return told
