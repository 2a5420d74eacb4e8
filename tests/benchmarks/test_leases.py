"""Several runners on one store: no run is trained by two at once, and a dead runner's runs are taken over."""

import subprocess
import sys
import threading
import time

import pytest

from benchmarks.errors import StoreError
from benchmarks.plan.leases import Leases
from benchmarks.results import RunResult
from benchmarks.store import Store

SECONDS = 0.5


@pytest.fixture
def store(tmp_path, store_url):
    return Store.create_or_open(tmp_path, store_url)


@pytest.fixture
def stack(runs_of):
    return dict(enumerate(runs_of(2)))


def test_a_run_has_one_runner(store, stack):
    """What one runner is on, another is not given; what it gives up, it is."""
    first, second = Leases(store), Leases(store)
    part = {slot: stack[slot] for slot in (0, 1)}
    assert first.take(part) == part
    assert second.take(stack) == {slot: stack[slot] for slot in (2, 3)}
    first.release()
    assert second.take(stack) == stack


def test_finished_runs_are_nobodys(store, stack):
    """A run that is done or failed is given to nobody, and its lease has ended, until it is opened again."""
    first, second = Leases(store), Leases(store)
    first.take(stack)
    store.record(stack[0], RunResult("done"), {})
    store.record(stack[1], RunResult("failed"), {})
    assert second.others(run.key for run in stack.values()) == {stack[2].key, stack[3].key}
    assert second.take(stack) == {}
    store.reopen([stack[0].key, stack[1].key], ["failed"])
    assert second.take(stack) == {1: stack[1]}, "what is done stands for good"


def let_leases_run_out(alive, watcher, keys):
    """Time for all leases to end, in which one runner gives signs of life and another one watches."""
    end = time.monotonic() + 2 * SECONDS
    while time.monotonic() < end:
        alive.sign_of_life()
        watcher.others(keys)
        time.sleep(0.02)


def test_only_the_dead_lose_their_leases(store, stack):
    """A runner that shows signs of life keeps its runs; one that does not loses them after the time."""
    alive, dead, watcher = (Leases(store, SECONDS) for _ in range(3))
    alive.take({0: stack[0]})
    dead.take({1: stack[1]})
    keys = [stack[0].key, stack[1].key]
    assert watcher.others(keys) == set(keys)
    let_leases_run_out(alive, watcher, keys)
    assert watcher.others(keys) == {stack[0].key}
    assert watcher.take(stack) == {slot: stack[slot] for slot in (1, 2, 3)}


def test_leases_taken_at_different_times_end_alike(store, stack):
    """All leases of a runner last as long as it gives signs of life, whenever each was taken, and end when it dies."""
    alive, dead, watcher = (Leases(store, SECONDS) for _ in range(3))
    alive.take({0: stack[0]})
    dead.take({2: stack[2]})
    time.sleep(SECONDS / 5)
    alive.sign_of_life()
    dead.sign_of_life()
    alive.take({1: stack[1]})
    dead.take({3: stack[3]})
    keys = [run.key for run in stack.values()]
    assert watcher.others(keys) == set(keys)
    let_leases_run_out(alive, watcher, keys)
    assert watcher.others(keys) == {stack[0].key, stack[1].key}


def test_runner_that_comes_back_holds_what_it_takes_then(store, stack):
    """A runner that stood still so long that its leases were ended is alive when it takes others."""
    runner, watcher = Leases(store, SECONDS), Leases(store, SECONDS)
    runner.take({0: stack[0]})
    keys = [stack[0].key, stack[1].key]
    watcher.others(keys)
    time.sleep(1.2 * SECONDS)
    assert watcher.others(keys) == set()
    runner.take({1: stack[1]})
    assert watcher.others(keys) == {stack[1].key}


def test_clock_that_jumps_ends_no_lease(store, stack, monkeypatch):
    """A time of day that jumps by years changes nothing."""
    holder, watcher = Leases(store), Leases(store)
    holder.take(stack)
    keys = [run.key for run in stack.values()]
    now = time.time()
    for jump in (0, 1e9, -1e9):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert watcher.others(keys) == set(keys)


def test_waiting_ends_when_a_run_is_free(store, stack):
    """Who waits for the runs of another goes on when one of them is finished or given up."""
    holder, waiter = Leases(store), Leases(store)
    holder.take(stack)
    looks = []
    thread = threading.Timer(0.3, holder.release)
    thread.start()
    waiter.wait([run.key for run in stack.values()], lambda: looks.append(1), pause=0.05)
    thread.join()
    assert looks
    assert waiter.take(stack) == stack


def test_leases_taken_at_once(tmp_path, store_url, runs_of):
    """Many runners that ask at once are given every run exactly once."""
    runs = runs_of(10)
    Store.create_or_open(tmp_path, store_url)
    given, start = [], threading.Barrier(8)

    def ask():
        leases = Leases(Store.open(tmp_path, store_url))
        start.wait()
        for run in runs:
            given.extend(leases.take({0: run}).values())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(run.key for run in given) == sorted(run.key for run in runs)


def test_ended_process_of_this_machine_is_seen_at_once(store, stack, tmp_path, store_url):
    """The leases of a runner whose process is gone end at the first look, and those of a living one do not."""
    Leases(store).take({0: stack[0]})
    code = f"""
import os, sys
from pathlib import Path
from benchmarks.plan.leases import Leases
from benchmarks.store import Store
store = Store.open(Path({str(tmp_path)!r}), {store_url!r})
store.lease([{stack[1].key!r}], Leases(store)._owner)
os.readlink = lambda path: "pid:[1]"  # as in a container, which has a numbering of processes of its own
store.lease([{stack[2].key!r}], Leases(store)._owner)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    keys = [stack[slot].key for slot in range(3)]
    assert Leases(store).others(keys) == {keys[0], keys[2]}, "of another container it is not known"


def test_store_that_cannot_be_used_hides_no_interrupt(store, stack):
    """Who gives up its leases as it ends ends as it would have, whatever is wrong with the store."""
    leases = Leases(store, seconds=0.0)
    leases.take(stack)
    with store._opened.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE leases")
    with pytest.raises(StoreError):
        leases.sign_of_life()
    leases.release()
