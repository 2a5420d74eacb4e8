"""Stacks: runs that are trained together, and the slot of each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plan.stacks import group_by_program, stacks


def program_of(run):
    return (run.dataset, run.dataset_version, run.cell.settings.program())


def names_of(runs):
    return [(run.cell.dataset, run.cell.title, run.seed) for run in runs]


@pytest.fixture(scope="module")
def runs(runs_of):
    """36 runs of 3 programs on each of 2 datasets: an initializer and a learning rate share a program."""
    factors = {
        "model.activation": ["relu", "tanh", "gelu"],
        "model.initializer": ["he_normal", "glorot_uniform"],
    }
    return runs_of(3, datasets=["digits", "mnist"], factors=factors)


def test_groups_by_hand(runs_of):
    """Runs that differ in what is only fed in are one group; another depth or dataset begins a new one."""
    factors = {"train.learning_rate": [0.1, 0.2], "model.depth": [1, 2]}
    groups = group_by_program(runs_of(2, datasets=["digits", "mnist"], factors=factors))
    assert [names_of(group) for group in groups] == [
        [(dataset, f"{rate}, {depth}", seed) for rate in (0.1, 0.2) for seed in (0, 1)]
        for dataset in ("digits", "mnist")
        for depth in (1, 2)
    ]


@given(data=st.data())
def test_groups_partition_the_runs(runs, data):
    """Whatever runs are to be trained, in whatever order: each is in one group, with those of its program alone."""
    chosen = data.draw(st.lists(st.sampled_from(range(len(runs))), unique=True))
    pending = [runs[index] for index in chosen]
    groups = group_by_program(pending)
    assert sorted(run.key for group in groups for run in group) == sorted(run.key for run in pending)
    programs = [{program_of(run) for run in group} for group in groups]
    assert all(len(each) == 1 for each in programs)
    assert len(set.union(set(), *programs)) == len(groups)
    for group in groups:
        assert group == [run for run in pending if program_of(run) == program_of(group[0])]


def test_no_runs():
    """Nothing to train makes no groups and no stacks."""
    assert group_by_program([]) == []
    assert list(stacks([], 8)) == []


def test_versions_of_a_dataset_are_apart(runs_of):
    """Runs on two versions of a dataset are never in one group: they read other data."""
    first = runs_of(1)
    second = [type(run)(run.cell, run.seed, "2.0.0") for run in first]
    assert len(group_by_program([*first, *second])) == 2 * len(group_by_program(first))


@given(data=st.data(), size=st.integers(1, 6))
def test_every_run_is_stacked_once(runs, data, size):
    """Whatever is pending, each run is in one slot of one stack, and no stack has more slots than it may."""
    pending = data.draw(st.lists(st.sampled_from(runs), unique_by=lambda run: run.key))
    filled = list(stacks(pending, size))
    assert sorted(run.key for stack in filled for run in stack.values()) == sorted(run.key for run in pending)
    assert all(stack for stack in filled)
    assert all(set(stack) <= set(range(size)) for stack in filled)


@given(data=st.data(), size=st.integers(1, 6))
def test_the_slot_follows_from_the_run_alone(runs, data, size):
    """A run stands in the same slot whatever is trained beside it, in any order: a resume changes no arithmetic."""
    expected = {run.key: slot for run in runs for slot, _ in _slots_alone(run, size)}
    pending = data.draw(st.lists(st.sampled_from(runs), unique_by=lambda run: run.key))
    for stack in stacks(pending, size):
        for slot, run in stack.items():
            assert slot == expected[run.key]


def _slots_alone(run, size):
    (stack,) = stacks([run], size)
    return [(slot, each.seed) for slot, each in stack.items()]


@given(num_seeds=st.integers(1, 12), size=st.integers(1, 8))
def test_consecutive_seeds_fill_stacks(runs_of, num_seeds, size):
    """Seeds 0 to n - 1 of one cell stand side by side: as few stacks as there can be."""
    runs = runs_of(num_seeds)[:num_seeds]
    assert len(list(stacks(runs, size))) == -(-num_seeds // size)


def test_seeds_with_a_common_factor_fill_stacks(runs_of):
    """Seeds 0, 10, 20, 30, 40 stand side by side too: a list of seeds need not be consecutive to be fast."""
    runs = [run for run in runs_of(41) if run.seed % 10 == 0][:5]
    assert len(list(stacks(runs, 5))) == 1


def test_cells_even_out_what_is_left_over(runs_of):
    """The sixth seeds of many cells do not all wait for one slot."""
    factors = {"train.learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]}
    assert len(list(stacks(runs_of(6, factors=factors), 5))) < 20


def test_stacks_keep_the_order_within_a_slot(runs):
    """The runs of one slot come in the order in which they were handed in."""
    for size in (1, 2, 3):
        for slot in range(size):
            keys = [stack[slot].key for stack in stacks(runs, size) if slot in stack]
            assert keys == [run.key for run in runs if _slots_alone(run, size)[0][0] == slot]
