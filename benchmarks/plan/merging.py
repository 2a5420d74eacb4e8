"""Merging of stores: those of several jobs, or machines, that trained shards of one suite or different suites."""

from __future__ import annotations

import itertools
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.files import replaced, weights_file
from benchmarks.results import OUTCOMES
from benchmarks.store import Store, StoredRun, place_of

LAST_BITS = 1e-6
"""Relative difference up to which metrics of one run from two machines count as equal. Sums in another order change
the last bit of a single-precision number, some 1e-7 of it, and training makes a little more of that."""

_MOST_SHOWN = 10


@dataclass(frozen=True)
class Joined:
    """What was done with one store."""

    store: str
    """Its runs folder, or its URL without password."""
    runs: int
    """All that it holds."""
    taken: int
    """Those that were copied: new, or with an outcome where there was none."""
    equal: int
    """Those with an outcome that was there already, equal to the last bit."""
    close: int
    """Those with an outcome that was there already from another machine, equal but for the last bits."""
    passed_over: int
    """Those that conflict with what was there, which was preferred."""

    def as_text(self) -> str:
        """What was done, in a line."""
        parts = {
            "copied": self.taken,
            "there already": self.equal,
            "there already from another machine, equal but for the last bits": self.close,
            "passed over for a conflicting result that was there": self.passed_over,
            "without an outcome, and tried there too": self.left,
        }
        told = ", ".join(f"{number} {words}" for words, number in parts.items() if number)
        return f"{self.store}: {self.runs} runs: {told or 'nothing to copy'}"

    @property
    def left(self) -> int:
        """Those without an outcome that were there already."""
        return self.runs - self.taken - self.equal - self.close - self.passed_over


def merge(
    places: Sequence[str | os.PathLike[str]],
    into: str | os.PathLike[str],
    *,
    prefers_first: bool = False,
    runs_dir: Path = Path("runs"),
) -> list[Joined]:
    """Copy what stores hold into another one: runs, predictions, labels, machines, suites, claims, searches, weights.

    What has an outcome stays as it is, and an outcome takes the place of a failure. Where two stores have the outcome
    of one run, it must be the same: to the last bit where the machine, its software, workers and threads were the
    same, and else up to `LAST_BITS`; the one that is there first stays.

    Args:
        places: runs folders or URLs of servers to be copied from, in this order; they are left as they are.
        into: likewise, to be copied to; it may hold a store already.
        prefers_first: whether of outcomes that conflict the first is kept, and not all refused.
        runs_dir: where the weights of servers' stores are.

    Raises:
        UserError, StoreError: a store cannot be used, or outcomes conflict; nothing was written.
    """
    with ExitStack() as opened:
        sources = [opened.enter_context(closing(Store.open(*place_of(place, runs_dir)))) for place in places]
        there = Store.find(*place_of(into, runs_dir))
        stores = sources if there is None else [opened.enter_context(closing(there)), *sources]
        _refuse_repeated(stores)
        conflicts = [told for one, other in itertools.combinations(stores, 2) for told in _conflicts(one, other)]
        if conflicts and not prefers_first:
            shown = "\n  ".join(conflicts[:_MOST_SHOWN]) + ("\n  ..." if len(conflicts) > _MOST_SHOWN else "")
            raise UserError(
                f"{len(conflicts)} conflicting results; nothing was written\n  {shown}\n"
                "  allowed: to leave a store out, or --prefer-first to keep what the store named first has"
            )
        target = opened.enter_context(closing(Store.create_or_open(*place_of(into, runs_dir))))
        return [_join(source, target) for source in sources]


def _refuse_repeated(stores: Sequence[Store]) -> None:
    counts = Counter(store.identity for store in stores)
    if repeated := dict.fromkeys(store.title for store in stores if counts[store.identity] > 1):
        raise UserError(f"STORE: a store cannot be joined with itself\n  given:   {', '.join(repeated)}")


def _conflicts(one: Store, other: Store) -> Iterator[str]:
    """What two stores have that cannot both be true."""
    places = f"{one.title} and {other.title}"
    for mine, theirs in _common(one, other):
        if difference := _difference(mine, theirs, _tolerance(mine, theirs)):
            yield f"run {mine.key}: {difference}: {places}"
    found = one.found()
    for key, chosen in other.found().items():
        if found.get(key, chosen) != chosen:
            yield f"search {key}: {found[key]} and {chosen}: {places}"


def _common(one: Store, other: Store) -> list[tuple[StoredRun, StoredRun]]:
    """The runs of which both stores have an outcome, as each has it."""
    shared = sorted(set(one.keys()).intersection(other.keys()))
    mine, theirs = one.statuses(shared), other.statuses(shared)
    common = [key for key in shared if {mine.get(key), theirs.get(key)} <= set(OUTCOMES)]
    own, others = one.runs(common), other.runs(common)
    return [(own[key], others[key]) for key in common]


def _tolerance(one: StoredRun, other: StoredRun) -> float:
    return 0.0 if one.machine == other.machine else LAST_BITS


def _difference(one: StoredRun, other: StoredRun, tolerance: float) -> str | None:
    """How two outcomes of one run differ, if they do; a metric that only a later version knows is no difference."""
    if one.status != other.status:
        return f"{one.status} and {other.status}"
    for name in sorted(one.metrics.keys() & other.metrics.keys()):
        mine, theirs = one.metrics[name], other.metrics[name]
        if not math.isclose(mine, theirs, rel_tol=tolerance) and not (math.isnan(mine) and math.isnan(theirs)):
            return f"{name} {mine!r} and {theirs!r}"
    return None


def _join(source: Store, target: Store) -> Joined:
    equal = close = passed_over = 0
    for mine, theirs in _common(target, source):
        if _difference(mine, theirs, _tolerance(mine, theirs)):
            passed_over += 1
        elif _difference(mine, theirs, 0.0):
            close += 1
        else:
            equal += 1
    keys, tried = source.keys(), set(target.keys())
    here, there = target.statuses(keys), source.statuses(keys)
    taken = [key for key in keys if key not in tried or (here.get(key) not in OUTCOMES and there.get(key) in OUTCOMES)]
    # Weights first: without their runs, which the next call takes, they harm nobody.
    for key in taken:
        _copy(weights_file(source.folder, key), weights_file(target.folder, key))
    target.take_over(source, taken)
    target.take_over_notes(source)
    return Joined(
        store=source.title, runs=len(keys), taken=len(taken), equal=equal, close=close, passed_over=passed_over
    )


def _copy(kept: Path, place: Path) -> None:
    """Copy a file where it is."""
    if not kept.exists() or (place.exists() and kept.samefile(place)):
        return
    with kept.open("rb") as source, replaced(place) as file:
        shutil.copyfileobj(source, file)
