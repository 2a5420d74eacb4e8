"""Claims in a suite: what they state, what is refused, and which cells they compare."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.data.catalog import EMBEDDED
from benchmarks.metrics import METRICS
from benchmarks.plan.comparisons import comparison
from benchmarks.plan.expansion import expand_cells
from benchmarks.suite.checks import TASKS_OF_EMBEDDED
from benchmarks.suite.claims import ACROSS_DATASETS, CLAIM_KINDS, LEAST_DATASETS, Analysis, Claim, claim_hash
from benchmarks.suite.reading import parse_suite
from zoo.settings import SettingError

FACTORS = {
    "model.activation": ["relu", "tanh", "gelu"],
    "model.dropout": [0.0, 0.2],
    "recipe": {"plain": {"train.optimizer": "sgd"}, "adaptive": {"train.optimizer": "adam"}},
}
CLAIM = {"statement": "Dropout helps", "factor": "model.dropout", "better": 0.2, "than": 0.0, "margin": 0.002}


def problems_of(make):
    with pytest.raises(SettingError) as caught:
        make()
    return caught.value.problems


def claim_of(**changes):
    return Claim(**(CLAIM | changes))


def titles(levels):
    return [tuple(each.values()) for each in levels]


# --- a claim by itself ----------------------------------------------------------------------------------------------


def test_claim_in_toml(issue_suite):
    """A claim is read as it is written, with the defaults of what it leaves out."""
    text = """
[[claims]]
statement = "GELU beats ReLU"
factor = "model.activation"
better = "gelu"
than = "relu"
margin = 0

[[claims]]
statement = "Tanh is as good as ReLU"
factor = "model.activation"
better = "tanh"
than = "relu"
where = { "model.initializer" = "glorot_uniform" }
metric = "test_nll"
margin = 0.01
kind = "equivalence"
datasets = "all"

