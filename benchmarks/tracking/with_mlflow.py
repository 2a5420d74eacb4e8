"""MLflow: an experiment for a suite, with a run for each of its runs, and one more that holds the report.

A run is found again by its key, which is one of its tags, and stays as it is unless it was tried again since. MLflow's
database in the runs folder is made where no tracking URI is given; then nothing goes over a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

# MLflow reports how it is used to its makers unless it is told not to before it is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import (
    MAX_ENTITY_KEY_LENGTH,
    MAX_EXPERIMENT_TAG_VAL_LENGTH,
    MAX_METRICS_PER_BATCH,
    MAX_PARAM_VAL_LENGTH,
    MAX_PARAMS_TAGS_PER_BATCH,
    MAX_TAG_VAL_LENGTH,
)
from sqlalchemy.exc import SQLAlchemyError

from benchmarks.errors import UserError
from benchmarks.plan.study import Study
from benchmarks.report.formatting import as_text
from benchmarks.results import Status
from benchmarks.suite.suite import Suite
from benchmarks.tracking.config import Destinations
from benchmarks.tracking.records import Record, Tracked, records_of

DATABASE, ARTIFACTS, LOCK = "mlflow.db", "mlflow-artifacts", ".mlflow.lock"
"""What lies in the runs folder where no tracking URI is given, and the lock of those who write from it."""

MLFLOW_STATUSES: Mapping[Status, str] = {
    "done": "FINISHED",
    "diverged": "FINISHED",
    "failed": "FAILED",
    "out_of_memory": "FAILED",
    "timed_out": "KILLED",
}
"""Ours -> MLflow's. A diverged run was trained and has an outcome; the tag `ablate.status` tells it apart."""

KEY, STATE = "ablate.key", "ablate.state"
"""Tags: what a run is found by, and what tells whether it is whole and as it was last stored."""

REPORT = "report"
"""In place of the key: the run that holds the report."""

REPORT_SUFFIXES = (".html", ".md", ".csv", ".json", ".tex")

_RUNS_A_PAGE = 500

MAX_RUN_NAME_LENGTH = 250
"""What the column of MLflow's database holds; SQLite takes more, and a server's database refuses it."""


@dataclass(frozen=True)
class _Wanted:
    """A run as it is to stand in MLflow."""

    key: str
    state: str
    """Another one than there is says that the run is to be written anew."""
    name: str
    status: str
    started_at: float
    finished_at: float
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Name of an artifact -> text."""
    files: tuple[Path, ...] = ()


def track(study: Study, destinations: Destinations) -> Tracked:
    """Write the runs of a suite that MLflow does not have, and the report where there is one.

    Where no tracking URI is given, MLflow's own variable MLFLOW_TRACKING_URI counts.

    Raises:
        UserError: MLflow cannot be written.
    """
    given = destinations.uri or os.environ.get("MLFLOW_TRACKING_URI")
    store = study.store
    place = given or f"sqlite:///{(store.folder / DATABASE).resolve()}"
    artifacts = None if given else (store.folder / ARTIFACTS / study.name).resolve().as_uri()
    # MLflow tells of its database's tables, and Alembic of each of their versions.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        with _alone(store.folder):
            client = MlflowClient(place)
            experiment = _experiment(client, study.suite, artifacts)
            known = _known(client, experiment)
            wrote = [
                _ensure(client, experiment, known.get(record.run.key), _wanted(record)) for record in records_of(study)
            ]
            report = _report(study)
            if report:
                _ensure(client, experiment, known.get(REPORT), report)
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        (first, *_) = str(error).strip().splitlines() or [type(error).__name__]
        again = f"ablate track {study.name} --to mlflow"
        raise UserError(
            f"{place}: MLflow cannot be written: {first}\nThe runs are stored: `{again}` tries again"
        ) from None
    viewer = place if place.startswith("http") else f"mlflow ui --backend-store-uri {place}"
    return Tracked("mlflow", place, sum(wrote), len(wrote) - sum(wrote), viewer)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until nobody else writes from this runs folder: two who searched for a run at once would both write it.

    SQLite's lock ends with its process, and works wherever the store does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / LOCK, timeout=3600, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield


def _experiment(client: MlflowClient, suite: Suite, artifacts: str | None) -> str:
    """Id of the suite's experiment, which is made where it is missing."""
    note = _cut(suite.question, MAX_EXPERIMENT_TAG_VAL_LENGTH)
    tags = {"ablate.suite": suite.name, "mlflow.note.content": note}
    found: Experiment | None = client.get_experiment_by_name(suite.name)
    if found is None:
        return str(client.create_experiment(suite.name, artifact_location=artifacts, tags=tags))
    for name, value in tags.items():
        if found.tags.get(name) != value:
            client.set_experiment_tag(found.experiment_id, name, value)
    return str(found.experiment_id)


def _known(client: MlflowClient, experiment: str) -> dict[str, list[Run]]:
    """Key -> the runs that have it: one, or more where two wrote at once from different runs folders."""
    found: dict[str, list[Run]] = {}
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_RUNS_A_PAGE, page_token=token)
        for run in page:
            if KEY in run.data.tags:
                found.setdefault(run.data.tags[KEY], []).append(run)
        token = page.token
        if not token:
            return found


