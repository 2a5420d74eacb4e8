"""What one setting may be during a search: a range, or one of a list of choices; read and checked."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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


def of_python(value: Any) -> Any:
    """What is written with NumPy's numbers and arrays, in Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: of_python(each) for name, each in value.items()}
    return type(value)(map(of_python, value)) if type(value) in (list, tuple) else value


def frozen(value: Any) -> Value:
    """A value in the form that is compared and hashed: of Python, lists as tuples, and no negative zero."""
    value = of_python(value)
    if isinstance(value, list | tuple):
        return tuple(frozen(each) for each in value)
    return value + 0.0 if isinstance(value, float) else value


def plain(value: Value) -> Any:
    """A value as TOML and JSON have it: tuples as lists."""
    return [plain(each) for each in value] if isinstance(value, tuple) else value


def text_of(value: Value) -> str:
    """What tells values apart: 1, 1.0, true and "1" are four values."""
    return json.dumps(plain(value), ensure_ascii=False)


class _Parameter:
    alternative: Value | None = None

    def is_alternative(self, value: Value) -> bool:
        """Whether a value is the one outside of the range."""
        return self.alternative is not None and text_of(value) == text_of(self.alternative)


@dataclass(frozen=True)
class Choices(_Parameter):
    """One of a list of values."""

    values: tuple[Value, ...]
    when: Conditions = ()

    @property
    def size(self) -> int:
        """How many values it can have."""
        return len(self.values)

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
class Range(_Parameter):
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
    numbers: tuple[Number, ...] = field(default=(), compare=False)
    """All numbers of a range with steps; those of a narrowed range are the same to the last digit."""

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int)

    @property
    def size(self) -> int | None:
        """How many values it can have, the alternative among them, or None where it is continuous."""
        if self.step is None and not self.whole:
            return None
        steps = len(self.numbers) if self.step is not None else int(self.high - self.low) + 1
        return steps + (self.alternative is not None)

    @functools.cached_property
    def values(self) -> tuple[Value, ...]:
        """All values in order, the alternative last; of a range with steps or of whole numbers only."""
        numbers = self.numbers or tuple(range(int(self.low), int(self.high) + 1))
        return numbers if self.alternative is None else (*numbers, self.alternative)

    def nearest(self, value: Value) -> Value:
        """The possible value that is closest to `value`."""
        if self.is_alternative(value):
            return self.alternative
        number = min(max(value, self.low), self.high)
        if self.step is not None:
            return self.numbers[self._index(number)]
        return round(number) if self.whole else float(number)

    def has(self, value: Value) -> bool:
        """Whether it can have this value."""
        if self.is_alternative(value):
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
            return self.values[int(generator.integers(len(self.values)))]
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
        if self.is_alternative(around):
            return self
        if self.step is not None:
            index, reach = self._index(around), max(1, math.floor((len(self.numbers) - 1) / (2 * by)))
            kept = self.numbers[max(0, index - reach) : index + reach + 1]
            return replace(self, low=kept[0], high=kept[-1], numbers=kept)
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

    def _index(self, number: Number) -> int:
        """How many steps a number is from the low end, to the nearest."""
        step = cast("Number", self.step)
        width = self._scaled(number) - self._scaled(self.low)
        return round(width / (math.log(step) if self.log else step))

    def _scaled(self, number: Number) -> float:
        return math.log(number) if self.log else float(number)

    def _unscaled(self, number: float) -> float:
        return math.exp(number) if self.log else number


Parameter = Choices | Range


def parse_parameter(path: str, written: Any) -> Parameter:
    """Read what a suite says of one setting.

    It is a list of choices, or a table with `linear`, `log` or `choices`, and `step`, `or`, `when`.

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
    log, (low, high), step = kind == "log", table[kind], table.get("step")
    if not all(type(number) is int for number in (low, high, step) if number is not None):
        low, high, step = float(low) + 0.0, float(high) + 0.0, None if step is None else float(step)
    alternative = frozen(table.get("or"))
    if type(low) is float and type(alternative) is int:
        alternative = float(alternative)
    numbers = () if step is None else _numbers(log, low, high, step)
    return Range(low=low, high=high, log=log, step=step, alternative=alternative, when=when, numbers=numbers)


def _numbers(log: bool, low: Number, high: Number, step: Number) -> tuple[Number, ...]:
    """The numbers of a range with steps; in decimals, so that 3 steps of 0.1 are 0.3."""
    between = range(1, round(_steps(log, low, high, step)))
    if isinstance(low, int):
        return low, *(int(low * step**index if log else low + index * step) for index in between), high
    start, each = Decimal(repr(low)), Decimal(repr(step))
    if not log:
        return low, *(float(start + index * each) for index in between), high
    # A step is often a rounded root: two of sqrt(10) are 10 and not 10.000000000000002.
    return low, *(float(f"{start * each**index:.12g}") for index in between), high


def _steps(log: bool, low: Number, high: Number, step: Number) -> float:
    """How many steps lie between the ends, whether they fit or not."""
    if log:
        return (math.log(high) - math.log(low)) / math.log(step)
    start, end, each = (Decimal(repr(number)) for number in (low, high, step))
    return float((end - start) / each)


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
        return [Problem(where, "wrong type of choice", as_written(value), _VALUES) for value in wrong]
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
    elif not _is_number(high - low):
        yield Problem(where, "a range too wide for its width to be a number", as_written(ends), "ends closer together")
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
    steps = _steps(log, low, high, step)
    if steps > MOST_STEPS:
        yield Problem(where, f"a step so small that there are more than {MOST_STEPS:,}", as_written(step), "no step")
        return
    start, end, each = (Decimal(repr(number)) for number in (low, high, step))
    if log:
        fits = abs(steps - round(steps)) < 1e-9
        allowed = f"a root of {high} / {low}, such as {float((end / start).sqrt())!r}"
    else:
        fits, width = (end - start) % each == 0, end - start
        allowed = f"a fraction of {width}, such as {width / 2} or {width / 4}"
    if not fits:
        yield Problem(where, "a step that does not fit the range", as_written(step), allowed)


def _problems_of_alternative(where: str, low: Number, high: Number, value: Any) -> Iterator[Problem]:
    if not _is_value(value):
        yield Problem(where, "wrong type", as_written(value), _VALUES)
    elif _is_number(value) and low <= value <= high:
        yield Problem(where, "a value that the range has already", as_written(value), "a value outside of the range")


def _problems_of_when(path: str, when: Any) -> list[Problem]:
    where = dotted(path, "when")
    if not isinstance(when, Mapping):
        return [Problem(where, "wrong type", as_written(when), "a table: other parameters and their values")]
    problems = []
    for name, values in when.items():
        where = dotted(path, "when", name)
        if not _is_value(values):
            problems.append(Problem(where, "wrong type", as_written(values), _VALUES))
        elif values in ([], ()):
            problems.append(Problem(where, "no value", "[]", "at least one"))
        else:
            problems += _repeated(where, "value", _listed(values))
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
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


_VALUES = "text, finite numbers, true, false, and lists of them"


def _is_value(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_value, value))
    return isinstance(value, str | bool) or _is_number(value)


def _written_when(when: Conditions) -> dict[str, Any]:
    return {"when": {name: plain(values) for name, values in when}} if when else {}
