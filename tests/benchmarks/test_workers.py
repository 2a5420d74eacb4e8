"""Worker processes: they train what this process would train, and the death of one costs nothing but time."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy_engine
import psutil
import pytest
from executing import train_runs, with_tensorflow

from benchmarks.data.catalog import find_dataset
from benchmarks.data.loading import load_decoded
from benchmarks.data.preparing import prepare
from benchmarks.execution.cgroups import Limits
from benchmarks.execution.worker import MOST_OF_MEMORY, Orders, Resources, WorkerOptions
from benchmarks.execution.workers import Workers, resources
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.stacks import StackQueue, program_of, stacks_by_program
from benchmarks.results import failure_of
from benchmarks.suite.reading import parse_suite
from benchmarks.training.checkpoints import Checkpoints
from benchmarks.training.stopwatch import Stopwatch

GIB = 2**30

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


def started(runs_dir, number=2, stopwatch=None, **options):
    references = {"digits": find_dataset("digits", runs_dir / "none", runs_dir)}
    given = WorkerOptions(references, runs_dir, **options)
    return Workers(resources(4, 4, workers=number, threads=1), given, stopwatch)


def outcomes(pairs):
    return {run.key: (result.status, result.metrics, result.history) for run, result in pairs}


@pytest.fixture(scope="module")
def undisturbed(runs_dir, engine):
    """What this process makes of the runs."""
    runs, reference = runs_of(30), find_dataset("digits", runs_dir / "none", runs_dir)
    datasets = {"digits": load_decoded(reference, runs_dir)}
    if engine == "numpy":
        orders = Orders({"digits": reference}, runs_dir, number=0, resources=resources(4, 4, 1, 1))
        trained = numpy_engine.NumpyEngine(orders, Stopwatch(), lambda: False).train
        stacks = stacks_by_program(runs, datasets)
        return outcomes(pair for stack in stacks for pair in trained(stack, lambda *_: None, None))
    return outcomes(train_runs(runs, datasets))


def worker_processes():
    """The processes that were spawned for the pools and not for their bookkeeping."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@with_tensorflow
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


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [(signal.SIGKILL, "out_of_memory", "SIGKILL"), (signal.SIGSEGV, "failed", "SIGSEGV")],
)
def test_run_that_kills_its_worker(sent, status, reason, runs_dir, engine, monkeypatch):
    """Runs that take their worker down again and again end with the reason, a crash with its trace; others are done."""
    hand_out = Workers._hand_out

    def deadly(self, worker, *rest):
        hand_out(self, worker, *rest)
        if worker.attempt and any(is_tanh(run) for run in worker.attempt.stack.values()):
            while not (worker.attempt.future.running() or worker.attempt.future.done()):
                time.sleep(0.01)
            for process in worker_processes():
                process.send_signal(sent)

    monkeypatch.setattr(Workers, "_hand_out", deadly)
    long_enough = {"numpy": 500, "tensorflow": 1}
    runs = [run for run in runs_of(long_enough[engine]) if run.seed == 0]
    with started(runs_dir, number=1) as workers:
        workers.wait_until_ready()
        pairs = list(workers.train(runs, workers.open_datasets()))
    assert len(pairs) == len(runs)
    for run, result in pairs:
        assert result.status == (status if is_tanh(run) else "done")
        if is_tanh(run):
            assert f"tried 3 times: its worker process died: {reason}" in result.message
            assert ("Segmentation fault" in (result.traceback or "")) == (sent == signal.SIGSEGV)


