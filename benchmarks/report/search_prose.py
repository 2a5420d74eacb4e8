"""Searches in sentences: how it was searched, what was spent, and what the intervals say, and nothing beyond them."""

from __future__ import annotations

from benchmarks.analysis.searches import SearchOutcome
from benchmarks.analysis.tuning_gain import Worth
from benchmarks.labels import counted
from benchmarks.report.formatting import Style, named_seeds, sentences
from benchmarks.suite.search import NARROWING

_WAYS = {"grid": "a grid", "random": "a random search", "bayesian": "a Bayesian search", "hyperband": "Hyperband"}


def worth_told(worth: Worth, style: Style) -> str:
    """What the intervals say, in sentences, and nothing beyond them."""
    found = worth.overall
    if not any(cell.gain.n for cell in worth.cells):
        return "No pair of a tuned and an untuned run is there yet."
    n_equal = sum(cell.gain.state == "degenerate" for cell in worth.cells)
    n_few = sum(cell.gain.state in ("raw values", "no values") for cell in worth.cells)
    unit = f" {style.unit_of_differences}".rstrip()
    return sentences(
        f"Of {counted(len(worth.cells), 'cell')}, the 95 % interval of the gain lies above zero in {worth.n_above}, "
        f"holds zero in {worth.n_around}, and lies below zero in {worth.n_below}.",
        n_equal and f"In {n_equal} all differences are equal.",
        n_few and f"In {n_few} there are too few pairs for an interval.",
        len(worth.cells) > 1
        and found.state == "interval"
        and f"Averaged over all cells, the gain is {style.difference(found.mean)} "
        f"({style.differences.interval(found)}){unit}, over {counted(found.n, 'seed')}.",
    )


def how_searched(outcome: SearchOutcome) -> str:
    """How it was searched, in sentences."""
    table, ended = outcome.table, [group for group in outcome.groups if group.has_ended]
    ways = " or ".join(_WAYS[strategy] for strategy in dict.fromkeys(group.strategy for group in outcome.groups))
    n_groups, n_open = len(outcome.groups), len(outcome.groups) - len(ended)
    rounds = max((group.n_rounds for group in ended), default=1)
    up_to = "" if all(group.n_rounds == rounds for group in ended) else "at most "
    return sentences(
        f"Before the runs of this report were trained, {counted(n_groups, 'group')} of cells "
        f"{'was' if n_groups == 1 else 'were'} tuned by {ways} for the best {outcome.metric.title}, with "
        f"{named_seeds(table.seeds)}: none that is reported. The test examples played no part.",
        rounds > 1
        and f"A search went from coarse to fine in {up_to}{rounds} rounds: after each, every range became {NARROWING} "
        "times narrower around the best trial so far.",
        n_open and f"{n_open} of {n_groups} searches have not ended.",
    )


def budgets_told(outcome: SearchOutcome) -> str:
    """Whether all groups got the same, in a sentence."""
    ended = [group.budget for group in outcome.groups if group.has_ended]
    if not ended:
        return "No search has ended yet."
    trials, epochs = ({getattr(each, name) for each in ended} for name in ("trials", "epochs"))
    if len(ended) == 1:
        told = f"The group got {counted(ended[0].trials, 'trial')}."
    elif len(trials) == 1:
        told = f"Every group got {counted(ended[0].trials, 'trial')}"
        told += f" and {counted(ended[0].epochs, 'epoch')}." if len(epochs) == 1 else ", and epochs as the table says."
    else:
        told = f"The budgets are not equal: from {min(trials)} to {counted(max(trials), 'trial')}."
    return told


def gaps_told(outcome: SearchOutcome) -> str:
    """How the choices fared with new seeds, in sentences."""
    found = [outcome.gap(group) for group in outcome.groups]
    known = [gap for gap in found if gap.state == "interval"]
    if not known:
        return "There are not enough runs with the settings that were chosen for an interval."
    above, below = sum(gap.ci_low > 0 for gap in known), sum(gap.ci_high < 0 for gap in known)
    return (
        f"Of {counted(len(known), 'group')} with an interval, the score in the search is better than the interval "
        f"of the score on the reported seeds in {above}, within it in {len(known) - above - below}, and worse in "
        f"{below}."
    )
