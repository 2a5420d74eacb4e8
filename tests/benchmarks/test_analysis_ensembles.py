"""Ensembles of runs: identities from outside, cases by hand, and what no ensemble may change."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import log_softmax, softmax

from benchmarks.analysis.ensembles import (
    ENSEMBLE_METRICS,
    LEAST_DIFFERENT,
    MOST_SIZES,
    MOST_SUBSETS,
    SIZED_METRICS,
    SQUARED_ERROR,
    ensemble,
    metric_of,
    sizes_of,
    subsets_of,
)
from benchmarks.metrics import test_metrics as metrics_of
from benchmarks.results import kept_predictions


def found(task, outputs, labels):
    """The ensemble of these outputs."""
    return ensemble(task, outputs, labels, np.random.default_rng(0))


def classes_and_labels(seed=0, members=4, examples=60, classes=3):
    """Logits of members that are right more often than not, and the labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=examples)
    logits = random.normal(0, 1.5, (members, examples, classes)) + 1.5 * np.eye(classes)[labels]
    return list(logits), labels


def numbers_and_labels(seed=0, members=4, examples=60):
    """Predictions with a bias, and the targets."""
    random = np.random.default_rng(seed)
    labels = random.normal(100, 20, examples)
    return [labels[:, None] + random.normal(3, 10, (examples, 1)) for _ in range(members)], labels


def test_the_worked_case_of_two_classifiers():
    """Probabilities 0.9, 0.4 and 0.8, 0.2 of the true class: means 0.65 and 0.5 by hand."""
    truth = np.array([0, 0])
    outputs = [np.log([[0.9, 0.1], [0.8, 0.2]]), np.log([[0.4, 0.6], [0.2, 0.8]])]
    got = found("classification", outputs, truth)
    scores = got.scores
    assert scores["test_nll"].ensemble == pytest.approx(-(math.log(0.65) + math.log(0.5)) / 2)
    assert scores["test_nll"].member == pytest.approx(-sum(map(math.log, (0.9, 0.8, 0.4, 0.2))) / 4)
    assert scores["test_brier"].ensemble == pytest.approx((2 * 0.35**2 + 2 * 0.5**2) / 2)
    assert scores["test_accuracy"].member == 0.5
    assert got.disagreement == 1
    assert got.ambiguity == pytest.approx(2 * (0.25**2 + 0.3**2) / 2)


@settings(max_examples=25)
@given(seed=st.integers(0, 200), members=st.integers(2, 6), examples=st.integers(1, 40))
def test_the_gain_in_squared_error_is_the_ambiguity(seed, members, examples):
    """Krogh and Vedelsby (1995), for numbers and for the probabilities of a Brier score."""
    got = found("regression", *numbers_and_labels(seed, members, examples))
    assert got.scores[SQUARED_ERROR].gain == pytest.approx(got.ambiguity, rel=1e-9)
    got = found("classification", *classes_and_labels(seed, members, examples))
    assert got.scores["test_brier"].gain == pytest.approx(got.ambiguity, rel=1e-9, abs=1e-12)
    assert got.scores["test_nll"].gain >= 0


@pytest.mark.parametrize("task", ["classification", "binary", "regression"])
def test_members_are_told_as_their_own_metrics_are(task):
    """The mean member is the mean of what each run alone has."""
    outputs, labels = numbers_and_labels() if task == "regression" else classes_and_labels()
    if task == "binary":
        outputs, labels = [each[:, 1:2] - each[:, :1] for each in outputs], (labels == 1).astype(int)
    alone = [metrics_of(task, each, labels) for each in outputs]
    got = found(task, outputs, labels)
    assert tuple(got.scores) == ENSEMBLE_METRICS[task]
    for name in set(got.scores) - {SQUARED_ERROR}:
        assert got.scores[name].member == pytest.approx(np.mean([each[name] for each in alone]))
    for name in SIZED_METRICS[task]:
        line = dict(got.by_size[name])
        assert line[1] == pytest.approx(got.scores[name].member)
        assert line[len(outputs)] == pytest.approx(got.scores[name].ensemble)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_ensemble_has_the_metrics_of_its_mean_probabilities(classes):
    """As the metrics of a single model with these probabilities."""
    outputs, labels = classes_and_labels(classes=classes)
    mean = np.mean([softmax(each, axis=1) for each in outputs], axis=0)
    expected = metrics_of("classification", np.log(mean), labels)
    got = found("classification", outputs, labels)
    for name, score in got.scores.items():
        assert score.ensemble == pytest.approx(expected[name], abs=1e-12)
        sign = 1 if metric_of(name).better == "higher" else -1
        assert score.gain == pytest.approx(sign * (score.ensemble - score.member), abs=1e-12)


def test_two_classes_by_one_logit_or_by_two_are_the_same():
    """A binary task is a classification whose other logit is zero."""
    outputs, labels = classes_and_labels(classes=2)
    single = [each[:, 1:] - each[:, :1] for each in outputs]
    one, two = found("binary", single, labels), found("classification", outputs, labels)
    assert one.disagreement == two.disagreement
    for name in one.scores:
        assert one.scores[name].ensemble == pytest.approx(two.scores[name].ensemble, abs=1e-12)


