"""Where the time of a training goes: phases, their totals, and a timeline that a browser shows."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PHASES: dict[str, str] = {
    "build": "building the model and its variables",
    "trace": "tracing and compiling the program",
    "start": "initial weights of a stack",
    "input": "splits, standardization and order of the batches",
    "step": "steps of the optimizer",
    "validation": "the validation part, after each epoch",
    "test": "the test split, at the end",
    "bookkeeping": "histories, checkpoints, results",
}


@dataclass
class Stopwatch:
    """Adds up the seconds of each phase; phases do not overlap."""

    spans: list[tuple[str, float, float, int]] = field(default_factory=list)
    """Phase, its beginning and its end on the clock of `time.perf_counter`, and the number of the worker."""
    worker: int = 0

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spans.append((name, start, time.perf_counter(), self.worker))

    def totals(self) -> dict[str, float]:
        """Seconds of each phase."""
        totals = dict.fromkeys(PHASES, 0.0)
        for name, start, end, _ in self.spans:
            totals[name] += end - start
        return totals

    def first(self, name: str) -> float | None:
        """The moment at which a phase first ended, or None if it never did."""
        return min((end for phase, _, end, _ in self.spans if phase == name), default=None)

    def write_timeline(self, path: Path) -> None:
        """Write the phases in the Trace Event Format, which https://ui.perfetto.dev and chrome://tracing open."""
        events = [
            {"name": name, "ph": "X", "ts": start * 1e6, "dur": (end - start) * 1e6, "pid": 1, "tid": worker}
            for name, start, end, worker in self.spans
        ]
        path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}), encoding="utf-8")
