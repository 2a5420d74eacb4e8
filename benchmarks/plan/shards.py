"""Shards: what of a plan each job of an array has; of a suite with a search, whole groups or a share of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.data.dataset import Dataset
from benchmarks.errors import UserError
from benchmarks.plan.groups import Group, place_of
from benchmarks.plan.stacks import stacks_by_program
from benchmarks.runs import Run

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """One shard of a plan, for one job of several: such as 3/16, the third of sixteen."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, given: str) -> Shard:
        """Read what `--shard` was given.

        Raises:
            UserError: it is no shard.
        """
        number, _, count = given.partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise UserError(
            f"--shard: no part of a plan\n  given:   {given}\n  allowed: NUMBER/COUNT, such as 3/16: 1/16 to 16/16"
        )

    def keys(self, runs: Sequence[Run], datasets: Mapping[str, Dataset]) -> set[str]:
        """The keys of this shard of some runs: the shards of one count share no run, and are the whole together.

        Whole stacks that follow one another, so that runs of one program stay together; what is stored already plays
        no role, so that every job finds the same shards.
        """
        return {run.key for stack in self.cut(list(stacks_by_program(runs, datasets))) for run in stack.values()}

    def cut(self, whole: list[T]) -> list[T]:
        """What this shard has of a list: items that follow one another."""
        first, end = (len(whole) * place // self.count for place in (self.number - 1, self.number))
        return whole[first:end]


@dataclass(frozen=True)
class Share:
    """A group that a job searches, and the shard of its reported runs that the job trains."""

    group: Group
    shard: Shard

    def keys(self, runs: Sequence[Run], datasets: Mapping[str, Dataset]) -> set[str]:
        """The keys of those of all runs of a plan that are of this share."""
        places = {place_of(cell) for cell in self.group.cells}
        return self.shard.keys([run for run in runs if place_of(run.cell) in places], datasets)


def shares_of(groups: list[Group], shard: Shard) -> list[Share]:
    """The groups of one job.

    Groups that follow one another in the plan, each as a whole, where there is one for every job. Else neighbouring
    jobs share a group: they search it together, trial by trial, and divide its reported runs. What is stored plays no
    role.
    """
    if len(groups) >= shard.count:
        return [Share(group, Shard()) for group in shard.cut(groups)]
    group_of_job = [number * len(groups) // shard.count for number in range(shard.count)]
    group = group_of_job[shard.number - 1]
    return [Share(groups[group], Shard(shard.number - group_of_job.index(group), group_of_job.count(group)))]
