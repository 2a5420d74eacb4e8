"""The metrics of the test split, against scikit-learn, worked examples and properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, softmax
from sklearn import metrics as reference

from benchmarks import metrics
from benchmarks.results import MOST_PREDICTION_BYTES, kept_predictions

unhurried = examples(40, 100)
logit = st.floats(-30, 30, width=32)


@st.composite
def classified(draw, least_classes=2, most_classes=8):
    """Logits of a few examples and their labels."""
    shape = draw(st.integers(1, 12)), draw(st.integers(least_classes, most_classes))
    labels = arrays(np.int32, shape[0], elements=st.integers(0, shape[1] - 1))
    return draw(arrays(np.float32, shape, elements=logit)), draw(labels)


@st.composite
def estimated(draw):
    """Predictions of a few examples and their targets, not all equal."""
    number = draw(st.integers(2, 12))
    values = arrays(np.float64, number, elements=st.floats(-1e3, 1e3))
    return draw(values), draw(values.filter(lambda found: np.ptp(found) > 1e-3))


def sample(n_classes, n=500):
    """Logits that are often right, with labels of every class."""
    generator = np.random.default_rng(n_classes)
    labels = generator.integers(n_classes, size=n)
    labels[:n_classes] = np.arange(n_classes)
    logits = generator.normal(0, 2, (n, n_classes))
    logits[np.arange(n), labels] += 2
    return logits, labels


def calibration_error_by_loop(confidence, right):
    """Guo et al. 2017, equations 3 and 5, one bin after another."""
    error = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15
        inside = [place for place, each in enumerate(confidence) if low < each <= high]
        if inside:
            gap = np.mean([right[place] for place in inside]) - np.mean([confidence[place] for place in inside])
            error += len(inside) / len(confidence) * abs(gap)
    return error


@pytest.mark.parametrize("n_classes", [3, 5, 10])
def test_class_metrics_equal_scikit_learn(n_classes):
    """Accuracy, top-5 accuracy, NLL and the Brier score over all classes are those of scikit-learn."""
    logits, labels = sample(n_classes)
    found = metrics.test_metrics("classification", logits, labels)
    probabilities, classes = softmax(logits, axis=1), np.arange(n_classes)
    assert found["test_accuracy"] == reference.accuracy_score(labels, logits.argmax(axis=1))
    assert found["test_nll"] == pytest.approx(reference.log_loss(labels, probabilities, labels=classes), rel=1e-12)
    brier = reference.brier_score_loss(labels, probabilities, labels=classes, scale_by_half=False)
    assert found["test_brier"] == pytest.approx(brier, rel=1e-12)
    if n_classes > 5:
        assert found["test_top5_accuracy"] == reference.top_k_accuracy_score(labels, logits, k=5, labels=classes)
        assert found["test_accuracy"] < found["test_top5_accuracy"] < 1
    assert ("test_top5_accuracy" in found) == (n_classes >= 5)


def test_binary_metrics_equal_scikit_learn():
    """Of one logit too; the Brier score is the sum over both classes, twice scikit-learn's usual one."""
    logits, labels = sample(2)
    one = logits[:, 1] - logits[:, 0]
    found = metrics.test_metrics("binary", one, labels)
    assert found["test_accuracy"] == reference.accuracy_score(labels, one > 0)
    assert found["test_nll"] == pytest.approx(reference.log_loss(labels, expit(one)), rel=1e-12)
    assert found["test_brier"] == pytest.approx(2 * reference.brier_score_loss(labels, expit(one)), rel=1e-12)


def test_regression_metrics_equal_scikit_learn():
    """RMSE, MAE and R² are those of scikit-learn, in the target's own unit."""
    generator = np.random.default_rng(3)
    targets = generator.lognormal(10, 1, 300)
    values = 0.7 * targets + generator.normal(500, 4000, 300)
    found = metrics.test_metrics("regression", values[:, None], targets)
    assert found["test_rmse"] == pytest.approx(reference.root_mean_squared_error(targets, values), rel=1e-12)
    assert found["test_mae"] == pytest.approx(reference.mean_absolute_error(targets, values), rel=1e-12)
    assert found["test_r2"] == pytest.approx(reference.r2_score(targets, values), rel=1e-12)
    assert found["test_r2"] != pytest.approx(reference.r2_score(values, targets), rel=1e-3)


