"""From a suite to its cells and runs."""

from __future__ import annotations

import functools
import itertools
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from benchmarks.plan.combinations import refuse_too_many
from benchmarks.plan.comparisons import comparison, estimable
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.fractions import fraction
from benchmarks.suite.design import DESIGNS
from benchmarks.suite.reading import parse_suite
from zoo.settings import SettingError

FACTORS = {
    "model.activation": ["relu", "tanh", "gelu"],
    "model.depth": [1, 2],
    "train.learning_rate": [0.1, 0.01, 0.001, 0.0001],
}
LABELS = [["relu", "tanh", "gelu"], ["1", "2"], ["0.1", "0.01", "0.001", "0.0001"]]
RECIPES = {
    "plain": {"train.optimizer": "sgd", "train.learning_rate": 0.1},
    "adaptive": {"train.optimizer": "adam", "train.learning_rate": 0.001},
}


def problem_of(suite):
    with pytest.raises(SettingError) as caught:
        expand_cells(suite)
    (problem,) = caught.value.problems
    return problem


def levels_of(cells):
    return [tuple(cell.levels.values()) for cell in cells]


def test_factorial_is_the_product(suite_of):
    """A factorial design has every combination of levels once, the last factor changing fastest."""
    cells = expand_cells(suite_of(factors=FACTORS))
    assert levels_of(cells) == list(itertools.product(*LABELS))
    assert all(list(cell.levels) == list(FACTORS) for cell in cells)


def test_cells_have_the_settings_of_their_levels(suite_of):
    """Each cell's settings are the base with its own levels, and nothing else changed."""
    base = suite_of().settings_at({"model.activation": "relu"}).flat()
    for cell, combination in zip(
        expand_cells(suite_of(factors=FACTORS)), itertools.product(*FACTORS.values()), strict=True
    ):
        assert cell.settings.flat() == base | dict(zip(FACTORS, combination, strict=True))


def test_one_factor_by_hand(suite_of):
    """The one-factor design is the baseline, then each other level alone, written out here by hand."""
    baseline = {"model.activation": "tanh", "model.depth": 1, "train.learning_rate": 0.001}
    cells = expand_cells(suite_of(design="one_factor", factors=FACTORS, baseline=baseline))
    assert levels_of(cells) == [
        ("tanh", "1", "0.001"),
        ("relu", "1", "0.001"),
        ("gelu", "1", "0.001"),
        ("tanh", "2", "0.001"),
        ("tanh", "1", "0.1"),
        ("tanh", "1", "0.01"),
        ("tanh", "1", "0.0001"),
    ]


@given(sizes=st.lists(st.integers(2, 5), min_size=1, max_size=4), num_datasets=st.integers(1, 3))
def test_counts(suite_of, sizes, num_datasets):
    """A factorial design has the product of the level counts, a one-factor design 1 + the sum of (levels - 1)."""
    paths = ["model.width", "model.depth", "train.batch_size", "train.epochs"]
    factors = {path: list(range(1, size + 1)) for path, size in zip(paths, sizes, strict=False)}
    datasets = ["digits", "mnist", "cifar10"][:num_datasets]
    product = 1
    for size in sizes:
        product *= size
    assert len(expand_cells(suite_of(factors=factors, datasets=datasets))) == product * num_datasets
    one_factor = expand_cells(suite_of(factors=factors, datasets=datasets, design="one_factor"))
    assert len(one_factor) == (1 + sum(size - 1 for size in sizes)) * num_datasets


def test_datasets_are_crossed_with_the_levels(suite_of):
    """Every dataset has the same cells, dataset by dataset."""
    cells = expand_cells(suite_of(datasets=["digits", "mnist:3.0.1"]))
    assert [(cell.dataset, cell.title) for cell in cells] == [
        ("digits", "relu"),
        ("digits", "tanh"),
        ("mnist:3.0.1", "relu"),
        ("mnist:3.0.1", "tanh"),
    ]


