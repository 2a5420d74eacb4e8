"""Ledger of a suite: every run that it plans has exactly one status, and how far its searches have come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from benchmarks.labels import with_levels
from benchmarks.plan.keys import one_key, planned_runs
from benchmarks.plan.leases import LEASE_SECONDS, has_ended
from benchmarks.plan.plan import Plan
from benchmarks.plan.study import Study
from benchmarks.results import FAILURES, FINAL, Status
from benchmarks.runs import Run
from benchmarks.store import NOBODY, REOPENED, Lease, Store, StoredRun
from zoo.settings import SettingError, unknown

LedgerStatus = Literal[Status, "planned", "running", "interrupted"]

STATUSES: Mapping[LedgerStatus, str] = {
    "planned": "not begun yet",
    "running": "a runner is on it, and gave a sign of life within the last minute",
    "interrupted": "a runner was on it and ended; the next one goes on where it was",
    "done": "trained and measured",
    "diverged": "its loss was not finite any more: an outcome",
    "failed": "an exception, or its worker process died again and again",
    "out_of_memory": "its worker was killed or had no memory left, again and again",
    "timed_out": "it took longer than `--time-limit`",
}
"""What each status means. The first three follow from the leases, the others are stored."""

UNSETTLED: tuple[LedgerStatus, ...] = ("planned", "running", "interrupted")
"""Statuses of runs that `ablate run` trains."""

EPOCHS_SHOWN = 5
"""How many of its last epochs the log of a run shows."""


def words(status: str) -> str:
    """A status as people read it."""
    return status.replace("_", " ")


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


@dataclass(frozen=True)
class Entry:
    """A run that is planned."""

    run: Run
    status: LedgerStatus
    reason: str | None = None
    """Why it has no outcome, or where it diverged."""
    is_untuned: bool = False
    """Whether it does without what a search finds, for comparison with the runs that have it."""


@dataclass(frozen=True)
class Ledger:
    """All runs of a suite as it was last run."""

    suite: str
    entries: list[Entry]
    search: SearchState | None = None
    """How far its searches have come; None where it searches nothing."""

    @property
    def counts(self) -> dict[LedgerStatus, int]:
        """Number of runs by status, every status named; they add up to the plan."""
        counted = Counter(entry.status for entry in self.entries)
        return {status: counted[status] for status in STATUSES}

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to be trained."""
        return self.num_unsettled == 0

    @property
    def num_unsettled(self) -> int:
        """Number of runs that are left to be trained, or are being trained."""
        counts = self.counts
        return sum(counts[status] for status in UNSETTLED)

    def as_text(self) -> str:
        """Such as: 40 runs: 12 planned, 2 running, 26 done."""
        told = ", ".join(f"{number} {words(status)}" for status, number in self.counts.items() if number)
        searched = f"; {self.search.as_text()}" if self.search else ""
        return f"{self.suite}: {len(self.entries)} runs: {told or 'none'}{searched}"

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "suite": self.suite,
            "runs": {"total": len(self.entries), **self.counts},
            "search": self.search.as_json() if self.search else None,
            "entries": [
                {
                    "key": entry.run.key,
                    "dataset": entry.run.cell.dataset,
                    "levels": dict(entry.run.cell.levels),
                    "seed": entry.run.seed,
                    "untuned": entry.is_untuned,
                    "status": entry.status,
                    "reason": entry.reason,
                }
                for entry in self.entries
            ],
        }

    def cells(self) -> list[dict[str, Any]]:
        """One row a cell: its dataset and levels, and how many of its runs have each status that occurs.

        A cell that is trained with and without what a search finds has a row for each.
        """
        shown = [status for status, number in self.counts.items() if number or status in ("planned", "running", "done")]
        are_compared = any(entry.is_untuned for entry in self.entries)
        rows: dict[tuple[Any, ...], Counter[str]] = {}
        for entry in self.entries:
            settings = (("settings", "untuned" if entry.is_untuned else "tuned"),) if are_compared else ()
            place = (entry.run.cell.dataset, settings, *entry.run.cell.levels.items())
            rows.setdefault(place, Counter())[entry.status] += 1
        return [
            with_levels(
                {"dataset": dataset, **dict(settings), **{words(status): counted[status] for status in shown}},
                dict(levels),
            )
            for (dataset, settings, *levels), counted in rows.items()
        ]

    def reasons(self) -> list[dict[str, Any]]:
        """One row for each reason why runs have no outcome or diverged, the most frequent first."""
        told: dict[tuple[str, str], list[str]] = {}
        for entry in self.entries:
            if entry.reason is not None:
                told.setdefault((words(entry.status), entry.reason), []).append(entry.run.key)
        return [
            {"runs": len(keys), "status": status, "reason": reason, "such as": keys[0][:12]}
            for (status, reason), keys in sorted(told.items(), key=lambda each: -len(each[1]))
        ]


