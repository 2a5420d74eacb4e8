"""Studies and plans of suites in stores of tests."""

from __future__ import annotations

from pathlib import Path

from benchmarks.plan.plan import Plan
from benchmarks.plan.study import Expansion, Study
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
