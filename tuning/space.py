"""The search space: which settings are searched, what each may be, and on which others it depends."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from tuning.errors import Problem, TuningError, as_written, dotted, unknown
from tuning.parameters import (
    Choices,
    Conditions,
    Parameter,
    Range,
    Value,
    frozen,
    of_python,
    parse_parameter,
    plain,
    text_of,
)

if TYPE_CHECKING:
    import keras_tuner

Point = dict[str, Any]
"""Path -> value, of every parameter that has one there; those whose condition is not met are left out."""

WITHIN = "in the range"
"""What Keras Tuner chooses where a value is drawn from the range and is not the alternative."""


@dataclass(frozen=True)
class Space:
    """Parameters by path; each after those that it depends on, and else by name, whatever order they were written in.

    Made by `parse_space`, which checks it.
    """

    parameters: Mapping[str, Parameter]

    def written(self) -> dict[str, Any]:
        """The form that is written in a suite; `parse_space` reads it."""
        return {path: parameter.written() for path, parameter in self.parameters.items()}

    @property
    def continuous(self) -> list[str]:
        """The paths with infinitely many values."""
        return [path for path, parameter in self.parameters.items() if parameter.size is None]

    @functools.cached_property
    def size(self) -> int | None:
        """The number of its points, or None where there are infinitely many."""
        if self.continuous:
            return None
        return math.prod(map(self._size_of, self._groups()))

    def points(self) -> Iterator[Point]:
        """All points of a finite space; the values of the last parameter change fastest.

        Raises:
            TuningError: it has infinitely many.
        """
        if self.continuous:
            raise TuningError(Problem(dotted(path), "infinitely many values") for path in self.continuous)
        return self._points_from({}, list(self.parameters))

    def has(self, point: Mapping[str, Any]) -> bool:
        """Whether this is a point: a possible value for each parameter whose conditions are met, and nothing else."""
        point = of_python(point)
        active = self._point(lambda path, _: point.get(path))
        return set(point) == set(active) and all(
            self.parameters[path].has(frozen(value)) for path, value in point.items()
        )

    def sample(self, generator: np.random.Generator) -> Point:
        """Draw a point, each parameter by itself: see `Range.sample`."""
        return self._point(lambda _, parameter: parameter.sample(generator))

    def _point(self, value_of: Callable[[str, Parameter], Value]) -> Point:
        """The values of the parameters whose conditions are met, each by those before it."""
        point: Point = {}
        for path, parameter in self.parameters.items():
            if _is_met(parameter, point):
                point[path] = plain(value_of(path, parameter))
        return point

    def narrowed(self, around: Mapping[str, Any], by: float) -> Space:
        """The part of the space around a point in which each range is `by` times narrower: the next, finer round.

        Choices stay, and so do parameters that others depend on, and those that have no value at this point.

        Raises:
            TuningError: `around` is no point of this space, or `by` is not more than 1.
        """
        if not by > 1:
            raise TuningError([Problem("by", "a factor that does not narrow", as_written(by), "a number above 1")])
        if not self.has(around):
            raise TuningError([Problem("around", "no point of this space", as_written(dict(around)))])
        ranges = {
            path: parameter.narrowed(frozen(around[path]), by)
            for path, parameter in self.parameters.items()
            if path in around and path not in self._parents
        }
        return Space(MappingProxyType({**self.parameters, **ranges}))

    def to_keras_tuner(self, *, by_value: bool = False) -> keras_tuner.HyperParameters:
        """The space as Keras Tuner has it, with its conditions.

        What has steps becomes a `Choice`, since a `Float` of Keras Tuner 1.4.8 with step 0.1 ends at 0.5 when it
        should at 0.6. Its choices are of one type; others are given as their JSON. A range with an alternative
        becomes two parameters: `<path>/or`, and the range on condition that it is chosen there.

        Args:
            by_value: make choices of all that is finite, as grids need it: Keras Tuner tries ten values of a range.
        """
        import keras_tuner

        known = keras_tuner.HyperParameters()
        known.merge([each for path in self.parameters for each in self._declared(path, by_value)])
        return known

    def point_from(self, values: Mapping[str, Any]) -> Point:
        """The point that values of Keras Tuner stand for; a value that rounding took out of its range is put back."""
        return self._point(lambda path, _: self._value_from(path, values))

    def values_from(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The values that Keras Tuner has at a point: the inverse of `point_from`."""
        values: dict[str, Any] = {}
        for path, value in point.items():
            parameter = self.parameters[path]
            if not _has_arms(parameter):
                values[path] = self._label(path, value)
            elif parameter.is_alternative(value):
                values[f"{path}/or"] = text_of(value)
            else:
                values |= {f"{path}/or": WITHIN, path: value}
        return values

    @functools.cached_property
    def _labels(self) -> dict[str, dict[Any, Value]]:
        return {path: _labelled(each) for path, each in self.parameters.items() if _as_choice(each)}

    @functools.cached_property
    def _label_of(self) -> dict[str, dict[str, Any]]:
        return {
            path: {text_of(value): label for label, value in labels.items()} for path, labels in self._labels.items()
        }

    def _label(self, path: str, value: Value) -> Any:
        """A value as Keras Tuner has it."""
        return self._label_of[path][text_of(value)] if path in self._labels else value

    def _value_from(self, path: str, values: Mapping[str, Any]) -> Value:
        if path in self._labels:
            return self._labels[path][values[path]]
        parameter = self.parameters[path]
        assert isinstance(parameter, Range)  # all choices have labels
        if _has_arms(parameter) and values[f"{path}/or"] != WITHIN:
            return parameter.alternative
        return parameter.nearest(values[path])

    @functools.cached_property
    def _parents(self) -> dict[str, tuple[Value, ...]]:
        """The parameters that others depend on, with their values that matter to them."""
        conditions = [pair for parameter in self.parameters.values() for pair in parameter.when]
        found: dict[str, dict[str, Value]] = {path: {} for path in self.parameters}
        for path, values in conditions:
            found[path] |= {text_of(value): value for value in values}
        return {path: tuple(values.values()) for path, values in found.items() if values}

    def _groups(self) -> list[list[str]]:
        """The paths, those together that conditions link; the number of points is the product of the groups'."""
        groups: list[set[str]] = []
        for path, parameter in self.parameters.items():
            linked = {path, *(name for name, _ in parameter.when)}
            touched = [group for group in groups if group & linked]
            groups = [group for group in groups if group not in touched] + [linked.union(*touched)]
        return [self._in_order(group) for group in groups]

    def _ancestors(self, path: str) -> list[str]:
        """The parameters on which one depends, and those on which these depend."""
        found = {name for name, _ in self.parameters[path].when}
        for other in reversed(list(self.parameters)):  # each comes after those that it depends on
            found |= {name for name, _ in self.parameters[other].when} if other in found else set()
        return self._in_order(found)

    def _in_order(self, paths: set[str]) -> list[str]:
        return [path for path in self.parameters if path in paths]

    def _size_of(self, group: list[str]) -> int:
        """How many points there are of the parameters of a group alone."""
        parents = [path for path in group if path in self._parents]
        others = [self.parameters[path] for path in group if path not in self._parents]
        return sum(
            times * math.prod(cast("int", each.size) for each in others if _is_met(each, values))
            for values, times in self._cases({}, parents)
        )

    def _can_be_met(self, path: str) -> bool:
        """Whether there are points at which a parameter has a value."""
        parameter = self.parameters[path]
        return any(_is_met(parameter, values) for values, _ in self._cases({}, self._ancestors(path)))

    def _cases(self, values: Point, parents: list[str]) -> Iterator[tuple[Point, int]]:
        """All that parameters on which others depend can be, in groups that make no difference to those, with sizes."""
        if not parents:
            yield values, 1
            return
        path, *others = parents
        parameter = self.parameters[path]
        if not _is_met(parameter, values):
            yield from self._cases(values, others)
            return
        for value in self._parents[path]:
            yield from self._cases({**values, path: value}, others)
        rest = 1 if parameter.size is None else parameter.size - len(self._parents[path])
        if rest:
            for case, times in self._cases({**values, path: None}, others):
                yield case, times * rest

    def _points_from(self, point: Point, paths: list[str]) -> Iterator[Point]:
        if not paths:
            yield point
            return
        path, *others = paths
        parameter = self.parameters[path]
        if not _is_met(parameter, point):
            yield from self._points_from(point, others)
            return
        for value in parameter.values:
            yield from self._points_from({**point, path: plain(value)}, others)

    def _declared(self, path: str, by_value: bool) -> Iterator[Any]:
        """Keras Tuner's hyperparameters for one parameter."""
        from keras_tuner.engine import hyperparameters

        parameter = self.parameters[path]
        conditions = [self._condition(name, values) for name, values in parameter.when]
        if _as_choice(parameter) or (by_value and parameter.size is not None and not _has_arms(parameter)):
            yield hyperparameters.Choice(path, list(_labelled(parameter)), conditions=conditions)
            return
        assert isinstance(parameter, Range)
        if _has_arms(parameter):
            arms = [WITHIN, text_of(parameter.alternative)]
            yield hyperparameters.Choice(f"{path}/or", arms, conditions=conditions)
            conditions = [*conditions, _parent(f"{path}/or", [WITHIN])]
        if by_value and parameter.whole:
            numbers = list(replace(parameter, alternative=None).values)
            yield hyperparameters.Choice(path, numbers, conditions=conditions)
            return
        kind = hyperparameters.Int if parameter.whole else hyperparameters.Float
        sampling = "log" if parameter.log else "linear"
        yield kind(path, parameter.low, parameter.high, sampling=sampling, conditions=conditions)

    def _condition(self, path: str, values: tuple[Value, ...]) -> Any:
        parameter = self.parameters[path]
        if not _has_arms(parameter):
            return _parent(path, [self._label(path, value) for value in values])
        if parameter.is_alternative(values[0]):
            return _parent(f"{path}/or", [text_of(values[0])])
        return _parent(path, list(values))