def _ensure(client: MlflowClient, experiment: str, known: list[Run] | None, wanted: _Wanted) -> bool:
    """Have a run stand as it is wanted; whether it was written."""
    whole = [run for run in known or () if run.data.tags.get(STATE) == wanted.state]
    for run in known or ():
        if run not in whole[:1]:
            client.delete_run(run.info.run_id)
    if not whole:
        _write(client, experiment, wanted)
        return True
    (run, *_) = whole
    # What a suite calls its levels can change, and the run does not.
    for name, value in wanted.tags.items():
        if run.data.tags.get(name) != value:
            client.set_tag(run.info.run_id, name, value)
    if run.info.run_name != wanted.name:
        client.update_run(run.info.run_id, name=wanted.name)
    return False


def _write(client: MlflowClient, experiment: str, wanted: _Wanted) -> None:
    tags = {KEY: wanted.key, **wanted.tags}
    run = client.create_run(experiment, _milliseconds(wanted.started_at), tags, wanted.name).info.run_id
    params = [Param(name, value) for name, value in wanted.params.items()]
    for start in range(0, len(params), MAX_PARAMS_TAGS_PER_BATCH):
        client.log_batch(run, params=params[start : start + MAX_PARAMS_TAGS_PER_BATCH])
    for start in range(0, len(wanted.metrics), MAX_METRICS_PER_BATCH):
        client.log_batch(run, metrics=wanted.metrics[start : start + MAX_METRICS_PER_BATCH])
    for name, text in wanted.texts.items():
        client.log_text(run, text, name)
    for path in wanted.files:
        client.log_artifact(run, str(path))
    client.set_terminated(run, wanted.status, _milliseconds(wanted.finished_at))
    # Last of all: a run without it was cut short, and is written anew.
    client.log_batch(run, tags=[RunTag(STATE, wanted.state)])


def _wanted(record: Record) -> _Wanted:
    run, end = record.run, _milliseconds(record.finished_at)
    # When an epoch ended is not stored.
    metrics = [
        Metric(_name(name), value, end, epoch)
        for name, curve in record.curves.items()
        for epoch, value in curve.items()
    ]
    metrics += [Metric(_name(name), value, end, record.epochs) for name, value in record.metrics.items()]
    tags = {
        "ablate.suite": record.suite,
        "ablate.status": run.status,
        "ablate.cell": record.cell,
        "ablate.dataset": record.dataset,
        "ablate.dataset_version": run.dataset_version,
        "ablate.seed": str(run.seed),
        "ablate.attempts": str(run.attempts),
        **{f"ablate.machine.{name}": str(value) for name, value in record.machine.items()},
    }
    if record.undefined:
        tags["ablate.undefined_metrics"] = ", ".join(record.undefined)
    if run.message:
        tags["ablate.message"] = run.message
    return _Wanted(
        key=run.key,
        state=f"{run.status} {record.finished_at}",
        name=_cut(record.name, MAX_RUN_NAME_LENGTH),
        status=MLFLOW_STATUSES[run.status],
        started_at=record.started_at,
        finished_at=record.finished_at,
        tags={_name(name): _cut(value, MAX_TAG_VAL_LENGTH) for name, value in tags.items()},
        params=_params(record),
        metrics=metrics,
        texts={"traceback.txt": run.traceback} if run.traceback else {},
    )


def _params(record: Record) -> dict[str, str]:
    """Every setting, and the levels of those factors that are bundles of settings."""
    values: dict[str, Any] = {"dataset": record.dataset, "seed": record.run.seed}
    values |= dict(record.levels) | dict(record.run.settings)
    keys = _distinct([_name(name) for name in values])
    return {key: _cut(as_text(value), MAX_PARAM_VAL_LENGTH) for key, value in zip(keys, values.values(), strict=True)}


def _distinct(names: Sequence[str]) -> list[str]:
    """The same names, as short as MLflow takes them, with a number where another has become the same."""
    found: list[str] = []
    for name in names:
        numbers = itertools.chain([""], (f" {number}" for number in itertools.count(2)))
        found.append(
            next(
                each
                for number in numbers
                if (each := name[: MAX_ENTITY_KEY_LENGTH - len(number)] + number) not in found
            )
        )
    return found


def _report(study: Study) -> _Wanted | None:
    """The run that holds the report; None where no report was written."""
    folder = study.store.folder / study.name
    if not (folder / "report.html").is_file():
        return None
    files = tuple(path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix in REPORT_SUFFIXES)
    state = hashlib.sha256()
    for path in files:
        state.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    registered_at = datetime.fromisoformat(study.registered_at).timestamp()
    return _Wanted(
        key=REPORT,
        state=state.hexdigest(),
        name=f"report of {study.name}",
        status="FINISHED",
        started_at=registered_at,
        finished_at=max(path.stat().st_mtime for path in files),
        tags={"ablate.suite": study.name, "ablate.runs": json.dumps(study.counts)},
        files=files,
    )


def _name(given: str) -> str:
    """With those characters alone that every MLflow server takes."""
    return re.sub(r"[^\w.\- :/]", "_", given, flags=re.ASCII)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
