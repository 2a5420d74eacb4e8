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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
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
from benchmarks.training.results import FAILURES, OUTCOMES, RunResult, Status

APPLICATION_ID = 0x61626C7A  # "ablz"
FORMAT = 3
"""Raised whenever the tables change."""

STORE_FILE = "store.sqlite"

REOPENED = "reopened"
"""In place of the status of a run that failed and is to be tried again. To all but its next attempt it is not there."""

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

CLAIMS = sa.Table(
    "claims",
    _metadata,
    sa.Column("suite", sa.String, primary_key=True),
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("statement", sa.Text, nullable=False),
    sa.Column("n_judgements", sa.Integer, nullable=False),
    sa.Column("seeds", sa.JSON, nullable=False),
    sa.Column("analysis", sa.JSON, nullable=False),
    sa.Column("n_results", sa.Integer, nullable=False),
    sa.Column("registered_at", sa.String, nullable=False),
)
"""Claims of suites as they were when they first stood in a suite that was run."""

LEASES = sa.Table(
    "leases",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("renewed_at", sa.String, nullable=False),
)
"""Runs that a runner is on, with the number that it counts up as a sign of life, and when it last did, for people. A
run that somebody was on, and that has no result, stays here with `NOBODY` in place of the runner."""

NOBODY = ""


