"""What of a search does not go with the rest of its suite; known before anything is trained or expanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from benchmarks.settings.data import DataConfig
from benchmarks.suite.format import SuiteFormat
from benchmarks.suite.search import CHANGEABLE, DATASET, LOSS_SETTINGS, OBJECTIVES, SEARCH_PREFIX, SearchTable
from benchmarks.tasks import Task
from zoo.settings import Problem, SettingError, as_written, dotted, unknown

_FRACTION = "data.validation_fraction"


def search_problems(suite: SuiteFormat, search: SearchTable, tasks: Mapping[str, set[Task]]) -> Iterator[Problem]:
    """Find what is wrong with the search of a suite whose other keys are right.

    `tasks` has those that each dataset can be of.
    """
    yield from overlap_problems(search.seeds, suite.seed_list)
    yield from _factor_problems(suite, search)
    apart = search.names_apart(suite.factors)
    for index, name in enumerate(apart):
        if name not in (*suite.factors, DATASET):
            yield unknown(dotted(("search", "per", index)), "factor", name, (*suite.factors, DATASET))
    yield from _validation_problems(suite, spans=not set(suite.factors) <= set(apart))
    yield from _metric_problems("search.objective", search.objective, tasks, spans=DATASET not in apart)
    if suite.tuned:
        message = "settings are tuned already; a search would tune them again"
        yield Problem("search", message, f"{len(suite.tuned)} tuned groups", "search, or tuned")
    if search.strategy == "hyperband" and "train.stop_after" in suite.varied | suite.base.keys():
        message = "hyperband itself says after how many epochs a training stops"
        yield Problem("search.strategy", message, "hyperband", "no train.stop_after, or another strategy")


def path_problems(suite: SuiteFormat, objective: str, tasks: Mapping[str, set[Task]]) -> Iterator[Problem]:
    """Find what is wrong with the path that a suite wants found by an objective, whose other keys are right."""
    yield from overlap_problems(suite.chosen_design.search_seeds, suite.seed_list, "design.search_seeds")
    if suite.search or suite.tuned:
        message = "a path is found with the settings of the suite, and these would differ from cell to cell"
        yield Problem("search" if suite.search else "tuned", message, allowed="another design, or a path of its own")
    if not all(_validation_fractions(suite)):
        message = "a path is found on the validation part, and there is none"
        yield Problem("design.objective", message, f"{_FRACTION} = 0", f"{_FRACTION} of more than 0")
    elif len(set(_validation_fractions(suite))) > 1:
        message = "cells would be compared on different shares of examples"
        yield Problem("design.objective", message, _FRACTION, "settings of other kinds as factors")
    if objective == "val_loss" and suite.varied & set(LOSS_SETTINGS):
        message = "a factor decides what val_loss is, so cells could not be compared"
        yield Problem("design.objective", message, objective, "another objective")
    yield from _metric_problems("design.objective", objective, tasks, spans=True)


def overlap_problems(own: Iterable[int], seeds: Iterable[int], place: str = "search.seeds") -> Iterator[Problem]:
    """Seeds of a search that are reported too: what was chosen on them would look better than it is."""
    both = sorted(set(own) & set(seeds))
    if both:
        message = "seeds that the report uses too"
        yield Problem(place, message, as_written(both), "seeds that are not in seeds, such as [1000]")


def _factor_problems(suite: SuiteFormat, search: SearchTable) -> Iterator[Problem]:
    for factor in suite.factor_list:
        for path in sorted(set(factor.paths) & set(search.space)):
            message = f"the factor {factor.name!r} changes it: a setting is varied or searched"
            yield Problem(dotted(("search", "space", path)), message, path, "settings that no factor changes")


def _validation_problems(suite: SuiteFormat, *, spans: bool) -> Iterator[Problem]:
    """What is wrong with the validation part; `spans`: whether a group can hold several combinations of levels."""
    values = _validation_fractions(suite)
    if not all(values):
        message = "a search is scored on the validation part, and there is none"
        yield Problem("search", message, f"{_FRACTION} = 0", f"{_FRACTION} of more than 0")
    elif len(set(values)) > 1 and spans:
        message = "trials would be scored on different shares of examples"
        yield Problem("search.per", message, as_written(values), 'one data.validation_fraction, or per = "cell"')


def _validation_fractions(suite: SuiteFormat) -> list[object]:
    """All that the base and the levels say of it."""
    values = [changes[_FRACTION] for changes in (suite.base, *suite.level_changes) if _FRACTION in changes]
    return values if _FRACTION in suite.base else [*values, DataConfig().validation_fraction]


def _metric_problems(place: str, objective: str, tasks: Mapping[str, set[Task]], *, spans: bool) -> Iterator[Problem]:
    for dataset, possible in tasks.items():
        if not possible & set(OBJECTIVES[objective].tasks):
            having = [name for name, metric in OBJECTIVES.items() if possible & set(metric.tasks)]
            message = f"{dataset} is a {' or '.join(sorted(possible))}, which does not have this objective"
            yield Problem(place, message, objective, ", ".join(having))
    if spans and len(tasks) > 1 and OBJECTIVES[objective].unit == "target":
        message = "one search over several datasets, whose targets have units of their own"
        yield Problem(place, message, objective, "val_loss, which has none; or a search for each")


def level_search_problems(suite: SuiteFormat) -> Iterator[Problem]:
    """What is wrong with what levels say of the search."""
    for name, levels in suite.factors.items():
        for label, bundle in levels.items() if isinstance(levels, dict) else ():
            changes = {path: value for path, value in bundle.items() if path.startswith(SEARCH_PREFIX)}
            place = ("factors", name, label)
            for path in changes:
                if path not in CHANGEABLE:
                    yield unknown(dotted((*place, path)), "key of the search that a level can change", path, CHANGEABLE)
            if changes and suite.search is None:
                message = "it changes a search, and the suite has none"
                yield Problem(dotted(place), message, ", ".join(changes), "a table [search]")
            elif suite.search and set(changes) <= set(CHANGEABLE):
                yield from _refused(suite, place, changes)


def _refused(suite: SuiteFormat, place: tuple[str, ...], changes: dict[str, object]) -> Iterator[Problem]:
    assert suite.search is not None
    try:
        table = suite.search.changed(**{path.removeprefix(SEARCH_PREFIX): value for path, value in changes.items()})
    except SettingError as error:
        yield from error.below(f"{dotted(place)}: search").problems
        return
    for path in sorted(suite.varied & set(table.space)):
        where = dotted((*place, "search.space", path))
        yield Problem(where, "a factor changes it: a setting is varied or searched", path, "settings of no factor")
