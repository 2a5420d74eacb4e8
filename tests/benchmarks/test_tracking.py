"""Runs in MLflow and TensorBoard, read back with what those tools read themselves."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from studies import study_of

from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of
from benchmarks.report.writing import write_report
from benchmarks.results import FINAL, RunResult
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from benchmarks.tracking.config import TRACKERS, Destinations, track_suite
from benchmarks.tracking.records import records_of

# MLflow 3.17 with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")

SUITE = """
name = "tracked"
question = "Does the recipe matter?"
datasets = ["digits"]
seeds = 3
[model]
variant = "mlp_small"
[train]
epochs = 3
[factors]
"train.learning_rate" = [0.5, 1]
[factors."the recipe (ours)"]
plain = { "train.optimizer" = "sgd" }
adaptive = { "train.optimizer" = "adam", "model.width" = [8, 8] }
"""
DIGITS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")
MACHINE = {"ablation-zoo": "0.1.0", "python": "3.11.7"}

TRACK = """
import sys
from pathlib import Path
from benchmarks.plan.study import Study
from benchmarks.store import Store
from benchmarks.tracking.config import Destinations, track_suite
store = Store.open(Path(sys.argv[1]))
[tracked] = track_suite(Study.registered(store.registration("tracked"), store), Destinations((sys.argv[2],)))
print(tracked.written, tracked.unchanged, "tensorflow" in sys.modules)
"""
"""Tracks in a process of its own: (runs folder, tracker) -> runs written and unchanged, and if TensorFlow was there."""


def result_of(seed, level):
    """A run that is done; its best epoch is the second of three."""
    accuracy = 0.8 + 0.01 * seed + (0.05 if level == "adaptive" else 0)
    metrics = {"test_accuracy": accuracy, "test_nll": math.nan, "val_accuracy": 0.75, "train_loss": 0.4}
    history = {"train_loss": [0.9, 0.4, 0.3], "val_accuracy": [0.5, 0.75, 0.7]}
    return RunResult("done", metrics, history, 9034, 12.5)


OTHER_RESULTS = {
    0: RunResult("diverged", history={"train_loss": [0.9]}, parameters=9034, seconds=3.0, message="not finite"),
    1: RunResult("failed", message="x" * 9000, traceback="Traceback: line 1"),
    2: RunResult("timed_out", message="longer than 1 s", seconds=1.0),
}
"""Seed -> how the runs of the first cell ended."""


@pytest.fixture
def store(tmp_path):
    """A store with the suite: a cell whose runs have no metrics, two that are done, and one that nobody has begun."""
    store = Store.create_or_open(tmp_path / "runs")
    store.register("tracked", SUITE, [0, 1, 2], {"digits": DIGITS})
    for run in study_of(store, "tracked").runs[:9]:
        level = run.cell.levels["the recipe (ours)"]
        is_first = (run.cell.levels["train.learning_rate"], level) == ("0.5", "plain")
        store.record(run, OTHER_RESULTS[run.seed] if is_first else result_of(run.seed, level), MACHINE)
    yield store
    store.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """An MLflow database with its tables, which take seconds to make."""
    reason = "the extra `mlflow` is not installed"
    mlflow_tracker = pytest.importorskip("benchmarks.tracking.with_mlflow", reason=reason)
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    mlflow_tracker.MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def client(store, empty_database, monkeypatch):
    """MLflow's own client of the database in the runs folder."""
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = store.folder / "mlflow.db"
    shutil.copyfile(empty_database, path)
    return MlflowClient(f"sqlite:///{path}")


def track(store, tracker="mlflow", **place):
    """How many runs were written, and how many were there."""
    [tracked] = track_suite(study_of(store, "tracked"), Destinations((tracker,), **place))
    return tracked.written, tracked.unchanged


