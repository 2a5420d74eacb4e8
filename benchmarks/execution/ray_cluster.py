"""Connection to a Ray cluster, or one that is started on this machine and seen by nobody else."""

from __future__ import annotations

import importlib
import math
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.errors import UserError
from benchmarks.execution.executors import RayCluster
from benchmarks.execution.interrupts import handlers_kept

_OBJECT_STORE_BYTES = 2**28
"""For a cluster that is started here: what travels is results, and weights where they are kept."""

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers without a GPU hide those of their node themselves; Ray announces on every start that it will not.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

_ONLY_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Without clusters of several machines Ray binds everything to the loopback address, on Linux too. It reads this when
it is imported."""


_SECONDS_TO_ANSWER = 5.0


@dataclass(frozen=True)
class Room:
    """What a cluster has for workers at one moment."""

    workers: int
    """How many fit its nodes."""
    worker_bytes: float
    """The least memory that one of them has, where all nodes are full; infinite where none fits."""


@contextmanager
def connected(cluster: RayCluster) -> Iterator[Any]:
    """Ray itself, connected to a cluster; one that was started for this is gone when the block ends.

    Raises:
        UserError: there is no such cluster, or it has another version of Ray or Python.
    """
    is_local = cluster.address is None
    for name, value in (_SETTINGS | (_ONLY_LOOPBACK if is_local else {})).items():
        os.environ.setdefault(name, value)
    ray = importlib.import_module("ray")
    try:
        _check_answers(cluster.address)
        with handlers_kept():  # Ray's own would end this process on the spot
            own = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES} if is_local else {}
            ray.init(address=cluster.address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except (OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        where = "this machine" if is_local else cluster.address
        raise UserError(
            f"--executor ray: no connection to a Ray cluster at {where}\n  reason:  {_first_line(error)}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def room(nodes: Iterable[Mapping[str, Any]], threads: int, cluster: RayCluster) -> Room:
    """How many workers fit a cluster.

    Args:
        nodes: what `ray.nodes` gives.
        threads: CPUs of each worker.
        cluster: says what else each of them needs.
    """
    workers, least = 0, math.inf
    for node in nodes:
        has = node["Resources"]
        if not node["Alive"]:
            continue
        fits = min(
            int(has.get("CPU", 0) // threads),
            _fitting_gpus(has.get("GPU", 0), cluster.gpus),
            int(has.get("memory", 0) // max(1.0, cluster.memory)),
        )
        if fits:
            workers += fits
            least = min(least, has["memory"] / fits)
    return Room(workers, least)


def no_room(nodes: Iterable[Mapping[str, Any]], threads: int, cluster: RayCluster) -> UserError:
    """What to tell where no worker fits any node."""
    there = [
        f"{each.get('CPU', 0):g} CPUs, {each.get('GPU', 0):g} GPUs, {each.get('memory', 0) / 2**30:.1f} GiB"
        for each in (node["Resources"] for node in nodes if node["Alive"])
    ]
    waiting = "" if cluster.address is None else "; or --workers, to wait for nodes that are still to be started"
    return UserError(
        "--executor ray: no node has room for a worker\n"
        f"  given:   {threads} CPUs, {cluster.gpus:g} GPUs, {cluster.memory / 2**30:.1f} GiB, as --threads, --gpus and "
        f"--task-memory say\n  allowed: {'; '.join(sorted(set(there))) or 'nothing: the cluster has no nodes'}{waiting}"
    )


def _fitting_gpus(there: float, each: float) -> Any:
    """Workers that the GPUs of a node suffice for: none is divided among more than one can hold."""
    if not each:
        return math.inf
    return int(there // each) if each >= 1 else int(there) * int(1 / each + 1e-9)


def _check_answers(address: str | None) -> None:
    """See that something listens where a cluster is said to be: Ray would try for minutes, deaf to interrupts.

    Raises:
        OSError: nothing does.
    """
    if address and address != "auto":
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0] or type(error).__name__
