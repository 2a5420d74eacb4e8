"""The suite file: its format, read and checked before anything is trained."""

from __future__ import annotations

import functools
import itertools
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, WithJsonSchema, model_validator

from benchmarks.claims import LEAST_DATASETS, LEVEL_SCHEMA, Analysis, Claim
from benchmarks.data.config import DataConfig
from benchmarks.data.tasks import Task
from benchmarks.errors import UserError
from benchmarks.search.checks import path_problems, search_problems
from benchmarks.search.config import OBJECTIVES, SearchTable, Tuned
from benchmarks.search.differing import SEARCH_PREFIX, level_search_problems, replace_search
from benchmarks.settings import SECTIONS, VARIANT, Changes, RunSettings, canonical_json, setting_paths, settings_from
from benchmarks.training.metrics import ALL_TASKS, CLASS_TASKS, METRICS, OUTCOME_METRICS
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
    "leave_one_out": "the baseline, which is a full recipe, and each part of it taken out alone",
    "add_one_in": "the baseline, which is a bare recipe, and each part put in alone",
    "paired": "the first levels of all factors together, then the second levels, and so on",
    "fractional": "a fraction of all combinations of two-level factors, chosen so that main effects can be estimated",
    "sample": "the baseline, and combinations drawn at random",
    "path": "from the baseline one change after another, in an order that is declared or found; and each change alone",
}
"""Every name that `design` accepts; `benchmarks.design` expands them."""

DesignName = Annotated[str, OneOf("design", DESIGNS)]

TWO_LEVEL_DESIGNS = ("leave_one_out", "add_one_in", "fractional", "path")
"""Designs whose factors are there or not there: they take two levels each, but where a path finds its changes."""

_FROM_BASELINE = ("leave_one_out", "add_one_in", "path")
"""Designs in which it is the baseline that says which of two levels is which; so it has to name them all."""

TASKS_OF_EMBEDDED: dict[str, Task] = {
    "digits": "classification",
    "shapes": "classification",
    "spirals": "classification",
    "wine": "classification",
    "breast_cancer": "binary",
    "diabetes": "regression",
}
"""What is to be learned from the datasets that are known without a look at their files."""

_CELL = {"type": "object", "additionalProperties": LEVEL_SCHEMA, "minProperties": 1}
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
            {"type": "array", "items": LEVEL_SCHEMA, "minItems": 2},
            {"type": "object", "additionalProperties": {"type": "object"}, "minProperties": 2},
        ]
    },
}