def runs_by_key(client):
    """What MLflow's search gives: key -> run, each key once; and all but the run with the report are ours."""
    experiment = client.get_experiment_by_name("tracked")
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    found = {run.data.tags["ablate.key"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def planned(store):
    return study_of(store, "tracked").runs


def place_of(run):
    return (*run.cell.levels.values(), run.seed)


def end(store, run, result):
    """Have a run that failed end otherwise."""
    store.reopen([run.key], ["failed"])
    store.record(run, result, MACHINE)


def test_mlflow_has_every_run(store, client):
    """An experiment holds a run for each stored one, with its name, status, times, settings and tags."""
    assert track(store) == (9, 0)
    experiment = client.get_experiment_by_name("tracked")
    assert experiment.tags["mlflow.note.content"] == "Does the recipe matter?"
    assert Path(experiment.artifact_location.removeprefix("file://")).is_relative_to(store.folder)
    found, stored = runs_by_key(client), store.runs(run.key for run in planned(store))
    assert set(found) == set(stored)
    statuses = {"done": "FINISHED", "diverged": "FINISHED", "failed": "FAILED", "timed_out": "KILLED"}
    for run in planned(store)[:9]:
        ours, theirs = stored[run.key], found[run.key]
        rate, recipe, seed = place_of(run)
        assert theirs.info.run_name == f"{rate}, {recipe}, digits, seed {seed}"
        assert theirs.info.status == statuses[ours.status]
        assert theirs.data.tags["ablate.status"] == ours.status
        assert theirs.data.tags["ablate.dataset_version"] == "1.0.0"
        assert theirs.data.tags["ablate.machine.ablation-zoo"] == "0.1.0"
        assert theirs.info.end_time - theirs.info.start_time == ours.seconds * 1000
        params = theirs.data.params
        assert {name: params[name] for name in ours.settings} == {
            name: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            for name, value in ours.settings.items()
        }
        assert (params["dataset"], params["seed"]) == ("digits", str(seed))
        assert float(params["train.learning_rate"]) == float(rate)
        assert params["the recipe _ours_"] == recipe


def test_mlflow_has_every_number(store, client):
    """Curves have an epoch a step, and what is not a finite number is named and not written."""
    track(store)
    found = runs_by_key(client)
    diverged, failed, _, done, *_ = planned(store)
    metrics = found[done.key].data.metrics
    expected = {"test_accuracy": 0.85, "outcome": 0.85, "final/val_accuracy": 0.75, "final/train_loss": 0.4}
    expected |= {"val_accuracy": 0.7, "train_loss": 0.3, "parameters": 9034, "seconds": 12.5}
    assert metrics == pytest.approx(expected)
    assert found[done.key].data.tags["ablate.undefined_metrics"] == "test_nll"
    history = client.get_metric_history(found[done.key].info.run_id, "val_accuracy")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.75), (3, 0.7)]
    # Ten classes: who learnt nothing is right in one of ten.
    assert found[diverged.key].data.metrics == {"outcome": 0.1, "train_loss": 0.9, "parameters": 9034, "seconds": 3.0}
    assert found[failed.key].data.metrics == {"seconds": 0.0}
    assert len(found[failed.key].data.tags["ablate.message"]) == 8000
    assert client.list_artifacts(found[failed.key].info.run_id)[0].path == "traceback.txt"


