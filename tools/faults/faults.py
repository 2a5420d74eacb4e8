"""All faults by name, the loop that tries them, and the table of what they did."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import UserError
from tools.faults.bench import Bench, NotPossibleError, Tally
from tools.faults.damage import cut_datasets, cut_store, fill_disk, flip_bytes, forbid_writing, lock_store, newer_store
from tools.faults.fuzzing import fuzz_suites
from tools.faults.kills import hang_worker, kill_runner, kill_worker, starve_worker
from tools.faults.suites import diverge, fail_half, train_trivial
from tools.faults.together import jump_clocks, two_runners
from zoo.settings import unknown


@dataclass(frozen=True)
class Fault:
    """Something that happens to jobs."""

    summary: str
    """As the table has it."""
    attempt: Callable[[Bench, int], Tally]
    """Does it so many times."""
    full: int
    """How many times the whole table does it."""
    quick: int
    """How many times are enough for a look."""


FAULTS: Mapping[str, Fault] = {
    "kill-runner": Fault("kill -9 of the runner", kill_runner, 25, 4),
    "kill-worker": Fault("kill -9 of a worker", kill_worker, 25, 4),
    "memory": Fault("a worker that allocates until it is killed", starve_worker, 6, 2),
    "hang": Fault("a worker that hangs", hang_worker, 3, 1),
    "nan": Fault("a loss that is not finite", diverge, 1, 1),
    "truncated-data": Fault("a dataset file cut short", cut_datasets, 6, 3),
    "disk-full": Fault("a full disk", fill_disk, 3, 1),
    "read-only": Fault("a read-only runs folder", forbid_writing, 4, 2),
    "locked": Fault("a store locked by another process", lock_store, 4, 1),
    "truncated-store": Fault("a store cut short", cut_store, 5, 1),
    "newer-store": Fault("a store of a newer format", newer_store, 1, 1),
    "flipped-byte": Fault("a flipped bit in the store", flip_bytes, 2000, 200),
    "clock": Fault("clocks that jump", jump_clocks, 20, 5),
    "two-runners": Fault("two runners started together", two_runners, 20, 2),
    "trivial": Fault("trivial runs", train_trivial, 10_000, 200),
    "failing": Fault("failing cells", fail_half, 1000, 50),
    "fuzz": Fault("mutated suite files", fuzz_suites, 100_000, 3000),
}
"""Every fault that can be tried, by the name that `--only` takes."""


def chosen_faults(names: Sequence[str]) -> dict[str, Fault]:
    """The faults of these names, or all where none is named.

    Raises:
        UserError: there is no such fault.
    """
    for name in names:
        if name not in FAULTS:
            raise UserError(str(unknown("--only", "fault", name, FAULTS)))
    return {name: fault for name, fault in FAULTS.items() if not names or name in names}


def try_faults(bench: Bench, faults: Mapping[str, Fault], *, is_quick: bool) -> Iterator[FaultOutcome | str]:
    """Try faults one after another; each gives its outcome, or a sentence where it is not possible here."""
    for fault in faults.values():
        begun = time.monotonic()
        try:
            tally = fault.attempt(bench, fault.quick if is_quick else fault.full)
        except NotPossibleError as error:
            yield f"{fault.summary}: not tried: {error}"
            continue
        yield FaultOutcome(fault.summary, tally, time.monotonic() - begun)


COLUMNS = ("fault", "tried", "survived", "lost", "doubled", "equal", "seconds", "how")


_COUNTS = ("tried", "survived", "lost", "doubled")


@dataclass(frozen=True)
class FaultOutcome:
    """What became of the runs of one fault."""

    fault: str
    tally: Tally
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether the fault did no harm."""
        tally = self.tally
        return tally.survived == tally.tried and not tally.lost and not tally.doubled and tally.is_equal

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        counts = {name: getattr(self.tally, name) for name in (*_COUNTS, "is_equal")}
        rest = {"seconds": self.seconds, "how": self.tally.how, "is_good": self.is_good}
        return {"fault": self.fault} | counts | rest

    def as_row(self) -> dict[str, str]:
        """One row of the table."""
        row = self.as_json() | {"equal": "yes" if self.tally.is_equal else "NO", "seconds": f"{self.seconds:.0f}"}
        return {name: str(row[name]) for name in COLUMNS}


@dataclass(frozen=True)
class Table:
    """All faults that were tried."""

    outcomes: Sequence[FaultOutcome]
    machine: dict[str, Any]

    @property
    def is_good(self) -> bool:
        """Whether no fault did harm."""
        return all(outcome.is_good for outcome in self.outcomes)

    @property
    def totals(self) -> str:
        """The sums, in a sentence."""
        tallies = [outcome.tally for outcome in self.outcomes]
        tried, survived, lost, doubled = (sum(getattr(each, name) for each in tallies) for name in _COUNTS)
        return f"{tried:,} tried, {survived:,} survived, {lost} finished runs lost, {doubled} doubled"

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "is_good": self.is_good,
            "outcomes": [outcome.as_json() for outcome in self.outcomes],
            "machine": self.machine,
        }

    def as_markdown(self) -> str:
        """A table for a README; it reads well as plain text too."""
        rows = [dict(zip(COLUMNS, COLUMNS, strict=True)), *(outcome.as_row() for outcome in self.outcomes)]
        widths = {name: max(len(row[name]) for row in rows) for name in COLUMNS}

        def line(row: dict[str, str]) -> str:
            return "| " + " | ".join(row[name].ljust(widths[name]) for name in COLUMNS) + " |"

        rule = "|" + "|".join("-" * (widths[name] + 2) for name in COLUMNS) + "|"
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        return "\n".join([line(rows[0]), rule, *map(line, rows[1:]), "", f"{self.totals}. On {machine}."])