def test_exclude_takes_every_cell_with_all_the_levels(suite_of):
    """A pattern leaves out the cells that have all its levels, whatever their other levels."""
    exclude = [{"model.activation": "gelu", "model.depth": 2}, {"train.learning_rate": 0.1}]
    cells = expand_cells(suite_of(factors=FACTORS, exclude=exclude, baseline={"train.learning_rate": 0.01}))
    expected = [
        (activation, depth, rate)
        for activation, depth, rate in itertools.product(*LABELS)
        if not (activation == "gelu" and depth == "2") and rate != "0.1"
    ]
    assert levels_of(cells) == expected


def test_include_fills_up_from_the_baseline(suite_of):
    """An included cell has its own levels, and the baseline's where it names none; it comes last."""
    suite = suite_of(
        design="one_factor",
        factors={"model.activation": ["relu", "tanh"], "model.depth": [1, 2], "model.width": [8, 16]},
        baseline={"model.width": 16},
        include=[{"model.activation": "tanh", "model.depth": 2}],
    )
    assert levels_of(expand_cells(suite)) == [
        ("relu", "1", "16"),
        ("tanh", "1", "16"),
        ("relu", "2", "16"),
        ("relu", "1", "8"),
        ("tanh", "2", "16"),
    ]


def test_include_is_not_excluded(suite_of):
    """What is excluded as a pattern can be included as a cell."""
    factors = {"model.activation": ["relu", "tanh"], "model.depth": [1, 2]}
    suite = suite_of(
        factors=factors,
        exclude=[{"model.depth": 2}],
        include=[{"model.activation": "tanh", "model.depth": 2}],
    )
    assert levels_of(expand_cells(suite)) == [("relu", "1"), ("tanh", "1"), ("tanh", "2")]


def test_bundles_expand(suite_of):
    """A bundle's level changes all of its settings, alone and crossed with others."""
    factors = {"model.dropout": [0.0, 0.2], "recipe": RECIPES}
    cells = expand_cells(suite_of(factors=factors))
    assert [
        (tuple(cell.levels.values()), cell.settings.model.dropout, cell.settings.train.optimizer) for cell in cells
    ] == [
        (("0", "plain"), 0.0, "sgd"),
        (("0", "adaptive"), 0.0, "adam"),
        (("0.2", "plain"), 0.2, "sgd"),
        (("0.2", "adaptive"), 0.2, "adam"),
    ]
    assert [cell.settings.train.learning_rate for cell in cells] == [0.1, 0.001, 0.1, 0.001]


@pytest.mark.parametrize(
    "changes",
    [
        {"include": [{"model.activation": "tanh"}]},
        {"design": "one_factor", "include": [{"model.activation": "relu"}]},
        {"factors": {"a": {"one": {"train.epochs": 2}, "two": {"train.epochs": 2}}}},
        {"factors": {"a": {"default": {"train.epochs": 30}, "also": {"train.optimizer": "adam"}}}},
        {"factors": {"a": {"own": {"train.optimizer": "adam"}, "also": {"train.learning_rate": 0.001}}}},
        {"factors": {"model.dropout": [0.0, 0.1]}, "include": [{"model.dropout": 0.1}, {"model.dropout": 0.1}]},
    ],
    ids=["included again", "baseline included", "equal bundles", "defaults spelt out", "own coefficient", "twice"],
)
def test_duplicate_cells_are_refused(suite_of, changes):
    """Two cells with equal settings would be the same runs: they are refused, and both are named."""
    problem = problem_of(suite_of(**changes))
    assert "duplicate cell" in problem.message
    assert " and " in problem.given
    assert " = " in problem.given


def test_a_pattern_that_leaves_nothing_out(suite_of):
    """Where the design has no such cell anyway, the pattern is refused by its place."""
    factors = {"model.activation": ["relu", "tanh"], "model.dropout": [0.0, 0.2]}
    patterns = [{"model.activation": "tanh", "model.dropout": 0.2}]
    assert len(expand_cells(suite_of(factors=factors, exclude=patterns))) == 3
    problem = problem_of(suite_of(factors=factors, exclude=patterns, design="one_factor"))
    assert (problem.path, problem.given) == ("exclude[0]", "model.activation = tanh, model.dropout = 0.2")


