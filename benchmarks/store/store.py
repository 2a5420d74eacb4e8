"""Store of a runs folder, or of many machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks.errors import StoreError
from benchmarks.results import OUTCOMES
from benchmarks.store import postgres, sqlite
from benchmarks.store.database import parts
from benchmarks.store.digests import run_digest
from benchmarks.store.leasing import LeaseRecords
from benchmarks.store.notes import NoteRecords
from benchmarks.store.runs import RunRecords
from benchmarks.store.tables import CLAIMS, DIGESTS, LABELS, LEASES, MACHINES, PREDICTIONS, RUNS, SEARCHES, SUITES


def place_of(given: str | os.PathLike[str], runs_dir: Path) -> tuple[Path, str | None]:
    """What `Store.open` takes for a store named by its runs folder, or by its URL, with `runs_dir` beside it."""
    name = os.fspath(given)
    return (runs_dir, name) if "://" in name else (Path(name), None)


class Store(RunRecords, LeaseRecords, NoteRecords):
    """An open store.

    Use `Store.create_or_open(folder)` to write and `Store.open(folder)` to read; with a URL, the store is a database of
    a Postgres server, and the folder holds the rest.
    """

    @classmethod
    def create_or_open(cls, folder: Path, url: str | None = None) -> Store:
        """Open the store of a runs folder or of a server, making store and folder where they are missing.

        Raises:
            StoreError: the folder cannot be written, the server cannot be used, or what is there is no usable store.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder}: the runs folder cannot be written: {error.strerror}") from None
        if url:
            return cls(folder, postgres.create_or_open(url))
        sqlite.create_where_missing(folder)
        opened = sqlite.open_store(folder)
        sqlite.keep_back_up(folder)
        return cls(folder, opened)

    @classmethod
    def open(cls, folder: Path, url: str | None = None) -> Store:
        """Open an existing store.

        Raises:
            StoreError: there is none, or what is there is no usable store; it is left as it is.
        """
        return cls(folder, postgres.open_store(url) if url else sqlite.open_store(folder))

    @classmethod
    def find(cls, folder: Path, url: str | None = None) -> Store | None:
        """Open a store if there is one.

        Raises:
            StoreError: what is there is no usable store, or the server cannot be used.
        """
        opened = postgres.find_store(url) if url else sqlite.find_store(folder)
        return None if opened is None else cls(folder, opened)

    def keep_back_up(self) -> None:
        """Copy the store as it is, if it is a file; a server has its own back-ups."""
        if self.is_local:
            sqlite.keep_back_up(self.folder)

    def take_over(self, other: Store, keys: Iterable[str]) -> None:
        """Copy runs of another store, with their predictions and machines.

        Of a run that both have, the other's takes the place of this one's where it alone has an outcome.
        """
        # Predictions of one run can take megabytes.
        for part in parts(keys, 20):
            stored = other._rows_with(RUNS, part)
            machines = other._rows_with(MACHINES, {row["machine"] for row in stored})
            self._take(stored, other._rows_with(PREDICTIONS, part), machines)

    def _rows_with(self, table: sa.Table, keys: Iterable[str]) -> list[dict[str, Any]]:
        (key,) = table.primary_key
        return [dict(row._mapping) for row in self._select(sa.select(table), key, keys)]

    def _take(
        self, stored: list[dict[str, Any]], predictions: list[dict[str, Any]], machines: list[dict[str, Any]]
    ) -> None:
        def write(connection: sa.Connection) -> None:
            self._opened.lock(connection)
            if machines:
                connection.execute(self._insert(MACHINES).on_conflict_do_nothing(), machines)
            taken = {row["key"] for row in stored if self._wrote(connection, self._copied(row))}
            connection.execute(sa.delete(LEASES).where(LEASES.c.key.in_(taken)))
            connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.key.in_(taken)))
            kept = [row for row in predictions if row["key"] in taken]
            if kept:
                connection.execute(self._insert(PREDICTIONS), kept)
            given = {row["key"]: row for row in predictions}
            copied = [row for row in stored if row["key"] in taken]
            digests = [{"key": row["key"], "digest": run_digest(row, given.get(row["key"]))} for row in copied]
            self._put(connection, DIGESTS, digests)

        self._do(write)

    def _copied(self, row: dict[str, Any]) -> sa.Insert:
        statement = self._insert(RUNS).values(row)
        if row["status"] not in OUTCOMES:
            return statement.on_conflict_do_nothing()
        return statement.on_conflict_do_update(
            index_elements=[RUNS.c.key],
            set_={name: value for name, value in row.items() if name != "key"},
            where=RUNS.c.status.not_in(OUTCOMES),
        )

    def take_over_notes(self, other: Store) -> None:
        """Copy the registered suites and claims of another store, its searches, and its test labels.

        Of a suite that both have, what was registered later stays; of a claim, what was registered first; of a search
        and of labels, this store's.
        """
        suites = self._newer(SUITES, other, lambda own, row: row["registered_at"] > own["registered_at"])
        # A claim that was registered when more was known already says less.
        claims = self._newer(
            CLAIMS,
            other,
            lambda own, row: (row["registered_at"], -row["n_results"]) < (own["registered_at"], -own["n_results"]),
        )
        searches, labels = (self._newer(table, other, lambda *_: False) for table in (SEARCHES, LABELS))
        for table, rows in ((SUITES, suites), (CLAIMS, claims), (SEARCHES, searches), (LABELS, labels)):
            self._note(table, rows)

    def _newer(
        self, table: sa.Table, other: Store, is_newer: Callable[[dict[str, Any], dict[str, Any]], bool]
    ) -> list[dict[str, Any]]:
        """Those rows of another store's table that this one does not have, or has in an older version."""
        keys = [column.name for column in table.primary_key]
        own = {tuple(row[key] for key in keys): row for row in self._rows(table)}
        rows = [(own.get(tuple(row[key] for key in keys)), row) for row in other._rows(table)]
        return [row for mine, row in rows if mine is None or is_newer(mine, row)]
