"""A suite: what a person wrote, checked before anything is expanded or trained."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from benchmarks.suite.checks import problems_of
from benchmarks.suite.format import SuiteFormat
from zoo.settings import found_problems


class Suite(SuiteFormat):
    """A suite: base settings, factors, design, datasets and seeds, which go together."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = list(problems_of(self))
        if problems:
            raise found_problems(problems)
        return self