@pytest.mark.parametrize("design", ["factorial", "one_factor"])
def test_no_cell_left(suite_of, design):
    """A suite whose every cell is excluded is refused and says why."""
    suite = suite_of(design=design, exclude=[{"model.activation": "relu"}, {"model.activation": "tanh"}])
    problem = problem_of(suite)
    assert problem.path == "exclude"
    assert "no cell is left" in problem.message


def test_levels_that_do_not_go_together(suite_of):
    """Levels that are fine one by one and clash in a cell are refused with that cell and its setting."""
    factors = {"model.variant": ["resnet8", "mlp_small"], "model.depth": [8, 14]}
    assert len(expand_cells(suite_of(model={}, factors=factors))) == 4
    clash = {"net": {"mlp": {"model.variant": "mlp_small"}, "residual": {"model.variant": "resnet8"}}}
    problem = problem_of(suite_of(model={}, factors=clash | {"model.depth": [2, 8]}))
    assert "net = residual" in problem.path
    assert "model.depth = 2" in problem.path
    assert problem.given == "2"


@pytest.mark.parametrize("design", ["factorial", "one_factor"])
def test_level_without_effect_in_a_cell(suite_of, design):
    """A level that changes nothing in one cell alone is refused with that cell, its setting and what it needs."""
    suite = suite_of(
        design=design,
        model={"variant": "mlp_small", "activation": "leaky_relu"},
        factors={"model.activation": ["relu", "leaky_relu"], "model.leaky_relu_slope": [0.01, 0.2]},
    )
    problem = problem_of(suite)
    assert problem.path == "cell (model.activation = relu, model.leaky_relu_slope = 0.2).model.leaky_relu_slope"
    assert problem.message == 'no effect with activation = "relu"'
    assert problem.given == "0.2"
    assert problem.allowed == 'only with activation = "leaky_relu"'


def test_cell_without_effect_can_be_excluded(suite_of):
    """Where the cells in which a level changes nothing are left out, the others are expanded."""
    suite = suite_of(
        model={"variant": "mlp_small", "activation": "leaky_relu"},
        factors={"model.activation": ["leaky_relu", "relu"], "model.leaky_relu_slope": [0.01, 0.2]},
        exclude=[{"model.activation": "relu", "model.leaky_relu_slope": 0.2}],
    )
    assert levels_of(expand_cells(suite)) == [("leaky_relu", "0.01"), ("leaky_relu", "0.2"), ("relu", "0.01")]


def test_families_in_one_suite(suite_of):
    """A factor over models of every family gives each cell the settings of its own family."""
    variants = ["mlp_small", "lenet5", "preact_resnet8", "se_resnet20"]
    cells = expand_cells(suite_of(model={"l2": 1e-4}, factors={"model.variant": variants}))
    assert [cell.settings.model.family for cell in cells] == ["mlp", "lenet", "resnet", "resnet"]
    assert {cell.settings.model.l2 for cell in cells} == {1e-4}
    assert len({run.key for run in expand_runs(cells, [0], {"digits": "1.0.0"})}) == 4


def test_lists_as_levels(suite_of):
    """Levels that are lists make cells and runs like any others: in order, with keys and programs of their own."""
    widths = [64, [128, 64], [64, 128]]
    cells = expand_cells(suite_of(factors={"model.width": widths, "model.activation": ["relu", "tanh"]}))
    assert levels_of(cells) == list(itertools.product(["64", "[128, 64]", "[64, 128]"], ["relu", "tanh"]))
    assert [cell.settings.model.widths for cell in cells[::2]] == [(64, 64), (128, 64), (64, 128)]
    runs = expand_runs(cells, [0, 1], {"digits": "1.0.0"})
    assert len({run.key for run in runs}) == 12
    assert len({cell.settings.program() for cell in cells}) == 6
    assert [cell.settings.flat()["model.width"] for cell in cells[::2]] == widths


