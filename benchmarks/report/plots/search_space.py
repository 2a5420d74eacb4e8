"""Where in the space good trials lie: each tuned setting against the objective, and lines through all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.searches import GroupOutcome, SearchOutcome, TrialOutcome
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, short, titled
from benchmarks.report.plots.common import (
    LETTERS,
    LINE,
    WIDTH,
    Stroke,
    draw_keyed,
    logarithmic_heights,
    number_axis,
    number_text,
    padded,
    paint_marks,
    with_strokes,
)
from benchmarks.report.plots.setting_axis import SettingAxis, axes_of
from benchmarks.report.svg import FIRST, INK, MUTED, SECOND, draw

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


def parallel_coordinates(name: str, found: SearchOutcome, style: Style) -> tuple[Plot, ...]:
    """A line for each trial through all its settings and its score; of many groups, one for each that was chosen."""
    groups = [group for group in found.groups if group.comparable]
    if len(groups) > limits.MOST_SEARCH_GROUPS:
        return _chosen_together(name, groups)
    return tuple(_trials_of(f"{name}-{number}", group, found, style) for number, group in enumerate(groups))


_Line = tuple[Sequence[float], str]
"""Places on all axes, and which of `_DRAWN` it is."""

_DRAWN: Mapping[str, Mapping[str, Any]] = {
    "other": {"color": MUTED, "linewidth": 0.6, "alpha": 0.55, "zorder": 2},
    "good": {"color": SECOND, "linewidth": 1.1, "linestyle": "--", "zorder": 3},
    "chosen": {"color": FIRST, "linewidth": 2.6, "zorder": 4},
    "one of many": {"color": FIRST, "linewidth": 1.0, "alpha": 0.5, "zorder": 2},
}

_Axis = tuple[str, Sequence[tuple[float, str]]]
"""What an axis is called, and what stands where on it."""


def _trials_of(name: str, group: GroupOutcome, found: SearchOutcome, style: Style) -> Plot:
    settings = axes_of([group])[: limits.MOST_SETTINGS]
    order = sorted(group.comparable, key=lambda trial: found.metric.sign * (trial.record.score or 0.0))
    scores = [style.factor * (trial.record.score or 0.0) for trial in order]
    low, high = min(scores), worst_shown(scores, found)
    n_far, n_good = sum(score > high for score in scores), max(1, len(order) // 4)
    kinds = ["other"] * (len(order) - n_good) + ["good"] * n_good
    lines = [
        (
            [*_places(settings, trial.record.values), (min(score, high) - low) / (high - low or 1)],
            "chosen" if trial is group.best else kind,
        )
        for trial, score, kind in zip(order, scores, kinds, strict=True)
    ]
    ends = [number_text(float(f"{end:.4g}")) for end in (low, high)]
    score = titled(found.metric.title, style.unit_of_values)
    whose = f" ({group.title})" if len(found.groups) > 1 else ""
    title = f"How do the settings of good trials go together{whose}?"
    note = sentences(
        f"A line for each trial through its settings, and at the right its {score}; {found.metric.better} is better.",
        f"Bold: the chosen one. Dashed: the best quarter, {counted(n_good, 'trial')}. Thin: the others.",
        n_far and f"{counted(n_far, 'trial')} that did worse end at the top.",
        _has_gaps(lines) and "A line is broken at a setting that does not apply to its trial.",
        _left_out([group]),
    )
    last = (score, [(0.0, ends[0]), (1.0, f"≥ {ends[1]}" if n_far else ends[1])])
    return Plot(title, _coordinates(name, title, [*_axes(settings), last], lines), note)


def _chosen_together(name: str, groups: Sequence[GroupOutcome]) -> tuple[Plot, ...]:
    settings = axes_of(groups)[: limits.MOST_SETTINGS]
    if len(settings) < 2:
        return ()
    every = -(-len(groups) // limits.MOST_POINTS)
    lines = [(_places(settings, group.chosen), "one of many") for group in groups[::every] if group.best]
    title = "Was the same chosen in all groups?"
    note = sentences(
        f"A line for what was chosen in each of {len(lines)} groups, through the settings.",
        every > 1 and f"Shown is one group in {every}.",
        _has_gaps(lines) and "A line is broken at a setting that does not apply.",
        _left_out(groups),
    )
    return (Plot(title, _coordinates(name, title, _axes(settings), lines), note),)


def _axes(settings: Iterable[SettingAxis]) -> list[_Axis]:
    return [(each.path, [(where, short(text, 9)) for where, text in each.ticks]) for each in settings]


def _places(settings: Iterable[SettingAxis], values: Mapping[str, Any]) -> list[float]:
    return [setting.place(values[setting.path]) if setting.path in values else math.nan for setting in settings]


def _has_gaps(lines: Iterable[_Line]) -> bool:
    return any(math.isnan(place) for places, _ in lines for place in places)


def _left_out(groups: Iterable[GroupOutcome]) -> str:
    number = len(axes_of(groups))
    return f"The first {limits.MOST_SETTINGS} of {number} settings." if number > limits.MOST_SETTINGS else ""


def _coordinates(name: str, title: str, upright: Sequence[_Axis], lines: Iterable[_Line]) -> Markup:
    """Lines through upright axes, which are numbered, with their names below."""
    below = 0.3 + LINE * len(upright) + 0.04
    height = 2.0 + below

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.04, below / height, 0.80, 1 - (below + 0.1) / height))
        axes.set_axis_off()
        axes.set(xlim=(-0.1, max(1, len(upright) - 1) + 0.1), ylim=(-0.06, 1.06))
        for place in range(len(upright)):
            axes.plot([place, place], [0, 1], color=INK, linewidth=0.8, zorder=1)
            axes.text(place, -0.16, str(place + 1), ha="center", va="center", weight="bold")
        for places, kind in lines:
            axes.plot(range(len(places)), places, **_DRAWN[kind])
            alone = [index for index in range(len(places)) if _stands_alone(places, index)]
            axes.plot(alone, [places[index] for index in alone], ".", color=_DRAWN[kind]["color"], markersize=7)
        for place, (label, ticks) in enumerate(upright):
            for where, text in ticks:
                _tick(axes, place, where, text)
            top = LINE * (len(upright) - place - 0.3) / height
            figure.text(0.02, top, short(f"{place + 1}: {label}", LETTERS), va="center")

    return draw(name, title, WIDTH, height, paint)


def _stands_alone(places: Sequence[float], index: int) -> bool:
    """Whether no piece of the line reaches this place."""
    beside = [places[other] for other in (index - 1, index + 1) if 0 <= other < len(places)]
    return not math.isnan(places[index]) and all(map(math.isnan, beside))


def _tick(axes: Axes, place: float, where: float, text: str) -> None:
    axes.plot([place - 0.03, place + 0.03], [where, where], color=INK, linewidth=0.8)
    axes.annotate(text, (place, where), (3, 0), textcoords="offset points", va="center", size=7, color=INK, zorder=6)
