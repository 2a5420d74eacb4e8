"""Outcome of a search in words: what it found, how many trials it made, and why some of them had no score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from benchmarks.labels import counted
from benchmarks.plan.groups import Group
from benchmarks.search.loop import TrialRecord
from benchmarks.store import Store, StoredRun, StoredSearch
from zoo.settings import as_written

NOTHING_FOUND = "nothing was found, so its settings stay as they are"


def outcome_told(group: Group, search: StoredSearch, store: Store) -> str:
    """What became of the search of a group, which has ended."""
    found = ", ".join(f"{path} = {as_written(value)}" for path, value in search.chosen.items())
    records = [TrialRecord(**trial) for trial in search.trials]
    return f"{group.title}: {'; '.join([found or NOTHING_FOUND, *_notes(group, records, store)])}"


def _notes(group: Group, records: list[TrialRecord], store: Store) -> Iterator[str]:
    if group.space is None:
        yield "no setting of the space has an effect here"
        return
    lacking = [record for record in records if record.score is None]
    if lacking:
        runs = store.runs(key for record in lacking for key in record.keys)
        reasons = Counter(_reason(record, runs, group.table.objective) for record in lacking)
        (reason, _), *others = reasons.most_common()
        further = f", and {counted(len(others), 'other reason')}" if others else ""
        yield f"{len(lacking)} of {counted(len(records), 'trial')} had no score: {reason}{further}"
    # Hyperband is given epochs, and makes of them as many trials as they pay.
    if group.table.strategy != "hyperband" and len(records) < group.table.trials:
        yield f"{len(records)} of {counted(group.table.trials, 'trial')} were made: the space has no more points"


def _reason(record: TrialRecord, runs: Mapping[str, StoredRun], objective: str) -> str:
    """Why a trial has no score, by the first of its runs that has none."""
    if not record.keys:
        return "its values do not go together"
    for key in record.keys:
        run = runs.get(key)
        if run and run.status != "done":
            return f"{run.status.replace('_', ' ')}: {run.message or 'no reason is known'}"
    return f"its {objective} was not finite"