def test_calibration_error_by_hand():
    """Ten examples in three bins: 0.4 x |0.25 - 0.6| + 0.5 x |0.8 - 0.9| + 0.1 x |1 - 0.7|."""
    confidence = np.array([0.6] * 4 + [0.9] * 5 + [0.7])
    right = np.array([1, 0, 0, 0, 1, 1, 1, 1, 0, 1], dtype=bool)
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1))
    found = metrics.test_metrics("classification", logits, np.where(right, 0, 1))
    assert found["test_ece"] == pytest.approx(0.4 * 0.35 + 0.5 * 0.1 + 0.1 * 0.3)
    assert found["test_accuracy"] == 0.6


@unhurried
@given(st.lists(st.tuples(st.one_of(st.floats(0.01, 1), st.integers(1, 15).map(lambda n: n / 15)), st.booleans())))
def test_calibration_error_equals_a_loop(cases):
    """Whatever the confidences, also those on the edge of a bin, which belongs to the bin below."""
    cases = [*cases, (0.5, True)]
    confidence, right = np.array([each for each, _ in cases]), np.array([each for _, each in cases])
    expected = calibration_error_by_loop(confidence, right)
    assert metrics.calibration_error(confidence, right) == pytest.approx(expected, abs=1e-12)


@unhurried
@given(classified())
def test_class_metrics_have_bounds(case):
    """Shares lie in 0 to 1, the Brier score in 0 to 2, and a wrong class costs at least log 2."""
    logits, labels = case
    found = metrics.test_metrics("classification", logits, labels)
    assert 0 <= found["test_accuracy"] <= found.get("test_top5_accuracy", 1) <= 1
    assert 0 <= found["test_ece"] <= 1
    assert 0 <= found["test_brier"] <= 2
    assert found["test_nll"] >= (1 - found["test_accuracy"]) * math.log(2) - 1e-12


@unhurried
@given(classified(), st.floats(-1e6, 1e6))
def test_shifting_the_logits_of_an_example_changes_nothing(case, shift):
    """Softmax knows differences of logits only, however large the logits are."""
    logits, labels = case
    shifts = shift * np.arange(1, len(labels) + 1)[:, None]
    # Small steps, so that the sum with the shift is exact to what the comparison sees.
    steps = np.round(logits.astype(np.float64) * 8) / 8
    before = metrics.test_metrics("classification", steps, labels)
    after = metrics.test_metrics("classification", steps + np.round(shifts), labels)
    assert after == pytest.approx(before, abs=1e-12)


@unhurried
@given(arrays(np.float32, 9, elements=st.floats(-500, 500, width=32)), arrays(np.int32, 9, elements=st.integers(0, 1)))
def test_one_logit_is_a_softmax_over_two(one, labels):
    """A binary logit gives what the logits 0 and itself give for two classes."""
    two = np.stack([np.zeros(9), one], axis=1)
    found = metrics.test_metrics("binary", one[:, None], labels)
    assert found == pytest.approx(metrics.test_metrics("classification", two, labels), abs=1e-12)


@unhurried
@given(classified(), st.randoms(use_true_random=False))
def test_the_order_of_examples_does_not_matter(case, random):
    """Metrics are of the whole split."""
    logits, labels = case
    order = list(range(len(labels)))
    random.shuffle(order)
    shuffled = metrics.test_metrics("classification", logits[order], labels[order])
    assert shuffled == pytest.approx(metrics.test_metrics("classification", logits, labels), abs=1e-12)


@unhurried
@given(estimated(), st.floats(0.1, 100), st.floats(-100, 100))
def test_errors_have_the_unit_of_the_target(case, scale, shift):
    """Another unit scales RMSE and MAE and leaves R² alone; MAE is at most RMSE, and R² at most 1."""
    values, targets = case
    found = metrics.test_metrics("regression", values, targets)
    other = metrics.test_metrics("regression", scale * values + shift, scale * targets + shift)
    assert other["test_rmse"] == pytest.approx(scale * found["test_rmse"], rel=1e-6, abs=1e-9)
    assert other["test_mae"] == pytest.approx(scale * found["test_mae"], rel=1e-6, abs=1e-9)
    assert other["test_r2"] == pytest.approx(found["test_r2"], rel=1e-6, abs=1e-6)
    assert 0 <= found["test_mae"] <= found["test_rmse"] + 1e-9
    assert found["test_r2"] <= 1


