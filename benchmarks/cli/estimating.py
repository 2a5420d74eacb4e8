"""Estimate of how long the runs of a plan will take: from stored runs of the same programs, or from a short probe."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.cli.progress import duration
from benchmarks.errors import UserError
from benchmarks.execution.worker import WorkerOptions
from benchmarks.execution.workers import Workers, resources
from benchmarks.models.trained import settings_of
from benchmarks.plan.groups import Group
from benchmarks.plan.plan import Plan
from benchmarks.plan.stacks import check_runs, least_stacks
from benchmarks.runs import Run
from benchmarks.settings.run import RunSettings, canonical_json
from benchmarks.settings.training import TrainConfig
from benchmarks.store import Store
from benchmarks.training.parts import LARGEST_STACK

MOST_SETTINGS = 200
"""Different settings of a dataset's stored runs that an estimate is made from, the latest first."""

PROBE_EPOCHS, PROBE_STEPS = 2, 200
"""How long a probe trains at most."""

LENGTHS = ("steps", "images", "epochs")
"""The settings that say how long a training is; one of them is set."""

ProgramOfAnyLength = tuple[str, str]
"""A dataset, and a program without the length of its training."""

Rates = Mapping[ProgramOfAnyLength, float]
"""Seconds an epoch (a step, an image: as the training is counted) of each program that is known."""


@dataclass(frozen=True)
class Expected:
    """What is known of the time that runs will take."""

    seconds: float
    """Of one worker, for the runs of which something is known; compiling is left out."""
    num_known: int
    num_unknown: int
    """Runs like which none was trained yet."""
    workers: int
    """How many there are by default."""
    seconds_of_search: float = 0.0
    """Of these seconds, those of the trials of searches that have not ended; their runs are counted above."""

    def as_text(self) -> str:
        """One sentence for people."""
        unknown = f"nothing is known of {self.num_unknown} runs: --probe measures" if self.num_unknown else ""
        if not self.num_known:
            return f"expected time: not known; {unknown}"
        number = f"{self.workers} worker{'s' if self.workers > 1 else ''}"
        told = f"expected time: {duration(self.seconds / self.workers)} with {number}, compiling left out"
        if self.seconds_of_search:
            told += f", {duration(self.seconds_of_search / self.workers)} of it for the search"
        return f"{told}; {unknown}" if unknown else told


def expected_time(plan: Plan, runs_dir: Path, store_url: str | None = None, *, probes: bool) -> Expected:
    """How long the missing runs of a plan, and the trials of its searches that have not ended, will take.

    The store tells what like runs took; with `probes`, programs of which nothing is known are trained for a moment.

    Raises:
        DatasetError, SettingError: only where it probes: a dataset cannot be had, or settings do not fit it.
    """
    store = Store.find(runs_dir, store_url)
    rates = stored_rates(store, plan) if store else {}
    available = resources(least_stacks(plan.all_runs), least_stacks(plan.missing))
    if probes:
        with Workers(available, WorkerOptions(plan.references, runs_dir)) as workers:
            rates = probe(workers, plan, rates)
    seconds, known, unknown = _of_runs(plan.missing, rates)
    of_search, known_of_search, unknown_of_search = _of_searches(plan.open_groups, rates)
    return Expected(
        seconds + of_search, known + known_of_search, unknown + unknown_of_search, available.workers, of_search
    )


def program_without_length(run: Run) -> ProgramOfAnyLength:
    """What runs have in common whose epochs take equally long."""
    return _program(run.dataset, run.cell.settings)


def _of_runs(runs: Iterable[Run], rates: Rates) -> tuple[float, int, int]:
    """Seconds of the runs of which something is known, how many these are, and how many the others."""
    seconds, known, unknown = 0.0, 0, 0
    rate_of_cell: dict[int, float | None] = {}
    for run in runs:
        cell = id(run.cell)
        if cell not in rate_of_cell:
            rate_of_cell[cell] = rates.get(program_without_length(run)) if rates else None
        rate = rate_of_cell[cell]
        if rate is None:
            unknown += 1
        else:
            known += 1
            seconds += rate * _length(run.cell.settings.train)
    return seconds, known, unknown


