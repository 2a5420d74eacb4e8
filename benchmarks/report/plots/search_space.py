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
    settings = [setting for setting in axes_of(groups) if setting.path in tried]
    together = len(groups) > limits.MOST_SEARCH_GROUPS
    return tuple(
        _slice(f"{name}-{number}", setting, groups, found, style, together=together)
        for number, setting in enumerate(settings[: limits.MOST_SETTINGS])
    )


@dataclass(frozen=True)
class _Point:
    place: float
    height: float
    group: int
    is_chosen: bool


def _slice(
    name: str,
    setting: SettingAxis,
    groups: Sequence[GroupOutcome],
    found: SearchOutcome,
    style: Style,
    *,
    together: bool,
) -> Plot:
    points = _points(setting, found, groups, style, together=together)
    having = sorted({point.group for point in points})
    keys = [] if together or len(groups) == 1 else with_strokes([groups[number].title for number in having])
    keys = [(title, replace(stroke, dashes="")) for title, stroke in keys]
    title = f"Which values of {setting.path} scored well?"
    span = _limits([point.height for point in points], found, together=together)
    every = 1 if keys else -(-len(points) // limits.MOST_POINTS)

    def paint(axes: Axes) -> None:
        _setting_ticks(axes, setting)
        if style.unit != "share" and not together and span[0] > 0 and span[1] / span[0] > _LOGARITHMIC_FROM:
            logarithmic_heights(axes, span)
        else:
            axes.set_ylim(span)
            number_axis(axes, "y", most=5)
        if keys:
            for number, (_, stroke) in zip(having, keys, strict=True):
                _paint_points(axes, [point for point in points if point.group == number], stroke)
        else:
            _paint_points(axes, points[::every], Stroke(MUTED, "", "o", False))
        _paint_chosen(axes, [point for point in points if point.is_chosen], are_small=together)
        axes.set_xlabel(short(setting.path, round(0.8 * LETTERS)), labelpad=2)

    note = sentences(
        _slice_heights(groups, found, style, together=together),
        "Ringed: what was chosen.",
        _slice_left_out(points, groups, span[1], every),
        "Other settings vary too, so a point is not the doing of this one alone.",
    )
    return Plot(title, draw_keyed(name, title, paint, keys), note)


def _slice_heights(groups: Sequence[GroupOutcome], found: SearchOutcome, style: Style, *, together: bool) -> str:
    if together:
        scores = f"{found.metric.title} {style.unit_of_differences}".rstrip()
        return f"How much worse than the best trial of its group, {scores}, for all {len(groups)} groups together."
    return f"{titled(found.metric.title, style.unit_of_values)}, by trial; {found.metric.better} is better."


def _slice_left_out(points: Sequence[_Point], groups: Sequence[GroupOutcome], top: float, every: int) -> str:
    """Trials that are not there, or not where they belong, in sentences."""
    n_trials, n_tried = sum(len(each.comparable) for each in groups), sum(len(each.trials) for each in groups)
    n_far = sum(point.height >= top for point in points)
    return sentences(
        f"The {len(points)} of {counted(n_trials, 'trial')} in which it applies." if len(points) < n_trials else "",
        f"One trial in {every} is shown." if every > 1 else "",
        f"{counted(n_far, 'trial')} that did worse stand at the upper edge." if n_far else "",
        f"{counted(n_tried - n_trials, 'trial')} without a score to compare not shown." if n_trials < n_tried else "",
    )


def _points(
    setting: SettingAxis, found: SearchOutcome, groups: Sequence[GroupOutcome], style: Style, *, together: bool
) -> list[_Point]:
    """Every trial in which a setting applies; those far away at the edge."""
    found_in = [(number, trial) for number, group in enumerate(groups) for trial in group.comparable]
    trials = [(number, trial) for number, trial in found_in if setting.path in trial.record.values]
    heights = [_height(trial, groups[number], style, together=together) for number, trial in trials]
    top = _limits(heights, found, together=together)[1]
    return [
        _Point(
            setting.spread_place(trial.record.values[setting.path], trial.record.number),
            min(height, top),
            number,
            trial is groups[number].best,
        )
        for (number, trial), height in zip(trials, heights, strict=True)
    ]


def _height(trial: TrialOutcome, group: GroupOutcome, style: Style, *, together: bool) -> float:
    score = trial.record.score
    assert score is not None  # as those that are comparable have
    best = group.search_score
    return style.factor * (abs(score - best) if together and best is not None else score)


def _limits(heights: Sequence[float], found: SearchOutcome, *, together: bool) -> tuple[float, float]:
    if not together:
        low, high = min(heights), worst_shown(heights, found)
        return (low / 1.2, high * 1.2) if low > 0 and high / low > _LOGARITHMIC_FROM else padded((low, high))
    far = float(np.quantile(heights, _FAR)) or max(heights) or 1.0
    return -0.05 * far, 1.05 * far


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
