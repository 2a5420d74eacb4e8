"""Searches under way: how far those of a suite have come, from what is noted of them in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.plan.study import Study
from benchmarks.results import FINAL


@dataclass(frozen=True)
class GroupState:
    """How far the search of one group of cells has come."""

    group: str
    """Its title."""
    status: str
    """"to be made", "under way" or "ended"."""
    trials: int
    """That have ended."""
    most_trials: int
    """That there can be."""


@dataclass(frozen=True)
class SearchState:
    """How far the searches of a suite have come."""

    groups: Sequence[GroupState]

    def as_text(self) -> str:
        """Such as: search: 1 of 4 groups searched, 36 of 96 trials."""
        ended = sum(each.status == "ended" for each in self.groups)
        trials, most = sum(each.trials for each in self.groups), sum(each.most_trials for each in self.groups)
        return f"search: {ended} of {len(self.groups)} groups searched, {trials} of {most} trials"

    def as_json(self) -> list[dict[str, Any]]:
        """All of it in plain values."""
        return [asdict(each) for each in self.groups]

    def rows(self) -> list[dict[str, Any]]:
        """One row a group."""
        return [
            {"group": each.group, "search": each.status, "trials": f"{each.trials} of {each.most_trials}"}
            for each in self.groups
        ]


def search_state(study: Study) -> SearchState | None:
    """How far the searches of a study have come; None where it searches nothing."""
    if study.suite.search is None:
        return None
    store, keys = study.store, [group.key for group in study.groups]
    # Those under way first: what ends between the two queries has ended then.
    under_way = store.searches_under_way(keys)
    ended = store.searches(keys)
    statuses = store.statuses(key for told in under_way.values() for trial in told["under_way"] for key in trial)
    states = []
    for group in study.groups:
        if group.key in ended:
            # Fewer than planned where a rung of hyperband was not filled, or a narrowed range had no more points.
            number = len(ended[group.key].trials)
            states.append(GroupState(group.title, "ended", number, number))
        elif told := under_way.get(group.key):
            done = sum(all(statuses.get(key) in FINAL for key in trial) for trial in told["under_way"])
            states.append(GroupState(group.title, "under way", told["ended"] + done, group.most_trials))
        else:
            states.append(GroupState(group.title, "to be made", 0, group.most_trials))
    return SearchState(states)
