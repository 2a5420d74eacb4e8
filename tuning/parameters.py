"""What one setting may be during a search: a range, or one of a list of choices; read and checked."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, cast

import numpy as np

from tuning.errors import Problem, TuningError, as_written, dotted, unknown

Value = Any
"""What a setting can be: text, a number, a truth value, or a list of those; lists are tuples in here."""
Number = int | float
Conditions = tuple[tuple[str, tuple[Value, ...]], ...]
"""(path of another parameter, its values) pairs; a parameter has a value where all of them are met."""

MOST_STEPS = 10_000
"""A range with more steps than this is continuous for all that a search can find out."""


def frozen(value: Any) -> Value:
    """A value in the form that is compared and hashed: lists as tuples, and no negative zero."""
    if isinstance(value, list | tuple):
        return tuple(frozen(each) for each in value)
    return value + 0.0 if isinstance(value, float) else value


def plain(value: Value) -> Any:
    """A value as TOML and JSON have it: tuples as lists."""
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def text_of(value: Value) -> str:
    """What tells values apart: 1, 1.0, true and "1" are four values."""
    return json.dumps(plain(value), ensure_ascii=False)


@dataclass(frozen=True)
class Choices:
    """One of a list of values."""

    values: tuple[Value, ...]
    when: Conditions = ()

    @property
    def size(self) -> int:
        """How many values it can have."""
        return len(self.values)

    def nearest(self, value: Value) -> Value:
        """The choice that equals `value`, as it was written."""
        return self.values[self.values.index(value)]

    def has(self, value: Value) -> bool:
        """Whether it can have this value."""
        return text_of(value) in map(text_of, self.values)

    def sample(self, generator: np.random.Generator) -> Value:
        """Draw a choice; all are equally likely."""
        return self.values[int(generator.integers(self.size))]

    def narrowed(self, _around: Value, _by: float) -> Choices:
        """Itself: choices are no nearer or farther from each other."""
        return self

    def written(self) -> Any:
        """The form that is written in a suite."""
        return {"choices": plain(self.values), **_written_when(self.when)} if self.when else plain(self.values)


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included.

    Where both are whole numbers (and the step, if there is one), so are all between them.
    """

    low: Number
    high: Number
    log: bool = False
    """Whether equal factors count as equally far, and not equal differences."""
    step: Number | None = None
    """Distance of neighbouring values; on a log range the factor between them. None: any number."""
    alternative: Value | None = None
    """A value outside of the range that is possible too: `or` in a suite."""
    when: Conditions = ()

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int)

    @functools.cached_property
    def steps(self) -> int | None:
        """How many numbers the range has, or None where it is continuous."""
        if self.step is None:
            return int(self.high - self.low) + 1 if self.whole else None
        low, high, step = (Decimal(repr(number)) for number in (self.low, self.high, self.step))
        if not self.log:
            return int((high - low) / step) + 1
        return round(math.log(high / low) / math.log(step)) + 1

    @property
    def size(self) -> int | None:
        """How many values it can have, the alternative among them, or None where it is continuous."""
        return None if self.steps is None else self.steps + (self.alternative is not None)

    @functools.cached_property
    def values(self) -> tuple[Value, ...]:
        """All values in order, the alternative last; of a range with steps or of whole numbers only."""
        numbers = tuple(self._number(index) for index in range(cast("int", self.steps)))
        return numbers if self.alternative is None else (*numbers, self.alternative)

    def nearest(self, value: Value) -> Value:
        """The possible value that is closest to `value`."""
        if self.alternative is not None and text_of(value) == text_of(self.alternative):
            return self.alternative
        number = min(max(value, self.low), self.high)
        if self.step is not None:
            return self._number(round(self._index(number)))
        return round(number) if self.whole else float(number)

    def has(self, value: Value) -> bool:
        """Whether it can have this value."""
        if self.alternative is not None and text_of(value) == text_of(self.alternative):
            return True
        if type(value) is not type(self.low):
            return False
        return bool(self.low <= value <= self.high and self.nearest(value) == value)

    def sample(self, generator: np.random.Generator) -> Value:
        """Draw a value.

        The numbers of a range are equally likely, on a log range their logarithms. Where there are steps, the
        alternative is one value among the others; where there are none, it is drawn half of the time.
        """
        if self.step is not None:
            index = int(generator.integers(cast("int", self.size)))
            return self.alternative if index == self.steps else self._number(index)
        if self.alternative is not None and generator.random() < 0.5:
            return self.alternative
        # A whole number stands for the unit interval around it, so that the ends are as likely as the others.
        margin = 0.5 if self.whole else 0.0
        low, high = self._scaled(self.low - margin), self._scaled(self.high + margin)
        return self.nearest(self._unscaled(generator.uniform(low, high)))

    def narrowed(self, around: Value, by: float) -> Range:
        """The part of the range around a value that is `by` times narrower; on a log range, in logarithms.

        It is cut off at the range's ends. A range of steps or whole numbers keeps at least the neighbours of the
        value. Around the alternative nothing narrows, since it is nowhere in the range.
        """
        if self.alternative is not None and text_of(around) == text_of(self.alternative):
            return self
        if self.step is not None:
            last, index = cast("int", self.steps) - 1, round(self._index(around))
            reach = max(1, math.floor(last / (2 * by)))
            return replace(self, low=self._number(max(0, index - reach)), high=self._number(min(last, index + reach)))
        half = (self._scaled(self.high) - self._scaled(self.low)) / (2 * by)
        low, high = (self._unscaled(self._scaled(around) + side) for side in (-half, half))
        if self.whole:
            low, high = min(round(low), around - 1), max(round(high), around + 1)
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def written(self) -> dict[str, Any]:
        """The form that is written in a suite."""
        table: dict[str, Any] = {"log" if self.log else "linear": [self.low, self.high]}
        table |= {} if self.step is None else {"step": self.step}
        table |= {} if self.alternative is None else {"or": plain(self.alternative)}
        return table | _written_when(self.when)

    def _number(self, index: int) -> Number:
        """The number that is `index` steps from the low end; in decimals, so that 3 steps of 0.1 are 0.3."""
        if self.log and index == cast("int", self.steps) - 1:
            return self.high
        low, step = Decimal(repr(self.low)), Decimal(repr(1 if self.step is None else self.step))
        number = low * step**index if self.log and self.step is not None else low + index * step
        return int(number) if self.whole else float(number)

    def _index(self, number: Number) -> float:
        """How many steps a number is from the low end."""
        step = cast("Number", self.step)
        return math.log(number / self.low, step) if self.log else (number - self.low) / step

    def _scaled(self, number: Number) -> float:
        return math.log(number) if self.log else float(number)

    def _unscaled(self, number: float) -> float:
        return math.exp(number) if self.log else number


