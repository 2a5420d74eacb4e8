"""Actors on the nodes of a Ray cluster: each trains stacks, as a worker process of this machine does.

It takes what it needs from where its node has it. A node that sees the runs folder of the runner works in it; another
one keeps datasets in a folder of its own and hands weights back.
"""

from __future__ import annotations

import faulthandler
import getpass
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

import zoo
from benchmarks.arrays import Array
from benchmarks.data.catalog import DatasetReference
from benchmarks.data.dataset import Dataset, Examples
from benchmarks.errors import DatasetError, UserError
from benchmarks.execution.machine import machine_facts
from benchmarks.execution.worker import GO_ON, Orders, Report, make_engine, open_or_prepare, prepare_and_decode, train
from benchmarks.files import weights_file
from benchmarks.plan.stacks import Stack
from benchmarks.settings import training

REVISIONS = {"zoo": zoo.REVISION, "training": training.REVISION}
"""What settings mean: a node whose code gives them another meaning would train other runs."""


@dataclass(frozen=True)
class Sign:
    """A file that the runner writes into its runs folder: a node that finds it there shares that folder."""

    path: Path
    text: str

    def is_seen(self) -> bool:
        """Whether it is there, and is not a file of the same name of another machine."""
        try:
            return self.path.read_text(encoding="utf-8") == self.text
        except OSError:
            return False


@dataclass(frozen=True)
class NodeOrders:
    """What an actor knows from its start."""

    orders: Orders
    sign: Sign
    gpus: float
    revisions: Mapping[str, int]


@dataclass(frozen=True)
class Begun:
    """What an actor tells once it is ready."""

    machine: Mapping[str, Any]
    """Facts of its node."""
    shares_folder: bool
    """Whether it works in the runs folder of the runner."""


@dataclass(frozen=True)
class Outline:
    """A dataset without its inputs: enough to plan with, and small enough to be sent."""

    dataset: Mapping[str, Any]
    """All that is known of it but its examples."""
    shapes: Mapping[str, tuple[tuple[int, ...], str]]
    """Split -> shape and type of its inputs."""
    labels: Mapping[str, Array]

    @classmethod
    def of(cls, dataset: Dataset) -> Outline:
        """Leave the inputs of a dataset out."""
        splits = {"train": dataset.train, "test": dataset.test}
        return cls(
            {name: value for name, value in vars(dataset).items() if name not in splits},
            {name: (split.inputs.shape, split.inputs.dtype.str) for name, split in splits.items()},
            {name: np.array(split.labels) for name, split in splits.items()},
        )

    def as_dataset(self) -> Dataset:
        """The dataset with inputs that are zero everywhere and take no memory."""
        inputs = {name: np.broadcast_to(np.zeros((), kind), shape) for name, (shape, kind) in self.shapes.items()}
        train, test = (Examples(inputs[name], self.labels[name]) for name in ("train", "test"))
        return Dataset(**self.dataset, train=train, test=test)


@dataclass(frozen=True)
class Trained:
    """What an actor made of a stack."""

    report: Report
    ended: float
    """The moment of it, on the clock of the report's spans."""
    weights: Mapping[str, bytes]
    """Key of a run -> the file of its weights, where they are kept and the node cannot write them into their place."""


