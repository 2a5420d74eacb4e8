"""Where in the space good trials lie: each tuned setting against the objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from benchmarks.analysis.searches import GroupOutcome, SearchOutcome, TrialOutcome
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, short, titled
from benchmarks.report.plots.common import (
    LETTERS,
    Stroke,
    draw_keyed,
    logarithmic_heights,
    number_axis,
    padded,
    paint_marks,
    with_strokes,
)
from benchmarks.report.plots.setting_axis import SettingAxis, axes_of
from benchmarks.report.svg import INK, MUTED

_LOGARITHMIC_FROM = 30

_FAR_OFF = 5
"""Scores are far off that are so many times further from the three best quarters than these reach."""

_FAR = 0.95
"""Share of the trials whose distance from the best is within the plot where many groups are put together."""


def slices(name: str, found: SearchOutcome, style: Style) -> tuple[Plot, ...]:
    """Each tuned setting against the objective, one plot a setting."""
    groups = [group for group in found.groups if group.comparable]
    tried = {path for group in groups for trial in group.comparable for path in trial.record.values}
    settings = [setting for setting in axes_of(groups) if setting.path in tried][: limits.MOST_SETTINGS]
    return tuple(
        _Slice(setting, groups, found, style).plot(f"{name}-{place}") for place, setting in enumerate(settings)
    )


@dataclass(frozen=True)
class _Point:
    place: float
    height: float
    group: int
    is_chosen: bool


@dataclass(frozen=True)
class _Slice:
    """The trials of a search by one of the settings."""

    setting: SettingAxis
    groups: Sequence[GroupOutcome]
    """Those that have trials to compare."""
    found: SearchOutcome
    style: Style

    @property
    def is_together(self) -> bool:
        """Whether the groups are not told apart, and heights are distances from the best of each."""
        return len(self.groups) > limits.MOST_SEARCH_GROUPS

    def plot(self, name: str) -> Plot:
        points = self._points()
        having = sorted({point.group for point in points})
        is_one = self.is_together or len(self.groups) == 1
        keys = [] if is_one else with_strokes([self.groups[number].title for number in having])
        keys = [(title, replace(stroke, dashes="")) for title, stroke in keys]
        span = self._limits([point.height for point in points])
        every = 1 if keys else -(-len(points) // limits.MOST_POINTS)

        def paint(axes: Axes) -> None:
            _setting_ticks(axes, self.setting)
            self._height_axis(axes, span)
            for number, (_, stroke) in zip(having, keys, strict=False):
                _paint_points(axes, [point for point in points if point.group == number], stroke)
            if not keys:
                _paint_points(axes, points[::every], Stroke(MUTED, "", "o", False))
            _paint_chosen(axes, [point for point in points if point.is_chosen], are_small=self.is_together)
            axes.set_xlabel(short(self.setting.path, round(0.8 * LETTERS)), labelpad=2)

        title = f"Which values of {self.setting.path} scored well?"
        return Plot(title, draw_keyed(name, title, paint, keys), self._note(points, span[1], every))

    def _points(self) -> list[_Point]:
        """Every trial in which the setting applies; those far away at the edge."""
        every = [(number, trial) for number, group in enumerate(self.groups) for trial in group.comparable]
        trials = [(number, trial) for number, trial in every if self.setting.path in trial.record.values]
        heights = [self._height(trial, self.groups[number]) for number, trial in trials]
        places = [
            self.setting.spread_place(trial.record.values[self.setting.path], trial.record.number)
            for _, trial in trials
        ]
        top = self._limits(heights)[1]
        return [
            _Point(place, min(height, top), number, trial is self.groups[number].best)
            for (number, trial), place, height in zip(trials, places, heights, strict=True)
        ]

    def _height(self, trial: TrialOutcome, group: GroupOutcome) -> float:
        score, best = trial.record.score, group.search_score
        assert score is not None  # as those that are comparable have
        return self.style.factor * (abs(score - best) if self.is_together and best is not None else score)

    def _limits(self, heights: Sequence[float]) -> tuple[float, float]:
        if self.is_together:
            far = float(np.quantile(heights, _FAR)) or max(heights) or 1.0
            return -0.05 * far, 1.05 * far
        low, high = min(heights), worst_shown(heights, self.found)
        return (low / 1.2, high * 1.2) if low > 0 and high / low > _LOGARITHMIC_FROM else padded((low, high))

    def _height_axis(self, axes: Axes, span: tuple[float, float]) -> None:
        is_scored = self.style.unit != "share" and not self.is_together
        if is_scored and span[0] > 0 and span[1] / span[0] > _LOGARITHMIC_FROM:
            logarithmic_heights(axes, span)
        else:
            axes.set_ylim(span)
            number_axis(axes, "y", most=5)

    def _note(self, points: Sequence[_Point], top: float, every: int) -> str:
        metric, groups = self.found.metric, self.groups
        scores = f"{metric.title} {self.style.unit_of_differences}".rstrip()
        n_trials, n_tried = sum(len(each.comparable) for each in groups), sum(len(each.trials) for each in groups)
        n_far, n_without = sum(point.height >= top for point in points), n_tried - n_trials
        return sentences(
            f"How much worse than the best trial of its group, {scores}, for all {len(groups)} groups together."
            if self.is_together
            else f"{titled(metric.title, self.style.unit_of_values)}, by trial; {metric.better} is better.",
            "Ringed: what was chosen.",
            len(points) < n_trials and f"The {len(points)} of {counted(n_trials, 'trial')} in which it applies.",
            every > 1 and f"One trial in {every} is shown.",
            n_far and f"{counted(n_far, 'trial')} that did worse stand at the upper edge.",
            n_without > 0 and f"{counted(n_without, 'trial')} without a score to compare not shown.",
            "Other settings vary too, so a point is not the doing of this one alone.",
        )


def worst_shown(scores: Sequence[float], found: SearchOutcome) -> float:
    """The largest score; where that is bad and far off, as a loss that nearly diverged is, the largest to be shown."""
    best, quarter = min(scores), float(np.quantile(scores, 0.75))
    if found.metric.better == "higher" or quarter == best:
        return max(scores)
    return min(max(scores), quarter + _FAR_OFF * (quarter - best))


def _setting_ticks(axes: Axes, setting: SettingAxis) -> None:
    beside = 0.06 if setting.has_range else 0.16
    axes.set_xlim(-beside, 1 + beside)
    ticks = setting.ticks
    room = max(4, round(0.75 * LETTERS / max(1, len(ticks))))
    axes.set_xticks([place for place, _ in ticks], [short(text, room) for _, text in ticks])


def _paint_points(axes: Axes, points: Sequence[_Point], stroke: Stroke) -> None:
    places, heights = [point.place for point in points], [point.height for point in points]
    paint_marks(axes, places, heights, stroke, markersize=4.0 if len(points) <= 60 else 2.6, linestyle="none")


def _paint_chosen(axes: Axes, points: Sequence[_Point], *, are_small: bool) -> None:
    size = 5.0 if are_small else 10.0
    for point in points[:: -(-len(points) // limits.MOST_POINTS) or 1]:
        axes.plot([point.place], [point.height], "o", color=INK, fillstyle="none", markersize=size, markeredgewidth=1.6)
