"""Where the numbers of a report come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

import zoo
from benchmarks import training
from benchmarks.design import Run
from benchmarks.settings import canonical_json
from benchmarks.store import Registration


@dataclass(frozen=True)
class Machine:
    """A machine that ran part of a suite."""

    n_runs: int
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Provenance:
    """Everything that a reader needs to judge or repeat the runs."""

    suite_text: str
    fixed_settings: tuple[tuple[str, str], ...]
    """The settings that are the same in every cell."""
    varied_settings: tuple[str, ...]
    machines: tuple[Machine, ...]
    zoo_revision: int
    training_revision: int
    n_runs: int
    """Runs of this suite that the store holds."""
    n_tried_again: int
    first_finished_at: str
    last_finished_at: str
    registered_at: str


def provenance(
    registration: Registration, planned: Sequence[Run], runs: pd.DataFrame, machines: Mapping[str, Mapping[str, Any]]
) -> Provenance:
    """Gather it from a suite's registration, its plan, its run table and the machines of the store."""
    held = runs[runs["machine"] != ""]
    fixed, varied = _settings(planned)
    return Provenance(
        suite_text=registration.text,
        fixed_settings=fixed,
        varied_settings=varied,
        machines=_machines(Counter(held["machine"]), machines),
        zoo_revision=zoo.REVISION,
        training_revision=training.REVISION,
        n_runs=len(held),
        n_tried_again=int((held["attempts"] > 1).sum()),
        first_finished_at=held["finished_at"].min() if len(held) else "",
        last_finished_at=held["finished_at"].max() if len(held) else "",
        registered_at=registration.registered_at,
    )


def _settings(planned: Sequence[Run]) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The settings that all cells share, with their values, and the paths of the others."""
    values: dict[str, set[str]] = {}
    cells = {tuple(run.cell.levels.items()): run.cell for run in planned}
    everywhere = Counter[str]()
    for cell in cells.values():
        for path, value in cell.settings.flat().items():
            values.setdefault(path, set()).add(_as_text(value))
            everywhere[path] += 1
    is_fixed = {path: len(found) == 1 and everywhere[path] == len(cells) for path, found in values.items()}
    fixed = tuple((path, next(iter(found))) for path, found in values.items() if is_fixed[path])
    return fixed, tuple(path for path in values if not is_fixed[path])


def _machines(n_runs: Mapping[str, int], machines: Mapping[str, Mapping[str, Any]]) -> tuple[Machine, ...]:
    used = sorted(n_runs, key=lambda machine: (-n_runs[machine], machine))
    return tuple(Machine(n_runs[each], tuple(_flat(machines.get(each, {})))) for each in used)


def _flat(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Facts by dotted name, sorted, so that their order in the store does not matter."""
    found = []
    for name, value in sorted(facts.items()):
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", _as_text(value)))
    return found


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)
