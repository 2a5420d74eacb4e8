"""The plots of a report: what each shows, and what holds for all of them."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks.analysis.claims import judge_claims
from benchmarks.analysis.effects import Importance, ParetoPoint, cell_means, pareto_points
from benchmarks.analysis.estimates import precision_ahead, precision_so_far
from benchmarks.analysis.ranks import RankedPair, Ranks, not_told_apart
from benchmarks.analysis.reliability import reliability
from benchmarks.analysis.tables import level_column
from benchmarks.analysis.time_to_target import TimeToTarget, survival_of
from benchmarks.metrics import METRICS
from benchmarks.metrics import test_metrics as metrics_of_outputs
from benchmarks.report import limits
from benchmarks.report.formatting import style_of
from benchmarks.report.plots.bars import importance_bars, rank_plot
from benchmarks.report.plots.claims import claim_metrics, claims_forest
from benchmarks.report.plots.common import CHARACTER, paged, spread, wrapped
from benchmarks.report.plots.costs import pareto_front, time_to_target
from benchmarks.report.plots.differences import seed_lines
from benchmarks.report.plots.factors import heat_map, interaction_plot
from benchmarks.report.plots.reliability import reliability_diagram
from benchmarks.report.plots.sizes import precision_plot, size_plot
from benchmarks.results import kept_predictions
from benchmarks.runs import Factors

STYLE = style_of("share")
EVIL = '<script>alert(1)</script> & $\\alpha$ "%s" a rather long label ]]>'


def runs_of(factors, seeds=8, noise=0.004):
    """A run table of every combination."""
    rng = np.random.default_rng(0)
    effect = {(factor, level): rng.normal(0, 0.01) for factor, levels in factors.items() for level in levels}
    rows = []
    for cell, levels in enumerate(itertools.product(*factors.values())):
        mean = 0.9 + sum(effect[place] for place in zip(factors, levels, strict=True))
        for seed in range(seeds):
            accuracy = mean + rng.normal(0, noise)
            row = {"dataset": "digits", "task": "classification", "cell": cell, "seed": seed, "status": "done"}
            row |= dict.fromkeys(METRICS, np.nan)
            row |= {level_column(factor): level for factor, level in zip(factors, levels, strict=True)}
            rows.append(row | {"outcome": accuracy, "test_accuracy": accuracy, "test_nll": 1 - accuracy})
            rows[-1] |= {"parameters": 9000.0 * (cell + 1), "seconds": 0.1 * (cell + 1)}
    return pd.DataFrame(rows)


FACTORS = {"act": ["relu", "tanh", EVIL], "init": ["glorot", "he"], "norm": ["none", "batch"]}
BASELINE = {"act": "relu", "init": "glorot", "norm": "none"}
VARIED = Factors(FACTORS, BASELINE)


def judged_claims(suite_of, seeds=8, number=1):
    """Claims of all kinds, as many times over as is asked for."""
    compared = {"factor": "model.activation", "better": "tanh", "than": "relu"}
    claims = [
        {"statement": f"{EVIL} {kind} {copy}", "kind": kind, "margin": 0.004, **compared}
        for copy in range(number)
        for kind in ("superiority", "equivalence", "non_inferiority")
    ]
    suite = suite_of(seeds=seeds, claims=claims)
    runs = runs_of({"model.activation": ["relu", "tanh"]}, seeds)
    return judge_claims(runs, suite.claims, suite, unregistered=[claims[0]["statement"]])


def survivals(number, seeds=6):
    """Cells whose runs reach a target later and later, and fewer and fewer."""
    found = []
    for cell in range(number):
        reached = [5.0 + cell + seed for seed in range(seeds - cell % 3)]
        survival = survival_of(reached, [100.0] * (cell % 3), 100.0)
        found.append(TimeToTarget({"act": f"{EVIL} {cell}"}, tuple(reached), 0, survival))
    return found


def ranks_of(number):
    """Candidates of which only the first and the last are told apart."""
    names = [f"{EVIL} {place}" for place in range(number)]
    pairs = tuple(
        RankedPair(first, second, 0.1, 0.01, 0.02 if (first, second) == (names[0], names[-1]) else 0.5)
        for first, second in itertools.combinations(names, 2)
    )
    return Ranks(None, 8, {name: 1.0 + place for place, name in enumerate(names)}, 0.001, pairs, "")


def predictions(n=400, runs=2, classes=10, sharpness=3.0):
    """Logits of runs that are too sure of themselves, and the labels."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, classes, n)
    outputs = []
    for _ in range(runs):
        logits = rng.normal(0, 1, (n, classes))
        logits[np.arange(n), labels] += 1.5
        outputs.append(kept_predictions("classification", sharpness * logits)[0])
    return outputs, labels