def test_lists_of_blocks_as_levels(suite_of):
    """The blocks of each stage of a residual network can be varied where they agree with its depth."""
    model = {"variant": "resnet8", "depth": 14}
    cells = expand_cells(suite_of(model=model, factors={"model.blocks_per_stage": [[1, 2, 3], [3, 2, 1]]}))
    assert levels_of(cells) == [("[1, 2, 3]",), ("[3, 2, 1]",)]
    assert [cell.settings.model.layout for cell in cells] == [(1, 2, 3), (3, 2, 1)]


def test_runs_are_cells_by_seeds(suite_of):
    """Every cell has every seed, cell by cell, with the version of its dataset."""
    suite = suite_of(datasets=["digits", "mnist:3.0.1"], seeds=[7, 3])
    cells = expand_cells(suite)
    runs = expand_runs(cells, suite.seed_list, {"digits": "1.0.0", "mnist:3.0.1": "3.0.1"})
    assert [(run.cell, run.seed) for run in runs] == [(cell, seed) for cell in cells for seed in (7, 3)]
    assert [(run.dataset, run.dataset_version) for run in runs[::4]] == [("digits", "1.0.0"), ("mnist", "3.0.1")]


def test_a_pinned_version_is_the_same_run(suite_of):
    """Two suites that use the same version of a dataset share runs, whether it was pinned or not."""
    keys = [
        [run.key for run in expand_runs(expand_cells(suite_of(datasets=[name])), [0, 1], {name: "3.0.1"})]
        for name in ("mnist", "mnist:3.0.1")
    ]
    assert keys[0] == keys[1]


def test_suites_share_runs(suite_of, issue_suite):
    """The suite's name, question, design and which settings vary are no part of a run: only its settings are."""
    issue = parse_suite(issue_suite, "x")
    versions = {"digits": "1.0.0"}
    in_issue = {run.key for run in expand_runs(expand_cells(issue), issue.seed_list, versions)}
    other = suite_of(
        name="other",
        design="one_factor",
        model={"variant": "mlp_small", "activation": "gelu"},
        factors={"model.dropout": [0.1, 0.5], "train.epochs": [30, 3]},
    )
    runs = expand_runs(expand_cells(other), other.seed_list, versions)
    shared = [(run.cell.title, run.seed) for run in runs if run.key in in_issue]
    assert shared == [("0.1, 30", 0), ("0.1, 30", 1)]


@given(
    activations=st.sets(st.sampled_from(["relu", "tanh", "elu", "gelu"]), min_size=2),
    widths=st.sets(st.integers(1, 200), min_size=2, max_size=4),
    rates=st.sets(st.sampled_from([1, 0.1, 0.01, 0.001, 3e-4]), min_size=2),
    seeds=st.sets(st.integers(0, 2**31 - 1), min_size=1, max_size=4),
)
@settings(deadline=None)
def test_keys_are_unique(suite_of, activations, widths, rates, seeds):
    """No two runs of a suite share a key, and expanding anew gives the same keys in the same order."""
    factors = {
        "model.activation": sorted(activations),
        "model.width": sorted(widths),
        "train.learning_rate": sorted(rates),
    }
    suite = suite_of(factors=factors, seeds=sorted(seeds), datasets=["digits", "mnist"])
    versions = {"digits": "1.0.0", "mnist": "3.0.1"}
    keys = [run.key for run in expand_runs(expand_cells(suite), suite.seed_list, versions)]
    assert len(set(keys)) == len(keys) == 2 * len(activations) * len(widths) * len(rates) * len(seeds)
    assert keys == [run.key for run in expand_runs(expand_cells(suite), suite.seed_list, versions)]


def test_a_hundred_thousand_runs(suite_of):
    """A matrix of 100,000 runs expands in full, each with a key of its own."""
    factors = {"model.width": list(range(1, 51)), "train.batch_size": list(range(1, 41))}
    suite = suite_of(factors=factors, seeds=50)
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    assert len(runs) == len({run.key for run in runs}) == 100_000


