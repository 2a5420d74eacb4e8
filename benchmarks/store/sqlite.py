"""SQLite store: one file of the runs folder.

Its format is marked in the file itself (SQLite's application id and user version), so that a foreign or newer file is
told apart before anything is written to it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import sqlalchemy as sa

from benchmarks.errors import StoreError
from benchmarks.store.database import Opened, StoreAwayError
from benchmarks.store.digests import first_damaged
from benchmarks.store.tables import FORMAT, METADATA

APPLICATION_ID = 0x61626C7A  # "ablz"

STORE_FILE = "store.sqlite"

BACK_UP_FILE = "store.backup.sqlite"
"""A copy of the store when it was last known to be whole."""

_UNREADABLE_LOG = (
    "its last transactions are in a log that cannot be read where the folder cannot be written, as after a crash; "
    "`ablate status`, where and by whom it may be written, mends that"
)

_READING_SECONDS = 10.0
"""For how long a file is read anew that another process writes meanwhile, where it cannot be locked."""


def create_where_missing(folder: Path) -> None:
    """Make the store of a runs folder if there is none.

    Raises:
        StoreError: the folder, or the store that is there, cannot be written.
    """
    path = folder / STORE_FILE
    try:
        if not path.exists():
            _create(path)
        if not _is_writable(path):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise StoreError(f"{folder}: the runs folder cannot be written: {error.strerror}") from None
    except sa.exc.DBAPIError as error:
        raise StoreError(f"{folder}: the runs folder cannot be written: {error.orig}") from None


def find_store(folder: Path) -> Opened | None:
    """Open the store of a runs folder if there is one.

    Raises:
        StoreError: there is a file in its place that is no usable store.
    """
    return open_store(folder) if (folder / STORE_FILE).exists() else None


def open_store(folder: Path) -> Opened:
    """Open the store of a runs folder; one that cannot be written is read.

    Raises:
        StoreError: there is none, or the file is no usable store; the file is left as it is.
    """
    path = folder / STORE_FILE
    if not path.is_file():
        raise StoreError(f"{folder}: no store here; `ablate run SUITE --runs-dir {folder}` makes one")
    _check_file(path)
    identity = str(path.resolve())
    if not _is_writable(path):
        return Opened(_reading_engine(path), str(path), identity, _READING_SECONDS)
    engine = sa.create_engine(_url(path), connect_args={"timeout": 30})
    sa.event.listen(engine, "connect", _configure)
    return Opened(engine, str(path), identity)


def _is_writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)


def _configure(connection: sqlite3.Connection, _: object) -> None:
    # FULL: a run that was reported as stored is still there after a loss of power.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


class _Reader(sqlite3.Connection):
    """A connection to a store in a folder that may not be written."""

    unlocked: tuple[int, int] | None = None
    """How the file was when it began to be read without locks; None where it is read with locks."""


def _reading_engine(path: Path) -> sa.Engine:
    """Reads a store in a folder that may not be written.

    SQLite locks there what has a log, as it has while somebody writes. What has none is read as a file that does not
    change, and what was read counts if the file has not changed indeed.
    """

    def connect() -> _Reader:
        has_log = _has_log(path)
        unlocked = None if has_log else _state(path)
        reader = sqlite3.connect(_reading_uri(path, has_log), timeout=30, uri=True, factory=_Reader)
        reader.unlocked = unlocked
        return reader

    def refuse_changed(connection: sa.Connection) -> None:
        reader = cast(_Reader, connection.connection.dbapi_connection)
        if reader.unlocked not in (None, _state(path)):
            raise StoreAwayError(f"{path}: the store is being written by another process just now")

    def refuse_what_changed(context: sa.ExceptionContext) -> None:
        if context.connection is not None:  # else it is not connected yet
            refuse_changed(context.connection)

    # A connection for every transaction, since each finds out anew whether somebody writes.
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.NullPool)
    sa.event.listen(engine, "commit", refuse_changed)
    sa.event.listen(engine, "handle_error", refuse_what_changed)
    return engine


def _has_log(path: Path) -> bool:
    return Path(f"{path}-wal").exists()


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _reading_uri(path: Path, has_log: bool) -> str:
    """Opens a store so that no file appears beside it where no log is."""
    return f"{path.absolute().as_uri()}?mode=ro" + ("" if has_log else "&immutable=1")


def _create(path: Path) -> None:
    """Make a complete store beside its place and move it there, so that no half-made one is ever seen."""
    # Not by `tempfile`, whose files only their owner may read.
    made = path.with_name(f".store-{uuid.uuid4().hex}")
    try:
        engine = sa.create_engine(_url(made))
        with engine.begin() as connection:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {FORMAT}")
            METADATA.create_all(connection)
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
    for _ in range(3):
        if _problem_with(path) is None:
            return
        # Another process may have been writing just then: what is damaged for good is so a moment later too.
        time.sleep(0.1)
    problem = _problem_with(path)
    if problem == _UNREADABLE_LOG:
        raise StoreError(f"{path}: {problem}")
    if problem:
        raise StoreError(f"{path}: {problem}; nothing was changed. {_remedy(path)}")


def _remedy(path: Path) -> str:
    """What can be done about a store that is refused."""
    back_up = path.with_name(BACK_UP_FILE)
    if path.name != BACK_UP_FILE and back_up.exists() and _problem_with(back_up) is None:
        made = datetime.fromtimestamp(back_up.stat().st_mtime, UTC).isoformat(timespec="seconds")
        return f"Move the file away and put {back_up} in its place: the back-up of {made}, which is whole"
    return "Move the file away to start anew, or name another --runs-dir"


def keep_back_up(folder: Path) -> None:
    """Copy the store of a runs folder, if it has changed since the last time; without room for that, nothing is done.

    Whoever calls has opened the store, and so knows that it is whole.
    """
    path, back_up = folder / STORE_FILE, folder / BACK_UP_FILE
    made = path.with_name(f".store-{uuid.uuid4().hex}")
    with contextlib.suppress(OSError, sqlite3.Error):
        try:
            changed = max(each.stat().st_mtime_ns for each in (path, Path(f"{path}-wal")) if each.exists())
            if back_up.exists() and back_up.stat().st_mtime_ns >= changed:
                return
            with (
                contextlib.closing(sqlite3.connect(path, timeout=30)) as source,
                contextlib.closing(sqlite3.connect(made)) as copy,
            ):
                if not source.execute("SELECT EXISTS (SELECT 1 FROM runs)").fetchone()[0]:
                    return  # there is nothing to lose yet
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # so that the copy is one file
            os.utime(made, ns=(changed, changed))
            made.replace(back_up)
        finally:
            made.unlink(missing_ok=True)


def _problem_with(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            header = file.read(100)
        if not header.startswith(b"SQLite format 3\0"):
            return "not a store of this program" if header else "an empty file, not a store of this program"
        application, version = (int.from_bytes(header[place : place + 4], "big") for place in (68, 60))
        if application != APPLICATION_ID:
            return "a database of another program"
        if version != FORMAT:
            return f"a store of format {version}; this version of ablate reads format {FORMAT}"
        has_log = _has_log(path)
        if not has_log and path.stat().st_size < _size_by_header(header):
            return "the store is damaged: it is shorter than it was"
        # Nothing is written: what is damaged stays as it is, with its log.
        with contextlib.closing(sqlite3.connect(_reading_uri(path, has_log), uri=True, timeout=30)) as connection:
            damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage == "ok" and (key := first_damaged(connection)):
                return f"the store is damaged: run {key} is not what was written"
    except sqlite3.OperationalError as error:
        if _has_log(path) and not _is_writable(path):
            return _UNREADABLE_LOG
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
