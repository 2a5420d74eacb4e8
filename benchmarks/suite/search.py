"""The `[search]` table of a suite, and the `[[tuned]]` settings that a search has found."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, SkipValidation, TypeAdapter, WithJsonSchema, model_validator

from benchmarks.metrics import METRICS
from benchmarks.runs import LARGEST_SEED
from benchmarks.settings.data import OF_WHOLE_SUITE
from benchmarks.settings.run import RunSettings, section_fields, setting_paths, unknown_setting
from benchmarks.suite.claims import Assignment, Level
from tuning import Problem as TuningProblem
from tuning import Search, SearchConfig, Space, TuningError, parse_space
from tuning.seeds import seed_for
from zoo.settings import OneOf, Problem, Settings, as_written, dotted, found_problems, setting, unknown

STRATEGIES: dict[str, str] = {
    "grid": "every point of a finite space",
    "random": "points at random, none twice",
    "bayesian": "points at random first, then where a Gaussian process expects most (Snoek et al. 2012)",
    "hyperband": "many short trainings, the best of which are continued with their full state (Li et al. 2018)",
}
"""Every name that `search.strategy` accepts."""

OBJECTIVES = {name: metric for name, metric in METRICS.items() if name.startswith("val_")}
"""What a search can look at: never the test split, and never what the weights were fitted to."""

NARROWING = 4
"""How many times narrower the ranges of a round are than those of the round before."""

WHERE_SEARCHED = ("cell", "suite")

DATASET = "dataset"
"""The word for the dataset in `search.per`, unless a factor has that name."""

NOT_SEARCHED: dict[str, str] = {
    "train.epochs": "early stopping finds the number of epochs: checkpoint = best_val and early_stopping_patience",
    "train.steps": "early stopping finds the length: epochs, checkpoint = best_val and early_stopping_patience",
    "train.images": "early stopping finds the length: epochs, checkpoint = best_val and early_stopping_patience",
    "train.stop_after": "the length of the training is not searched",
    "data.validation_fraction": "all trials are scored on the same share of examples",
    **dict.fromkeys(OF_WHOLE_SUITE, "all cells are trained and tested on the same examples"),
}
"""Settings that a space cannot hold -> what to do, or why."""

SEARCH_PREFIX = "search."
"""Begins the path of a change that a level makes to how its cells are tuned:

