"""Searching a space by asking what to try next and telling what came out of it; Keras Tuner's oracles choose.

Nothing is written to disk. What was told is the whole record: a search goes on where it is asked again from its
beginning, and told at once what is known.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuning.errors import Problem, TuningError, as_written, dotted, unknown
from tuning.hyperband import Bracket, brackets_of, cost, plan_brackets
from tuning.parameters import of_python
from tuning.space import Point, Space

if TYPE_CHECKING:
    from tuning.oracles import Suggester

REVISION = 3
"""Raised when the same space, configuration and scores come to give other trials."""

STRATEGIES = ("grid", "random", "bayesian", "hyperband")


@dataclass(frozen=True)
class SearchConfig:
    """How a space is searched; checked when it is made.

    Raises:
        TuningError: with each problem and its path.
    """

    strategy: str
    """"grid", "random", "bayesian" or "hyperband"."""
    trials: int
    """How many points are tried at most. Hyperband spends the epochs of so many trainings of `max_epochs`."""
    objective: str
    """The name of the score."""
    direction: str
    """Whether the best score is the largest, "max", or the smallest, "min"."""
    seed: int = 0
    max_epochs: int | None = None
    """Only Hyperband: the epochs of its longest trainings."""
    factor: int | None = None
    """Only Hyperband: one in how many goes on to be trained that many times longer; 3 unless given."""
    initial: int | None = None
    """Only Bayesian: how many points are random before a model chooses; unless given, two for each parameter, and three
    at least."""
    batch: int | None = None
    """Only Bayesian: how many points are chosen from the same results, to be trained at once; 1 unless given."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, of_python(value))
        problems = [*self._problems_of_numbers(), *self._problems_of_choice()]
        if problems:
            raise TuningError(problems)

    def _problems_of_choice(self) -> Iterable[Problem]:
        if self.strategy not in STRATEGIES:
            yield unknown("strategy", "strategy", self.strategy, STRATEGIES)
        if self.direction not in ("max", "min"):
            yield unknown("direction", "direction", self.direction, ("max", "min"))
        if not isinstance(self.objective, str) or not self.objective:
            yield Problem("objective", "no objective", as_written(self.objective), "the name of a score")
        for name, strategy in _ONLY_WITH.items():
            if getattr(self, name) is not None and self.strategy != strategy:
                message = f"no effect with strategy = {as_written(self.strategy)}"
                yield Problem(name, message, as_written(getattr(self, name)), f"only with strategy = {strategy!r}")
        if self.strategy == "hyperband" and self.max_epochs is None:
            yield Problem("max_epochs", "this key is required by hyperband")

    def _problems_of_numbers(self) -> Iterable[Problem]:
        if type(self.seed) is not int:
            yield Problem("seed", "wrong type", as_written(self.seed), "a whole number")
        for name, least in (("trials", 1), ("max_epochs", 1), ("factor", 2), ("initial", 1), ("batch", 1)):
            value = getattr(self, name)
            if value is None and name != "trials":
                continue
            if type(value) is not int or value < least:
                yield Problem(name, "wrong value", as_written(value), f"a whole number, at least {least}")


_ONLY_WITH = {"max_epochs": "hyperband", "factor": "hyperband", "initial": "bayesian", "batch": "bayesian"}


@dataclass(frozen=True)
class Trial:
    """One thing to train and score."""

    number: int
    """Its place in the search, which does not depend on how many were asked for at a time.

    Of Hyperband, its place among all that the budget pays; a number is left out where a rung has fewer trainings that
    did not fail than it could continue.
    """
    values: Point
    """Path -> value."""
    budget: int | None = None
    """Only Hyperband: the epochs after which it is scored, counted from the very beginning."""
    resumes: int | None = None
    """Only Hyperband: the number of the trial whose training it continues, with its full state."""


@dataclass(frozen=True)
class Outcome:
    """A trial and its score; None where it failed or the score was not finite."""

    trial: Trial
    score: float | None


