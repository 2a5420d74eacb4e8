"""How long a report of many runs takes, and how much memory, on a made-up store.

python -m tools.report_scale --runs 100000
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.study import Study
from benchmarks.report.writing import write_report
from benchmarks.runs import Run
from benchmarks.settings.run import canonical_json
from benchmarks.store import MACHINES, RUNS, STORE_FILE, DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from benchmarks.suite.suite import Suite

SEEDS = 10
EPOCHS = 20
FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "made up", task="classification")

_SUITE = """
name = "scale"
question = "How long does a report of many runs take?"
datasets = ["digits"]
seeds = {seeds}

[model]
variant = "mlp_small"

[factors]
"model.activation" = ["relu", "tanh", "elu", "gelu", "silu"]
"model.initializer" = ["glorot_uniform", "he_normal"]
"model.normalization" = ["none", "batch"]
"train.learning_rate" = {rates}
"train.batch_size" = {sizes}

[[claims]]
statement = "ReLU beats tanh"
factor = "model.activation"
better = "relu"
than = "tanh"
margin = 0.001

[[claims]]
statement = "He is as good as Glorot without normalization"
factor = "model.initializer"
better = "he_normal"
than = "glorot_uniform"
where = {{ "model.normalization" = "none" }}
margin = 0.01
kind = "equivalence"
"""
_CELLS_OF_TWO_LEVELS = 5 * 2 * 2


def suite_of(n_runs: int) -> str:
    """The text of a factorial suite with about so many runs."""
    rates = max(2, round((n_runs / SEEDS / _CELLS_OF_TWO_LEVELS) ** 0.5))
    sizes = max(2, round(n_runs / SEEDS / _CELLS_OF_TWO_LEVELS / rates))
    return _SUITE.format(
        seeds=SEEDS,
        rates=[round(0.1 * 0.8**index, 9) for index in range(rates)],
        sizes=[16 + 4 * index for index in range(sizes)],
    )


def made_up_store(folder: Path, n_runs: int) -> tuple[Suite, Store]:
    """A store that holds every run of a suite of about so many runs; a few diverged, and none is a hole."""
    text = suite_of(n_runs)
    suite = parse_suite(text, "the suite of the measurement")
    store = Store.create_or_open(folder)
    store.register(suite.name, text, suite.seed_list, {"digits": FACTS})
    planned = expand_runs(expand_cells(suite), suite.seed_list, {"digits": FACTS.version})
    # One transaction for all: `Store.record` sees to it that each run is on the disk before the next begins.
    engine = sa.create_engine(f"sqlite:///{folder / STORE_FILE}")
    with engine.begin() as connection:
        connection.execute(sa.insert(MACHINES).values(id="made up", facts={"processor": "none"}))
        for start in range(0, len(planned), SEEDS * 500):
            connection.execute(sa.insert(RUNS), _rows(planned[start : start + SEEDS * 500], start))
    engine.dispose()
    return suite, store


def measure(n_runs: int) -> tuple[int, float, float]:
    """Number of runs, seconds of a report, and the most memory of its process in GiB."""
    with tempfile.TemporaryDirectory() as name:
        spawned = multiprocessing.get_context("spawn")
        maker = spawned.Process(target=made_up_store, args=(Path(name), n_runs))
        maker.start()
        maker.join()
        # In a process of its own, so that the memory is the report's.
        with spawned.Pool(1) as pool:
            return pool.apply(_report, (Path(name),))


def _report(folder: Path) -> tuple[int, float, float]:
    start = time.perf_counter()
    store = Store.open(folder)
    registration = store.registration("scale")
    assert registration is not None  # as `made_up_store` sees to
    study = Study.registered(registration, store)
    write_report(study, folder / "report")
    seconds = time.perf_counter() - start
    # Kilobytes, but bytes on macOS.
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return len(study.runs), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _rows(planned: Sequence[Run], start: int) -> list[dict[str, object]]:
    random = np.random.default_rng(start)
    noise = random.normal(0, 0.01, (len(planned), EPOCHS))
    curve = 0.9 - 0.6 * np.exp(-np.arange(EPOCHS) / 4)
    rows = []
    for number, run in enumerate(planned):
        accuracy = curve + noise[number]
        place = start + number
        status = "diverged" if place % 1_009 == 5 else "done"
        outcome = round(float(accuracy[-1]), 6)
        metrics = {"test_accuracy": outcome, "test_nll": 1 - outcome, "test_brier": 1 - outcome, "test_ece": 0.02}
        history = {"val_accuracy": accuracy.round(6).tolist(), "train_loss": (1 - accuracy).round(6).tolist()}
        rows.append(
            {
                "key": run.key,
                "status": status,
                "dataset": run.dataset,
                "dataset_version": run.dataset_version,
                "seed": run.seed,
                "settings": run.cell.settings.flat(),
                "metrics": metrics if status == "done" else {},
                "history": history,
                "parameters": 9034 + run.cell.settings.train.batch_size,
                "macs": 8704 + run.cell.settings.train.batch_size,
                "seconds": 0.5 + float(noise[number, 0]) ** 2 + run.cell.settings.train.batch_size / 1000,
                "message": None if status == "done" else "made up",
                "traceback": None,
                "attempts": 1,
                "machine": "made up",
                "finished_at": "2000-01-01T00:00:00+00:00",
            }
        )
    return rows


def main() -> None:
    """Print what a report takes."""
    parser = argparse.ArgumentParser(description="How long a report of many runs takes, on a made-up store.")
    parser.add_argument("--runs", type=int, default=100_000, help="about how many")
    given = parser.parse_args()
    n_runs, seconds, memory = measure(given.runs)
    print(canonical_json({"runs": n_runs, "seconds": round(seconds, 1), "GiB": round(memory, 2)}))


if __name__ == "__main__":
    main()
