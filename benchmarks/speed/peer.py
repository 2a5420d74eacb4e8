"""Peer: trains its runs in this process and prints what they took, as JSON.

    python -m benchmarks.speed.peer keras digits DATA_DIR RUNS_DIR

Each peer has a process of its own: PyTorch and TensorFlow cannot always be imported into one.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data.dataset import Dataset, open_prepared
from benchmarks.data.splits import split_train_validation
from benchmarks.data.standardization import fit_standardization
from benchmarks.runs import Run
from benchmarks.speed.works import peer_runs_of, runs_of

EVALUATION_BATCH = 256
"""Examples that are evaluated at once, as in the runner."""

PEERS: dict[str, str] = {"keras": "Keras fit loop", "torch": "PyTorch eager"}
"""Module `with_NAME` -> how the peer is called."""


def standardized_parts(run: Run, dataset: Dataset) -> dict[str, tuple[Any, Any]]:
    """Inputs and labels of the parts "train", "validation" and "test" of a run, as a user would prepare them."""
    data = run.cell.settings.data
    train, validation = split_train_validation(dataset.train.labels, data.validation_fraction, run.seed)
    standardization = fit_standardization(data.standardize, dataset.train.inputs, train)

    def standardized(inputs: Any) -> Any:
        return np.asarray((inputs - standardization.shift) * standardization.scale, np.float32)

    inputs, labels = standardized(dataset.train.inputs), dataset.train.labels
    return {
        "train": (inputs[train], labels[train]),
        "validation": (inputs[validation], labels[validation]),
        "test": (standardized(dataset.test.inputs), dataset.test.labels),
    }


def main(peer: str, work: str, data_dir: Path, runs_dir: Path) -> None:
    """Time a peer; importing its library and reading the data are left out."""
    train_run = importlib.import_module(f"benchmarks.speed.with_{peer}").train_run
    runs, reference = runs_of(work, data_dir, runs_dir)
    dataset = open_prepared(reference, runs_dir)
    assert dataset is not None  # whoever starts this has prepared it
    compared = peer_runs_of(work, runs)
    start = time.perf_counter()
    accuracies = [train_run(run, dataset) for run in compared]
    print(json.dumps({"seconds": (time.perf_counter() - start) / len(compared), "accuracies": accuracies}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
