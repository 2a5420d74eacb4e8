"""Store: every run, one transaction a run; one SQLite file, or a database of a Postgres server."""

from benchmarks.store.records import (
    DatasetFacts,
    Lease,
    RegisteredClaim,
    Registration,
    StoredRun,
    StoredSearch,
)
from benchmarks.store.sqlite import APPLICATION_ID, STORE_FILE
from benchmarks.store.store import Store, place_of
from benchmarks.store.tables import FORMAT, LEASES, MACHINES, NOBODY, REOPENED, RUNS

__all__ = [
    "APPLICATION_ID",
    "FORMAT",
    "LEASES",
    "MACHINES",
    "NOBODY",
    "REOPENED",
    "RUNS",
    "STORE_FILE",
    "DatasetFacts",
    "Lease",
    "RegisteredClaim",
    "Registration",
    "Store",
    "StoredRun",
    "StoredSearch",
    "place_of",
]