Parameter = Choices | Range


def parse_parameter(path: str, written: Any) -> Parameter:
    """Read what a suite says of one setting.

    Args:
        path: the setting, such as `train.learning_rate`.
        written: a list of choices, or a table with `linear`, `log` or `choices`, and `step`, `or`, `when`.

    Raises:
        TuningError: it cannot be searched; `when` is checked for its form only, since the others are not known here.
    """
    problems: list[Problem] = []
    table: Any = {"choices": written} if isinstance(written, list | tuple) else written
    kinds = ("linear", "log", "choices")
    if not isinstance(table, Mapping) or sum(kind in table for kind in kinds) != 1:
        if isinstance(table, Mapping):
            problems += _unknown_keys(path, table, (*kinds, "step", "or", "when"))
        allowed = "a list of choices, or a table with one of linear, log and choices"
        raise TuningError(problems or [Problem(dotted(path), "no range and no choices", as_written(written), allowed)])
    kind = next(kind for kind in kinds if kind in table)
    keys = ("choices", "when") if kind == "choices" else (kind, "step", "or", "when")
    problems += _unknown_keys(path, table, keys)
    problems += _problems_of_when(path, table.get("when", {}))
    problems += _problems_of_choices(path, table) if kind == "choices" else _problems_of_range(path, kind, table)
    if problems:
        raise TuningError(problems)
    when = tuple(
        (name, tuple(sorted(_listed(values), key=text_of))) for name, values in sorted(table.get("when", {}).items())
    )
    if kind == "choices":
        return Choices(_alike(table["choices"]), when)
    low, high = table[kind]
    step = table.get("step")
    if not all(type(number) is int for number in (low, high, step) if number is not None):
        low, high, step = float(low) + 0.0, float(high) + 0.0, None if step is None else float(step)
    alternative = frozen(table.get("or"))
    if type(low) is float and type(alternative) is int:
        alternative = float(alternative)
    return Range(low, high, kind == "log", step, alternative, when)


