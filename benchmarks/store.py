"""The store: one SQLite file that holds every run, one transaction a run.

Its format is marked in the file itself (SQLite's application id and user version), so that a foreign or newer file is
told apart before anything is written to it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from benchmarks.data.tasks import Task
from benchmarks.design import Run
from benchmarks.errors import StoreError
from benchmarks.settings import canonical_json
from benchmarks.training.results import RunResult, Status

APPLICATION_ID = 0x61626C7A  # "ablz"
FORMAT = 2
"""Raised whenever the tables change."""

STORE_FILE = "store.sqlite"

_KEYS_A_QUERY = 500

_metadata = sa.MetaData()

RUNS = sa.Table(
    "runs",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("dataset_version", sa.String, nullable=False),
    sa.Column("seed", sa.Integer, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("history", sa.JSON, nullable=False),
    sa.Column("parameters", sa.Integer),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("message", sa.Text),
    sa.Column("traceback", sa.Text),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("machine", sa.String, sa.ForeignKey("machines.id"), nullable=False),
    sa.Column("finished_at", sa.String, nullable=False),
)

MACHINES = sa.Table(
    "machines",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("facts", sa.JSON, nullable=False),
)

PREDICTIONS = sa.Table(
    "predictions",
    _metadata,
    sa.Column("key", sa.String, sa.ForeignKey("runs.key"), primary_key=True),
    sa.Column("dtype", sa.String, nullable=False),
    sa.Column("shape", sa.JSON, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""What runs gave for the test examples: the bytes of an array in row order, compressed by zlib."""

SUITES = sa.Table(
    "suites",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("seeds", sa.JSON, nullable=False),
    sa.Column("datasets", sa.JSON, nullable=False),
    sa.Column("registered_at", sa.String, nullable=False),
)


@dataclass(frozen=True)
class DatasetFacts:
    """What a report needs to know of a dataset."""

    version: str
    num_train: int
    num_test: int
    num_classes: int
    """1 for a regression."""
    input_shape: tuple[int, ...]
    test_split: str
    """Where the test examples come from, for people."""
    task: Task
    mean_rmse: float | None = None
    """For a regression: the test RMSE of who always predicts the mean of the training targets, if that is known."""

    @property
    def chance_level(self) -> float | None:
        """Accuracy of a guess among equally likely classes; None for a regression."""
        return None if self.task == "regression" else 1 / self.num_classes

    @property
    def level_without_learning(self) -> float | None:
        """The outcome of who learnt nothing, which a diverged run counts as; None where it is not known."""
        return self.mean_rmse if self.task == "regression" else self.chance_level


@dataclass(frozen=True)
class Registration:
    """A suite as it was last run: what a report needs beside the runs."""

    name: str
    text: str
    """The suite file."""
    seeds: list[int]
    datasets: dict[str, DatasetFacts]
    """Name as in the suite -> facts."""
    registered_at: str

    @property
    def versions(self) -> dict[str, str]:
        """Dataset as in the suite -> version."""
        return {name: facts.version for name, facts in self.datasets.items()}


@dataclass(frozen=True)
class StoredRun:
    """A run as it lies in the store."""

    key: str
    status: Status
    dataset: str
    dataset_version: str
    seed: int
    settings: dict[str, Any]
    """Every setting by its dotted path."""
    metrics: dict[str, float]
    history: dict[str, list[float]]
    parameters: int | None
    seconds: float
    message: str | None
    traceback: str | None
    attempts: int
    machine: str
    """Id of the machine's facts."""
    finished_at: str


