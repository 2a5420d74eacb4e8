"""Cautions: what the comparisons of a study hang on that its suite does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.plan.sameness import Known, same_cells
from benchmarks.runs import Cell
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.suite.suite import Suite

_RATE = "train.learning_rate"


SAME_SHOWN = 3
"""Groups of cells that train the same that are told in words."""


def cautions(suite: Suite, cells: Sequence[Cell], tuned: Sequence[Cell], known: Mapping[str, Known]) -> tuple[str, ...]:
    """Sentences for the plan and the report.

    Args:
        suite: what a person wrote.
        cells: as they are before anything is tuned.
        tuned: the same cells with the settings that were found so far.
        known: dataset as in the suite -> what is known of it.
    """
    return (*_untuned_optimizers(suite, cells), *_same_trainings(tuned, known))


def _same_trainings(cells: Sequence[Cell], known: Mapping[str, Known]) -> Iterator[str]:
    """Cells are compared that train the same network in the same way."""
    found = same_cells(cells, known)
    for same in found[:SAME_SHOWN]:
        verb = "changes" if len(same.differing) == 1 else "change"
        yield (
            f"The cells {same.named} train the same network in the same way: {' and '.join(same.differing)} {verb} "
            "nothing here, and a difference between their results is chance."
        )
    if len(found) > SAME_SHOWN:
        yield f"So do the cells of {len(found) - SAME_SHOWN} further groups."


def _untuned_optimizers(suite: Suite, cells: Sequence[Cell]) -> Iterator[str]:
    """Optimizers are compared, each at one rate that nothing has tuned."""
    rates: dict[str, set[float]] = {}
    given = set()
    for cell in cells:
        train = cell.settings.train
        rates.setdefault(train.optimizer, set()).add(train.coefficients()["learning_rate"])
        given.add(train.learning_rate)
    searched = suite.search is not None and all(_RATE in suite.search_at(cell.levels).space for cell in cells)
    tuned = any(_RATE in table.settings for table in suite.tuned)
    if len(rates) < 2 or searched or tuned or any(len(each) > 1 for each in rates.values()):
        return
    told = ", ".join(f"{name} {next(iter(each)):g}" for name, each in rates.items())
    if given == {None}:
        how = f"each at the rate of its source ({told}), which was not tuned on these data"
    elif len(given) == 1:
        own = ", ".join(f"{name} {OPTIMIZERS[name].coefficients['learning_rate'].value:g}" for name in rates)
        how = f"all at the one rate {next(iter(given)):g}, which suits some of them; their sources have {own}"
    else:
        how = f"each at one rate ({told})"
    yield (
        f"Optimizers are compared {how}. What is compared is therefore optimizer and rate together: a [search] over "
        f"{_RATE} gives each its best."
    )
