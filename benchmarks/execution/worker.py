"""Worker: what runs inside a worker process.

The dispatching process imports this too, so TensorFlow is imported where a worker makes its engine.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import pkgutil
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset, open_prepared
from benchmarks.errors import DatasetError
from benchmarks.execution.interrupts import ignore_interrupts
from benchmarks.files import weights_file
from benchmarks.plan.stacks import Stack, keys_of
from benchmarks.results import RunResult, failure_of
from benchmarks.runs import Run
from benchmarks.training.checkpoints import Checkpoints, States
from benchmarks.training.stopwatch import Stopwatch
from benchmarks.training.trainer import TrainingStoppedError

if TYPE_CHECKING:
    from benchmarks.execution.local import Engine, TrainedValues

_SECONDS_BETWEEN_POLLS_OF_PARENT = 1.0

_SECONDS_FOR_TRACE = 1.0

MOST_OF_MEMORY = 0.8
"""What a worker may take of its share before it is replaced."""

ENGINE = "benchmarks.execution.worker:tensorflow_engine"
"""What makes the engine of each worker, as module:name; a worker imports it where it begins."""

GO_ON, STOP, LEAVE = 0, 1, 2
"""What a worker is to do: train what it is given; write its checkpoint and wait; end."""


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

    @classmethod
    def of_share(cls, workers: int, threads: int, share: float, dataset_bytes: float | None) -> Resources:
        """Divide the share of each worker, in bytes, of which the inputs of a dataset may take a quarter by default."""
        most = max(share * MOST_OF_MEMORY, 2**30)
        return cls(workers, threads, share / 4 if dataset_bytes is None else dataset_bytes, most)


@dataclass(frozen=True)
class WorkerOptions:
    """What all workers train with, wherever they are."""

    references: Mapping[str, DatasetReference]
    """Dataset as the suite names it -> where it is."""
    runs_dir: Path
    """Where decoded datasets are, and weights are kept."""
    checkpoints: Checkpoints | None = None
    """Where runs under way are written down, and taken up again; on other machines only if they see that folder."""
    states: States | None = None
    """Where runs that end before their schedule leave their state, and longer ones of the same training take it up,
    likewise; whoever gives it removes them."""
    keep_weights: bool = False
    """Whether the weights of each run that is done are kept."""
    time_limit: float | None = None
    """Seconds that a run may take in one attempt, the compiling of its program among them; a stack may take that for
    each of its runs."""
    engine: str = field(default_factory=lambda: ENGINE)
    """What makes a worker's engine."""


@dataclass(frozen=True, kw_only=True)
class Orders(WorkerOptions):
    """What a worker knows from its start."""

    number: int
    resources: Resources


@dataclass(frozen=True, kw_only=True)
class ProcessOrders(Orders):
    """What a worker process of this machine knows from its start."""

    parent: int
    traces: Path
    """Folder where workers write what they were doing when they were ended; it goes when the parent does."""

    @property
    def trace(self) -> Path:
        """The file of this worker."""
        return self.traces / f"{self.number}.txt"


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


_kept_open: list[Any] = []

_states: list[_State] = []
"""The state of this process; empty in every process that is no worker."""


def begin(orders: ProcessOrders, progress: Any, stop: Any) -> None:
    """Make this process a worker.

    Args:
        orders: what it works with.
        progress: shared numbers: the share that is done of the stack that each worker is on.
        stop: shared numbers: what each worker is to do, one of `GO_ON`, `STOP` and `LEAVE`.
    """
    ignore_interrupts()
    # A batch system that ends a job tells every process. A worker leaves when the dispatching process says so,
    # after it has written its checkpoint.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if stop[orders.number] == LEAVE else None)
    threading.Thread(target=_end_with_parent, args=[orders.parent, orders.traces], daemon=True).start()
    _write_traces(orders.trace)
    make_engine(orders, progress, stop)


