"""Ray without a cluster: its options, how many workers fit, what is sent, and what it costs those who do without."""

import importlib.util
import math
import pickle
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmarks
from benchmarks.errors import DatasetError, UserError
from benchmarks.execution.executors import RayCluster, cluster_of
from benchmarks.execution.ray_cluster import no_room, room
from benchmarks.plan.stacks import check_runs
from benchmarks.training.parts import stack_size

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")

GIB = 2**30


def node(cpus=1.0, gpus=0.0, gib=16.0, *, alive=True):
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus, "memory": gib * GIB}}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"executor": "rey"}, ["--executor", "rey", "nearest: ray"]),
        ({"executor": "local", "address": "auto"}, ["--address", "--executor ray"]),
        ({"executor": "local", "gpus": 0.0}, ["--gpus", "--executor ray"]),
        ({"executor": "local", "task_gib": 2.0}, ["--task-memory", "--executor ray"]),
        ({"executor": "ray", "address": "ray://head:10001"}, ["--address", "ray://head:10001", "HOST:PORT"]),
        ({"executor": "ray", "address": "head"}, ["--address", "HOST:PORT"]),
        ({"executor": "ray", "address": "head:65536"}, ["--address", "HOST:PORT"]),
        ({"executor": "ray", "gpus": 1.5}, ["--gpus", "1.5"]),
        ({"executor": "ray", "gpus": -1.0}, ["--gpus", "-1"]),
    ],
)
def test_options_that_do_not_go_together(options, told):
    """What says something to Ray alone is refused without it, and so is what Ray could not do."""
    with pytest.raises(UserError) as caught:
        cluster_of(**options)
    for each in told:
        assert each in str(caught.value)


def test_ray_that_is_missing(monkeypatch):
    """The error names the extra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"ablation-zoo\[ray\]"):
        cluster_of("ray")
    assert cluster_of("local") is None


@needs_ray
def test_options_as_they_are_meant():
    """Memory is given in GiB, and has a default."""
    assert cluster_of("ray", "auto", 0.25, 3.0) == RayCluster("auto", 0.25, 3.0 * GIB)
    assert cluster_of("ray") == RayCluster(None, 0.0, 1.5 * GIB)


class TestRoom:
    """How many workers fit the nodes of a cluster."""

    @pytest.mark.parametrize(
        ("nodes", "threads", "gpus", "gib", "fits"),
        [
            ([node(8), node(4)], 1, 0, 1.5, 12),
            ([node(12), node(4)], 1, 0, 1.5, 10 + 4),  # ten of 1.5 GiB fit 16 GiB
            ([node(8, gib=64), node(4, gib=64)], 3, 0, 1.5, 2 + 1),
            ([node(8), node(4, alive=False)], 4, 0, 1.5, 2),
            ([node(0), node(1)], 1, 0, 1.5, 1),
            ([node(16, gpus=2, gib=64), node(16, gib=64)], 1, 1, 1.5, 2),
            ([node(16, gpus=2, gib=64)], 1, 0.3, 1.5, 6),  # three on each, and none on two at once
            ([node(16, gpus=3, gib=64)], 1, 2, 1.5, 1),
            ([node(16, gpus=1, gib=64)], 1, 0.1, 1.5, 10),
            ([node(16, gib=1)], 1, 0, 1.5, 0),
            ([], 1, 0, 1.5, 0),
        ],
    )
    def test_known_ones(self, nodes, threads, gpus, gib, fits):
        """Counted by hand."""
        wanted = RayCluster(gpus=gpus, memory=gib * GIB)
        assert room(nodes, threads, wanted).workers == fits

    @given(
        st.lists(st.tuples(st.integers(0, 64), st.integers(0, 8), st.floats(0, 512)), max_size=4),
        st.integers(1, 8),
        st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0]),
        st.floats(0.5, 32),
    )
    def test_never_more_than_there_is(self, nodes, threads, gpus, gib):
        """All workers together take no more than a node has, and one more would not fit any."""
        cluster = RayCluster(gpus=gpus, memory=gib * GIB)
        for cpus, num_gpus, memory in nodes:
            found = room([node(cpus, num_gpus, memory)], threads, cluster)
            fits = found.workers
            assert fits * threads <= cpus
            assert fits * gpus <= num_gpus + 1e-9
            assert fits * gib <= memory + 1e-6
            if fits:
                assert found.worker_bytes == pytest.approx(memory * GIB / fits)
            else:
                assert math.isinf(found.worker_bytes)
        together = [node(*each) for each in nodes]
        assert room(together, threads, cluster).workers == sum(
            room([each], threads, cluster).workers for each in together
        )

    def test_what_is_told_where_none_fits(self):
        """The error has what was asked for and what there is."""
        told = str(no_room([node(2, gib=8)], 4, RayCluster("head:6379", gpus=1.0)))
        assert "--workers" in told
        assert "--workers" not in str(no_room([], 1, RayCluster()))  # nobody starts nodes for one of this machine
        assert "4 CPUs, 1 GPUs, 1.5 GiB" in told
        assert "2 CPUs, 0 GPUs, 8.0 GiB" in told


@needs_ray
def test_outline_is_a_dataset_to_plan_with(digits, runs_of, settings_of):
    """A dataset without its inputs is small, and all that is checked before training comes out the same."""
    from benchmarks.execution.ray_node import Outline
    from benchmarks.execution.running import dataset_facts

    sent = pickle.dumps(Outline.of(digits))
    assert len(sent) < 20_000 < digits.num_bytes
    outlined = pickle.loads(sent).as_dataset()
    assert dataset_facts(outlined) == dataset_facts(digits)
    assert stack_size(settings_of(), outlined) == stack_size(settings_of(), digits)
    assert outlined.train.inputs.dtype == digits.train.inputs.dtype
    np.testing.assert_array_equal(outlined.test.labels, digits.test.labels)
    check_runs(runs_of(1), {"digits": outlined})


@needs_ray
def test_cluster_file_is_one():
    """Ray's own check accepts the cluster file as it is."""
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    path = Path(benchmarks.__file__).parent / "execution" / "cluster.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    validate_config(prepare_config(config))
    (source,) = config["file_mounts"]
    assert any(f"{Path(source).name}[ray" in command for command in config["setup_commands"])


