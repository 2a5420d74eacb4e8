"""Workers on the nodes of a Ray cluster: what happens to a node costs the stacks that it was on, and nothing else.

The dispatching process is the only one that writes the store. It imports no TensorFlow.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset
from benchmarks.errors import UserError
from benchmarks.execution.dispatcher import MOST_ATTEMPTS, AnyWorker, Dispatcher, Task
from benchmarks.execution.executors import RayCluster
from benchmarks.execution.interrupts import held, raise_held
from benchmarks.execution.ray_cluster import connected, no_room, room
from benchmarks.execution.ray_node import REVISIONS, Begun, NodeOrders, NodeWorker, Outline, Sign, Trained
from benchmarks.execution.worker import STOP, Orders, Resources
from benchmarks.execution.workers import MOST_OF_MEMORY, POLL_SECONDS
from benchmarks.files import replaced, weights_file
from benchmarks.plan.stacks import Stack
from benchmarks.results import RunResult
from benchmarks.runs import Run
from benchmarks.training.checkpoints import Checkpoints, States
from benchmarks.training.stopwatch import Stopwatch

STOP_SECONDS = 5.0
"""How long workers have to write their checkpoints when everything is to stop; ending Ray takes some more."""

_SECONDS_BETWEEN_COUNTS = 2.0
"""How often it is counted what the nodes have room for."""

_SECONDS_FOR_TRACE = 2.0

_SECONDS_UNTIL_TOLD = 60.0
"""After how long without any worker that is said."""

_NAMES_OF_RAY = ("class_name:", "actor_id:", "namespace:")

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Worker(AnyWorker):
    """One actor; the future of its task is Ray's promise of what `NodeWorker.train` gives."""

    actor: Any
    ready: Any
    """Ray's promise of what `NodeWorker.begin` gives."""
    begun: Begun | None = None
    """None as long as it waits for a node, or imports what it needs."""
    asked: Any = None
    """Ray's promise of how far it is."""
    share: float = 0.0


