"""Studies and plans of suites in stores of tests."""

from __future__ import annotations

from pathlib import Path

from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.plan import Plan
from benchmarks.plan.study import Expansion, Study
from benchmarks.store import Store
from benchmarks.suite.reading import parse_suite


def study_of(store, name):
    """A suite as it was last run into a store."""
    return Study.registered(store.registration(name), store)


def plan_of(text, store, seeds=None):
    """A suite that is to be run into a store, with the first version of its data."""
    suite = parse_suite(text, "suite.toml")
    expansion = Expansion(suite, dict.fromkeys(suite.datasets, "1.0.0"))
    seeds = suite.seed_list if seeds is None else seeds
    plan = Plan(expansion, text, seeds, path=Path("suite.toml"), references={}, unread=())
    return plan.renewed(store)


def recorded(folder, text, facts, result, machine=None, order=list):
    """A store with the runs of a suite, but those whose result is None.

    Args:
        folder: of the store.
        text: of the suite.
        facts: dataset -> what is known of it.
        result: run -> what it came to.
        machine: facts about that on which all were trained.
        order: runs -> the same in the order in which they are recorded.
    """
    suite, store = parse_suite(text, "suite.toml"), Store.create_or_open(folder)
    store.register(suite.name, text, suite.seed_list, {name: facts[name] for name in suite.datasets})
    versions = {name: facts[name].version for name in suite.datasets}
    for run in order(expand_runs(expand_cells(suite), suite.seed_list, versions)):
        found = result(run)
        if found is not None:
            store.record(run, found, machine or {})
    return store
