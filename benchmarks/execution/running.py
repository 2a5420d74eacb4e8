"""Runs a suite: from plan and store to every run trained and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from benchmarks.data.dataset import Dataset
from benchmarks.design import Run
from benchmarks.errors import UserError, naming_file
from benchmarks.execution.leases import Leases, Shard
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.schedule import check_runs, least_stacks
from benchmarks.execution.workers import Workers, resources
from benchmarks.interrupts import held, look
from benchmarks.plan import Plan, renewed
from benchmarks.quiet import import_tensorflow
from benchmarks.search.loop import search_groups
from benchmarks.store import DatasetFacts, Store
from benchmarks.training.checkpoints import Checkpoints
from benchmarks.training.metrics import rmse_of_the_mean
from benchmarks.training.results import FINAL, RunResult
from benchmarks.training.stopwatch import Stopwatch


class Observer(Protocol):
    """Is told how far the training has come."""

    def moved(self, runs_under_way: float) -> None:
        """The stacks under way have so many runs' worth of training behind."""

    def run_done(self, run: Run, result: RunResult) -> None:
        """A run ended and is stored."""

    def run_done_elsewhere(self, run: Run) -> None:
        """Another runner on the same store has ended a run."""


@dataclass(frozen=True)
class Options:
    """How the runs are trained; nothing of it changes a result by more than its last bit."""

    workers: int | None = None
    """Worker processes; by default what fits cores and memory."""
    threads: int | None = None
    """Threads of each worker; by default the cores divided among the workers that the plan can keep busy."""
    dataset_bytes: float | None = None
    """Inputs of a dataset that take more are streamed; by default a quarter of a worker's share of the memory."""
    checkpoint_every: float = 60.0
    """Seconds between two checkpoints of runs under way; 0: after every look at the clock."""
    keep_weights: bool = False
    """Whether the weights of each run that is done are kept beside the store."""
    time_limit: float | None = None
    """Seconds that a run may take in one attempt; a stack may take that for each of its runs."""
    shard: Shard | None = None
    """The part of the plan that is trained; all of it where none is given."""


@dataclass(frozen=True)
class Session:
    """Workers that have begun, with the datasets of a plan."""

    plan: Plan
    store: Store
    workers: Workers
    datasets: Mapping[str, Dataset]
    machine: Mapping[str, Any]
    """What is noted of the machine."""
    shard: Shard | None = None
    """The part of the plan that is to be trained here, where it is not all."""

    def own(self, runs: Sequence[Run]) -> list[Run]:
        """Those of these runs of the plan that are to be trained here."""
        if self.shard is None:
            return list(runs)
        part = self.shard.part_of(self.plan.runs, self.datasets)
        return [run for run in runs if run.key in part]

    def train(self, runs: Sequence[Run], observer: Observer) -> None:
        """Train runs and store each at once.

        Raises:
            SettingError: settings do not fit a dataset; nothing was trained.
        """
        with naming_file(self.plan.path):
            check_runs(runs, self.datasets)
        for run, result in _train_shared(self.workers, runs, self.datasets, self.store, observer):
            self.store.record(run, result, self.machine)
            observer.run_done(run, result)