```toml
[factors.search]
random = { "search.strategy" = "random" }
grid = { "search.strategy" = "grid", "search.space" = { "train.learning_rate" = [1e-3, 1e-2, 1e-1] } }
```
"""

CHANGEABLE = tuple(f"{SEARCH_PREFIX}{name}" for name in ("strategy", "space", "rounds", "batch", "initial", "factor"))
"""What a level can change: not the budget, nor on what trials are scored, which are the same for all groups."""

LOSS_SETTINGS = ("train.loss", "train.huber_delta")
"""What decides what val_loss is."""

_LEVEL = TypeAdapter(Level).json_schema()
_CHOICES = {"type": "array", "items": _LEVEL, "minItems": 1}
_RANGE = {"type": "array", "items": {"type": "number"}, "minItems": 2}
_PARAMETER = {
    "oneOf": [
        _CHOICES,
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "linear": _RANGE,
                "log": _RANGE,
                "choices": _CHOICES,
                "step": {"type": "number", "exclusiveMinimum": 0},
                "or": _LEVEL,
                "when": {"type": "object", "additionalProperties": _LEVEL},
            },
        },
    ]
}

SEARCHABLE = [path for path in setting_paths() if path not in NOT_SEARCHED]

# Their values are checked below: pydantic's findings about unions are hard to read.
Per = SkipValidation[
    Literal["cell", "suite"] | Annotated[list[str], Field(min_length=1, json_schema_extra={"uniqueItems": True})]
]
SpaceTable = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": dict.fromkeys(SEARCHABLE, _PARAMETER),
        }
    ),
]
Values = Annotated[Assignment, Field(json_schema_extra={"minProperties": 1})]


class SearchTable(Settings):
    """What is searched before the runs are trained, and how; every group of cells gets the same budget."""

    strategy: Annotated[str, OneOf("strategy", STRATEGIES)] = setting(..., "How points of the space are chosen.")
    trials: int = setting(
        ...,
        "Points that are tried for each group, over all rounds; of hyperband, the whole trainings whose epochs it "
        "spends.",
        ge=1,
        le=100_000,
    )
    per: Per = setting(
        "cell",
        'Which cells are tuned together: "cell", each alone; "suite", all; or a list of factors, and "dataset": those '
        "with the same levels.",
    )
    objective: Annotated[str, OneOf("objective", OBJECTIVES)] = setting(
        ..., "What is made as good as possible: its mean over the group's cells and the search's seeds."
    )
    seeds: list[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] = setting(
        [1000], "Seeds of the trials; none of them is one that is reported.", min_length=1
    )
    rounds: int = setting(
        1, f"Coarse to fine: after each round all ranges become {NARROWING} times narrower around the best.", ge=1
    )
    seed: int = setting(0, "Decides which points are drawn; they are the same for all groups.", ge=0, le=LARGEST_SEED)
    untuned: bool = setting(
        False,
        "Whether every cell is also trained on the reported seeds without what was found, so that the report tells "
        "what tuning was worth.",
    )
    batch: int = setting(
        4,
        "Points that are chosen from the same results, to be trained at once.",
        only_with={"strategy": ("bayesian",)},
        ge=1,
    )
    initial: int | None = setting(
        None,
        "Random points before the model chooses; by default two for each setting, and three at least.",
        only_with={"strategy": ("bayesian",)},
        ge=1,
    )
    factor: int = setting(
        3, "One in how many is trained on, so many times longer.", only_with={"strategy": ("hyperband",)}, ge=2
    )
    space: SpaceTable = setting(..., "Setting -> its choices or its range.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = [*self._problems_of_space(), *self._problems_of_rounds(), *self._problems_of_lists()]
        if not problems and self.strategy != "hyperband":
            try:
                self.searches(self._whole_space, None)
            except TuningError as error:
                problems += map(as_problem, error.problems)
        if problems:
            raise found_problems(problems)
        return self

    @property
    def direction(self) -> str:
        """Whether the best objective is the largest, "max", or the smallest, "min"."""
        return "max" if OBJECTIVES[self.objective].better == "higher" else "min"

    def names_apart(self, factors: Iterable[str]) -> list[str]:
        """Which of the factors of a suite, and of `DATASET`, have their levels tuned apart."""
        if isinstance(self.per, list):
            return self.per
        return [*factors, DATASET] if self.per == "cell" else []

    @property
    def trials_of_rounds(self) -> list[int]:
        """How many points each round tries; together they are `trials`."""
        least, more = divmod(self.trials, self.rounds)
        return [least + (number < more) for number in range(self.rounds)]

    def searches(self, space: Space, max_epochs: int | None) -> list[SearchConfig]:
        """How each round is searched.

        Args:
            space: of the first round.
            max_epochs: of a whole training; only for hyperband.

        Raises:
            TuningError: the first round cannot be searched like this.
        """
        options: dict[str, dict[str, int | None]] = {
            "bayesian": {"batch": self.batch, "initial": self.initial},
            "hyperband": {"factor": self.factor, "max_epochs": max_epochs},
        }
        own = options.get(self.strategy, {})
        configs = [
            SearchConfig(
                self.strategy, trials, self.objective, self.direction, seed_for(self.seed, "round", number), **own
            )
            for number, trials in enumerate(self.trials_of_rounds)
        ]
        Search(space, configs[-1])  # the one with the fewest trials
        return configs

    def outer_conditions(self) -> dict[str, dict[str, list[Any]]]:
        """Setting of the space -> settings outside of it on which it depends, and the values that these must have."""
        return {
            path: {name: values for name, values in self.conditions_of(path).items() if name not in self.space}
            for path in self.space
        }

    def conditions_of(self, path: str) -> dict[str, list[Any]]:
        """Setting on which one of the space depends -> the values that it must have."""
        return {name: _listed(values) for name, values in _conditions(self.space[path]).items()}

    def space_where(self, met: Mapping[str, bool]) -> Space | None:
        """The space that is left where some settings' outer conditions are met and others' not; None if nothing is.

        A setting whose inner condition is on one that is left out is left out too.

        Args:
            met: setting of the space -> whether its outer conditions are met.
        """
        kept = {path: written for path, written in self.space.items() if met[path]}
        while lost := [each for each in kept if set(_conditions(kept[each])) & set(self.space) - set(kept)]:
            kept = {path: written for path, written in kept.items() if path not in lost}
        written = {path: _typed(path, self._without_outer(each)) for path, each in kept.items()}
        return parse_space(written) if written else None

    @functools.cached_property
    def _whole_space(self) -> Space:
        space = self.space_where(dict.fromkeys(self.space, True))
        if space is None:
            raise TuningError([TuningProblem("", "an empty search space", "{}", "at least one setting to search")])
        return space

    def _without_outer(self, written: Any) -> Any:
        conditions = _conditions(written)
        if not conditions:
            return written
        inner = {name: values for name, values in conditions.items() if name in self.space}
        table = {key: value for key, value in written.items() if key != "when"}
        return table | ({"when": inner} if inner else {})

    def _problems_of_space(self) -> Iterator[Problem]:
        for path in self.space:
            where = dotted(("space", path))
            if path in NOT_SEARCHED:
                yield Problem(where, "a setting that is not searched", path, NOT_SEARCHED[path])
            elif path not in SEARCHABLE:
                yield unknown_setting(where, path)
            elif path in LOSS_SETTINGS and self.objective == "val_loss":
                message = "it decides what val_loss is, so trials could not be compared"
                yield Problem(where, message, path, "another objective")
        for path, conditions in self.outer_conditions().items():
            for name in conditions:
                if name not in setting_paths():
                    yield unknown_setting(dotted(("space", path, "when", name)), name)
        try:
            _ = self._whole_space
        except TuningError as error:
            for problem in error.problems:
                yield as_problem(problem).below("space")

    def _problems_of_rounds(self) -> Iterator[Problem]:
        if self.rounds > self.trials:
            yield Problem("rounds", "more rounds than trials", str(self.rounds), f"at most {self.trials}")
        if self.rounds > 1 and self.strategy == "grid":
            yield Problem("rounds", "a grid has no finer points", str(self.rounds), "1, or another strategy")
        elif self.rounds > 1 and not any(map(_is_range, self.space.values())):
            message = "no effect: choices have no finer points, and the space has no range"
            yield Problem("rounds", message, str(self.rounds), "1, or a range in search.space")

    def _problems_of_lists(self) -> Iterator[Problem]:
        for index, seed in enumerate(self.seeds):
            if seed in self.seeds[:index]:
                yield Problem(f"seeds[{index}]", "given twice", str(seed))
        if isinstance(self.per, list):
            if not self.per or not all(isinstance(name, str) for name in self.per):
                yield Problem("per", "no list of factors", as_written(self.per), "names of factors, and dataset")
            elif len(set(self.per)) < len(self.per):
                yield Problem("per", "a factor is given twice", as_written(self.per))
        elif self.per not in WHERE_SEARCHED:
            yield unknown("per", "group", self.per, (*WHERE_SEARCHED, "a list of factors"))


class Tuned(Settings):
    """Settings that were found for some cells; `ablate tune` writes them."""

    dataset: str | None = setting(None, "The dataset of the cells, as `datasets` names it; else those of all.")
    where: Assignment = setting({}, "Factor -> level of the cells; those of all levels where it is not named.")
    settings: Values = setting(..., "Setting -> the value that it has there.", min_length=1)
    trials: int = setting(
        0, "Points that were tried to find them: budgets are compared by it. 0 where that is not known.", ge=0
    )
    search: str = setting("", "Key of the search in the store in which they were found.")


def as_problem(problem: TuningProblem) -> Problem:
    """A problem of tuning as one of settings."""
    return Problem(problem.path, problem.message, problem.given, problem.allowed, problem.nearest)


def _conditions(written: Any) -> Mapping[str, Any]:
    when = written.get("when", {}) if isinstance(written, Mapping) else {}
    return when if isinstance(when, Mapping) else {}


def _is_range(written: Any) -> bool:
    return isinstance(written, Mapping) and bool({"linear", "log"} & written.keys())


def _listed(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list) else [values]


def _typed(path: str, written: Any) -> Any:
    """What is written of a setting, with fractions where the setting takes them: [0, 1] is then more than 0 and 1."""
    if not isinstance(written, Mapping) or not _takes_fractions(path):
        return written
    table = dict(written)
    for kind in ("linear", "log"):
        if isinstance(table.get(kind), list):
            table[kind] = [float(end) if type(end) is int else end for end in table[kind]]
    return table


def _takes_fractions(path: str) -> bool:
    section, _, name = path.partition(".")
    field = section_fields(section).get(name) if section and path in SEARCHABLE and path != "model.variant" else None
    return field is not None and float in (field.annotation, *get_args(field.annotation))


@dataclass(frozen=True)
class SearchedSettings(RunSettings):
    """The settings of a cell before it is tuned, told from others by how it will be."""

    search: str = ""
    """What its levels change of the search, as JSON."""


def replace_search(settings: RunSettings, search: str) -> SearchedSettings:
    """The same settings, of a cell whose levels change the search."""
    return SearchedSettings(**{each.name: getattr(settings, each.name) for each in fields(RunSettings)}, search=search)
