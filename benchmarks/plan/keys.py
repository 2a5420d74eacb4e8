"""Keys of runs, and the beginnings of these by which people name a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from benchmarks.errors import UserError
from benchmarks.plan.study import Study
from benchmarks.runs import Run
from benchmarks.store import Store
from zoo.settings import Problem, SettingError, nearest

PREFIX_LENGTH = 8
"""Characters of a key that listings show, unless more are needed to tell keys apart."""

_MOST_SHOWN = 5


def short_keys(keys: list[str]) -> list[str]:
    """The beginning of each key, so long that each is told from all others."""
    length = PREFIX_LENGTH
    while length < max(map(len, keys), default=0) and len({key[:length] for key in keys}) < len(set(keys)):
        length += 1
    return [key[:length] for key in keys]


def begins_so(key: str, given: str) -> bool:
    """Whether a key, or the beginning of one, that somebody gave may mean this one."""
    return bool(given) and key.startswith(given.lower())


def one_key(given: str, known: Collection[str], store: Store) -> str:
    """The one of the known keys of a store that begins so.

    Raises:
        UserError: there is none, or more than one.
    """
    found = sorted(key for key in known if begins_so(key, given))
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(found[:_MOST_SHOWN]) + (", ..." if len(found) > _MOST_SHOWN else "")
        raise UserError(str(Problem("RUN", f"{len(found)} keys begin like this", given, f"more of it: {shown}")))
    # Of a beginning, the nearest is what begins most alike.
    beginnings = {key[: max(len(given), PREFIX_LENGTH)]: key for key in known}
    closest = nearest(given, beginnings)
    allowed = "a key, or the beginning of one; `ablate runs SUITE` lists them"
    message = f"no such run in {store.place}"
    raise UserError(str(Problem("RUN", message, given, allowed, beginnings[closest] if closest else None)))


def planned_runs(store: Store) -> Iterator[tuple[str, Run]]:
    """Every run of every suite as it was last run, with the suite's name."""
    for registration in store.registrations():
        try:
            planned = Study.registered(registration, store).all_runs
        except SettingError:  # a suite of another version has no say
            continue
        yield from ((registration.name, run) for run in planned)
