"""Session: runs a suite, from plan and store to every run trained and stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.data.dataset import Dataset
from benchmarks.errors import DatasetError, naming_file
from benchmarks.execution.dispatcher import Dispatcher
from benchmarks.execution.executors import RayCluster
from benchmarks.execution.interrupts import raise_held
from benchmarks.execution.worker import WorkerOptions
from benchmarks.execution.workers import Workers, resources
from benchmarks.files import states_folder
from benchmarks.metrics import rmse_of_the_mean
from benchmarks.plan.groups import Group
from benchmarks.plan.leases import Leases
from benchmarks.plan.plan import Plan
from benchmarks.plan.shards import Shard, shares_of
from benchmarks.plan.stacks import check_runs, least_stacks
from benchmarks.results import FINAL, MOST_PREDICTION_BYTES, RunResult, Status, keeps_predictions
from benchmarks.runs import Run
from benchmarks.search.greedy import find_path
from benchmarks.search.loop import search_groups
from benchmarks.store import DatasetFacts, Store
from benchmarks.tensorflow_start import import_tensorflow
from benchmarks.training.checkpoints import Checkpoints, States
from benchmarks.training.stopwatch import Stopwatch

GOES_ON: Status = "timed_out"
"""A run that ends so keeps its checkpoint, and goes on from it when it is tried again with more time."""


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
    """Seconds between two checkpoints of runs under way; 0: at every check of the clock."""
    keep_weights: bool = False
    """Whether the weights of each run that is done are kept beside the store."""
    time_limit: float | None = None
    """Seconds that a run may take in one attempt; a stack may take that for each of its runs."""
    shard: Shard | None = None
    """What of the plan is trained; all of it where none is given."""
    cluster: RayCluster | None = None
    """Where the workers are; processes of this machine where none is given."""


@dataclass(frozen=True)
class Session:
    """Workers that have begun, with the datasets of a plan."""

    plan: Plan
    store: Store
    workers: Dispatcher[Any]
    datasets: Mapping[str, Dataset]
    checkpoints: Checkpoints
    shard: Shard | None = None
    """What of the plan is to be trained here, where it is not all."""

    @property
    def open_groups(self) -> list[Group]:
        """The groups that are to be searched here."""
        return _open_groups(self.plan, self.shard)

    def own(self, runs: Sequence[Run]) -> list[Run]:
        """Those of these runs of the plan that are to be trained here."""
        if self.shard is None:
            return list(runs)
        if self.plan.groups:
            shares = shares_of(self.plan.groups, self.shard)
            own = {key for share in shares for key in share.keys(self.plan.all_runs, self.datasets)}
        else:
            own = self.shard.keys(self.plan.runs, self.datasets)
        return [run for run in runs if run.key in own]

    def train(self, runs: Sequence[Run], observer: Observer) -> None:
        """Train runs and store each at once.

        Raises:
            SettingError: settings do not fit a dataset; nothing was trained.
        """
        with naming_file(self.plan.path):
            check_runs(runs, self.datasets)
        for run, result in _train_shared(self.workers, runs, self.datasets, self.store, observer):
            self.store.record(run, result, self.workers.machine_of(run))
            if result.status != GOES_ON:
                self.checkpoints.remove_of([run.key])
            observer.run_done(run, result)


def with_data(plan: Plan, runs_dir: Path, store: Store | None, cluster: RayCluster | None = None) -> Plan:
    """The plan for what its datasets hold, which one worker prepares and reads where that is not done yet.

    Raises:
        DatasetError: a dataset cannot be had.
        SettingError: settings do not fit a dataset.
    """
    with naming_file(plan.path), _reader(WorkerOptions(plan.references, runs_dir), cluster) as worker:
        datasets = worker.open_datasets()
    plan = plan.with_data({name: dataset.version for name, dataset in datasets.items()}, store)
    plan.check_fit(datasets)
    return plan


def _reader(given: WorkerOptions, cluster: RayCluster | None) -> Dispatcher[Any]:
    """One worker, for what has to be known before it is known how many there are."""
    if not cluster:
        return Workers(resources(1, 1, workers=1), given)
    from benchmarks.execution.ray_workers import RayWorkers

    return RayWorkers(cluster, given, num_missing=1, workers=1)


def _check_versions(plan: Plan, datasets: Mapping[str, Dataset]) -> None:
    for name, dataset in datasets.items():
        if dataset.version != plan.versions[name]:
            raise DatasetError(
                f"datasets: {name} has changed while its runs were planned\n  given:   {dataset.version}\n"
                f"  allowed: {plan.versions[name]}, as it was then; the same command plans anew"
            )


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
    """
    options = options or Options()
    checkpoints = Checkpoints(store.folder.resolve() / ".checkpoints", options.checkpoint_every)
    with _started(plan, store.folder, options, checkpoints, stopwatch) as workers:
        with naming_file(plan.path):
            datasets = workers.open_datasets()
            _check_versions(plan, datasets)
        plan.check_fit(datasets)
        facts = {name: dataset_facts(data) for name, data in datasets.items()}
        store.register(plan.suite.name, plan.text, list(plan.seeds), facts, plan.looks)
        _keep_labels(store, datasets)
        # A runner that was killed may have stored a run and not yet removed its checkpoint.
        stored = store.statuses(checkpoints.kept())
        checkpoints.remove_of(key for key, status in stored.items() if status != GOES_ON)
        yield Session(
            plan=plan, store=store, workers=workers, datasets=datasets, checkpoints=checkpoints, shard=options.shard
        )