[analysis]
alpha = 0.01
looks = [6, 9]
"""
    suite = parse_suite(issue_suite.replace("seeds = 5 ", "seeds = 9 ") + text, "x")
    first, second = suite.claims
    assert (first.statement, first.factor, first.better, first.than) == (
        "GELU beats ReLU",
        "model.activation",
        "gelu",
        "relu",
    )
    assert (first.where, first.metric, first.margin, first.kind, first.datasets) == (
        {},
        None,
        0.0,
        "superiority",
        "each",
    )
    assert (second.where, second.metric, second.margin) == ({"model.initializer": "glorot_uniform"}, "test_nll", 0.01)
    assert (second.kind, second.datasets) == ("equivalence", "all")
    assert (suite.analysis.alpha, suite.analysis.looks) == (0.01, [6, 9])


@pytest.mark.parametrize("key", CLAIM)
def test_required_keys(key):
    """Each key of a claim without a default is asked for by name: there is no silent margin."""
    (problem,) = problems_of(lambda: Claim(**{name: value for name, value in CLAIM.items() if name != key}))
    assert (problem.path, problem.message) == (key, "this key is required")


@pytest.mark.parametrize("kind", ["equivalence", "non_inferiority"])
@pytest.mark.parametrize("margin", [0, 0.0, -0.0])
def test_margin_of_zero(kind, margin):
    """No two levels are within 0 of each other: a margin of 0 is for claims of superiority."""
    assert claim_of(margin=margin).margin == 0
    (problem,) = problems_of(lambda: claim_of(kind=kind, margin=margin))
    assert problem.path == "margin"
    assert kind in problem.message
    assert problem.allowed == "more than 0"
    assert claim_of(kind=kind, margin=1e-9).margin == 1e-9


@pytest.mark.parametrize(
    ("key", "value", "nearest"),
    [
        ("margin", -0.001, None),
        ("margin", "0.1", None),
        ("margin", True, None),
        ("margin", float("nan"), None),
        ("margin", float("inf"), None),
        ("statement", "", None),
        ("statement", "  ", None),
        ("kind", "superior", None),
        ("datasets", "every", None),
        ("metric", "test_acuracy", "test_accuracy"),
        ("metric", "", None),
        ("where", [], None),
        ("marign", 0.1, "margin"),
    ],
)
def test_wrong_value(key, value, nearest):
    """A wrong value or key of a claim is refused with what was given and what is allowed."""
    (problem,) = problems_of(lambda: claim_of(**{key: value}))
    assert problem.path == key
    assert problem.given is not None
    assert problem.nearest == nearest or nearest is None


def test_tables_are_complete():
    """What each kind and each way over datasets means is told, and from how many datasets on it says anything."""
    for kind in CLAIM_KINDS:
        assert claim_of(kind=kind).kind == kind
    assert list(LEAST_DATASETS) == list(ACROSS_DATASETS)
    for across in ACROSS_DATASETS:
        assert claim_of(datasets=across).datasets == across


# --- its hash -------------------------------------------------------------------------------------------------------


def test_hash_is_that_of_canonical_json():
    """The hash is the SHA-256 of the sorted JSON without spaces, as `sha256sum` gives it for this text."""
    text = '{"better":0.2,"factor":"model.dropout","margin":0.002,"statement":"Dropout helps","than":0.0}'
    expected = "e60696a2844c9543ed920b8b51c5522864f7dca8648f137b847f15813b1ec9ff"
    assert json.loads(text) == CLAIM
    assert claim_hash(claim_of()) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"statement": "Dropout helps."},
        {"factor": "recipe"},
        {"better": 0.3},
        {"than": 0.1},
        {"where": {"recipe": "plain"}},
        {"metric": "test_accuracy"},
        {"margin": 0.003},
        {"kind": "non_inferiority"},
        {"datasets": "all"},
    ],
)
def test_everything_belongs_to_the_hash(change):
    """A claim with any part of it changed is another claim."""
    assert set(change) <= set(Claim.model_fields)
    assert claim_hash(claim_of(**change)) != claim_hash(claim_of())


def test_every_field_has_a_case():
    """No part of a claim is left out of the test before."""
    (mark,) = test_everything_belongs_to_the_hash.pytestmark
    assert {name for change in mark.args[1] for name in change} == set(Claim.model_fields)


def test_hash_of_what_is_the_same():
    """Defaults written out, another order of keys, and margins written 0 or 0.0 leave a claim what it is."""
    spelt_out = {"kind": "superiority", "datasets": "each", "where": {}}
    assert claim_hash(claim_of(**spelt_out)) == claim_hash(claim_of())
    assert claim_hash(Claim(**dict(reversed(CLAIM.items())))) == claim_hash(claim_of())
    assert claim_hash(claim_of(margin=0)) == claim_hash(claim_of(margin=-0.0))
    first, second = {"a": "x", "b": "y"}, {"b": "y", "a": "x"}
    assert claim_hash(claim_of(where=first)) == claim_hash(claim_of(where=second))


def test_hash_of_another_process():
    """The hash is the same in every process, whatever Python's own hashes are there."""
    code = (
        "from benchmarks.suite.claims import Claim, claim_hash;"
        f"print(claim_hash(Claim(**{CLAIM | {'where': {'b': 1, 'a': 'x'}}!r})))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert found.stdout.strip() == claim_hash(claim_of(where={"a": "x", "b": 1}))


# --- claims in a suite ----------------------------------------------------------------------------------------------

WRONG_IN_SUITE = [
    (
        {"factor": "model.dropuot"},
        "claims[0].factor",
        "model.dropuot",
        "model.activation, model.dropout",
        "model.dropout",
    ),
    ({"better": 0.3}, "claims[0].better", "0.3", "0, 0.2", None),
    ({"than": "0.2"}, "claims[0].than", '"0.2"', "0.0, 0.2", "0.2"),
    ({"than": False}, "claims[0].than", "false", "0, 0.2", None),
    ({"than": 0.2}, "claims[0].than", "0.2", "0", None),
    (
        {"factor": "model.activation", "better": "gleu", "than": "relu"},
        "claims[0].better",
        "gleu",
        "relu, tanh, gelu",
        "gelu",
    ),
    ({"where": {"recipy": "plain"}}, "claims[0].where.recipy", "recipy", "model.dropout, recipe", "recipe"),
    ({"where": {"recipe": "plane"}}, "claims[0].where.recipe", "plane", "plain, adaptive", "plain"),
    (
        {"where": {"model.dropout": 0.2}},
        'claims[0].where."model.dropout"',
        "model.dropout",
        "model.activation, recipe",
        None,
    ),
    ({"metric": "test_rmse"}, "claims[0].metric", "test_rmse", "test_accuracy, test_top5_accuracy", None),
    ({"datasets": "average"}, "claims[0].datasets", "average", "each, all", None),
    ({"datasets": "generalises"}, "claims[0].datasets", "generalises", "each, all", None),
]


@pytest.mark.parametrize(("change", "path", "given_text", "allowed", "nearest"), WRONG_IN_SUITE)
def test_wrong_in_a_suite(suite_of, change, path, given_text, allowed, nearest):
    """What a suite does not have is refused in its claims, with place, what was given, what is allowed, the nearest."""
    (problem,) = problems_of(lambda: suite_of(factors=FACTORS, claims=[CLAIM | change]))
    assert (problem.path, problem.given) == (path, given_text)
    assert allowed in problem.allowed
    assert problem.nearest == nearest or nearest is None


def test_every_wrong_claim_is_told(suite_of):
    """All that is wrong with all claims is told in one go, each with the place of its claim."""
    claims = [CLAIM, CLAIM | {"statement": "Second", "factor": "x"}, CLAIM | {"statement": "Third", "better": 7}]
    problems = problems_of(lambda: suite_of(factors=FACTORS, claims=claims))
    assert [problem.path for problem in problems] == ["claims[1].factor", "claims[2].better"]


def test_wrong_keys_inside_a_claim(suite_of):
    """A misspelt key and a missing margin are told with the place of the claim."""
    second = {name: value for name, value in CLAIM.items() if name != "margin"} | {"marign": 0.1}
    problems = problems_of(lambda: suite_of(factors=FACTORS, claims=[CLAIM, second]))
    assert {problem.path for problem in problems} == {"claims[1].margin", "claims[1].marign"}


def test_a_statement_twice(suite_of):
    """Two claims of the same words are refused: a verdict must say which it belongs to."""
    claims = [CLAIM, CLAIM | {"than": 0.2, "better": 0.0}]
    (problem,) = problems_of(lambda: suite_of(factors=FACTORS, claims=claims))
    assert (problem.path, problem.given) == ("claims[1].statement", '"Dropout helps"')


@pytest.mark.parametrize("claims", [3, "x", {}, CLAIM, [3], [[]], ["x"]])
def test_claims_of_wrong_type(suite_of, claims):
    """`claims` is a list of tables."""
    problems = problems_of(lambda: suite_of(factors=FACTORS, claims=claims))
    assert all(problem.path.startswith("claims") for problem in problems)


def test_one_true_level_is_not_the_number_1(suite_of):
    """`true` and 1 are different levels, also in claims."""
    factors = {"model.depth": [1, 2]}
    claim = CLAIM | {"factor": "model.depth", "than": 2}
    assert suite_of(factors=factors, claims=[claim | {"better": 1}]).claims[0].better == 1
    (problem,) = problems_of(lambda: suite_of(factors=factors, claims=[claim | {"better": True}]))
    assert problem.path == "claims[0].better"


@pytest.mark.parametrize("name", EMBEDDED)
def test_tasks_that_are_known(embedded, name):
    """What is said of an embedded dataset's task is what its own features tell."""
    assert embedded(name).task == TASKS_OF_EMBEDDED[name]


@pytest.mark.parametrize(
    ("changes", "metric", "is_refused"),
    [
        ({"datasets": ["diabetes"]}, "test_accuracy", True),
        ({"datasets": ["diabetes"]}, "test_rmse", False),
        ({"datasets": ["diabetes:1.0.0"]}, "val_accuracy", True),
        ({"datasets": ["breast_cancer"]}, "test_top5_accuracy", True),
        ({"datasets": ["mnist"]}, "test_rmse", False),  # not known without a look at the data
        ({"datasets": ["mnist"], "train": {"loss": "cross_entropy"}}, "test_rmse", True),
        ({"datasets": ["mnist"], "train": {"loss": "huber"}}, "test_accuracy", True),
        ({"datasets": ["mnist"], "train": {"loss": "huber"}}, "test_mae", False),
        ({"datasets": ["digits", "diabetes"]}, "test_accuracy", True),
        ({"datasets": ["digits", "diabetes"]}, None, True),
        ({"datasets": ["digits", "diabetes"]}, "test_loss", False),
        ({"datasets": ["digits", "breast_cancer"]}, None, False),
        ({"data": {"validation_fraction": 0.0}}, "val_loss", True),
        ({"data": {"validation_fraction": 0.0}}, "test_loss", False),
        ({}, "val_loss", False),
    ],
)
def test_metrics_that_no_dataset_has(suite_of, changes, metric, is_refused):
    """A metric is refused where it is known that a dataset cannot have it, and nowhere else."""
    suite = {"factors": FACTORS, "claims": [CLAIM | ({"metric": metric} if metric else {})]} | changes
    if not is_refused:
        assert suite_of(**suite).claims[0].metric == metric
        return
    (problem,) = problems_of(lambda: suite_of(**suite))
    assert problem.path == "claims[0].metric"
    assert problem.allowed


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_claimed(suite_of, metric):
    """There is a dataset for every metric."""
    datasets = ["digits"] if "classification" in METRICS[metric].tasks else ["diabetes"]
    assert suite_of(factors=FACTORS, datasets=datasets, claims=[CLAIM | {"metric": metric}])


@pytest.mark.parametrize(("across", "least"), [("each", 1), ("all", 1), ("average", 2), ("generalises", 6)])
def test_least_datasets(suite_of, across, least):
    """An average is of two datasets, and what is to hold on new ones is from six."""
    names = ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped", "kmnist", "emnist"]
    for number in range(1, 8):
        make = lambda: suite_of(factors=FACTORS, datasets=names[:number], claims=[CLAIM | {"datasets": across}])  # noqa: E731, B023
        if number >= least:
            assert make().claims[0].datasets == across
        else:
            assert [problem.path for problem in problems_of(make)] == ["claims[0].datasets"]


# --- how claims are judged ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("analysis", "path"),
    [
        ({"alpha": 0.0}, "analysis.alpha"),
        ({"alpha": 0.6}, "analysis.alpha"),
        ({"alpha": "5 %"}, "analysis.alpha"),
        ({"looks": 3}, "analysis.looks"),
        ({"looks": [5, 10]}, "analysis.looks[0]"),
        ({"looks": [10, 6]}, "analysis.looks"),
        ({"looks": [6, 6, 10]}, "analysis.looks"),
        ({"looks": [6.0, 10]}, "analysis.looks[0]"),
        ({"look": [6, 10]}, "analysis.look"),
        ({"looks": [6, 8]}, "analysis.looks"),
        (3, "analysis"),
    ],
)
def test_wrong_analysis(suite_of, analysis, path):
    """Alpha is a share, looks are growing numbers of seeds from six on, and the suite's own number is one of them."""
    (problem,) = problems_of(lambda: suite_of(factors=FACTORS, seeds=10, claims=[CLAIM], analysis=analysis))
    assert problem.path == path
    assert problem.given