def parse_space(table: Mapping[str, Any]) -> Space:
    """Read a search space in the form in which a suite has it.

    ```toml
    "train.learning_rate" = { log = [1e-4, 1e-1] }
    "train.weight_decay" = { log = [1e-6, 1e-2], or = 0 }
    "model.dropout" = { linear = [0.0, 0.6], step = 0.1 }
    "model.width" = { log = [16, 256], step = 2 }            # whole numbers, since both ends are
    "train.optimizer" = ["momentum", "adam"]
    "train.momentum" = { linear = [0.8, 0.99], when = { "train.optimizer" = "momentum" } }
    "train.nesterov" = { choices = [true, false], when = { "train.optimizer" = ["momentum"] } }
    ```

    Both ends of a range belong to it. Where both are whole numbers (and the step, if there is one), its values are the
    whole numbers between them: [1, 4] is 1, 2, 3 and 4. With a step they are the low end and every step after it, of
    which one must be the high end: [1, 10] in steps of 3 is 1, 4, 7 and 10. One fraction among them, such as [1, 4.0],
    makes all of them fractions; without a step, then any number in between is a value.

    Raises:
        TuningError: with each problem and its path: nothing to search, a range that is none, a step that does not fit,
            an unknown key, a condition that cannot be met, conditions in a circle, the same choice twice.
    """
    if not isinstance(table, Mapping) or not table:
        raise TuningError([Problem("", "an empty search space", as_written(table), "at least one setting to search")])
    parameters: dict[str, Parameter] = {}
    problems: list[Problem] = []
    for path, written in of_python(table).items():
        try:
            parameters[path] = parse_parameter(path, written)
        except TuningError as error:
            problems += error.problems
    if problems:
        raise TuningError(problems)
    parameters = {path: replace(each, when=_typed(each.when, parameters)) for path, each in parameters.items()}
    problems = [each for path in parameters for each in _problems_of_conditions(path, parameters)]
    if problems:
        raise TuningError(problems)
    space = Space(MappingProxyType(_ordered(parameters)))
    never = [path for path in sorted(parameters) if not space._can_be_met(path)]
    if never:
        message = "conditions that are never met together"
        raise TuningError(Problem(dotted(path, "when"), message) for path in never)
    return space


