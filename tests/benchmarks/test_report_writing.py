"""Whole reports of throw-away stores."""

from __future__ import annotations

import csv
import io
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pages import Page
from scipy import stats
from studies import recorded, study_of

import zoo
from benchmarks.errors import UserError
from benchmarks.report import limits
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.runs import Run
from benchmarks.settings import training
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from benchmarks.suite.suite import Suite

pytestmark = pytest.mark.usefixtures("undrawn")

ROOT = Path(__file__).parents[2]
FILES = ["cells-digits.tex", "contrasts-digits.tex", "report.html", "report.md", "runs.csv", "summary.csv"]
DIGITS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")
HOUSES = DatasetFacts("1.0.0", 442, 110, 1, (10,), "official test split", task="regression", mean_rmse=80_000.0)
FACTS = {
    "digits": DIGITS,
    "mnist": replace(DIGITS, version="3.0.1", num_train=60000, num_test=10000),
    "houses": HOUSES,
}
MACHINE = {"cpu": "a processor", "cores": 2, "versions": {"numpy": "2.4.6", "keras": "3.15.0"}}
FAILED = RunResult("failed", message="out of memory", seconds=0.1, traceback="Traceback")

SUITE = """
name = "activations"
question = "Which activation and initializer train best?"
datasets = ["digits"]
seeds = 5

[model]
variant = "mlp_small"

[factors]
"model.activation" = ["relu", "tanh", "elu"]
"model.initializer" = ["glorot_uniform", "he_normal"]

[baseline]
"model.initializer" = "he_normal"
"""


@dataclass(frozen=True)
class Stored:
    """A suite with its store."""

    suite: Suite
    store: Store
    folder: Path

    def write(self) -> dict[str, str]:
        """Write the report and give its files by name."""
        folder = write_report(study_of(self.store, self.suite.name), self.folder / self.suite.name).parent
        return {path.name: path.read_bytes().decode() for path in sorted(folder.iterdir())}


def usual_result(run: Run, epochs: int = 6) -> RunResult:
    """A result that depends on nothing but the run: of a regression in dollars on houses, else of classes."""
    noise = np.random.default_rng(zlib.crc32(run.key.encode())).normal(0, 0.004, (2, epochs))
    epoch = np.arange(1, epochs + 1)
    if FACTS[run.cell.dataset].task == "regression":
        rmse = 52_000 * (1 + np.exp(-epoch) + noise[0])
        history = {"val_rmse": rmse.tolist(), "train_loss": (rmse / 80_000).tolist()}
        own = 51_000 * (1 + float(noise.sum()))
        metrics = {"test_rmse": own, "test_mae": 0.8 * own, "test_r2": 1 - (own / 80_000) ** 2, "test_loss": 0.4}
        return RunResult("done", metrics, history, 1201, 0.2)
    accuracy, loss = 0.95 - 0.5 * np.exp(-epoch) + noise[0], 2 * np.exp(-epoch) + np.abs(noise[1]) + 0.02
    history = {"val_accuracy": accuracy.tolist(), "train_loss": loss.tolist()}
    metrics = {"test_accuracy": round(360 * (0.96 + float(noise.sum()))) / 360, "test_loss": 0.1}
    metrics |= {"test_nll": 0.1 + float(np.abs(noise).sum()), "test_brier": 0.06, "test_ece": 0.02 + noise[0, 0]}
    return RunResult("done", metrics, history, 9034, 0.41)


def diverged(usual: RunResult) -> RunResult:
    """The same run, had it diverged after two epochs."""
    history = {name: values[:2] for name, values in usual.history.items()}
    return RunResult("diverged", {}, history, usual.parameters, 0.2, "the loss was not finite in epoch 3")


