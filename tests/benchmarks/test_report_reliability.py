"""From predictions and labels in the store to what is said of reliability and of the test examples, or why not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats
from studies import recorded, study_of

from benchmarks.report import limits
from benchmarks.report.limits import MOST_RELIABILITY_CELLS
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts

FACTS = DatasetFacts("1.0.0", 60, 40, 2, (8, 8, 1), "official test split", task="classification")
LABELS = np.array([0, 1] * 20)

SUITE = """
name = "believed"
datasets = ["digits"]
seeds = 3

[model]
variant = "mlp_small"

[factors]
"model.width" = {widths}
"""


@pytest.fixture
def write(tmp_path):
    """Records a suite with made-up predictions and writes its report."""

    def written(predictions, labels=LABELS, widths=(8, 16), facts=FACTS):
        def result(run):
            metrics = {"test_accuracy": 0.75, "test_nll": 0.5, "test_brier": 0.3, "test_ece": 0.1}
            return RunResult("done", metrics, {"train_loss": [1.0]}, 9, 0.1, predictions=predictions(run))

        store = recorded(tmp_path, SUITE.format(widths=list(widths)), {"digits": facts}, result)
        if labels is not None:
            store.keep_labels("digits", "1.0.0", labels)
        folder = write_report(study_of(store, "believed"), tmp_path / "report").parent
        html, markdown = ((folder / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
        return html.split('id="reliability"')[1].split("</section>")[0], markdown.split("## Reliability")[1]

    return written


def sure_at(share, right_of_40):
    """Logits of two classes: this probability for a class that is the true one so many times of 40."""
    logit = np.log(share / (1 - share))
    guessed = np.where(np.arange(40) < right_of_40, LABELS, 1 - LABELS)
    return np.eye(2)[guessed].astype("f2") * np.float16(logit)


def test_the_error_is_told_with_its_interval(write):
    """Right in 3 of 4 at a probability of 0.9 is an error of 15 points; seeds give it its interval."""
    page, markdown = write(lambda run: sure_at(0.9, 28 + 2 * run.seed))
    errors = [0.9 - 28 / 40, 0.9 - 30 / 40, 0.9 - 32 / 40]
    low, high = stats.t.interval(0.95, 2, np.mean(errors), stats.sem(errors))
    for text in (page, markdown):
        told = re.search(r"([\d.]+) % \(95 % t interval over 3 runs: ([\d.]+) to ([\d.]+) %\)", text)
        assert [float(each) for each in told.groups()] == pytest.approx([15, 100 * low, 100 * high], abs=0.05)
    assert page.count("<figure>") == 2
    assert "Can the probabilities of 8 be believed?" in page
    assert "| 8 (baseline) | 3 |" in markdown


def wrong_on(examples):
    """Logits of two classes, quite sure of the true one but on these examples."""
    guessed = np.where(np.isin(np.arange(40), examples), 1 - LABELS, LABELS)
    return np.eye(2)[guessed].astype("f2")


def test_how_much_hangs_on_the_test_examples(write):
    """Of 40, the level alone has 2 right and the baseline alone 4, or one fewer with the second and third seed."""

    def made(run):
        is_level = run.cell.levels["model.width"] == "16"
        return wrong_on(range(10, 14 if run.seed == 0 else 13) if is_level else range(2))

    _, markdown = write(made)
    errors = [np.sqrt((0.05 + only - (0.05 - only) ** 2) / 40) for only in (4 / 40, 3 / 40, 3 / 40)]
    assert f"| model.width = 16 | {100 * np.mean(errors):.2f} | 0.00 | 5.00 % | 8.33 % | 3 |" in markdown
    assert "All runs are tested on the same 40 examples." in markdown


def test_the_noise_is_of_some_differences(write, monkeypatch):
    """Few differences and pairs are read, and it is said of how many."""
    monkeypatch.setattr(limits, "MOST_NOISE_DIFFERENCES", 2)
    monkeypatch.setattr(limits, "MOST_NOISE_PAIRS", 1)
    _, markdown = write(lambda run: wrong_on([run.seed]), widths=(8, 16, 24, 32))
    assert "2 of 3 differences from the baseline." in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("| model.width = ")]
    assert [row.split(" | ")[-1] for row in rows] == ["1 |"] * 2


def test_many_cells_are_those_nearest_to_the_baseline(write):
    """A page holds a few diagrams and says of how many cells."""
    widths = [8 * number for number in range(1, MOST_RELIABILITY_CELLS + 4)]
    page, markdown = write(lambda _: sure_at(0.9, 36), widths=widths)
    assert page.count("<figure>") == MOST_RELIABILITY_CELLS
    for text in (page, markdown):
        assert f"{MOST_RELIABILITY_CELLS} of {MOST_RELIABILITY_CELLS + 3} cells: the baseline" in text


@pytest.mark.parametrize(
    ("predictions", "labels", "facts", "why"),
    [
        (lambda _: None, LABELS, FACTS, "of no run the outputs for the test examples were kept"),
        (lambda _: sure_at(0.9, 36), None, FACTS, "the labels of the test examples were not kept"),
        (
            lambda _: np.zeros((40, 1), "f4"),
            LABELS * 1.0,
            DatasetFacts("1.0.0", 60, 40, 1, (8,), "official test split", task="regression", mean_rmse=1.0),
            "a regression has no probabilities",
        ),
    ],
)
def test_nothing_is_claimed_where_nothing_is_known(write, predictions, labels, facts, why):
    """The reason stands in place of a diagram."""
    page, markdown = write(predictions, labels, facts=facts)
    for text in (page, markdown):
        assert f"No diagram is given: {why}." in text
        assert "<figure" not in text
        assert "t interval over" not in text.split("## Failures")[0]
    assert "The noise of the test examples is not given: " in markdown