def _typed(when: Conditions, parameters: Mapping[str, Parameter]) -> Conditions:
    """Conditions as the parameters that they are on have their values: 0 is 0.0 where these are fractions."""
    return tuple((name, _as_in(parameters[name], values) if name in parameters else values) for name, values in when)


def _as_in(parent: Parameter, values: tuple[Value, ...]) -> tuple[Value, ...]:
    fractions = [type(each) is int and not parent.has(each) and parent.has(float(each)) for each in values]
    typed = [float(each) if is_fraction else each for each, is_fraction in zip(values, fractions, strict=True)]
    by_text = {text_of(each): each for each in typed}
    return tuple(by_text[text] for text in sorted(by_text))


def _problems_of_conditions(path: str, parameters: Mapping[str, Parameter]) -> Iterator[Problem]:
    for name, values in parameters[path].when:
        where = dotted(path, "when", name)
        others = [other for other in parameters if other != path]
        if name not in others:
            yield unknown(where, "other parameter", name, others)
            continue
        parent = parameters[name]
        wrong = [value for value in values if not parent.has(value)]
        for value in wrong:
            yield Problem(where, f"a value that {name} cannot have", as_written(plain(value)), _told(parent))
        of_range, given = {not parent.is_alternative(value) for value in values}, as_written(plain(values))
        if not wrong and parent.size is None and True in of_range:
            message = f"a single value of a continuous range, which {name} has by chance only"
            allowed = f"parameters with choices or steps{_or_alternative(parent)}"
            yield Problem(where, message, given, allowed)
        elif not wrong and _has_arms(parent) and len(of_range) > 1:
            yield Problem(where, "the alternative mixed with values of the range", given, "one kind")


