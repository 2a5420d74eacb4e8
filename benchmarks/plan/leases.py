"""Leases: which of several runners on one store trains which run, so that none is trained twice at once.

A runner holds a lease on each run that it is on. It gives signs of life by counting up a number; a runner whose number
stands still for a time is dead, and its leases end. Every runner measures that time on its own steady clock, so that
clocks that jump or disagree end no lease. On one machine it is seen at once whether a runner's process is there.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from benchmarks.plan.stacks import Stack
from benchmarks.runs import Run
from benchmarks.store import NOBODY, Store

LEASE_SECONDS = 60.0
"""A runner that gave no sign of life for so long is dead."""

SIGNS_A_LEASE = 6
"""Signs of life that a runner gives in that time."""


class Leases:
    """The leases of one runner.

    Args:
        store: which the runners share.
        seconds: after how long without a sign of life another runner counts as dead.
    """

    def __init__(self, store: Store, seconds: float = LEASE_SECONDS):
        self._store = store
        self._seconds = seconds
        self._owner = f"{_machine()}-{_process(os.getpid())}-{uuid.uuid4().hex}"
        self._number = 0
        """Of all its leases: counted up as a sign of life."""
        self._last_sign = time.monotonic()
        self._seen: dict[str, tuple[int, float]] = {}
        """Other runner -> its number when it last changed, and the moment at which that was seen here."""

    def take(self, stack: Stack) -> dict[int, Run]:
        """The runs of a stack that are this runner's to train: those that nobody else is on, or has ended."""
        granted = self._store.lease([run.key for run in stack.values()], self._owner, self._next_number())
        return {slot: run for slot, run in stack.items() if run.key in granted}

    def sign_of_life(self) -> None:
        """Tell the others that this runner lives; to be called often, it does so when it is due."""
        if time.monotonic() - self._last_sign >= self._seconds / SIGNS_A_LEASE:
            self._store.renew_leases(self._owner, self._next_number())

    def release(self) -> None:
        """Give up all leases of this runner."""
        self._store.give_up_leases(self._owner)

    def others(self, keys: Iterable[str]) -> set[str]:
        """Those of these runs that another runner is on; the leases of dead ones end here."""
        leases = self._store.leases(keys).items()
        held = {key: lease for key, lease in leases if lease.owner not in (self._owner, NOBODY)}
        # The store gives them in parts, of which the last knows a runner's latest number.
        numbers = {lease.owner: lease.number for lease in held.values()}
        dead = {owner for owner, number in numbers.items() if self._end_if_dead(owner, number)}
        return {key for key, lease in held.items() if lease.owner not in dead}

    def wait(self, keys: Iterable[str], on_poll: Callable[[], None], pause: float = 1.0) -> None:
        """Wait until some of these runs, which others are on, are finished or free; `pause` is in seconds."""
        wanted = list(keys)
        while wanted and len(self.others(wanted)) == len(wanted):
            on_poll()
            time.sleep(pause)

    def _end_if_dead(self, owner: str, number: int) -> bool:
        """End the leases of another runner if it is dead; whether it is."""
        now = time.monotonic()
        if has_ended(owner):
            self._store.end_leases(owner)
            return True
        if self._seen.get(owner, (None, 0.0))[0] != number:
            self._seen[owner] = number, now
        # While the store was away nobody could show a sign of life.
        is_silent = now - max(self._seen[owner][1], self._store.back_since) > self._seconds
        if is_silent:
            self._store.end_leases(owner, number)
        return is_silent

    def _next_number(self) -> int:
        self._number, self._last_sign = self._number + 1, time.monotonic()
        return self._number


def has_ended(owner: str) -> bool:
    """Whether a runner was on this machine and is no more."""
    machine, _, rest = owner.partition("-")
    process, _, _ = rest.rpartition("-")
    if machine != _machine():
        return False
    try:
        return _process(int(process.partition("-")[0])) != process
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True


def _machine() -> str:
    """Tells this machine, since its last start, from others, and does not name it.

    Containers of one machine, which see processes of their own alone, are machines of their own.
    """
    boot, processes = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    known = [platform.node(), boot.read_text() if boot.exists() else ""]
    known += [str(processes.readlink())] if processes.is_symlink() else []
    return hashlib.sha256(" ".join(known).encode()).hexdigest()[:12]


def _process(number: int) -> str:
    """Tells a process from a later one with the same number."""
    stat = Path(f"/proc/{number}/stat")
    if stat.exists():
        # Its start in ticks since that of the machine (proc_pid_stat(5), field 22). What psutil tells moves with the
        # clock, and after a jump every living runner would look as if it had ended.
        ticks = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        return f"{number}-{ticks}"
    return f"{number}-{psutil.Process(number).create_time():.2f}"
