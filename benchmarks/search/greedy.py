"""Greedy path of a suite: at each step every change that is left is tried, and the best is taken if it improves.

As of a search, nothing is kept while it is under way: a path that was killed is asked for again from its beginning, and
what is stored is not trained again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.plan.combinations import Change
from benchmarks.plan.path import CHANGES, FoundPath
from benchmarks.runs import Levels, Run
from benchmarks.search.loop import Train, TrialRecord, score_of, trained
from benchmarks.store import Store
from zoo.settings import SettingError


def find_path(path: FoundPath, store: Store, train: Train) -> None:
    """Find a path, and note in the store what was tried at each step, and which changes were taken.

    Runs that the store has are not trained, whatever became of them.
    """
    present: Levels = path.suite.baseline_levels
    taken, best = list[Change](), -math.inf
    tried: list[TrialRecord] = []
    for step in range(1 + len(path.suite.factors)):
        # The baseline is trained beside the first changes, since workers would wait for it otherwise.
        asked: dict[Change | None, Levels] = {None: present} if step == 0 else {}
        asked |= dict(path.steps_from(present))
        found = _scored(path, step, asked, store, train)
        tried += found.values()
        if step == 0:
            best = _worth(found.pop(None), path)
        change = max(found, key=lambda each: _worth(found[each], path), default=None)
        if change is None or _worth(found[change], path) <= best:
            break
        taken.append(change)
        present, best = asked[change], _worth(found[change], path)
    store.record_search(path.key, [asdict(each) for each in tried], {CHANGES: [list(change) for change in taken]})


def _scored(
    path: FoundPath, step: int, asked: Mapping[Change | None, Levels], store: Store, train: Train
) -> dict[Change | None, TrialRecord]:
    """What each of these changes gives; those that do not go together with the ones before give nothing."""
    runs = {change: _runs_at(path, levels) for change, levels in asked.items()}
    stored = trained((run for of_change in runs.values() for run in of_change), store, train)
    return {
        change: TrialRecord(
            round=step,
            number=number,
            values=dict([change]) if change else {},
            budget=None,
            resumes=None,
            keys=[run.key for run in of_change],
            score=score_of([stored.get(run.key) for run in of_change], path.objective) if of_change else None,
        )
        for number, (change, of_change) in enumerate(runs.items())
    }


def _runs_at(path: FoundPath, levels: Levels) -> Sequence[Run]:
    try:
        return path.runs_at(levels)
    except SettingError:
        return ()


def _worth(record: TrialRecord, path: FoundPath) -> float:
    """The score, turned so that more is better; what has none is worse than any number."""
    if record.score is None:
        return -math.inf
    return record.score if path.is_more_better else -record.score