def test_golden_matrix(suite_of):
    """One small matrix as it is expanded: order, levels, seeds and versions, written down."""
    suite = suite_of(
        datasets=["digits", "mnist"],
        seeds=[0, 5],
        design="one_factor",
        factors={"model.activation": ["relu", "tanh"], "recipe": RECIPES},
        baseline={"recipe": "adaptive"},
        include=[{"model.activation": "tanh", "recipe": "plain"}],
    )
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0", "mnist": "3.0.1"})
    lines = [
        f"{run.dataset} {run.dataset_version} | {run.cell.title} | {run.cell.settings.model.activation} "
        f"{run.cell.settings.train.optimizer} {run.cell.settings.train.learning_rate} | {run.seed}"
        for run in runs
    ]
    assert lines == [
        "digits 1.0.0 | relu, adaptive | relu adam 0.001 | 0",
        "digits 1.0.0 | relu, adaptive | relu adam 0.001 | 5",
        "digits 1.0.0 | tanh, adaptive | tanh adam 0.001 | 0",
        "digits 1.0.0 | tanh, adaptive | tanh adam 0.001 | 5",
        "digits 1.0.0 | relu, plain | relu sgd 0.1 | 0",
        "digits 1.0.0 | relu, plain | relu sgd 0.1 | 5",
        "digits 1.0.0 | tanh, plain | tanh sgd 0.1 | 0",
        "digits 1.0.0 | tanh, plain | tanh sgd 0.1 | 5",
        "mnist 3.0.1 | relu, adaptive | relu adam 0.001 | 0",
        "mnist 3.0.1 | relu, adaptive | relu adam 0.001 | 5",
        "mnist 3.0.1 | tanh, adaptive | tanh adam 0.001 | 0",
        "mnist 3.0.1 | tanh, adaptive | tanh adam 0.001 | 5",
        "mnist 3.0.1 | relu, plain | relu sgd 0.1 | 0",
        "mnist 3.0.1 | relu, plain | relu sgd 0.1 | 5",
        "mnist 3.0.1 | tanh, plain | tanh sgd 0.1 | 0",
        "mnist 3.0.1 | tanh, plain | tanh sgd 0.1 | 5",
    ]


# --- other designs --------------------------------------------------------------------------------------------------

THREE = {"model.dropout": [0.0, 0.2], "model.depth": [2, 1], "recipe": RECIPES}
BARE = {"model.dropout": 0.0, "model.depth": 1, "recipe": "plain"}
FULL = {"model.dropout": 0.2, "model.depth": 2, "recipe": "adaptive"}


def switches(number):
    """So many factors of two levels each, none of which changes what another does."""
    paths = [
        "model.dropout",
        "model.l1",
        "model.l2",
        "model.input_dropout",
        "train.learning_rate",
        "train.weight_decay",
        "train.label_smoothing",
        "train.clip_norm",
        "data.validation_fraction",
        "model.max_norm",
    ]
    return {path: [0.125, 0.25] for path in paths[:number]}


def signs_of(cells):
    """-1 where a factor is at its first level, 1 at its second: (cells, factors)."""
    return np.array([[1 if label == "0.25" else -1 for label in cell.levels.values()] for cell in cells])


def test_leave_one_out_by_hand(suite_of):
    """The full recipe, then each of its parts taken out alone."""
    cells = expand_cells(suite_of(design="leave_one_out", factors=THREE, baseline=FULL))
    assert levels_of(cells) == [
        ("0.2", "2", "adaptive"),
        ("0", "2", "adaptive"),
        ("0.2", "1", "adaptive"),
        ("0.2", "2", "plain"),
    ]


def test_add_one_in_by_hand(suite_of):
    """The bare recipe, then each part put in alone."""
    cells = expand_cells(suite_of(design="add_one_in", factors=THREE, baseline=BARE))
    assert levels_of(cells) == [("0", "1", "plain"), ("0.2", "1", "plain"), ("0", "2", "plain"), ("0", "1", "adaptive")]