def test_looks_of_a_suite(suite_of):
    """The suite stands at one of its looks, counted in seeds, also where it lists them."""
    made = suite_of(factors=FACTORS, seeds=[3, 1, 4, 5, 9, 2], claims=[CLAIM], analysis={"looks": [6, 10]})
    assert made.analysis.looks == [6, 10]


def test_analysis_without_claims(suite_of):
    """Settings of the analysis change nothing where nothing is claimed, and are refused there."""
    (problem,) = problems_of(lambda: suite_of(factors=FACTORS, analysis={"alpha": 0.01}))
    assert (problem.path, problem.given) == ("analysis", '{"alpha": 0.01}')


@given(alpha=st.floats(0.001, 0.5), looks=st.sets(st.integers(6, 100), max_size=8))
def test_alpha_is_divided(alpha, looks):
    """All looks together spend alpha, and one look spends all of it."""
    analysis = Analysis(alpha=alpha, looks=sorted(looks))
    assert analysis.alpha_per_look * max(1, len(looks)) == pytest.approx(alpha)


# --- which cells are compared ---------------------------------------------------------------------------------------


def test_every_combination_is_averaged_over(suite_of):
    """With every combination, all cells of either level count; `where` narrows them."""
    suite = suite_of(factors=FACTORS, claims=[CLAIM, CLAIM | {"statement": "b", "where": {"recipe": "adaptive"}}])
    everywhere, narrowed = (comparison(suite, claim) for claim in suite.claims)
    activations = ["relu", "tanh", "gelu"]
    assert titles(everywhere.better) == [(a, "0.2", r) for a in activations for r in ("plain", "adaptive")]
    assert titles(everywhere.than) == [(a, "0", r) for a in activations for r in ("plain", "adaptive")]
    assert titles(narrowed.better) == [(a, "0.2", "adaptive") for a in activations]
    assert titles(narrowed.than) == [(a, "0", "adaptive") for a in activations]


