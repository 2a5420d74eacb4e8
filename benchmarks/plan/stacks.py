"""Stacks: the runs that are trained together, the slot of each, and their order; pure."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.data.dataset import Dataset
from benchmarks.runs import Run
from benchmarks.settings.run import canonical_json, run_key
from benchmarks.suite.checks import known_task
from benchmarks.training.parts import LARGEST_STACK, check_fit, check_task, stack_size
from zoo.families import MLPConfig
from zoo.seeds import child_seed

ProgramKey = tuple[str, ...]
"""Names the compiled program that a run needs."""

Stack = Mapping[int, Run]
"""Runs that are trained at once, by slot."""


def check_runs(runs: Iterable[Run], datasets: Mapping[str, Dataset]) -> None:
    """Refuse runs that do not fit their data, before anything is trained.

    Args:
        runs: they are passed over where nothing is known of their data.
        datasets: those that can be opened, by their names in the suite; of others, the task is known where they are
            embedded, or it is told.

    Raises:
        SettingError: settings do not fit the size or kind of the data.
    """
    cells = {id(run.cell): run.cell for run in runs}.values()
    for name, settings in dict.fromkeys((cell.dataset, cell.settings) for cell in cells):
        if name in datasets:
            check_fit(settings, datasets[name])
        elif task := known_task(name, settings.data.task):
            check_task(settings, name.partition(":")[0], task)


def program_of(run: Run) -> ProgramKey:
    """The program of a run: equal for runs that can share one."""
    return run.dataset, run.dataset_version, run.cell.settings.program()


def keys_of(stack: Stack) -> dict[int, str]:
    """The keys of a stack's runs, by slot."""
    return {slot: run.key for slot, run in stack.items()}


def group_by_program(runs: Iterable[Run]) -> list[list[Run]]:
    """Runs that can share one compiled program, in the order in which each program first appears."""
    groups: dict[ProgramKey, list[Run]] = defaultdict(list)
    for run in runs:
        groups[program_of(run)].append(run)
    return list(groups.values())


def training_key(run: Run) -> str:
    """The key of the whole training of a run: the run's own, unless it ends before its schedule does."""
    settings = run.cell.settings
    if not settings.train.stop_after:
        return run.key
    whole = replace(settings, train=settings.train.changed(stop_after=0))
    return run_key(whole, run.dataset, run.dataset_version, run.seed)


def epochs_behind(run: Run, kept: Mapping[str, Sequence[int]]) -> int:
    """The epochs after which a run is taken up, where `States.kept` gave the epochs behind the states of trainings."""
    train = run.cell.settings.train
    if not kept or not train.epochs:
        return 0
    length = train.stop_after or train.epochs
    return max((epochs for epochs in kept.get(training_key(run), ()) if epochs <= length), default=0)


def stacks_by_program(
    runs: Iterable[Run], datasets: Mapping[str, Dataset], behind: Callable[[Run], int] = lambda _: 0
) -> Iterator[dict[int, Run]]:
    """All stacks of these runs, those of one program after another.

    The runs of a stack begin and end together: `behind` gives the epochs after which a run is taken up.
    """
    for group in group_by_program(runs):
        cell = group[0].cell
        parts: dict[tuple[int, int], list[Run]] = defaultdict(list)
        for run in group:
            parts[behind(run), run.cell.settings.train.stop_after].append(run)
        for part in parts.values():
            yield from stacks(part, stack_size(cell.settings, datasets[cell.dataset]))


def least_stacks(runs: Iterable[Run]) -> int:
    """How many stacks runs make at least, as far as is known before their data are read."""
    counts = Counter(isinstance(run.cell.settings.model, MLPConfig) for run in runs)
    num_dense, num_others = counts[True], counts[False]
    return num_others + -(-num_dense // LARGEST_STACK)


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
    cells begin at different slots, which evens out what is left over. A training that is continued stays where it was.
    """
    identity = run.cell.settings.identity()
    identity["train"].pop("stop_after", None)
    first = child_seed(0, "slot", canonical_json(identity))
    return (run.seed + run.seed // stack_size + first) % stack_size


class StackQueue:
    """Hands stacks to workers, so that as few programs as possible are compiled twice.

    A worker goes on with the program that it has; then it takes one that nobody has begun; then it helps where that
    ends sooner than waiting: where the stacks that are left take longer than compiling the program once more.

    Args:
        stacks: all stacks, those of one program after another.
    """

    def __init__(self, stacks: Iterable[Stack]):
        self._waiting: dict[ProgramKey, deque[Stack]] = {}
        for stack in stacks:
            self._waiting.setdefault(program_of(next(iter(stack.values()))), deque()).append(stack)
        self._begun: set[ProgramKey] = set()
        self._seconds: dict[ProgramKey, tuple[float, float]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, has: ProgramKey | None, *, is_alone: bool = False) -> Stack | None:
        """The next stack for a worker; None where there is none, or none that is worth its while.

        Args:
            has: the program that the worker has compiled.
            is_alone: whether no other worker has anything to do, so that every stack is worth its while.
        """
        if has is not None and self._waiting.get(has):
            return self._pop(has)
        fresh = next((program for program, waiting in self._waiting.items() if program not in self._begun), None)
        if fresh is not None:
            return self._pop(fresh)
        slowest = max(self._waiting, key=self._gain, default=None)
        return self._pop(slowest) if slowest is not None and (is_alone or self._gain(slowest) > 0) else None

    def put_back(self, stack: Stack) -> None:
        """Take a stack back whose training came to nothing; it is the next of its program."""
        program = program_of(next(iter(stack.values())))
        self._begun.discard(program)
        self._waiting.setdefault(program, deque()).appendleft(stack)

    def note(self, program: ProgramKey, compiling: float, training: float) -> None:
        """Learn how many seconds compiling a program and training one of its stacks took."""
        self._seconds[program] = (compiling or self._seconds.get(program, (0.0, 0.0))[0], training)

    def _pop(self, program: ProgramKey) -> Stack:
        self._begun.add(program)
        waiting = self._waiting[program]
        stack = waiting.popleft()
        if not waiting:
            del self._waiting[program]
        return stack

    def _gain(self, program: ProgramKey) -> float:
        """Seconds that a second worker would spare, roughly; before anything is known, help is taken to pay."""
        compiling, training = self._seconds.get(program, (0.0, 1.0))
        return len(self._waiting[program]) * training - compiling