def test_paired_by_hand(suite_of):
    """Cell i has level i of every factor."""
    factors = {"model.depth": [1, 2, 3], "train.learning_rate": [0.1, 0.05, 0.02]}
    cells = expand_cells(suite_of(design="paired", factors=factors))
    assert levels_of(cells) == [("1", "0.1"), ("2", "0.05"), ("3", "0.02")]
    baseline = {"model.depth": 2, "train.learning_rate": 0.05}
    assert levels_of(expand_cells(suite_of(design="paired", factors=factors, baseline=baseline))) == levels_of(cells)
    problem = problem_of(suite_of(design="paired", factors=factors, baseline={"model.depth": 2}))
    assert (problem.path, problem.given) == ("baseline", "model.depth = 2, train.learning_rate = 0.1")


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([], ["0 1 plain", "0.2 1 plain", "0.2 2 plain", "0.2 2 adaptive", "0 2 plain", "0 1 adaptive"]),
        (
            ["recipe", "model.dropout", "model.depth"],
            ["0 1 plain", "0 1 adaptive", "0.2 1 adaptive", "0.2 2 adaptive", "0.2 1 plain", "0 2 plain"],
        ),
    ],
)
def test_path_by_hand(suite_of, order, expected):
    """One change after another in the declared order until every factor has changed, then the changes alone."""
    design = {"name": "path"} | ({"order": order} if order else {})
    suite = suite_of(design=design, factors=THREE, baseline=BARE)
    assert [" ".join(levels) for levels in levels_of(expand_cells(suite))] == expected
    assert ", ".join(order or THREE) in estimable(suite).note


def test_half_fraction_of_four_factors(suite_of):
    """The half fraction of four factors is I = ABCD (Montgomery 2013, table 8.3): an even number of changes."""
    cells = expand_cells(suite_of(design="fractional", factors=switches(4)))
    found = {tuple(row) for row in signs_of(cells).tolist()}
    assert len(cells) == 8
    assert found == {row for row in itertools.product([-1, 1], repeat=4) if np.prod(row) == 1}


# Montgomery 2013, table 8.14, and the NIST/SEMATECH handbook, 5.3.3.4.7: runs by number of factors.
RUNS_AT_RESOLUTION = {
    4: {4: 8, 5: 16, 6: 16, 7: 16, 8: 16, 9: 32, 10: 32, 11: 32, 12: 32, 15: 32, 16: 32, 17: 64},
    5: {5: 16, 6: 32, 7: 64, 8: 64, 9: 128, 10: 128, 11: 128, 12: 256, 17: 256},
}


def products_of(words, size):
    """What each set of so many words multiplies to."""
    for chosen in itertools.combinations(words, size):
        yield functools.reduce(lambda first, second: first ^ second, chosen)


@pytest.mark.parametrize(
    ("resolution", "factors", "runs"), [(r, k, n) for r, of in RUNS_AT_RESOLUTION.items() for k, n in of.items()]
)
def test_size_of_fractions(resolution, factors, runs):
    """Fractions are as small as the published ones, and no set of fewer words than the resolution is the identity."""
    words = fraction(factors, resolution)
    assert 2 ** max(words).bit_length() == runs
    for size in range(1, resolution):
        assert 0 not in products_of(words, size)


@pytest.mark.parametrize(("factors", "shortest"), [(6, 3), (7, 7), (8, 14), (9, 6), (10, 10)])
def test_few_aliases(factors, shortest):
    """The words of length four are as few as in designs of least aberration (Chen, Sun and Wu 1993)."""
    assert list(products_of(fraction(factors, 4), 4)).count(0) == shortest