def _unknown_keys(path: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> list[Problem]:
    return [unknown(dotted(path, key), "key", key, keys) for key in table if key not in keys]


def _problems_of_choices(path: str, table: Mapping[str, Any]) -> list[Problem]:
    values = table["choices"]
    where = dotted(path)
    if not isinstance(values, list | tuple):
        return [Problem(where, "choices that are no list", as_written(values), "a list")]
    if not values:
        return [Problem(where, "no choices", "[]", "at least one")]
    wrong = [value for value in values if not _is_value(value)]
    if wrong:
        allowed = "text, finite numbers, true, false, and lists of them"
        return [Problem(where, "wrong type of choice", as_written(value), allowed) for value in wrong]
    return _repeated(where, "choice", _alike(values))


def _problems_of_range(path: str, kind: str, table: Mapping[str, Any]) -> Iterator[Problem]:
    where, ends = dotted(path, kind), table[kind]
    pair = isinstance(ends, list | tuple) and len(ends) == 2 and all(map(_is_number, ends))
    if not pair:
        yield Problem(where, "no range", as_written(ends), "its two ends, finite numbers: [low, high]")
        return
    low, high = ends
    if low == high:
        yield Problem(where, "an empty range", as_written(ends), "a low end below the high end")
    elif low > high:
        yield Problem(where, "a range upside down", as_written(ends), f"[{as_written(high)}, {as_written(low)}]")
    elif kind == "log" and low <= 0:
        yield Problem(where, "a log range from zero or below", as_written(ends), "a low end above 0")
    else:
        if "step" in table:
            yield from _problems_of_step(dotted(path, "step"), kind == "log", low, high, table["step"])
        if "or" in table:
            yield from _problems_of_alternative(dotted(path, "or"), low, high, table["or"])


def _problems_of_step(where: str, log: bool, low: Number, high: Number, step: Any) -> Iterator[Problem]:
    if not _is_number(step) or step <= (1 if log else 0):
        yield Problem(where, "no step", as_written(step), "a factor above 1" if log else "a number above 0")
        return
    if log:
        steps = math.log(high / low) / math.log(step)
        fits = abs(steps - round(steps)) < 1e-9
    else:
        start, end, each = (Decimal(repr(number)) for number in (low, high, step))
        steps = float((end - start) / each)
        fits = (end - start) % each == 0
    if not fits:
        yield Problem(where, "a step that does not fit the range", as_written(step), _steps_that_fit(log, low, high))
    elif steps > MOST_STEPS:
        yield Problem(where, f"a step so small that there are more than {MOST_STEPS:,}", as_written(step), "no step")


def _steps_that_fit(log: bool, low: Number, high: Number) -> str:
    if log:
        return f"a root of {high / low:g}, such as {high / low:g} or {math.sqrt(high / low)!r}"
    width = Decimal(repr(high)) - Decimal(repr(low))
    return f"a fraction of {width}, such as {width / 2} or {width / 4}"


def _problems_of_alternative(where: str, low: Number, high: Number, value: Any) -> Iterator[Problem]:
    if not _is_value(value):
        yield Problem(where, "wrong type", as_written(value), "text, a finite number, true, false, or a list of them")
    elif _is_number(value) and low <= value <= high:
        yield Problem(where, "a value that the range has already", as_written(value), "a value outside of the range")


def _problems_of_when(path: str, when: Any) -> list[Problem]:
    where = dotted(path, "when")
    if not isinstance(when, Mapping):
        return [Problem(where, "wrong type", as_written(when), "a table: other parameters and their values")]
    problems = []
    for name, values in when.items():
        if isinstance(values, list | tuple) and not values:
            problems.append(Problem(dotted(path, "when", name), "no value", "[]", "at least one"))
        problems += _repeated(dotted(path, "when", name), "value", _listed(values))
    return problems


def _repeated(where: str, kind: str, values: tuple[Value, ...]) -> list[Problem]:
    texts = [text_of(value) for value in values]
    repeated = {text for text in texts if texts.count(text) > 1}
    return [Problem(where, f"the same {kind} twice", text) for text in sorted(repeated)]


def _listed(values: Any) -> tuple[Value, ...]:
    return frozen(values) if isinstance(values, list | tuple) else (frozen(values),)


def _alike(values: Any) -> tuple[Value, ...]:
    """Choices as values; where all are numbers and one is a fraction, all are fractions, so that 1 is 1.0."""
    if all(map(_is_number, values)) and any(type(value) is float for value in values):
        return tuple(float(value) + 0.0 for value in values)
    return cast("tuple[Value, ...]", frozen(values))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_value(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_value, value))
    return isinstance(value, str | bool) or _is_number(value)


def _written_when(when: Conditions) -> dict[str, Any]:
    return {"when": {name: plain(values) for name, values in when}} if when else {}
