"""Worker processes: they train what this process would train, and the death of one costs nothing but time."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from benchmarks.data.catalog import find_dataset
from benchmarks.data.loading import load_decoded, prepare
from benchmarks.design import expand_cells, expand_runs
from benchmarks.execution.local import train_runs
from benchmarks.execution.schedule import StackQueue, program_of
from benchmarks.execution.workers import Workers, resources
from benchmarks.suite import parse_suite
from benchmarks.training.checkpoints import Checkpoints
from benchmarks.training.stopwatch import Stopwatch

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


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory):
    """A runs folder in which digits is prepared and decoded."""
    folder = tmp_path_factory.mktemp("runs")
    reference = find_dataset("digits", folder / "none", folder)
    prepare(reference)
    load_decoded(reference, folder)
    return folder


def runs_of(epochs):
    suite = parse_suite(SUITE.format(epochs=epochs), "tiny.toml")
    return expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})


def started(runs_dir, number=2, **options):
    references = {"digits": find_dataset("digits", runs_dir / "none", runs_dir)}
    return Workers(resources(4, 4, workers=number, threads=1), references, runs_dir, **options)


def outcomes(pairs):
    return {run.key: (result.status, result.metrics, result.history) for run, result in pairs}


@pytest.fixture(scope="module")
def undisturbed(runs_dir):
    """What this process makes of the runs."""
    runs = runs_of(30)
    dataset = load_decoded(find_dataset("digits", runs_dir / "none", runs_dir), runs_dir)
    return outcomes(train_runs(runs, {"digits": dataset}))


def worker_processes():
    """The processes that were spawned for the pools and not for their bookkeeping."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_workers_give_what_this_process_gives(runs_dir, undisturbed):
    """Every run comes back once, equal to the last bit, and the workers told of progress and phases."""
    stopwatch, told = Stopwatch(), []
    with started(runs_dir, stopwatch=stopwatch) as workers:
        pairs = list(workers.train(runs_of(30), workers.open_datasets(), told.append))
    assert len(pairs) == len(undisturbed)
    assert outcomes(pairs) == undisturbed
    assert stopwatch.totals()["step"] > 0
    assert {worker for *_, worker in stopwatch.spans} == {0, 1}
    assert all(0 <= share <= len(pairs) for share in told)
    assert not worker_processes()


def test_killed_worker_costs_nothing(runs_dir, undisturbed, tmp_path):
    """A worker that is killed while it trains is replaced, and every run comes back as if nothing had been."""
    checkpoints = Checkpoints(tmp_path, 0.0)
    results = []
    with started(runs_dir, checkpoints=checkpoints) as workers:
        datasets = workers.open_datasets()
        workers.wait_until_ready()
        (victim, *_) = worker_processes()
        trained = workers.train(runs_of(30), datasets)
        results.append(next(trained))
        victim.kill()
        results += trained
    assert len(results) == len(undisturbed)
    assert outcomes(results) == undisturbed
    assert not list(tmp_path.glob("*.checkpoint"))


@pytest.mark.slow
def test_run_that_kills_its_worker_has_failed(runs_dir, monkeypatch):
    """Runs that take their worker down again and again fail with the reason; the others are done."""
    hand_out = Workers._hand_out

    def deadly(self, worker, queue):
        hand_out(self, worker, queue)
        if worker.task and any(is_tanh(run) for run in worker.task.stack.values()):
            for process in worker_processes():
                process.kill()

    monkeypatch.setattr(Workers, "_hand_out", deadly)
    runs = [run for run in runs_of(1) if run.seed == 0]
    with started(runs_dir, number=1) as workers:
        workers.wait_until_ready()
        pairs = list(workers.train(runs, workers.open_datasets()))
    assert len(pairs) == len(runs)
    for run, result in pairs:
        assert result.status == ("failed" if is_tanh(run) else "done")
        if is_tanh(run):
            assert "its worker process died 3 times" in result.message


def is_tanh(run):
    return run.cell.settings.model.activation == "tanh"