@needs_ray
def test_nodes_with_other_code_are_refused(tmp_path):
    """A node whose code gives settings another meaning says so before it trains anything."""
    from benchmarks.execution.ray_node import REVISIONS, NodeOrders, NodeWorker, Sign
    from benchmarks.execution.worker import Orders, Resources

    orders = Orders({}, tmp_path, number=0, resources=Resources(1, 1, 1e9, 1e9))
    given = NodeOrders(orders, Sign(tmp_path / "none", "none"), 0.0, REVISIONS)
    with pytest.raises(UserError, match="other code than the runner"):
        NodeWorker(replace(given, revisions={name: number + 1 for name, number in REVISIONS.items()})).begin()


@needs_ray
def test_nodes_with_other_data_are_refused(tmp_path, runs_of):
    """A node that has other data of the same name trains nothing on them."""
    from benchmarks.data.catalog import find_dataset
    from benchmarks.data.loading import load_decoded
    from benchmarks.data.preparing import prepare
    from benchmarks.execution.ray_node import REVISIONS, NodeOrders, NodeWorker, Sign
    from benchmarks.execution.worker import Orders, Resources

    reference = find_dataset("digits", tmp_path / "none", tmp_path)
    prepare(reference)
    load_decoded(reference, tmp_path)
    orders = Orders({"digits": reference}, tmp_path, number=0, resources=Resources(1, 1, 1e9, 1e9))
    node = NodeWorker(NodeOrders(orders, Sign(tmp_path / "none", "none"), 0.0, REVISIONS))
    run, _ = runs_of(1)
    with pytest.raises(DatasetError, match="not what the runner's other nodes have"):
        node.train({0: replace(run, dataset_version="1.0.0+000000000000")})


@needs_ray
def test_cluster_that_is_not_there():
    """Where nothing answers that is told within seconds, and not after the minutes for which Ray would try."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    code = (
        "from benchmarks.execution.executors import RayCluster\n"
        "from benchmarks.execution.ray_cluster import connected\n"
        f"with connected(RayCluster('127.0.0.1:{port}')): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert f"UserError: --executor ray: no connection to a Ray cluster at 127.0.0.1:{port}" in done.stderr


def test_nothing_heavy_without_need():
    """Neither the command line nor the dispatcher of processes imports Ray; that of Ray imports no TensorFlow."""
    modules = ["benchmarks.cli", "benchmarks.execution.running", "benchmarks.execution.ray_cluster"]
    if importlib.util.find_spec("ray"):
        modules.append("benchmarks.execution.ray_workers")
    code = f"import sys, {', '.join(modules)}; print([name in sys.modules for name in ('ray', 'tensorflow', 'keras')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, False]"
