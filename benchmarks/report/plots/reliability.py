"""Whether probabilities can be believed: how often the most probable class is right, by how sure the model was."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from benchmarks.analysis.estimates import estimate
from benchmarks.labels import counted, whole
from benchmarks.metrics import CALIBRATION_BINS, calibration_bins, calibration_error, log_softmax
from benchmarks.report.formatting import percent
from benchmarks.report.plots.common import Plot, sentences
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, draw
from benchmarks.tasks import Task

_WIDTH, _HEIGHT = 3.0, 3.2
_LEAST_IN_A_BIN = 10


@dataclass(frozen=True)
class Bin:
    """The examples whose most probable class has a probability in one range."""

    low: float
    high: float
    """It belongs to the bin."""
    n: int
    confidence: float
    """Mean probability; NaN in an empty bin."""
    accuracy: float


@dataclass(frozen=True)
class Reliability:
    """How probabilities and truth agree, over the runs of a cell."""

    bins: tuple[Bin, ...]
    """Over all runs together."""
    n_examples: int
    """Of the test split."""
    n_runs: int
    eces: tuple[float, ...]
    """The runs' own expected calibration errors."""
    ece_by_chance: float
    """About what a run with these probabilities would show if each of them were true."""

    @property
    def ece(self) -> float:
        """The mean of the runs' own."""
        return float(np.mean(self.eces))

    @property
    def ece_told(self) -> str:
        """The mean with its t interval over the runs, in words; without one where they are too few."""
        found = estimate(self.eces)
        told = f"{percent(self.ece)} %"
        if found.state == "interval":
            told += f" (95 % t interval over {self.n_runs} runs: {percent(found.ci_low)} to {percent(found.ci_high)} %)"
        return told


def reliability(task: Task, outputs: Iterable[ArrayLike], labels: ArrayLike) -> Reliability:
    """Compare how sure runs are with how often they are right, in bins of equal width.

    Args:
        task: a classification or a binary one.
        outputs: of each run for the test examples, as `kept_predictions` made them, (n, outputs); read one by one.
        labels: (n,).

    Raises:
        ValueError: the task has no probabilities, or the numbers of examples disagree.
    """
    if task == "regression":
        raise ValueError("a regression has no probabilities")
    truth = np.asarray(labels).reshape(-1)
    # Of each run two numbers an example are kept, and not all of its outputs.
    found = [_sure_and_right(np.asarray(each, dtype=np.float64), truth) for each in outputs]
    if not found:
        raise ValueError("no outputs: those of one run at least are needed")
    sure, right = zip(*found, strict=True)
    errors = [calibration_error(one, other) for one, other in found]
    chances = [_error_by_chance(each) for each in sure]
    all_sure, all_right = np.concatenate(sure), np.concatenate(right)
    places = calibration_bins(all_sure)
    inside = [places == place for place in range(CALIBRATION_BINS)]
    bins = tuple(_bin(place, all_sure[own], all_right[own]) for place, own in enumerate(inside))
    return Reliability(bins, len(truth), len(found), tuple(errors), float(np.mean(chances)))


def reliability_diagram(name: str, found: Reliability, cell: str = "") -> tuple[Plot, ...]:
    """Accuracy over confidence, with the diagonal on which both agree, and how many examples each bin has.

    Args:
        name: tells this figure from the others of the page.
        found: what `reliability` gave.
        cell: whose probabilities they are, where there are several.
    """
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
            each_axes.set_xlim(0, 100)
            each_axes.set_xticks([0, 25, 50, 75, 100])
        axes.set_ylim(0, 100)
        axes.set_yticks([0, 25, 50, 75, 100])
        axes.set_xticklabels([])
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
        f"Expected calibration error {found.ece_told}{runs}; if every probability were true, a run with this n "
        f"would still show about {percent(found.ece_by_chance)} %.",
        f"Hollow: fewer than {_LEAST_IN_A_BIN} examples in the bin."
        if any(each.n < _LEAST_IN_A_BIN for each in known)
        else "",
    )
    return (Plot(title, draw(name, title, _WIDTH, _HEIGHT, paint), note),)


def _sure_and_right(outputs: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each example the probability of its most probable class, and whether that is the true one."""
    if not len(truth) or outputs.ndim != 2 or len(outputs) != len(truth):
        shapes = f"outputs of shape {outputs.shape} for {len(truth)} labels"
        raise ValueError(f"{shapes}: (n, outputs) is needed, n at least 1")
    logits = np.concatenate([-outputs / 2, outputs / 2], axis=1) if outputs.shape[1] == 1 else outputs
    return np.exp(log_softmax(logits).max(axis=1)), logits.argmax(axis=1) == truth


def _bin(place: int, sure: np.ndarray, right: np.ndarray) -> Bin:
    low, high = place / CALIBRATION_BINS, (place + 1) / CALIBRATION_BINS
    if not len(sure):
        return Bin(low, high, 0, math.nan, math.nan)
    return Bin(low, high, len(sure), float(sure.mean()), float(right.mean()))


def _error_by_chance(sure: np.ndarray) -> float:
    """The mean of the error if each example were right with the probability given: half-normal gaps in every bin."""
    variances = np.bincount(calibration_bins(sure), weights=sure * (1 - sure), minlength=CALIBRATION_BINS)
    return float(np.sqrt(2 / math.pi * variances).sum() / len(sure))
