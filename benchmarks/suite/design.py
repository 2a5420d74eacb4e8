"""The `design` of a suite: which combinations of levels are run."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from benchmarks.runs import LARGEST_SEED
from benchmarks.suite.search import OBJECTIVES
from zoo.settings import OneOf, Problem, Settings, as_written, found_problems, setting

DESIGNS: dict[str, str] = {
    "factorial": "every combination of levels",
    "one_factor": "the baseline, and each other level alone",
    "leave_one_out": "the baseline, which is a full recipe, and each part of it taken out alone",
    "add_one_in": "the baseline, which is a bare recipe, and each part put in alone",
    "paired": "the first levels of all factors together, then the second levels, and so on",
    "fractional": "a fraction of all combinations of two-level factors, chosen so that main effects can be estimated",
    "sample": "the baseline, and combinations drawn at random",
    "path": "from the baseline one change after another, in an order that is declared or found; and each change alone",
}
"""Every name that `design` accepts; `benchmarks.plan.expansion` expands them."""

DesignName = Annotated[str, OneOf("design", DESIGNS)]

TWO_LEVEL_DESIGNS = ("leave_one_out", "add_one_in", "fractional", "path")
"""Designs whose factors are there or not there: they take two levels each, but where a path finds its changes."""

FROM_BASELINE = ("leave_one_out", "add_one_in", "path")
"""Designs in which it is the baseline that says which of two levels is which; so it has to name them all."""

SAMPLE_EXAMPLE = '{ name = "sample", cells = 40 }'
"""How a design with options is written."""


class Design(Settings):
    """Which combinations of levels are run."""

    name: DesignName = setting(..., "How combinations are chosen.")
    resolution: int = setting(
        4,
        "Of `fractional`: 4 keeps main effects clear of interactions of two factors, 5 keeps also those apart.",
        only_with={"name": ("fractional",)},
        ge=4,
        le=5,
    )
    cells: int | None = setting(
        None,
        "Of `sample`, which needs it: cells of each dataset, with the baseline and without those of `include`.",
        only_with={"name": ("sample",)},
        ge=2,
    )
    seed: int = setting(
        0,
        "Of `sample`: which one is drawn. A longer sample of the same seed begins with the shorter.",
        only_with={"name": ("sample",)},
        ge=0,
        le=LARGEST_SEED,
    )
    order: list[str] = setting(
        [],
        "Of `path`: the factors in the order in which they change; else that of `factors`.",
        only_with={"name": ("path",)},
    )
    objective: Annotated[str, OneOf("objective", OBJECTIVES)] | None = setting(
        None,
        "Of `path`: finds the order instead. From the baseline on, the change is taken that makes this best, its mean "
        "over the datasets and `search_seeds`; until none makes it better.",
        only_with={"name": ("path",)},
    )
    search_seeds: list[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] = setting(
        [1000, 1001, 1002],
        "Of a `path` that is found: the seeds on which it is; none of them is one that is reported.",
        only_with={"objective": tuple(OBJECTIVES)},
        min_length=1,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.name == "sample" and self.cells is None:
            raise found_problems([Problem("cells", "a sample needs its number of cells", allowed=SAMPLE_EXAMPLE)])
        if self.objective and self.order:
            message = "the order is declared, and an objective is there to find it"
            raise found_problems([Problem("order", message, as_written(self.order), "order, or objective")])
        if len(set(self.search_seeds)) < len(self.search_seeds):
            raise found_problems([Problem("search_seeds", "a seed is given twice", as_written(self.search_seeds))])
        return self