def every_plot(suite_of, name="p"):
    """Each kind of plot, with labels that are markup to HTML, LaTeX and matplotlib."""
    runs = runs_of(FACTORS)
    means = cell_means(runs, VARIED, "act", "init")
    few = cell_means(runs[runs["seed"] < 2], VARIED, "act", "init")
    terms = [Importance("digits", term, 1, 4.0, 0.04, share) for term, share in (((EVIL,), 0.4), (("a", "b"), -0.01))]
    judged = judged_claims(suite_of)
    values = {EVIL: np.random.default_rng(2).normal(0, 0.01, 8).tolist()}
    return {
        "claims": claims_forest(f"{name}a", judged, "test_accuracy", STYLE),
        "claims with two seeds": claims_forest(f"{name}b", judged_claims(suite_of, 2), "test_accuracy", STYLE),
        "seeds": seed_lines(f"{name}c", judged.claims[0], judged.claims[0].judgements[0], STYLE),
        "interaction": interaction_plot(f"{name}d", means, STYLE),
        "interaction of two seeds": interaction_plot(f"{name}e", few, STYLE),
        "heat": heat_map(f"{name}f", means, STYLE),
        "importance": importance_bars(f"{name}g", terms),
        "time": time_to_target(f"{name}h", survivals(3), "val_accuracy", 0.9, STYLE),
        "pareto": pareto_front(f"{name}i", pareto_points(runs, "parameters"), "parameters", "test_accuracy", STYLE),
        "reliability": reliability_diagram(f"{name}j", reliability("classification", *predictions())),
        "ensembles": size_plot(f"{name}m", {EVIL: [(1, 0.9), (2, 0.95)]}, METRICS["test_accuracy"], STYLE, True),
        "precision": precision_plot(f"{name}k", values, "test_accuracy", STYLE),
        "ranks": rank_plot(f"{name}l", ranks_of(4)),
    }


KINDS = ("claims", "claims with two seeds", "seeds", "interaction", "interaction of two seeds", "heat", "importance")
KINDS += ("time", "pareto", "reliability", "ensembles", "precision", "ranks")


@pytest.fixture(scope="module")
def plots(suite_of):
    return every_plot(suite_of)


def root_of(plot):
    """The picture as a tree; a page, unlike XML, needs no names of spaces."""
    return ET.fromstring(str(plot.svg).replace("xlink:href", "href"))


