"""The progress display: plain lines where there is no terminal, and spans of time for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.cli import progress
from benchmarks.cli.progress import ProgressDisplay, duration
from benchmarks.results import FINAL, RunResult

DONE = RunResult("done", {"test_accuracy": 0.9})
ESCAPE = "\x1b"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the display, for a test to move."""
    moved = Clock()
    monkeypatch.setattr(progress, "time", moved)
    return moved


def plain_console():
    return Console(file=io.StringIO(), force_terminal=False)


def lines_of(console):
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (0.6, "1 s"),
        (42, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (7559, "2 h 5 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_duration(seconds, text):
    """A span of time is told in its two largest units, and never as 60 of the smaller."""
    assert duration(seconds) == text


def test_plain_lines_without_a_terminal(runs_of, clock):
    """Where output is no terminal there are whole lines of text, no control characters, every five seconds or so."""
    runs = runs_of(10)
    console = plain_console()
    with ProgressDisplay(len(runs), console) as display:
        for run in runs:
            clock.now += 2.0
            display.run_done(run, DONE)
    assert lines_of(console) == [
        "3/20 runs, 0.5 runs/s, 34 s left",
        "6/20 runs, 0.5 runs/s, 28 s left",
        "9/20 runs, 0.5 runs/s, 22 s left",
        "12/20 runs, 0.5 runs/s, 16 s left",
        "15/20 runs, 0.5 runs/s, 10 s left",
        "18/20 runs, 0.5 runs/s, 4 s left",
        "20/20 runs, 0.5 runs/s, 0 s left",
    ]


def test_last_line_is_always_there(runs_of, clock):
    """However fast the runs were, the last line counts them all."""
    runs = runs_of(2)
    console = plain_console()
    with ProgressDisplay(len(runs), console) as display:
        for run in runs:
            clock.now += 0.01
            display.run_done(run, DONE)
    (line,) = lines_of(console)
    assert line.startswith("4/4 runs")


def test_bad_ends_are_named_and_counted(runs_of, clock):
    """A run that failed or diverged has a line with its dataset, cell, seed and message; the summary counts it."""
    runs = runs_of(2)
    console = plain_console()
    with ProgressDisplay(len(runs), console) as display:
        clock.now += 1
        display.run_done(runs[0], DONE)
        display.run_done(runs[1], RunResult("failed", message="ValueError: [red]no[/red]"))
        display.run_done(runs[2], RunResult("diverged", message="in epoch 3"))
        display.run_done(runs[3], RunResult("failed", message="again"))
    assert lines_of(console)[:3] == [
        "failed: digits, relu, seed 1: ValueError: [red]no[/red]",
        "diverged: digits, tanh, seed 0: in epoch 3",
        "failed: digits, tanh, seed 1: again",
    ]
    assert lines_of(console)[3].startswith("4/4 runs, 1 diverged, 2 failed, ")
    assert ESCAPE not in console.file.getvalue()


@pytest.mark.parametrize("message", ["x" * 30 + " and " + "y" * 120, "a :key: in a :boom: dictionary"])
def test_messages_stay_as_they_are(runs_of, message):
    """A message is written out on one line as it is, however long, with no text taken for a picture."""
    console = plain_console()
    with ProgressDisplay(5, console) as display:
        display.run_done(runs_of(1)[0], RunResult("failed", message=message))
    assert lines_of(console) == [f"failed: digits, relu, seed 0: {message}"]


def test_epochs_count_towards_the_rate(runs_of, clock):
    """Half of the training of eight runs counts as four runs for rate and remaining time, as none for those done."""
    console = plain_console()
    with ProgressDisplay(16, console) as display:
        clock.now += 8
        display.moved(4.0)
        clock.now += 8
        for run in runs_of(4):
            display.run_done(run, DONE)
    assert lines_of(console)[0] == "0/16 runs, 0.5 runs/s, 24 s left"
    assert lines_of(console)[1].startswith("1/16 runs")


def test_every_bad_end_is_counted(runs_of):
    """However a run ended, the summary has it, so that the numbers add up."""
    console = plain_console()
    runs = runs_of(5)
    with ProgressDisplay(len(FINAL), console) as display:
        for run, status in zip(runs, FINAL, strict=False):
            display.run_done(run, RunResult(status, message="why"))
    lines = lines_of(console)
    assert "out of memory: digits, relu, seed 3: why" in lines
    assert lines[-1].startswith("5/5 runs, 1 diverged, 1 failed, 1 out of memory, 1 timed out")


def test_runs_that_end_are_not_counted_twice(runs_of, clock):
    """Runs whose epochs were counted do not add to the rate a second time when they are stored."""
    console = plain_console()
    with ProgressDisplay(16, console) as display:
        clock.now += 8
        display.moved(8.0)
        for run in runs_of(1):
            clock.now += 8
            display.run_done(run, DONE)
    assert lines_of(console) == [
        "0/16 runs, 1 runs/s, 8 s left",
        "1/16 runs, 0.5 runs/s, 16 s left",
        "2/16 runs, 0.33 runs/s, 24 s left",
    ]


def test_no_rate_before_anything_happened(clock):
    """Before the first epoch ended there is neither a rate nor a remaining time, and nothing is divided by zero."""
    console = plain_console()
    with ProgressDisplay(3, console) as display:
        clock.now += 60
        display.moved(0.0)
    assert lines_of(console) == ["0/3 runs"]


def test_bar_on_a_terminal(runs_of):
    """On a terminal a bar is drawn over itself and taken away at the end; failures stay."""
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    runs = runs_of(1)
    with ProgressDisplay(2, console) as display:
        display.moved(1.0)
        display.run_done(runs[0], DONE)
        display.run_done(runs[1], RunResult("failed", message="the reason"))
    written = console.file.getvalue()
    assert ESCAPE in written
    assert "the reason" in written
    assert "2/2 runs, 1 failed" in written


def test_bar_is_taken_away_after_an_error():
    """An error inside goes on its way, and the cursor that the bar hid is shown again."""
    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(KeyboardInterrupt), ProgressDisplay(2, console):
        raise KeyboardInterrupt
    assert console.file.getvalue().count(f"{ESCAPE}[?25h") >= 1
