"""Cautions: what the comparisons of a study hang on that its suite does not say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from benchmarks.runs import Cell
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.suite.suite import Suite

_RATE = "train.learning_rate"


def cautions(suite: Suite, cells: Iterable[Cell]) -> tuple[str, ...]:
    """Sentences for the plan and the report.

    Args:
        suite: what a person wrote.
        cells: as they are before anything is tuned.
    """
    return tuple(_untuned_optimizers(suite, list(cells)))


def _untuned_optimizers(suite: Suite, cells: list[Cell]) -> Iterator[str]:
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