def ledger_of(study: Study) -> Ledger:
    """The ledger of a suite as it was last run."""
    store, runs = study.store, study.all_runs
    keys = [run.key for run in runs]
    # Leases first: what ends between the two queries has a status then.
    leases = store.leases(keys)
    statuses = store.statuses(keys)
    told = store.runs(key for key, status in statuses.items() if status != "done")
    entries = []
    for place, run in enumerate(runs):
        status = _status(statuses.get(run.key), leases.get(run.key))
        found = told.get(run.key)
        reason = found.message or "no reason is known" if found else None
        entries.append(Entry(run, status, reason, is_untuned=place >= len(study.runs)))
    return Ledger(study.name, entries, search_state(study))


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


def _status(stored: Status | None, lease: Lease | None) -> LedgerStatus:
    if stored is not None:
        return stored
    if lease is None:
        return "planned"
    return "running" if _is_alive(lease) else "interrupted"


def _is_alive(lease: Lease) -> bool:
    """Whether a runner gave a sign of life of late, by the time of day: what is shown waits for no steady clock."""
    age = datetime.now(UTC) - datetime.fromisoformat(lease.renewed_at)
    return lease.owner != NOBODY and age < timedelta(seconds=LEASE_SECONDS) and not has_ended(lease.owner)


RETRY_ALL = "all"


def ways_to_retry(given: Iterable[str]) -> set[Status]:
    """The statuses that `--retry` was given.

    Raises:
        SettingError: one is no status of runs without an outcome.
    """
    ways: set[Status] = set()
    for each in given:
        if each not in (*FAILURES, RETRY_ALL):
            raise SettingError([unknown("--retry", "status of runs to retry", each, (*FAILURES, RETRY_ALL))])
        ways |= {status for status in FAILURES if each in (status, RETRY_ALL)}
    return ways


def reopened(plan: Plan, store: Store, ways: Iterable[Status], *, trials_alone: bool = False) -> Plan:
    """The plan with those of its runs, and of its searches' trials, open again that ended in one of these ways.

    With `trials_alone`, runs that are no trials stay as they are.
    """
    trials = {key: {run for trial in search.trials for run in trial["keys"]} for key, search in plan.searches.items()}
    own = set() if trials_alone else {run.key for run in plan.all_runs}
    wanted, ways = own.union(*trials.values()), set(ways)
    found = {key for key, status in store.statuses(wanted).items() if status in ways}
    # Searches first: one that is forgotten without a run that is open costs nothing, and the opposite its trial.
    store.forget_searches([key for key, runs in trials.items() if runs & found])
    store.reopen(found, ways)
    return plan.renewed(store)


@dataclass(frozen=True)
class Log:
    """All that is known of how a run went."""

    key: str
    suites: list[str]
    """Those that plan it, as they were last run; none for a trial of a search."""
    dataset: str
    levels: dict[str, str]
    """Of the cell, in the first of the suites."""
    seed: int
    status: LedgerStatus
    stored: StoredRun | None
    """Its last attempt."""
    machine: dict[str, Any]
    """Facts of the machine of that attempt."""

    @property
    def epochs(self) -> list[dict[str, Any]]:
        """Its last epochs, each with what was followed."""
        history = self.stored.history if self.stored else {}
        length = max(map(len, history.values()), default=0)
        return [
            {"epoch": epoch + 1} | {name: values[epoch] for name, values in history.items() if epoch < len(values)}
            for epoch in range(max(0, length - EPOCHS_SHOWN), length)
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        told = vars(self.stored) if self.stored else {}
        names = ("message", "traceback", "seconds", "finished_at", "metrics", "history")
        return {
            "key": self.key,
            "suites": self.suites,
            "dataset": self.dataset,
            "levels": self.levels,
            "seed": self.seed,
            "status": self.status,
            "attempts": told.get("attempts", 0),
            **{name: told.get(name) for name in names},
            "machine": self.machine,
        }


def log_of(store: Store, given: str) -> Log:
    """How the run went that has this key, or the one whose key begins so.

    Raises:
        UserError: there is no such run, or more than one.
    """
    planned: dict[str, tuple[Run, list[str]]] = {}
    for suite, run in planned_runs(store):
        planned.setdefault(run.key, (run, []))[1].append(suite)
    key = one_key(given, {*planned, *store.keys(given.lower())}, store)
    stored = store.attempt(key)
    if key in planned:
        run, suites = planned[key]
        dataset, levels, seed = run.cell.dataset, dict(run.cell.levels), run.seed
    else:
        assert stored is not None  # else nobody knows its key
        suites, dataset, levels, seed = [], stored.dataset, {}, stored.seed
    known = stored.status if stored and stored.status != REOPENED else None
    return Log(
        key=key,
        suites=suites,
        dataset=dataset,
        levels=levels,
        seed=seed,
        status=_status(known, store.leases([key]).get(key)),
        stored=stored,
        machine=store.machines().get(stored.machine, {}) if stored else {},
    )