class NodeWorker:
    """Trains stacks on one node; Ray makes it an actor, and calls `share`, `order` and `trace` while it trains."""

    def __init__(self, given: NodeOrders):
        self._given = given
        self._number = given.orders.number
        self._progress = {self._number: 0.0}
        self._stop = {self._number: GO_ON}
        self._is_training = False
        self._orders = given.orders

    def begin(self) -> Begun:
        """Get ready to train.

        Raises:
            UserError: this node cannot take part.
        """
        if self._given.revisions != REVISIONS:
            raise UserError(
                f"ray: the node {_name()} has other code than the runner\n  given:   revisions {REVISIONS}\n"
                f"  allowed: {dict(self._given.revisions)}: install the same ablation-zoo on all nodes"
            )
        if self._given.gpus:
            # Else the first of several workers on one GPU would take all of its memory.
            os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        shares_folder = self._given.sign.is_seen()
        if not shares_folder:
            self._orders = _on_this_node(self._given.orders)
        make_engine(self._orders, self._progress, self._stop)
        facts = {"executor": "ray", "threads": self._orders.resources.threads}
        if self._given.gpus:
            facts["gpus"] = self._given.gpus
        return Begun(machine_facts() | facts, shares_folder)

    def outline(self, name: str) -> Outline:
        """Prepare and decode a dataset, where that is not done on this node, and tell what it is like.

        Raises:
            DatasetError: it cannot be had here.
        """
        return Outline.of(self._open(name))

    def train(self, stack: Stack) -> Trained:
        """Train a stack.

        Raises:
            DatasetError: its dataset cannot be had here.
        """
        self._progress[self._number] = 0.0
        run = next(iter(stack.values()))
        found = self._open(run.cell.dataset).version
        if found != run.dataset_version:
            raise DatasetError(
                f"datasets: {run.dataset} on node {_name()} is not what the runner's other nodes have\n"
                f"  given:   {found}\n  allowed: {run.dataset_version}"
            )
        self._is_training = True
        try:
            report = train(stack)
        finally:
            self._is_training = False
        return Trained(report, time.perf_counter(), dict(self._weights(report)))

    def share(self) -> float | None:
        """The share that is done of the stack that it is on; None while it is not training one."""
        return self._progress[self._number] if self._is_training else None

    def order(self, order: int) -> None:
        """Take one of `GO_ON`, `STOP` and `LEAVE`."""
        self._stop[self._number] = order

    def trace(self) -> str:
        """Where it is, thread by thread."""
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
            faulthandler.dump_traceback(file)
            file.seek(0)
            return file.read()

    def _open(self, name: str) -> Dataset:
        reference, runs_dir = self._orders.references[name], self._orders.runs_dir
        # The workers of a node would all decode it at once.
        with FileLock(_folder() / "decoding.lock"):
            return open_or_prepare(reference, runs_dir, self._prepare)

    def _prepare(self, reference: DatasetReference) -> None:
        _check_is_there(reference)
        prepare_and_decode(reference, self._orders.runs_dir)

    def _weights(self, report: Report) -> Any:
        """The weights that were kept, taken from this node where the runner does not see them."""
        if self._orders is self._given.orders:
            return
        for run, _ in report.results:
            file = weights_file(self._orders.runs_dir, run.key)
            if file.exists():
                yield run.key, file.read_bytes()
                file.unlink()


def _on_this_node(orders: Orders) -> Orders:
    """The same orders for a node that does not see the runs folder."""
    folder = _folder()
    references = {
        name: replace(reference, data_dir=folder / reference.data_dir.relative_to(orders.runs_dir))
        if reference.data_dir.is_relative_to(orders.runs_dir)
        else reference
        for name, reference in orders.references.items()
    }
    # What is written down on a node is lost with it, and would stay behind when the runs are done elsewhere.
    return replace(orders, references=references, runs_dir=folder, checkpoints=None, states=None)


def _folder() -> Path:
    """A folder of the node's own, which nobody else can write to."""
    folder = Path(tempfile.gettempdir()) / f"ablation-zoo-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise UserError(f"{folder}: it belongs to somebody else on the node {_name()}")
    return folder


def _check_is_there(reference: DatasetReference) -> None:
    if reference.origin == "prepared" and not (reference.directory / "dataset_info.json").exists():
        raise DatasetError(
            f"datasets: {reference.name} is in {reference.data_dir} on the runner's machine, not on node {_name()}\n"
            "  remedy:  --data-dir with a folder that all nodes see at the same place, or a bucket"
        )


def _name() -> str:
    import ray

    return str(ray.util.get_node_ip_address())