@pytest.mark.usefixtures("engine")
def test_worker_that_dies_as_it_starts(runs_dir, tmp_path, monkeypatch):
    """Where no worker comes as far as its first stack, its runs say how their workers ended."""
    # Python imports it first; a processor that lacks an instruction ends the import of TensorFlow in this way.
    deadly = 'import os, sys\nif "spawn_main" in " ".join(sys.orig_argv): os.kill(os.getpid(), 4)\n'
    (tmp_path / "sitecustomize.py").write_text(deadly, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    runs = runs_of(1)[:2]
    with started(runs_dir, number=1) as workers:
        pairs = list(workers.train(runs, workers.open_datasets()))
    assert {run.key for run, _ in pairs} == {run.key for run in runs}
    for _, result in pairs:
        assert result.status == "failed"
        assert result.message == "tried 3 times: its worker process died while it started: SIGILL"


def test_run_out_of_memory_is_tried_again(runs_dir, monkeypatch, undisturbed):
    """A stack that had no memory is tried again by a new worker, and then each of its runs alone; all are done."""
    finish, failures, begun = Workers._finish, [], []
    start = Workers._start
    monkeypatch.setattr(Workers, "_start", lambda self, number: begun.append(number) or start(self, number))

    def starving(self, worker, *rest):
        report = worker.attempt.future.result()
        if len(failures) < 2 and any(is_tanh(run) for run in worker.attempt.stack.values()):
            failures.append(len(worker.attempt.stack))
            starved = [(run, failure_of(MemoryError("no room"))) for run in worker.attempt.stack.values()]
            worker.attempt.future._result = replace(report, results=starved)
        return finish(self, worker, *rest)

    monkeypatch.setattr(Workers, "_finish", starving)
    with started(runs_dir, number=1) as workers:
        pairs = list(workers.train(runs_of(30), workers.open_datasets()))
    assert len(failures) == 2
    assert len(begun) == 3
    assert len(pairs) == len(undisturbed)
    assert outcomes(pairs) == undisturbed


LONG = (
    SUITE.format(epochs=1)
    .replace('"model.initializer" = ["he_normal", "lecun_normal"]', "")
    .replace('"model.activation" = ["relu", "tanh"]', '"train.epochs" = [1, 1_000_000]')
)

LIMITS = {"numpy": 2.0, "tensorflow": 12.0}
"""Seconds in which a run of one epoch is done, its program compiled."""


@pytest.mark.parametrize("is_stopped", [False, True], ids=["goes on for ever", "stands still"])
def test_run_over_its_time(is_stopped, runs_dir, engine):
    """A run that takes longer than it may is ended, also where its process answers nothing; the others are done."""
    suite = parse_suite(LONG, "long.toml")
    runs = expand_runs(expand_cells(suite), [0], {"digits": "1.0.0"})

    def stop(share):
        if is_stopped and share > 0:
            for process in worker_processes():
                process.suspend()

    limit = LIMITS[engine]
    began = time.monotonic()
    with started(runs_dir, number=1, time_limit=limit) as workers:
        workers.wait_until_ready()
        found = {
            run.cell.settings.train.epochs: result for run, result in workers.train(runs, workers.open_datasets(), stop)
        }
    assert time.monotonic() - began < 120
    assert found[1_000_000].status == "timed_out"
    assert f"the time limit is {limit:g} s a run" in found[1_000_000].message
    if is_stopped:
        return
    assert found[1].status == "done"
    assert "in train_stack" in found[1_000_000].traceback


def test_stack_has_the_time_of_its_runs(runs_dir, engine):
    """A stack of five runs may take five times as long as one, so that runs in a stack are not worse off."""
    suite = parse_suite(LONG.replace("seeds = 4", "seeds = 5"), "long.toml")
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})[5:]
    limit = LIMITS[engine] / 4
    with started(runs_dir, number=1, time_limit=limit) as workers:
        datasets = workers.open_datasets()
        workers.wait_until_ready()
        began = time.monotonic()
        results = [result for _, result in workers.train(runs, datasets)]
    assert {result.status for result in results} == {"timed_out"}
    assert time.monotonic() - began > limit * 5
    assert "its stack of 5 runs" in results[0].message


def test_what_exceptions_mean():
    """What says that memory ran out is told from other exceptions, with the traceback of both."""

    class ResourceExhaustedError(Exception):
        """By its name, as that of TensorFlow."""

    with pytest.raises(MemoryError) as too_large:
        np.empty(2**60, np.float32)
    results = [failure_of(error) for error in (too_large.value, ResourceExhaustedError("OOM\nwhen"), ValueError("no"))]
    assert [result.status for result in results] == ["out_of_memory", "out_of_memory", "failed"]
    assert results[1].message == "ResourceExhaustedError: OOM"
    assert "np.empty" in results[0].traceback


@pytest.mark.usefixtures("engine")
def test_dataset_that_is_gone_fails_its_runs(runs_dir, tmp_path):
    """Data that cannot be read any more fail their runs, with the reason, and not the dispatcher."""
    references = {"digits": find_dataset("digits", runs_dir / "none", runs_dir)}
    with started(runs_dir, number=1) as workers:
        datasets = workers.open_datasets()
    with Workers(resources(4, 4, workers=1, threads=1), WorkerOptions(references, tmp_path / "gone")) as workers:
        pairs = list(workers.train(runs_of(1)[:4], datasets))
    assert {result.status for _, result in pairs} == {"failed"}
    assert {result.message for _, result in pairs} == {
        "DatasetError: datasets: digits: its records, or what was decoded of them, are gone or changed"
    }


@pytest.mark.slow
def test_memory_stays_flat(runs_dir, monkeypatch):
    """500 runs in one worker grow it by less than 100 MB after the first ten."""
    sizes = []
    finish = Workers._finish

    def noting(self, worker, *rest):
        sizes.append(worker.attempt.future.result().num_bytes)
        return finish(self, worker, *rest)

    monkeypatch.setattr(Workers, "_finish", noting)
    text = SUITE.format(epochs=1).replace("seeds = 4", "seeds = 125")
    suite = parse_suite(text, "tiny.toml")
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    with started(runs_dir, number=1) as workers:
        pairs = list(workers.train(runs, workers.open_datasets()))
    assert len(pairs) == 500
    assert {result.status for _, result in pairs} == {"done"}
    assert max(sizes[2:]) - sizes[1] < 100e6  # a stack has five runs


