"""Which runs are trained together; pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from benchmarks.design import Run
from benchmarks.settings import canonical_json
from zoo.seeds import child_seed


def group_by_program(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that can share one compiled program, in the order in which each program first appears."""
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.dataset, run.dataset_version, run.cell.settings.program()].append(run)
    return list(groups.values())


def stacks(runs: Iterable[Run], stack_size: int) -> Iterator[dict[int, Run]]:
    """Fill stack after stack: slot -> run."""
    waiting: dict[int, deque[Run]] = defaultdict(deque)
    for run in runs:
        waiting[slot_of(run, stack_size)].append(run)
    while any(waiting.values()):
        yield {slot: queue.popleft() for slot, queue in sorted(waiting.items()) if queue}


def slot_of(run: Run, stack_size: int) -> int:
    """The slot in which a run is always trained.

    It follows from the run, never from what else is to be trained: whether a number stands at the end of a tensor or
    inside can change its last bit. Consecutive seeds of a cell fill slots evenly, so do seeds with a common factor, and
    cells begin at different slots, which evens out what is left over.
    """
    first = child_seed(0, "slot", canonical_json(run.cell.settings.identity()))
    return (run.seed + run.seed // stack_size + first) % stack_size