def test_elsewhere_at_the_baseline(suite_of):
    """Without every combination, one cell stands against one, the factors not named at their baseline."""
    suite = suite_of(design="one_factor", factors=FACTORS, baseline={"recipe": "adaptive"}, claims=[CLAIM])
    found = comparison(suite, suite.claims[0])
    assert titles(found.better) == [("relu", "0.2", "adaptive")]
    assert titles(found.than) == [("relu", "0", "adaptive")]


def test_left_out_cells_end_the_averaging(suite_of):
    """A factorial with a hole is not averaged over: the level is compared at the baseline."""
    exclude = [{"model.activation": "gelu", "model.dropout": 0.2}]
    suite = suite_of(factors=FACTORS, exclude=exclude, claims=[CLAIM])
    found = comparison(suite, suite.claims[0])
    assert titles(found.better) == [("relu", "0.2", "plain")]
    assert titles(found.than) == [("relu", "0", "plain")]


def test_included_cells_can_be_claimed(suite_of):
    """A cell that is added can be compared, named by `where`; without it the claim is refused with the nearest cell."""
    claim = CLAIM | {"where": {"recipe": "adaptive"}}
    make = {"design": "one_factor", "factors": FACTORS, "claims": [claim]}
    (problem,) = problems_of(lambda: expand_cells(suite_of(**make)))
    assert problem.path == "claims[0]"
    assert problem.message == "the design has no such cell"
    assert problem.given == "model.activation = relu, model.dropout = 0.2, recipe = adaptive"
    assert problem.nearest == "model.activation = relu, model.dropout = 0.2, recipe = plain"
    suite = suite_of(**make, include=[{"model.dropout": 0.2, "recipe": "adaptive"}])
    assert expand_cells(suite)
    assert titles(comparison(suite, suite.claims[0]).better) == [("relu", "0.2", "adaptive")]


