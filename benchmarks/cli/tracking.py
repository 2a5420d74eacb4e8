"""`ablate track`: hands stored runs to tools which show runs, and what `ablate run --track` has of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.arguments import RUNS_DIR, AsJson, RegisteredSuite, RunsDir, StoreURL
from benchmarks.cli.finding import registered_study
from benchmarks.cli.rendering import make_console, print_json, say
from benchmarks.errors import UserError

if TYPE_CHECKING:
    from benchmarks.plan.shards import Shard
    from benchmarks.plan.study import Study
    from benchmarks.tracking.config import Destinations
    from benchmarks.tracking.records import Tracked

Track = Annotated[
    list[str] | None,
    typer.Option(metavar="TRACKER", help="Write the runs to mlflow or tensorboard too, as `ablate track` does."),
]


def track(
    suite: RegisteredSuite,
    to: Annotated[list[str], typer.Option(metavar="TRACKER", help="mlflow or tensorboard; may be given twice.")],
    to_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Where MLflow tracks; by default MLFLOW_TRACKING_URI, and without that a database in the runs folder.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where TensorBoard's folder SUITE goes; by default beside the report."),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    as_json: AsJson = False,
) -> None:
    """Write the runs of a suite to MLflow or TensorBoard, which show them beside other experiments.

    Called again, it adds what has ended since, and leaves alone what is there. Needs the extra of the tracker's name.
    """
    from benchmarks.store import Store
    from benchmarks.tracking.config import Destinations

    destinations = Destinations.parse(to, to_uri, folder, option="--to")
    store = Store.open(runs_dir, store_url)
    study = registered_study(suite, store)
    tracked = tracked_suite(study, destinations)
    if as_json:
        print_json({"suite": study.name, "tracked": [vars(each) for each in tracked]})
    else:
        say("\n".join(each.as_text() for each in tracked))


def destinations_of(trackers: list[str] | None, part: Shard | None) -> Destinations:
    """What `ablate run --track` was given, checked before anything is trained.

    Raises:
        SettingError, UserError: there is no such tracker, it is not installed, or one part of a suite is run.
    """
    if trackers and part:
        raise UserError(
            f"--track: not beside --shard, as with the report\n  given:   part {part}\n"
            f"  allowed: ablate track SUITE --to {trackers[0]}, once all parts are in one store"
        )
    from benchmarks.tracking.config import Destinations

    return Destinations.parse(trackers or (), option="--track")


def tracked_suite(study: Study, destinations: Destinations) -> list[Tracked]:
    """Write the runs of a study to its trackers.

    Raises:
        UserError: a tracker cannot be written.
    """
    if not destinations.trackers:
        return []
    from benchmarks.tracking.config import track_suite

    with make_console(to_error=True).status(
        f"writing the runs of {study.name} to {' and '.join(destinations.trackers)}"
    ):
        return track_suite(study, destinations)
