"""Speed comparison: times the runner and its peers in turn.

All sides get the same networks, data, splits, batch sizes and epochs, evaluate on validation every epoch and on the
test split at the end. Importing libraries and reading the data are left out of all; building models and tracing are
counted. The peers also train on the examples left over by the last full batch, one step more an epoch.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import subprocess
import sys
import time
import timeit
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.data.dataset import Dataset
from benchmarks.data.splits import split_train_validation
from benchmarks.errors import UserError
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.worker import Resources, WorkerOptions
from benchmarks.execution.workers import Workers, resources
from benchmarks.plan.stacks import least_stacks
from benchmarks.runs import Run
from benchmarks.speed.peer import PEERS
from benchmarks.speed.works import WORKS, peer_runs_of, runs_of
from benchmarks.tensorflow_start import import_tensorflow
from benchmarks.training.stopwatch import Stopwatch

OURS = "ablate"


@dataclass(frozen=True)
class SideTimes:
    """What one of the compared programs took."""

    seconds: list[float] = field(default_factory=list)
    """Seconds a run, one value a repetition."""
    accuracies: list[float] = field(default_factory=list)
    """Test accuracies of the runs that all sides train, from the last repetition."""


@dataclass(frozen=True)
class SpeedComparison:
    """What the runner and its peers took on one work."""

    work: str
    num_runs: int
    sides: dict[str, SideTimes]
    """Name -> what it took; the runner itself is "ablate"."""
    first_step_seconds: float
    """From the start of this process to the end of the runner's first call of training steps."""
    phases: dict[str, float]
    """Seconds a run of the runner's phases, in its last repetition."""
    step_rate: float
    """GFLOP/s of the runner's steps: three times the forward pass's multiply-adds, two operations each."""
    matrix_rate: float
    """GFLOP/s of a float32 product of two 2048 x 2048 matrices on this machine."""
    resources: Resources
    machine: dict[str, Any]

    @property
    def ratios(self) -> dict[str, float]:
        """How many times the runs per second of each peer, by the medians."""
        ours = statistics.median(self.sides[OURS].seconds)
        return {name: statistics.median(side.seconds) / ours for name, side in self.sides.items() if name != OURS}

    def as_json(self) -> dict[str, Any]:
        """Everything, with the ratios."""
        return {**asdict(self), "ratios": self.ratios}

    def as_text(self) -> str:
        """Some lines for people."""
        repeats = len(self.sides[OURS].seconds)
        lines = [f"{self.work}: {WORKS[self.work].summary}; {self.num_runs} runs, medians of {repeats} (least to most)"]
        for name, side in self.sides.items():
            ratio = f", {self.ratios[name]:.1f} x ours" if name in self.ratios else ""
            accuracy = statistics.fmean(side.accuracies)
            lines.append(f"  {name:15} {_spread(side.seconds)} s a run{ratio}; test accuracy {accuracy:.2%}")
        if PEERS["torch"] not in self.sides:
            lines.append("  PyTorch is not installed, so it was not compared")
        phases = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in self.phases.items())
        share = f"{self.step_rate / self.matrix_rate:.0%} of a matrix product's {self.matrix_rate:.0f}"
        threads = f"with {self.resources.threads} threads each; the phases are the sum over workers"
        facts = {
            "phases": f"{phases} ms a run",
            "first step": f"{self.first_step_seconds:.1f} s after the command, the peers' turns left out",
            "steady step": f"{self.step_rate:.1f} GFLOP/s, {share}",
            "workers": f"{self.resources.workers}, {threads}",
            "machine": ", ".join(f"{name} {value}" for name, value in self.machine.items()),
        }
        return "\n".join([*lines, *(f"  {name:15} {text}" for name, text in facts.items())])


def compare(work: str, repeats: int, data_dir: Path, runs_dir: Path, workers: int | None = None) -> SpeedComparison:
    """Time all sides in turn, `repeats` times.

    Raises:
        UserError: no such work, its dataset cannot be had, or a peer broke down.
    """
    runs, reference = runs_of(work, data_dir, runs_dir)
    compared = peer_runs_of(work, runs)
    peers = [peer for peer in PEERS if importlib.util.find_spec(peer)]
    sides = {OURS: SideTimes(), **{PEERS[peer]: SideTimes() for peer in peers}}
    num_stacks = least_stacks(runs)
    available = resources(num_stacks, num_stacks, workers)
    options = WorkerOptions({runs[0].cell.dataset: reference}, runs_dir)
    first_step = 0.0
    for _ in range(repeats):
        stopwatch = Stopwatch()
        with Workers(available, options, stopwatch) as started:
            datasets = started.open_datasets()
            started.wait_until_ready()
            start = time.perf_counter()
            results = {run.key: result for run, result in started.train(runs, datasets)}
            sides[OURS].seconds.append((time.perf_counter() - start) / len(runs))
            first_step = first_step or _since_process_start(stopwatch)
        sides[OURS].accuracies[:] = [results[run.key].metrics["test_accuracy"] for run in compared]
        for peer in peers:
            told = _time_peer(peer, work, data_dir, runs_dir)
            sides[PEERS[peer]].seconds.append(told["seconds"])
            sides[PEERS[peer]].accuracies[:] = told["accuracies"]
    (dataset,) = datasets.values()
    # Each worker is in a step for a part of the time; together they do all of the work in that time over their number.
    step_seconds = stopwatch.totals()["step"] / available.workers
    return SpeedComparison(
        work=work,
        num_runs=len(runs),
        sides=sides,
        first_step_seconds=first_step,
        phases={name: seconds / len(runs) for name, seconds in stopwatch.totals().items()},
        step_rate=_training_operations(runs, dataset) / step_seconds / 1e9,
        matrix_rate=_matrix_rate(),
        resources=available,
        machine=machine_facts(),
    )


def _time_peer(peer: str, work: str, data_dir: Path, runs_dir: Path) -> dict[str, Any]:
    """What a peer in a process of its own took and reached."""
    command = [sys.executable, "-m", "benchmarks.speed.peer", peer, work, str(data_dir), str(runs_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"{PEERS[peer]}: it broke down with exit code {done.returncode}\n{done.stderr.strip()[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _since_process_start(stopwatch: Stopwatch) -> float:
    ended = stopwatch.first("step")
    assert ended is not None
    since_then = time.perf_counter() - ended
    return time.time() - float(psutil.Process().create_time()) - since_then


def _training_operations(runs: list[Run], dataset: Dataset) -> float:
    """Floating-point operations of all runs' steps: the backward pass takes twice the forward pass's."""
    import_tensorflow()
    import zoo

    total = 0.0
    for run in runs:
        settings = run.cell.settings
        model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, run.seed)
        train, _ = split_train_validation(dataset.train.labels, settings.data.validation_fraction, run.seed)
        batch_size = settings.train.batch_size
        examples = settings.train.epochs * (len(train) // batch_size) * batch_size
        total += 2 * 3 * zoo.audit_model(model).macs * examples
    return total


def _matrix_rate() -> float:
    """GFLOP/s of a float32 matrix product, the best of ten."""
    import_tensorflow()
    import tensorflow as tf

    size = 2048
    matrix = tf.random.stateless_normal([size, size], seed=[0, 0])
    seconds = timeit.repeat(lambda: tf.matmul(matrix, matrix).numpy(), number=1, repeat=10)
    return 2 * size**3 / min(seconds) / 1e9


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"
