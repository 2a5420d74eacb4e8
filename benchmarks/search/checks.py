"""What of a search does not go with the rest of its suite; known before anything is trained or expanded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from benchmarks.data.config import DataConfig
from benchmarks.data.tasks import Task
from benchmarks.search.config import OBJECTIVES, SearchTable
from zoo.settings import Problem, as_written, dotted, unknown

if TYPE_CHECKING:
    from benchmarks.suite import Suite

DATASET = "dataset"
"""The word for the dataset in `search.per`, unless a factor has that name."""


def search_problems(suite: Suite, search: SearchTable, tasks: Mapping[str, set[Task]]) -> Iterator[Problem]:
    """Find what is wrong with the search of a suite whose other keys are right.

    Args:
        suite: the suite.
        search: its search.
        tasks: dataset as in the suite -> the tasks that it can be of.
    """
    yield from overlap_problems(search, suite.seed_list)
    yield from _factor_problems(suite, search)
    yield from _per_problems(suite, search)
    yield from _validation_problems(suite)
    yield from _objective_problems(search, tasks)
    if suite.tuned:
        message = "settings are tuned already; a search would tune them again"
        yield Problem("search", message, f"{len(suite.tuned)} tuned groups", "search, or tuned")
    if search.strategy == "hyperband" and any("train.stop_after" in changes for changes in _all_changes(suite)):
        message = "hyperband itself says after how many epochs a training stops"
        yield Problem("search.strategy", message, "hyperband", "no train.stop_after, or another strategy")


def overlap_problems(search: SearchTable, seeds: Iterable[int]) -> Iterator[Problem]:
    """Seeds of the search that are reported too: what was chosen on them would look better than it is."""
    both = sorted(set(search.seeds) & set(seeds))
    if both:
        message = "seeds that the report uses too"
        yield Problem("search.seeds", message, as_written(both), "seeds that are not in seeds, such as [1000]")


def _factor_problems(suite: Suite, search: SearchTable) -> Iterator[Problem]:
    for factor in suite.factor_list:
        changed = {path for changes in factor.levels.values() for path in changes}
        for path in sorted(changed & set(search.space)):
            message = f"the factor {factor.name!r} changes it: a setting is varied or searched"
            yield Problem(dotted(("search", "space", path)), message, path, "settings that no factor changes")


def _per_problems(suite: Suite, search: SearchTable) -> Iterator[Problem]:
    names = search.per if isinstance(search.per, list) else []
    for index, name in enumerate(names):
        if name not in (*suite.factors, DATASET):
            yield unknown(dotted(("search", "per", index)), "factor", name, (*suite.factors, DATASET))


def _validation_problems(suite: Suite) -> Iterator[Problem]:
    path = "data.validation_fraction"
    values = [changes[path] for changes in _all_changes(suite) if path in changes]
    if path not in suite.base:
        values.append(DataConfig().validation_fraction)
    if not all(values):
        message = "a search is scored on the validation part, and there is none"
        yield Problem("search", message, f"{path} = 0", f"{path} of more than 0")
    elif len(set(values)) > 1 and search_spans(suite, suite.search):
        message = "trials would be scored on different shares of examples"
        yield Problem("search.per", message, as_written(values), 'one data.validation_fraction, or per = "cell"')


def search_spans(suite: Suite, search: SearchTable | None) -> bool:
    """Whether a group can hold several combinations of levels."""
    if search is None or search.per == "cell":
        return False
    return search.per == "suite" or not set(suite.factors) <= set(search.per)


def _objective_problems(search: SearchTable, tasks: Mapping[str, set[Task]]) -> Iterator[Problem]:
    for dataset, possible in tasks.items():
        if not possible & set(OBJECTIVES[search.objective].tasks):
            having = [name for name, metric in OBJECTIVES.items() if possible & set(metric.tasks)]
            message = f"{dataset} is a {' or '.join(sorted(possible))}, which does not have this objective"
            yield Problem("search.objective", message, search.objective, ", ".join(having))
    spans = search.per == "suite" or (isinstance(search.per, list) and DATASET not in search.per)
    if spans and len(tasks) > 1 and OBJECTIVES[search.objective].unit == "target":
        message = "one search over several datasets, whose targets have units of their own"
        yield Problem("search.objective", message, search.objective, "val_loss, which has none; or a search for each")


def _all_changes(suite: Suite) -> Iterator[Mapping[str, object]]:
    yield suite.base
    for factor in suite.factor_list:
        yield from factor.levels.values()
