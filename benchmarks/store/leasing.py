"""Leases in a store: which runner is on which run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import sqlalchemy as sa

from benchmarks.errors import StoreError
from benchmarks.store.database import Database, now
from benchmarks.store.records import Lease
from benchmarks.store.tables import LEASES, NOBODY, REOPENED, RUNS


class LeaseRecords(Database):
    """Leases by the keys of their runs; see `benchmarks.plan.leases`."""

    def lease(self, keys: Iterable[str], owner: str, number: int = 0) -> set[str]:
        """Take leases on those of these runs that are to be trained and that nobody else is on; their keys.

        All leases of the runner have this number then: it is a sign of life too.
        """
        wanted, moment = list(keys), now()
        rows = [{"key": key, "owner": owner, "number": number, "renewed_at": moment} for key in wanted]
        taken = self._insert(LEASES)
        taken = taken.on_conflict_do_update(
            index_elements=[LEASES.c.key],
            set_={name: taken.excluded[name] for name in ("owner", "number", "renewed_at")},
            where=LEASES.c.owner == NOBODY,
        )

        def write(connection: sa.Connection) -> set[str]:
            self._opened.lock(connection)
            # Written first: from here on no other runner writes until this is done.
            connection.execute(taken, rows)
            connection.execute(_renewed(owner, number))
            # A run that ended just now has lost its lease in that moment, and is seen here to stand.
            stand = sa.select(RUNS.c.key).where(RUNS.c.key.in_(wanted), RUNS.c.status != REOPENED)
            connection.execute(sa.delete(LEASES).where(LEASES.c.key.in_(stand), LEASES.c.owner == owner))
            mine = sa.select(LEASES.c.key).where(LEASES.c.key.in_(wanted), LEASES.c.owner == owner)
            return set(connection.scalars(mine))

        return self._do(write)

    def renew_leases(self, owner: str, number: int) -> None:
        """Give all leases of a runner the number that it has counted up to."""
        self._write_alone(_renewed(owner, number))

    def end_leases(self, owner: str, number: int | None = None) -> None:
        """End a runner's leases; where a number is given, only those that still have it."""
        ended = _ended(owner)
        self._write_alone(ended if number is None else ended.where(LEASES.c.number == number))

    def give_up_leases(self, owner: str) -> None:
        """End a runner's leases as it ends itself; where the store cannot be used they end later, as a dead one's."""
        # Why the runner ends is not to be hidden by a store that cannot be used.
        with contextlib.suppress(StoreError):
            self._write_alone(_ended(owner), patience=0.0)

    def leases(self, keys: Iterable[str]) -> dict[str, Lease]:
        """The lease of each of these runs that somebody is on, or was on without a result."""
        rows = self._select(sa.select(LEASES), LEASES.c.key, keys)
        return {row.key: Lease(row.owner, row.number, row.renewed_at) for row in rows}

    def _write_alone(self, statement: sa.Update, patience: float | None = None) -> None:
        def write(connection: sa.Connection) -> None:
            self._opened.lock(connection)
            connection.execute(statement)

        self._do(write, patience)


def _renewed(owner: str, number: int) -> sa.Update:
    return sa.update(LEASES).where(LEASES.c.owner == owner).values(number=number, renewed_at=now())


def _ended(owner: str) -> sa.Update:
    return sa.update(LEASES).where(LEASES.c.owner == owner).values(owner=NOBODY)
