"""Checkpoints of a stack in the middle of its training, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arrays import Array
from benchmarks.files import replaced

_DIGEST_SIZE = hashlib.sha256().digest_size

_BETWEEN_RUNS, _BEFORE_KEY = "_", "-"
"""A checkpoint is named for its runs: `0-4c6a..._1-9f03....checkpoint`."""


@dataclass(frozen=True)
class Position:
    """How far a stack has come: `steps` of `epoch` are done, and so are all epochs before."""

    epoch: int
    steps: int


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a stack needs to go on."""

    position: Position
    arrays: dict[str, Array]
    """State of the program, and losses of the steps of the present epoch."""
    values: dict[str, Any]
    """What is known of the runs, in plain values."""


class CheckpointFile:
    """Where one stack writes its checkpoint: a file that is replaced as a whole.

    The keys are those of its runs, with their slots: another stack has another file. The interval is in seconds.
    """

    def __init__(self, folder: Path, keys: Iterable[str], interval: float):
        self.path = folder / f"{_BETWEEN_RUNS.join(keys)}.checkpoint"
        self.interval = interval
        self._last = time.monotonic()

    def read(self) -> Checkpoint | None:
        """The checkpoint, or None where there is none, or none that is as it was written."""
        return _read(self.path)

    def is_due(self) -> bool:
        """Whether the interval is over."""
        return time.monotonic() - self._last >= self.interval

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, so that at each moment one whole file is there."""
        _write(self.path, checkpoint)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Remove the checkpoint, once its runs are stored."""
        for path in self.path.parent.glob(f"{self.path.stem}.*"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often runs under way are written down."""

    folder: Path
    interval: float
    """Seconds between two checkpoints of a stack."""

    def file_of(self, keys: Mapping[int, str]) -> CheckpointFile:
        """The checkpoint of a stack, by the keys of its runs in their slots."""
        named = (f"{slot}{_BEFORE_KEY}{key}" for slot, key in sorted(keys.items()))
        return CheckpointFile(self.folder, named, self.interval)

    def kept(self) -> dict[str, list[Path]]:
        """Key of each run that is in a checkpoint -> the files, also those that a kill left half written."""
        found: dict[str, list[Path]] = {}
        for path in [*self.folder.glob("*.checkpoint"), *self.folder.glob("*.part")]:
            for part in path.name.partition(".")[0].split(_BETWEEN_RUNS):
                found.setdefault(part.partition(_BEFORE_KEY)[2], []).append(path)
        return found

    def remove_of(self, keys: Iterable[str]) -> None:
        """Remove all checkpoints with one of these runs, once it is stored: the rest of its stack is another stack."""
        kept = self.kept()
        for key in keys:
            for path in kept.get(key, ()):
                path.unlink(missing_ok=True)


@dataclass(frozen=True)
class StateFile:
    """Where one training that ended before its schedule did keeps its full state, so that it can be continued."""

    folder: Path
    key: str
    """Of the whole training."""

    def newest(self, at_most: int) -> int:
        """The epochs behind the newest state that is of no more than so many epochs; 0 where there is none."""
        kept = _epochs_by_key(self._paths()).get(self.key, ())
        return max((epochs for epochs in kept if epochs <= at_most), default=0)

    def read(self, epochs: int) -> Checkpoint | None:
        """The state after so many epochs, or None where it is not there as it was written."""
        return _read(self._path(epochs))

    def write(self, epochs: int, checkpoint: Checkpoint) -> None:
        """Keep the state after so many epochs in place of any that was kept before."""
        path = self._path(epochs)
        _write(path, checkpoint)
        for other in self._paths():
            if other != path:
                other.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the state, once nothing is to go on from it."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _path(self, epochs: int) -> Path:
        return self.folder / f"{self.key}-{epochs}.state"

    def _paths(self) -> list[Path]:
        return list(self.folder.glob(f"{self.key}-*"))


@dataclass(frozen=True)
class States:
    """Where the states of trainings that may be continued are kept, at most one of each."""

    folder: Path

    def of(self, key: str) -> StateFile:
        """The state of a training, by the key of the whole training."""
        return StateFile(self.folder, key)

    def kept(self) -> dict[str, list[int]]:
        """Key of each training that has a state -> the epochs behind it."""
        return _epochs_by_key(self.folder.glob("*.state"))


def _epochs_by_key(paths: Iterable[Path]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for path in paths:
        key, _, epochs = path.stem.partition("-")
        if path.suffix == ".state" and epochs.isdecimal():
            found.setdefault(key, []).append(int(epochs))
    return found


def _read(path: Path) -> Checkpoint | None:
    """What a file holds, or None where it is not there, or not as it was written."""
    try:
        stored = path.read_bytes()
        digest, content = stored[:_DIGEST_SIZE], stored[_DIGEST_SIZE:]
        if hashlib.sha256(content).digest() != digest:
            return None
        with np.load(io.BytesIO(content), allow_pickle=False) as saved:
            arrays = dict(saved)
        told = json.loads(str(arrays.pop("told")))
        return Checkpoint(Position(told["epoch"], told["steps"]), arrays, told["values"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None


def _write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace a file as a whole; it begins with the SHA-256 of the rest: a changed bit must not train on unseen."""
    told = asdict(checkpoint.position) | {"values": checkpoint.values}
    content = io.BytesIO()
    named: dict[str, Any] = {"told": np.array(json.dumps(told)), **checkpoint.arrays}
    np.savez(content, **named)
    with replaced(path) as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
