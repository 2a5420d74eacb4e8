"""Executors: where runs are trained, in worker processes of this machine or on the nodes of a Ray cluster."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from benchmarks.errors import UserError
from zoo.settings import unknown

EXECUTORS = ("local", "ray")

WORKER_BYTES = 1.5 * 2**30
"""What a worker takes with TensorFlow and a small network, roughly."""


@dataclass(frozen=True)
class RayCluster:
    """The Ray cluster that trains, and what it is to set aside for each of its workers."""

    address: str | None = None
    """Of a cluster that is there, HOST:PORT, or "auto" for the one of this machine; None: one is started here."""
    gpus: float = 0.0
    """GPUs of each worker; a part of one where workers share it."""
    memory: float = WORKER_BYTES
    """Bytes of each worker. Ray places workers by it, and does not hold them to it."""


def cluster_of(
    executor: str, address: str | None = None, gpus: float | None = None, task_gib: float | None = None
) -> RayCluster | None:
    """What the options of the command line ask for; None for worker processes of this machine.

    Raises:
        UserError: they do not go together, or Ray is not installed.
    """
    if executor not in EXECUTORS:
        raise UserError(str(unknown("--executor", "executor", executor, EXECUTORS)))
    if executor == "local":
        for option, given in {"--address": address, "--gpus": gpus, "--task-memory": task_gib}.items():
            if given is not None:
                raise UserError(f"{option}: it says something to Ray alone\n  allowed: --executor ray beside it")
        return None
    if address not in (None, "auto") and not _is_host_and_port(str(address)):
        raise UserError(
            f"--address: not the address of a Ray cluster\n  given:   {address}\n"
            "  allowed: HOST:PORT, as `ray start --head` prints it, or auto; Ray's client, ray://, is not used: "
            "`ablate` runs on a node of the cluster"
        )
    if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
        raise UserError(
            f"--gpus: no number of GPUs that Ray can set aside\n  given:   {gpus:g}\n  allowed: 0 to 1, 2, 3, ..."
        )
    if importlib.util.find_spec("ray") is None:
        raise UserError('--executor ray: Ray is not installed\n  remedy:  pip install "ablation-zoo[ray]"')
    return RayCluster(address, gpus or 0.0, WORKER_BYTES if task_gib is None else task_gib * 2**30)


def _is_host_and_port(address: str) -> bool:
    found = re.fullmatch(r"[^/\s]+:(\d{1,5})", address)
    return found is not None and int(found[1]) < 2**16