class Search:
    """One search: `ask` what to try, `tell` the score.

    The trials are a function of space, configuration and scores alone, however many are asked for at a time and in
    whatever order scores are told. That limits how many can be asked for before the next score is told:

    - grid and random: all of them, since scores change nothing;
    - bayesian: all the initial ones; then `batch` at a time. Each trial of a batch is chosen from the scores of all
      trials before its batch, and a pessimistic guess (mean plus one standard deviation of the model) for those before
      it in the batch. Failed trials count as the worst score so far.
    - hyperband: a rung can be asked for once all of the rung before it is told, and brackets do not wait for each
      other. Failed trials are never continued.

    No point is tried twice, except where Hyperband continues it.

    Raises:
        TuningError: a grid is infinite or has more points than there are trials, or Hyperband has not epochs or points
            enough for its first bracket.
    """

    def __init__(self, space: Space, config: SearchConfig):
        self.space = space
        self.config = config
        if config.strategy == "grid":
            _check_grid(space, config)
        self._plan = _checked_plan(space, config) if config.strategy == "hyperband" else []
        self._asked: dict[int, Trial] = {}
        self._scores: dict[int, float | None] = {}
        self._names: dict[int, str] = {}
        self._rungs = _Rungs(self._plan)

    @property
    def rungs(self) -> list[range]:
        """The numbers of the trials of each rung of Hyperband, bracket by bracket; none for the others."""
        return self._rungs.numbers

    @property
    def epochs(self) -> int | None:
        """The epochs that Hyperband spends if nothing fails; None for the others, which leave that to the training."""
        return sum(map(cost, self._plan)) if self._plan else None

    @property
    def most_trials(self) -> int:
        """How many trials there are if nothing fails."""
        if self._plan:
            return sum(rung.size for bracket in self._plan for rung in bracket)
        size = self.space.size
        return self.config.trials if size is None else min(self.config.trials, size)

    @property
    def waiting(self) -> list[Trial]:
        """What was asked for and not told yet."""
        return [trial for number, trial in sorted(self._asked.items()) if number not in self._scores]

    @property
    def history(self) -> list[Outcome]:
        """What was told, by number."""
        told = sorted(self._asked.keys() & self._scores.keys())
        return [Outcome(self._asked[number], self._scores[number]) for number in told]

    @property
    def exhausted(self) -> bool:
        """Whether every point of the space was tried."""
        return len(self._asked) == self.space.size and not self._plan

    def ask(self, count: int = 1) -> list[Trial]:
        """What to train next, at most so many.

        Fewer, or none, are given where what comes next depends on scores that are not told yet; none while nothing is
        `waiting` means that the search has ended.
        """
        trials: list[Trial] = []
        while len(trials) < count:
            trial = self._next_of_rungs() if self._plan else self._next()
            if trial is None:
                break
            self._asked[trial.number] = trial
            trials.append(trial)
        return trials

    def tell(self, trial: Trial, score: float | None) -> None:
        """Take in the score of a trial; None where it failed. A score that is not finite counts as failed.

        Raises:
            ValueError: the trial was not asked for, or was told before.
        """
        number = trial.number
        if self._asked.get(number) != trial:
            raise ValueError(f"trial {number} was not asked for in this search: {trial}")
        if number in self._scores:
            raise ValueError(f"trial {number} was told before: {self._scores[number]}")
        self._scores[number] = float(score) if score is not None and math.isfinite(score) else None
        if self._plan:
            self._finish_rung(number)

    def _next(self) -> Trial | None:
        """The next trial of a strategy in which each point is trained once."""
        number = len(self._asked)
        if self.exhausted or number == self.config.trials or not self._take_scores_before(number):
            return None
        suggested = self._oracle.suggest()
        if suggested is None:
            return None
        self._names[number], point, _ = suggested
        return Trial(number, point)

    def _take_scores_before(self, number: int) -> bool:
        """Let the oracle know what a Bayesian trial of this number is chosen from; False while that is incomplete."""
        initial, batch = _initial(self.space, self.config), self.config.batch or 1
        if self.config.strategy != "bayesian" or number < initial or (number - initial) % batch:
            return True
        if len(self._scores) < number:
            return False
        worst_of = min if self.config.direction == "max" else max
        worst = worst_of((score for score in self._scores.values() if score is not None), default=0.0)
        for each, score in self._scores.items():
            self._oracle.finish(self._names[each], worst if score is None else score)
        return True

    def _next_of_rungs(self) -> Trial | None:
        """The next trial of Hyperband."""
        while True:
            suggested = self._oracle.suggest()
            if suggested is None:
                return None
            name, point, own = suggested
            parent = self._rungs.number_of.get(own.get("tuner/trial_id", ""))
            number = self._rungs.place(name, parent)
            self._names[number] = name
            trial = Trial(number, point, own["tuner/epochs"], parent)
            if parent is None or self._scores[parent] is not None:
                return trial
            # All that did not fail are continued already, so this place of the rung stays empty.
            self._scores[number] = None
            self._finish_rung(number)

    def _finish_rung(self, number: int) -> None:
        """Let the oracle know the scores of a rung once all are told."""
        rung = self._rungs.around(number)
        if all(each in self._scores for each in rung):
            worst = -math.inf if self.config.direction == "max" else math.inf
            for each in rung:
                score = self._scores[each]
                self._oracle.finish(self._names[each], worst if score is None else score)

    @functools.cached_property
    def _oracle(self) -> Suggester:
        from tuning.oracles import ORACLES  # it imports TensorFlow

        config = self.config
        options: dict[str, int | None] = {}
        if config.strategy == "bayesian":
            options = {"num_initial_points": _initial(self.space, config)}
        if config.strategy == "hyperband":
            settings = sum(bracket[0].size for bracket in self._plan)
            options = {"max_epochs": config.max_epochs, "factor": _factor(config), "settings": settings}
        objective = (config.objective, config.direction)
        return ORACLES[config.strategy](self.space, objective, config.seed, **options)