def _started(
    plan: Plan, runs_dir: Path, options: Options, checkpoints: Checkpoints, stopwatch: Stopwatch | None
) -> Dispatcher[Any]:
    """Workers where the options want them."""
    num_planned, num_missing = _num_stacks(plan, options.shard)
    # Hyperband alone goes on from them; it removes them when it has.
    continues = any(group.table.strategy == "hyperband" for group in _open_groups(plan, options.shard))
    states = States(states_folder(runs_dir.resolve())) if continues else None
    given = WorkerOptions(
        plan.references,
        runs_dir,
        checkpoints,
        states,
        keep_weights=options.keep_weights,
        time_limit=options.time_limit,
    )
    if not options.cluster:
        available = resources(num_planned, num_missing, options.workers, options.threads, options.dataset_bytes)
        return Workers(available, given, stopwatch)
    # Ray is optional, and who does without it need not wait for it.
    from benchmarks.execution.ray_workers import RayWorkers

    return RayWorkers(
        options.cluster,
        given,
        num_missing=num_missing,
        workers=options.workers,
        threads=options.threads,
        dataset_bytes=options.dataset_bytes,
        stopwatch=stopwatch,
    )


def _num_stacks(plan: Plan, shard: Shard | None) -> tuple[int, int]:
    """How many stacks the whole plan has, stored ones included, and how many are to be trained here."""
    trials = plan.suite.search.trials if plan.suite.search else 0
    # Trials count whether or not they are stored, so that a search that goes on has the same threads.
    of_search = [run for group in plan.groups for run in group.runs_at({})] * trials
    of_open = [run for group in _open_groups(plan, shard) for run in group.runs_at({})] * trials
    # Of a path, only what is needed whatever is found: the rest must not change the threads once it is known.
    path = plan.path_to_find
    certain = [*plan.known_before, *path.first_runs()] if path else plan.all_runs
    of_path = plan.open_path.first_runs() if plan.open_path else []
    missing = -(-least_stacks(plan.missing) // (shard.count if shard else 1))
    planned = least_stacks(certain) + least_stacks(of_search)
    return planned, missing + least_stacks(of_open) + least_stacks(of_path)


Observe = Callable[[int], AbstractContextManager[Observer]]
"""Watches so many runs while they are trained."""


def search_missing(session: Session, observe: Observe) -> Plan:
    """Make every search that has not ended and is to be made here; the plan with the settings or the path found.

    Several runners on one store can make the same search at once: each asks for the same trials, and leases see to it
    that none is trained twice.

    Raises:
        SettingError: settings do not fit a dataset, or those that were found do not go together.
    """

    def train(runs: Sequence[Run]) -> None:
        with observe(len(runs)) as observer:
            session.train(runs, observer)

    if session.plan.open_path:
        find_path(session.plan.open_path, session.store, train)
    if session.open_groups:
        # The workers begin meanwhile. Keras Tuner needs it too, and would import it aloud.
        import_tensorflow()
        search_groups(session.open_groups, session.store, train)
    with naming_file(session.plan.path):
        return session.plan.renewed(session.store)


def _open_groups(plan: Plan, shard: Shard | None) -> list[Group]:
    """The groups that are to be searched, or those of them that are of a shard."""
    if shard is None or not plan.groups:
        return plan.open_groups
    own = {share.group.key for share in shares_of(plan.groups, shard)}
    return [group for group in plan.open_groups if group.key in own]


def _train_shared(
    workers: Dispatcher[Any], runs: Sequence[Run], datasets: Mapping[str, Dataset], store: Store, observer: Observer
) -> Iterator[tuple[Run, RunResult]]:
    """Train runs beside other runners on the same store; what they are on is waited for, and trained if they die."""
    leases = Leases(store)
    left = {run.key: run for run in runs}

    def moved(runs_under_way: float) -> None:
        raise_held()
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


def _keep_labels(store: Store, datasets: Mapping[str, Dataset]) -> None:
    """Keep the test labels of each dataset of which predictions are kept: without them these could not be judged."""
    for dataset in datasets.values():
        labels = np.asarray(dataset.test.labels)
        outputs = dataset.num_classes if dataset.task == "classification" else 1
        if keeps_predictions(dataset.task, len(labels) * outputs) and labels.nbytes <= MOST_PREDICTION_BYTES:
            store.keep_labels(dataset.name, dataset.version, labels)


def dataset_facts(dataset: Dataset) -> DatasetFacts:
    """What the store keeps of a dataset."""
    return DatasetFacts(
        version=dataset.version,
        notes=dataset.notes,
        num_train=len(dataset.train),
        num_test=len(dataset.test),
        num_classes=dataset.num_classes,
        input_shape=dataset.input_shape,
        test_split=dataset.test_split,
        task=dataset.task,
        mean_rmse=rmse_of_the_mean(dataset.train.labels, dataset.test.labels) if dataset.task == "regression" else None,
    )