def test_worker_that_grows_is_replaced(runs_dir, monkeypatch, undisturbed):
    """A worker that takes more memory than it may is replaced between two stacks, and nothing is lost."""
    monkeypatch.setattr("benchmarks.execution.dispatcher.MOST_GROWTH", -1)
    begun = []
    start = Workers._start
    monkeypatch.setattr(Workers, "_start", lambda self, number: begun.append(number) or start(self, number))
    with started(runs_dir, number=1) as workers:
        pairs = list(workers.train(runs_of(30), workers.open_datasets()))
    assert outcomes(pairs) == undisturbed
    assert len(begun) > 2


def is_tanh(run):
    return run.cell.settings.model.activation == "tanh"


PARENT = """
import sys
import numpy_engine
from pathlib import Path
from types import SimpleNamespace
sys.path += {folders!r}
from test_workers import runs_of, started

if __name__ == "__main__":
    if sys.argv[2] == "numpy":
        numpy_engine.use()
    with started(Path(sys.argv[1]), number=1) as workers:
        datasets = workers.open_datasets()
        workers.wait_until_ready()
        print("ready", flush=True)
        list(workers.train(runs_of(100_000), datasets))
"""


def test_workers_end_with_the_process_that_started_them(runs_dir, tmp_path, engine):
    """When the dispatching process is killed, its workers end within seconds, in mid-training."""
    script = tmp_path / "parent.py"
    here = Path(__file__).parent
    script.write_text(PARENT.format(folders=[str(here), str(here.parent / "helpers")]))
    command = [sys.executable, str(script), str(runs_dir), engine]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
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


@pytest.fixture
def machine(monkeypatch):
    """Give a function that makes a machine of so many cores and so much memory, and limits of this process on it."""

    def make(cores, memory, available, most):
        told = SimpleNamespace(total=memory, available=available)
        monkeypatch.setattr("benchmarks.execution.workers._cores", lambda: cores)
        monkeypatch.setattr("benchmarks.execution.workers.psutil.virtual_memory", lambda: told)
        monkeypatch.setattr("benchmarks.execution.workers.limits", lambda: most)

    return make


def test_resources_fit_the_machine(machine):
    """Threads follow from the whole plan and the cores, so that a plan that goes on has the same."""
    machine(8, 64 * GIB, 48 * GIB, Limits())
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


def test_resources_fit_the_job(machine):
    """On a large machine, workers and what each may take follow from what the job was given of it."""
    machine(64, 256 * GIB, 200 * GIB, Limits(cores=4.5, memory=8 * GIB, available=7 * GIB))
    assert resources(100, 100) == Resources(4, 1, 0.5 * GIB, 2 * MOST_OF_MEMORY * GIB)
    machine(64, 256 * GIB, 200 * GIB, Limits(cores=0.5, memory=8 * GIB, available=-1.0))
    assert (resources(100, 100).workers, resources(100, 100).threads) == (1, 1)
    machine(4, 8 * GIB, 4 * GIB, Limits(cores=64.0, memory=256 * GIB, available=256 * GIB))
    assert resources(100, 100) == Resources(2, 1, GIB, 4 * MOST_OF_MEMORY * GIB)


@pytest.fixture(params=["as it is", "slow"])
def engine_options(request):
    """The engine, and one that is in the midst of a long call: a worker must be waited for before it is ended."""
    return {} if request.param == "as it is" else {"engine": "numpy_engine:SlowEngine"}


@pytest.mark.usefixtures("engine")
def test_interrupt_writes_what_is_under_way(runs_dir, tmp_path, engine_options):
    """On Ctrl-C, which strikes where it is looked for and nowhere else, the workers write their checkpoints."""
    checkpoints = Checkpoints(tmp_path, 1e9)
    runs = [run for run in runs_of(2000) if run.seed == 0][:1]
    told, held_back = [], []

    def interrupt(share):
        told.append(share)
        if share > 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            held_back.append(share)

    def train():
        with started(runs_dir, number=1, checkpoints=checkpoints, **engine_options) as workers:
            list(workers.train(runs, workers.open_datasets(), interrupt))

    with pytest.raises(KeyboardInterrupt):
        train()
    assert held_back == [told[-1]]
    assert told[-1] < 1
    (written,) = tmp_path.glob("*.checkpoint")
    assert written.stat().st_size > 0
    assert not worker_processes()


@pytest.mark.parametrize("modules", ["benchmarks.execution.running", "benchmarks.execution.worker, numpy_engine"])
def test_main_process_needs_no_tensorflow(modules):
    """Neither dispatching nor a worker with another engine imports TensorFlow."""
    code = f"import sys, {modules}; print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
