"""Dispatcher: gives stacks to workers, wherever these are, and decides what follows: results, or another attempt."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.data.dataset import Dataset
from benchmarks.execution.worker import Orders, Report
from benchmarks.plan.stacks import ProgramKey, Stack, StackQueue, epochs_behind, keys_of, program_of, stacks_by_program
from benchmarks.results import RunResult
from benchmarks.runs import Run

MOST_ATTEMPTS = 3
"""How often a stack is tried whose worker died or had too little memory: twice as it is, and then each of its runs
alone. What is raised for another reason would be raised again."""

MOST_GROWTH = 256 * 2**20
"""A worker that has grown by more is replaced: TensorFlow keeps some 6 MB of every program that it compiled."""


@dataclass
class Task:
    """A stack on its way."""

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
    task: Task | None = None
    first_bytes: int | None = None
    """What its process took after its first stack."""

    @property
    def at_work_on(self) -> Task:
        """Its task, where it has one."""
        assert self.task is not None
        return self.task


class Dispatcher:
    """The stacks that are to be trained, and what becomes of each.

    Args:
        runs: what to train, in any order.
        datasets: name as in the suite -> data.
        take: is asked which runs of a stack are to be trained, when its turn comes.
        orders: what all workers know from their start.
        time_limit: seconds that a run may take in one attempt; a stack may take that for each of its runs.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        datasets: Mapping[str, Dataset],
        take: Callable[[Stack], Stack],
        orders: Orders,
        time_limit: float | None,
    ):
        kept = orders.states.kept() if orders.states else {}
        self.queue = StackQueue(stacks_by_program(runs, datasets, lambda run: epochs_behind(run, kept)))
        self._take = take
        self._orders = orders
        self._time_limit = time_limit
        self._attempts: Counter[str] = Counter()

    def next_for(self, worker: AnyWorker, workers: Iterable[AnyWorker]) -> Stack | None:
        """What one of the workers is to train next; None where nothing is worth its while."""
        is_alone = not any(each.task for each in workers)
        while stack := self.queue.take(worker.program, is_alone=is_alone):
            worker.program = program_of(next(iter(stack.values())))
            if taken := self._take(stack):
                return taken
        return None

    def settle(self, worker: AnyWorker, task: Task, report: Report) -> Generator[tuple[Run, RunResult], None, bool]:
        """Give the results of a stack, but of runs that are tried again; whether its worker is to be replaced."""
        compiling = sum(end - start for phase, start, end, _ in report.spans if phase in ("build", "trace"))
        seconds = time.monotonic() - task.began
        self.queue.note(program_of(next(iter(task.stack.values()))), compiling, max(0.0, seconds - compiling))
        results = {run.key: result for run, result in report.results}
        starved = {slot: run for slot, run in task.stack.items() if _is_starved(results.get(run.key))}
        yield from ((run, result) for run, result in report.results if not _is_starved(result))
        if starved:
            yield from self.try_again(starved, results[next(iter(starved.values())).key])
            return True
        if report.results and self._orders.checkpoints:
            self._orders.checkpoints.file_of(keys_of(task.stack)).remove()
        worker.first_bytes = worker.first_bytes or report.num_bytes
        grown = report.num_bytes - worker.first_bytes
        return grown > MOST_GROWTH or report.num_bytes > self._orders.resources.worker_bytes

    def try_again(self, stack: Stack, failure: RunResult) -> Iterator[tuple[Run, RunResult]]:
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

    def is_over_time(self, task: Task) -> bool:
        """Whether a stack is being trained for longer than it may be."""
        if self._time_limit is None or task.running_since is None:
            return False
        return time.monotonic() - task.running_since > self._time_limit * len(task.stack)

    def timed_out(self, task: Task, trace: str | None) -> Iterator[tuple[Run, RunResult]]:
        """What the end of its time makes of the runs of a stack."""
        message = f"the time limit is {self._time_limit:g} s a run"
        if len(task.stack) > 1:
            message += f": its stack of {len(task.stack)} runs took longer than that for each of them"
        for run in task.stack.values():
            yield run, RunResult("timed_out", message=message, traceback=trace)


def _is_starved(result: RunResult | None) -> bool:
    """Whether a run ended for want of memory."""
    return result is not None and result.status == "out_of_memory"