def test_excluded_cells_cannot_be_claimed(suite_of):
    """A claim about a cell that is left out is refused when the suite is expanded, each cell that is missing told."""
    exclude = [{"model.activation": "gelu"}]
    claim = CLAIM | {"where": {"model.activation": "gelu"}}
    problems = problems_of(lambda: expand_cells(suite_of(factors=FACTORS, exclude=exclude, claims=[claim])))
    assert [(problem.path, problem.message) for problem in problems] == [
        ("claims[0]", "the design has no such cell"),
        ("claims[0]", "the design has no such cell"),
    ]


def test_claims_about_pairs(suite_of):
    """Where factors are paired, a level names its whole cell, and no other factor can be named."""
    factors = {"model.depth": [1, 2, 3], "model.width": [64, 32, 16]}
    claim = CLAIM | {"factor": "model.depth", "better": 3, "than": 2}
    include = [{"model.depth": 3}]
    suite = suite_of(design="paired", factors=factors, include=include, claims=[claim])
    found = comparison(suite, suite.claims[0])
    assert (titles(found.better), titles(found.than)) == ([("3", "16")], [("2", "32")])
    claim |= {"where": {"model.width": 32}}
    (problem,) = problems_of(lambda: expand_cells(suite_of(design="paired", factors=factors, claims=[claim])))
    assert problem.path == "claims[0].where"


def test_a_step_of_a_path_can_be_claimed(suite_of):
    """What a change along a path does is claimed with the changes before it in `where`."""
    factors = {"model.depth": [1, 2], "model.width": [64, 32], "model.dropout": [0.0, 0.2]}
    baseline = {"model.depth": 1, "model.width": 64, "model.dropout": 0.0}
    claim = CLAIM | {"where": {"model.depth": 2, "model.width": 32}}
    suite = suite_of(design="path", factors=factors, baseline=baseline, claims=[claim])
    assert expand_cells(suite)
    found = comparison(suite, suite.claims[0])
    assert (titles(found.better), titles(found.than)) == ([("2", "32", "0.2")], [("2", "32", "0")])
