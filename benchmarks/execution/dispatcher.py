"""Dispatcher: gives stacks to workers, wherever these are, and decides what follows: results, or another attempt."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from benchmarks.data.dataset import Dataset
from benchmarks.execution.interrupts import raise_held
from benchmarks.execution.worker import Orders, Report
from benchmarks.plan.stacks import ProgramKey, Stack, StackQueue, epochs_behind, keys_of, program_of, stacks_by_program
from benchmarks.results import RunResult
from benchmarks.runs import Run
from benchmarks.training.stopwatch import Stopwatch

Trained = tuple[Run, RunResult]

POLL_SECONDS = 0.2
"""Between two polls of the workers."""

MOST_ATTEMPTS = 3
"""How often a stack is tried whose worker died or had too little memory: twice as it is, and then each of its runs
alone. What is raised for another reason would be raised again."""

MOST_GROWTH = 256 * 2**20
"""A worker that has grown by more is replaced: TensorFlow keeps some 6 MB of every program that it compiled."""


@dataclass
class Attempt:
    """A stack that a worker is on."""

    stack: Stack
    future: Any
    """Of what its worker makes of it."""
    began: float = field(default_factory=time.monotonic)
    running_since: float | None = None
    """None as long as its worker, or its dataset, is not ready."""

    def note_running(self) -> None:
        """Note that it is being trained, which it is from the first time on that this is called."""
        self.running_since = self.running_since or time.monotonic()


@dataclass(kw_only=True)
class AnyWorker:
    """One worker, as the dispatching process sees it."""

    number: int
    program: ProgramKey | None = None
    """What it has compiled."""
    attempt: Attempt | None = None
    """What it is on."""
    share: float = 0.0
    """The share of it that is done."""
    first_bytes: int | None = None
    """What its process took after its first stack."""

    @property
    def at_work_on(self) -> Attempt:
        """Its attempt, where it has one."""
        assert self.attempt is not None
        return self.attempt


class Backlog:
    """The stacks that are to be trained, and what becomes of each.

    Args:
        runs: what to train, in any order.
        datasets: name as in the suite -> data.
        take: is asked which runs of a stack are to be trained, when its turn comes.
        orders: what all workers know from their start.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        datasets: Mapping[str, Dataset],
        take: Callable[[Stack], Stack],
        orders: Orders,
    ):
        kept = orders.states.kept() if orders.states else {}
        self.queue = StackQueue(stacks_by_program(runs, datasets, lambda run: epochs_behind(run, kept)))
        self._take = take
        self._orders = orders
        self._attempts: Counter[str] = Counter()

    def next_for(self, worker: AnyWorker, workers: Iterable[AnyWorker]) -> Stack | None:
        """What one of the workers is to train next; None where nothing is worth its while."""
        is_alone = not any(each.attempt for each in workers)
        while stack := self.queue.take(worker.program, is_alone=is_alone):
            worker.program = program_of(next(iter(stack.values())))
            if taken := self._take(stack):
                return taken
        return None

    def settle(self, worker: AnyWorker, attempt: Attempt, report: Report) -> Generator[Trained, None, bool]:
        """Give the results of a stack, but of runs that are tried again; whether its worker is to be replaced."""
        compiling = sum(end - start for phase, start, end, _ in report.spans if phase in ("build", "trace"))
        seconds = time.monotonic() - attempt.began
        self.queue.note(program_of(next(iter(attempt.stack.values()))), compiling, max(0.0, seconds - compiling))
        results = {run.key: result for run, result in report.results}
        starved = {slot: run for slot, run in attempt.stack.items() if _is_starved(results.get(run.key))}
        yield from ((run, result) for run, result in report.results if not _is_starved(result))
        if starved:
            yield from self.try_again(starved, results[next(iter(starved.values())).key])
            return True
        if report.results and self._orders.checkpoints:
            self._orders.checkpoints.file_of(keys_of(attempt.stack)).remove()
        worker.first_bytes = worker.first_bytes or report.num_bytes
        grown = report.num_bytes - worker.first_bytes
        return grown > MOST_GROWTH or report.num_bytes > self._orders.resources.worker_bytes

    def try_again(self, stack: Stack, failure: RunResult) -> Iterator[Trained]:
        """Have runs tried again for whose failure they need not be to blame; after the last attempt it is theirs."""
        self._attempts.update(run.key for run in stack.values())
        tried = max(self._attempts[run.key] for run in stack.values())
        if tried < MOST_ATTEMPTS - 1:
            self.queue.put_back(stack)
        elif tried == MOST_ATTEMPTS - 1:
            for slot, run in stack.items():
                self.queue.put_back({slot: run})
        else:
            for run in stack.values():
                yield run, replace(failure, message=f"tried {tried} times: {failure.message}")

    def is_over_time(self, attempt: Attempt) -> bool:
        """Whether a stack is being trained for longer than it may be."""
        if self._orders.time_limit is None or attempt.running_since is None:
            return False
        return time.monotonic() - attempt.running_since > self._orders.time_limit * len(attempt.stack)

    def timed_out(self, attempt: Attempt, trace: str | None) -> Iterator[Trained]:
        """What the end of its time makes of the runs of a stack."""
        message = f"the time limit is {self._orders.time_limit:g} s a run"
        if len(attempt.stack) > 1:
            message += f": its stack of {len(attempt.stack)} runs took longer than that for each of them"
        for run in attempt.stack.values():
            yield run, RunResult("timed_out", message=message, traceback=trace)