SEARCHES = sa.Table(
    "searches",
    _metadata,
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("trials", sa.JSON, nullable=False),
    sa.Column("chosen", sa.JSON, nullable=False),
    sa.Column("finished_at", sa.String, nullable=False),
)
"""Searches that have ended. Their trials' runs are in `runs` as any other: what is here follows from those, and is kept
so that nobody needs Keras Tuner to tell what was chosen. Stores that were made before it was there get it when the
first search ends."""


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
    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Key of each search of the store that has ended -> the values that it chose."""

    @property
    def versions(self) -> dict[str, str]:
        """Dataset as in the suite -> version."""
        return {name: facts.version for name, facts in self.datasets.items()}


@dataclass(frozen=True)
class RegisteredClaim:
    """A claim as it was registered."""

    hash: str
    """What `claim_hash` gave."""
    statement: str
    n_judgements: int
    """How many p-values it has a share in alpha for."""
    seeds: list[int]
    """Those of the suite at that time."""
    analysis: dict[str, Any]
    """How it was to be judged, in plain values."""
    n_results: int
    """How many runs that it compares had results already."""
    registered_at: str = ""
    """When it was first stored; nothing before."""


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


@dataclass(frozen=True)
class Lease:
    """A run that a runner is on, or was on."""

    owner: str
    """`NOBODY` where it ended without a result."""
    number: int
    renewed_at: str


@dataclass(frozen=True)
class StoredSearch:
    """A search that has ended, as it lies in the store."""

    key: str
    trials: list[dict[str, Any]]
    """What was tried, in order, in plain values."""
    chosen: dict[str, Any]
    """Setting -> value; empty where no trial had a score."""
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
        query = sa.select(RUNS.c.key, RUNS.c.status).where(RUNS.c.status != REOPENED)
        return {row.key: row.status for row in self._select(query, RUNS.c.key, keys)}

    def runs(self, keys: Iterable[str]) -> dict[str, StoredRun]:
        """Each of these runs that is stored, by key."""
        query = sa.select(RUNS).where(RUNS.c.status != REOPENED)
        return {row.key: StoredRun(**row._mapping) for row in self._select(query, RUNS.c.key, keys)}

    def one_of_each_setting(self, dataset: str, version: str, most: int) -> list[StoredRun]:
        """For each of the latest settings with which runs of a dataset are done, one of those runs."""
        query = sa.select(sa.func.max(RUNS.c.key)).group_by(RUNS.c.settings)
        query = query.where(RUNS.c.dataset == dataset, RUNS.c.dataset_version == version, RUNS.c.status == "done")
        with self._transaction() as connection:
            keys = list(connection.scalars(query.order_by(sa.func.max(RUNS.c.finished_at).desc()).limit(most)))
        return list(self.runs(keys).values())

    def predictions(self, keys: Iterable[str]) -> dict[str, np.ndarray[Any, Any]]:
        """What each of these runs gave for the test examples, as `kept_predictions` made it, where that was kept.

        Raises:
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        rows = self._select(sa.select(PREDICTIONS), PREDICTIONS.c.key, keys)
        return {row.key: self._unpacked(row) for row in rows}

    def record(self, run: Run, result: RunResult, machine: Mapping[str, Any]) -> None:
        """Store the outcome of a run, its predictions among it, in one transaction.

        A finished run (done or diverged) is never replaced; any other is, by the next attempt.
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
            where=RUNS.c.status.not_in(OUTCOMES),
        )
        with self._transaction() as connection:
            machine_row = insert(MACHINES).values(id=machine_id, facts=dict(machine))
            connection.execute(machine_row.on_conflict_do_nothing())
            connection.execute(sa.delete(LEASES).where(LEASES.c.key == run.key))
            if not connection.execute(statement).rowcount:
                return
            connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.key == run.key))
            if result.predictions is not None:
                connection.execute(insert(PREDICTIONS).values(key=run.key, **_packed(result.predictions)))

    def lease(self, keys: Iterable[str], owner: str) -> set[str]:
        """Take leases on those of these runs that are to be trained and that nobody else is on; their keys."""
        wanted, moment = list(keys), now()
        with self._transaction() as connection:
            # Written first: from here on no other runner writes until this is done.
            rows = [{"key": key, "owner": owner, "number": 0, "renewed_at": moment} for key in wanted]
            taken = insert(LEASES)
            taken = taken.on_conflict_do_update(
                index_elements=[LEASES.c.key],
                set_={name: taken.excluded[name] for name in ("owner", "number", "renewed_at")},
                where=LEASES.c.owner == NOBODY,
            )
            connection.execute(taken, rows)
            stand = sa.select(RUNS.c.key).where(RUNS.c.key.in_(wanted), RUNS.c.status != REOPENED)
            connection.execute(sa.delete(LEASES).where(LEASES.c.key.in_(stand), LEASES.c.owner == owner))
            mine = sa.select(LEASES.c.key).where(LEASES.c.key.in_(wanted), LEASES.c.owner == owner)
            return set(connection.scalars(mine))

    def renew_leases(self, owner: str) -> None:
        """Count up the numbers of a runner's leases."""
        with self._transaction() as connection:
            renewed = sa.update(LEASES).where(LEASES.c.owner == owner)
            connection.execute(renewed.values(number=LEASES.c.number + 1, renewed_at=now()))

    def end_leases(self, owner: str, number: int | None = None) -> None:
        """End a runner's leases; where a number is given, only those that still have it."""
        ended = sa.update(LEASES).where(LEASES.c.owner == owner).values(owner=NOBODY)
        with self._transaction() as connection:
            connection.execute(ended if number is None else ended.where(LEASES.c.number == number))

    def leases(self, keys: Iterable[str]) -> dict[str, Lease]:
        """The lease of each of these runs that somebody is on, or was on without a result."""
        rows = self._select(sa.select(LEASES), LEASES.c.key, keys)
        return {row.key: Lease(row.owner, row.number, row.renewed_at) for row in rows}

    def reopen(self, keys: Iterable[str], statuses: Iterable[Status]) -> set[str]:
        """Have those of these runs tried again that failed in one of these ways; their keys.

        How they ended stays until the next attempt has.
        """
        wanted, ways = set(keys), set(statuses).intersection(FAILURES)
        reopened = {key for key, status in self.statuses(wanted).items() if status in ways}
        with self._transaction() as connection:
            for part in _parts(reopened):
                chosen = sa.update(RUNS).where(RUNS.c.key.in_(part), RUNS.c.status.in_(ways))
                connection.execute(chosen.values(status=REOPENED))
        return reopened

    def attempt(self, key: str) -> StoredRun | None:
        """As `runs`, of one run; also where it is to be tried again, with `REOPENED` for its status."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(RUNS).where(RUNS.c.key == key)).one_or_none()
        return StoredRun(**row._mapping) if row else None

    def keys(self, beginning: str = "") -> list[str]:
        """The keys of all runs that were tried, or of those that begin so, in order."""
        # Not by LIKE, to which some characters of a beginning mean something else.
        begins_so = sa.func.substr(RUNS.c.key, 1, len(beginning)) == beginning
        with self._transaction() as connection:
            return list(connection.scalars(sa.select(RUNS.c.key).where(begins_so).order_by(RUNS.c.key)))

    def take_over(self, other: Store, keys: Iterable[str]) -> None:
        """Copy runs of another store, with their predictions and machines.

        Of a run that both have, the other's takes the place of this one's where it alone has an outcome.
        """
        # Predictions of one run can take megabytes.
        for part in _parts(keys, 20):
            stored = list(other._select(sa.select(RUNS), RUNS.c.key, part))
            predictions = list(other._select(sa.select(PREDICTIONS), PREDICTIONS.c.key, part))
            machines = list(other._select(sa.select(MACHINES), MACHINES.c.id, {row.machine for row in stored}))
            outcomes = {row.key for row in stored if row.status in OUTCOMES}
            with self._transaction() as connection:
                if machines:
                    rows = [dict(row._mapping) for row in machines]
                    connection.execute(insert(MACHINES).on_conflict_do_nothing(), rows)
                taken = set()
                for row in stored:
                    statement = insert(RUNS).values(dict(row._mapping))
                    if row.key in outcomes:
                        statement = statement.on_conflict_do_update(
                            index_elements=[RUNS.c.key],
                            set_={name: value for name, value in row._mapping.items() if name != "key"},
                            where=RUNS.c.status.not_in(OUTCOMES),
                        )
                    else:
                        statement = statement.on_conflict_do_nothing()
                    if connection.execute(statement).rowcount:
                        taken.add(row.key)
                connection.execute(sa.delete(LEASES).where(LEASES.c.key.in_(taken)))
                connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.key.in_(taken)))
                kept = [dict(row._mapping) for row in predictions if row.key in taken]
                if kept:
                    connection.execute(insert(PREDICTIONS), kept)

    def take_over_notes(self, other: Store) -> None:
        """Copy the registered suites and claims of another store, and its searches that have ended.

        Of a suite that both have, what was registered later stays; of a claim, what was registered first; of a search,
        this store's.
        """
        suites = self._newer(SUITES, other, lambda own, row: row["registered_at"] > own["registered_at"])
        # A claim that was registered when more was known already says less.
        claims = self._newer(
            CLAIMS,
            other,
            lambda own, row: (row["registered_at"], -row["n_results"]) < (own["registered_at"], -own["n_results"]),
        )
        searches = self._newer(SEARCHES, other, lambda *_: False)
        with self._transaction() as connection:
            if searches:
                SEARCHES.create(connection, checkfirst=True)
            for table, rows in ((SUITES, suites), (CLAIMS, claims), (SEARCHES, searches)):
                for row in rows:
                    statement = insert(table).values(row)
                    keys = list(table.primary_key)
                    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=row))

    def _newer(
        self, table: sa.Table, other: Store, is_newer: Callable[[dict[str, Any], dict[str, Any]], bool]
    ) -> list[dict[str, Any]]:
        """Those rows of another store's table that this one does not have, or has in an older version."""
        keys = [column.name for column in table.primary_key]
        own = {tuple(row[key] for key in keys): row for row in self._rows(table)}
        rows = [(own.get(tuple(row[key] for key in keys)), row) for row in other._rows(table)]
        return [row for mine, row in rows if mine is None or is_newer(mine, row)]

    def _rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self._transaction() as connection:
            if not sa.inspect(connection).has_table(table.name):
                return []
            return [dict(row._mapping) for row in connection.execute(sa.select(table))]

    def forget_searches(self, keys: Iterable[str]) -> None:
        """Have searches made again that have ended; trials whose runs are stored are not trained again."""
        if self._has_searches():
            with self._transaction() as connection:
                connection.execute(sa.delete(SEARCHES).where(SEARCHES.c.key.in_(list(keys))))

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

    def register_claims(self, suite: str, claims: Iterable[RegisteredClaim], dropped: Iterable[str] = ()) -> None:
        """Note the claims of a suite, each in place of what was noted before of it.

        Args:
            suite: its name.
            claims: that are new, or of which nothing was seen yet.
            dropped: hashes of claims that are forgotten, since nothing was seen of them.
        """
        with self._transaction() as connection:
            of_suite = CLAIMS.c.suite == suite
            connection.execute(sa.delete(CLAIMS).where(of_suite, CLAIMS.c.hash.in_(list(dropped))))
            for claim in claims:
                values = {**vars(claim), "registered_at": now()}
                statement = insert(CLAIMS).values(suite=suite, **values)
                statement = statement.on_conflict_do_update(index_elements=[CLAIMS.c.suite, CLAIMS.c.hash], set_=values)
                connection.execute(statement)

    def claims(self, suite: str) -> dict[str, RegisteredClaim]:
        """Every claim that was registered with a suite, by its hash, in the order of their statements."""
        columns = [column for column in CLAIMS.c if column.name != "suite"]
        query = sa.select(*columns).where(CLAIMS.c.suite == suite).order_by(CLAIMS.c.statement, CLAIMS.c.hash)
        with self._transaction() as connection:
            return {row.hash: RegisteredClaim(**row._mapping) for row in connection.execute(query)}

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
        found = self.found()
        return [
            Registration(
                row.name,
                row.text,
                row.seeds,
                {name: _facts_from_json(facts) for name, facts in row.datasets.items()},
                row.registered_at,
                found,
            )
            for row in rows
        ]

    def record_search(self, key: str, trials: list[dict[str, Any]], chosen: Mapping[str, Any]) -> None:
        """Note what a search has tried and chosen, in place of what was noted before of it."""
        values = {"trials": trials, "chosen": dict(chosen), "finished_at": now()}
        statement = insert(SEARCHES).values(key=key, **values)
        statement = statement.on_conflict_do_update(index_elements=[SEARCHES.c.key], set_=values)
        with self._transaction() as connection:
            SEARCHES.create(connection, checkfirst=True)
            connection.execute(statement)

    def searches(self, keys: Iterable[str]) -> dict[str, StoredSearch]:
        """Each of these searches that has ended, by key."""
        if not self._has_searches():
            return {}
        rows = self._select(sa.select(SEARCHES), SEARCHES.c.key, keys)
        return {row.key: StoredSearch(**row._mapping) for row in rows}

    def found(self) -> dict[str, dict[str, Any]]:
        """Key of each search that has ended -> the values that it chose."""
        if not self._has_searches():
            return {}
        with self._transaction() as connection:
            return {row.key: row.chosen for row in connection.execute(sa.select(SEARCHES.c.key, SEARCHES.c.chosen))}

    def _has_searches(self) -> bool:
        with self._transaction() as connection:
            return sa.inspect(connection).has_table(SEARCHES.name)

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
        with self._transaction() as connection:
            for part in _parts(keys):
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


def _parts(keys: Iterable[str], size: int = _KEYS_A_QUERY) -> Iterator[list[str]]:
    """Keys in parts that one query takes."""
    wanted = list(keys)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


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