@contextmanager
def begun(
    plan: Plan, store: Store, options: Options | None = None, stopwatch: Stopwatch | None = None
) -> Iterator[Session]:
    """Begin to train what a plan has missing: start workers, open the datasets, and register the suite.

    Args:
        plan: what is to be trained.
        store: where the results go; checkpoints of runs under way lie beside it.
        options: how.
        stopwatch: is told where the time goes.

    Raises:
        DatasetError: a dataset cannot be had.
        SettingError: settings do not fit a dataset; nothing was trained.
        UserError: a part of a plan is asked for that is not known before a search has ended.
    """
    options = options or Options()
    jobs = options.shard.count if options.shard else 1
    if options.shard and plan.open_groups:
        raise UserError("--shard: the runs are not known before the search has ended\n  allowed: `ablate tune` first")
    runs_dir = store.path.parent
    # Trials count whether or not they are stored, so that a search that goes on has the same threads.
    of_search = [run for group in plan.groups for run in group.runs_at({})] * _trials(plan)
    of_open = [run for group in plan.open_groups for run in group.runs_at({})] * _trials(plan)
    available = resources(
        least_stacks(plan.runs) + least_stacks(of_search),
        -(-least_stacks(plan.missing) // jobs) + least_stacks(of_open),
        options.workers,
        options.threads,
        options.dataset_bytes,
    )
    checkpoints = Checkpoints(runs_dir.resolve() / ".checkpoints", options.checkpoint_every)
    with (
        held(),
        Workers(
            available,
            plan.references,
            runs_dir,
            checkpoints,
            keep_weights=options.keep_weights,
            stopwatch=stopwatch,
            time_limit=options.time_limit,
        ) as workers,
    ):
        with naming_file(plan.path):
            datasets = workers.open_datasets()
            check_runs(plan.missing, datasets)
            check_runs((run for group in plan.open_groups for run in group.corner_runs()), datasets)
        facts = {name: facts_of(data) for name, data in datasets.items()}
        store.register(plan.suite.name, plan.text, list(plan.seeds), facts)
        machine = machine_facts() | {"workers": available.workers, "threads": available.threads}
        yield Session(plan, store, workers, datasets, machine, options.shard)


def run_missing(
    plan: Plan, store: Store, observer: Observer, options: Options | None = None, stopwatch: Stopwatch | None = None
) -> None:
    """Train every run of a tuned plan that the store does not hold, and store each at once.

    Args:
        plan: what to train.
        store: where the results go; checkpoints of runs under way lie beside it.
        observer: is told how far the training has come.
        options: how.
        stopwatch: is told where the time goes.

    Raises:
        DatasetError: a dataset cannot be had; nothing was trained.
        SettingError: settings do not fit a dataset; nothing was trained.
    """
    with begun(plan, store, options, stopwatch) as session:
        session.train(session.own(plan.missing), observer)


Observe = Callable[[int], AbstractContextManager[Observer]]
"""Watches so many runs while they are trained."""


def search_missing(session: Session, observe: Observe) -> Plan:
    """Make every search of a plan that has not ended; the plan with the settings that were found.

    Raises:
        SettingError: settings do not fit a dataset, or those that were found do not go together.
    """

    def train(runs: Sequence[Run]) -> None:
        with observe(len(runs)) as observer:
            session.train(runs, observer)

    # The workers begin meanwhile. Keras Tuner needs it too, and would import it aloud.
    import_tensorflow()
    search_groups(session.plan.open_groups, session.store, train)
    with naming_file(session.plan.path):
        return renewed(session.plan, session.store)


def _trials(plan: Plan) -> int:
    return plan.suite.search.trials if plan.suite.search else 0


def _train_shared(
    workers: Workers, runs: Sequence[Run], datasets: Mapping[str, Dataset], store: Store, observer: Observer
) -> Iterator[tuple[Run, RunResult]]:
    """Train runs beside other runners on the same store; what they are on is waited for, and trained if they die."""
    leases = Leases(store)
    left = {run.key: run for run in runs}

    def moved(runs_under_way: float) -> None:
        look()
        leases.sign_of_life()
        observer.moved(runs_under_way)

    try:
        while left:
            for run, result in workers.train(left.values(), datasets, moved, leases.take):
                del left[run.key]
                yield run, result
            for key, status in store.statuses(left).items():
                if status in FINAL:
                    observer.run_done_elsewhere(left.pop(key))
            leases.wait(left, lambda: moved(0.0))
    finally:
        leases.release()


def facts_of(dataset: Dataset) -> DatasetFacts:
    """What the store keeps of a dataset."""
    return DatasetFacts(
        version=dataset.version,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        input_shape=dataset.input_shape,
        test_split=dataset.test_split,
        task=dataset.task,
        mean_rmse=rmse_of_the_mean(dataset.train.labels, dataset.test.labels) if dataset.task == "regression" else None,
    )