class _Rungs:
    """Which number each trial of Hyperband has: bracket by bracket, rung by rung."""

    def __init__(self, plan: list[Bracket]):
        sizes = [rung.size for bracket in plan for rung in bracket]
        self.numbers = [range(end - size, end) for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)]
        """The numbers of each rung; the rung after it in its bracket is the next in the list."""
        self._free = [iter(numbers) for numbers in self.numbers]
        begins = [rung is bracket[0] for bracket in plan for rung in bracket]
        self._free_to_begin = list(itertools.compress(self._free, begins))
        self.number_of: dict[str, int] = {}
        """The oracle's name of a trial -> its number."""

    def place(self, name: str, parent: int | None) -> int:
        """Give a number to a new trial: in the rung after its parent's, or the next that begins something new."""
        rungs = self._free_to_begin if parent is None else [self._free[self._rung_of(parent) + 1]]
        self.number_of[name] = next(number for rung in rungs for number in rung)
        return self.number_of[name]

    def around(self, number: int) -> range:
        """All numbers of the rung in which this one is."""
        return self.numbers[self._rung_of(number)]

    def _rung_of(self, number: int) -> int:
        return next(index for index, numbers in enumerate(self.numbers) if number in numbers)


def _initial(space: Space, config: SearchConfig) -> int:
    return config.initial or max(3, 2 * len(space.parameters))


def _factor(config: SearchConfig) -> int:
    return config.factor or 3


def _check_grid(space: Space, config: SearchConfig) -> None:
    """Refuse a grid that is not finite or not paid for: a part of it would favour what comes first."""
    if space.continuous:
        allowed = "choices, or a range with a step"
        raise TuningError(
            Problem(dotted("space", path), "a continuous range in a grid", allowed=allowed) for path in space.continuous
        )
    if space.size is not None and space.size > config.trials:
        message = f"the grid has {space.size:,} points"
        raise TuningError([Problem("trials", message, as_written(config.trials), f"at least {space.size}")])


def _checked_plan(space: Space, config: SearchConfig) -> list[Bracket]:
    """What Hyperband can pay; refused where that is nothing."""
    assert config.max_epochs is not None
    factor = _factor(config)
    plan = plan_brackets(config.max_epochs, factor, config.trials * config.max_epochs, space.size)
    if plan:
        return plan
    first = brackets_of(config.max_epochs, factor)[0]
    if space.size is not None and space.size < first[0].size:
        message = f"the space has {space.size} points, and the first bracket of hyperband begins with {first[0].size}"
        raise TuningError([Problem("strategy", message, "hyperband", "grid, random or bayesian")])
    message = f"the first bracket of hyperband takes {cost(first)} epochs, and {config.trials} trainings have "
    message += f"{config.trials * config.max_epochs}"
    least = math.ceil(cost(first) / config.max_epochs)
    raise TuningError([Problem("trials", message, as_written(config.trials), f"at least {least}")])