class RayWorkers:
    """Actors on the nodes of a Ray cluster; they are gone when the `with` block ends.

    As for worker processes, interrupts are held back inside the block, and looked for here.

    Args:
        cluster: where, and what each worker needs.
        references: the datasets, by their names in the suite.
        runs_dir: the runs folder; nodes that see it work in it.
        num_missing: how many stacks are to be trained; there are no more workers.
        workers: how many there are to be, also where nodes for them are still to be started; by default as many as fit
            the nodes that are there.
        threads: CPUs of each worker; one by default, whatever the nodes have, so that the same suite has the same bits
            on every cluster.
        dataset_bytes: what the inputs of a dataset may take in a worker's memory; by default a quarter of its share.
        checkpoints: where runs under way are written down by nodes that see that folder.
        states: where runs that end before their schedule leave their state, and longer ones of the same training take
            it up, likewise; whoever gives it removes them.
        keep_weights: whether the weights of each run that is done are kept.
        stopwatch: is told where the workers' time goes.
        time_limit: seconds that a run may take in one attempt, the compiling of its program among them; a stack may
            take that for each of its runs.

    Raises:
        UserError: there is no such cluster, or no room in it.
    """

    def __init__(
        self,
        cluster: RayCluster,
        references: Mapping[str, DatasetReference],
        runs_dir: Path,
        num_missing: int,
        workers: int | None = None,
        threads: int | None = None,
        dataset_bytes: float | None = None,
        checkpoints: Checkpoints | None = None,
        states: States | None = None,
        *,
        keep_weights: bool = False,
        stopwatch: Stopwatch | None = None,
        time_limit: float | None = None,
    ):
        self._cluster = cluster
        self._most_workers = workers
        self._threads = threads or 1
        self._checkpoints = checkpoints
        self._stopwatch = stopwatch
        self._time_limit = time_limit
        self._runs_dir = runs_dir.resolve()
        self._workers: list[_Worker] = []
        self._started = 0
        self._counted = -math.inf
        self._fitting = 0
        self._lost_at_start = 0
        self._began, self._is_waiting_told = time.monotonic(), False
        self._machines: dict[str, Mapping[str, Any]] = {}
        with ExitStack() as self._closing:
            self._closing.enter_context(held())
            self._ray = self._closing.enter_context(connected(cluster))
            nodes = self._ray.nodes()
            found = room(nodes, self._threads, cluster)
            # Nodes that are still to be started may have room; nobody starts any for a cluster of this machine alone.
            if not found.workers and (workers is None or cluster.address is None):
                raise no_room(nodes, self._threads, cluster)
            share = cluster.memory if math.isinf(found.worker_bytes) else found.worker_bytes
            orders = Orders(
                number=0,
                resources=Resources(
                    workers or found.workers,
                    self._threads,
                    share / 4 if dataset_bytes is None else dataset_bytes,
                    max(share * MOST_OF_MEMORY, 2**30),
                ),
                references={name: _absolute(reference) for name, reference in references.items()},
                runs_dir=self._runs_dir,
                checkpoints=checkpoints,
                states=states,
                keep_weights=keep_weights,
            )
            self._orders = NodeOrders(orders, self._written_sign(), cluster.gpus, REVISIONS)
            self._fill(max(1, num_missing))
            self._closing = self._closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is not None and issubclass(kind, KeyboardInterrupt):
                self._wait_for_checkpoints()
        finally:  # also where a second interrupt ends the waiting
            for worker in self._workers:
                self._ray.kill(worker.actor)
            self._workers.clear()
            self._closing.__exit__(kind, value, traceback)

    @property
    def places(self) -> list[Mapping[str, Any]]:
        """Facts of the node of each worker that is ready."""
        return [worker.begun.machine for worker in self._workers if worker.begun]

    def wait_until_ready(self, workers: int = 1) -> None:
        """Wait until so many workers have imported what they need.

        Raises:
            UserError: they cannot begin.
        """
        while len(self.places) < workers:
            raise_held()
            self._fill(max(workers, len(self._workers)))
            self._wait()
            self._note_ready()

    def open_datasets(self) -> dict[str, Dataset]:
        """Have the datasets prepared and decoded on one node, and tell what they are like; their inputs stay there.

        Raises:
            DatasetError: a dataset cannot be had.
            UserError: no worker can begin.
        """
        return {name: self._outline(name).as_dataset() for name in self._orders.orders.references}

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

        Raises:
            DatasetError: a node cannot have a dataset.
            UserError: no worker can begin.
        """
        dispatcher = Dispatcher(runs, datasets, take, self._orders.orders, self._time_limit)
        while True:
            raise_held()
            self._fill(len(dispatcher.queue) + sum(worker.task is not None for worker in self._workers))
            self._note_ready()
            for worker in self._workers:
                if worker.begun and worker.task is None:
                    self._hand_out(worker, dispatcher)
            under_way = [worker for worker in self._workers if worker.task]
            if not under_way and not len(dispatcher.queue):
                return
            self._wait()
            self._ask(under_way)
            on_progress(sum(worker.share * len(worker.at_work_on.stack) for worker in under_way))
            for worker in under_way:
                if self._is_there(worker.at_work_on.future):
                    yield from self._finish(worker, dispatcher)
                elif dispatcher.is_over_time(worker.at_work_on):
                    yield from self._end_over_time(worker, dispatcher)

    def machine_of(self, run: Run) -> Mapping[str, Any]:
        """Facts of the node that a run was trained on whose result was given last."""
        return self._machines[run.key]

    def _fill(self, wanted: int) -> None:
        """Start workers, where there are fewer than are wanted and the nodes have room for."""
        if time.monotonic() - self._counted > _SECONDS_BETWEEN_COUNTS:
            self._fitting = room(self._ray.nodes(), self._threads, self._cluster).workers
            self._counted = time.monotonic()
        most = self._fitting if self._most_workers is None else self._most_workers
        while len(self._workers) < min(wanted, most):
            self._workers.append(self._start())

    def _start(self) -> _Worker:
        number, self._started = self._started, self._started + 1
        kind = self._ray.remote(
            num_cpus=self._threads,
            num_gpus=self._cluster.gpus,
            memory=self._cluster.memory,
            concurrency_groups={"watch": 1},
        )(NodeWorker)
        actor = kind.remote(replace(self._orders, orders=replace(self._orders.orders, number=number)))
        return _Worker(number=number, actor=actor, ready=actor.begin.remote())

    def _drop(self, worker: _Worker) -> None:
        """End a worker; another one takes its place where there is room."""
        self._ray.kill(worker.actor)
        self._workers.remove(worker)
        # It takes Ray a moment to see that a node is gone.
        self._fitting, self._counted = len(self._workers), time.monotonic()

    def _note_ready(self) -> None:
        for worker in [each for each in self._workers if each.begun is None]:
            if not self._is_there(worker.ready):
                continue
            try:
                worker.begun = self._get(worker.ready)
                self._lost_at_start, self._is_waiting_told = 0, False
            except self._ray.exceptions.RayError as error:
                # The node may have gone; where that is no accident the next ones go too.
                self._drop(worker)
                self._lost_at_start += 1
                if self._lost_at_start >= MOST_ATTEMPTS and not self.places:
                    raise UserError(f"--executor ray: no worker can begin\n  reason:  {_told(error)}") from error

        if self.places:
            self._began = time.monotonic()
        elif not self._is_waiting_told and time.monotonic() - self._began > _SECONDS_UNTIL_TOLD:
            self._is_waiting_told = True
            _log.warning("no node has begun to work yet; `ray status` tells what is asked for, and what is there")

    def _outline(self, name: str) -> Outline:
        """What a dataset is like, from whichever worker is ready."""
        for _ in range(MOST_ATTEMPTS):
            self.wait_until_ready()
            worker = next(each for each in self._workers if each.begun)
            found = worker.actor.outline.remote(name)
            while not self._is_there(found):
                raise_held()
                self._ray.wait([found], timeout=POLL_SECONDS)
            try:
                told: Outline = self._get(found)
            except self._ray.exceptions.RayError as error:
                self._drop(worker)
                last = error
                continue
            return told
        raise UserError(f"--executor ray: {name} cannot be opened\n  reason:  {_told(last)}") from last

    def _hand_out(self, worker: _Worker, dispatcher: Dispatcher) -> None:
        if stack := dispatcher.next_for(worker, self._workers):
            worker.share, worker.asked = 0.0, None
            worker.task = Task(stack, worker.actor.train.remote(stack))

    def _finish(self, worker: _Worker, dispatcher: Dispatcher) -> Iterator[tuple[Run, RunResult]]:
        task, worker.task = worker.at_work_on, None
        self._note_machine(worker, task)
        try:
            trained: Trained = self._get(task.future)
        except self._ray.exceptions.RayError as error:
            self._drop(worker)
            yield from dispatcher.try_again(task.stack, self._lost(error))
            return
        for key, weights in trained.weights.items():
            with replaced(weights_file(self._runs_dir, key)) as file:
                file.write(weights)
        self._note_spans(trained.report.spans, trained.ended)
        if (yield from dispatcher.settle(worker, task, trained.report)):
            self._drop(worker)

    def _lost(self, error: Exception) -> RunResult:
        """What the loss of a worker makes of its runs."""
        is_memory = isinstance(error, self._ray.exceptions.OutOfMemoryError)
        return RunResult(
            "out_of_memory" if is_memory else "failed",
            message=f"its worker or its node was lost: {_told(error)}",
            traceback=str(error),
        )

    def _ask(self, workers: Iterable[_Worker]) -> None:
        """Learn how far workers are, without waiting for their answers."""
        for worker in workers:
            if worker.asked is not None and self._is_there(worker.asked):
                try:
                    share = self._get(worker.asked)
                except self._ray.exceptions.RayError:
                    continue  # what it is on tells that it is gone
                worker.asked = None
                if share is not None:
                    worker.share = share
                    worker.at_work_on.note_running()
            if worker.asked is None:
                worker.asked = worker.actor.share.options(concurrency_group="watch").remote()

    def _end_over_time(self, worker: _Worker, dispatcher: Dispatcher) -> Iterator[tuple[Run, RunResult]]:
        """End a worker whose stack takes too long."""
        try:
            asked = worker.actor.trace.options(concurrency_group="watch").remote()
            trace = self._ray.get(asked, timeout=_SECONDS_FOR_TRACE)
        except self._ray.exceptions.RayError:
            trace = None
        self._note_machine(worker, worker.at_work_on)
        self._drop(worker)
        yield from dispatcher.timed_out(worker.at_work_on, trace)

    def _note_machine(self, worker: _Worker, task: Task) -> None:
        assert worker.begun is not None  # else it would have no task
        for run in task.stack.values():
            self._machines[run.key] = worker.begun.machine

    def _note_spans(self, spans: Sequence[tuple[str, float, float, int]], ended: float) -> None:
        """Add the phases of a node, whose clock began at another moment."""
        if not self._stopwatch:
            return
        behind = time.perf_counter() - ended
        self._stopwatch.spans += [(name, start + behind, end + behind, number) for name, start, end, number in spans]

    def _wait_for_checkpoints(self) -> None:
        """Let the workers write down what they are on, where that outlives their nodes."""
        writing = [each for each in self._workers if each.task and each.begun and each.begun.shares_folder]
        if not self._checkpoints:
            return
        for worker in writing:
            worker.actor.order.options(concurrency_group="watch").remote(STOP)
        left, end = [worker.at_work_on.future for worker in writing], time.monotonic() + STOP_SECONDS
        while left and time.monotonic() < end:
            _, left = self._ray.wait(left, num_returns=len(left), timeout=POLL_SECONDS)
            raise_held()

    def _wait(self) -> None:
        """Wait a moment, or until a worker is ready or done."""
        promises = [worker.ready for worker in self._workers if worker.begun is None]
        promises += [worker.task.future for worker in self._workers if worker.task]
        if promises:
            self._ray.wait(promises, timeout=POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)

    def _is_there(self, promise: Any) -> bool:
        return bool(self._ray.wait([promise], timeout=0)[0])

    def _get(self, promise: Any) -> Any:
        """What a promise holds; what a person can mend is raised as it was on the node."""
        try:
            return self._ray.get(promise)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise

    def _written_sign(self) -> Sign:
        """Write the file by which nodes see that they share the runs folder; it is removed at the end."""
        self._runs_dir.mkdir(parents=True, exist_ok=True)
        text = uuid.uuid4().hex
        sign = Sign(self._runs_dir / f".ray-{text}", text)
        self._closing.callback(sign.path.unlink, missing_ok=True)
        sign.path.write_text(text, encoding="utf-8")
        return sign


def _absolute(reference: DatasetReference) -> DatasetReference:
    """A node has another working folder."""
    return replace(reference, data_dir=reference.data_dir.resolve())


def _told(error: Exception) -> str:
    """What Ray says of a loss, in one line, without what Ray alone knows things by."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith(_NAMES_OF_RAY))
    return told[:400] or type(error).__name__
