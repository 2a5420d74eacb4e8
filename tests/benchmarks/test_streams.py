"""What commands print where nobody reads any more, and where the disk is full."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.cli.streams import PatientStream

FULL = Path("/dev/full")

needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is always full")


@pytest.fixture
def pipe_without_reader():
    """A text stream into a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        yield stream


def called(command, stdout):
    return subprocess.run(
        [sys.executable, "-m", *command], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=100, check=False
    )


@needs_full
@pytest.mark.parametrize(
    "command",
    [
        ["benchmarks", "--help"],
        ["benchmarks", "schema"],
        ["benchmarks", "plan", "quickstart"],
        ["benchmarks.cli.reference"],
    ],
    ids=["help", "JSON", "table", "page"],
)
def test_a_full_disk_is_an_error_of_one_line(command, tmp_path, monkeypatch):
    """Whoever keeps what was printed is told that a part of it is missing, whatever printed it."""
    monkeypatch.chdir(tmp_path)
    with FULL.open("w") as stdout:
        done = called(command, stdout)
    assert (done.returncode, done.stderr) == (2, "error: standard output: No space left on device\n")


@pytest.mark.parametrize(
    "command",
    [["benchmarks", "--help"], ["benchmarks", "models"], ["benchmarks.cli.reference"]],
    ids=["help", "table", "page"],
)
def test_a_reader_that_had_enough_is_no_error(command, pipe_without_reader):
    """As with `| head`: nothing is said, and nothing ends early."""
    done = called(command, pipe_without_reader)
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_output_is_no_error():
    """As with `>&-`: there is nothing to print to."""
    call = [sys.executable, "-m", "benchmarks", "--version"]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *call], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_full
def test_what_cannot_be_written_is_dropped():
    """A command goes on where its output cannot be kept: what is dropped is remembered, and raises nothing."""
    with FULL.open("w") as full:
        stream = PatientStream(full)
        for _ in range(3):
            assert stream.write("a line\n") == 7
            stream.flush()
    assert stream.refusal.strerror == "No space left on device"


def test_what_nobody_reads_is_dropped(pipe_without_reader):
    """That is no error to remember."""
    stream = PatientStream(pipe_without_reader)
    for _ in range(3):
        stream.write("a line\n")
        stream.flush()
    assert stream.refusal is None
