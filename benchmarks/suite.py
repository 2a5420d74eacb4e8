"""The suite file: its format, read and checked before anything is trained."""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import WithJsonSchema, model_validator

from benchmarks.errors import UserError
from benchmarks.settings import SECTIONS, VARIANT, Changes, RunSettings, setting_paths, settings_from
from zoo.settings import (
    OneOf,
    Problem,
    SettingError,
    Settings,
    as_written,
    dotted,
    found_problems,
    nearest,
    setting,
    unknown,
)

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"

DESIGNS: dict[str, str] = {
    "factorial": "every combination of levels",
    "one_factor": "the baseline, and each other level alone",
}
"""Every name that `design` accepts; `benchmarks.design` expands them."""

DesignName = Annotated[str, OneOf("design", DESIGNS)]

_LEVEL = {"type": ["boolean", "number", "string", "array"]}
_CELL = {"type": "object", "additionalProperties": _LEVEL, "minProperties": 1}
_SEEDS = {
    "oneOf": [
        {"type": "integer", "minimum": 1, "maximum": 100_000},
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "uniqueItems": True},
    ]
}
_FACTORS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "oneOf": [
            {"type": "array", "items": _LEVEL, "minItems": 2},
            {"type": "object", "additionalProperties": {"type": "object"}, "minProperties": 2},
        ]
    },
}

# Their shape is checked by `_problems_of`: pydantic's findings about unions are hard to read.
Seeds = Annotated[Any, WithJsonSchema(_SEEDS)]
Factors = Annotated[dict[str, Any], WithJsonSchema(_FACTORS)]
Assignment = Annotated[dict[str, Any], WithJsonSchema(_CELL)]
"""Factor -> level."""

_LARGEST_SEED = 2**31 - 1
_MOST_SEEDS = 100_000


@dataclass(frozen=True)
class Factor:
    """What a suite varies: a setting, or a named bundle of settings."""

    name: str
    levels: Mapping[str, Changes]
    """Label of the level -> the settings it changes, in the suite's order."""


