"""Levels that change how their cells are tuned, so that ways of searching can be compared like anything else.

```toml
[factors.search]
random = { "search.strategy" = "random" }
grid = { "search.strategy" = "grid", "search.space" = { "train.learning_rate" = [1e-3, 1e-2, 1e-1] } }
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from benchmarks.settings import RunSettings
from zoo.settings import Problem, SettingError, dotted, unknown

if TYPE_CHECKING:
    from benchmarks.suite import Suite

SEARCH_PREFIX = "search."
"""What the paths of such changes begin with."""

CHANGEABLE = tuple(f"{SEARCH_PREFIX}{name}" for name in ("strategy", "space", "rounds", "batch", "initial", "factor"))
"""What a level can change: not the budget, nor on what trials are scored, which are the same for all groups."""


@dataclass(frozen=True)
class SearchedSettings(RunSettings):
    """The settings of a cell before it is tuned, told from others by how it will be."""

    search: str = ""
    """What its levels change of the search, as JSON."""


def replace_search(settings: RunSettings, search: str) -> SearchedSettings:
    """The same settings, of a cell whose levels change the search."""
    return SearchedSettings(**{each.name: getattr(settings, each.name) for each in fields(RunSettings)}, search=search)


def level_search_problems(suite: Suite) -> Iterator[Problem]:
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


def _refused(suite: Suite, place: tuple[str, ...], changes: dict[str, object]) -> Iterator[Problem]:
    assert suite.search is not None
    try:
        table = suite.search.changed(**{path.removeprefix(SEARCH_PREFIX): value for path, value in changes.items()})
    except SettingError as error:
        yield from error.below(f"{dotted(place)}: search").problems
        return
    varied = {path for factor in suite.factor_list for changed in factor.levels.values() for path in changed}
    for path in sorted(varied & set(table.space)):
        where = dotted((*place, "search.space", path))
        yield Problem(where, "a factor changes it: a setting is varied or searched", path, "settings of no factor")