def texts_of(plot):
    return [" ".join(each.itertext()) for each in root_of(plot).iter("text")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_plot_is_sound(kind, plots):
    """A well-formed picture in the page's colours alone, titled by a question, with a note on how to read it."""
    assert plots[kind]
    for plot in plots[kind]:
        root = root_of(plot)
        assert root.tag == "svg"
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert plot.title.endswith("?")
        assert plot.note.endswith(".")
        assert "  " not in plot.note
        assert not {each.tag for each in root.iter()} & {"script", "image", "foreignObject"}
        assert not re.search(r"(fill|stroke|color): #(?!000)", str(plot.svg))
        assert "<script>" not in str(plot.svg)
        assert "dc:date" not in str(plot.svg)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_stay_inside(kind, plots):
    """A phone shows a plot 3.6 inches wide at most, and no upright label runs out of it."""
    for plot in plots[kind]:
        root = root_of(plot)
        width = float(root.get("viewBox").split()[2])
        assert width <= 3.6 * 72 + 0.1
        for text in root.iter("text"):
            if "rotate(-40" in text.get("transform", ""):
                continue
            style = text.get("style", "")
            size = float(re.search(r"font-size: ([\d.]+)px", style)[1])
            length = len(" ".join(text.itertext())) * CHARACTER * 72 * size / 9 * 0.9
            anchor = re.search(r"text-anchor: (\w+)", style)
            place = re.search(r"translate\((-?[\d.]+)", text.get("transform", ""))
            x = float(text.get("x") or place[1])
            start = x - length * {"middle": 0.5, "end": 1.0}.get(anchor[1] if anchor else "start", 0.0)
            if "rotate(-90" not in text.get("transform", ""):
                assert start >= -4, "".join(text.itertext())
                assert start + length <= width + 4, "".join(text.itertext())


def test_the_same_results_give_the_same_bytes(plots, suite_of):
    """Drawn again, every plot is the same, and another name changes ids alone."""
    again = every_plot(suite_of)
    assert again == plots
    named = every_plot(suite_of, "q")
    for kind in KINDS:
        assert [plot.note for plot in named[kind]] == [plot.note for plot in plots[kind]]


def test_every_claim_is_drawn_with_its_verdict(suite_of):
    """Statements in full, verdicts in words; many claims go over pages of equal scale, none is left out."""
    judged = judged_claims(suite_of, number=9)
    assert claim_metrics(judged) == ["test_accuracy"]
    pages = claims_forest("c", judged, "test_accuracy", STYLE)
    assert len(pages) == -(-27 // limits.MOST_JUDGEMENTS)
    drawn = [text for page in pages for text in texts_of(page)]
    words = [
        claim.judgements[0].verdict.word if claim.judgements[0].verdict else "exploratory" for claim in judged.claims
    ]
    assert [re.split("[:,]", text)[0] for text in drawn if re.match("supp|refu|inco|explor", text)] == words
    assert f"Page 2 of {len(pages)}." in pages[1].note
    ticks = [[text for text in texts_of(page) if re.fullmatch(r"[+−]?[\d.]+", text)] for page in pages]
    assert ticks[0] == ticks[1]
    assert claims_forest("c", judged, "test_nll", STYLE) == ()


def test_seed_lines_count_for_and_against(suite_of):
    """The note counts wins and ties, in the direction that is better, and what has a hole."""
    claims = [{"statement": "s", "factor": "model.activation", "better": "tanh", "than": "relu", "margin": 0}]
    suite = suite_of(seeds=5, claims=claims)
    runs = runs_of({"model.activation": ["relu", "tanh"]}, seeds=5)
    runs.loc[runs["cell"] == 0, "outcome"] = 0.9
    runs.loc[runs["cell"] == 1, "outcome"] = np.array([0.95, 0.92, 0.9, 0.88, np.nan])
    [claim] = judge_claims(runs, suite.claims, suite).claims
    [plot] = seed_lines("s", claim, claim.judgements[0], STYLE)
    assert "better in 2 of 4 seeds, and neither in 1." in plot.note
    assert "means, 90.00 with relu and 91.25 with tanh" in plot.note
    assert "1 seed left out" in plot.note
    assert "changing with it" not in plot.note.lower()


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_seeds_of_a_claim_are_of_the_cells_it_compares(task, suite_of):
    """Where another factor changes along, the panel shows these cells, and none that fits the levels by chance."""
    factors = {"model.activation": ["relu", "tanh"], "model.normalization": ["none", "batch"]}
    claims = [{"statement": "s", "factor": "model.activation", "better": "tanh", "than": "relu", "margin": 0}]
    include = [{"model.activation": "tanh", "model.normalization": "none"}]
    suite = suite_of(seeds=8, factors=factors, design="paired", include=include, claims=claims)
    runs = runs_of(factors).assign(task=task)
    runs = runs.assign(outcome=runs["cell"].map({0: 0.5, 1: math.nan, 2: 0.4, 3: 0.9}) + 0.001 * runs["seed"] ** 2)
    runs = runs[runs["cell"] != 1]
    [claim] = judge_claims(runs, suite.claims, suite).claims
    [judgement] = claim.judgements
    by_cell = {cell: own["outcome"].tolist() for cell, own in runs.groupby("cell")}
    assert [pair.better for pair in judgement.pairs] == pytest.approx(by_cell[3])
    assert [pair.than for pair in judgement.pairs] == pytest.approx(by_cell[0])
    [plot] = seed_lines("s", claim, judgement, STYLE)
    assert f"better in {8 if task == 'classification' else 0} of 8 seeds" in plot.note
    assert "Changing with it: model.normalization." in plot.note


def test_cell_means_are_means():
    """Each is the mean over all runs with both levels, and a hole takes its seed out and is told."""
    runs = runs_of(FACTORS)
    found = cell_means(runs, VARIED, "act", "init")
    by_levels = runs.groupby([level_column("act"), level_column("init")])["outcome"].mean()
    assert {place: each.mean for place, each in found.means.items()} == pytest.approx(by_levels.to_dict(), rel=1e-12)
    assert found.averaged_over == ("norm",)
    holed = runs.copy()
    holed.loc[3, ["outcome", "status"]] = [np.nan, "failed"]
    found = cell_means(holed, VARIED, "act", "init")
    assert found.means["relu", "glorot"].n == 7
    [plot] = heat_map("h", found, STYLE)
    assert sum(text.endswith("*") for text in texts_of(plot)) == 1
    assert "fewer than the 8 seeds planned" in plot.note


def test_cell_means_of_a_design_with_gaps():
    """Without every combination the other factors are held at their baseline, and that is said."""
    runs = runs_of(FACTORS)
    runs = runs[runs["cell"] != 11]
    found = cell_means(runs, VARIED, "act", "init")
    at_baseline = runs[runs[level_column("norm")] == "none"]
    expected = at_baseline.groupby([level_column("act"), level_column("init")])["outcome"].mean().to_dict()
    assert {place: each.mean for place, each in found.means.items()} == pytest.approx(expected, rel=1e-12)
    assert "at their baseline: norm = none." in interaction_plot("i", found, STYLE)[0].note


def test_the_best_of_a_heat_map():
    """The strongest tint is that of the largest mean, or of the smallest where less is better."""
    runs = runs_of({"act": ["relu", "tanh"], "init": ["a", "b"]})
    factors = {"act": ["relu", "tanh"], "init": ["a", "b"]}
    baseline = {"act": "relu", "init": "a"}
    for task in ("classification", "regression"):
        found = cell_means(runs.assign(task=task), Factors(factors, baseline), "act", "init")
        [plot] = heat_map("h", found, STYLE)
        tints = [float(tint) for tint in re.findall(r"fill: var\(--first\); opacity: ([\d.]+)", plot.svg)]
        means = [found.means[place].mean for place in itertools.product(*factors.values())]
        goodness = means if task == "classification" else [-mean for mean in means]
        # The worst has no tint at all.
        tinted = [each for each in goodness if each != min(goodness)]
        assert np.argsort(tints).tolist() == np.argsort(tinted).tolist()
        assert sorted(tints)[-1] == pytest.approx(0.6)


def test_many_levels_go_over_pages():
    """Of 30 by 9 levels every mean is written on one page of the heat map, and pages say which they are."""
    factors = {"width": [str(number) for number in range(30)], "optimizer": [f"o{number}" for number in range(9)]}
    runs = runs_of(factors, seeds=3)
    found = cell_means(runs, Factors(factors, {"width": "0", "optimizer": "o0"}), "width", "optimizer")
    pages = heat_map("h", found, STYLE)
    numbers = [text for page in pages for text in texts_of(page) if re.fullmatch(r"\d\d\.\d\d", text)]
    assert sorted(numbers) == sorted(f"{100 * each.mean:.2f}" for each in found.means.values())
    assert [page.note.rpartition("Page ")[2] for page in pages] == [f"{n} of 4." for n in (1, 2, 3, 4)]
    lines = interaction_plot("i", found, STYLE)
    assert len(lines) == 4 * 3
    assert max(len(page.svg) for page in (*pages, *lines)) < 120_000


def test_importance_names_every_term():
    """Bars are labelled without sections where that is clear; further terms are counted."""
    terms = [Importance("digits", (f"model.s{n}",), 1, 4.0, 0.0004, 0.5 / (n + 1)) for n in range(25)]
    [plot] = importance_bars("i", terms)
    assert "s0" in texts_of(plot)
    assert "0.50, p < 0.001" in texts_of(plot)
    assert "5 further terms, each with 0.02 or less, are left out." in plot.note
    terms = [Importance("d", (name,), 1, 4.0, 0.2, 0.1) for name in ("train.loss", "data.loss")]
    assert {"train.loss", "data.loss"} <= set(texts_of(importance_bars("i", terms)[0]))


def test_time_to_target_tells_who_came_there():
    """Beside each cell stand its runs that reached the target and the restricted mean; few runs are left out."""
    found = [*survivals(2), TimeToTarget({"act": "few"}, (3.0,), 2, survival_of([3.0], [9.0]))]
    [plot] = time_to_target("t", found, "val_accuracy", 0.9, STYLE)
    assert plot.title == "How soon do runs reach a validation accuracy of 90.00 %?"
    drawn = texts_of(plot)
    assert f"6 of 6 runs, mean {np.mean([5, 6, 7, 8, 9, 10]):.3g} epochs" in drawn
    assert f"5 of 6 runs, mean {np.mean([6, 7, 8, 9, 10, 100]):.3g} epochs" in drawn
    assert "1 cell with fewer than 5 runs left out." in plot.note
    assert "2 runs that failed or are missing not counted." in plot.note
    pages = time_to_target("t", survivals(300), "val_accuracy", 0.9, STYLE)
    assert len(pages) == 3
    assert "The 12 soonest of 300 cells" in pages[0].note


def test_the_front_is_marked():
    """Cells on the front are numbered from the cheapest; one of hundreds stays a small plot."""
    points = [ParetoPoint("d", {"a": f"cell{n}"}, 0.5 + 0.01 * n, 10.0 * (n + 1), n in (0, 5, 9)) for n in range(10)]
    [plot] = pareto_front("p", points, "seconds", "test_accuracy", STYLE)
    assert {"1: cell0", "2: cell5", "3: cell9"} <= set(texts_of(plot))
    runs = runs_of({"a": [str(n) for n in range(300)]}, seeds=2)
    [plot] = pareto_front("p", pareto_points(runs, "parameters"), "parameters", "test_accuracy", STYLE)
    assert len(plot.svg) < 60_000


def test_reliability_is_the_metric_of_the_runs():
    """The error told is the mean of what the runs' own metric says, and the bins hold every example of all runs."""
    outputs, labels = predictions()
    found = reliability("classification", outputs, labels)
    expected = [metrics_of_outputs("classification", each, labels)["test_ece"] for each in outputs]
    assert found.ece == pytest.approx(np.mean(expected), rel=1e-12)
    assert sum(each.n for each in found.bins) == 800
    accuracy = np.mean([metrics_of_outputs("classification", each, labels)["test_accuracy"] for each in outputs])
    assert sum(each.n * each.accuracy for each in found.bins if each.n) / 800 == pytest.approx(accuracy, rel=1e-12)
    for each in found.bins:
        assert each.n == 0 or each.low < each.confidence <= each.high + 1e-12
    [plot] = reliability_diagram("r", found)
    assert "15 bins of equal width" in plot.note
    assert "n = 400 test examples of each of 2 runs" in plot.note


def test_reliability_of_two_classes():
    """One logit is read as the probability of class 1: of 0 it is a half, and the answer is class 0."""
    labels = np.array([0, 1, 1])
    found = reliability("binary", [np.array([[0.0], [2.0], [-2.0]])], labels)
    sure = 1 / (1 + math.exp(-2))
    known = {(each.n, round(each.confidence, 12), each.accuracy) for each in found.bins if each.n}
    assert known == {(1, 0.5, 1.0), (2, round(sure, 12), 0.5)}


@pytest.mark.parametrize(("classes", "place"), [(3, 4), (5, 2), (15, 0)])
def test_an_edge_belongs_to_the_bin_below(classes, place):
    """Equally probable classes lie on an edge of the bins exactly, and count below it, as in the metric."""
    found = reliability("classification", [np.zeros((1, classes))], [0])
    assert [number for number, each in enumerate(found.bins) if each.n] == [place]


def test_what_chance_alone_gives():
    """The error by chance is what a model shows in simulation whose probabilities are true."""
    rng = np.random.default_rng(3)
    sure = rng.uniform(0.5, 1, 300)
    logits = np.log(sure / (1 - sure))[:, None]
    errors = []
    for _ in range(400):
        labels = (rng.uniform(size=300) < sure).astype(int)
        errors.append(metrics_of_outputs("binary", logits, labels)["test_ece"])
    found = reliability("binary", [logits], np.ones(300, dtype=int))
    assert found.ece_by_chance == pytest.approx(np.mean(errors), rel=0.05)


@pytest.mark.parametrize(
    ("task", "outputs", "labels"),
    [("regression", [[[1.0]]], [1.0]), ("classification", [], [0]), ("classification", [[[0.1, 0.2]]], [0, 1])],
)
def test_reliability_needs_probabilities(task, outputs, labels):
    """A regression, no runs, and labels of other examples are refused."""
    with pytest.raises(ValueError):
        reliability(task, outputs, labels)


def test_precision_is_half_the_interval():
    """So far it is half of scipy's interval of the first n; ahead it shrinks as t over the root of n does."""
    values = np.random.default_rng(4).normal(0, 0.01, 8).tolist()
    so_far = precision_so_far([*values[:2], math.nan, *values[2:]])
    assert [n for n, _ in so_far] == [3, 4, 5, 6, 7, 8]
    for n, width in so_far:
        interval = stats.ttest_1samp(values[:n], 0).confidence_interval(0.95)
        assert width == pytest.approx((interval.high - interval.low) / 2, rel=1e-9)
    ahead = dict(precision_ahead(values))
    assert (min(ahead), max(ahead)) == (8, 24)
    assert ahead[8] == pytest.approx(so_far[-1][1], rel=1e-12)
    assert ahead[24] == pytest.approx(stats.t.isf(0.025, 23) * np.std(values, ddof=1) / math.sqrt(24), rel=1e-12)
    assert precision_so_far([0.1, 0.1, 0.1, 0.2]) == [(4, pytest.approx(stats.t.isf(0.025, 3) * 0.05 / 2))]
    assert precision_so_far([]) == precision_so_far([0.1] * 5) == precision_ahead([0.1] * 5) == []


def test_a_plan_that_ends_sooner_ends_its_line_sooner():
    """Where cells were trained for 10 and for 50 epochs, the line of the shorter stops at 10, and means at 10 too."""
    short, long = survival_of([4.0] * 5, [10.0], 10.0), survival_of([30.0] * 6, [], 10.0)
    found = [TimeToTarget({"epochs": "10"}, (4.0,) * 5, 0, short), TimeToTarget({"epochs": "50"}, (30.0,) * 6, 0, long)]
    [plot] = time_to_target("t", found, "val_accuracy", 0.9, STYLE)
    assert {"5 of 6 runs, mean 5 epochs", "6 of 6 runs, mean 10 epochs"} <= set(texts_of(plot))
    assert "10 epochs standing for all later times. That is as long as the shortest training." in plot.note
    dashes = [
        [float(x) for x in re.findall(r"(?:M|L) ?([\d.]+)", path)] for path in re.findall(r' d="([^"]*)"', plot.svg)
    ]
    ends = sorted(max(xs) for xs in dashes if len(xs) > 3)
    assert ends[0] < 0.5 * ends[-1]


def test_precision_of_many_differences_is_put_together():
    """Hundreds of differences become a median and a range, and that is said; those without spread are left out."""
    rng = np.random.default_rng(5)
    values = {str(number): rng.normal(0, 0.01, 6).tolist() for number in range(300)}
    [plot] = precision_plot("p", values, "test_accuracy", STYLE)
    assert "Of 300 differences together" in plot.note
    assert len(plot.svg) < 30_000
    assert precision_plot("p", {"a": [0.1, 0.1, 0.1], "b": [0.1]}, "test_accuracy", STYLE) == ()


def test_who_is_not_told_apart():
    """Demšar's picture: overlapping groups of neighbours without any difference among them."""
    found = ranks_of(4)
    names = list(found.mean_ranks)
    assert not_told_apart(found, names) == [(0, 2), (1, 3)]
    assert not_told_apart(found, names, alpha=0.6) == []
    assert not_told_apart(Ranks(None, 8, found.mean_ranks, 0.4, (), ""), names) == [(0, 3)]
    assert rank_plot("r", Ranks("they need 6 datasets and there are 2", 2, {}, math.nan, (), "")) == ()


@given(st.integers(0, 60), st.integers(1, 9))
def test_pages_hold_everything_once(number, most):
    """Pages are as few and as even as can be, and none is empty or too long."""
    pages = paged(range(number), most)
    assert [item for page in pages for item in page] == list(range(number))
    assert len(pages) == -(-number // most)
    if pages:
        lengths = [len(page) for page in pages]
        assert max(lengths) <= most
        assert max(lengths) - min(lengths) <= 1


@settings(max_examples=60)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0.01, 3))
def test_labels_are_spread(places, least):
    """Labels keep their order and their distance, and stay where they are if they are far enough apart."""
    moved = spread(places, least)
    order = np.argsort(places, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert (gaps >= least - 1e-9).all()
    if len(places) < 2 or np.diff(np.array(places)[order]).min() >= least:
        assert moved == pytest.approx(places)
    assert np.mean(moved) == pytest.approx(np.mean(places), abs=1e-6)


def test_long_text_is_wrapped_and_cut():
    """Words stay whole; what is too long for the last line ends with dots."""
    assert wrapped("a short text", 20, 2) == ["a short text"]
    lines = wrapped("one two three four five six seven", 10, 2)
    assert lines[0] == "one two"
    assert lines[1].endswith("…")
    assert all(len(line) <= 10 for line in lines)
    assert wrapped("", 10, 2) == [""]
