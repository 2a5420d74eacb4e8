"""How a setting is declared, checked and reported: shared by every config in this project.

A config is a frozen class of settings. Each setting is declared once, with `setting(...)`: its default, its bounds and
one line of explanation. Named choices come from a plain table; `OneOf` annotates the type that accepts its names.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with what a person wrote."""

    path: str
    """Dotted path of the setting, such as `model.activation`; empty when the whole is meant."""
    message: str
    """What is wrong, as a clause."""
    given: str | None = None
    allowed: str | None = None
    nearest: str | None = None
    """The allowed thing that is closest to what was given."""

    def __str__(self) -> str:
        """One paragraph for a person: where, what, given, allowed, nearest."""
        lines = [f"{self.path}: {self.message}" if self.path else self.message]
        details = (("given", self.given), ("allowed", self.allowed), ("nearest", self.nearest))
        lines += [f"  {label + ':':9}{text}" for label, text in details if text is not None]
        return "\n".join(lines)

    def below(self, prefix: str) -> Problem:
        """The same problem, seen from a level further out."""
        return replace(self, path=".".join(part for part in (prefix, self.path) if part))


class SettingError(ValueError):
    """Settings that cannot be used; `problems` holds each thing that is wrong."""

    def __init__(self, problems: Iterable[Problem], source: str | None = None):
        self.problems = tuple(problems)
        self.source = source
        text = "\n".join(str(problem) for problem in self.problems)
        super().__init__(f"{source}:\n{text}" if source else text)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes to another process: by its parts, and not by its text."""
        return type(self), (self.problems, self.source)

    def below(self, prefix: str) -> SettingError:
        """The same error with every path put below `prefix`."""
        return SettingError((problem.below(prefix) for problem in self.problems), self.source)

    def within(self, source: str) -> SettingError:
        """The same error, naming the file it comes from."""
        return SettingError(self.problems, source)


def nearest(given: object, allowed: Iterable[str]) -> str | None:
    """The allowed name that is closest to `given`, or None where nothing is close."""
    by_lower = {name.lower(): name for name in allowed}
    wanted = str(given).lower()

    def closeness(name: str) -> tuple[float, int]:
        """Of names that are equally alike, the one that begins as it does is meant."""
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(name, wanted, strict=False))
        return difflib.SequenceMatcher(None, name, wanted).ratio(), len(list(alike))

    found = difflib.get_close_matches(wanted, by_lower, n=5, cutoff=0.5)
    return by_lower[max(found, key=closeness)] if found else None


def unknown(path: str, kind: str, given: object, allowed: Iterable[str]) -> Problem:
    """The problem of a name that stands in no table."""
    names = list(allowed)
    return Problem(path, f"no such {kind}", str(given), ", ".join(names), nearest(given, names))


class OneOf:
    """Annotates a text setting whose value is a name in a table: `Annotated[str, OneOf("activation", ACTIVATIONS)]`.

    Args:
        kind: what the table holds, in the singular, for error messages.
        table: its keys are the allowed names.
    """

    def __init__(self, kind: str, table: Mapping[str, object]):
        self.kind = kind
        self.table = table

    def check(self, value: str) -> str:
        """Give the value back if the table has it."""
        if value not in self.table:
            raise found_problems([unknown("", self.kind, value, self.table)])
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"enum": list(self.table)}


def setting(
    default: Any,
    explanation: str,
    *,
    shapes_program: bool = True,
    only_with: Mapping[str, tuple[Any, ...]] | None = None,
    not_with: Mapping[str, Any] | None = None,
    **bounds: Any,
) -> Any:
    """Declare one setting of a config.

    Args:
        default: the value it has when nobody sets it.
        explanation: one line for people; it is shown by the command line and by the JSON Schema.
        shapes_program: whether two runs that differ in this setting need separate compiled computations. Settings
            that only change numbers which are fed in (initial weights, learning rate, data) say False.
        only_with: other settings, and their values under which this one has an effect. Elsewhere it must stay at its
            default: a setting that is accepted and ignored would be reported as one that makes no difference.
        not_with: other settings, and the value under which this one has no effect.
        bounds: pydantic's constraints, such as `ge=0`.
    """
    declared: dict[str, Any] = {
        "shapes_program": shapes_program,
        "only_with": {name: list(values) for name, values in (only_with or {}).items()},
        "not_with": dict(not_with or {}),
    }
    return Field(default, description=explanation, json_schema_extra=declared, **bounds)


ListAsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Annotates a setting that is a tuple, and is written as a list."""


class OneOrMore:
    """Annotates a setting that is one whole number, or a list with one for each part: `Annotated[Any, OneOrMore(...)]`.

    Args:
        parts: what the list has an entry for, in the plural, for error messages.
        most: the largest number.
    """

    def __init__(self, parts: str, most: int):
        self.parts = parts
        self.most = most

    def check(self, value: object) -> int | tuple[int, ...]:
        """Give the number back, or the list as a tuple."""
        numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not numbers or not all(type(each) is int and 1 <= each <= self.most for each in numbers):
            allowed = f"a whole number from 1 to {self.most}, or a list of them, one for each of the {self.parts}"
            raise found_problems([Problem("", "wrong value", as_written(value), allowed)])
        return numbers if isinstance(value, list | tuple) else numbers[0]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        number = {"type": "integer", "minimum": 1, "maximum": self.most}
        return {"anyOf": [number, {"type": "array", "items": number, "minItems": 1}]}


