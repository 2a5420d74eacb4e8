"""What runs inside a worker process.

The process that hands out the work imports this too, so TensorFlow is imported where a worker begins.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset, open_prepared
from benchmarks.design import Run
from benchmarks.execution.schedule import Stack, keys_of
from benchmarks.plan import weights_file
from benchmarks.training.checkpoints import Checkpoints
from benchmarks.training.results import RunResult
from benchmarks.training.stopwatch import Stopwatch

if TYPE_CHECKING:
    from benchmarks.execution.local import Engine, TrainedValues

_SECONDS_BETWEEN_LOOKS_AT_PARENT = 1.0


@dataclass(frozen=True)
class Resources:
    """What the workers may use."""

    workers: int
    threads: int
    """Of each worker, for the operations of TensorFlow. The last bit of convolutions depends on it."""
    dataset_bytes: float
    """Inputs of a dataset that take more are streamed and not held in the memory of each worker."""
    worker_bytes: float
    """A worker that takes more is replaced once its stack is done."""


@dataclass(frozen=True)
class Orders:
    """What a worker knows from its start."""

    number: int
    resources: Resources
    references: Mapping[str, DatasetReference]
    """Dataset as the suite names it -> where it is."""
    runs_dir: Path
    checkpoints: Checkpoints | None
    keep_weights: bool
    parent: int


@dataclass(frozen=True)
class Report:
    """What a worker made of a stack."""

    results: list[tuple[Run, RunResult]]
    """Empty where it was asked to stop."""
    spans: list[tuple[str, float, float, int]]
    num_bytes: int
    """What the worker's process takes."""


@dataclass
class _State:
    """What this worker process keeps from one stack to the next."""

    orders: Orders
    engine: Engine
    stopwatch: Stopwatch
    progress: Any
    stop: Any


_states: list[_State] = []
"""The state of this process; empty in every process that is no worker."""


def begin(orders: Orders, progress: Any, stop: Any) -> None:
    """Make this process a worker.

    Args:
        orders: what it works with.
        progress: shared numbers: the share that is done of the stack that each worker is on.
        stop: a shared number that is not 0 once everything is to stop.
    """
    threading.Thread(target=_end_with_parent, args=[orders.parent], daemon=True).start()
    from benchmarks.quiet import import_tensorflow

    import_tensorflow(orders.resources.threads)
    from benchmarks.execution.local import Engine

    stopwatch = Stopwatch(worker=orders.number)
    engine = Engine(
        lambda name: _open(orders.references[name], orders.runs_dir),
        stopwatch,
        _keep(orders.runs_dir) if orders.keep_weights else None,
        orders.resources.dataset_bytes,
        lambda: bool(stop.value),
    )
    _states[:] = [_State(orders, engine, stopwatch, progress, stop)]


def nothing() -> None:
    """Do nothing: the result tells that the worker has begun."""


def prepare_and_decode(reference: DatasetReference, runs_dir: Path) -> None:
    """Prepare a dataset and decode it into a runs folder, where that is not done yet.

    Raises:
        DatasetError: it cannot be had.
    """
    from benchmarks.data.loading import load_decoded, prepare

    prepare(reference)
    load_decoded(reference, runs_dir)


def train(stack: Stack) -> Report:
    """Train a stack."""
    from benchmarks.training.trainer import TrainingStoppedError

    (state,) = _states
    orders, stopwatch = state.orders, state.stopwatch
    stopwatch.spans.clear()

    def on_epoch(num_runs: int, share: float) -> None:
        del num_runs
        state.progress[orders.number] = share

    checkpoint = orders.checkpoints.file_of(keys_of(stack)) if orders.checkpoints else None
    try:
        results = state.engine.train(stack, on_epoch, checkpoint)
    except TrainingStoppedError:
        results = []
    return Report(results, list(stopwatch.spans), psutil.Process().memory_info().rss)


def _open(reference: DatasetReference, runs_dir: Path) -> Dataset:
    found = open_prepared(reference, runs_dir)
    assert found is not None  # whoever hands out the work has opened it before
    return found


def _keep(runs_dir: Path) -> Any:
    def keep(run: Run, values: TrainedValues) -> None:
        values.write(weights_file(runs_dir, run.key))

    return keep


def _end_with_parent(parent: int) -> None:
    """End this process when the one that hands out the work is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS_AT_PARENT)
    os._exit(1)
