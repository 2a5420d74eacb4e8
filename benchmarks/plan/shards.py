"""Shards: the part of a suite with a search that each job of an array has, whole groups or a share of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.data.dataset import Dataset
from benchmarks.errors import UserError
from benchmarks.plan.groups import Group
from benchmarks.plan.stacks import stacks_by_program
from benchmarks.runs import Run


@dataclass(frozen=True)
class Shard:
    """One part of a plan, for one job of several: such as 3/16, the third of sixteen."""

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, given: str) -> Shard:
        """Read what `--shard` was given.

        Raises:
            UserError: it is no such part.
        """
        number, _, count = given.partition("/")
        if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
            return cls(int(number), int(count))
        raise UserError(
            f"--shard: no part of a plan\n  given:   {given}\n  allowed: NUMBER/COUNT, such as 3/16: 1/16 to 16/16"
        )

    def part_of(self, runs: Sequence[Run], datasets: Mapping[str, Dataset]) -> set[str]:
        """The keys of the runs of this part: the parts of one count share no run, and are the whole together.

        Whole stacks that follow one another, so that runs of one program stay together; what is stored already plays
        no role, so that every job finds the same parts.

        Args:
            runs: all runs of the plan.
            datasets: name as in the suite -> data.
        """
        stacks = list(stacks_by_program(runs, datasets))
        first, end = (len(stacks) * place // self.count for place in (self.number - 1, self.number))
        return {run.key for stack in stacks[first:end] for run in stack.values()}


@dataclass(frozen=True)
class Share:
    """A group that a job searches, and the part of its reported runs that the job trains."""

    group: Group
    part: Shard

    def keys(self, runs: Sequence[Run], datasets: Mapping[str, Dataset]) -> set[str]:
        """The keys of those of all runs of a plan that are of this part.

        Args:
            runs: all of the plan.
            datasets: name as in the suite -> data.
        """
        places = {(cell.dataset, *cell.levels.values()) for cell in self.group.cells}
        own = [run for run in runs if (run.cell.dataset, *run.cell.levels.values()) in places]
        return self.part.part_of(own, datasets)


def shares_of(groups: Sequence[Group], shard: Shard) -> list[Share]:
    """The groups of one job.

    Groups that follow one another in the plan, each as a whole, where there is one for every job. Else neighbouring
    jobs share a group: they search it together, trial by trial, and divide its reported runs. What is stored plays no
    role.
    """
    if len(groups) >= shard.count:
        first, end = (len(groups) * place // shard.count for place in (shard.number - 1, shard.number))
        return [Share(group, Shard()) for group in groups[first:end]]
    group_of_job = [number * len(groups) // shard.count for number in range(shard.count)]
    group = group_of_job[shard.number - 1]
    part = Shard(shard.number - group_of_job.index(group), group_of_job.count(group))
    return [Share(groups[group], part)]
