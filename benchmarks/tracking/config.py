"""Destinations: where the runs of a suite are to be tracked, checked before anything is trained."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import UserError, refuse_missing
from benchmarks.plan.study import Study
from benchmarks.tracking.records import Tracked
from zoo.settings import SettingError, unknown


@dataclass(frozen=True)
class Destinations:
    """Which trackers are written, and where."""

    trackers: tuple[str, ...]
    """Names in `TRACKERS`, each once."""
    uri: str | None = None
    """Tracking URI for MLflow; by default a database in the runs folder."""
    folder: Path | None = None
    """Where TensorBoard's folder for the suite goes; by default the folder of the report."""

    @classmethod
    def parse(
        cls, trackers: Iterable[str], uri: str | None = None, folder: Path | None = None, *, option: str
    ) -> Destinations:
        """Check what was given on the command line, where `option` names the trackers.

        Raises:
            SettingError: there is no such tracker.
            UserError: a tracker is not installed, or a place is given that none of them uses.
        """
        names = tuple(dict.fromkeys(trackers))
        wrong = [unknown(option, "tracker", name, TRACKERS) for name in names if name not in TRACKERS]
        if wrong:
            raise SettingError(wrong)
        for name in names:
            refuse_missing(f"{option} {name}", TRACKERS[name], extra=name)
        for place, what, user in ((uri, "a tracking URI", "mlflow"), (folder, "a folder", "tensorboard")):
            if place is not None and user not in names:
                raise UserError(f"{option}: {what} is for {user} alone\n  given:   {place}\n  allowed: {option} {user}")
        return cls(names, uri, folder)


TRACKERS: Mapping[str, tuple[str, ...]] = {"mlflow": ("mlflow", "alembic"), "tensorboard": ("tensorboard",)}
"""Tools that show runs, each by the module `with_NAME` -> what has to be installed."""


def track_suite(study: Study, destinations: Destinations) -> list[Tracked]:
    """Write the stored runs of a study to every tracker; what is there already stays as it is.

    Raises:
        UserError: a tracker cannot be written.
    """
    modules = (importlib.import_module(f"benchmarks.tracking.with_{name}") for name in destinations.trackers)
    return [module.track(study, destinations) for module in modules]