PARENT = """
import sys
from pathlib import Path
from types import SimpleNamespace
sys.path.insert(0, {tests!r})
from test_workers import runs_of, started

if __name__ == "__main__":
    with started(Path(sys.argv[1]), number=1) as workers:
        datasets = workers.open_datasets()
        workers.wait_until_ready()
        print("ready", flush=True)
        list(workers.train(runs_of(100_000), datasets))
"""


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(runs_dir, tmp_path):
    """When the process that hands out the work is killed, its workers end within seconds, in mid-training."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(tests=str(Path(__file__).parent)))
    process = subprocess.Popen([sys.executable, str(script), str(runs_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


class TestQueue:
    """Which stack a worker takes."""

    @pytest.fixture
    def queue(self):
        """Two programs with three stacks each."""
        runs = runs_of(1)
        stacks = [{0: run} for run in sorted(runs, key=program_of)[:3] + sorted(runs, key=program_of)[-3:]]
        return StackQueue(stacks)

    @staticmethod
    def program(stack):
        return program_of(stack[0])

    def test_a_worker_keeps_its_program(self, queue):
        """It takes all stacks of its program before it looks elsewhere."""
        first = self.program(queue.take(None))
        assert [self.program(queue.take(first)) for _ in range(2)] == [first, first]
        assert self.program(queue.take(first)) != first

    def test_workers_begin_with_different_programs(self, queue):
        """A second worker takes a program that nobody has begun."""
        assert self.program(queue.take(None)) != self.program(queue.take(None))

    @pytest.mark.parametrize(("compiling", "training", "helps"), [(1.0, 5.0, True), (5.0, 1.0, False)])
    def test_help_where_it_pays(self, queue, compiling, training, helps):
        """A worker without a program of its own helps where the rest takes longer than compiling once more."""
        first, second = (self.program(queue.take(None)) for _ in range(2))
        queue.take(second), queue.take(second)
        queue.note(first, compiling, training)
        assert (queue.take(second) is not None) == helps

    def test_nothing_is_lost_or_doubled(self, queue):
        """Whatever is put back comes out again, and the queue ends empty."""
        number = len(queue)
        stack = queue.take(None)
        queue.put_back(stack)
        taken = []
        while len(queue):
            taken.append(queue.take(None) or queue.take(None, is_alone=True))
        assert len({run.key for each in taken for run in each.values()}) == number == len(taken)


def test_resources_fit_the_machine(monkeypatch):
    """Threads follow from the whole plan and the cores, so that a plan that goes on has the same."""
    monkeypatch.setattr("benchmarks.execution.workers._cores", lambda: 8)
    monkeypatch.setattr(
        "benchmarks.execution.workers.psutil.virtual_memory",
        lambda: SimpleNamespace(total=64 * 2**30, available=48 * 2**30),
    )
    told = {plan: resources(*plan) for plan in [(40, 40), (40, 1), (2, 2), (2, 1), (1, 1)]}
    assert {plan: (each.workers, each.threads) for plan, each in told.items()} == {
        (40, 40): (8, 1),
        (40, 1): (1, 1),
        (2, 2): (2, 4),
        (2, 1): (1, 4),
        (1, 1): (1, 8),
    }
    assert resources(40, 40, workers=3, threads=2).workers == 3
    assert resources(40, 40, threads=4).workers == 2


def test_interrupt_writes_what_is_under_way(runs_dir, tmp_path):
    """On an interrupt the workers write their checkpoints, and who takes them up ends with the same numbers."""
    checkpoints = Checkpoints(tmp_path, 1e9)
    runs = [run for run in runs_of(2000) if run.seed == 0][:1]
    told = []

    def interrupt(share):
        told.append(share)
        if share > 0:
            raise KeyboardInterrupt

    def train():
        with started(runs_dir, number=1, checkpoints=checkpoints) as workers:
            list(workers.train(runs, workers.open_datasets(), interrupt))

    with pytest.raises(KeyboardInterrupt):
        train()
    assert told[-1] < 1
    (written,) = tmp_path.glob("*.checkpoint")
    assert written.stat().st_size > 0
    assert not worker_processes()


def test_main_process_needs_no_tensorflow():
    """Handing out work imports no TensorFlow."""
    code = "import sys, benchmarks.execution.running; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