class Settings(BaseModel):
    """Base of every config: frozen, nothing unknown, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    def __init__(self, /, **values: Any):
        """Check the values and freeze them.

        Raises:
            SettingError: a value is unknown, of the wrong type, out of range or clashes with another.
        """
        try:
            super().__init__(**{name: _plain(value) for name, value in values.items()})
        except ValidationError as error:
            raise SettingError(problems_from_pydantic(error, type(self).model_fields)) from None

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> Self:
        found = [
            Problem(name, f"no effect {reason}", as_written(getattr(self, name)), f"only {remedy}")
            for name, field in type(self).model_fields.items()
            if getattr(self, name) != field.default
            for reason, remedy in _without_effect(self, field.json_schema_extra)
        ]
        if found:
            raise found_problems(found)
        return self

    def changed(self, /, **values: Any) -> Self:
        """A copy with some settings replaced, checked as at construction."""
        return type(self)(**(self.model_dump() | values))

    def differing_from_default(self) -> dict[str, Any]:
        """The settings whose value is not their default, in plain values.

        This is what identifies a run: a setting that is added later, at a default that keeps what was before, leaves
        the identity of earlier runs as it was.
        """
        return self.model_dump(mode="json", exclude_defaults=True)

    def shaping_program(self) -> dict[str, Any]:
        """The settings that shape the compiled computation, in plain values."""
        shaping = {name for name, field in type(self).model_fields.items() if _shapes_program(field.json_schema_extra)}
        return self.model_dump(mode="json", include=shaping)


def _plain(value: Any) -> Any:
    """A value as Python has it: NumPy's numbers and arrays as numbers and lists, and -0.0 as 0.0.

    -0.0 equals 0.0 but is written otherwise, and a run is known by what is written.
    """
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return _plain(value.tolist())
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value + 0.0 if type(value) is float else value


def _shapes_program(extra: Any) -> bool:
    return bool((extra or {}).get("shapes_program", True))


def _without_effect(config: Settings, extra: Any) -> Iterator[tuple[str, str]]:
    """Why a setting that is declared with `extra` changes nothing in this config, and what would mend it."""
    for name, values in (extra or {}).get("only_with", {}).items():
        if getattr(config, name) not in values:
            found = as_written(getattr(config, name))
            yield f"with {name} = {found}", f"with {name} = {' or '.join(map(as_written, values))}"
    for name, value in (extra or {}).get("not_with", {}).items():
        if getattr(config, name) == value:
            yield f"with {name} = {as_written(value)}", f"with another {name} than {as_written(value)}"


_BOUNDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "pattern": "text like",
    "max_length": "length at most",
    "min_length": "length at least",
}

_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def problems_from_pydantic(error: ValidationError, names: Iterable[str]) -> list[Problem]:
    """Pydantic's findings as problems for people; `names` are the settings of the config that was to be made."""
    problems = []
    for details in error.errors(include_url=False):
        context = details.get("ctx", {})
        # Either this config's own validator found them, or a config inside this one was refused.
        found = context.get("problems") or getattr(context.get("error"), "problems", None)
        if found is None:
            problems.append(_problem_of(details, names))
        else:
            problems += [problem.below(dotted(details["loc"])) for problem in found]
    return problems


def _problem_of(details: ErrorDetails, names: Iterable[str]) -> Problem:
    kind, location = details["type"], details["loc"]
    path, given = dotted(location), as_written(details["input"])
    if kind == "extra_forbidden":
        return unknown(path, "key", location[-1], names)
    if kind == "missing":
        return Problem(path, "this key is required")
    if kind in _TYPES:
        return Problem(path, "wrong type", given, _TYPES[kind])
    bounds = [f"{_BOUNDS[name]} {bound}" for name, bound in details.get("ctx", {}).items() if name in _BOUNDS]
    return Problem(path, details["msg"][0].lower() + details["msg"][1:], given, " and ".join(bounds) or None)


def found_problems(problems: Iterable[Problem]) -> PydanticCustomError:
    """The error that a config's own validator raises for what it finds; `Settings` gives the problems on."""
    return PydanticCustomError("problems", "{problems}", {"problems": list(problems)})


def dotted(location: Iterable[str | int]) -> str:
    """A path as it would be written in TOML: `factors."model.activation"[1]`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part, ensure_ascii=False)
            text += f".{quoted}" if text else quoted
    return text


def as_written(value: object) -> str:
    """A value as it would be written in a suite, cut off where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # no JSON: a date, say, or a number of thousands of digits
        text = f"a {type(value).__name__}" if isinstance(value, int) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