def _of_searches(groups: Iterable[Group], rates: Rates) -> tuple[float, int, int]:
    """The same for the trials of searches that are to come; those that are stored already count too."""
    seconds, known, unknown = 0.0, 0, 0
    for group in groups:
        number = len(group.table.seeds) * group.most_trials
        seconds_of_cell: dict[tuple[str, ...], list[float]] = {}
        for run in group.sampled_runs() if rates else ():
            rate = rates.get(program_without_length(run))
            if rate is not None:
                place = (run.cell.dataset, *run.cell.levels.values())
                seconds_of_cell.setdefault(place, []).append(rate * _length(run.cell.settings.train))
        known += number * len(seconds_of_cell)
        unknown += number * (len(group.cells) - len(seconds_of_cell))
        of_one = sum(map(statistics.mean, seconds_of_cell.values()))
        seconds += of_one * group.whole_trainings * len(group.table.seeds)
    return seconds, known, unknown


def stored_rates(store: Store, plan: Plan) -> Rates:
    """The rates of the programs that a store knows."""
    found = defaultdict(list)
    for name, reference in plan.references.items():
        for stored in store.one_of_each_setting(reference.name, plan.versions[name], MOST_SETTINGS):
            try:
                settings = settings_of(stored)
            except UserError:
                continue  # of another version of this program
            found[_program(stored.dataset, settings)].append(stored.seconds / _length(settings.train))
    return {program: statistics.median(rates) for program, rates in found.items()}


def probe(workers: Workers, plan: Plan, rates: Rates) -> Rates:
    """Train some runs of each program that has no rate yet for a moment, and give all rates; nothing is stored.

    Raises:
        DatasetError, SettingError: a dataset cannot be had, or settings do not fit it.
    """
    samples: dict[ProgramOfAnyLength, list[Run]] = defaultdict(list)
    of_searches = [run for group in plan.open_groups for run in group.sampled_runs()]
    for run in (*plan.missing, *of_searches):
        sample = samples[program_without_length(run)]
        # As many as a stack holds: its runs share its time.
        if len(sample) < LARGEST_STACK:
            sample.append(_shortened(run))
    runs = [run for program, sample in samples.items() if program not in rates for run in sample]
    datasets = workers.open_datasets()
    check_runs(runs, datasets)
    found = defaultdict(list)
    for run, result in workers.train(runs, datasets):
        if result.status == "done":
            found[program_without_length(run)].append(result.seconds / _length(run.cell.settings.train))
    return {**rates, **{program: statistics.median(values) for program, values in found.items()}}


def _program(dataset: str, settings: RunSettings) -> ProgramOfAnyLength:
    shaping = json.loads(settings.program())
    shaping["train"] = {name: value for name, value in shaping["train"].items() if name not in (*LENGTHS, "stop_after")}
    return dataset, canonical_json(shaping)


def _length(train: TrainConfig) -> int:
    return train.stop_after or next(int(getattr(train, name)) for name in LENGTHS if getattr(train, name))


def _shortened(run: Run) -> Run:
    train = run.cell.settings.train
    most = {"steps": PROBE_STEPS, "images": PROBE_STEPS * train.batch_size, "epochs": PROBE_EPOCHS}
    lengths = {name: min(getattr(train, name), most[name]) for name in LENGTHS if getattr(train, name)}
    rates = {"learning_rate": train.learning_rate, "weight_decay": train.weight_decay}
    # What shapes no program takes no time, and a patience or an earlier end would not go with so short a training.
    settings = replace(run.cell.settings, train=TrainConfig(**train.shaping_program() | rates | lengths))
    return replace(run, cell=replace(run.cell, settings=settings))
