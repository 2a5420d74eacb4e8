"""Ray clusters of several nodes on this machine: what a node trains is what a worker process trains, whatever dies."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from executing import with_tensorflow

from benchmarks.data.catalog import DatasetReference, find_dataset
from benchmarks.errors import DatasetError
from benchmarks.execution.executors import RayCluster
from benchmarks.execution.worker import WorkerOptions
from benchmarks.execution.workers import Workers, resources
from benchmarks.files import weights_file
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.store import Store
from benchmarks.suite.reading import parse_suite
from benchmarks.training.checkpoints import Checkpoints

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed"),
]

LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

# The clusters that are made here listen on the loopback address alone; Ray reads this when it is imported.
os.environ.setdefault(LOOPBACK, "0")

SUITE = """
name = "tiny"
datasets = ["digits"]
seeds = 4
model = {{ variant = "mlp_small", width = 8, dropout = 0.1 }}
train = {{ epochs = {epochs} }}
[factors]
"model.activation" = ["relu", "tanh"]
"model.initializer" = ["he_normal", "lecun_normal"]
"""

LONG = """
name = "long"
datasets = ["digits"]
seeds = 1
model = { variant = "mlp_small", width = 8 }
train = { epochs = 1_000_000 }
[factors]
"model.activation" = ["relu", "tanh"]
"""

GIB = 2**30


def runs_of(epochs):
    suite = parse_suite(SUITE.format(epochs=epochs), "tiny.toml")
    return expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})


def long_runs():
    return expand_runs(expand_cells(parse_suite(LONG, "long.toml")), [0], {"digits": "1.0.0"})


def outcomes(pairs):
    return {run.key: (result.status, result.metrics, result.history) for run, result in pairs}


def references(runs_dir):
    return {"digits": find_dataset("digits", runs_dir / "none", runs_dir)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, engine):  # noqa: ARG001 - of whose workers it is
    """What a worker process of this machine, with one thread, makes of the runs."""
    folder = tmp_path_factory.mktemp("local")
    with Workers(resources(4, 4, workers=1, threads=1), WorkerOptions(references(folder), folder)) as workers:
        return outcomes(workers.train(runs_of(60), workers.open_datasets()))


@pytest.fixture(scope="module")
def node_folder():
    """Where nodes keep what is their own; Ray's sockets in it need a short name."""
    with (
        tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in ("TMPDIR", "RAY_TMPDIR"):
            patch.setenv(name, folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray's workers have niceness 15: beside other work on the machine they would hardly get to their imports.
        patch.setenv("RAY_worker_niceness", "0")
        yield Path(folder)


@pytest.fixture(scope="module")
def cluster(node_folder):
    """A cluster with a head that trains nothing and two nodes with one CPU each, in a folder of its own."""
    del node_folder
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            add_node(made)
        yield made
    finally:
        made.shutdown()


def add_node(cluster):
    cluster.add_node(num_cpus=1, memory=4 * GIB)


def started(cluster, runs_dir, workers=None, **options):
    from benchmarks.execution.ray_workers import RayWorkers

    given = WorkerOptions(references(runs_dir), runs_dir, **options)
    return RayWorkers(RayCluster(cluster.address), given, 4, workers)


def actor_processes():
    """The processes of this machine's Ray in which an actor of ours is."""
    return [each for each in psutil.process_iter() if name_of(each).startswith("ray::NodeWorker")]


def name_of(process):
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def is_tanh(run):
    return run.cell.settings.model.activation == "tanh"


@pytest.mark.usefixtures("engine")
def test_node_that_is_lost(cluster, tmp_path, undisturbed):
    """A node that goes in mid-training costs nothing but time: each run comes once, equal to a worker process's."""
    results, told = [], []
    runs_dir = tmp_path / "runs"
    with started(cluster, runs_dir, checkpoints=Checkpoints(tmp_path / "checkpoints", 0.0)) as workers:
        datasets = workers.open_datasets()
        workers.wait_until_ready(2)
        trained = workers.train(runs_of(60), datasets, told.append)
        results.append(next(trained))
        cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False)
        results += trained
        add_node(cluster)
        assert {workers.machine_of(run)["executor"] for run, _ in results} == {"ray"}
    assert len(results) == len(undisturbed) == 16
    assert outcomes(results) == undisturbed
    assert all(0 <= share <= 16 for share in told)
    assert not list((tmp_path / "checkpoints").glob("*.checkpoint"))
    assert not list(runs_dir.glob(".ray-*"))
    assert not actor_processes()


@with_tensorflow
@pytest.mark.night
def test_nodes_that_do_not_see_the_folder(cluster, node_folder, tmp_path, undisturbed, monkeypatch):
    """They decode on their own and hand weights back; one worker that dies for ever fails its runs, and no others."""
    from benchmarks.execution.ray_node import Sign
    from benchmarks.execution.ray_workers import RayWorkers

    hand_out = RayWorkers._hand_out

    def deadly(self, worker, *rest):
        hand_out(self, worker, *rest)
        if worker.attempt and any(is_tanh(run) for run in worker.attempt.stack.values()):
            self._ray.kill(worker.actor)

    monkeypatch.setattr(RayWorkers, "_hand_out", deadly)
    monkeypatch.setattr(RayWorkers, "_written_sign", lambda *_: Sign(tmp_path / "elsewhere", "nothing"))
    runs_dir = tmp_path / "runs"
    runs = [run for run in runs_of(60) if run.seed == 0]
    with started(cluster, runs_dir, workers=1, keep_weights=True) as workers:
        results = list(workers.train(runs, workers.open_datasets()))
    assert len(results) == len(runs)
    done = {run.key for run, result in results if result.status == "done"}
    assert done == {run.key for run in runs if not is_tanh(run)}
    assert {key: value for key, value in outcomes(results).items() if key in done} == {
        key: undisturbed[key] for key in done
    }
    failed = [result for run, result in results if run.key not in done]
    assert {result.status for result in failed} == {"failed"}
    assert all("tried 3 times: its worker or its node was lost" in result.message for result in failed)
    assert {path.stem for path in (runs_dir / "weights").iterdir()} == done
    assert all(weights_file(runs_dir, key).stat().st_size > 1000 for key in done)
    assert not (runs_dir / ".decoded").exists()
    assert list(node_folder.glob("ablation-zoo-*/.decoded/digits-*/dataset.json"))


@pytest.mark.usefixtures("engine")
def test_data_that_a_node_does_not_have(cluster, tmp_path, monkeypatch):
    """Data that are prepared where the runner is and not where the nodes are end it, with the node and the remedy."""
    from benchmarks.execution import ray_workers

    gone = DatasetReference("digits", "1.0.0", "prepared", tmp_path / "gone")
    monkeypatch.setattr(ray_workers, "_absolute", lambda _: gone)
    with started(cluster, tmp_path / "runs", workers=1) as workers, pytest.raises(DatasetError) as caught:
        workers.open_datasets()
    assert "not on node 127.0.0.1" in str(caught.value)
    assert "--data-dir" in str(caught.value)


def test_run_over_its_time(cluster, tmp_path, engine):
    """A run that takes longer than it may is ended, with what it was doing; nothing of it goes on."""
    limit = {"numpy": 3.0, "tensorflow": 15.0}[engine]  # its program is compiled by then
    with started(cluster, tmp_path, workers=1, time_limit=limit) as workers:
        ((_, result),) = workers.train(long_runs()[:1], workers.open_datasets())
        assert result.status == "timed_out"
        assert f"the time limit is {limit:g} s a run" in result.message
        assert "in train_stack" in result.traceback
        end = time.monotonic() + 30
        while actor_processes() and time.monotonic() < end:
            time.sleep(0.1)
        assert not actor_processes()


@pytest.fixture
def begin():
    """Give a function that calls `ablate run` for the long suite in a folder, and waits until it is training."""
    with contextlib.ExitStack() as ends:

        def call(folder, *options):
            (folder / "long.toml").write_text(LONG)
            program = [sys.executable, "-c", "from benchmarks.cli import main; main()", "run", "long.toml"]
            program += ["--executor", "ray", "--checkpoint-every", "0", "--workers", "1", "--json"]
            # Without an address it is the command's own doing where Ray listens.
            left_out = () if "--address" in options else (LOOPBACK,)
            process = subprocess.Popen(
                [*program, *options],
                cwd=folder,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                env={name: value for name, value in os.environ.items() if name not in left_out},
            )
            ends.enter_context(process)
            ends.callback(process.kill)
            end = time.monotonic() + 90
            while not list(folder.glob("runs/.checkpoints/*.checkpoint")):
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < end, "the training did not begin"
                time.sleep(0.1)
            return process

        yield call


def ended(process, number, code):
    """Send a signal; the command ends within ten seconds with this code, and says what is kept."""
    began = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert process.returncode == code
    assert "interrupted" in said
    return said


def test_cluster_of_this_machine_alone(begin, tmp_path):
    """Without an address all listens on the loopback address, and on Ctrl-C nothing is left but the checkpoint."""
    process = begin(tmp_path)
    started_here = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert any(name_of(each).startswith("ray::NodeWorker") for each in started_here)
    listening = [
        connection.laddr.ip
        for each in started_here
        for connection in each.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    ]
    assert len(listening) >= 4  # store of names, node, object manager, worker
    assert {address.removeprefix("::ffff:") for address in listening} <= {"127.0.0.1", "::1"}
    ended(process, signal.SIGINT, 130)
    _, alive = psutil.wait_procs(started_here, timeout=5)
    assert not alive
    assert len(list(tmp_path.glob("runs/.checkpoints/*.checkpoint"))) == 1
    store = Store.open(tmp_path / "runs")
    try:
        assert store.statuses([run.key for run in long_runs()]) == {}
    finally:
        store.close()


@pytest.mark.night
def test_driver_that_is_told_to_end_and_one_that_is_killed(cluster, begin, tmp_path):
    """On a cluster that goes on, SIGTERM and SIGKILL to the driver leave no worker of its."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        folder = tmp_path / number.name
        folder.mkdir()
        process = begin(folder, "--address", cluster.address)
        assert len(actor_processes()) == 1
        if number == signal.SIGTERM:
            ended(process, number, 143)
        else:
            process.kill()
            process.communicate()
        end = time.monotonic() + 10
        while actor_processes() and time.monotonic() < end:
            time.sleep(0.1)
        assert not actor_processes()