def test_equal_logits_go_to_the_first_class():
    """Without a most probable class the first counts, and the first five are the top five."""
    equal = np.zeros((10, 10))
    found = metrics.test_metrics("classification", equal, np.arange(10))
    assert (found["test_accuracy"], found["test_top5_accuracy"]) == (0.1, 0.5)
    assert found["test_nll"] == pytest.approx(math.log(10))
    assert found["test_brier"] == pytest.approx(0.9)
    assert found["test_ece"] == pytest.approx(0)
    assert metrics.test_metrics("binary", np.zeros(4), [0, 0, 0, 1])["test_accuracy"] == 0.75


def test_huge_logits_are_no_trouble():
    """Logits at the end of double precision give finite metrics where the truth has the largest."""
    most = np.finfo(np.float64).max
    found = metrics.test_metrics("classification", [[most, -most, 0.0], [1e5, 2e5, 3e5]], [0, 1])
    assert found["test_nll"] == pytest.approx(1e5 / 2)
    assert found["test_brier"] == pytest.approx(1)


def test_infinite_logits_are_certain():
    """An infinite logit is probability 1 or 0: right costs nothing, wrong costs without bound."""
    certain = [[math.inf, 0.0, -math.inf], [-math.inf, -math.inf, 3.0]]
    right = metrics.test_metrics("classification", certain, [0, 2])
    assert right == {"test_accuracy": 1, "test_nll": 0, "test_brier": 0, "test_ece": 0}
    wrong = metrics.test_metrics("binary", [math.inf, -math.inf], [0, 0])
    assert wrong == {"test_accuracy": 0.5, "test_nll": math.inf, "test_brier": 1, "test_ece": 0.5}


def test_infinite_predictions():
    """A prediction that is infinite is infinitely wrong."""
    found = metrics.test_metrics("regression", [1.0, -math.inf], [1.0, 2.0])
    assert found == {"test_rmse": math.inf, "test_mae": math.inf, "test_r2": -math.inf}


@pytest.mark.parametrize(
    ("task", "shape"),
    [("classification", (4, 3)), ("classification", (4, 6)), ("binary", (4,)), ("regression", (4, 1))],
)
def test_an_output_that_is_no_number(task, shape):
    """One NaN makes every metric NaN, none is missing, and there is no warning."""
    outputs = np.zeros(shape)
    labels = np.arange(4) % 2
    names = set(metrics.test_metrics(task, outputs, labels))
    outputs[2] = math.nan
    found = metrics.test_metrics(task, outputs, labels)
    assert set(found) == names
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize("targets", [[0.1, 0.1, 0.1], [0.0, 0.0, 1e-200]])
def test_nearly_equal_targets(targets):
    """R² is not defined either where the variance is lost to rounding."""
    assert math.isnan(metrics.test_metrics("regression", [1.0, 3.0, 3.0], targets)["test_r2"])


def test_equal_targets_have_no_variance_to_explain():
    """R² is not defined where all targets are equal; the errors are."""
    found = metrics.test_metrics("regression", [1.0, 3.0, 3.0], [2.0, 2.0, 2.0])
    assert math.isnan(found["test_r2"])
    assert (found["test_rmse"], found["test_mae"]) == (1, 1)


@pytest.mark.parametrize(
    ("task", "outputs", "labels"),
    [
        ("classification", np.zeros((3, 2)), [0, 1]),
        ("classification", np.zeros((2, 2)), [0, 2]),
        ("classification", np.zeros((2, 2)), [0, -1]),
        ("classification", np.zeros(2), [0, 1]),
        ("classification", np.zeros((2, 1)), [0, 0]),
        ("classification", np.zeros((0, 2)), []),
        ("binary", np.zeros((2, 2)), [0, 1]),
        ("binary", np.zeros(2), [0, 2]),
        ("regression", np.zeros((2, 2)), [0.5, 1]),
        ("regression", np.zeros(3), [0.5, 1]),
        ("regression", [], []),
    ],
)
def test_what_does_not_fit_is_refused(task, outputs, labels):
    """Other shapes, labels that are no class, and no examples at all raise rather than broadcast."""
    with pytest.raises(ValueError):
        metrics.test_metrics(task, outputs, labels)