def make_engine(orders: Orders, progress: Any, stop: Any) -> None:
    """Make what `train` trains with; the arguments are those of `begin`."""
    stopwatch = Stopwatch(worker=orders.number)
    engine = pkgutil.resolve_name(orders.engine)(orders, stopwatch, lambda: stop[orders.number] != GO_ON)
    _states[:] = [_State(orders, engine, stopwatch, progress, stop)]


def tensorflow_engine(orders: Orders, stopwatch: Stopwatch, should_stop: Callable[[], bool]) -> Engine:
    """Import TensorFlow and make the engine that trains with it."""
    from benchmarks.tensorflow_start import import_for_training

    import_for_training(orders.resources.threads, orders.number)
    from benchmarks.execution.local import Engine

    def keep(run: Run, values: TrainedValues) -> None:
        values.write(weights_file(orders.runs_dir, run.key))

    return Engine(
        open_dataset=lambda name: opened(orders, name),
        stopwatch=stopwatch,
        on_trained=keep if orders.keep_weights else None,
        most_bytes=orders.resources.dataset_bytes,
        should_stop=should_stop,
        states=orders.states,
    )


def prepare_and_decode(reference: DatasetReference, runs_dir: Path) -> None:
    """Prepare a dataset and decode it into a runs folder, where that is not done yet.

    Raises:
        DatasetError: it cannot be had.
    """
    from benchmarks.data.loading import load_decoded
    from benchmarks.data.preparing import prepare

    prepare(reference)
    load_decoded(reference, runs_dir)


def open_or_prepare(
    reference: DatasetReference, runs_dir: Path, prepare: Callable[[DatasetReference], None]
) -> Dataset:
    """A dataset, which `prepare` prepares and decodes first where that is not done yet."""
    found = open_prepared(reference, runs_dir)
    if found is None:
        prepare(reference)
        found = open_prepared(reference, runs_dir)
        assert found is not None  # else it could not be prepared, which raises
    return found


def train(stack: Stack) -> Report:
    """Train a stack."""
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
    except Exception as error:  # a dataset that cannot be read any more, say, must not end the other runs
        results = [(run, failure_of(error)) for run in stack.values()]
    return Report(results, list(stopwatch.spans), psutil.Process().memory_info().rss)


def opened(orders: Orders, name: str) -> Dataset:
    """A dataset by its name in the suite.

    Raises:
        DatasetError: it is gone since the dispatching process has opened it.
    """
    reference = orders.references[name]
    found = open_prepared(reference, orders.runs_dir)
    if found is None:
        raise DatasetError(f"datasets: {reference.name}: its records, or what was decoded of them, are gone or changed")
    return found


def _end_with_parent(parent: int, traces: Path) -> None:
    """End this process when the dispatching process is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_POLLS_OF_PARENT)
    shutil.rmtree(traces, ignore_errors=True)
    os._exit(1)


def _write_traces(path: Path) -> None:
    """Have this process write where it is when it crashes, and when `trace_of` asks."""
    # Stays open as long as the process lives: it is written to from within a signal.
    file = path.open("w", encoding="utf-8")
    faulthandler.enable(file)
    if hasattr(faulthandler, "register"):  # not on Windows
        faulthandler.register(signal.SIGUSR1, file)
    _kept_open[:] = [file]


def trace_of(path: Path, process: int | None = None) -> str | None:
    """Where a worker is, thread by thread, or where it was when it crashed; None where that cannot be told.

    Args:
        path: its file.
        process: its id, if it lives; a worker that hangs is asked, also where it hangs outside of Python.
    """
    if process is not None and hasattr(faulthandler, "register"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGUSR1)
        end = time.monotonic() + _SECONDS_FOR_TRACE
        while time.monotonic() < end and not (path.exists() and path.stat().st_size):
            time.sleep(0.01)
        time.sleep(0.05)  # for the rest of it
    return (path.read_text(encoding="utf-8", errors="replace") or None) if path.exists() else None
