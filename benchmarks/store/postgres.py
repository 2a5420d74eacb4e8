"""Postgres store: a database of a server, for runners on many machines.

Its format is marked in a table of its own, together with a name that was drawn when the store was made.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from benchmarks.errors import StoreError
from benchmarks.store.database import Opened, in_a_line
from benchmarks.store.tables import FORMAT, INTEGER, METADATA, STRING

PATIENCE = 600.0
"""Seconds for which a store that was open is waited for when its server is away."""

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")

_ALLOWED = "postgresql://USER@HOST:PORT/DATABASE, with the password in ~/.pgpass or PGPASSWORD"

_LOCKS = 0x61626C7A
"""First number of our advisory locks, which are the database's; the second says for what."""
_MAKING, _LEASING = 1, 2

_CONNECTION = {
    "connect_timeout": "10",
    "client_encoding": "utf8",
    # A server that is gone without a word is noticed within a minute.
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "50000",
}
"""What libpq is told unless the URL says otherwise."""

_SESSION = {
    # And so is a runner, by the server: else its locks would be held for hours.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "60s",
}
"""What the server is told, likewise."""

_MARK_METADATA = sa.MetaData()

_MARK = sa.Table(
    "ablate_store",
    _MARK_METADATA,
    sa.Column("format", INTEGER, primary_key=True, autoincrement=False),
    sa.Column("identity", STRING, nullable=False),
)

_Result = TypeVar("_Result")


def create_or_open(given: str) -> Opened:
    """Open the store of a database, making it where the database has none.

    Raises:
        StoreError: the URL is none, the server cannot be used, or the database is no usable store.
    """
    server = _Server.of(given)

    def find_or_make(connection: sa.Connection) -> str:
        # Of many runners that begin at once, one makes the tables, all of them or none, while the others wait.
        _lock(connection, _MAKING)
        return _identity(connection, server.place) or _make(connection)

    return server.opened(server.ask(find_or_make))


def open_store(given: str) -> Opened:
    """Open the store of a database.

    Raises:
        StoreError: there is none, the URL is none, the server cannot be used, or the database is no usable store.
    """
    opened = find_store(given)
    if opened is None:
        place = _shown(_parsed(given))
        raise StoreError(f"{place}: no store here; `ablate run SUITE --store {place}` makes one")
    return opened


def find_store(given: str) -> Opened | None:
    """Open the store of a database if there is one.

    Raises:
        StoreError: the URL is none, the server cannot be used, or the database is no usable store.
    """
    server = _Server.of(given)
    identity = server.ask(lambda connection: _identity(connection, server.place))
    if identity is None:
        server.engine.dispose()
        return None
    return server.opened(identity)


@dataclass(frozen=True)
class _Server:
    """A server that may have a store."""

    engine: sa.Engine
    place: str

    @classmethod
    def of(cls, given: str) -> _Server:
        url = _parsed(given)
        try:
            return cls(_engine(url), _shown(url))
        except ImportError:
            raise StoreError(
                "--store: Postgres needs the driver psycopg\n  allowed: pip install 'ablation-zoo[postgres]'"
            ) from None

    def ask(self, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Do work in a transaction before the store is open: what fails is told at once."""
        try:
            with self.engine.begin() as connection:
                return work(connection)
        except StoreError:
            self.engine.dispose()
            raise
        except sa.exc.DBAPIError as error:
            self.engine.dispose()
            raise StoreError(f"{self.place}: the store cannot be opened: {in_a_line(error.orig)}") from None

    def opened(self, identity: str) -> Opened:
        return Opened(self.engine, self.place, identity, PATIENCE, lambda connection: _lock(connection, _LEASING))


def _parsed(given: str) -> sa.URL:
    """The URL that was given; no error shows any of it but its scheme, since a password can stand anywhere else."""
    scheme = re.match(r"([\w+.-]+)://", given)
    if scheme is None or scheme[1] not in _SCHEMES:
        kind = f"a URL that begins with {scheme[1]}://" if scheme else "no URL; a runs folder is named by --runs-dir"
        raise StoreError(f"--store: no such kind of store\n  given:   {kind}\n  allowed: {_ALLOWED}")
    if given.count("@") > 1:
        raise StoreError(f"--store: @ in a name or a password is written %40\n  allowed: {_ALLOWED}")
    try:
        url = sa.make_url(given).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(f"--store: not a URL of a database\n  allowed: {_ALLOWED}") from None
    if not url.database and "service" not in url.query and "dbname" not in url.query:
        raise StoreError(f"--store: the URL names no database\n  allowed: {_ALLOWED}")
    return url


def _shown(url: sa.URL) -> str:
    """The URL without password and options: nobody but libpq knows which of these are secret."""
    socket = {"host": url.query["host"]} if "host" in url.query else {}
    known = sa.URL.create("postgresql", url.username, None, url.host, url.port, url.database, socket)
    return known.render_as_string()


def _engine(url: sa.URL) -> sa.Engine:
    told = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    theirs = url.query.get("options", "")
    told["options"] = " ".join([session, theirs if isinstance(theirs, str) else " ".join(theirs)])
    # Leases rely on it that each statement sees what was committed before it.
    return sa.create_engine(url, connect_args=told, pool_pre_ping=True, isolation_level="READ COMMITTED")


def _lock(connection: sa.Connection, purpose: int) -> None:
    """Wait until nobody else has this lock, and have it until the transaction ends."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCKS, purpose)))


def _identity(connection: sa.Connection, place: str) -> str | None:
    """The name that a store was given when it was made; None where the database has none of our tables."""
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
    if encoding != "UTF8":
        raise StoreError(f"{place}: the database holds {encoding} and not every text; a store needs one of UTF8")
    names = set(sa.inspect(connection).get_table_names())
    if _MARK.name not in names:
        if foreign := sorted(names & METADATA.tables.keys()):
            raise StoreError(
                f"{place}: a database of another program, with tables that a store has too: {', '.join(foreign)}; "
                "nothing was changed. Name another database"
            )
        return None
    marks = connection.execute(sa.select(_MARK)).all()
    if [mark.format for mark in marks] != [FORMAT]:
        found = " and ".join(str(mark.format) for mark in marks) or "no"
        raise StoreError(
            f"{place}: a store of format {found}; this version of ablate reads format {FORMAT}; nothing was changed. "
            "Name another database"
        )
    return str(marks[0].identity)


def _make(connection: sa.Connection) -> str:
    """Make all tables and mark the format; the name of the new store."""
    identity = uuid.uuid4().hex
    METADATA.create_all(connection, checkfirst=False)
    _MARK_METADATA.create_all(connection, checkfirst=False)
    connection.execute(sa.insert(_MARK).values(format=FORMAT, identity=identity))
    return identity