# Their shape is checked by `_problems_of`: pydantic's findings about unions are hard to read.
Seeds = Annotated[Any, WithJsonSchema(_SEEDS)]
Factors = Annotated[dict[str, Any], WithJsonSchema(_FACTORS)]
Assignment = Annotated[dict[str, Any], WithJsonSchema(_CELL)]
"""Factor -> level."""

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, which terminals obey, and what turns the direction of the text after it."""

_LARGEST_SEED = 2**31 - 1
_MOST_SEEDS = 100_000

_SAMPLE_EXAMPLE = '{ name = "sample", cells = 40 }'


class Design(Settings):
    """Which combinations of levels are run."""

    name: DesignName = setting(..., "How combinations are chosen.")
    resolution: int = setting(
        4,
        "Of `fractional`: 4 keeps main effects clear of interactions of two factors, 5 keeps also those apart.",
        only_with={"name": ("fractional",)},
        ge=4,
        le=5,
    )
    cells: int | None = setting(
        None,
        "Of `sample`, which needs it: cells of each dataset, with the baseline and without those of `include`.",
        only_with={"name": ("sample",)},
        ge=2,
    )
    seed: int = setting(
        0,
        "Of `sample`: which one is drawn. A longer sample of the same seed begins with the shorter.",
        only_with={"name": ("sample",)},
        ge=0,
    )
    order: list[str] = setting(
        [],
        "Of `path`: the factors in the order in which they change; else that of `factors`.",
        only_with={"name": ("path",)},
    )
    objective: Annotated[str, OneOf("objective", OBJECTIVES)] | None = setting(
        None,
        "Of `path`: finds the order instead. From the baseline on, the change is taken that makes this best, its mean "
        "over the datasets and `search_seeds`; until none makes it better.",
        only_with={"name": ("path",)},
    )
    search_seeds: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] = setting(
        [1000, 1001, 1002],
        "Of a `path` that is found: the seeds on which it is; none of them is one that is reported.",
        only_with={"objective": tuple(OBJECTIVES)},
        min_length=1,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name == "sample" and self.cells is None:
            raise found_problems([Problem("cells", "a sample needs its number of cells", allowed=_SAMPLE_EXAMPLE)])
        if self.objective and self.order:
            message = "the order is declared, and an objective is there to find it"
            raise found_problems([Problem("order", message, as_written(self.order), "order, or objective")])
        if len(set(self.search_seeds)) < len(self.search_seeds):
            raise found_problems([Problem("search_seeds", "a seed is given twice", as_written(self.search_seeds))])
        return self


# A name, or a table of `Design`'s settings: checked by `_design_problems`, told to editors by `benchmarks.schema`.
NameOrDesign = Annotated[Any, WithJsonSchema({"type": ["string", "object"]})]


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
    design: NameOrDesign = setting(
        "factorial", "Which combinations of levels are run: the name of a design, or a table with its name and options."
    )
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
    search: SearchTable | None = setting(None, "Settings that are tuned before the runs are trained, and how.")
    tuned: list[Tuned] = setting([], "Settings that a search has found for some cells; `ablate tune` writes them.")
    claims: list[Claim] = setting([], "What is stated before anything is trained, to be judged in the report.")
    analysis: Analysis = setting(Analysis(), "How claims are judged.")

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

    @functools.cached_property
    def chosen_design(self) -> Design:
        """The design with its options, also where it is given by its name."""
        return Design(name=self.design) if isinstance(self.design, str) else Design(**self.design)

    @property
    def base(self) -> dict[str, Any]:
        """The base settings by dotted path."""
        return {f"{section}.{name}": value for section in SECTIONS for name, value in getattr(self, section).items()}

    @property
    def bases(self) -> list[dict[str, Any]]:
        """The base settings; where factors name models, once with each of these."""
        variants = [changes[VARIANT] for changes in _all_changes(self) if VARIANT in changes]
        return [self.base | {VARIANT: variant} for variant in variants] or [self.base]

    @functools.cached_property
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
        """The settings of the cell that has these levels, before anything is tuned.

        Raises:
            SettingError: the levels do not go together.
        """
        settings = settings_from(self.changes_at(levels))
        search = self._search_changes(levels)
        # Cells that differ in nothing but in how they are tuned are different cells.
        return replace_search(settings, canonical_json(search)) if search else settings

    def search_at(self, levels: Mapping[str, str]) -> SearchTable:
        """How the cell that has these levels is tuned; the suite has a search.

        Raises:
            SettingError: what the levels say of the search does not go together.
        """
        assert self.search is not None  # as whoever calls has seen
        return self.search.changed(**self._search_changes(levels))

    def _search_changes(self, levels: Mapping[str, str]) -> dict[str, Any]:
        """What levels say of the search, by key."""
        bundles = [self.factors[name][label] for name, label in levels.items() if isinstance(self.factors[name], dict)]
        return {
            path.removeprefix(SEARCH_PREFIX): value
            for bundle in bundles
            for path, value in bundle.items()
            if path.startswith(SEARCH_PREFIX)
        }

    def changes_at(self, levels: Mapping[str, str]) -> dict[str, Any]:
        """What base and levels say of the settings of a cell, by dotted path."""
        changes = self.base
        for factor in self.factor_list:
            changes |= factor.levels[levels[factor.name]]
        return changes


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
    """Values that TOML has and no setting takes: dates, infinities, whole numbers beyond 64 bits, and unseen text."""
    if isinstance(value, dict):
        for key, item in value.items():
            if _UNSEEN.search(key):
                yield Problem(
                    dotted(place), "a name with characters that are not shown", ascii(key)[:80], "names to read"
                )
            else:
                yield from _odd_values((*place, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_values((*place, index), item)
    elif isinstance(value, str) and _UNSEEN.search(value):
        yield Problem(dotted(place), "a text with characters that are not shown", ascii(value)[:80], "text to read")
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
        return {
            label: {path: value for path, value in bundle.items() if not path.startswith(SEARCH_PREFIX)}
            for label, bundle in levels.items()
        }
    return {level_label(level): {name: level} for level in levels}


def _problems_of(suite: Suite) -> Iterable[Problem]:
    yield from _repeated("datasets", suite.datasets)
    seeds = [*_seed_problems(suite.seeds)]
    yield from seeds
    design = [*_design_problems(suite.design)]
    yield from design
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
    if not design:
        yield from _unfit_problems(suite)
    for index, claim in enumerate(suite.claims):
        yield from _claim_problems(suite, ("claims", index), claim)
    yield from level_search_problems(suite)
    for index, tuned in enumerate(suite.tuned):
        yield from _tuned_problems(suite, ("tuned", index), tuned)
    if not seeds:
        yield from _registration_problems(suite)
        tasks = {dataset: _possible_tasks(suite, dataset) for dataset in suite.datasets}
        if suite.search:
            yield from search_problems(suite, suite.search, tasks)
        if not design and suite.chosen_design.objective:
            yield from path_problems(suite, suite.chosen_design.objective, tasks)


def _design_problems(given: object) -> Iterable[Problem]:
    if isinstance(given, str) and given not in DESIGNS:
        yield unknown("design", "design", given, DESIGNS)
    elif isinstance(given, str | dict):
        try:
            Design(**(given if isinstance(given, dict) else {"name": given}))
        except SettingError as error:
            yield from error.below("design").problems
    else:
        yield Problem(
            "design", "wrong type", as_written(given), f"a name in quotes, or a table such as {_SAMPLE_EXAMPLE}"
        )


def _unfit_problems(suite: Suite) -> Iterable[Problem]:
    """What of factors, baseline and cells does not go with the design."""
    design = suite.chosen_design
    numbers = {name: len(levels) for name, levels in suite.factors.items()}
    if design.name in TWO_LEVEL_DESIGNS and not design.objective:
        for name, number in numbers.items():
            if number != 2:
                message = f"the design {design.name} takes factors of two levels"
                yield Problem(dotted(("factors", name)), message, f"{number} levels", "two levels")
    if design.name in _FROM_BASELINE:
        left = [name for name in suite.factors if name not in suite.baseline]
        if left:
            message = f"the design {design.name} sets out from a baseline that names the level of every factor"
            allowed = ", ".join(suite.factors)
            yield Problem("baseline", message, ", ".join(suite.baseline) or "no factor", allowed)
    if design.name == "paired":
        first, length = next(iter(numbers.items()))
        for name, number in numbers.items():
            if number != length:
                message = "the design paired takes factors of equally many levels"
                yield Problem(dotted(("factors", name)), message, f"{number} levels", f"{length}, as {first} has")
    if design.name == "fractional":
        if len(numbers) < design.resolution:
            message = f"a fraction of resolution {design.resolution} has every combination of so few factors"
            allowed = f"at least {design.resolution} factors, or the design factorial"
            yield Problem("factors", message, str(len(numbers)), allowed)
        if suite.exclude:
            message = "a fraction without some of its cells estimates nothing that it is made for"
            yield Problem("exclude", message, f"{len(suite.exclude)} patterns", "no pattern, or another design")
    if design.cells is not None and design.cells >= math.prod(numbers.values()):
        all_cells = math.prod(numbers.values())
        allowed = f"fewer than the {all_cells:,} that there are, or the design factorial"
        yield Problem("design.cells", "a sample of everything", f"{design.cells:,}", allowed)
    if design.order:
        yield from _order_problems(design.order, suite.factors)


def _order_problems(order: list[str], factors: Mapping[str, Any]) -> Iterable[Problem]:
    for index, name in enumerate(order):
        if name not in factors:
            yield unknown(dotted(("design", "order", index)), "factor", name, factors)
    yield from _repeated("design.order", order)
    left = [name for name in factors if name not in order]
    if left:
        yield Problem("design.order", "a factor is left out", as_written(order), "with " + ", ".join(left))


def _claim_problems(suite: Suite, place: tuple[str | int, ...], claim: Claim) -> Iterable[Problem]:
    yield from _metric_problems(suite, place, claim)
    least = LEAST_DATASETS[claim.datasets]
    if len(suite.datasets) < least:
        message = f"too few datasets for that: the suite has {len(suite.datasets)} and {least} are needed"
        allowed = ", ".join(name for name, number in LEAST_DATASETS.items() if number <= len(suite.datasets))
        yield Problem(dotted((*place, "datasets")), message, claim.datasets, allowed)
    if claim.factor not in suite.factors:
        yield unknown(dotted((*place, "factor")), "factor", claim.factor, suite.factors)
        return
    levels = suite.factors[claim.factor]
    wrong = [
        problem
        for key in ("better", "than")
        if (problem := _level_problem(dotted((*place, key)), getattr(claim, key), levels))
    ]
    yield from wrong
    if not wrong and level_label(claim.better) == level_label(claim.than):
        others = ", ".join(label for label in map(level_label, levels) if label != level_label(claim.better))
        path = dotted((*place, "than"))
        yield Problem(path, "a level is compared with itself", level_label(claim.than), others)
    if claim.factor in claim.where:
        others = ", ".join(name for name in suite.factors if name != claim.factor)
        path = dotted((*place, "where", claim.factor))
        yield Problem(path, "this is the factor of the claim itself", claim.factor, others or "no factor: leave it out")
    where = {name: level for name, level in claim.where.items() if name != claim.factor}
    yield from _assignment_problems(suite, (*place, "where"), where)


def _tuned_problems(suite: Suite, place: tuple[str | int, ...], tuned: Tuned) -> Iterable[Problem]:
    if tuned.dataset is not None and tuned.dataset not in suite.datasets:
        yield unknown(dotted((*place, "dataset")), "dataset of the suite", tuned.dataset, suite.datasets)
    yield from _assignment_problems(suite, (*place, "where"), tuned.where)
    varied = {path for changes in _all_changes(suite) for path in changes}
    for path in tuned.settings:
        where = dotted((*place, "settings", path))
        if path not in setting_paths():
            yield unknown(where, "setting", path, setting_paths())
        elif path in varied:
            yield Problem(where, "a factor changes it: a setting is varied or tuned", path, "settings of no factor")


def _metric_problems(suite: Suite, place: tuple[str | int, ...], claim: Claim) -> Iterable[Problem]:
    """Only what is known of the datasets without a look at them can be wrong here."""
    if claim.metric and claim.metric.startswith("val_"):
        default = DataConfig.model_fields["validation_fraction"].default
        if not any(_values_of(suite, "data.validation_fraction", default)):
            message = "there is no validation part: data.validation_fraction is 0"
            yield Problem(dotted((*place, "metric")), message, claim.metric, "a metric of the test split")
    tasks = {dataset: _possible_tasks(suite, dataset) for dataset in suite.datasets}
    for dataset, possible in tasks.items():
        if claim.metric and not possible & set(METRICS[claim.metric].tasks):
            having = [name for name, metric in METRICS.items() if possible & set(metric.tasks)]
            message = f"{dataset} is a {' or '.join(sorted(possible))}, which does not have this metric"
            closest = nearest(claim.metric, having)
            yield Problem(dotted((*place, "metric")), message, claim.metric, ", ".join(having), closest)
    outcomes = [{OUTCOME_METRICS[task] for task in possible} for possible in tasks.values()]
    if not claim.metric and not set.intersection(*outcomes):
        message = "one margin for different metrics: the datasets are of different tasks"
        shared = ", ".join(name for name, metric in METRICS.items() if metric.tasks == ALL_TASKS)
        yield Problem(dotted((*place, "metric")), message, "none", f"{shared}; or a suite for each task")


def _possible_tasks(suite: Suite, dataset: str) -> set[Task]:
    name = dataset.partition(":")[0]
    if name in TASKS_OF_EMBEDDED:
        return {TASKS_OF_EMBEDDED[name]}
    losses = _values_of(suite, "train.loss", "by_task")
    return {task for task in ALL_TASKS for loss in losses if loss == "by_task" or _is_loss_of(task, loss)}


def _is_loss_of(task: Task, loss: str) -> bool:
    return (loss == "cross_entropy") == (task in CLASS_TASKS)


def _values_of(suite: Suite, path: str, default: object) -> list[Any]:
    """What a setting can be in some cell."""
    changed = [changes[path] for changes in _all_changes(suite) if path in changes]
    return [suite.base.get(path, default), *changed]


def _all_changes(suite: Suite) -> Iterator[Changes]:
    for factor in suite.factor_list:
        yield from factor.levels.values()


def _registration_problems(suite: Suite) -> Iterable[Problem]:
    """What is wrong with the claims taken together."""
    statements = [claim.statement for claim in suite.claims]
    for index, statement in enumerate(statements):
        if statement in statements[:index]:
            yield Problem(dotted(("claims", index, "statement")), "given twice", as_written(statement), "other words")
    looks, number = suite.analysis.looks, len(suite.seed_list)
    if not suite.claims and suite.analysis != Analysis():
        yield Problem("analysis", "no effect without claims", as_written(suite.analysis.differing_from_default()))
    elif looks and number not in looks:
        message = f"the suite has {number} seeds, at which no look is declared"
        yield Problem("analysis.looks", message, as_written(looks), f"with {number}, or as many seeds as at a look")


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
        elif problem := _level_problem(path, level, suite.factors[name]):
            yield problem


def _level_problem(path: str, level: object, levels: Any) -> Problem | None:
    if _is_level(level, levels):
        return None
    labels = [level_label(other) for other in levels]
    # Quotes are shown where they make the difference.
    shown = as_written if level_label(level) in labels else level_label
    allowed = ", ".join(shown(other) for other in levels)
    return Problem(path, "no such level of this factor", shown(level), allowed, nearest(level_label(level), labels))
