"""Tables of a store, the same for SQLite and Postgres."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

FORMAT = 4
"""Raised whenever the tables change."""

REOPENED = "reopened"
"""In place of the status of a run that failed and is to be tried again. To all but its next attempt it is not there."""

NOBODY = ""
"""In place of the runner of a lease that has ended without a result."""


class _PostgresText(sa.types.TypeDecorator[str]):
    """A text of Postgres, ordered by its bytes as SQLite does, whatever the language of the server."""

    impl = sa.Text
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(collation="C")

    def process_bind_param(self, value: str | None, _: sa.Dialect) -> str | None:
        """Write NUL, which Postgres does not take, as its escape."""
        return None if value is None else value.replace("\0", "\\x00")


class _PostgresJSON(sa.types.TypeDecorator[Any]):
    """Values as the very text that SQLite stores.

    Postgres's own JSON types refuse NaN and infinity, which metrics and curves can be, and `jsonb` changes the order.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(collation="C")

    def process_bind_param(self, value: Any, _: sa.Dialect) -> str:
        """As SQLAlchemy's JSON type of SQLite."""
        return json.dumps(value)

    def process_result_value(self, value: str | None, _: sa.Dialect) -> Any:
        """As SQLAlchemy's JSON type of SQLite."""
        return None if value is None else json.loads(value)


STRING = sa.String().with_variant(_PostgresText(), "postgresql")
TEXT = sa.Text().with_variant(_PostgresText(), "postgresql")
JSON = sa.JSON().with_variant(_PostgresJSON(), "postgresql")
# Postgres's integers have 32 bits, and its floats are named by their size; SQLite's have 64 anyway.
INTEGER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
FLOAT = sa.Float().with_variant(sa.Double(), "postgresql")

METADATA = sa.MetaData()

RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("key", STRING, primary_key=True),
    sa.Column("status", STRING, nullable=False),
    sa.Column("dataset", STRING, nullable=False),
    sa.Column("dataset_version", STRING, nullable=False),
    sa.Column("seed", INTEGER, nullable=False),
    sa.Column("settings", JSON, nullable=False),
    sa.Column("metrics", JSON, nullable=False),
    sa.Column("history", JSON, nullable=False),
    sa.Column("parameters", INTEGER),
    sa.Column("macs", INTEGER),
    sa.Column("seconds", FLOAT, nullable=False),
    sa.Column("message", TEXT),
    sa.Column("traceback", TEXT),
    sa.Column("attempts", INTEGER, nullable=False),
    sa.Column("machine", STRING, sa.ForeignKey("machines.id"), nullable=False),
    sa.Column("finished_at", STRING, nullable=False),
)

MACHINES = sa.Table(
    "machines",
    METADATA,
    sa.Column("id", STRING, primary_key=True),
    sa.Column("facts", JSON, nullable=False),
)

PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("key", STRING, sa.ForeignKey("runs.key"), primary_key=True),
    sa.Column("dtype", STRING, nullable=False),
    sa.Column("shape", JSON, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""What runs gave for the test examples: the bytes of an array in row order, compressed by zlib."""

DIGESTS = sa.Table(
    "digests",
    METADATA,
    sa.Column("key", STRING, primary_key=True),
    sa.Column("digest", STRING, nullable=False),
)
"""What `benchmarks.store.digests` gave of each run, with its predictions, when it was written."""

LABELS = sa.Table(
    "labels",
    METADATA,
    sa.Column("dataset", STRING, primary_key=True),
    sa.Column("version", STRING, primary_key=True),
    sa.Column("dtype", STRING, nullable=False),
    sa.Column("shape", JSON, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
"""What the test examples of a dataset are, in the order of the predictions and stored as these."""

SUITES = sa.Table(
    "suites",
    METADATA,
    sa.Column("name", STRING, primary_key=True),
    sa.Column("text", TEXT, nullable=False),
    sa.Column("seeds", JSON, nullable=False),
    sa.Column("datasets", JSON, nullable=False),
    sa.Column("looks", JSON, nullable=False),
    sa.Column("registered_at", STRING, nullable=False),
)

CLAIMS = sa.Table(
    "claims",
    METADATA,
    sa.Column("suite", STRING, primary_key=True),
    sa.Column("hash", STRING, primary_key=True),
    sa.Column("statement", TEXT, nullable=False),
    sa.Column("n_judgements", INTEGER, nullable=False),
    sa.Column("seeds", JSON, nullable=False),
    sa.Column("analysis", JSON, nullable=False),
    sa.Column("n_results", INTEGER, nullable=False),
    sa.Column("cells", STRING, nullable=False),
    sa.Column("n_results_before", INTEGER, nullable=False),
    sa.Column("registered_at", STRING, nullable=False),
)
"""Claims of suites as they were when they first stood in a suite that was run."""

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("key", STRING, primary_key=True),
    sa.Column("owner", STRING, nullable=False),
    sa.Column("number", INTEGER, nullable=False),
    sa.Column("renewed_at", STRING, nullable=False),
)
"""Runs that a runner is on, with the number that it counts up as a sign of life, and when it last did, for people. A
run that somebody was on, and that has no result, stays here with `NOBODY` in place of the runner."""

SEARCHES = sa.Table(
    "searches",
    METADATA,
    sa.Column("key", STRING, primary_key=True),
    sa.Column("trials", JSON, nullable=False),
    sa.Column("chosen", JSON, nullable=False),
    sa.Column("finished_at", STRING, nullable=False),
)
"""Searches that have ended. Their trials' runs are in `runs` as any other: what is here follows from those, and is kept
so that nobody needs Keras Tuner to tell what was chosen. Beside them, under keys of their own, is how far searches have
come that are under way."""
