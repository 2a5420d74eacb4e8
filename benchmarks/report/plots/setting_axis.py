"""The axis of a tuned setting: where each of its values stands."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from benchmarks.analysis.searches import GroupOutcome
from benchmarks.labels import NOTHING, level_label
from benchmarks.report.plots.common import ROUND, number_text
from tuning.parameters import Choices, Parameter, text_of

_BESIDE = 0.16
"""Share of an axis that a value beside the range takes."""

_GOLDEN = 0.618034


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
        if text_of(value) in self.named:
            return self._named_place(self.named.index(text_of(value)))
        scale = math.log if self.is_log else float
        low, high = scale(self.low), scale(self.high)
        return self._start + (1 - self._start) * (scale(value) - low) / (high - low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and what stands there, few enough for a narrow plot."""
        texts = [level_label(json.loads(text)) or NOTHING for text in self.named]
        named = [(self._named_place(index), text) for index, text in enumerate(texts)]
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
            found = MaxNLocator(3, steps=ROUND).tick_values(self.low, self.high)
            return [float(number) for number in found if self.low <= number <= self.high]
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        powers = [10.0**power for power in range(first, last + 1)]
        if len(powers) < 2:
            return [self.low, self.high]
        return powers[:: -(-len(powers) // 4)]


def axes_of(groups: Iterable[GroupOutcome]) -> list[SettingAxis]:
    """One for each setting that was tuned in a group."""
    parameters: dict[str, list[Parameter]] = {}
    for space in filter(None, (group.space for group in groups)):
        for path, parameter in space.parameters.items():
            parameters.setdefault(path, []).append(parameter)
    return [SettingAxis.of(path, of_groups) for path, of_groups in parameters.items()]
