"""Progress of a training, shown as a bar on a terminal and as plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from benchmarks.cli.rendering import row_table, tell
from benchmarks.plan.ledger import Ledger, words
from benchmarks.results import FINAL, RunResult
from benchmarks.runs import Run

SECONDS_BETWEEN_LINES = 5.0

SECONDS_BETWEEN_READS = 1.0
"""At the store, by who watches a suite."""

_LINES_BESIDE_CELLS = 6


class ProgressDisplay:
    """Shows runs done of so many, rate and remaining time; is the `Observer` of a session's training."""

    def __init__(self, total: int, console: Console):
        self.total = total
        self.console = console
        self.counts: Counter[str] = Counter()
        self._under_way = 0.0
        self._start = self._last_line = time.monotonic()
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(self._summary(), total=total)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._bar.stop()

    def moved(self, runs_under_way: float) -> None:
        """Move on: so many runs' worth of training is done in the stacks under way."""
        self._under_way = runs_under_way
        self._show()

    def run_done(self, run: Run, result: RunResult) -> None:
        """Count a run that ended; one that did not end well is named."""
        self._under_way = max(0.0, self._under_way - 1)
        if result.status != "done":
            place = f"{run.dataset}, {run.cell.title}, seed {run.seed}"
            tell(self.console, f"{words(result.status)}: {place}: {result.message}", style="yellow")
        self._count(result.status)

    def run_done_elsewhere(self, run: Run) -> None:
        """Count a run that another runner on the same store has trained."""
        del run
        self._count("elsewhere")

    def _count(self, ending: str) -> None:
        self.counts[ending] += 1
        self._show(last=self.counts.total() == self.total)

    def _show(self, *, last: bool = False) -> None:
        if self.console.is_terminal:
            self._bar.update(self._task, completed=self.counts.total() + self._under_way, description=self._summary())
        elif last or time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            tell(self.console, self._summary())

    def _summary(self) -> str:
        finished = self.counts.total()
        told = {status: words(status) for status in FINAL if status != "done"} | {
            "elsewhere": "trained by another runner"
        }
        counted = [f"{self.counts[status]} {words}" for status, words in told.items() if self.counts[status]]
        progress = finished + self._under_way
        pace = _pace(progress, self.total - progress, time.monotonic() - self._start)
        return ", ".join(filter(None, (f"{finished}/{self.total} runs", *counted, pace)))


def _pace(ended: float, left: float, seconds: float) -> str:
    """How fast runs end and how long the others will take; nothing before any has ended."""
    if ended <= 0 or seconds <= 0:
        return ""
    rate = ended / seconds
    return f"{rate:.2g} runs/s, {duration(left / rate)} left"


def watch(read: Callable[[], Ledger], console: Console, pause: float = SECONDS_BETWEEN_READS) -> Ledger:
    """Show a ledger until nothing of it is left to be trained; the last one.

    On a terminal that is a table which is kept up to date, elsewhere a line at each change.
    """
    ledger = read()
    pace = _Pace(ledger)
    if not console.is_terminal:
        tell(console, ledger.as_text())
        while not ledger.is_settled:
            time.sleep(pause)
            before, ledger = ledger.as_text(), read()
            if ledger.as_text() != before:
                tell(console, pace.told(ledger))
        return ledger
    with Live(_view(ledger, ledger.as_text(), console), console=console, auto_refresh=False) as live:
        while not ledger.is_settled:
            time.sleep(pause)
            ledger = read()
            live.update(_view(ledger, pace.told(ledger), console), refresh=True)
    return ledger


class _Pace:
    """How fast runs end since somebody began to watch."""

    def __init__(self, ledger: Ledger):
        self._left_at_first = ledger.num_unsettled
        self._start = time.monotonic()

    def told(self, ledger: Ledger) -> str:
        """What a ledger says, with the time that is left once a run has ended while it was watched."""
        left = ledger.num_unsettled
        pace = _pace(self._left_at_first - left, left, time.monotonic() - self._start)
        return f"{ledger.as_text()}; {pace}" if left and pace else ledger.as_text()


def _view(ledger: Ledger, told: str, console: Console) -> Group:
    """What fits the terminal: the cells with the most left to do, in the order of the plan."""
    rows = ledger.cells()
    most = max(1, console.height - _LINES_BESIDE_CELLS)
    ranked = sorted(range(len(rows)), key=lambda place: rows[place]["done"])[:most]
    shown = [rows[place] for place in sorted(ranked)]
    parts: list[Any] = [Text(told)]
    if shown:
        parts.append(row_table(shown))
    if len(shown) < len(rows):
        parts.append(Text(f"... and {len(rows) - len(shown)} more cells"))
    return Group(*parts)


def duration(seconds: float) -> str:
    """A span of time in its two largest units: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
