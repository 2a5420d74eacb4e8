"""Worker processes of this machine: what happens to one costs the stack that it was on, and nothing else.

Each worker is a pool of one process (Pebble), so that it is known which stack a dead process was on, and so that a
worker keeps the program that it has compiled. Nothing here imports TensorFlow in the dispatching process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset
from benchmarks.errors import DatasetError
from benchmarks.execution.cgroups import limits
from benchmarks.execution.dispatcher import MOST_ATTEMPTS, POLL_SECONDS, AnyWorker, Attempt, Dispatcher
from benchmarks.execution.executors import WORKER_BYTES
from benchmarks.execution.interrupts import held, raise_held
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.spawning import WorkerContext
from benchmarks.execution.worker import (
    GO_ON,
    LEAVE,
    STOP,
    ProcessOrders,
    Report,
    Resources,
    WorkerOptions,
    begin,
    open_or_prepare,
    prepare_and_decode,
    trace_of,
    train,
)
from benchmarks.plan.stacks import Stack
from benchmarks.results import RunResult, Status
from benchmarks.runs import Run
from benchmarks.training.stopwatch import Stopwatch

T = TypeVar("T")


def resources(
    num_planned: int,
    num_missing: int,
    workers: int | None = None,
    threads: int | None = None,
    dataset_bytes: float | None = None,
) -> Resources:
    """Divide among workers what this process may use of the machine.

    Args:
        num_planned: how many stacks the whole plan has, stored ones included.
        num_missing: how many of them are to be trained.
        workers: how many; by default what fits cores and memory, and finds work.
        threads: of each; by default the cores divided among as many workers as the whole plan can keep busy, so that
            a plan that goes on has the same threads, and with them the same bits.
        dataset_bytes: what the inputs of a dataset may take in a worker's memory; by default a quarter of its share.
    """
    memory, most = psutil.virtual_memory(), limits()
    cores = max(1, int(min(_cores(), most.cores)))
    threads = threads or max(1, cores // max(1, num_planned))
    if workers is None:
        fitting = int(min(memory.available, most.available) / WORKER_BYTES)
        workers = max(1, min(cores // threads, num_missing, fitting))
    return Resources.of_share(workers, threads, min(memory.total, most.memory) / workers, dataset_bytes)


def _cores() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Process:
    """One worker process, which is a pool of its own."""

    pool: ProcessPool
    context: WorkerContext
    ready: ProcessFuture[int]
    """Of its process id: that there is one tells that it has begun."""

    @property
    def exit_code(self) -> int | None:
        """How it ended; the number of a signal is negative. None where it lives, or that is not known."""
        return next((each.exitcode for each in self.context.started if each.exitcode is not None), None)

    @property
    def has_begun(self) -> bool:
        """Whether it has come as far as waiting for tasks."""
        return self.ready.done() and self.ready.exception() is None

    def has_ended(self, future: ProcessFuture[Any]) -> bool:
        """Whether something that it was to do has ended; what came as its pool broke never does by itself."""
        return future.done() or not self.pool.active

    def how_it_died(self, error: Exception) -> str:
        """Such as: died: exit code 1; where its code is not known, what Pebble said of it."""
        code, died = self.exit_code, "died" if self.has_begun else "died while it started"
        if code is None:
            return f"{died}: {error or type(error).__name__}"
        if code >= 0:
            return f"{died}: exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"{died}: {name}, as where memory runs out" if name == "SIGKILL" else f"{died}: {name}"


@dataclass(kw_only=True)
class _Worker(AnyWorker):
    """A worker, whose process can be replaced."""

    process: _Process


class Workers(Dispatcher[_Worker]):
    """Worker processes; they start at once, and are gone when the `with` block ends.

    Pebble's pools and futures have locks, so interrupts are held back inside the block.

    Args:
        available: what they may use.
        options: what they train with.
        stopwatch: is told where the workers' time goes.
    """

    stop_seconds = 10.0

    def __init__(self, available: Resources, options: WorkerOptions, stopwatch: Stopwatch | None = None):
        super().__init__(stopwatch)
        context = multiprocessing.get_context("spawn")
        self._progress = context.RawArray("d", available.workers)
        self._stop = context.RawArray("b", available.workers)
        self._machine = machine_facts() | {"workers": available.workers, "threads": available.threads}
        with ExitStack() as closing:
            closing.enter_context(held())
            traces = tempfile.TemporaryDirectory(prefix="ablate-", ignore_cleanup_errors=True)
            self._orders: ProcessOrders = ProcessOrders(
                **vars(options) | {"runs_dir": options.runs_dir.resolve()},
                number=0,
                resources=available,
                parent=os.getpid(),
                traces=Path(closing.enter_context(traces)),
            )
            closing.callback(self._end_all)
            for number in range(available.workers):
                self._workers.append(_Worker(number=number, process=self._start(number)))
            self._closing = closing.pop_all()

    def wait_until_ready(self) -> None:
        """Wait until every worker has imported what it needs.

        Raises:
            ProcessExpired, BrokenProcessPool: a worker cannot even start.
        """
        for worker in self._workers:
            worker.process.ready.result()

    def open_datasets(self) -> dict[str, Dataset]:
        """As of `Dispatcher`; what is not prepared or decoded yet is so by a worker."""
        references, runs_dir = self._orders.references, self._orders.runs_dir
        return {name: open_or_prepare(each, runs_dir, self._prepare) for name, each in references.items()}

    def machine_of(self, run: Run) -> Mapping[str, Any]:
        """Facts of this machine, on which all runs are trained."""
        del run
        return self._machine

    def _start(self, number: int) -> _Process:
        orders, context = replace(self._orders, number=number), WorkerContext()
        pool = ProcessPool(
            max_workers=1, initializer=begin, initargs=[orders, self._progress, self._stop], context=context
        )
        return _Process(pool, context, pool.schedule(os.getpid))

    def _replace(self, worker: _Worker) -> None:
        self._end(worker)
        worker.process, worker.program, worker.first_bytes = self._start(worker.number), None, None

    def _end_all(self) -> None:
        for worker in self._workers:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        self._stop[worker.number] = LEAVE
        worker.process.pool.stop()  # type: ignore[no-untyped-call]  # Pebble leaves it untyped
        worker.process.pool.join()
        self._stop[worker.number] = GO_ON

    def _schedule(self, worker: _Worker, function: Callable[..., T], arguments: list[Any]) -> ProcessFuture[T]:
        """Have a worker do something; its process is replaced first where it died while it had nothing to do."""
        try:
            return worker.process.pool.schedule(function, arguments)
        except RuntimeError:  # Pebble gives a pool up whose process dies without a task
            self._replace(worker)
            return worker.process.pool.schedule(function, arguments)

    def _prepare(self, reference: DatasetReference) -> None:
        """Have a worker prepare and decode a dataset; where its process dies, another one begins anew.

        Raises:
            DatasetError: the dataset cannot be had, or every process died of it.
        """
        worker = self._workers[0]
        for _ in range(MOST_ATTEMPTS):
            preparing = self._schedule(worker, prepare_and_decode, [reference, self._orders.runs_dir])
            while not worker.process.has_ended(preparing):
                wait([preparing], POLL_SECONDS)
                raise_held()
            try:
                return _result_of(preparing)
            except (ProcessExpired, BrokenProcessPool) as error:
                reason = worker.process.how_it_died(error)
                self._replace(worker)
        message = f"tried {MOST_ATTEMPTS} times: its worker process {reason}"
        raise DatasetError(f"datasets: {reference.name} cannot be prepared\n  reason:  {message}")

    def _gather(self, wanted: int) -> list[_Worker]:
        del wanted
        return self._workers  # all, also while they start

    def _send(self, worker: _Worker, stack: Stack) -> ProcessFuture[Report]:
        self._progress[worker.number] = 0.0
        program = worker.program
        future = self._schedule(worker, train, [stack])
        worker.program = program  # also where its process had to be replaced
        return future

    def _poll(self, workers: Sequence[_Worker]) -> None:
        wait([worker.attempt.future for worker in workers if worker.attempt], POLL_SECONDS, FIRST_COMPLETED)
        for worker in workers:
            worker.share = self._progress[worker.number]
            if worker.attempt and worker.process.ready.done():
                worker.attempt.note_running()

    def _has_ended(self, worker: _Worker) -> bool:
        return worker.process.has_ended(worker.at_work_on.future)

    def _collect(self, worker: _Worker, attempt: Attempt) -> Report | RunResult:
        try:
            report: Report = _result_of(attempt.future)
        except (ProcessExpired, BrokenProcessPool) as error:
            # Linux ends a process in this way where memory runs out, and so do batch systems at their own limit.
            status: Status = "out_of_memory" if worker.process.exit_code == -signal.SIGKILL else "failed"
            message = f"its worker process {worker.process.how_it_died(error)}"
            return RunResult(status, message=message, traceback=trace_of(self._trace_file(worker)))
        return report

    def _trace(self, worker: _Worker) -> str | None:
        return trace_of(self._trace_file(worker), worker.process.ready.result())

    def _trace_file(self, worker: _Worker) -> Path:
        return replace(self._orders, number=worker.number).trace

    def _stop_all(self) -> list[_Worker]:
        for number in range(len(self._stop)):
            self._stop[number] = STOP
        return [worker for worker in self._workers if worker.attempt]


def _result_of(future: ProcessFuture[T]) -> T:
    """What a future that has ended gave.

    Raises:
        ProcessExpired, BrokenProcessPool: the process died.
    """
    if not future.done():
        raise BrokenProcessPool("it died while it had nothing to do")
    return future.result()
