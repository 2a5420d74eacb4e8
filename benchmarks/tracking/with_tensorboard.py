"""TensorBoard: event files with the curves of every run, and the suite as a table in the HParams tab.

A cell is a group of sessions, and each of its runs a session, so that the table has a line a cell with the mean over
its seeds. The files follow from the store alone: written twice they are the same, to the byte, and are left alone.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

# Of TensorBoard's own modules those that import no TensorFlow: its `EventFileWriter` does, for its files.
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR, Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.plugins.scalar.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from benchmarks.errors import UserError
from benchmarks.metrics import METRICS
from benchmarks.plan.study import Study
from benchmarks.results import OUTCOMES
from benchmarks.tracking.config import Destinations
from benchmarks.tracking.records import FINAL_PREFIX, OUTCOME, Record, Tracked, records_of

EVENTS_FILE = "events.out.tfevents.{seconds:010d}.ablate"
"""With the time when the run ended: TensorBoard goes on reading files that it knows, and takes a new one for news."""

LARGEST = float(np.finfo(np.float32).max)
"""TensorBoard has numbers in single precision."""

SettingValues = Mapping[str, float | str]
"""The dataset and each factor of a cell -> its level."""


def track(study: Study, destinations: Destinations) -> Tracked:
    """Write one folder a run, and one file for the suite; runs that it no longer plans are removed.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = destinations.folder
    place = study.store.folder / study.name / "tensorboard" if folder is None else folder / study.name
    numeric = _numeric_factors(records_of(study))
    cells: dict[str, SettingValues] = {}
    metrics: dict[str, None] = {}
    kept, written = set(), 0
    try:
        for record in records_of(study):
            cells[record.cell] = values = _values(record, numeric)
            metrics |= dict.fromkeys(record.metrics)
            path = place / _folder_name(record) / EVENTS_FILE.format(seconds=int(record.finished_at))
            kept.add(path)
            written += _write(path, _events(record, values))
        created = datetime.fromisoformat(study.registered_at).timestamp()
        path = place / EVENTS_FILE.format(seconds=int(created))
        kept.add(path)
        _write(path, [_event(_table(cells.values(), metrics, created), created)])
        _remove_others(place, kept)
    except OSError as error:
        raise UserError(f"{place}: cannot be written for TensorBoard: {error.strerror}") from None
    return Tracked("tensorboard", str(place), written, len(kept) - 1 - written, f"tensorboard --logdir {place}")


def _events(record: Record, values: SettingValues) -> Iterator[Event]:
    """The events of a run: its settings, the curves, its metrics, and how it ended."""
    end = record.finished_at
    begun = summary_v2.hparams_pb(dict(values), trial_id=record.cell, start_time_secs=record.started_at)
    yield _event(_in_fixed_order(begun), record.started_at)
    for name, curve in record.curves.items():
        # When an epoch ended is not stored.
        yield from _scalars(name, curve, end)
    for name, value in record.metrics.items():
        yield from _scalars(name, {record.epochs: value}, end)
    status = api_pb2.STATUS_SUCCESS if record.run.status in OUTCOMES else api_pb2.STATUS_FAILURE
    ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=end)
    about = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=ended))
    summary = Summary()
    summary.value.add(tag=metadata.SESSION_END_INFO_TAG, metadata=about, tensor=metadata.NULL_TENSOR)
    yield _event(summary, end)


def _table(cells: Iterable[SettingValues], metrics: Iterable[str], created: float) -> Summary:
    """What the columns of the HParams tab are."""
    levels: dict[str, dict[Any, None]] = {}
    for values in cells:
        for name, value in values.items():
            levels.setdefault(name, {})[value] = None
    columns = [summary_v2.HParam(name, summary_v2.Discrete(list(found))) for name, found in levels.items()]
    # What was measured on the test split first, and the outcome before all.
    ordered = sorted(metrics, key=lambda name: (name != OUTCOME, not name.startswith("test_")))
    shown = [summary_v2.Metric(name, description=_explanation(name)) for name in ordered]
    return _in_fixed_order(summary_v2.hparams_config_pb(columns, shown, time_created_secs=created))


def _in_fixed_order(summary: Summary) -> Summary:
    """The same summary of the HParams tab, whose table of settings else is in another order in every process."""
    for value in summary.value:
        plugin = value.metadata.plugin_data
        content = plugin_data_pb2.HParamsPluginData.FromString(plugin.content)
        plugin.content = content.SerializeToString(deterministic=True)
    return summary


def _numeric_factors(records: Iterable[Record]) -> set[str]:
    """The factors all of whose levels are numbers, which TensorBoard can put on an axis."""
    found: dict[str, bool] = {}
    for record in records:
        for factor in record.levels:
            value = record.run.settings.get(factor)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            found[factor] = found.get(factor, True) and is_number
    return {factor for factor, is_numeric in found.items() if is_numeric}


def _values(record: Record, numeric: set[str]) -> SettingValues:
    settings = record.run.settings
    levels = {name: float(settings[name]) if name in numeric else label for name, label in record.levels.items()}
    return {"dataset": record.dataset} | levels


def _scalars(name: str, values: Mapping[int, float], moment: float) -> Iterator[Event]:
    """Numbers by their step, of which the first says what they are; those out of range are left out."""
    about = create_summary_metadata(display_name=None, description=_explanation(name))
    about.data_class = DATA_CLASS_SCALAR
    for step, value in values.items():
        if abs(value) <= LARGEST:
            summary = Summary()
            summary.value.add(tag=name, tensor=make_tensor_proto(value, dtype="float32"), metadata=about)
            yield _event(summary, moment, step)
            about = None


def _explanation(name: str) -> str:
    if name == OUTCOME:
        return "what reports compare: test accuracy or RMSE, and for a diverged run the level of who learnt nothing"
    known = METRICS.get(name.removeprefix(FINAL_PREFIX))
    return known.explanation if known else ""


def _event(summary: Summary, moment: float, step: int = 0) -> Event:
    return Event(wall_time=moment, step=step, summary=summary)


def _write(path: Path, events: Iterable[Event]) -> bool:
    """Write an event file; whether it had to be written."""
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    told = list(events)
    for event in (Event(wall_time=told[0].wall_time, file_version="brain.Event:2"), *told):
        writer.write(event.SerializeToString(deterministic=True))
    if path.is_file() and path.read_bytes() == buffer.getvalue():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, buffer.getvalue())
    return True


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file and move into place; TensorBoard takes any name with "tfevents" in it for a whole file."""
    made = path.with_name(f".unfinished.{os.getpid()}")
    try:
        made.write_bytes(content)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def _folder_name(record: Record) -> str:
    """The run in words that any file system takes, and enough of its key that no two are the same."""
    words = re.sub(r"[^A-Za-z0-9.=+-]+", "_", record.cell).strip("._")[:80]
    return f"{words}_seed{record.run.seed}_{record.run.key[:12]}"


def _remove_others(place: Path, kept: set[Path]) -> None:
    """Remove what earlier calls wrote of runs that were tried again since, or that are no longer planned."""
    for path in [*place.glob("events.out.tfevents.*.ablate"), *place.glob("*/events.out.tfevents.*.ablate")]:
        if path not in kept:
            path.unlink(missing_ok=True)
            if path.parent != place and not any(path.parent.iterdir()):
                path.parent.rmdir()
