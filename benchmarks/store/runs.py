"""Runs in a store: how they ended, what they gave, and on which machines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from benchmarks.arrays import Array
from benchmarks.results import FAILURES, OUTCOMES, RunResult, Status
from benchmarks.runs import Run
from benchmarks.settings.run import canonical_json
from benchmarks.store.arrays import packed, unpacked
from benchmarks.store.database import Database, now, parts
from benchmarks.store.digests import run_digest
from benchmarks.store.records import StoredRun
from benchmarks.store.tables import DIGESTS, LABELS, LEASES, MACHINES, PREDICTIONS, REOPENED, RUNS


class RunRecords(Database):
    """Runs by their keys."""

    def statuses(self, keys: Iterable[str]) -> dict[str, Status]:
        """The status of each of these runs that is stored."""
        query = sa.select(RUNS.c.key, RUNS.c.status).where(RUNS.c.status != REOPENED)
        return {row.key: row.status for row in self._select(query, RUNS.c.key, keys)}

    def runs(self, keys: Iterable[str]) -> dict[str, StoredRun]:
        """Each of these runs that is stored, by key."""
        query = sa.select(RUNS).where(RUNS.c.status != REOPENED)
        return {row.key: StoredRun(**row._mapping) for row in self._select(query, RUNS.c.key, keys)}

    def attempt(self, key: str) -> StoredRun | None:
        """As `runs`, of one run; also where it is to be tried again, with `REOPENED` for its status."""
        query = sa.select(RUNS).where(RUNS.c.key == key)
        return next((StoredRun(**row._mapping) for row in self._all(query)), None)

    def keys(self, beginning: str = "") -> list[str]:
        """The keys of all runs that were tried, or of those that begin so, in order."""
        # Not by LIKE, to which some characters of a beginning mean something else.
        begins_so = sa.func.substr(RUNS.c.key, 1, len(beginning)) == beginning
        query = sa.select(RUNS.c.key).where(begins_so).order_by(RUNS.c.key)
        return self._do(lambda connection: list(connection.scalars(query)))

    def one_of_each_setting(self, dataset: str, version: str, most: int) -> list[StoredRun]:
        """For each of the latest settings with which runs of a dataset are done, one of those runs."""
        query = sa.select(sa.func.max(RUNS.c.key)).group_by(RUNS.c.settings)
        query = query.where(RUNS.c.dataset == dataset, RUNS.c.dataset_version == version, RUNS.c.status == "done")
        query = query.order_by(sa.func.max(RUNS.c.finished_at).desc()).limit(most)
        return list(self.runs(self._do(lambda connection: list(connection.scalars(query)))).values())

    def predictions(self, keys: Iterable[str]) -> dict[str, Array]:
        """What each of these runs gave for the test examples, as `kept_predictions` made it, where that was kept.

        Raises:
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        rows = self._select(sa.select(PREDICTIONS), PREDICTIONS.c.key, keys)
        damaged = f"{self.place}: the store is damaged: the predictions of run"
        return {row.key: unpacked(row, f"{damaged} {row.key}") for row in rows}

    def keep_labels(self, dataset: str, version: str, labels: Array) -> None:
        """Keep what the test examples of a dataset are, in the order of the predictions, once for all runs on it.

        Dataset and version are named as in stored runs.
        """
        kept = self._insert(LABELS).values(dataset=dataset, version=version, **packed(labels))
        self._do(lambda connection: connection.execute(kept.on_conflict_do_nothing()))

    def labels(self, dataset: str, version: str) -> Array | None:
        """What the test examples of a dataset are, where that was kept.

        Raises:
            StoreError: the store cannot be read, or what it holds is damaged.
        """
        query = sa.select(LABELS).where(LABELS.c.dataset == dataset, LABELS.c.version == version)
        row = self._do(lambda connection: connection.execute(query).one_or_none())
        return unpacked(row, f"{self.place}: the store is damaged: the labels of {dataset} {version}") if row else None

    def machines(self) -> dict[str, dict[str, Any]]:
        """Facts of every machine that ran something, by id."""
        return {row["id"]: row["facts"] for row in self._rows(MACHINES)}

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
            "macs": result.macs,
            "seconds": result.seconds,
            "message": _storable(result.message),
            "traceback": _storable(result.traceback),
            "attempts": 1,
            "machine": machine_id,
            "finished_at": now(),
        }
        replaced = {name: value for name, value in values.items() if name not in ("key", "attempts")}
        stored = self._insert(RUNS).values(values)
        stored = stored.on_conflict_do_update(
            index_elements=[RUNS.c.key],
            set_={**replaced, "attempts": RUNS.c.attempts + 1},
            where=RUNS.c.status.not_in(OUTCOMES),
        )
        machine_row = self._insert(MACHINES).values(id=machine_id, facts=dict(machine)).on_conflict_do_nothing()
        predictions = None if result.predictions is None else packed(result.predictions)

        def write(connection: sa.Connection) -> None:
            connection.execute(machine_row)
            is_new = self._wrote(connection, stored)
            connection.execute(sa.delete(LEASES).where(LEASES.c.key == run.key))
            if is_new:
                connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.key == run.key))
                if predictions is not None:
                    connection.execute(self._insert(PREDICTIONS).values(key=run.key, **predictions))
                self._put(connection, DIGESTS, [{"key": run.key, "digest": run_digest(values, predictions)}])

        self._do(write)

    def reopen(self, keys: Iterable[str], statuses: Iterable[Status]) -> set[str]:
        """Have those of these runs tried again that failed in one of these ways; their keys.

        How they ended stays until the next attempt has.
        """
        wanted, ways = set(keys), set(statuses).intersection(FAILURES)
        reopened = {key for key, status in self.statuses(wanted).items() if status in ways}

        def write(connection: sa.Connection) -> None:
            for part in parts(reopened):
                chosen = sa.update(RUNS).where(RUNS.c.key.in_(part), RUNS.c.status.in_(ways))
                connection.execute(chosen.values(status=REOPENED))

        self._do(write)
        return reopened


def _storable(text: str | None) -> str | None:
    """A text that a store can hold: what is no Unicode (of a file's name, say) is written as its escape."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
