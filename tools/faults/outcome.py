"""What a fault did: counts, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tools.faults.bench import Tally

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
