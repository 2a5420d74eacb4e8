"""Workers on the nodes of a Ray cluster: what happens to a node costs the stacks that it was on, and nothing else.

The dispatching process is the only one that writes the store. It imports no TensorFlow.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset
from benchmarks.errors import UserError
from benchmarks.execution.dispatcher import MOST_ATTEMPTS, POLL_SECONDS, AnyWorker, Attempt, Dispatcher
from benchmarks.execution.executors import RayCluster
from benchmarks.execution.interrupts import held, raise_held
from benchmarks.execution.ray_cluster import connected, no_room, room
from benchmarks.execution.ray_node import REVISIONS, Begun, NodeOrders, NodeWorker, Outline, Sign, Trained
from benchmarks.execution.worker import STOP, Orders, Report, Resources, WorkerOptions
from benchmarks.files import replaced, weights_file
from benchmarks.plan.stacks import Stack
from benchmarks.results import RunResult
from benchmarks.runs import Run
from benchmarks.training.stopwatch import Stopwatch

_SECONDS_BETWEEN_COUNTS = 2.0
"""How often it is counted what the nodes have room for."""

_SECONDS_FOR_TRACE = 2.0

_SECONDS_UNTIL_TOLD = 60.0
"""After how long without any worker that is said."""

_NAMES_OF_RAY = ("class_name:", "actor_id:", "namespace:")

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Worker(AnyWorker):
    """One actor; the future of its attempt is Ray's promise of what `NodeWorker.train` gives."""

    actor: Any
    ready: Any
    """Ray's promise of what `NodeWorker.begin` gives."""
    begun: Begun | None = None
    """None as long as it waits for a node, or imports what it needs."""
    asked: Any = None
    """Ray's promise of how far it is."""