@pytest.mark.parametrize(("resolution", "number"), [(4, 4), (4, 6), (4, 7), (4, 9), (5, 5), (5, 6), (5, 8)])
def test_fractions_estimate_what_they_say(suite_of, resolution, number):
    """On outcomes of known effects, contrasts are the effects; where aliased, the sum of those that are."""
    suite = suite_of(design={"name": "fractional", "resolution": resolution}, factors=switches(number))
    signs, names = signs_of(expand_cells(suite)), list(suite.factors)
    rng = np.random.default_rng(0)
    main = rng.normal(size=number)
    pairs = list(itertools.combinations(range(number), 2))
    interactions = dict(zip(pairs, rng.normal(size=len(pairs)), strict=True))
    outcomes = signs @ main + sum(effect * signs[:, a] * signs[:, b] for (a, b), effect in interactions.items())
    assert signs.T @ outcomes / len(signs) == pytest.approx(main)
    found = estimable(suite)
    title = {(a, b): f"{names[a]} x {names[b]}" for a, b in pairs}
    alias_of = {name: names for names in (alias.split(" = ") for alias in found.aliases) for name in names}
    for a, b in pairs:
        expected = sum(
            interactions[other] for other in pairs if title[other] in alias_of.get(title[a, b], [title[a, b]])
        )
        assert (signs[:, a] * signs[:, b]) @ outcomes / len(signs) == pytest.approx(expected)
    assert found.main_effects
    assert found.interactions is (not found.aliases) is (resolution == 5)
    assert f"{len(signs)} of {2**number} combinations" in found.note


def test_fraction_holds_the_baseline(suite_of):
    """The baseline is the first cell of a fraction, whichever levels it has."""
    baseline = {"model.l1": 0.25, "train.learning_rate": 0.25}
    cells = expand_cells(suite_of(design="fractional", factors=switches(6), baseline=baseline))
    assert cells[0].levels == {path: "0.25" if path in baseline else "0.125" for path in switches(6)}
    assert (signs_of(cells).sum(axis=0) == 0).all()


def test_claims_in_a_fraction(suite_of):
    """A claim in a fraction is about all its cells, half of them on each side; at one level of another from 5 on."""
    claim = {"statement": "a", "factor": "model.l2", "better": 0.25, "than": 0.125, "margin": 0}
    there = claim | {"where": {"model.l1": 0.25}}
    include = [{"model.l2": 0.25}]
    suite = suite_of(design="fractional", factors=switches(6), include=include, claims=[claim])
    cells = [cell.levels for cell in expand_cells(suite)][:-1]
    found = comparison(suite, suite.claims[0])
    assert list(found.better) == [levels for levels in cells if levels["model.l2"] == "0.25"]
    assert list(found.than) == [levels for levels in cells if levels["model.l2"] == "0.125"]
    assert (len(found.better), len(found.than)) == (8, 8)
    problem = problem_of(suite_of(design="fractional", factors=switches(6), claims=[there]))
    assert (problem.path, problem.given) == ("claims[0].where", "model.l1 = 0.25")
    design = {"name": "fractional", "resolution": 5}
    suite = suite_of(design=design, factors=switches(6), claims=[there])
    assert [len(side) for side in vars(comparison(suite, suite.claims[0])).values()] == [8, 8]
    two = claim | {"where": {"model.l1": 0.25, "model.dropout": 0.25}}
    assert problem_of(suite_of(design=design, factors=switches(6), claims=[two])).path == "claims[0].where"


def sample_of(suite_of, cells, seed=0, **changes):
    design = {"name": "sample", "cells": cells, "seed": seed}
    return levels_of(expand_cells(suite_of(**({"design": design, "factors": FACTORS} | changes))))


@given(cells=st.integers(2, 23), seed=st.integers(0, 1000))
def test_sample(suite_of, cells, seed):
    """A sample is so many different combinations, the baseline first; a longer one begins with the shorter."""
    found = sample_of(suite_of, cells, seed)
    assert len(found) == len(set(found)) == cells
    assert found[0] == ("relu", "1", "0.1")
    assert set(found) <= set(itertools.product(*LABELS))
    assert sample_of(suite_of, 23, seed)[:cells] == found


def test_sample_is_the_same_for_ever(suite_of):
    """A suite means the same cells on every machine and in every version of Python: these, written down."""
    assert sample_of(suite_of, 5) == [
        ("relu", "1", "0.1"),
        ("tanh", "2", "0.1"),
        ("tanh", "2", "0.001"),
        ("relu", "1", "0.0001"),
        ("tanh", "1", "0.0001"),
    ]


