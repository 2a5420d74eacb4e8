"""Runs an hour of worker processes and of Ray on this machine: `python -m tools.throughput`.

All train the same runs on the digits, with one thread a worker, one executor after another. Starting workers, importing
libraries and reading the data are left out; building models and tracing are counted, once a program and worker.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.data.catalog import find_dataset
from benchmarks.errors import UserError
from benchmarks.execution.dispatcher import Dispatcher
from benchmarks.execution.executors import EXECUTORS, RayCluster
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.worker import WorkerOptions
from benchmarks.execution.workers import Workers, resources
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.stacks import least_stacks
from benchmarks.runs import Run
from benchmarks.speed.works import WORKS
from benchmarks.suite.reading import parse_suite

NUM_SEEDS = 25
"""Of each of the eight cells: enough runs that compiling four programs does not decide."""

THREADS = 1


@dataclass(frozen=True)
class Measured:
    """What one executor took."""

    executor: str
    workers: int
    runs: int
    seconds: float

    @property
    def runs_an_hour(self) -> float:
        """As if it went on so."""
        return 3600 * self.runs / self.seconds


def measure(executor: str, workers: int, runs: Sequence[Run], runs_dir: Path) -> Measured:
    """Train runs with so many workers.

    Raises:
        UserError: Ray has no room for them, or a run was not done.
    """
    (name,) = {run.cell.dataset for run in runs}
    references = {name: find_dataset(name, runs_dir / "none", runs_dir)}
    with _ready(executor, workers, runs, WorkerOptions(references, runs_dir)) as started:
        datasets = started.open_datasets()
        start = time.perf_counter()
        results = list(started.train(runs, datasets, lambda _: None, lambda stack: stack))
        seconds = time.perf_counter() - start
    undone = sum(result.status != "done" for _, result in results)
    if undone:
        raise UserError(f"{executor}: {undone} of {len(runs)} runs were not done, so its speed means nothing")
    return Measured(executor, workers, len(results), seconds)


@contextmanager
def _ready(executor: str, workers: int, runs: Sequence[Run], options: WorkerOptions) -> Iterator[Dispatcher[Any]]:
    """So many workers that have imported what they need."""
    num_stacks = least_stacks(runs)
    if executor == "ray":
        from benchmarks.execution.ray_workers import RayWorkers

        with RayWorkers(RayCluster(), options, num_missing=num_stacks, workers=workers, threads=THREADS) as on_ray:
            on_ray.wait_until_ready(workers)
            yield on_ray
    else:
        with Workers(resources(num_stacks, num_stacks, workers, THREADS), options) as started:
            started.wait_until_ready()
            yield started


def table_of(measured: Sequence[Measured]) -> Table:
    """The table for people."""
    facts = machine_facts()
    machine = f"{facts['processor']}, {facts['logical_cores']} logical cores, {facts['memory_gib']} GiB"
    table = Table(box=box.MARKDOWN, title=f"{machine}, tensorflow {facts['tensorflow']}", title_justify="left")
    for column in ("executor", "workers", "runs", "seconds", "runs an hour"):
        table.add_column(column, justify="left" if column == "executor" else "right")
    for each in measured:
        table.add_row(
            each.executor, str(each.workers), str(each.runs), f"{each.seconds:.1f}", f"{each.runs_an_hour:,.0f}"
        )
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tools.throughput", description=__doc__)
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS, help="of each of eight cells (default: %(default)s)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="how many (default: 1 2)")
    given = parser.parse_args()
    suite = parse_suite(WORKS["digits"].suite, "speed_digits")
    runs = expand_runs(expand_cells(suite), range(given.seeds), {"digits": "1.0.0"})
    executors = [each for each in EXECUTORS if each != "ray" or importlib.util.find_spec("ray")]
    with tempfile.TemporaryDirectory(prefix="ablate-") as folder:
        measured = [
            measure(executor, workers, runs, Path(folder)) for executor in executors for workers in given.workers
        ]
    Console().print(table_of(measured))


if __name__ == "__main__":
    main()