class RayWorkers(Dispatcher[_Worker]):
    """Actors on the nodes of a Ray cluster; they are gone when the `with` block ends.

    Args:
        cluster: where, and what each worker needs.
        options: what they train with; nodes that see its runs folder work in it.
        num_missing: how many stacks are to be trained; there are no more workers.
        workers: how many there are to be, also where nodes for them are still to be started; by default as many as fit
            the nodes that are there.
        threads: CPUs of each worker; one by default, whatever the nodes have, so that the same suite has the same bits
            on every cluster.
        dataset_bytes: what the inputs of a dataset may take in a worker's memory; by default a quarter of its share.
        stopwatch: is told where the workers' time goes.

    Raises:
        UserError: there is no such cluster, or no room in it.
    """

    stop_seconds = 5.0  # ending Ray takes some more

    def __init__(
        self,
        cluster: RayCluster,
        options: WorkerOptions,
        num_missing: int,
        workers: int | None = None,
        threads: int | None = None,
        dataset_bytes: float | None = None,
        stopwatch: Stopwatch | None = None,
    ):
        super().__init__(stopwatch)
        self._cluster = cluster
        self._most_workers = workers
        self._threads = threads or 1
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
            references = {name: _absolute(reference) for name, reference in options.references.items()}
            self._orders = Orders(
                **vars(options) | {"references": references, "runs_dir": options.runs_dir.resolve()},
                number=0,
                resources=Resources.of_share(workers or found.workers, self._threads, share, dataset_bytes),
            )
            self._sign = self._written_sign()
            self._closing.callback(self._end_all)
            self._fill(max(1, num_missing))
            self._closing = self._closing.pop_all()

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
            self._gather(max(workers, len(self._workers)))
            self._poll(self._workers)

    def open_datasets(self) -> dict[str, Dataset]:
        """As of `Dispatcher`; one node tells what the datasets are like, and their inputs stay there."""
        return {name: self._outline(name).as_dataset() for name in self._orders.references}

    def machine_of(self, run: Run) -> Mapping[str, Any]:
        """Facts of the node that a run was trained on whose result was given last."""
        return self._machines[run.key]

    def _gather(self, wanted: int) -> list[_Worker]:
        self._fill(wanted)
        self._note_ready()
        return [worker for worker in self._workers if worker.begun]

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
        orders = replace(self._orders, number=number)
        actor = kind.remote(NodeOrders(orders, self._sign, self._cluster.gpus, REVISIONS))
        return _Worker(number=number, actor=actor, ready=actor.begin.remote())

    def _replace(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor)
        self._workers.remove(worker)
        # It takes Ray a moment to see that a node is gone.
        self._fitting, self._counted = len(self._workers), time.monotonic()

    def _end_all(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker.actor)

    def _note_ready(self) -> None:
        for worker in [each for each in self._workers if each.begun is None]:
            if not self._is_there(worker.ready):
                continue
            try:
                worker.begun = self._get(worker.ready)
                self._lost_at_start, self._is_waiting_told = 0, False
            except self._ray.exceptions.RayError as error:
                # The node may have gone; where that is no accident the next ones go too.
                self._replace(worker)
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
                self._replace(worker)
                last = error
                continue
            return told
        raise UserError(f"--executor ray: {name} cannot be opened\n  reason:  {_told(last)}") from last

    def _send(self, worker: _Worker, stack: Stack) -> Any:
        assert worker.begun is not None  # else it could take nothing
        worker.asked = None
        for run in stack.values():
            self._machines[run.key] = worker.begun.machine
        return worker.actor.train.remote(stack)

    def _poll(self, workers: Sequence[_Worker]) -> None:
        promises = [worker.ready for worker in workers if worker.begun is None]
        promises += [worker.attempt.future for worker in workers if worker.attempt]
        if promises:
            self._ray.wait(promises, timeout=POLL_SECONDS)
        else:
            time.sleep(POLL_SECONDS)
        for worker in workers:
            if worker.attempt:
                self._ask(worker, worker.attempt)

    def _ask(self, worker: _Worker, attempt: Attempt) -> None:
        """Learn how far a worker is, without waiting for its answer."""
        if worker.asked is not None and self._is_there(worker.asked):
            try:
                share = self._get(worker.asked)
            except self._ray.exceptions.RayError:
                return  # its attempt tells that it is gone
            worker.asked = None
            if share is not None:
                worker.share = share
                attempt.note_running()
        if worker.asked is None:
            worker.asked = worker.actor.share.options(concurrency_group="watch").remote()

    def _has_ended(self, worker: _Worker) -> bool:
        return self._is_there(worker.at_work_on.future)

    def _collect(self, worker: _Worker, attempt: Attempt) -> Report | RunResult:
        del worker
        try:
            trained: Trained = self._get(attempt.future)
        except self._ray.exceptions.RayError as error:
            is_memory = isinstance(error, self._ray.exceptions.OutOfMemoryError)
            return RunResult(
                "out_of_memory" if is_memory else "failed",
                message=f"its worker or its node was lost: {_told(error)}",
                traceback=str(error),
            )
        for key, weights in trained.weights.items():
            with replaced(weights_file(self._orders.runs_dir, key)) as file:
                file.write(weights)
        return _on_this_clock(trained)

    def _trace(self, worker: _Worker) -> str | None:
        try:
            asked = worker.actor.trace.options(concurrency_group="watch").remote()
            return str(self._ray.get(asked, timeout=_SECONDS_FOR_TRACE))
        except self._ray.exceptions.RayError:
            return None

    def _stop_all(self) -> list[_Worker]:
        """Only what is written into the runs folder outlives its node."""
        if not self._orders.checkpoints:
            return []
        writing = [each for each in self._workers if each.attempt and each.begun and each.begun.shares_folder]
        for worker in writing:
            worker.actor.order.options(concurrency_group="watch").remote(STOP)
        return writing

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
        self._orders.runs_dir.mkdir(parents=True, exist_ok=True)
        text = uuid.uuid4().hex
        sign = Sign(self._orders.runs_dir / f".ray-{text}", text)
        self._closing.callback(sign.path.unlink, missing_ok=True)
        sign.path.write_text(text, encoding="utf-8")
        return sign


def _absolute(reference: DatasetReference) -> DatasetReference:
    """A node has another working folder."""
    return replace(reference, data_dir=reference.data_dir.resolve())


def _on_this_clock(trained: Trained) -> Report:
    """The report of a node, whose clock began at another moment."""
    behind = time.perf_counter() - trained.ended
    spans = [(name, start + behind, end + behind, number) for name, start, end, number in trained.report.spans]
    return replace(trained.report, spans=spans)


def _told(error: Exception) -> str:
    """What Ray says of a loss, in one line, without what Ray alone knows things by."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = " ".join(line for line in lines if line and not line.startswith(_NAMES_OF_RAY))
    return told[:400] or type(error).__name__