def stored_suite(folder: Path, text: str = SUITE, changes=None, backwards: bool = False) -> Stored:
    """Record every run of a suite.

    Args:
        folder: of the store.
        text: of the suite.
        changes: place in the plan -> what makes its result of the usual one; None for a run that is missing.
        backwards: whether runs are recorded in the reverse of the plan's order.
    """
    places: dict[str, int] = {}

    def order(runs):
        places.update({run.key: place for place, run in enumerate(runs)})
        return reversed(runs) if backwards else runs

    def result(run):
        change = (changes or {}).get(places[run.key], lambda usual: usual)
        return change and change(usual_result(run))

    store = recorded(folder, text, FACTS, result, MACHINE, order)
    return Stored(parse_suite(text, "suite.toml"), store, folder)


HOLES = {3: diverged, 12: lambda _: FAILED, 20: None, 21: None, 22: None}
"""Of the baseline cell's neighbour relu/glorot_uniform one run diverged; two other cells have holes."""


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The report of a suite of which all runs are done."""
    return stored_suite(tmp_path_factory.mktemp("whole")).write()


@pytest.fixture(scope="module")
def holed(tmp_path_factory):
    """The report of a suite with a diverged, a failed and three missing runs."""
    return stored_suite(tmp_path_factory.mktemp("holed"), changes=HOLES).write()


def test_the_files(whole):
    """There are all the files and nothing is left of writing them."""
    assert sorted(whole) == FILES


def test_the_page_needs_nothing_else(whole):
    """No script, no address of anything outside, no reference but to its own ids, and each id once."""
    page = Page(whole["report.html"])
    assert not {"script", "link", "img", "iframe", "object"} & page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "://" not in whole["report.html"]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    for name, value in page.attributes:
        if name in ("href", "xlink:href", "src"):
            assert value.startswith("#")
            assert value[1:] in ids
    assert {name for _, value in page.attributes for name in re.findall(r"url\(#(.*?)\)", value or "")} <= set(ids)


def test_the_page_says_it_all_in_order(whole):
    """State, note, differences, seeds, cells, curves, failures and provenance follow each other."""
    text = Page(whole["report.html"]).text
    parts = [
        "Which activation and initializer train best?",
        "30 of 30 runs done on digits 1.0.0, 5 seeds.",
        "registers no claims",
        "Differences from the baseline",
        "Seed by seed",
        "Test accuracy after the last epoch",
        "Validation accuracy",
        "Training loss",
        "None.",
        f"zoo {zoo.REVISION}, training {training.REVISION}",
        'name = "activations"',
    ]
    place = 0
    for part in parts:
        place = text.index(part, place)
    assert "they need 6 seeds and the suite has 5" in text


def test_lists_as_levels_are_reported(tmp_path):
    """A level that is a list heads its rows as it is written in the suite, in both spreadsheets and on the page."""
    text = SUITE.replace('"model.initializer" = ["glorot_uniform", "he_normal"]', '"model.width" = [64, [128, 64]]')
    written = stored_suite(tmp_path, text.partition("[baseline]")[0]).write()
    for name, rows_of_each in (("summary.csv", 3), ("runs.csv", 15)):
        levels = [row["model.width"] for row in csv.DictReader(io.StringIO(written[name]))]
        assert sorted(levels) == ["64"] * rows_of_each + ["[128, 64]"] * rows_of_each
    assert "[128, 64]" in Page(written["report.html"]).text
    assert "128, 64" in written["report.md"]


def test_no_verdict_words(whole):
    """Without registered claims nothing is called significant, supported or refuted."""
    for name in ("report.html", "report.md"):
        assert not re.search(r"significan|supported|refuted|inconclusive", Page(whole[name]).text)


@pytest.mark.drawn
def test_the_size_of_a_report(tmp_path):
    """The report of 40 runs with 30 epochs takes about 0.2 MB."""
    text = SUITE.replace('"elu"]', '"elu", "gelu"]')

    def five_times_as_long(usual):
        return replace(usual, history={name: 5 * values for name, values in usual.history.items()})

    stored = stored_suite(tmp_path, text, dict.fromkeys(range(40), five_times_as_long))
    assert 100_000 < len(stored.write()["report.html"].encode()) < 250_000


def test_numbers_agree_in_all_files(whole):
    """The mean of a cell is the same in summary.csv, runs.csv, report.html and report.md."""
    summary = rows_of(whole["summary.csv"])
    runs = rows_of(whole["runs.csv"])
    assert [len(summary), len(runs)] == [6, 30]
    for cell in summary:
        levels = {name: cell[name] for name in ("model.activation", "model.initializer")}
        values = [float(run["test_accuracy"]) for run in runs if levels.items() <= run.items()]
        assert float(cell["mean"]) == pytest.approx(np.mean(values), abs=1e-9)
        assert float(cell["sd"]) == pytest.approx(np.std(values, ddof=1), abs=1e-9)
        assert [float(value) for value in cell["values"].split()] == pytest.approx(values)
        for name in ("report.html", "report.md"):
            assert f"{100 * np.mean(values):.2f}" in whole[name]


def test_summary_has_no_times(whole):
    """Nothing in summary.csv depends on when or how fast runs were."""
    header = whole["summary.csv"].splitlines()[0].split(",")
    counts = ["n_planned", "n_done", "n_failed", "n_diverged", "n_missing"]
    numbers = ["mean", "sd", "ci_low", "ci_high"]
    assert header[:12] == ["dataset", "model.activation", "model.initializer", *counts, *numbers]
    assert not {"seconds", "finished_at"} & set(header)


def test_holes_and_divergence_are_shown(holed):
    """The state, the marks of incomplete cells, the second line without diverged runs and the messages are there."""
    for name in ("report.html", "report.md"):
        text = Page(holed[name]).text
        assert "25 of 30 runs done on digits 1.0.0, 5 seeds; 1 diverged, 1 failed, 3 missing." in text
        assert "incomplete (4 of 5)" in text
        assert "incomplete (2 of 5)" in text
        assert "without diverged" in text
        assert "raw: " in text
        assert "out of memory" in text
        assert "the loss was not finite in epoch 3" in text
        # Wilson's interval of 1 of the 5 runs of its cell.
        assert "1 (20 %: 4 to 62 %)" in text
        assert "1 run diverged. In brackets" in text
    first, *others = rows_of(holed["summary.csv"])
    counts = {name: first[f"n_{name}"] for name in ("planned", "done", "failed", "diverged", "missing")}
    assert counts == {"planned": "5", "done": "4", "failed": "0", "diverged": "1", "missing": "0"}
    values = [float(value) for value in first["values"].split()]
    assert values[3] == 0.1
    assert float(first["mean"]) == pytest.approx(np.mean(values))
    assert float(first["mean_without_diverged"]) == pytest.approx(np.mean(values[:3] + values[4:]))
    assert [row["n_missing"] for row in others] == ["0", "0", "0", "3", "0"]
    assert others[3]["mean"] == ""
    assert [row["status"] for row in rows_of(holed["runs.csv"])].count("missing") == 3


def test_the_same_store_gives_the_same_bytes(tmp_path):
    """Written again, all files are the same; `test_report_elsewhere` does so on what differs as two machines do."""
    stored = stored_suite(tmp_path, changes=HOLES)
    first = stored.write()
    assert stored.write() == first


def test_the_order_of_running_leaves_no_trace_in_the_summary(tmp_path):
    """A store filled in another order has the same summary.csv, and the same report but for its times of day."""
    forwards = stored_suite(tmp_path / "a", changes=HOLES).write()
    backwards = stored_suite(tmp_path / "b", changes=HOLES, backwards=True).write()
    assert forwards["summary.csv"] == backwards["summary.csv"]
    time = re.compile(r"\d{4}-\d\d-\d\dT[\d:+]+")
    for name in FILES:
        assert time.sub("T", forwards[name]) == time.sub("T", backwards[name])


EVIL = "<script>alert('|')</script> =cmd() `x` & $\\frac{"


def test_hostile_text_is_only_text(tmp_path):
    """A question, a label, a factor and a message with markup, pipes and formulas do nothing in any file."""
    text = f'''
name = "evil"
question = """{EVIL.replace(chr(92), chr(92) * 2)}\\n# heading"""
datasets = ["digits"]
seeds = 3
[model]
variant = "mlp_small"
[factors."=evil|<b>"]
"=cmd()|<i>" = {{ "train.epochs" = 2 }}
"plain $\\\\frac{{ 模型" = {{ "train.epochs" = 3 }}
# ``` ends no code block
'''
    stored = stored_suite(tmp_path, text, {0: lambda _: replace(FAILED, message=EVIL + "\n=second()")})
    files = stored.write()
    page = Page(files["report.html"])
    assert not {"script", "b", "i"} & page.tags
    assert EVIL in page.text
    assert "=cmd()|<i>" in page.text
    outside_code = files["report.md"].split("````toml")[0]
    assert "<" not in outside_code
    assert "\n# heading" not in outside_code
    [failure] = [line for line in outside_code.splitlines() if line.startswith("| failed")]
    assert len(re.findall(r"(?<!\\)\|", failure)) == 5
    for name in ("summary.csv", "runs.csv"):
        rows = list(csv.reader(io.StringIO(files[name])))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]
    assert "'=evil|<b>" in files["summary.csv"].splitlines()[0]


def test_factors_named_as_columns_keep_their_columns(tmp_path):
    """A factor called "mean" does not hide the mean."""
    text = SUITE.split("[factors]")[0] + '[factors.mean]\na = { "train.epochs" = 1 }\nb = { "train.epochs" = 2 }\n'
    rows = rows_of(stored_suite(tmp_path, text).write()["summary.csv"])
    assert [row["level:mean"] for row in rows] == ["a", "b"]
    assert all(0.8 < float(row["mean"]) < 1 for row in rows)


def test_settings_that_differ_between_datasets_are_not_shared(tmp_path):
    """What was tuned for one dataset alone is varied, though the cells have the same levels everywhere."""
    tuned = '[[tuned]]\ndataset = "digits"\nsettings = { "train.learning_rate" = 0.25 }\n'
    text = SUITE.replace('["digits"]', '["digits", "mnist"]') + tuned
    for name, page in stored_suite(tmp_path, text).write().items():
        if name in ("report.html", "report.md"):
            shared, varied = Page(page).text.split("Settings that all cells share")[1].split("Varied")[:2]
            assert "train.batch_size" in shared
            assert "train.learning_rate" not in shared
            assert "train.learning_rate" in varied


def test_differences_have_their_p_and_are_exploratory(whole):
    """P is of scipy's paired test, q of its correction for false discoveries over the three; there are no verdicts."""
    cells = {(row["model.activation"], row["model.initializer"]): row for row in rows_of(whole["summary.csv"])}
    values = {cell: np.array(row["values"].split(), dtype=float) for cell, row in cells.items()}
    base = values["relu", "he_normal"]
    others = [values[cell] for cell in (("tanh", "he_normal"), ("elu", "he_normal"), ("relu", "glorot_uniform"))]
    p = [stats.ttest_rel(other, base).pvalue for other in others]
    told = [f"| {one:.3f} | {two:.3f} | 5 of 5 |" for one, two in zip(p, stats.false_discovery_control(p), strict=True)]
    lines = [line for line in whole["report.md"].splitlines() if line.startswith("| model.") and "5 of 5" in line]
    assert all(each in line for each, line in zip(told, lines[:3], strict=True))
    for name in ("report.html", "report.md"):
        assert "Exploratory: p is of the paired t test" in Page(whole[name]).text
        assert f"{p[0]:.3f}" in whole[name]


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_have_raw_values_only(tmp_path, seeds):
    """Below three seeds there is no mean and no interval anywhere, and the values are shown."""
    files = stored_suite(tmp_path, SUITE.replace("seeds = 5", f"seeds = {seeds}")).write()
    for row in rows_of(files["summary.csv"]):
        assert row["mean"] == row["ci_low"] == ""
        value = f"{100 * float(row['values'].split()[0]):.2f}"
        assert value in Page(files["report.html"]).text
        assert value in files["report.md"]


def test_nothing_has_run(tmp_path):
    """Before the first run the report shows the plan."""
    files = stored_suite(tmp_path, changes=dict.fromkeys(range(30))).write()
    text = Page(files["report.html"]).text
    assert "0 of 30 runs done on digits 1.0.0, 5 seeds; 30 missing." in text
    assert "incomplete (0 of 5)" in text
    assert len(rows_of(files["runs.csv"])) == 30


def test_identical_results_are_told(tmp_path):
    """Cells that gave every metric alike with every seed are named, with the setting that changed nothing."""
    same = RunResult("done", {"test_accuracy": 0.9, "test_loss": 0.3}, {"train_loss": [0.5]}, 9034, 0.4)
    both = {**dict.fromkeys(range(5), lambda _: same), **dict.fromkeys(range(5, 10), lambda _: same)}
    text = Page(stored_suite(tmp_path / "both", changes=both).write()["report.html"]).text
    told = "gave identical results with every seed, up to rounding: what they differ in (model.initializer) changed"
    assert told in text
    assert "identical results" not in Page(stored_suite(tmp_path / "none").write()["report.html"]).text


def test_everything_diverged(tmp_path):
    """Where all runs diverge at once, all count at chance, and equal values are called degenerate."""
    at_once = RunResult("diverged", parameters=9034, message="the first loss was not finite")
    files = stored_suite(tmp_path, changes=dict.fromkeys(range(30), lambda _: at_once)).write()
    text = Page(files["report.html"]).text
    assert "30 diverged" in text
    assert "degenerate: all values equal" in text
    assert "degenerate: no difference with any seed" in text
    assert {row["mean"] for row in rows_of(files["summary.csv"])} == {"0.1"}


def test_six_seeds_of_a_factorial_have_main_effects(tmp_path):
    """The rows of main effects are there and called averaged."""
    files = stored_suite(tmp_path, SUITE.replace("seeds = 5", "seeds = 6")).write()
    assert "averaged" in Page(files["report.html"]).text
    assert files["report.md"].count("(averaged)") == 3
    assert "No main effects" not in files["report.md"]


def test_two_datasets_are_reported_side_by_side(tmp_path):
    """Each dataset has its own parts, with its own facts; nothing is averaged over datasets."""
    text = SUITE.replace('["digits"]', '["digits", "mnist"]').replace("seeds = 5", "seeds = 3")
    files = stored_suite(tmp_path, text).write()
    page = Page(files["report.html"])
    assert "36 of 36 runs done on digits 1.0.0 and mnist 3.0.1, 3 seeds." in page.text
    assert len(page.values("id")) == len(set(page.values("id")))
    assert [row["dataset"] for row in rows_of(files["summary.csv"])] == ["digits"] * 6 + ["mnist"] * 6


MIXED = SUITE.replace('["digits"]', '["digits", "houses"]').replace("seeds = 5", "seeds = 6")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """The report of a classification and a regression, with a diverged run of each."""
    folder = tmp_path_factory.mktemp("mixed")
    return stored_suite(folder, MIXED, {3: diverged, 39: diverged}).write()


def test_each_dataset_has_the_outcome_of_its_task(mixed):
    """Accuracies stand in per cent beside errors in the target’s unit, and the words say which is which."""
    page = Page(mixed["report.html"])
    for text in (page.text, " ".join(mixed["report.md"].split())):
        assert "On digits: a difference is the test accuracy of the level minus that of the baseline" in text
        assert "On houses: a difference is the test RMSE of the baseline minus that of the level" in text
        assert "On digits: test accuracy after the last epoch, in per cent: higher is better." in text
        assert "On houses: test RMSE after the last epoch, in the target’s unit: lower is better." in text
        assert "test accuracy 10.00 %" in text
        assert "test RMSE 80 000" in text
    for text in (
        "gain in test accuracy, in percentage points",
        "reduction of test RMSE, in the target’s unit",
        "Validation accuracy, in per cent",
        "Validation RMSE, in the target’s unit",
    ):
        assert text in page.text
    assert {row["dataset"]: row["metric"] for row in rows_of(mixed["summary.csv"])} == {
        "digits": "test_accuracy",
        "houses": "test_rmse",
    }


def test_a_lower_error_is_better(tmp_path):
    """The difference of a level with half the baseline's error is positive, and half the error."""

    def halved(usual):
        return replace(usual, metrics=usual.metrics | {"test_rmse": usual.metrics["test_rmse"] / 2})

    text = SUITE.replace('["digits"]', '["houses"]')
    # The second level of the activation, tanh, with the baseline's initializer.
    files = stored_suite(tmp_path, text, dict.fromkeys(range(15, 20), halved)).write()
    runs = rows_of(files["runs.csv"])
    errors = {
        level: [float(row["test_rmse"]) for row in runs if levels_of(row) == (level, "he_normal")]
        for level in ("relu", "tanh")
    }
    mean = np.mean(errors["relu"]) - np.mean(errors["tanh"])
    assert mean > 20_000
    assert f"| tanh | +{mean:,.0f} |".replace(",", " ") in files["report.md"]


def test_diverged_regressions(mixed, tmp_path, monkeypatch):
    """They count at the error of predicting the mean; where that is not known they are left out, and that is said."""
    [cell] = [row for row in rows_of(mixed["summary.csv"]) if row["dataset"] == "houses" and row["n_diverged"] == "1"]
    assert cell["values"].split()[3] == "80000"
    monkeypatch.setitem(FACTS, "houses", replace(HOUSES, mean_rmse=None))
    text = SUITE.replace('["digits"]', '["houses"]')
    files = stored_suite(tmp_path, text, {3: diverged}).write()
    cell = rows_of(files["summary.csv"])[0]
    assert (cell["n_diverged"], len(cell["values"].split())) == ("1", 4)
    assert cell["mean"] == cell["mean_without_diverged"]
    for name in ("report.html", "report.md"):
        page = Page(files[name])
        assert "incomplete (4 of 5)" in page.text
        assert "is not known: it is left out" in page.text
        assert "without diverged" not in page.text


def levels_of(row):
    return row["model.activation"], row["model.initializer"]


def test_further_metrics(mixed):
    """Each task has its own, in pages and files, over done runs; a metric that no run has is in no page."""
    page = Page(mixed["report.html"])
    for text in (page.text, mixed["report.md"]):
        for title in ("Test NLL, in nats", "Test Brier score", "Test ECE, in per cent", "Test MAE", "Test R²"):
            assert title in text
        assert "top-5" not in text
    first, *_, last = rows_of(mixed["summary.csv"])
    runs = [row for row in rows_of(mixed["runs.csv"]) if levels_of(row) == levels_of(first)]
    for cell, name in ((first, "test_nll"), (last, "test_mae")):
        own = [row for row in rows_of(mixed["runs.csv"]) if row["dataset"] == cell["dataset"]]
        values = [float(row[name]) for row in own if levels_of(row) == levels_of(cell) and row[name]]
        assert len(values) == int(cell["n_done"])
        assert float(cell[f"{name}_mean"]) == pytest.approx(np.mean(values), rel=1e-9)
        assert float(cell[f"{name}_sd"]) == pytest.approx(np.std(values, ddof=1), rel=1e-6)
        assert float(cell[f"{name}_ci_low"]) < float(cell[f"{name}_mean"]) < float(cell[f"{name}_ci_high"])
    assert {row["test_nll"] for row in runs if row["status"] == "diverged"} == {""}
    assert first["test_mae_mean"] == last["test_nll_mean"] == first["test_top5_accuracy_mean"] == ""


def test_the_files_have_the_metrics_of_their_tasks(whole):
    """Without a regression no column is about one."""
    for name in ("summary.csv", "runs.csv"):
        header = whole[name].splitlines()[0]
        assert "test_nll" in header
        assert "test_top5_accuracy" in header
        assert "rmse" not in header
        assert "_mae" not in header


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ("", "after the last epoch"),
        ('[train]\ncheckpoint = "best_val"', "with the weights of the epoch that was best on the validation part"),
    ],
    ids=["last", "best_val"],
)
def test_the_report_says_which_weights_were_evaluated(tmp_path, changes, told):
    """Everywhere, and nothing else: the best epoch is not the last."""
    files = stored_suite(tmp_path, SUITE.replace("[model]", f"{changes}\n[model]")).write()
    for name in ("report.html", "report.md"):
        text = " ".join(files[name].split())
        assert f"Test accuracy {told}, in per cent" in text
        assert f"read once a run, {told}?" in text
        assert ("after the last epoch" in text) == (told == "after the last epoch")


def test_the_report_says_what_the_base_changes_of_its_model(tmp_path):
    """A setting that is given as the model has it is no change; a factor is none of the base."""
    same = stored_suite(tmp_path / "a").write()
    assert "mlp_small (this project): the base leaves it as it is." in same["report.html"]
    text = SUITE.replace('variant = "mlp_small"', 'variant = "mlp_512"\nwidth = [512, 64]\ndepth = 2\ndropout = 0')
    changed = stored_suite(tmp_path / "b", text).write()
    told = "the base changes it: width is [512,64] instead of 512, dropout is 0 instead of 0.2."
    assert told in changed["report.html"]


def test_excluded_cells_are_not_in_the_design(tmp_path):
    """A level whose cell is excluded is listed, and said not to be in the design."""
    text = SUITE.replace("[model]", 'exclude = [{ "model.activation" = "tanh" }]\n[model]')
    files = stored_suite(tmp_path, text).write()
    assert "not in the design" in Page(files["report.html"]).text
    assert "they need every combination of levels in the design" in files["report.md"]


def test_long_tables_are_cut_in_pages_and_whole_in_files(tmp_path, monkeypatch):
    """Above a number of rows a page refers to the CSV files, which have all rows."""
    monkeypatch.setattr(limits, "MOST_CELL_ROWS", 4)
    monkeypatch.setattr(limits, "MOST_FAILURE_ROWS", 2)
    files = stored_suite(tmp_path, changes=dict.fromkeys(range(3), lambda _: FAILED)).write()
    for name in ("report.html", "report.md"):
        assert "The first 4 of 6 cells" in Page(files[name]).text
        assert "The first 2 of 3;" in Page(files[name]).text
    assert len(rows_of(files["summary.csv"])) == 6


@pytest.mark.drawn
def test_a_matplotlibrc_changes_nothing(tmp_path, monkeypatch, whole):
    """Figures do not follow the user's own style, and leave it as it was."""
    import matplotlib as mpl

    monkeypatch.setitem(mpl.rcParams, "font.size", 20)
    monkeypatch.setitem(mpl.rcParams, "axes.grid", False)
    time = re.compile(r"\d{4}-\d\d-\d\dT[\d:+]+")
    again = stored_suite(tmp_path).write()["report.html"]
    assert time.sub("T", again) == time.sub("T", whole["report.html"])
    assert mpl.rcParams["font.size"] == 20


def test_a_folder_that_cannot_be_written(tmp_path):
    """A file in the place of the folder ends with a message for the user, not with a traceback."""
    stored = stored_suite(tmp_path)
    (tmp_path / "activations").write_text("in the way")
    with pytest.raises(UserError) as error:
        stored.write()
    assert "the report cannot be written" in str(error.value)
    assert (tmp_path / "activations").read_text() == "in the way"