def _told(parameter: Parameter) -> str:
    if isinstance(parameter, Choices) or parameter.step is not None:
        return ", ".join(map(text_of, parameter.values))
    kind = "whole numbers" if parameter.whole else "numbers"
    return f"{kind} from {parameter.low} to {parameter.high}{_or_alternative(parameter)}"


def _or_alternative(parameter: Parameter) -> str:
    return "" if parameter.alternative is None else f", or {text_of(parameter.alternative)}"


def _ordered(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Each parameter after those that it depends on, and else by name.

    Raises:
        TuningError: some depend on each other in a circle.
    """
    ordered: dict[str, Parameter] = {}
    waiting = sorted(parameters)
    while waiting:
        ready = [path for path in waiting if all(name in ordered for name, _ in parameters[path].when)]
        if not ready:
            message = "conditions in a circle, so that none of them can be decided first"
            raise TuningError([Problem(dotted(waiting[0], "when"), message, " and ".join(waiting))])
        ordered[ready[0]] = parameters[ready[0]]
        waiting.remove(ready[0])
    return ordered


def _is_met(parameter: Parameter, values: Mapping[str, Any]) -> bool:
    """Whether a parameter has a value where those before it have these."""
    return all(name in values and text_of(values[name]) in map(text_of, allowed) for name, allowed in parameter.when)


def _as_choice(parameter: Parameter) -> bool:
    """Whether Keras Tuner is told all the values."""
    return isinstance(parameter, Choices) or parameter.step is not None


def _has_arms(parameter: Parameter) -> bool:
    """Whether Keras Tuner first chooses between a range and its alternative."""
    return not _as_choice(parameter) and parameter.alternative is not None


def _labelled(parameter: Parameter) -> dict[Any, Value]:
    """The values by what Keras Tuner has for them: its choices are all texts, all whole numbers or all fractions."""
    native = {type(value) for value in parameter.values} in ({str}, {int}, {float})
    return {value if native else text_of(value): value for value in parameter.values}


def _parent(name: str, values: list[Any]) -> Any:
    from keras_tuner.src.engine.conditions import Parent  # it is in no public module

    return Parent(name, values)