def test_disagreement_is_the_mean_over_pairs():
    """Counted pair by pair."""
    outputs, labels = classes_and_labels(members=5, classes=4)
    named = [each.argmax(axis=1) for each in outputs]
    pairs = [(one != other).mean() for one, other in itertools.combinations(named, 2)]
    assert found("classification", outputs, labels).disagreement == pytest.approx(np.mean(pairs))


def test_sizes_are_means_over_all_subsets():
    """Ten pairs of five members, each an ensemble of its own."""
    outputs, labels = classes_and_labels(members=5)
    got = found("classification", outputs, labels)
    pairs = [found("classification", [outputs[a], outputs[b]], labels) for a, b in itertools.combinations(range(5), 2)]
    for name in SIZED_METRICS["classification"]:
        assert dict(got.by_size[name])[2] == pytest.approx(np.mean([each.scores[name].ensemble for each in pairs]))
    assert got.has_all_subsets


def test_the_interval_is_paired_over_the_examples():
    """As SciPy's t interval of the differences; on a square root, as a bootstrap of the examples has it."""
    outputs, labels = classes_and_labels(examples=200)
    logs = np.array([log_softmax(each, axis=1)[np.arange(200), labels] for each in outputs])
    gains = np.log(np.exp(logs).mean(axis=0)) - logs.mean(axis=0)
    score = found("classification", outputs, labels).scores["test_nll"]
    low, high = stats.t.interval(0.95, 199, gains.mean(), stats.sem(gains))
    assert (score.ci_low, score.ci_high) == (pytest.approx(low), pytest.approx(high))

    outputs, labels = numbers_and_labels(examples=400)
    score = found("regression", outputs, labels).scores["test_rmse"]
    random = np.random.default_rng(0)
    errors = np.array([each[:, 0] - labels for each in outputs])
    drawn = [errors[:, random.integers(400, size=400)] for _ in range(2000)]
    roots = [
        np.sqrt(np.square(each).mean(axis=1)).mean() - math.sqrt(np.square(each.mean(axis=0)).mean()) for each in drawn
    ]
    assert (score.ci_high - score.ci_low) / 2 == pytest.approx(1.96 * np.std(roots), rel=0.1)
    assert (score.ci_high + score.ci_low) / 2 == pytest.approx(score.gain)


@pytest.mark.parametrize("different", [LEAST_DIFFERENT - 1, LEAST_DIFFERENT])
def test_few_different_examples_have_no_interval(different):
    """Two members of three agree everywhere, and the third is wrong on a few examples."""
    labels = np.zeros(100, dtype=int)
    right, wrong = np.tile([4.0, 0.0], (100, 1)), np.tile([4.0, 0.0], (100, 1))
    wrong[:different] = [0.0, 4.0]
    score = found("classification", [right, right, wrong], labels).scores["test_accuracy"]
    assert score.gain == pytest.approx(different / 300)
    assert math.isnan(score.ci_low) == (different < LEAST_DIFFERENT)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_copies_of_one_run_gain_nothing(task):
    """Nor have they an interval."""
    outputs, labels = classes_and_labels() if task == "classification" else numbers_and_labels()
    got = found(task, outputs[:1] * 3, labels)
    assert got.ambiguity == pytest.approx(0)
    for score in got.scores.values():
        assert score.gain == pytest.approx(0, abs=1e-12)
        assert math.isnan(score.ci_low)


def test_certain_and_wrong_members_stay_finite():
    """Logits as far apart as half precision has them, one member wrong, or both."""
    sure, _ = kept_predictions("classification", np.array([[0.0, 1e9], [0.0, 1e9]]))
    other, _ = kept_predictions("classification", np.array([[1e9, 0.0], [0.0, 1e9]]))
    got = found("classification", [sure, other], [0, 0])
    assert got.scores["test_nll"].ensemble == pytest.approx((math.log(2) + float(np.finfo("f2").max)) / 2)


@given(n=st.integers(2, 40), data=st.data())
def test_subsets_are_different_and_of_their_size(n, data):
    """All where they are few, and never more than are asked for; the same ones each time."""
    size = data.draw(st.integers(1, n))
    drawn = subsets_of(n, size, MOST_SUBSETS, np.random.default_rng(1))
    assert len(drawn) == min(MOST_SUBSETS, math.comb(n, size)) == len(set(drawn))
    assert all(len(set(each)) == size and set(each) <= set(range(n)) for each in drawn)
    assert drawn == subsets_of(n, size, MOST_SUBSETS, np.random.default_rng(1))
    sizes = sizes_of(n)
    assert sizes[0] == 1
    assert sizes[-1] == n
    assert len(sizes) <= MOST_SIZES


@pytest.mark.parametrize(
    "outputs", [[], [np.zeros((3, 2))], [np.zeros((3, 2)), np.zeros((4, 2))], [np.zeros(3), np.zeros(3)]]
)
def test_what_is_no_ensemble_is_refused(outputs):
    """One run, or runs of other examples."""
    with pytest.raises(ValueError, match="two of \\(n, outputs\\) are needed"):
        found("classification", outputs, [0, 1, 0])