class Store:
    """An open store.

    Use `Store.create_or_open(folder)` to write and `Store.open(folder)` to read.
    """

    def __init__(self, path: Path, engine: sa.Engine):
        self.path = path
        self._engine = engine

    @classmethod
    def create_or_open(cls, folder: Path) -> Store:
        """Open the store of a runs folder, making both where they are missing.

        Raises:
            StoreError: the folder cannot be written, or the file is no usable store.
        """
        path = folder / STORE_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                _create(path)
            if not os.access(folder, os.W_OK) or not os.access(path, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise StoreError(f"{folder}: the runs folder cannot be written: {error.strerror}") from None
        except sa.exc.DBAPIError as error:
            raise StoreError(f"{folder}: the runs folder cannot be written: {error.orig}") from None
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open an existing store.

        Raises:
            StoreError: there is none, or the file is no usable store; the file is left as it is.
        """
        path = folder / STORE_FILE
        if not path.is_file():
            raise StoreError(f"{folder}: no store here; `ablate run SUITE --runs-dir {folder}` makes one")
        _check_file(path)
        engine = sa.create_engine(_url(path), connect_args={"timeout": 30})
        sa.event.listen(engine, "connect", _configure)
        return cls(path, engine)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def statuses(self, keys: Iterable[str]) -> dict[str, Status]:
        """The status of each of these runs that is stored."""
        query = sa.select(RUNS.c.key, RUNS.c.status)
        return {row.key: row.status for row in self._select(query, RUNS.c.key, keys)}

    def runs(self, keys: Iterable[str]) -> dict[str, StoredRun]:
        """Each of these runs that is stored, by key."""
        return {row.key: StoredRun(**row._mapping) for row in self._select(sa.select(RUNS), RUNS.c.key, keys)}

    def predictions(self, keys: Iterable[str]) -> dict[str, np.ndarray[Any, Any]]:
        """What each of these runs gave for the test examples, as `kept_predictions` made it, where that was kept.

        Raises:
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        rows = self._select(sa.select(PREDICTIONS), PREDICTIONS.c.key, keys)
        return {row.key: self._unpacked(row) for row in rows}

    def record(self, run: Run, result: RunResult, machine: Mapping[str, Any]) -> None:
        """Store the outcome of a run, its predictions among it, in one transaction.

        A finished run (done or diverged) is never replaced; a failed one is, by the next attempt.
        """
        machine_id = hashlib.sha256(canonical_json(machine).encode()).hexdigest()[:16]
        values = {
            "key": run.key,
            "status": result.status,
            "dataset": run.dataset,
            "dataset_version": run.dataset_version,
            "seed": run.seed,
            "settings": run.cell.settings.flat(),
            "metrics": result.metrics,
            "history": result.history,
            "parameters": result.parameters,
            "seconds": result.seconds,
            "message": _storable(result.message),
            "traceback": _storable(result.traceback),
            "attempts": 1,
            "machine": machine_id,
            "finished_at": now(),
        }
        statement = insert(RUNS).values(values)
        replaced = {name: value for name, value in values.items() if name not in ("key", "attempts")}
        statement = statement.on_conflict_do_update(
            index_elements=[RUNS.c.key],
            set_={**replaced, "attempts": RUNS.c.attempts + 1},
            where=RUNS.c.status == "failed",
        )
        with self._transaction() as connection:
            machine_row = insert(MACHINES).values(id=machine_id, facts=dict(machine))
            connection.execute(machine_row.on_conflict_do_nothing())
            if not connection.execute(statement).rowcount:
                return
            connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.key == run.key))
            if result.predictions is not None:
                connection.execute(insert(PREDICTIONS).values(key=run.key, **_packed(result.predictions)))

    def register(self, name: str, text: str, seeds: list[int], datasets: Mapping[str, DatasetFacts]) -> None:
        """Note a suite as it is about to be run."""
        facts = {dataset: _facts_as_json(each) for dataset, each in datasets.items()}
        values = {"name": name, "text": text, "seeds": seeds, "datasets": facts}
        current = self.registration(name)
        if current and (current.text, current.seeds, current.datasets) == (text, seeds, dict(datasets)):
            return
        statement = insert(SUITES).values(**values, registered_at=now())
        statement = statement.on_conflict_do_update(
            index_elements=[SUITES.c.name], set_={**values, "registered_at": now()}
        )
        with self._transaction() as connection:
            connection.execute(statement)

    def is_registered(self, name: str, text: str, seeds: list[int], versions: Mapping[str, str]) -> bool:
        """Whether the suite was last run with this very text, these seeds and these versions of its datasets."""
        current = self.registration(name)
        return current is not None and (current.text, current.seeds, current.versions) == (text, seeds, versions)

    def registration(self, name: str) -> Registration | None:
        """A suite as it was last run, or None where it never was."""
        return next((each for each in self.registrations() if each.name == name), None)

    def registrations(self) -> list[Registration]:
        """All suites that were run into this store, by name."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(SUITES).order_by(SUITES.c.name)).all()
        return [
            Registration(
                row.name,
                row.text,
                row.seeds,
                {name: _facts_from_json(facts) for name, facts in row.datasets.items()},
                row.registered_at,
            )
            for row in rows
        ]

    def machines(self) -> dict[str, dict[str, Any]]:
        """Facts of every machine that ran something, by id."""
        with self._transaction() as connection:
            return {row.id: row.facts for row in connection.execute(sa.select(MACHINES))}

    def _unpacked(self, row: sa.Row[Any]) -> np.ndarray[Any, Any]:
        try:
            dtype, shape = np.dtype(row.dtype), tuple(row.shape)
            size = dtype.itemsize * math.prod(shape)
            stream = zlib.decompressobj()
            # One byte more than there should be, so that what is too long is seen and never read as a whole.
            data = stream.decompress(row.data, size + 1)
            if len(data) != size or not stream.eof:
                raise ValueError(f"they are not the {size} bytes that they should be")
            return np.frombuffer(data, dtype).reshape(shape)
        except (zlib.error, ValueError, TypeError, OverflowError) as error:
            raise StoreError(f"{self.path}: the store is damaged: the predictions of run {row.key}: {error}") from error

    def _select(
        self, query: sa.Select[Any], column: sa.ColumnElement[str], keys: Iterable[str]
    ) -> Iterator[sa.Row[Any]]:
        wanted = list(keys)
        with self._transaction() as connection:
            for start in range(0, len(wanted), _KEYS_A_QUERY):
                part = wanted[start : start + _KEYS_A_QUERY]
                yield from connection.execute(query.where(column.in_(part)))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreError(f"{self.path}: the store cannot be used: {error.orig}") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path}: the store is damaged: {error}") from error


def _storable(text: str | None) -> str | None:
    """A text that SQLite can hold: what is no Unicode (of a file's name, say) is written as its escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _packed(predictions: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        "dtype": predictions.dtype.str,
        "shape": list(predictions.shape),
        "data": zlib.compress(np.ascontiguousarray(predictions).tobytes()),
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _facts_as_json(facts: DatasetFacts) -> dict[str, Any]:
    return {**vars(facts), "input_shape": list(facts.input_shape)}


def _facts_from_json(values: dict[str, Any]) -> DatasetFacts:
    return DatasetFacts(**{**values, "input_shape": tuple(values["input_shape"])})


def _configure(connection: sqlite3.Connection, _: object) -> None:
    # FULL: a run that was reported as stored is still there after a loss of power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _create(path: Path) -> None:
    """Make a complete store beside its place and move it there, so that no half-made one is ever seen."""
    # Not by `tempfile`, whose files only their owner may read.
    made = path.with_name(f".store-{uuid.uuid4().hex}")
    try:
        engine = sa.create_engine(_url(made))
        with engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {FORMAT}")
            _metadata.create_all(connection)
        engine.dispose()
        raw = sqlite3.connect(made)
        raw.execute("PRAGMA journal_mode = WAL")
        raw.close()
        # A link fails where a second runner was faster; its store is as good as ours.
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
    finally:
        made.unlink(missing_ok=True)


def _url(path: Path) -> sa.URL:
    return sa.URL.create("sqlite", database=str(path))


def _check_file(path: Path) -> None:
    """Refuse a file that is no store of this format, without writing to it."""
    problem = _problem_with(path)
    for _ in range(3):
        if problem is None:
            break
        # Another process may have been writing just then: what is damaged for good is so a moment later too.
        time.sleep(0.1)
        problem = _problem_with(path)
    if problem:
        raise StoreError(
            f"{path}: {problem}; nothing was changed. Move the file away to start anew, or name another --runs-dir"
        )


def _problem_with(path: Path) -> str | None:
    try:
        header = _head(path)
        if not header.startswith(b"SQLite format 3\0"):
            return "not a store of this program" if header else "an empty file, not a store of this program"
        application, version = (int.from_bytes(header[place : place + 4], "big") for place in (68, 60))
        if application != APPLICATION_ID:
            return "a database of another program"
        if version != FORMAT:
            return f"a store of format {version}; this version of ablate reads format {FORMAT}"
        has_log = Path(f"{path}-wal").exists()
        if not has_log and path.stat().st_size < _size_by_header(header):
            return "the store is damaged: it is shorter than it was"
        # Nothing is written: what is damaged stays as it is, with its log; without one, no file appears beside it.
        uri = f"{path.absolute().as_uri()}?mode=ro" + ("" if has_log else "&immutable=1")
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=30)) as connection:
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        return f"the store cannot be opened: {error}"
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return f"the store is damaged: {error}"
    except OSError as error:
        return f"the store cannot be read: {error.strerror}"
    return None if damage == "ok" else f"the store is damaged: {damage}"


def _size_by_header(header: bytes) -> int:
    """Size of the file by its own header (https://www.sqlite.org/fileformat2.html, section 1.3)."""
    page_size, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    # 65,536 does not fit in two bytes and is written as 1.
    return (65_536 if page_size == 1 else page_size) * pages


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100)
