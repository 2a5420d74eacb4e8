"""Times a search of 30 trials on digits against Keras Tuner's own loop on the same trials, side by side.

    python -m tools.search_speed

Each side has a process of its own, in turn, and is timed from the first trial to the last, with everything imported and
the data in memory. Keras Tuner's side is `keras_tuner.RandomSearch` with `fit`, as its users have it; it is handed the
points that our side drew, so that both train the same.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cli.progress import ProgressDisplay
from benchmarks.cli.rendering import make_console, say
from benchmarks.data.catalog import find_dataset
from benchmarks.data.dataset import open_prepared
from benchmarks.execution.running import Options, begun, search_missing
from benchmarks.execution.workers import Workers
from benchmarks.plan.plan import Plan, make_plan
from benchmarks.store import Store
from benchmarks.tensorflow_start import import_tensorflow

TRIALS = 30

SUITE = f"""
name = "speed_of_search"
datasets = ["digits"]
seeds = 1
model = {{ variant = "mlp_small", normalization = "batch", dropout = 0.1 }}
train = {{ epochs = 30, batch_size = 64 }}
data = {{ standardize = "per_feature", validation_fraction = 0.1 }}
[search]
strategy = "random"
trials = {TRIALS}
per = "suite"
objective = "val_accuracy"
[search.space]
"train.learning_rate" = {{ log = [1e-4, 1e-1] }}
"train.optimizer" = ["momentum", "adam"]
"train.momentum" = {{ choices = [0.8, 0.9, 0.95], when = {{ "train.optimizer" = "momentum" }} }}
[factors]
"data.standardize" = ["per_feature", "none"]
[[exclude]]
"data.standardize" = "none"
"""
"""One cell; the second level is only there because a suite varies something."""


def search_ours(folder: Path) -> dict[str, Any]:
    """Search with the runner; what it took, the points it tried, and the best score."""
    plan = _plan(folder)
    store = Store.create_or_open(folder / "runs")
    with begun(plan, store, Options()) as session:
        import_tensorflow()
        import keras_tuner  # noqa: F401  # what chooses the points, imported on both sides before the clock starts

        assert isinstance(session.workers, Workers)  # as without a cluster
        session.workers.wait_until_ready()
        start = time.perf_counter()
        found = search_missing(session, lambda number: ProgressDisplay(number, make_console(to_error=True)))
        seconds = time.perf_counter() - start
    (search,) = found.searches.values()
    best = max(trial["score"] for trial in search.trials)
    return {"seconds": seconds, "points": [trial["values"] for trial in search.trials], "best": best}


def search_with_keras_tuner(folder: Path, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Train the same points in Keras Tuner's own loop; what it took, and the best score."""
    import_tensorflow()
    import keras
    import keras_tuner

    import zoo
    from benchmarks.speed.peer import EVALUATION_BATCH, standardized_parts

    plan = _plan(folder)
    (group,) = plan.groups
    reference = find_dataset("digits", folder / "none", folder / "runs")
    dataset = open_prepared(reference, folder / "runs")
    assert dataset is not None  # our side has prepared it
    (run,) = group.runs_at({})
    parts, settings = standardized_parts(run, dataset), run.cell.settings

    def build(hyperparameters: Any) -> Any:
        values = group.space.point_from(hyperparameters.values) if group.space else {}
        model = zoo.build_model(settings.model, dataset.input_shape, dataset.num_classes, run.seed)
        momentum = {"momentum": values["train.momentum"]} if "train.momentum" in values else {}
        kind = keras.optimizers.SGD if momentum else keras.optimizers.Adam
        optimizer = kind(values["train.learning_rate"], **momentum)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model

    assert group.space is not None
    waiting = [group.space.values_from(point) for point in points]

    def suggest(_trial: str) -> dict[str, Any]:
        if not waiting:
            return {"status": "STOPPED", "values": None}
        return {"status": "RUNNING", "values": waiting.pop(0)}

    with tempfile.TemporaryDirectory() as directory:
        tuner = keras_tuner.RandomSearch(
            build,
            objective=keras_tuner.Objective("val_accuracy", "max"),
            max_trials=len(points),
            hyperparameters=group.space.to_keras_tuner(),
            allow_new_entries=False,
            tune_new_entries=False,
            directory=directory,
        )
        tuner.oracle.populate_space = suggest
        start = time.perf_counter()
        tuner.search(
            *parts["train"],
            batch_size=settings.train.batch_size,
            epochs=settings.train.epochs,
            validation_data=parts["validation"],
            validation_batch_size=EVALUATION_BATCH,
            verbose=0,
        )
        seconds = time.perf_counter() - start
        (best,) = tuner.oracle.get_best_trials(1)
    return {"seconds": seconds, "best": best.score}


def compare(folder: Path) -> str:
    """Run both sides in turn; what they took, for people."""
    ours = _in_a_process("ours", folder, None)
    make_console(to_error=True).print("the same trials in Keras Tuner's own loop, which takes minutes ...")
    theirs = _in_a_process("keras_tuner", folder, ours["points"])
    ratio = ours["seconds"] / theirs["seconds"]
    return "\n".join(
        [
            f"{TRIALS} trials on digits: perceptrons 64-64 with batch normalization and dropout, 30 epochs",
            f"  this search     {ours['seconds']:.1f} s, best validation accuracy {ours['best']:.2%}",
            f"  Keras Tuner     {theirs['seconds']:.1f} s, best validation accuracy {theirs['best']:.2%}",
            f"  ratio           {ratio:.3f}: Keras Tuner takes {1 / ratio:.1f} times as long",
        ]
    )


def _plan(folder: Path) -> Plan:
    path = folder / "speed_of_search.toml"
    path.write_text(SUITE, encoding="utf-8")
    return make_plan(path, folder / "runs", folder / "none")


def _in_a_process(side: str, folder: Path, points: Any) -> dict[str, Any]:
    command = [sys.executable, "-m", "tools.search_speed", side, str(folder)]
    done = subprocess.run(command, input=json.dumps(points), stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main(arguments: Sequence[str]) -> None:
    """Compare both sides; with the name of a side and a folder, time that one and print what it took, as JSON."""
    if not arguments:
        with tempfile.TemporaryDirectory() as directory:
            say(compare(Path(directory)))
        return
    side, folder = arguments[0], Path(arguments[1])
    points = json.load(sys.stdin)
    print(json.dumps(search_ours(folder) if side == "ours" else search_with_keras_tuner(folder, points)))


if __name__ == "__main__":
    main(sys.argv[1:])
