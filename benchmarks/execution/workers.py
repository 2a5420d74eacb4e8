"""Worker processes of this machine: what happens to one costs the stack that it was on, and nothing else.

Each worker is a pool of one process (Pebble), so that it is known which stack a dead process was on, and so that a
worker keeps the program that it has compiled. Nothing here imports TensorFlow in the dispatching process.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset, open_prepared
from benchmarks.errors import DatasetError
from benchmarks.execution.cgroups import limits
from benchmarks.execution.dispatcher import MOST_ATTEMPTS, AnyWorker, Dispatcher, Task
from benchmarks.execution.executors import WORKER_BYTES
from benchmarks.execution.interrupts import held, raise_held
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.worker import (
    GO_ON,
    LEAVE,
    STOP,
    ProcessOrders,
    Report,
    Resources,
    begin,
    prepare_and_decode,
    process_id,
    trace_of,
    train,
)
from benchmarks.plan.stacks import Stack
from benchmarks.results import RunResult, Status
from benchmarks.runs import Run
from benchmarks.training.checkpoints import Checkpoints, States
from benchmarks.training.stopwatch import Stopwatch

T = TypeVar("T")

POLL_SECONDS = 0.2
"""Between two polls of the workers."""

STOP_SECONDS = 10.0
"""How long workers have to write their checkpoints when everything is to stop."""

MOST_OF_MEMORY = 0.8
"""What a worker may take of its share before it is replaced."""


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
    share = min(memory.total, most.memory) / workers
    return Resources(
        workers, threads, share / 4 if dataset_bytes is None else dataset_bytes, max(share * MOST_OF_MEMORY, 2**30)
    )


def _cores() -> int:
    """Logical cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Context(SpawnContext):
    """Starts the processes of one pool and remembers them: where one dies, Pebble may start another.

    Pebble tells how a process ended only where that was on a task that it had acknowledged. Spawned and not forked:
    TensorFlow's threads do not survive a fork.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        self.started.append(SpawnProcess(*arguments, **options))
        return self.started[-1]


@dataclass(kw_only=True)
class _Worker(AnyWorker):
    """One worker process."""

    pool: ProcessPool
    context: _Context
    ready: ProcessFuture[int]

    @property
    def exit_code(self) -> int | None:
        """How its process ended; the number of a signal is negative. None where it lives, or that is not known."""
        return next((each.exitcode for each in self.context.started if each.exitcode is not None), None)

    @property
    def has_begun(self) -> bool:
        """Whether its process has come as far as waiting for tasks."""
        return self.ready.done() and self.ready.exception() is None


class Workers:
    """Worker processes; they start at once, and are gone when the `with` block ends.

    Pebble's pools and futures have locks, so interrupts are held back inside the block, and looked for here.

    Args:
        available: what they may use.
        references: the datasets, by their names in the suite.
        runs_dir: where decoded datasets and weights are.
        checkpoints: where runs under way are written down, and taken up again.
        states: where runs that end before their schedule leave their state, and longer ones of the same training take
            it up; whoever gives it removes them.
        keep_weights: whether the weights of each run that is done are kept.
        stopwatch: is told where the workers' time goes.
        time_limit: seconds that a run may take in one attempt, the compiling of its program among them; a stack may
            take that for each of its runs.
    """

    def __init__(
        self,
        available: Resources,
        references: Mapping[str, DatasetReference],
        runs_dir: Path,
        checkpoints: Checkpoints | None = None,
        states: States | None = None,
        *,
        keep_weights: bool = False,
        stopwatch: Stopwatch | None = None,
        time_limit: float | None = None,
    ):
        context = multiprocessing.get_context("spawn")
        self._progress = context.RawArray("d", available.workers)
        self._stop = context.RawArray("b", available.workers)
        self._stopwatch = stopwatch
        self._time_limit = time_limit
        self._machine = machine_facts() | {"workers": available.workers, "threads": available.threads}
        self._workers: list[_Worker] = []
        with ExitStack() as closing:
            closing.enter_context(held())
            traces = tempfile.TemporaryDirectory(prefix="ablate-", ignore_cleanup_errors=True)
            self._orders = ProcessOrders(
                number=0,
                resources=available,
                references=dict(references),
                runs_dir=runs_dir.resolve(),
                checkpoints=checkpoints,
                states=states,
                keep_weights=keep_weights,
                parent=os.getpid(),
                traces=Path(closing.enter_context(traces)),
            )
            closing.callback(self._end_all)
            for number in range(available.workers):
                self._workers.append(self._start(number))
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                self._wait_for_checkpoints()
        finally:  # also where a second interrupt ends the waiting
            self._closing.__exit__(kind, value, traceback)

    def wait_until_ready(self) -> None:
        """Wait until every worker has imported what it needs.

        Raises:
            ProcessExpired, BrokenProcessPool: a worker cannot even start.
        """
        for worker in self._workers:
            worker.ready.result()

    def open_datasets(self) -> dict[str, Dataset]:
        """Have the datasets prepared and decoded, where they are not, and open them.

        Raises:
            DatasetError: a dataset cannot be had.
        """
        orders = self._orders
        opened = {}
        for name, reference in orders.references.items():
            found = open_prepared(reference, orders.runs_dir)
            if found is None:
                self._prepare(reference)
                found = open_prepared(reference, orders.runs_dir)
                assert found is not None  # else `prepare_and_decode` raises
            opened[name] = found
        return opened

    def train(
        self,
        runs: Iterable[Run],
        datasets: Mapping[str, Dataset],
        on_progress: Callable[[float], None] = lambda _: None,
        take: Callable[[Stack], Stack] = lambda stack: stack,
    ) -> Iterator[tuple[Run, RunResult]]:
        """Train runs and give each result as soon as its stack is done.

        Args:
            runs: what to train, in any order.
            datasets: what `open_datasets` gave.
            on_progress: is told from time to time how many runs' worth of training the stacks under way have behind.
            take: is asked which runs of a stack are to be trained, when its turn comes.
        """
        dispatcher = Dispatcher(runs, datasets, take, self._orders, self._time_limit)
        while True:
            raise_held()
            for worker in self._workers:
                if worker.task is None:
                    self._hand_out(worker, dispatcher)
            under_way = [worker for worker in self._workers if worker.task]
            if not under_way:
                return
            wait([worker.at_work_on.future for worker in under_way], POLL_SECONDS, FIRST_COMPLETED)
            on_progress(sum(self._progress[worker.number] * len(worker.at_work_on.stack) for worker in under_way))
            for worker in under_way:
                if worker.ready.done():
                    worker.at_work_on.note_running()
                if _has_ended(worker, worker.at_work_on.future):
                    yield from self._finish(worker, dispatcher)
                elif dispatcher.is_over_time(worker.at_work_on):
                    yield from self._end_over_time(worker, dispatcher)

    def machine_of(self, run: Run) -> Mapping[str, Any]:
        """Facts of this machine, on which all runs are trained."""
        del run
        return self._machine

    def _start(self, number: int) -> _Worker:
        orders, context = replace(self._orders, number=number), _Context()
        pool = ProcessPool(
            max_workers=1, initializer=begin, initargs=[orders, self._progress, self._stop], context=context
        )
        return _Worker(number=number, pool=pool, context=context, ready=pool.schedule(process_id))

    def _restart(self, worker: _Worker) -> None:
        self._end(worker)
        self._workers[worker.number] = self._start(worker.number)

    def _end_all(self) -> None:
        for worker in self._workers:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        self._stop[worker.number] = LEAVE
        worker.pool.stop()  # type: ignore[no-untyped-call]  # Pebble leaves it untyped
        worker.pool.join()
        self._stop[worker.number] = GO_ON

    def _schedule(self, number: int, function: Callable[..., T], arguments: list[Any]) -> ProcessFuture[T]:
        """Have a worker do something; it is replaced first where its process died while it had nothing to do."""
        try:
            return self._workers[number].pool.schedule(function, arguments)
        except RuntimeError:  # Pebble gives a pool up whose process dies without a task
            self._restart(self._workers[number])
            return self._workers[number].pool.schedule(function, arguments)

    def _prepare(self, reference: DatasetReference) -> None:
        """Have a worker prepare and decode a dataset; where its process dies, another one begins anew.

        Raises:
            DatasetError: the dataset cannot be had, or every process died of it.
        """
        for _ in range(MOST_ATTEMPTS):
            preparing = self._schedule(0, prepare_and_decode, [reference, self._orders.runs_dir])
            while not _has_ended(self._workers[0], preparing):
                _wait([preparing], POLL_SECONDS)
            try:
                return _result_of(preparing)
            except (ProcessExpired, BrokenProcessPool) as error:
                reason = _reason(self._workers[0], error)
                self._restart(self._workers[0])
        message = f"tried {MOST_ATTEMPTS} times: its worker process {reason}"
        raise DatasetError(f"datasets: {reference.name} cannot be prepared\n  reason:  {message}")

    def _hand_out(self, worker: _Worker, dispatcher: Dispatcher) -> None:
        if stack := dispatcher.next_for(worker, self._workers):
            self._progress[worker.number] = 0.0
            task = Task(stack, self._schedule(worker.number, train, [stack]))
            self._workers[worker.number].program, self._workers[worker.number].task = worker.program, task

    def _finish(self, worker: _Worker, dispatcher: Dispatcher) -> Iterator[tuple[Run, RunResult]]:
        task, worker.task = worker.at_work_on, None
        try:
            report: Report = _result_of(task.future)
        except (ProcessExpired, BrokenProcessPool) as error:
            died = _died(worker, error, trace_of(self._trace(worker)))
            self._restart(worker)
            yield from dispatcher.try_again(task.stack, died)
            return
        if self._stopwatch:
            self._stopwatch.spans += report.spans
        if (yield from dispatcher.settle(worker, task, report)):
            self._restart(worker)

    def _end_over_time(self, worker: _Worker, dispatcher: Dispatcher) -> Iterator[tuple[Run, RunResult]]:
        """End a worker whose stack takes too long."""
        trace = trace_of(self._trace(worker), worker.ready.result())
        task, worker.task = worker.at_work_on, None
        self._restart(worker)
        yield from dispatcher.timed_out(task, trace)

    def _trace(self, worker: _Worker) -> Path:
        return replace(self._orders, number=worker.number).trace

    def _wait_for_checkpoints(self) -> None:
        """Let the workers write down what they are on."""
        for number in range(len(self._stop)):
            self._stop[number] = STOP
        _wait([worker.task.future for worker in self._workers if worker.task], STOP_SECONDS)


def _wait(futures: Sequence[ProcessFuture[Any]], seconds: float = math.inf) -> None:
    """Wait until these are done, so many seconds have passed, or an interrupt has come."""
    end = time.monotonic() + seconds
    while not all(future.done() for future in futures) and time.monotonic() < end:
        wait(futures, POLL_SECONDS)
        raise_held()


def _has_ended(worker: _Worker, future: ProcessFuture[Any]) -> bool:
    """Whether something that was scheduled has ended; what was scheduled while its pool broke never does by itself."""
    return future.done() or not worker.pool.active


def _result_of(future: ProcessFuture[T]) -> T:
    """What a future that has ended gave.

    Raises:
        ProcessExpired, BrokenProcessPool: the process died.
    """
    if not future.done():
        raise BrokenProcessPool("it died while it had nothing to do")
    return future.result()


def _died(worker: _Worker, error: Exception, trace: str | None) -> RunResult:
    """What the death of a worker makes of its runs."""
    # Linux ends a process in this way where memory runs out, and so do batch systems at their own limit.
    status: Status = "out_of_memory" if worker.exit_code == -signal.SIGKILL else "failed"
    return RunResult(status, message=f"its worker process {_reason(worker, error)}", traceback=trace)


def _reason(worker: _Worker, error: Exception) -> str:
    """How the process of a worker ended, such as: died: exit code 1."""
    code, died = worker.exit_code, "died" if worker.has_begun else "died while it started"
    if code is None:
        return f"{died}: {error or type(error).__name__}"
    if code >= 0:
        return f"{died}: exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{died}: {name}, as where memory runs out" if name == "SIGKILL" else f"{died}: {name}"
