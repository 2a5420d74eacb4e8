"""What a fault did: counts, and the table of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

COLUMNS = ("fault", "tried", "survived", "lost", "doubled", "equal", "seconds", "how")


@dataclass(frozen=True)
class FaultOutcome:
    """What became of the runs of one fault."""

    fault: str
    tried: int
    """How often it was done."""
    survived: int
    """How often all was well after it: nothing damaged, a clear message where one is due, and the next command went
    on."""
    lost: int
    """Finished runs that were not there any more, or were not as they had been."""
    doubled: int
    """Runs with an outcome that were trained to their end once more."""
    is_equal: bool
    """Whether all results were, in the end, those of a run that nothing was done to."""
    seconds: float
    how: str = ""
    """What was really done, for people, where there is more than one way."""

    @property
    def is_good(self) -> bool:
        """Whether the fault did no harm."""
        return self.survived == self.tried and not self.lost and not self.doubled and self.is_equal

    def as_row(self) -> dict[str, str]:
        """One row of the table."""
        told = {name: str(getattr(self, name)) for name in ("fault", "tried", "survived", "lost", "doubled", "how")}
        row = told | {"equal": "yes" if self.is_equal else "NO", "seconds": f"{self.seconds:.0f}"}
        return {name: row[name] for name in COLUMNS}


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
        tried, survived, lost, doubled = (
            sum(getattr(outcome, name) for outcome in self.outcomes)
            for name in ("tried", "survived", "lost", "doubled")
        )
        return f"{tried:,} tried, {survived:,} survived, {lost} finished runs lost, {doubled} doubled"

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "is_good": self.is_good,
            "outcomes": [{**asdict(outcome), "is_good": outcome.is_good} for outcome in self.outcomes],
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
