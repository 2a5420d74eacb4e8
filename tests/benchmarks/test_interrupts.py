"""Ctrl-C and SIGTERM, sent to this very process."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.execution.interrupts import Terminated, held, listening, raise_held

KINDS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]


def send(number):
    """Send this process a signal and wait until Python has heard it."""
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass


@pytest.mark.parametrize(("number", "kind"), KINDS)
def test_interrupts_at_once_where_nothing_is_held(number, kind):
    """Outside of `held` the signal strikes where it arrives."""
    with listening(), pytest.raises(KeyboardInterrupt) as raised:
        send(number)
    assert type(raised.value) is kind


@pytest.mark.parametrize(("number", "kind"), KINDS)
def test_held_back_until_raise_held(number, kind):
    """Inside of `held` nothing is raised but by `raise_held`, one for each signal, in their order, whoever listens."""
    with held():
        raise_held()
        send(number)
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as first:
            raise_held()
        with pytest.raises(KeyboardInterrupt) as second:
            raise_held()
        raise_held()
    assert [type(first.value), type(second.value)] == [kind, KeyboardInterrupt]


def test_raised_at_the_end_where_nobody_raised_them():
    """An interrupt that arrived inside is not lost, and is raised once."""
    steps = []

    def hold():
        with held():
            with held():
                send(signal.SIGTERM)
            steps.append("the inner block ended, and the outer one still holds")
        steps.append("never")

    with listening():
        with pytest.raises(Terminated):
            hold()
        raise_held()
    assert len(steps) == 1


def test_what_else_is_raised_goes_first():
    """An error that ends the block is not hidden by an interrupt, which does not linger either."""

    def fail():
        with held():
            send(signal.SIGINT)
            raise ZeroDivisionError

    with listening():
        with pytest.raises(ZeroDivisionError):
            fail()
        raise_held()


@pytest.mark.parametrize("block", [listening, held])
def test_handlers_are_put_back(block):
    """What the process did with signals before is what it does after."""
    before = [signal.getsignal(number) for number, _ in KINDS]
    with block():
        assert [signal.getsignal(number) for number, _ in KINDS] != before
    assert [signal.getsignal(number) for number, _ in KINDS] == before


def test_in_other_threads_nothing_changes():
    """Python hears signals in its main thread alone."""
    before, inside = signal.getsignal(signal.SIGTERM), []

    def listen():
        with listening():
            inside.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert inside == [before]


MARK = """
import sys

class Mark:
    def find_spec(self, name, *_):
        if name == "benchmarks.cli":
            print("the command line is imported", flush=True)

sys.meta_path.insert(0, Mark())
"""
"""Tells when the command has begun; what Python itself does before is not ours to end with a line."""


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 1.0])
def test_a_command_that_has_hardly_begun(seconds, tmp_path):
    """Ctrl-C ends it with one line and no traceback, whatever it was importing."""
    (tmp_path / "sitecustomize.py").write_text(MARK)
    path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "run", "quickstart", "--runs-dir", str(tmp_path / "runs")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Whatever began the tests may have had Ctrl-C ignored, as shells do in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout.readline() == "the command line is imported\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        told = process.stdout.read()
    assert process.returncode in (130, -signal.SIGINT)  # a shell says 130 of both
    assert "Traceback" not in told
    assert "interrupted" in told
