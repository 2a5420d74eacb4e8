"""Process of a worker: started without the caller's script, and deaf to Ctrl-C until it can say what that means.

Spawned and not forked: TensorFlow's threads do not survive a fork.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from benchmarks.execution.interrupts import interrupts_blocked


class WorkerProcess(SpawnProcess):
    """A spawned process; `begin` of a worker lets it hear Ctrl-C again, to ignore it."""

    def start(self) -> None:
        """Start it.

        A terminal sends Ctrl-C to every process of the command. One that is importing would tell of it with a
        traceback; what is blocked here is blocked in the process from its first instruction on.
        """
        with _without_main(), interrupts_blocked():
            super().start()


class WorkerContext(SpawnContext):
    """Starts the processes of one pool and remembers them: where one dies, Pebble may start another.

    Pebble tells how a process ended only where that was on a task that it had acknowledged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """One more process, which is not started yet."""
        self.started.append(WorkerProcess(*arguments, **options))
        return self.started[-1]


@contextmanager
def _without_main() -> Iterator[None]:
    """Have a process that is spawned inside import nothing of the script that called.

    Python imports it anew in every spawned process, which begins everything once more where no `if __name__ ==
    "__main__"` stands around it, and fails where it came from standard input. A worker needs nothing of it.
    """
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script
