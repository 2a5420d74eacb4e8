"""Notes in a store beside its runs: suites, their claims, and searches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from benchmarks.store.database import Database, now
from benchmarks.store.records import DatasetFacts, RegisteredClaim, Registration, StoredSearch
from benchmarks.store.tables import CLAIMS, SEARCHES, SUITES

_UNDER_WAY = "/under way"
"""Ends the key of what is noted of a search before it has ended."""

NEVER = ""
"""In place of the time at which a search ended."""


class NoteRecords(Database):
    """Suites and claims by the suites' names, searches by their keys."""

    def register(
        self, name: str, text: str, seeds: list[int], datasets: Mapping[str, DatasetFacts], looks: Sequence[int] = ()
    ) -> None:
        """Note a suite as it is about to be run."""
        facts = {dataset: {**vars(each), "input_shape": list(each.input_shape)} for dataset, each in datasets.items()}
        told = {"text": text, "seeds": seeds, "looks": list(looks)}
        values = {"name": name, **told, "datasets": facts, "registered_at": now()}
        current = self.registration(name)
        if current and {**told, "datasets": dict(datasets)}.items() <= vars(current).items():
            return
        self._note(SUITES, [values])

    def is_registered(
        self, name: str, text: str, seeds: list[int], versions: Mapping[str, str], looks: Sequence[int] = ()
    ) -> bool:
        """Whether the suite was last run with this text, these seeds, looks, and versions of its datasets."""
        current = self.registration(name)
        given = (text, seeds, versions, list(looks))
        return current is not None and (current.text, current.seeds, current.versions, current.looks) == given

    def registration(self, name: str) -> Registration | None:
        """A suite as it was last run, or None where it never was."""
        return next((each for each in self.registrations() if each.name == name), None)

    def registrations(self) -> list[Registration]:
        """All suites that were run into this store, by name."""
        rows = self._all(sa.select(SUITES).order_by(SUITES.c.name))
        facts = [{name: _facts_from_json(each) for name, each in row.datasets.items()} for row in rows]
        return [Registration(**{**row._mapping, "datasets": each}) for row, each in zip(rows, facts, strict=True)]

    def register_claims(self, suite: str, claims: Iterable[RegisteredClaim], dropped: Iterable[str] = ()) -> None:
        """Note the claims of a suite, each in place of what was noted before of it.

        Args:
            suite: its name.
            claims: with the moment of their registration, or without where it is now.
            dropped: hashes of claims that are forgotten.
        """
        forgotten = sa.delete(CLAIMS).where(CLAIMS.c.suite == suite, CLAIMS.c.hash.in_(list(dropped)))
        rows = [{**vars(claim), "suite": suite, "registered_at": claim.registered_at or now()} for claim in claims]
        self._note(CLAIMS, rows, forgotten)

    def claims(self, suite: str) -> dict[str, RegisteredClaim]:
        """Every claim that was registered with a suite, by its hash, in the order of their statements."""
        columns = [column for column in CLAIMS.c if column.name != "suite"]
        query = sa.select(*columns).where(CLAIMS.c.suite == suite).order_by(CLAIMS.c.statement, CLAIMS.c.hash)
        return {row.hash: RegisteredClaim(**row._mapping) for row in self._all(query)}

    def record_search(self, key: str, trials: list[dict[str, Any]], chosen: Mapping[str, Any]) -> None:
        """Note what a search has tried and chosen, in place of what was noted before of it."""
        row = {"key": key, "trials": trials, "chosen": dict(chosen), "finished_at": now()}
        self._note(SEARCHES, [row], sa.delete(SEARCHES).where(SEARCHES.c.key == key + _UNDER_WAY))

    def note_search(self, key: str, told: Mapping[str, Any]) -> None:
        """Note how far a search has come that has not ended: for people, since no search goes on from it."""
        row = {"key": key + _UNDER_WAY, "trials": [dict(told)], "chosen": {}, "finished_at": NEVER}
        self._note(SEARCHES, [row])

    def searches_under_way(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What was noted last of each of these searches that has begun and not ended, by key."""
        rows = self._select(sa.select(SEARCHES), SEARCHES.c.key, (key + _UNDER_WAY for key in keys))
        return {row.key.removesuffix(_UNDER_WAY): row.trials[0] for row in rows}

    def forget_searches(self, keys: Iterable[str]) -> None:
        """Have searches made again that have ended; trials whose runs are stored are not trained again."""
        forgotten = sa.delete(SEARCHES).where(SEARCHES.c.key.in_(list(keys)))
        self._do(lambda connection: connection.execute(forgotten))

    def searches(self, keys: Iterable[str]) -> dict[str, StoredSearch]:
        """Each of these searches that has ended, by key."""
        rows = self._select(sa.select(SEARCHES), SEARCHES.c.key, keys)
        return {row.key: StoredSearch(**row._mapping) for row in rows}

    def found(self) -> dict[str, dict[str, Any]]:
        """Key of each search that has ended -> the values that it chose."""
        query = sa.select(SEARCHES.c.key, SEARCHES.c.chosen).where(SEARCHES.c.finished_at != NEVER)
        return {row.key: row.chosen for row in self._all(query)}

    def _note(self, table: sa.Table, rows: Iterable[dict[str, Any]], before: sa.Delete | None = None) -> None:
        """Write rows, each in place of the one with its key, after what is done before."""

        def write(connection: sa.Connection) -> None:
            if before is not None:
                connection.execute(before)
            self._put(connection, table, rows)

        self._do(write)


def _facts_from_json(values: dict[str, Any]) -> DatasetFacts:
    return DatasetFacts(
        **{**values, "input_shape": tuple(values["input_shape"]), "notes": tuple(values.get("notes", ()))}
    )