WorkerT = TypeVar("WorkerT", bound=AnyWorker)


class Dispatcher(ABC, Generic[WorkerT]):
    """Workers that have been started, wherever they are; they are gone when the `with` block ends.

    The loop that gives them stacks is here. What its subclasses have is the transport: how a worker is reached, asked
    and replaced. Interrupts are held back inside the block, and raised between two steps of the loop.
    """

    stop_seconds: ClassVar[float]
    """How long workers have to write their checkpoints when everything is to stop."""

    _orders: Orders
    """What all workers know from their start."""
    _closing: ExitStack
    """What is undone at the end, the workers themselves among it."""

    def __init__(self, stopwatch: Stopwatch | None):
        self._stopwatch = stopwatch
        self._workers: list[WorkerT] = []

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

    @abstractmethod
    def open_datasets(self) -> dict[str, Dataset]:
        """Have the datasets prepared and decoded, where they are not, and open them.

        Raises:
            DatasetError: a dataset cannot be had.
            UserError: no worker can begin.
        """

    @abstractmethod
    def machine_of(self, run: Run) -> Mapping[str, Any]:
        """Facts of the machine that a run was trained on whose result was given last."""

    def train(
        self,
        runs: Iterable[Run],
        datasets: Mapping[str, Dataset],
        on_progress: Callable[[float], None] = lambda _: None,
        take: Callable[[Stack], Stack] = lambda stack: stack,
    ) -> Iterator[Trained]:
        """Train runs and give each result as soon as its stack is done.

        Args:
            runs: what to train, in any order.
            datasets: what `open_datasets` gave.
            on_progress: is told from time to time how many runs' worth of training the stacks under way have behind.
            take: is asked which runs of a stack are to be trained, when its turn comes.

        Raises:
            DatasetError: a worker cannot have a dataset.
            UserError: no worker can begin.
        """
        backlog = Backlog(runs, datasets, take, self._orders)
        while True:
            raise_held()
            wanted = len(backlog.queue) + sum(worker.attempt is not None for worker in self._workers)
            for worker in self._gather(wanted):
                if worker.attempt is None:
                    self._hand_out(worker, backlog)
            under_way = [worker for worker in self._workers if worker.attempt]
            if not under_way and not len(backlog.queue):
                return
            self._poll(self._workers)
            on_progress(sum(worker.share * len(worker.at_work_on.stack) for worker in under_way))
            for worker in under_way:
                if self._has_ended(worker):
                    yield from self._finish(worker, backlog)
                elif backlog.is_over_time(worker.at_work_on):
                    yield from self._end_over_time(worker, backlog)

    @abstractmethod
    def _gather(self, wanted: int) -> Sequence[WorkerT]:
        """The workers that can be given stacks; others are started where there are fewer than are wanted and may be."""

    @abstractmethod
    def _send(self, worker: WorkerT, stack: Stack) -> Any:
        """Have a worker train a stack; the future of it."""

    @abstractmethod
    def _poll(self, workers: Sequence[WorkerT]) -> None:
        """Wait a moment, or until one of these workers is ready or done, and note how far they are."""

    @abstractmethod
    def _has_ended(self, worker: WorkerT) -> bool:
        """Whether a worker is done with its stack, or gone."""

    @abstractmethod
    def _collect(self, worker: WorkerT, attempt: Attempt) -> Report | RunResult:
        """What a worker made of its stack; where the worker is lost, what that makes of each of its runs."""

    @abstractmethod
    def _replace(self, worker: WorkerT) -> None:
        """End a worker; another one takes its place, where there is room."""

    @abstractmethod
    def _trace(self, worker: WorkerT) -> str | None:
        """What a worker is doing now, if it can tell."""

    @abstractmethod
    def _stop_all(self) -> list[WorkerT]:
        """Tell all workers to stop; those that write a checkpoint of what they are on."""

    def _hand_out(self, worker: WorkerT, backlog: Backlog) -> None:
        if stack := backlog.next_for(worker, self._workers):
            worker.share = 0.0
            worker.attempt = Attempt(stack, self._send(worker, stack))

    def _finish(self, worker: WorkerT, backlog: Backlog) -> Iterator[Trained]:
        attempt, worker.attempt = worker.at_work_on, None
        report = self._collect(worker, attempt)
        if isinstance(report, RunResult):
            self._replace(worker)
            yield from backlog.try_again(attempt.stack, report)
            return
        if self._stopwatch:
            self._stopwatch.spans += report.spans
        if (yield from backlog.settle(worker, attempt, report)):
            self._replace(worker)

    def _end_over_time(self, worker: WorkerT, backlog: Backlog) -> Iterator[Trained]:
        """End a worker whose stack takes too long."""
        trace = self._trace(worker)
        attempt, worker.attempt = worker.at_work_on, None
        self._replace(worker)
        yield from backlog.timed_out(attempt, trace)

    def _wait_for_checkpoints(self) -> None:
        """Let the workers write down what they are on."""
        left, end = self._stop_all(), time.monotonic() + self.stop_seconds
        while (left := [worker for worker in left if not self._has_ended(worker)]) and time.monotonic() < end:
            self._poll(left)
            raise_held()


def _is_starved(result: RunResult | None) -> bool:
    """Whether a run ended for want of memory."""
    return result is not None and result.status == "out_of_memory"
