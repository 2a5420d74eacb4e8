"""Workers that scripts start, and what becomes of Ctrl-C while they begin; each in a process group of its own."""

import os
import signal
import subprocess
import sys

import numpy_engine
import pytest

SCRIPT = f"""
import sys
from pathlib import Path
from benchmarks.execution.worker import WorkerOptions
from benchmarks.execution.workers import Workers, resources

print("the script begins", flush=True)
with Workers(resources(1, 1, workers=1), WorkerOptions({{}}, Path(), engine="{numpy_engine.NAME}")) as workers:
    workers.wait_until_ready()
print("a worker was ready", flush=True)
"""

SLOW_START = """
import sys
import time

if "--multiprocessing-fork" in sys.orig_argv:
    print("a worker begins", flush=True)
    time.sleep(2)
"""


@pytest.mark.parametrize("is_file", [True, False], ids=["file", "standard input"])
def test_a_script_needs_no_main_guard(is_file, tmp_path):
    """It runs once, and its workers begin, whether it lies in a file or comes from standard input."""
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(path) if is_file else "-"],
        cwd=tmp_path,
        input="" if is_file else SCRIPT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "the script begins\na worker was ready\n"


def test_interrupted_while_a_worker_begins(tmp_path):
    """A terminal sends Ctrl-C to the whole group of processes; none of them tells of it with a traceback."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_START)
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "run", "quickstart", "--runs-dir", "runs", "--workers", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        for line in process.stdout:
            if line == "a worker begins\n":
                break
        os.killpg(process.pid, signal.SIGINT)
        told = process.stdout.read()
    assert process.returncode == 130
    assert told == "\ninterrupted: finished runs are stored, and the same command goes on from here\n"