def test_every_combination_is_drawn_equally_often(suite_of):
    """Over 600 seeds, the 23 other combinations are drawn equally often: chi-square test."""
    drawn = Counter(levels for seed in range(600) for levels in sample_of(suite_of, 8, seed)[1:])
    assert len(drawn) == 23
    # Draws of one sample exclude each other, which makes the counts more even than chi-square says.
    assert chisquare(list(drawn.values())).pvalue > 0.001
    assert chisquare(list(drawn.values())).statistic > 1


def test_sample_passes_over_what_is_excluded_or_included(suite_of):
    """Left-out cells are not drawn, and added ones are added to so many."""
    exclude = [{"model.activation": "gelu"}]
    include = [{"model.depth": 2}]
    found = sample_of(suite_of, 15, exclude=exclude, include=include)
    assert found[-1] == ("relu", "2", "0.1")
    assert sorted(found) == sorted(itertools.product(LABELS[0][:2], *LABELS[1:]))
    suite = suite_of(design={"name": "sample", "cells": 17}, factors=FACTORS, exclude=exclude)
    problem = problem_of(suite)
    assert (problem.path, problem.given, problem.allowed) == ("design.cells", "17", "at most 16")


def test_sample_of_very_many_combinations(suite_of):
    """Nothing grows with the number of combinations: of 50^10, a hundred are drawn at once."""
    factors = {path: [number / 200 for number in range(1, 51)] for path in switches(10)}
    started = time.perf_counter()
    assert len(set(sample_of(suite_of, 100, factors=factors))) == 100
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("design", sorted(set(DESIGNS) - {"sample"}))
def test_every_design(suite_of, design):
    """Every design has the baseline, no cell twice, and says in a sentence what it can estimate."""
    factors = switches(5)
    suite = suite_of(design=design, factors=factors, baseline=dict.fromkeys(factors, 0.25))
    cells = expand_cells(suite)
    assert suite.baseline_levels in [cell.levels for cell in cells]
    assert len({tuple(cell.levels.values()) for cell in cells}) == len(cells)
    found = estimable(suite)
    assert found.interactions is (design in ("factorial", "fractional"))
    assert found.main_effects is (design in ("factorial", "fractional"))
    assert ("cannot estimate" in found.note) is (design != "factorial")


def test_estimable_with_every_combination(suite_of):
    """What can be estimated follows from the cells that are there: left out they take, added they give."""
    two = {"model.activation": ["relu", "tanh"], "model.depth": [1, 2]}
    corner = [{"model.activation": "tanh", "model.depth": 2}]
    assert estimable(suite_of(factors=two)).interactions
    assert not estimable(suite_of(factors=two, exclude=corner)).main_effects
    assert estimable(suite_of(factors=two, exclude=corner, include=corner)).interactions
    assert not estimable(suite_of(design="one_factor", factors=two)).interactions
    assert estimable(suite_of(design="one_factor", factors=two, include=corner)).interactions
    one = estimable(suite_of())
    assert (one.main_effects, one.interactions) == (True, False)


@pytest.mark.parametrize(
    ("design", "num_seeds", "given_text"),
    [
        ({"name": "sample", "cells": 1_000_001}, 1, "1,000,001"),
        ({"name": "sample", "cells": 1000}, 1001, "1,001,000"),
        ("factorial", 1, "1,002,000"),
    ],
)
def test_too_many_runs(suite_of, design, num_seeds, given_text):
    """More than a million runs are taken for a slip, in any design; so many cells are not even expanded."""
    factors = {"model.width": list(range(1, 1003)), "train.batch_size": list(range(1, 1001))}
    suite = suite_of(factors=factors, design=design)
    with pytest.raises(SettingError) as caught:
        refuse_too_many(suite, num_seeds)
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("factors", given_text)
    assert num_seeds > 1 or problem_of(suite) == problem
