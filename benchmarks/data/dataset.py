"""Dataset: arrays, or a folder of files that several processes map into their memory.

It needs neither TensorFlow nor TFDS.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arrays import Array
from benchmarks.data.catalog import DatasetReference
from benchmarks.data.folders import appearing
from benchmarks.tasks import Task

DECODED_FOLDER = ".decoded"
"""Where a runs folder keeps decoded datasets."""

DECODING = 2
"""Raised when the same records are decoded to other arrays."""

CONTENT = "+"
"""Stands between the version that TFDS gives a dataset and the hash of its content."""

_FACTS = "dataset.json"

_HASHED_AT_ONCE = 4096

Allocate = Callable[[tuple[int, ...], Any], Array]
"""Makes an array of a shape and dtype, in memory or as a file."""


@dataclass(frozen=True)
class Examples:
    """Inputs (n, *input_shape) and labels (n,).

    Inputs are uint8 or float32; float64 where single precision would lose what tells them apart. Labels are int32 for
    classes, float64 for regression.
    """

    inputs: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A dataset; its arrays are in memory, or files that are read where they are indexed."""

    name: str
    version: str
    """As TFDS has it; where the data are not this program's own, followed by + and a hash of their content."""
    train: Examples
    test: Examples
    num_classes: int
    """1 for regression."""
    test_split: str
    """Where the test examples come from, for people."""
    target: str = ""
    """The name of what is learnt."""
    class_names: tuple[str, ...] = ()
    """In the order of the labels; none for a regression."""
    columns: tuple[str, ...] = ()
    """What each number of an input is, where inputs are rows of a table: `height`, `colour=red`, `x[3]`."""
    left_out: tuple[str, ...] = ()
    """The features of the dataset that are neither input nor target."""
    notes: tuple[str, ...] = ()
    """What of how it is read a person may have meant otherwise, in sentences."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.train.inputs.shape[1:])

    @property
    def task(self) -> Task:
        """What is to be learned."""
        if self.num_classes == 1:
            return "regression"
        return "binary" if self.num_classes == 2 else "classification"

    @property
    def num_bytes(self) -> int:
        """Size of all inputs."""
        return int(self.train.inputs.nbytes + self.test.inputs.nbytes)


def decoded_folder(reference: DatasetReference, runs_dir: Path) -> Path:
    """Where a runs folder keeps a prepared dataset decoded; records elsewhere, or that changed, have another folder."""
    name, directory = reference.name.replace("/", "_"), reference.directory
    place = f"{name}-{reference.version}-{_place(directory, runs_dir)}-{_fingerprint(reference)}"
    return runs_dir / DECODED_FOLDER / place


def open_decoded(folder: Path) -> Dataset | None:
    """The dataset of a folder, its arrays mapped from their files; None where there is none, or one that is damaged."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        arrays = {role: np.load(folder / file, mmap_mode="r") for role, file in facts.pop("files").items()}
    except (FileNotFoundError, ValueError, EOFError):  # the last two where a file is shorter than it was
        return None
    return Dataset(
        train=Examples(arrays["train_inputs"], np.asarray(arrays["train_labels"])),
        test=Examples(arrays["test_inputs"], np.asarray(arrays["test_labels"])),
        **facts | {name: tuple(facts[name]) for name in ("class_names", "columns", "left_out", "notes")},
    )


def version_of(reference: DatasetReference, *arrays: Array) -> str:
    """The version of a dataset whose inputs and labels are these: equal exactly where all that is trained on is."""
    if reference.origin == "embedded":
        return reference.version
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), _HASHED_AT_ONCE):
            digest.update(np.ascontiguousarray(array[start : start + _HASHED_AT_ONCE]).data)
    return f"{reference.version}{CONTENT}{digest.hexdigest()[:12]}"


def open_prepared(reference: DatasetReference, runs_dir: Path) -> Dataset | None:
    """A dataset that is prepared, and decoded in a runs folder; None where it is not."""
    if not (reference.directory / "dataset_info.json").exists():
        return None
    return open_decoded(decoded_folder(reference, runs_dir))


def write_decoded(folder: Path, load: Callable[[Allocate], Dataset]) -> None:
    """Decode a dataset into the folder that `decoded_folder` gave; what the same place held before is removed.

    The folder appears as a whole. `load` is handed what makes its arrays.
    """
    with appearing(folder, lambda found: open_decoded(found) is not None) as part:
        _write(part, load)
    for old in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)


def in_memory(shape: tuple[int, ...], dtype: Any) -> Array:
    """Make an array in memory."""
    return np.empty(shape, dtype)


def _write(part: Path, load: Callable[[Allocate], Dataset]) -> None:
    made: list[Path] = []

    def allocate(shape: tuple[int, ...], dtype: Any) -> Array:
        if np.dtype(dtype).hasobject or 0 in shape:
            return in_memory(shape, dtype)
        made.append(part / f"{len(made)}.npy")
        return np.lib.format.open_memmap(made[-1], mode="w+", dtype=dtype, shape=shape)

    dataset = load(allocate)
    files = {}
    for split, examples in (("train", dataset.train), ("test", dataset.test)):
        files[f"{split}_inputs"] = _file_of(examples.inputs, part / f"{split}_inputs.npy")
        files[f"{split}_labels"] = _file_of(np.array(examples.labels), part / f"{split}_labels.npy")
    for path in made:
        if path.name not in files.values():
            path.unlink()
    facts = {name: value for name, value in vars(dataset).items() if name not in ("train", "test")}
    (part / _FACTS).write_text(json.dumps(facts | {"files": files}), encoding="utf-8")


def _file_of(array: Array, otherwise: Path) -> str:
    """The file that holds an array; one is written where it is not a file yet."""
    if isinstance(array, np.memmap) and array.filename is not None:
        array.flush()
        return Path(array.filename).name
    np.save(otherwise, array)
    return otherwise.name


def _place(directory: Path, runs_dir: Path) -> str:
    """Tells the places of records apart: two runners may have two copies, each with times of its own."""
    place, around = directory.resolve(), runs_dir.resolve()
    # A runs folder may be moved, with the datasets in it.
    inside = place.relative_to(around) if place.is_relative_to(around) else place
    return hashlib.sha256(os.fsencode(inside)).hexdigest()[:8]


def _fingerprint(reference: DatasetReference) -> str:
    """Tells records from others by names, sizes and times of change, since reading all of them would take long."""
    found = sorted(path for path in reference.directory.rglob("*") if path.is_file())
    known = [(str(path.relative_to(reference.directory)), *_size_and_time(path)) for path in found]
    return hashlib.sha256(json.dumps([DECODING, astuple(reference.reading), known]).encode()).hexdigest()[:16]


def _size_and_time(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
