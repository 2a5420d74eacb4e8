"""Which runs are trained together; pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from benchmarks.design import Run


def group_by_program(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that can share one compiled program, in the order in which each program first appears."""
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.dataset, run.dataset_version, run.cell.settings.program()].append(run)
    return list(groups.values())


def stacks(runs: Iterable[Run], stack_size: int) -> Iterator[dict[int, Run]]:
    """Fill stack after stack: slot -> run.

    A run's slot follows from its seed, never from what else is to be trained: whether a number stands at the end of a
    tensor or inside can change its last bit, so the same run must always stand in the same place.
    """
    waiting: dict[int, deque[Run]] = defaultdict(deque)
    for run in runs:
        waiting[run.seed % stack_size].append(run)
    while any(waiting.values()):
        yield {slot: queue.popleft() for slot, queue in sorted(waiting.items()) if queue}
