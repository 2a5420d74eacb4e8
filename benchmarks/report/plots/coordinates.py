"""How the settings of good trials go together: lines through the axes of all tuned settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.analysis.searches import GroupOutcome, SearchOutcome
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, sentences, short, titled
from benchmarks.report.plots.common import LETTERS, LINE, WIDTH, number_text
from benchmarks.report.plots.search_space import worst_shown
from benchmarks.report.plots.setting_axis import SettingAxis, axes_of
from benchmarks.report.svg import FIRST, INK, MUTED, SECOND, draw


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
