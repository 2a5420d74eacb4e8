"""Database of a store: transactions, and what differs between SQLite and Postgres."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from benchmarks.errors import StoreError

_Result = TypeVar("_Result")

_LOG = logging.getLogger(__name__)

_KEYS_A_QUERY = 500

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two attempts: they double."""


class StoreAwayError(StoreError):
    """The store cannot be used now, and may be again in a moment."""


@dataclass(frozen=True)
class Opened:
    """A database that was found to be a store of this format."""

    engine: sa.Engine
    place: str
    """Where it is, for people; no password is in it."""
    identity: str
    """The same for one store however it is named, and for no other."""
    patience: float = 0.0
    """Seconds for which what fails since the store is away is tried again."""
    lock: Callable[[sa.Connection], None] = lambda _: None
    """Has what is done in this transaction done by nobody else meanwhile; what writes first need not ask on SQLite."""


class Database:
    """A store's database, and the folder for what is kept on this machine.

    Args:
        folder: of reports, checkpoints, weights and decoded data.
        opened: the database.
    """

    def __init__(self, folder: Path, opened: Opened):
        self.folder = folder
        self.back_since = -math.inf
        """When the store was last back after it had been away, on the steady clock."""
        self._opened = opened
        # Where nobody closes it: a connection that is left open warns when it is collected.
        weakref.finalize(self, opened.engine.dispose)

    @property
    def place(self) -> str:
        """Where the store is, for people."""
        return self._opened.place

    @property
    def title(self) -> str:
        """What people name it by: the runs folder of a file, the URL without password of a server."""
        return str(self.folder) if self.is_local else self.place

    @property
    def is_local(self) -> bool:
        """Whether it is a file in its folder."""
        return self._opened.engine.name == "sqlite"

    @property
    def identity(self) -> str:
        """The same for one store however it is named, and for no other."""
        return self._opened.identity

    def close(self) -> None:
        """Let go of the file, or the server."""
        self._opened.engine.dispose()

    def _do(self, work: Callable[[sa.Connection], _Result], patience: float | None = None) -> _Result:
        """Do work in one transaction.

        It is done anew where the store was away, for as long as the store has patience. What was committed is then
        done twice where it was just the answer that was lost, so the work must bear that.
        """
        patience = self._opened.patience if patience is None else patience
        since, pause = None, _FIRST_PAUSE
        while True:
            try:
                with self._transaction() as connection:
                    done = work(connection)
            except StoreAwayError as error:
                now = time.monotonic()
                if since is None and patience:
                    _LOG.warning("%s; trying again for %.0f seconds", error, patience)
                since = now if since is None else since
                if now + pause > since + patience:
                    raise
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if since is not None:
                    self.back_since = time.monotonic()
                    _LOG.warning("%s: the store can be used again", self.place)
                return done

    def _select(self, query: sa.Select[Any], column: sa.ColumnElement[str], keys: Iterable[str]) -> Iterator[Any]:
        """The rows with these keys, some hundred in a transaction."""
        for part in parts(keys):
            yield from self._all(query.where(column.in_(part)))

    def _all(self, query: sa.Select[Any]) -> Sequence[Any]:
        return self._do(lambda connection: connection.execute(query).all())

    def _rows(self, table: sa.Table) -> list[dict[str, Any]]:
        return self._do(lambda connection: [dict(row._mapping) for row in connection.execute(sa.select(table))])

    def _insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An insertion that can say what is to happen where a row is there already."""
        return sqlite.insert(table) if self.is_local else postgresql.insert(table)

    def _put(self, connection: sa.Connection, table: sa.Table, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows, each in place of the one with its key."""
        keys = [column.name for column in table.primary_key]
        for row in rows:
            changed = {name: value for name, value in row.items() if name not in keys}
            written = self._insert(table).values(row)
            connection.execute(written.on_conflict_do_update(index_elements=keys, set_=changed))

    def _wrote(self, connection: sa.Connection, statement: sa.Insert) -> bool:
        """Insert a row; whether it was written, since none was in its way or it took the other's place."""
        return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._opened.engine.begin() as connection:
                yield connection
        except sa.exc.DBAPIError as error:
            # A database that is locked, and a server that is gone, are operational; so are deadlocks.
            is_away = self._opened.patience > 0 and isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
            kind = StoreAwayError if is_away or error.connection_invalidated else StoreError
            raise kind(f"{self.place}: the store cannot be used: {in_a_line(error.orig)}") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.place}: the store is damaged: {error}") from error


def parts(keys: Iterable[str], size: int = _KEYS_A_QUERY) -> Iterator[list[str]]:
    """Keys in parts that one query takes."""
    wanted = list(keys)
    for start in range(0, len(wanted), size):
        yield wanted[start : start + size]


def in_a_line(error: BaseException | None) -> str:
    """What a database says of an error, without line breaks."""
    return " ".join(str(error).split())


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
