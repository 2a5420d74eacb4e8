"""The section on ensembles: from predictions and labels in the store to tables and figures, or why there are none."""

from __future__ import annotations

import contextlib
import csv
import io
import re
import sqlite3

import numpy as np
import pytest
from studies import recorded, study_of

from benchmarks.report import limits
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts

CLASSES = DatasetFacts("1.0.0", 60, 40, 2, (8, 8, 1), "official test split", task="classification")
NUMBERS = DatasetFacts("1.0.0", 60, 40, 1, (8,), "official test split", task="regression", mean_rmse=1.0)
LABELS = np.array([0, 1] * 20)
FILES = ("ensembles.csv", "ensembles-digits.tex")

SUITE = """
name = "together"
datasets = ["digits"]
seeds = {seeds}

[model]
variant = "mlp_small"

[factors]
"model.width" = {widths}
"""


@pytest.fixture
def write(tmp_path):
    """Records a suite with made-up predictions and writes its report; a run without them is a diverged one."""

    def written(predictions, labels=LABELS, widths=(8, 16), facts=CLASSES, seeds=3):
        def result(run):
            made = predictions(run)
            status = "diverged" if isinstance(made, str) else "done"
            metrics = {"test_accuracy": 0.75, "test_rmse": 1.0} if status == "done" else {}
            kept = None if isinstance(made, str) else made
            return RunResult(status, metrics, {"train_loss": [1.0]}, 9, 0.1, "", predictions=kept)

        store = recorded(tmp_path, SUITE.format(widths=list(widths), seeds=seeds), {"digits": facts}, result)
        if labels is not None:
            store.keep_labels("digits", "1.0.0", labels)
        folder = write_report(study_of(store, "together"), tmp_path / "report").parent
        files = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        page = files["report.html"].split('id="ensembles"')[1].split("</section>")[0]
        return page, files["report.md"].split("## Ensembles")[1].split("## Failures")[0], files

    return written


def wrong_on(examples):
    """Logits of two classes, quite sure of the true one but on these examples."""
    guessed = LABELS.copy()
    guessed[list(examples)] = 1 - guessed[list(examples)]
    return np.eye(2)[guessed].astype("f2") * np.float16(3)


def rows_of(files):
    """The rows of the CSV file by width and metric."""
    return {(row["model.width"], row["metric"]): row for row in csv.DictReader(io.StringIO(files["ensembles.csv"]))}


def test_members_that_err_apart_are_right_together(write):
    """Three members, each wrong on other four of 40 examples: 90 % alone, 100 % by their mean."""
    page, markdown, files = write(lambda run: wrong_on(range(4 * run.seed, 4 * run.seed + 4)))
    row = rows_of(files)["8", "test_accuracy"]
    assert [float(row[name]) for name in ("mean_member", "ensemble", "gain")] == pytest.approx([0.9, 1, 0.1])
    assert float(row["disagreement"]) == pytest.approx(2 * 4 / 40)
    # Two members with equal and opposite logits tie, and the first class is named: right on half of these examples.
    assert row["by_size"].split() == ["1:0.9", "2:0.9", "3:1"]
    assert float(row["gain_ci_low"]) < 0.1 < float(row["gain_ci_high"])
    brier = rows_of(files)["8", "test_brier"]
    assert float(brier["ambiguity"]) == pytest.approx(float(brier["gain"]))
    cell = "8 (baseline) (3 of 3 runs) (disagreement 20.00 %)"
    assert f"| {cell} | Test accuracy, in per cent | 90.00 | 100.00 | +10.00 |" in markdown
    for shown in ("90.00", "100.00", "+10.00", "disagreement 20.00 %", "3 of 3 runs", "40 test examples"):
        assert shown in page
    assert page.count("<figure>") == 2
    assert r"8 & 3 & Test accuracy, in per cent & 90.00 & 100.00 & +10.00" in files["ensembles-digits.tex"]


def test_a_factor_named_as_a_column_keeps_its_column(write, monkeypatch):
    """One called "metric" has its levels beside the metrics, in both files."""
    bundles = "[factors.metric]\nsmall = { 'model.width' = 8 }\nlarge = { 'model.width' = 16 }\n# {widths}"
    monkeypatch.setitem(
        globals(), "SUITE", SUITE.partition("[factors]")[0] + bundles.replace("{ ", "{{ ").replace(" }", " }}")
    )
    files = write(lambda run: wrong_on([run.seed]))[2]
    rows = list(csv.DictReader(io.StringIO(files["ensembles.csv"])))
    assert {row["level:metric"] for row in rows} == {"small", "large"}
    assert "test_accuracy" in {row["metric"] for row in rows}
    assert "small & 3 & Test accuracy, in per cent & " in files["ensembles-digits.tex"]


