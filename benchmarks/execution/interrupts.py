"""Interrupts: Ctrl-C and SIGTERM strike at once, or are held back where that would tear something apart.

An exception that a signal raises may strike between any two steps of any library: a lock that was just taken stays
taken, and who waits for it waits for ever. So what trains holds interrupts back and raises them where it is safe.
What is kept here belongs to the process, as signals do.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was told to end (SIGTERM), as batch systems do before their time limit."""


@dataclass
class _Received:
    """What this process was sent and has not raised yet."""

    is_held: bool = False
    waiting: list[KeyboardInterrupt] = field(default_factory=list)


_received = _Received()


def end_at_once() -> None:
    """Let Ctrl-C end this process with a line, until `interruptible` is called.

    An exception would break an import off, which tells of it with a traceback, or swallows it.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody wants none
        signal.signal(signal.SIGINT, _end)


def interruptible() -> None:
    """Let Ctrl-C raise a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    os.write(2, b"interrupted\n")
    os._exit(130)


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Keep Ctrl-C from this thread, and from processes that it starts inside, until they call `ignore_interrupts`."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Have this process ignore Ctrl-C, also one that was kept from it so far."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextmanager
def listening() -> Iterator[None]:
    """Let SIGTERM interrupt what is done inside, as Ctrl-C does.

    Python hears signals in its main thread alone; in another one nothing changes.
    """
    with handlers_kept() as numbers:
        for number in numbers:
            signal.signal(number, _receive)
        yield


@contextmanager
def handlers_kept() -> Iterator[Collection[signal.Signals]]:
    """Put back at the end what Ctrl-C and SIGTERM do; gives these signals, or none where this thread hears none."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if is_main}
    try:
        yield before.keys()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back that arrive inside, until `raise_held` is called or the end is reached.

    Raises:
        KeyboardInterrupt: at the end, where one arrived that was not raised before. `Terminated` for SIGTERM.
    """
    before, _received.is_held = _received.is_held, True
    try:
        with listening():
            yield
        if not before:
            raise_held()
    finally:
        _received.is_held = before
        if not before:
            _received.waiting.clear()


def raise_held() -> None:
    """Raise the interrupt that was held back, if there is one.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed. `Terminated` for SIGTERM.
    """
    if _received.waiting:
        raise _received.waiting.pop(0)


def _receive(number: int, frame: FrameType | None) -> None:
    del frame
    interrupt = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
    if not _received.is_held:
        raise interrupt
    _received.waiting.append(interrupt)