class Suite(Settings):
    """A suite: base settings, factors, design, datasets and seeds."""

    name: str = setting(..., "Names the folder of the report.", pattern=NAME_PATTERN, max_length=64)
    question: str = setting("", "What the suite is meant to answer; heads the report.")
    datasets: list[str] = setting(..., "TFDS names; a version can be pinned as in `mnist:3.0.1`.", min_length=1)
    seeds: Seeds = setting(..., "Number of seeds, counted from 0, or a list of them.")
    design: DesignName = setting("factorial", "Which combinations of levels are run.")
    model: dict[str, Any] = setting({}, "Base settings of the model; `variant` names it, others replace its settings.")
    train: dict[str, Any] = setting({}, "Base settings of training.")
    data: dict[str, Any] = setting({}, "Base settings of data.")
    augment: dict[str, Any] = setting({}, "Base settings of augmentation, which acts on training examples alone.")
    factors: Factors = setting(
        ..., "Dotted setting -> list of levels, or a name -> bundles of settings by level name.", min_length=1
    )
    baseline: Assignment = setting({}, "Factor -> the level that others are compared with; else its first level.")
    exclude: list[Assignment] = setting([], "Cells to leave out: every cell that has all these levels.")
    include: list[Assignment] = setting([], "Cells to add; a factor that is not named is at its baseline.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = list(_problems_of(self))
        if problems:
            raise found_problems(problems)
        return self

    @property
    def seed_list(self) -> list[int]:
        """The seeds themselves."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def base(self) -> dict[str, Any]:
        """The base settings by dotted path."""
        return {f"{section}.{name}": value for section in SECTIONS for name, value in getattr(self, section).items()}

    @property
    def bases(self) -> list[dict[str, Any]]:
        """The base settings; where factors name models, once with each of these."""
        changes = [changes for factor in self.factor_list for changes in factor.levels.values()]
        variants = [each[VARIANT] for each in changes if VARIANT in each]
        return [self.base | {VARIANT: variant} for variant in variants] or [self.base]

    @property
    def factor_list(self) -> list[Factor]:
        """The factors, each level as the settings it changes."""
        return [Factor(name, _levels_of(name, levels)) for name, levels in self.factors.items()]

    @property
    def baseline_levels(self) -> dict[str, str]:
        """Factor -> label of its baseline level, for every factor."""
        return {
            factor.name: level_label(self.baseline[factor.name])
            if factor.name in self.baseline
            else next(iter(factor.levels))
            for factor in self.factor_list
        }

    def settings_at(self, levels: Mapping[str, str]) -> RunSettings:
        """The settings of the cell that has these levels.

        Raises:
            SettingError: the levels do not go together.
        """
        changes = self.base
        for factor in self.factor_list:
            changes |= factor.levels[levels[factor.name]]
        return settings_from(changes)


def parse_suite(text: str, source: str) -> Suite:
    """Check the text of a suite file.

    Args:
        text: the TOML.
        source: names the file in errors.

    Raises:
        UserError: it is no TOML.
        SettingError: what it says cannot be used; every problem found is listed, with its place.
    """
    try:
        values = tomllib.loads(text)
        problems = list(_odd_values((), values))
        if problems:
            raise SettingError(problems)
        return Suite(**values)
    except SettingError as error:
        raise error.within(source) from None
    except ValueError as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise UserError(f"{source}: not a TOML file: {error}") from None
    except RecursionError:
        raise UserError(f"{source}: tables or lists are nested too deeply") from None


def read_suite_text(path: Path) -> str:
    """The text of a suite file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a TOML file: it is not UTF-8 text") from None
    except FileNotFoundError:
        siblings = [str(path.with_name(other.name)) for other in path.parent.glob("*.toml")]
        closest = nearest(path, siblings)
        raise UserError(f"{path}: no such file" + (f"\n  nearest: {closest}" if closest else "")) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _odd_values(place: tuple[str | int, ...], value: object) -> Iterable[Problem]:
    """Values that TOML has and no setting takes: dates, infinities, and whole numbers beyond 64 bits."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _odd_values((*place, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_values((*place, index), item)
    elif isinstance(value, date | time):
        yield Problem(dotted(place), "a date or time, which no setting takes", str(value))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(dotted(place), "not a finite number", str(value))
    elif isinstance(value, int) and abs(value) >= 2**63:
        yield Problem(dotted(place), "a number too large", as_written(value), "whole numbers of at most 63 bits")


def level_label(level: object) -> str:
    """How a level is written in tables: as in TOML, text without its quotes."""
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, float):
        return repr(level).removesuffix(".0")
    if isinstance(level, list):
        return "[" + ", ".join(level_label(item) for item in level) + "]"
    return str(level)


def _levels_of(name: str, levels: Any) -> dict[str, Changes]:
    if isinstance(levels, dict):
        return dict(levels)
    return {level_label(level): {name: level} for level in levels}


def _problems_of(suite: Suite) -> Iterable[Problem]:
    yield from _repeated("datasets", suite.datasets)
    yield from _seed_problems(suite.seeds)
    shape = [problem for name, levels in suite.factors.items() for problem in _shape_problems(name, levels)]
    yield from shape
    if shape:
        return
    settings = [*_base_problems(suite)]
    settings = settings or [problem for factor in suite.factor_list for problem in _factor_problems(suite, factor)]
    yield from settings
    if settings:
        return
    yield from _double_problems(suite)
    yield from _assignment_problems(suite, ("baseline",), suite.baseline)
    for key, assignments in (("exclude", suite.exclude), ("include", suite.include)):
        for index, assignment in enumerate(assignments):
            if not assignment:
                yield Problem(dotted((key, index)), "an empty cell", "{}", "at least one factor with a level")
            yield from _assignment_problems(suite, (key, index), assignment)


def _seed_problems(seeds: object) -> Iterable[Problem]:
    allowed = f"a number of seeds from 1 to {_MOST_SEEDS}, or a list of different seeds from 0"
    if isinstance(seeds, list):
        wrong = [seed for seed in seeds if type(seed) is not int or not 0 <= seed <= _LARGEST_SEED]
        if wrong or not seeds:
            yield Problem("seeds", "no list of seeds", as_written(seeds), allowed)
        else:
            yield from _repeated("seeds", seeds)
    elif type(seeds) is not int or not 1 <= seeds <= _MOST_SEEDS:
        yield Problem("seeds", "no number of seeds", as_written(seeds), allowed)


def _shape_problems(name: str, levels: object) -> Iterable[Problem]:
    place = dotted(("factors", name))
    if isinstance(levels, dict):
        for label, bundle in levels.items():
            if not isinstance(bundle, dict) or not bundle:
                allowed = 'settings, such as { "train.optimizer" = "sgd" }'
                path = dotted(("factors", name, label))
                wrong = Problem(path, "no bundle of settings", as_written(bundle), allowed)
                yield _unquoted(path, name, {label: bundle}) or wrong
                continue
            for section, inner in bundle.items():
                hint = _unquoted(dotted(("factors", name, label, section)), section, inner)
                if hint:
                    yield hint
    elif isinstance(levels, list):
        if name not in setting_paths():
            yield unknown(place, "setting", name, setting_paths())
        yield from _repeated(place, [level_label(level) for level in levels])
    else:
        yield Problem(place, "no factor", as_written(levels), "a list of levels, or a table of named bundles")
        return
    if len(levels) < 2:
        given = "1 level" if levels else "no level"
        yield Problem(place, "a factor with fewer than two levels varies nothing", given, "at least two levels")


def _repeated(path: str, values: list[Any]) -> Iterable[Problem]:
    for index, value in enumerate(values):
        if value in values[:index]:
            yield Problem(f"{path}[{index}]", "given twice", level_label(value))


def _base_problems(suite: Suite) -> Iterable[Problem]:
    return _level_problems(suite, None, {})


def _factor_problems(suite: Suite, factor: Factor) -> Iterable[Problem]:
    is_bundle = isinstance(suite.factors[factor.name], dict)
    for index, (label, changes) in enumerate(factor.levels.items()):
        place = dotted(("factors", factor.name, label if is_bundle else index))
        for problem in _level_problems(suite, factor, changes):
            path = place if problem.path == factor.name else f"{place}: {problem.path}"
            yield Problem(path, problem.message, problem.given, problem.allowed, problem.nearest)


_SURROUNDINGS_TRIED = 256


def _level_problems(suite: Suite, factor: Factor | None, changes: Changes) -> Iterable[Problem]:
    """What is wrong with a level whatever the other factors are; what clashes in some cells only is found there."""
    refusals = []
    for others in itertools.islice(_combined_levels(suite, leave_out=factor), _SURROUNDINGS_TRIED):
        for base in suite.bases:
            try:
                settings_from(base | others | dict(changes))
                return []
            except SettingError as error:
                refusals.append(error.problems)
    return refusals[0]


def _combined_levels(suite: Suite, leave_out: Factor | None) -> Iterator[dict[str, Any]]:
    """No level at all, then the changes that the levels of all other factors make together."""
    yield {}
    levels = [factor.levels.values() for factor in suite.factor_list if factor != leave_out]
    for combination in itertools.product(*levels):
        yield {path: value for changes in combination for path, value in changes.items()}


def _double_problems(suite: Suite) -> Iterable[Problem]:
    """A setting that two factors change would have the level of one and the name of the other."""
    owner: dict[str, str] = {}
    for factor in suite.factor_list:
        for path in dict.fromkeys(path for changes in factor.levels.values() for path in changes):
            if owner.setdefault(path, factor.name) != factor.name:
                message = f"two factors change {path}, which the factor {owner[path]!r} changes already"
                yield Problem(dotted(("factors", factor.name)), message, path, "settings of its own")


def _unquoted(path: str, name: str, inner: object) -> Problem | None:
    """The commonest slip: a dot outside quotes makes a table in TOML and no name with a dot."""
    if name in SECTIONS and isinstance(inner, dict):
        meant = f"{name}.{next(iter(inner), '')}"
        return Problem(path, "a setting's name needs quotes here", meant, f'"{meant}"')
    return None


def _is_level(level: object, levels: Any) -> bool:
    # true equals 1 for Python, and is another level.
    return any(level == other and isinstance(level, bool) == isinstance(other, bool) for other in levels)


def _assignment_problems(suite: Suite, place: tuple[str | int, ...], assignment: Assignment) -> Iterable[Problem]:
    factors = {factor.name: factor for factor in suite.factor_list}
    for name, level in assignment.items():
        path = dotted((*place, name))
        if name not in factors:
            yield _unquoted(path, name, level) or unknown(path, "factor", name, factors)
        elif not _is_level(level, suite.factors[name]):
            # Quotes are shown where they make the difference.
            shown = as_written if level_label(level) in factors[name].levels else level_label
            allowed = ", ".join(shown(other) for other in suite.factors[name])
            closest = nearest(level_label(level), factors[name].levels)
            yield Problem(path, "no such level of this factor", shown(level), allowed, closest)
