"""A search divided among the jobs of an array: who searches what and trains what; and real jobs on one store."""

from __future__ import annotations

from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.execution.running import Session
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of, tuned_runs, untuned_runs
from benchmarks.plan.shards import Shard, shares_of
from benchmarks.suite.suite import Suite

VERSIONS = {"digits": "1.0.0"}
DATA = {"digits": SimpleNamespace(input_shape=(8, 8, 1), num_classes=10)}


def suite_with(widths, depths, seeds, **search):
    """A suite of so many cells."""
    table = {"strategy": "random", "trials": 2, "objective": "val_loss"}
    table |= {"space": {"train.learning_rate": {"log": [1e-4, 1e-1]}}}
    return Suite(
        name="searched",
        datasets=["digits"],
        seeds=seeds,
        model={"variant": "mlp_small"},
        factors={"model.width": [8 * (1 + each) for each in range(widths)], "model.depth": list(range(1, 1 + depths))},
        search=table | search,
    )


def plan_of(suite, found):
    """What of a plan says who trains what, once so many searches have ended."""
    cells = expand_cells(suite)
    groups = groups_of(suite, cells, VERSIONS)
    chosen = {group.key: {"train.learning_rate": 0.01} for group in groups[:found]}
    runs = tuned_runs(suite, cells, groups_of(suite, cells, VERSIONS), suite.seed_list, VERSIONS, chosen)
    every = {run.key: run for run in (*runs, *untuned_runs(suite, cells, suite.seed_list, VERSIONS))}
    open_groups = [group for group in groups if group.key not in chosen]
    return SimpleNamespace(runs=runs, all_runs=list(every.values()), groups=groups, open_groups=open_groups)


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 24),
    widths=st.integers(2, 5),
    depths=st.integers(2, 4),
    seeds=st.integers(1, 12),
    per=st.sampled_from(["cell", "suite", ["model.depth"]]),
    untuned=st.booleans(),
)
def test_jobs_search_every_group_and_train_every_run_once(count, widths, depths, seeds, per, untuned):
    """The parts are the whole and share no run; each job trains runs of its own groups alone; few jobs share none."""
    suite = suite_with(widths, depths, seeds, per=per, untuned=untuned)
    plan = plan_of(suite, widths * depths)
    jobs = [Session(plan, None, None, DATA, None, Shard(number, count)) for number in range(1, count + 1)]
    parts = [[run.key for run in job.own(plan.all_runs)] for job in jobs]
    assert sorted(key for part in parts for key in part) == sorted(run.key for run in plan.all_runs)
    searched = [[share.group.key for share in shares_of(plan.groups, job.shard)] for job in jobs]
    assert all(searched)
    assert {key for keys in searched for key in keys} == {group.key for group in plan.groups}
    if count <= len(plan.groups):
        assert sum(map(len, searched)) == len(plan.groups)
        assert max(map(len, searched)) - min(map(len, searched)) <= 1
    else:
        assert all(len(keys) == 1 for keys in searched)


def test_the_parts_of_a_search_do_not_depend_on_what_is_stored():
    """A job that is sent again finds its own groups, however many searches have ended, and trains no waiting run."""
    suite = suite_with(3, 2, 2)
    for count in (2, 4, 9):
        wholes = [
            {
                run.key
                for run in Session(plan_of(suite, 6), None, None, DATA, None, Shard(n, count)).own(
                    plan_of(suite, 6).runs
                )
            }
            for n in range(1, count + 1)
        ]
        for found in range(6):
            plan = plan_of(suite, found)
            for number, whole in enumerate(wholes, 1):
                job = Session(plan, None, None, DATA, None, Shard(number, count))
                mine = {share.group.key for share in shares_of(plan.groups, job.shard)}
                assert {group.key for group in job.open_groups} == mine & {group.key for group in plan.open_groups}
                if not job.open_groups:
                    assert {run.key for run in job.own(plan.runs)} == whole
