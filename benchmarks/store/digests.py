"""Digests of runs: a run that is read otherwise than it was written is damaged, however little of it has changed."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from benchmarks.store.tables import REOPENED

_COLUMNS = (
    *("key", "status", "dataset", "dataset_version", "seed", "settings", "metrics", "history"),
    *("parameters", "macs", "seconds", "machine", "finished_at"),
)
"""All that a result consists of. Why a run failed is left out, and how often: what is told to people may be escaped."""

_OF_PREDICTIONS = ("dtype", "shape", "data")

_ALL = f"""
    SELECT digests.key, digest, {", ".join(f"runs.{name}" for name in _COLUMNS)},
        {", ".join(f"predictions.{name}" for name in _OF_PREDICTIONS)}
    FROM digests LEFT JOIN runs ON runs.key = digests.key LEFT JOIN predictions ON predictions.key = digests.key
"""


def run_digest(run: Mapping[str, Any], predictions: Mapping[str, Any] | None) -> str:
    """The digest of a run, from its row and that of its predictions, with JSON as values or as their text."""
    digest = hashlib.sha256(json.dumps([_as_text(run[name]) for name in _COLUMNS]).encode())
    if predictions:
        digest.update(json.dumps([predictions["dtype"], _as_text(predictions["shape"])]).encode())
        digest.update(predictions["data"])
    return digest.hexdigest()


def first_damaged(connection: sqlite3.Connection) -> str | None:
    """The key of a run that is not what was written, or not there; None where all are well."""
    for key, digest, *row in connection.execute(_ALL):
        run = dict(zip(_COLUMNS, row, strict=False))
        predictions = dict(zip(_OF_PREDICTIONS, row[len(_COLUMNS) :], strict=True))
        if run["status"] == REOPENED:
            continue  # it is to be tried again, and only its status has changed
        if run_digest(run, predictions if predictions["data"] is not None else None) != digest:
            return str(key)
    return None


def _as_text(value: Any) -> Any:
    """A value as SQLite gives it back: JSON as its text."""
    return json.dumps(value) if isinstance(value, dict | list) else value
