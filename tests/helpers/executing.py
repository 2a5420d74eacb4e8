"""Training without what is around it: without worker processes, or without a search and a display."""

import sys

import numpy_engine
import pytest

from benchmarks.execution.running import begun, with_data
from benchmarks.plan.stacks import epochs_behind, keys_of, stacks_by_program

with_tensorflow = pytest.mark.parametrize("engine", ["tensorflow"], indirect=True)
"""Marks a test of processes that needs the real engine by day too: one for each kind of thing."""

ABLATE = {
    "numpy": numpy_engine.ABLATE,
    "tensorflow": [sys.executable, "-c", "from benchmarks.cli import main; main()"],
}
"""Engine -> the command line with such workers, as a process of its own."""


def train_runs(runs, datasets, on_epoch=lambda *_: None, checkpoints=None, states=None, engine=None):
    """Train runs in this process and give each result as soon as it is there.

    A checkpoint is removed once all results of its stack were taken. The engine is a new one, which traces each program
    anew, unless one is given.
    """
    from benchmarks.execution.local import Engine

    engine = engine or Engine(datasets.__getitem__, states=states)
    kept = states.kept() if states else {}
    for stack in stacks_by_program(runs, datasets, lambda run: epochs_behind(run, kept)):
        file = checkpoints.file_of(keys_of(stack)) if checkpoints else None
        yield from engine.train(stack, on_epoch, file)
        if file:
            file.remove()


def run_missing(plan, store, observer, options=None):
    """Train every run of a tuned plan that the store does not hold, and store each at once; the plan, its data read."""
    plan = with_data(plan, store.folder, store) if plan.unread else plan
    with begun(plan, store, options) as session:
        session.train(session.own(plan.missing), observer)
    return plan