def test_a_regression_has_the_mean_of_its_predictions(write):
    """Errors of 1, 1 and -2 cancel: nothing is left together, and the mean squared error of 2 was all ambiguity."""
    truth = np.arange(40.0)
    errors = (1.0, 1.0, -2.0)
    page, markdown, files = write(
        lambda run: (truth + errors[run.seed])[:, None].astype("f4"), labels=truth, facts=NUMBERS
    )
    row = rows_of(files)["8", "test_mse"]
    assert [float(row[name]) for name in ("mean_member", "ensemble", "gain", "ambiguity")] == [2, 0, 2, 2]
    assert float(rows_of(files)["8", "test_rmse"]["mean_member"]) == pytest.approx(4 / 3)
    assert row["disagreement"] == ""
    for text in (page, markdown):
        assert "nor for the ECE" not in text
    assert page.count("<figure>") == 1


def test_who_is_left_out_is_counted(write):
    """Diverged runs and runs without outputs are no members; a cell that has one member is not there."""

    def made(run):
        if run.cell.levels["model.width"] == "16":
            return "diverged" if run.seed else wrong_on([0])
        return {0: wrong_on([0]), 1: "diverged", 2: wrong_on([1]), 3: None}[run.seed]

    page, markdown, files = write(made, seeds=4)
    assert {width for width, _ in rows_of(files)} == {"8"}
    row = rows_of(files)["8", "test_accuracy"]
    assert [row[name] for name in ("n_planned", "n_members", "n_diverged")] == ["4", "2", "1"]
    for text in (page, markdown):
        assert "2 of 4 runs; left out: 1 diverged, 1 without outputs" in text
        assert "Cells without an ensemble, since fewer than two runs are done: 1." in text


def test_the_work_is_bounded(write, monkeypatch):
    """Cells and members beyond the limits are not read, and both are told."""
    monkeypatch.setattr(limits, "MOST_ENSEMBLES", 2)
    monkeypatch.setattr(limits, "MOST_MEMBERS", 2)
    page, markdown, files = write(lambda run: wrong_on([run.seed]), widths=(8, 16, 24))
    assert {width for width, _ in rows_of(files)} == {"8", "16"}
    for text in (page, markdown):
        assert "2 of 3 cells with two runs that are done: the baseline" in text
        assert "2 of 3 runs; left out: 1 for want of room" in text


def test_the_best_cell_may_be_another_as_an_ensemble(write):
    """The runs of one cell err on the same three examples, those of the other on four apart."""

    def made(run):
        apart = run.cell.levels["model.width"] == "16"
        return wrong_on(range(4 * run.seed, 4 * run.seed + 4)) if apart else wrong_on(range(3))

    for text in write(made)[:2]:
        told = re.sub(r"\s+", " ", text)
        assert "the best mean member is that of “8” (92.50), the best ensemble that of “16” (100.00, against" in told


def test_the_same_store_gives_the_same_bytes(write, monkeypatch):
    """Also where subsets of members are drawn."""
    monkeypatch.setattr("benchmarks.analysis.ensembles.MOST_SUBSETS", 3)
    first, second = (write(lambda run: wrong_on([run.seed, 20 + run.seed]), seeds=7)[2] for _ in range(2))
    assert first == second
    assert "or over some drawn by chance" in first["report.html"]


@pytest.mark.parametrize(
    ("predictions", "labels", "facts", "why"),
    [
        (lambda _: None, LABELS, CLASSES, "no cell has two runs whose outputs for the test examples were kept"),
        (lambda run: "diverged" if run.seed else wrong_on([0]), LABELS, CLASSES, "no cell has two runs that are done"),
        (
            lambda _: None,
            None,
            DatasetFacts("1.0.0", 60, 50_000, 1000, (8, 8, 1), "official test split", task="classification"),
            "the outputs for the test examples are too large to be kept in the store",
        ),
    ],
)
def test_nothing_is_claimed_where_nothing_is_known(write, predictions, labels, facts, why):
    """The reason stands in place of a table, and no file of an earlier report stays behind."""
    page, markdown, files = write(predictions, labels, facts=facts)
    for text in (page, markdown):
        assert f"No ensemble is given: {why}." in text
        assert "<figure" not in text
    assert not set(FILES) & set(files)


def test_files_of_an_earlier_report_do_not_stay(write, tmp_path):
    """The labels are gone, and so is what was made of them."""
    *_, files = write(lambda run: wrong_on([run.seed]))
    assert set(FILES) <= set(files)
    with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)) as store:
        store.execute("DELETE FROM labels")
    page, _, files = write(lambda run: wrong_on([run.seed]), labels=None)
    assert "No ensemble is given: the labels of the test examples were not kept." in page
    assert not set(FILES) & set(files)
