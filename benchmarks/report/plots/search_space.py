"""Where in the space good trials lie: each tuned setting against the objective, and all settings side by side."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.report.formatting import NOTHING, Style, counted, short, titled
from benchmarks.report.plots.common import (
    LETTERS,
    LINE,
    WIDTH,
    LineLook,
    Plot,
    cycled_looks,
    logarithmic_heights,
    number_axis,
    number_text,
    padded,
    paint_key,
    sentences,
)
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, SECOND, draw
from benchmarks.search.outcome import GroupOutcome, SearchOutcome, TrialOutcome
from benchmarks.suite import level_label
from tuning import Space
from tuning.parameters import Choices, Parameter, text_of

MOST_GROUPS = 4
"""Groups that are told apart in a plot, or have one of their own; of more, all are put together."""

MOST_SETTINGS = 8
"""Tuned settings that are plotted."""

MOST_POINTS = 600
"""Trials in one plot, and lines."""

_BESIDE = 0.16
"""Share of an axis that a value beside the range takes."""

_LOGARITHMIC_FROM = 30

_GOLDEN = 0.618034

_FAR_OFF = 5
"""Scores are far off that are so many times further from the three best quarters than these reach."""

_FAR = 0.95
"""Share of the trials whose distance from the best is within the plot where many groups are put together."""


@dataclass(frozen=True)
class SettingAxis:
    """Where each value of a tuned setting stands, from 0 to 1: on a log axis where one of its ranges is log."""

    path: str
    low: float
    high: float
    is_log: bool
    named: tuple[str, ...]
    """The texts of choices that are no numbers of a range, and of alternatives to it; in order, before the range."""
    has_range: bool

    @classmethod
    def of(cls, path: str, parameters: Sequence[Parameter]) -> SettingAxis:
        """The axis that holds all values of one setting, which can have another range in each group."""
        ranges = [each for each in parameters if not isinstance(each, Choices)]
        choices = [value for each in parameters if isinstance(each, Choices) for value in each.values]
        numbers = [value for value in choices if ranges and type(value) in (int, float)]
        beside = [value for value in choices if value not in numbers or isinstance(value, bool)]
        beside += [each.alternative for each in ranges if each.alternative is not None]
        ends = [*numbers, *(end for each in ranges for end in (each.low, each.high))]
        is_log = any(each.log for each in ranges) and min(ends) > 0
        named = tuple(dict.fromkeys(text_of(value) for value in beside))
        return cls(path, min(ends, default=0.0), max(ends, default=1.0), is_log, named, bool(ranges))

    def spread_place(self, value: Any, number: int) -> float:
        """The same for one of many trials, those with the same choice beside each other."""
        if text_of(value) not in self.named:
            return self.place(value)
        room = 0.5 * _BESIDE if self.has_range else min(0.2, 0.6 / len(self.named))
        # Steps of the golden ratio fill the room evenly, however many they are.
        return self.place(value) + room * (number * _GOLDEN % 1 - 0.5)

    def place(self, value: Any) -> float:
        """Where a value stands."""
        text = text_of(value)
        if text in self.named:
            return self._named_place(self.named.index(text))
        scale = math.log if self.is_log else float
        low, high = scale(self.low), scale(self.high)
        return self._start + (1 - self._start) * (scale(value) - low) / (high - low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and what stands there, few enough for a narrow plot."""
        named = [(self._named_place(index), _named(text)) for index, text in enumerate(self.named)]
        return named + [(self.place(number), number_text(number)) for number in self._round_numbers()]

    @property
    def _start(self) -> float:
        """Where the range begins."""
        return _BESIDE * len(self.named) if self.has_range else 0.0

    def _named_place(self, index: int) -> float:
        if self.has_range:
            return _BESIDE * index
        return index / max(1, len(self.named) - 1) if len(self.named) > 1 else 0.5

    def _round_numbers(self) -> Iterable[float]:
        if not self.has_range:
            return []
        if not self.is_log:
            found = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
            return [float(number) for number in found if self.low <= number <= self.high]
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        powers = [10.0**power for power in range(first, last + 1)]
        if len(powers) < 2:
            return [self.low, self.high]
        return powers[:: -(-len(powers) // 4)]


def slices(name: str, found: SearchOutcome, style: Style) -> tuple[Plot, ...]:
    """Each tuned setting against the objective, one plot a setting.

    Args:
        name: tells these figures from the others of the page.
        found: what `search_outcome` gave.
        style: how scores are written.
    """
    groups = [group for group in found.groups if group.comparable]
    tried = {path for group in groups for trial in group.comparable for path in trial.record.values}
    axes_of = [setting for setting in _axes_of(groups) if setting.path in tried]
    together = len(groups) > MOST_GROUPS
    return tuple(
        _slice(f"{name}-{number}", setting, groups, found, style, together=together)
        for number, setting in enumerate(axes_of[:MOST_SETTINGS])
    )


def parallel_coordinates(name: str, found: SearchOutcome, style: Style) -> tuple[Plot, ...]:
    """A line for each trial through all its settings and its score; of many groups, one for each that was chosen.

    Args:
        name: tells these figures from the others of the page.
        found: what `search_outcome` gave.
        style: how scores are written.
    """
    groups = [group for group in found.groups if group.comparable]
    if len(groups) > MOST_GROUPS:
        return _chosen_together(name, groups)
    return tuple(_trials_of(f"{name}-{number}", group, found, style) for number, group in enumerate(groups))


def n_settings(found: SearchOutcome) -> int:
    """How many settings were tuned in any group that has scores."""
    return len(_axes_of([group for group in found.groups if group.comparable]))


def _axes_of(groups: Iterable[GroupOutcome]) -> list[SettingAxis]:
    parameters: dict[str, list[Parameter]] = {}
    for space in (group.space for group in groups):
        for path, parameter in _parameters(space).items():
            parameters.setdefault(path, []).append(parameter)
    return [SettingAxis.of(path, of_groups) for path, of_groups in parameters.items()]


def _parameters(space: Space | None) -> Mapping[str, Parameter]:
    return space.parameters if space else {}


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
    having = [groups[number] for number in sorted({point.group for point in points})]
    keys = 0 if together or len(groups) == 1 else len(having)
    below = 0.46 + LINE * keys + 0.04
    height = 1.7 + below
    title = f"Which values of {setting.path} scored well?"
    limits = _limits([point.height for point in points], found, together=together)
    every = -(-len(points) // MOST_POINTS)

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.17, below / height, 0.8, 1 - (below + 0.06) / height))
        _setting_ticks(axes, setting)
        if style.unit != "share" and not together and limits[0] > 0 and limits[1] / limits[0] > _LOGARITHMIC_FROM:
            logarithmic_heights(axes, limits)
        else:
            axes.set_ylim(limits)
            number_axis(axes, "y", most=5)
        for number, (group, look) in enumerate(zip(having, cycled_looks(len(having)), strict=True)):
            if keys:
                own = [point for point in points if groups[point.group] is group]
                _paint_points(axes, own, replace(look, dashes=""))
                paint_key(figure, replace(look, dashes=""), group.title, LINE * (keys - number - 0.4) / height)
        if not keys:
            _paint_points(axes, points[::every], LineLook(MUTED, "", "o", False))
        chosen = [point for point in points if point.is_chosen]
        for point in chosen[:: -(-len(chosen) // MOST_POINTS) or 1]:
            _paint_chosen(axes, point, is_small=together)
        axes.set_xlabel(short(setting.path, round(0.8 * LETTERS)), labelpad=2)

    what = titled(found.metric.title, style.unit_of_values)
    n_trials, n_tried = (sum(len(each) for each in (g.comparable for g in groups)), sum(len(g.trials) for g in groups))
    n_far = sum(point.height >= limits[1] for point in points)
    note = sentences(
        f"How much worse than the best trial of its group, {_of(found, style)}, for all {len(groups)} groups together."
        if together
        else f"{what}, by trial; {found.metric.better} is better.",
        "Ringed: what was chosen.",
        f"The {len(points)} of {counted(n_trials, 'trial')} in which it applies." if len(points) < n_trials else "",
        f"One trial in {every} is shown." if every > 1 and not keys else "",
        f"{counted(n_far, 'trial')} that did worse stand at the upper edge." if n_far else "",
        f"{counted(n_tried - n_trials, 'trial')} without a score to compare not shown." if n_trials < n_tried else "",
        "Other settings vary too, so a point is not the doing of this one alone.",
    )
    return Plot(title, draw(name, title, WIDTH, height, paint), note)


def _points(
    setting: SettingAxis, found: SearchOutcome, groups: Sequence[GroupOutcome], style: Style, *, together: bool
) -> list[_Point]:
    """Every trial in which a setting applies; those far away at the edge."""
    trials = [(number, trial) for number, group in enumerate(groups) for trial in _with(setting, group.comparable)]
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


def _with(setting: SettingAxis, trials: Iterable[TrialOutcome]) -> list[TrialOutcome]:
    """The trials in which the setting applies."""
    return [trial for trial in trials if setting.path in trial.record.values]


def _height(trial: TrialOutcome, group: GroupOutcome, style: Style, *, together: bool) -> float:
    score = trial.record.score
    assert score is not None  # as those that are comparable have
    best = group.search_score
    return style.factor * (abs(score - best) if together and best is not None else score)


def _limits(heights: Sequence[float], found: SearchOutcome, *, together: bool) -> tuple[float, float]:
    if not together:
        low, high = min(heights), _edge(heights, found)
        return (low / 1.2, high * 1.2) if low > 0 and high / low > _LOGARITHMIC_FROM else padded((low, high))
    far = float(np.quantile(heights, _FAR)) or max(heights) or 1.0
    return -0.05 * far, 1.05 * far


def _edge(scores: Sequence[float], found: SearchOutcome) -> float:
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


def _paint_points(axes: Axes, points: Sequence[_Point], look: LineLook) -> None:
    places, heights = [point.place for point in points], [point.height for point in points]
    size = 4.0 if len(points) <= 60 else 2.6
    face = look.colour if look.is_filled else PAPER
    axes.plot(places, heights, look.marker, color=look.colour, markerfacecolor=face, markersize=size, linestyle="none")


def _paint_chosen(axes: Axes, point: _Point, *, is_small: bool) -> None:
    size = 5.0 if is_small else 10.0
    axes.plot([point.place], [point.height], "o", color=INK, fillstyle="none", markersize=size, markeredgewidth=1.6)


def _trials_of(name: str, group: GroupOutcome, found: SearchOutcome, style: Style) -> Plot:
    settings = _axes_of([group])[:MOST_SETTINGS]
    scores = [style.factor * trial.record.score for trial in group.comparable if trial.record.score is not None]
    low, high = min(scores), _edge(scores, found)
    n_far = sum(score > high for score in scores)
    order = sorted(group.comparable, key=lambda trial: _rank(trial, found), reverse=True)
    n_good = max(1, len(order) // 4)
    lines = [
        (
            [
                *_places(settings, trial.record.values),
                (min(style.factor * (trial.record.score or 0.0), high) - low) / (high - low or 1),
            ],
            "chosen" if trial is group.best else "good" if number >= len(order) - n_good else "other",
        )
        for number, trial in enumerate(order)
    ]
    ends = [number_text(float(f"{end:.4g}")) for end in (low, high)]
    last = (ends[0], f"≥ {ends[1]}" if n_far else ends[1])
    score = titled(found.metric.title, style.unit_of_values)
    whose = f" ({group.title})" if len(found.groups) > 1 else ""
    title = f"How do the settings of good trials go together{whose}?"
    note = sentences(
        f"A line for each trial through its settings, and at the right its {score}; {found.metric.better} is better.",
        f"Bold: the chosen one. Dashed: the best quarter, {counted(n_good, 'trial')}. Thin: the others.",
        f"{counted(n_far, 'trial')} that did worse end at the top." if n_far else "",
        "A line is broken at a setting that does not apply to its trial." if _has_gaps(lines) else "",
        _left_out([group]),
    )
    labels = [*(setting.path for setting in settings), score]
    return Plot(title, _coordinates(name, title, settings, lines, labels, last), note)


def _chosen_together(name: str, groups: Sequence[GroupOutcome]) -> tuple[Plot, ...]:
    settings = _axes_of(groups)[:MOST_SETTINGS]
    if len(settings) < 2:
        return ()
    every = -(-len(groups) // MOST_POINTS)
    lines = [(_places(settings, group.chosen), "one") for group in groups[::every] if group.best]
    title = "Was the same chosen in all groups?"
    note = sentences(
        f"A line for what was chosen in each of {len(lines)} groups, through the settings.",
        f"Shown is one group in {every}." if every > 1 else "",
        "A line is broken at a setting that does not apply." if _has_gaps(lines) else "",
        _left_out(groups),
    )
    labels = [setting.path for setting in settings]
    return (Plot(title, _coordinates(name, title, settings, lines, labels, None), note),)


def _rank(trial: TrialOutcome, found: SearchOutcome) -> float:
    """Less is better."""
    score = trial.record.score or 0.0
    return -score if found.metric.better == "higher" else score


def _places(settings: Iterable[SettingAxis], values: Mapping[str, Any]) -> list[float]:
    return [setting.place(values[setting.path]) if setting.path in values else math.nan for setting in settings]


def _has_gaps(lines: Iterable[tuple[Sequence[float], str]]) -> bool:
    return any(math.isnan(place) for places, _ in lines for place in places)


def _left_out(groups: Iterable[GroupOutcome]) -> str:
    number = len(_axes_of(groups))
    return f"The first {MOST_SETTINGS} of {number} settings." if number > MOST_SETTINGS else ""


def _coordinates(
    name: str,
    title: str,
    settings: Sequence[SettingAxis],
    lines: Sequence[tuple[Sequence[float], str]],
    labels: Sequence[str],
    last: tuple[str, str] | None,
) -> Any:
    """Lines through upright axes, which are numbered, with their names below.

    Args:
        name: tells this figure from others.
        title: of the plot.
        settings: an axis for each.
        lines: the places on all axes, and what the line is: "chosen", "good", "other", or "one" of many choices.
        labels: the names of all axes.
        last: what stands at the ends of the last axis, where it is the score's.
    """
    below = 0.3 + LINE * len(labels) + 0.04
    height = 2.0 + below
    looks: dict[str, dict[str, Any]] = {
        "other": {"color": MUTED, "linewidth": 0.6, "alpha": 0.55},
        "good": {"color": SECOND, "linewidth": 1.1, "linestyle": "--"},
        "chosen": {"color": FIRST, "linewidth": 2.6},
        "one": {"color": FIRST, "linewidth": 1.0, "alpha": 0.5},
    }

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.04, below / height, 0.80, 1 - (below + 0.1) / height))
        axes.set_axis_off()
        axes.set_xlim(-0.1, max(1, len(labels) - 1) + 0.1)
        axes.set_ylim(-0.06, 1.06)
        for place in range(len(labels)):
            axes.plot([place, place], [0, 1], color=INK, linewidth=0.8, zorder=1)
            axes.text(place, -0.16, str(place + 1), ha="center", va="center", weight="bold")
        for places, look in lines:
            axes.plot(
                range(len(places)), places, zorder={"other": 2, "good": 3, "chosen": 4, "one": 2}[look], **looks[look]
            )
            alone = [index for index in range(len(places)) if _stands_alone(places, index)]
            axes.plot(alone, [places[index] for index in alone], ".", color=looks[look]["color"], markersize=7)
        for place, setting in enumerate(settings):
            for where, text in setting.ticks:
                _tick(axes, place, where, short(text, 9))
        if last:
            for where, text in zip((0, 1), last, strict=True):
                _tick(axes, len(labels) - 1, where, text)
        for number, label in enumerate(labels):
            top = LINE * (len(labels) - number - 0.3) / height
            figure.text(0.02, top, short(f"{number + 1}: {label}", LETTERS), va="center")

    return draw(name, title, WIDTH, height, paint)


def _stands_alone(places: Sequence[float], index: int) -> bool:
    """Whether no piece of the line reaches this place."""
    beside = [places[other] for other in (index - 1, index + 1) if 0 <= other < len(places)]
    return not math.isnan(places[index]) and all(map(math.isnan, beside))


def _tick(axes: Axes, place: float, where: float, text: str) -> None:
    axes.plot([place - 0.03, place + 0.03], [where, where], color=INK, linewidth=0.8)
    axes.annotate(text, (place, where), (3, 0), textcoords="offset points", va="center", size=7, color=INK, zorder=6)


def _named(text: str) -> str:
    return level_label(json.loads(text)) or NOTHING


def _of(found: SearchOutcome, style: Style) -> str:
    return f"{found.metric.title} {style.unit_of_differences}".rstrip()