@pytest.mark.parametrize("label", [0.5, np.nan, np.inf])
@pytest.mark.parametrize(("task", "outputs"), [("classification", np.eye(3)), ("binary", [0.1, 2.0, -1.0])])
def test_half_a_class_is_none(task, outputs, label):
    """A label between two classes is not rounded to one of them; a real number that is whole is a class."""
    with pytest.raises(ValueError, match=f"label {label} is no class"):
        metrics.test_metrics(task, outputs, [0, label, 1])
    assert metrics.test_metrics(task, outputs, [0.0, 1.0, 1.0]) == metrics.test_metrics(task, outputs, [0, 1, 1])


@pytest.mark.parametrize("task", metrics.ALL_TASKS)
def test_the_table_has_every_metric(task):
    """What is computed is in the table, marked for its task; so are the outcome, the curves and the further metrics."""
    outputs = np.linspace(0, 1, 12).reshape(2, 6) if task == "classification" else np.array([0.2, 0.7])
    computed = set(metrics.test_metrics(task, outputs, [0, 1]))
    assert computed == {metrics.OUTCOME_METRICS[task], *metrics.FURTHER_METRICS[task]}
    named = computed | set(metrics.CURVE_METRICS[task])
    assert named <= {name for name, metric in metrics.METRICS.items() if task in metric.tasks}


def test_the_error_of_the_mean():
    """The mean is that of the training targets; where it is that of the test targets too, R² of it is 0."""
    assert metrics.rmse_of_the_mean([1.0, 2.0, 6.0], [[3.0], [7.0]]) == pytest.approx(math.sqrt(8))
    targets = np.array([1.0, 2.0, 6.0])
    assert metrics.rmse_of_the_mean(targets, targets) == pytest.approx(targets.std())


@unhurried
@given(classified(most_classes=8))
def test_kept_logits_tell_the_same(case):
    """Half precision keeps the most probable class wherever there is one, and the probabilities to 0.004."""
    logits, _ = case
    kept, note = kept_predictions("classification", logits)
    assert (kept.dtype, kept.shape, note) == (np.float16, logits.shape, None)
    assert softmax(kept.astype(float), axis=1) == pytest.approx(softmax(logits.astype(float), axis=1), abs=4e-3)
    gap = np.sort(logits, axis=1)
    clear = gap[:, -1] - gap[:, -2] > 1e-6
    assert (kept.argmax(axis=1) == logits.argmax(axis=1))[clear].all()


def test_kept_values():
    """Binary logits are kept as a column in half precision, values of a regression in double precision."""
    kept, _ = kept_predictions("binary", np.array([0.5, -1e6, math.inf]))
    assert (kept.dtype, kept.tolist()) == (np.float16, [[0.5], [-65504], [65504]])
    kept, _ = kept_predictions("regression", np.array([[250_001.0], [1e300]]))
    assert kept.dtype == np.float64
    assert kept[0, 0] == 250_001
    assert np.isfinite(kept).all()


def test_infinite_logits_are_kept_as_finite_ones():
    """A certain class stays certain, and equal infinities stay equal."""
    kept, _ = kept_predictions("classification", [[math.inf, 1.0, math.inf], [-math.inf, 2.0, 1.0]])
    assert kept.tolist() == [[0, -65504, 0], [-65504, 0, -1]]


@pytest.mark.parametrize(("task", "number"), [("classification", 2**21), ("regression", 2**19)])
def test_no_more_is_kept_than_there_is_room_for(task, number):
    """Predictions of just the bound are kept; above it there is a note in their place."""
    outputs = np.zeros((number // 16, 16), dtype=np.float32)
    kept, note = kept_predictions(task, outputs)
    assert (kept.nbytes, note) == (MOST_PREDICTION_BYTES, None)
    kept, note = kept_predictions(task, np.zeros((number // 16 + 1, 16), dtype=np.float32))
    assert kept is None
    assert "not kept" in note
    assert "more than 4194304" in note