def test_mlflow_takes_names_and_texts_of_any_length(tmp_path, empty_database, monkeypatch):
    """A long question and run name are cut, and names that MLflow's letters make the same keep apart."""
    text = SUITE.replace('"Does the recipe matter?"', f'"{"why " * 6000}"')
    for letter, setting in zip("äöü", ("dropout", "l1", "l2"), strict=True):
        levels = f'"{"a" * 100}" = {{ "model.{setting}" = 0.0 }}\nb = {{ "model.{setting}" = 0.1 }}\n'
        text += f'[factors."{letter * 100}"]\n{levels}'
    long = Store.create_or_open(tmp_path / "long")
    long.register("tracked", text, [0], {"digits": DIGITS})
    (run, *_) = study_of(long, "tracked").runs
    long.record(run, result_of(0, "plain"), MACHINE)
    shutil.copyfile(empty_database, long.folder / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    track(long)
    from mlflow import MlflowClient

    there = MlflowClient(f"sqlite:///{long.folder / 'mlflow.db'}")
    experiment = there.get_experiment_by_name("tracked")
    assert len(experiment.tags["mlflow.note.content"]) == 20_000
    (found,) = there.search_runs([experiment.experiment_id])
    assert len(found.info.run_name) == 250
    assert {"_" * 100, f"{'_' * 100} 2", f"{'_' * 100} 3"} <= found.data.params.keys()
    long.close()


def test_mlflow_is_added_to(store, client):
    """Called again, what ended since is added, what was tried again is replaced, and all else stays as it is."""
    track(store)
    before = {key: run.info.run_id for key, run in runs_by_key(client).items()}
    assert track(store) == (0, 9)
    assert {key: run.info.run_id for key, run in runs_by_key(client).items()} == before
    (_, failed, *_), (*_, new) = planned(store), planned(store)
    end(store, failed, result_of(1, "plain"))
    store.record(new, result_of(2, "adaptive"), MACHINE)
    assert track(store) == (2, 8)
    after = runs_by_key(client)
    assert set(after) == {*before, new.key}
    assert (after[failed.key].info.status, after[failed.key].data.tags["ablate.attempts"]) == ("FINISHED", "2")
    assert "ablate.message" not in after[failed.key].data.tags
    unchanged = {key: run.info.run_id for key, run in after.items() if key not in (failed.key, new.key)}
    assert unchanged.items() <= before.items()


def test_mlflow_follows_the_names_of_a_suite(store, client):
    """A level that is called otherwise by now has its new name in the runs that are there."""
    track(store)
    before = {key: run.info.run_id for key, run in runs_by_key(client).items()}
    store.register("tracked", SUITE.replace("plain =", "simple ="), [0, 1, 2], {"digits": DIGITS})
    assert track(store) == (0, 9)
    after = runs_by_key(client)
    assert {key: run.info.run_id for key, run in after.items()} == before
    first = after[planned(store)[0].key]
    assert first.info.run_name == "0.5, simple, digits, seed 0"
    assert first.data.tags["ablate.cell"] == "0.5, simple, digits"


def test_mlflow_after_a_kill(store, client):
    """A process that is killed between a run's first and last word leaves one that is written anew."""
    killed = (
        "import os, signal\nfrom benchmarks.tracking import with_mlflow\n"
        "whole, calls = with_mlflow.MlflowClient.set_terminated, []\n"
        "def end(*given):\n    calls.append(given)\n"
        "    os.kill(os.getpid(), signal.SIGKILL) if len(calls) == 4 else whole(*given)\n"
        "with_mlflow.MlflowClient.set_terminated = end\n"
    )
    command = [sys.executable, "-c", killed + TRACK, str(store.folder), "mlflow"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [run.info.status for run in runs_by_key(client).values()].count("RUNNING") == 1
    assert track(store) == (6, 3)
    assert len(runs_by_key(client)) == 9
    assert all(run.info.status != "RUNNING" for run in runs_by_key(client).values())


def test_mlflow_has_one_writer_at_a_time(store, client):
    """Who finds another one writing from the same runs folder waits for its end."""
    lock = sqlite3.connect(store.folder / ".mlflow.lock", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(track, store)
        try:
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            assert client.get_experiment_by_name("tracked") is None
        finally:
            lock.close()
        assert waiting.result(timeout=60) == (9, 0)


def test_mlflow_has_the_report(store, client, tmp_path):
    """One more run holds the files of the report, and those of the report as it is by now."""
    track(store)
    assert "report" not in runs_by_key(client)
    folder = store.folder / "tracked"
    for text in (SUITE, SUITE.replace("recipe matter", "report change")):
        store.register("tracked", text, [0, 1, 2], {"digits": DIGITS})
        write_report(study_of(store, "tracked"), folder)
        assert track(store) == (0, 9)
        report = runs_by_key(client)["report"]
        assert report.info.run_name == "report of tracked"
        assert json.loads(report.data.tags["ablate.runs"])["missing"] == 3
        names = {artifact.path for artifact in client.list_artifacts(report.info.run_id)}
        assert names == {path.name for path in folder.iterdir()}
        assert {"report.html", "runs.csv"} <= names
        for name in names:
            copy = client.download_artifacts(report.info.run_id, name, str(tmp_path))
            assert Path(copy).read_bytes() == (folder / name).read_bytes()
    track(store)
    assert runs_by_key(client)["report"].info.run_id == report.info.run_id


def test_mlflow_where_the_variable_says(store, client, tmp_path, monkeypatch):
    """MLflow's own variable says where it tracks, unless a URI is given; a server that is not there is one error."""
    from benchmarks.errors import UserError

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:1: MLflow cannot be written: .*127\.0\.0\.1"):
        track(store)
    other = tmp_path / "other.db"
    shutil.copyfile(store.folder / "mlflow.db", other)
    monkeypatch.chdir(tmp_path)
    assert track(store, uri=f"sqlite:///{other}") == (9, 0)
    assert len(runs_by_key(type(client)(f"sqlite:///{other}"))) == 9
    assert client.get_experiment_by_name("tracked") is None
    # The store of a server can be tracked from a machine that has no runs folder yet.
    store.folder = tmp_path / "fresh"
    assert track(store, uri=f"sqlite:///{other}") == (0, 9)


@pytest.mark.usefixtures("client")
def test_mlflow_is_told_to_report_nothing(store):
    """No use of MLflow through this package is reported to its makers."""
    from mlflow.telemetry.utils import is_telemetry_disabled

    track(store)
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert is_telemetry_disabled()


def folders_of(place):
    """Folder of a run -> its one file of events."""
    return {path.parent.name: path for path in place.glob("*/*") if "tfevents" in path.name}


def test_tensorboard_has_every_curve(store):
    """TensorBoard's reader finds each number of each run at its epoch, in single precision."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert track(store, "tensorboard") == (9, 0)
    place, stored = store.folder / "tracked" / "tensorboard", store.runs(run.key for run in planned(store))
    names = folders_of(place)
    assert len(names) == 9
    for run in planned(store)[:9]:
        rate, recipe, seed = place_of(run)
        name = f"{rate}_{recipe}_digits_seed{seed}_{run.key[:12]}"
        events, ours = EventAccumulator(str(place / name)).Reload(), stored[run.key]
        own = {tag: [(each.step, each.tensor_proto.float_val[0]) for each in events.Tensors(tag)]
               for tag in events.Tags()["tensors"] if not tag.startswith("_hparams_")}  # fmt: skip
        for metric, curve in ours.history.items():
            assert own.pop(metric) == [(epoch, np.float32(value)) for epoch, value in enumerate(curve, start=1)]
        if ours.status == "done":
            assert own["final/val_accuracy"] == [(3, 0.75)]
            assert own["test_accuracy"] == own["outcome"] == [(3, np.float32(ours.metrics["test_accuracy"]))]
        expected = {"done": {"outcome", "test_accuracy", "final/val_accuracy", "final/train_loss", "parameters"},
                    "diverged": {"outcome", "parameters"}}.get(ours.status, set())  # fmt: skip
        assert set(own) == expected | {"seconds"}


def hparams_of(place):
    """What the HParams tab asks for: the experiment, and its session groups with means over their sessions."""
    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import api_pb2, backend_context, get_experiment, list_session_groups

    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(place)).Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(place))
    backend = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    asked = api_pb2.ListSessionGroupsRequest(
        slice_size=1000,
        aggregation_type=api_pb2.AGGREGATION_AVG,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING],
    )
    given = (context.RequestContext(), backend, "")
    experiment = get_experiment.Handler(*given, api_pb2.GetExperimentRequest()).run()
    return experiment, list_session_groups.Handler(*given, asked).run().session_groups


def test_tensorboard_shows_the_ablation_as_a_table(store):
    """The HParams tab has a column a factor and a line a cell, with the mean over its seeds."""
    from tensorboard.plugins.hparams import api_pb2

    track(store, "tensorboard")
    experiment, groups = hparams_of(store.folder / "tracked" / "tensorboard")
    columns = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert columns == {
        "dataset": ["digits"],
        "train.learning_rate": [0.5, 1.0],
        "the recipe (ours)": ["adaptive", "plain"],
    }
    metrics = [info.name.tag for info in experiment.metric_infos]
    assert metrics[:2] == ["outcome", "test_accuracy"]
    assert not {"test_nll", "train_loss"} & set(metrics)
    rows = {}
    for group in groups:
        values = {each.name.tag: each.value for each in group.metric_values}
        cell = (group.hparams["train.learning_rate"].number_value, group.hparams["the recipe (ours)"].string_value)
        rows[cell] = values.get("outcome"), [session.status for session in group.sessions]
    good, bad = api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE
    assert {cell: statuses for cell, (_, statuses) in rows.items()} == {
        (0.5, "plain"): [good, bad, bad],
        (0.5, "adaptive"): [good] * 3,
        (1.0, "plain"): [good] * 3,
    }
    # 0.1 is the level without learning of the one run that diverged; those that failed have no outcome.
    expected = {(0.5, "plain"): 0.1, (0.5, "adaptive"): 0.86, (1.0, "plain"): 0.81}
    assert {cell: outcome for cell, (outcome, _) in rows.items()} == pytest.approx(expected)


SEARCH = """
[search]
strategy = "grid"
trials = 2
objective = "val_loss"
untuned = true
space = { "train.weight_decay" = [0.1, 0.2] }
"""


def test_untuned_runs_are_tracked_too(store, client):
    """Of a suite that trains each cell with and without what was found, both sorts are told apart."""
    store.register("tracked", SUITE + SEARCH, [0, 1, 2], {"digits": DIGITS})
    suite = parse_suite(SUITE + SEARCH, "suite.toml")
    for group in groups_of(suite, expand_cells(suite), {"digits": "1.0.0"}):
        store.record_search(group.key, [], {"train.weight_decay": 0.1})
    study = study_of(store, "tracked")
    tuned, untuned = study.runs, study.all_runs[len(study.runs) :]
    assert not store.statuses(run.key for run in tuned)
    for run in tuned:
        store.record(run, result_of(run.seed, "plain"), MACHINE)
    assert track(store) == track(store, "tensorboard") == (12 + 9, 0)
    found = runs_by_key(client)
    for run in (*tuned, *untuned[:9]):
        sort = "tuned" if run in tuned else "untuned"
        assert found[run.key].data.params["settings"] == sort
        assert found[run.key].data.tags["ablate.cell"] == f"{', '.join(run.cell.levels.values())}, {sort}, digits"
    experiment, groups = hparams_of(store.folder / "tracked" / "tensorboard")
    columns = {info.name: list(info.domain_discrete) for info in experiment.hparam_infos}
    assert columns["settings"] == ["tuned", "untuned"]
    assert len(groups) == 4 + 3


def test_tensorboard_stays_the_same(store):
    """Another process finds every file as it would write it, touches none, and needs no TensorFlow."""
    # So many columns that no two processes have them in one order by chance.
    head = SUITE.partition("[factors]")[0].replace('name = "tracked"', 'name = "tracked"\ndesign = "one_factor"')
    levels = {"model.dropout": [0.0, 0.1], "model.activation": ["relu", "tanh"], "train.epochs": [3, 4]}
    levels |= {"train.batch_size": [32, 64], "train.learning_rate": [0.1, 0.2], "train.label_smoothing": [0.0, 0.1]}
    levels |= {"model.normalization": ["none", "batch"], "train.weight_decay": [0.0, 0.1]}
    factors = "".join(f'"{name}" = {json.dumps(each)}\n' for name, each in levels.items())
    store.register("tracked", f"{head}[factors]\n{factors}", [0], {"digits": DIGITS})
    for run in planned(store):
        store.record(run, result_of(0, "plain"), MACHINE)
    assert track(store, "tensorboard") == (9, 0)

    def contents():
        files = (store.folder / "tracked").rglob("*.ablate")
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = contents()
    done = subprocess.run(
        [sys.executable, "-c", TRACK, str(store.folder), "tensorboard"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "9", "False"]
    assert len(before) == 10
    assert contents() == before


def test_tensorboard_has_what_is_stored_by_now(store, tmp_path):
    """A run that is no longer planned goes, and one that was tried again has one file; other people's files stay."""
    place = tmp_path / "logs"
    track(store, "tensorboard", folder=place)
    foreign = place / "tracked" / "notes" / "events.out.tfevents.1.host"
    foreign.parent.mkdir()
    foreign.write_bytes(b"")
    before = set(folders_of(place / "tracked"))
    end(store, planned(store)[1], result_of(1, "plain"))
    store.register("tracked", SUITE, [0, 1], {"digits": DIGITS})
    assert track(store, "tensorboard", folder=place) == (1, 5)
    after = set(folders_of(place / "tracked"))
    assert after == {name for name in before if "_seed2_" not in name} | {"notes"}
    assert len(list((place / "tracked").rglob("*.ablate"))) == 7
    assert not list(place.rglob(".unfinished*"))


def test_tensorboard_leaves_out_what_it_cannot_hold(store):
    """A number beyond single precision is left out, and its neighbours are there."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = planned(store)[-1]
    result = replace(result_of(2, "adaptive"), metrics={"test_accuracy": 0.5, "test_loss": 1e39})
    store.record(run, replace(result, history={"train_loss": [2e300, 1.5]}), MACHINE)
    track(store, "tensorboard")
    [folder] = (store.folder / "tracked" / "tensorboard").glob(f"*{run.key[:12]}")
    events = EventAccumulator(str(folder)).Reload()
    assert [(each.step, each.tensor_proto.float_val[0]) for each in events.Tensors("train_loss")] == [(2, 1.5)]
    assert "test_loss" not in events.Tags()["tensors"]


@pytest.mark.usefixtures("empty_database")
def test_every_ending_is_told(store):
    """Whatever a run's status, its record is there, and MLflow has a word for it."""
    from benchmarks.tracking.with_mlflow import MLFLOW_STATUSES

    assert set(MLFLOW_STATUSES) == set(FINAL)
    assert {record.run.status for record in records_of(study_of(store, "tracked"))} == {
        "done", "diverged", "failed", "timed_out"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["track", "tracked", "--to", "mflow"], "--to: no such tracker\n  given:   mflow\n"),
        (["track", "trackd", "--to", "tensorboard"], "nearest: tracked"),
        (
            ["track", "tracked", "--to", "tensorboard", "--to-uri", "sqlite:///x.db"],
            "a tracking URI is for mlflow alone",
        ),
        (["track", "tracked", "--to", "mlflow", "--folder", "x"], "a folder is for tensorboard alone"),
        (["run", "quickstart", "--track", "tensorbord"], "nearest: tensorboard"),
        (["run", "quickstart", "--track", "tensorboard", "--shard", "1/2"], "--track: not beside --shard"),
    ],
)
def test_a_wrong_call(arguments, told, store, ablate, monkeypatch):
    """What cannot be tracked is told before anything is written or trained."""
    monkeypatch.setattr("benchmarks.execution.running.begun", lambda *_, **__: pytest.fail("it trained"))
    code, _, err = ablate(*arguments)
    assert code == 2
    assert told in err
    assert {path.name for path in store.folder.iterdir()} <= {"store.sqlite", "store.sqlite-wal", "store.sqlite-shm"}


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_tracker_that_is_not_installed(tracker, ablate, monkeypatch):
    """Which packages are missing is told, and the command that installs them."""
    monkeypatch.setattr("benchmarks.errors.find_spec", lambda _: None)
    code, _, err = ablate("track", "tracked", "--to", tracker)
    assert code == 2
    assert f"pip install 'ablation-zoo[{tracker}]'" in err


@pytest.mark.usefixtures("store")
def test_the_command(ablate):
    """`ablate track` says how many runs it wrote, and the command that shows them."""
    code, out, _ = ablate("track", "tracked", "--to", "tensorboard")
    assert code == 0
    assert out.splitlines() == [
        "tensorboard: 9 runs written, 0 there already",
        f"  viewer: tensorboard --logdir {Path('runs') / 'tracked' / 'tensorboard'}",
    ]


@pytest.mark.usefixtures("engine", "undrawn")
def test_a_suite_that_is_trained(ablate, tmp_path, empty_database, monkeypatch, digits_runs):
    """`ablate run --track` trains, reports, and writes all runs to both trackers, under the names that training has."""
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(digits_runs, tmp_path / "runs")
    shutil.copyfile(empty_database, tmp_path / "runs" / "mlflow.db")
    suite = tmp_path / "tracked.toml"
    suite.write_text(SUITE.replace("epochs = 3", "epochs = 3\nbatch_size = 256\n[data]\nvalidation_fraction = 0.1"))
    code, out, _ = ablate(
        "run", suite, "--seeds", 1, "--workers", 1, "--track", "mlflow", "--track", "tensorboard", "--json"
    )
    assert code in (0, 1)  # a learning rate of 1 may diverge
    told = json.loads(out)
    assert [(each["tracker"], each["written"]) for each in told["tracked"]] == [("mlflow", 4), ("tensorboard", 4)]
    assert Path(told["report"]).is_file()
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    found, stored = runs_by_key(client), Store.open(tmp_path / "runs")
    assert len(found) == 5
    for key, run in stored.runs(set(found) - {"report"}).items():
        assert set(run.history) == {"train_loss", "val_accuracy", "val_loss"}
        for name, curve in run.history.items():
            points = client.get_metric_history(found[key].info.run_id, name)
            assert [(point.step, point.value) for point in points] == list(enumerate(curve, start=1))
    experiment, groups = hparams_of(tmp_path / "runs" / "tracked" / "tensorboard")
    assert len(groups) == 4
    assert "test_accuracy" in {info.name.tag for info in experiment.metric_infos}
