"""Which runs are tried again after what kind of failure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.design import Run
from benchmarks.execution.schedule import Stack, StackQueue
from benchmarks.training.results import RunResult

MOST_ATTEMPTS = 3
"""How often a stack is tried whose worker died or had too little memory: twice as it is, and then each of its runs
alone. What is raised for another reason would be raised again."""


def try_again(
    stack: Stack, failure: RunResult, queue: StackQueue, attempts: Counter[str]
) -> Iterator[tuple[Run, RunResult]]:
    """Have runs tried again for whose failure they need not be to blame; after the last attempt it is theirs."""
    attempts.update(run.key for run in stack.values())
    tried = max(attempts[run.key] for run in stack.values())
    if tried < MOST_ATTEMPTS - 1:
        queue.put_back(stack)
    elif tried == MOST_ATTEMPTS - 1:
        for slot, run in stack.items():
            queue.put_back({slot: run})
    else:
        for run in stack.values():
            yield run, replace(failure, message=f"tried {tried} times: {failure.message}")


def is_starved(result: RunResult | None) -> bool:
    """Whether a run ended for want of memory."""
    return result is not None and result.status == "out_of_memory"
