"""The report's section on a search, from a training that is made up: what it says follows from known scores."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np
import pytest
from scipy import stats
from studies import study_of

from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.groups import groups_of, untuned_runs
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.search.loop import search_groups
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite

VERSIONS = {"digits": "1.0.0", "diabetes": "1.0.0"}
FACTS = {
    "digits": DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "split", "classification"),
    "diabetes": DatasetFacts("1.0.0", 354, 88, 1, (10,), "split", "regression", mean_rmse=80.0),
}
BEST_RATE = {"relu": 1e-2, "tanh": 3e-3}

SUITE = """
name = "searched"
datasets = {datasets}
seeds = {seeds}
[model]
variant = "mlp_small"
[train]
epochs = 9
learning_rate = 0.001
[factors]
"model.activation" = ["relu", "tanh"]
{more_factors}
[search]
strategy = "{strategy}"
trials = {trials}
objective = "{objective}"
untuned = {untuned}
seeds = [1000, 1001]
[search.space]
"train.learning_rate" = {{ log = [1e-4, 1e-1] }}
"train.weight_decay" = {{ log = [1e-6, 1e-2], or = 0 }}
"train.optimizer" = ["momentum", "adam"]
"train.momentum" = {{ linear = [0.8, 0.99], when = {{ "train.optimizer" = "momentum" }} }}
"""


def text_of(**changes):
    """The text of a suite."""
    given = {"datasets": '["digits"]', "seeds": 6, "more_factors": "", "strategy": "random", "trials": 12}
    return SUITE.format(**given | {"objective": "val_accuracy", "untuned": "true"} | changes)


def accuracy(run):
    """What the made-up training reaches: the nearer to the best learning rate, the better; seeds differ a little."""
    train = run.cell.settings.train
    distance = math.log10(train.learning_rate / BEST_RATE[run.cell.settings.model.activation])
    momentum = 0.0 if train.optimizer == "adam" else (train.momentum - 0.9) ** 2
    return 0.9 - 0.05 * distance**2 - momentum - train.weight_decay + 0.002 * math.sin(37 * run.seed + 50 * distance)


def result_of(run):
    """The outcome of a run."""
    train, seed = run.cell.settings.train, run.seed
    if train.learning_rate > 0.04:
        return RunResult("diverged", {}, {"train_loss": [1.0]}, 9034, 0.25, message="made up")
    good = accuracy(run)
    epochs = train.stop_after or train.epochs
    if run.dataset == "diabetes":
        metrics = {"val_loss": 10 * (1 - good), "val_rmse": 100 * (1 - good), "test_rmse": 100 * (1 - good) + seed % 3}
    else:
        metrics = {"val_accuracy": good, "val_loss": 1 - good, "test_accuracy": good - 0.01 + 0.001 * (seed % 3)}
    return RunResult("done", metrics, {"train_loss": [1.0] * epochs}, 9034, 0.5 * epochs)


class Study:
    """A suite in a store of its own, whose search and runs are made up."""

    def __init__(self, folder, text, *, searches=True, reports=True):
        self.folder, self.suite = folder, parse_suite(text, "searched.toml")
        self.store = Store.create_or_open(folder)
        facts = {name: FACTS[name] for name in self.suite.datasets}
        self.store.register(self.suite.name, text, self.suite.seed_list, facts)
        cells = expand_cells(self.suite)
        if searches:
            search_groups(groups_of(self.suite, cells, VERSIONS), self.store, self.train)
        self.reported = study_of(self.store, self.suite.name).runs
        self.untuned = untuned_runs(self.suite, cells, self.suite.seed_list, VERSIONS)
        if reports:
            self.train(self.reported + self.untuned)
        write_report(study_of(self.store, self.suite.name), folder / "report")

    def train(self, runs):
        """Store what is made up of these runs."""
        for run in runs:
            self.store.record(run, result_of(run), {"cores": 1})

    def read(self, name):
        """A file of the report."""
        return (self.folder / "report" / name).read_text(encoding="utf-8")

    def rows(self, name):
        """The rows of a CSV file of the report."""
        return list(csv.DictReader(io.StringIO(self.read(name))))

    def section(self):
        """The page's section on the search."""
        return re.search(r'<section id="search">.*?</section>', self.read("report.html"), re.DOTALL)[0]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two groups, some trials of which diverge, reported and with untuned runs."""
    return Study(tmp_path_factory.mktemp("study"), text_of(trials=20))


def trials_of(study, group):
    """The rows of a group's trials."""
    return [row for row in study.rows("search_trials.csv") if row["group"] == group]


def cells_of(table):
    """The texts of a table of Markdown, row by row."""
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()]


def table_after(text, heading):
    """The first table of Markdown below a heading, without its head."""
    below = text.split(f"### {heading}\n")[1]
    return cells_of(re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)[0])[2:]


def test_rounds_are_told(study, tmp_path):
    """A search from coarse to fine says so, and one of a single round does not."""
    assert "rounds" not in study.section()
    told = Study(tmp_path, text_of(untuned="false\nrounds = 2"), reports=False).section()
    assert "in 2 rounds: after each, every range became 4 times narrower" in told


def test_losses_far_off_hide_nothing(tmp_path, monkeypatch):
    """Of losses from 0.01 to 1e21, the bad ones stand at the edge, and the rest on an axis of plain numbers."""

    def loss(run):
        rate = run.cell.settings.train.learning_rate
        return 1e21 if rate > 0.015 else 0.01 * 300 ** min(1, abs(math.log10(rate / 3e-3)))

    monkeypatch.setitem(globals(), "accuracy", lambda run: 1 - loss(run))
    text = text_of(objective="val_loss", untuned="false", trials=30)
    study = Study(tmp_path, text, reports=False)
    section = study.section()
    figures = dict(re.findall(r"<figure.*?(How soon|Which values of [a-z_.]+)(.*?)</figure>", section, re.DOTALL))
    far = [row for row in study.rows("search_trials.csv") if row["score"] and float(row["score"]) > 1e20]
    assert far
    assert "mathdefault" not in section
    assert f"{len(far)} trials that did worse stand at the upper edge" in figures["Which values of train.learning_rate"]
    ticks = {number for name in ("How soon", "Which values of train.learning_rate") for number in
             re.findall(r">([0-9.e+]+)</text>", figures[name])}  # fmt: skip
    assert {"0.1", "1"} <= ticks
    assert not any("e+" in tick for tick in ticks)


def test_trials_are_listed_with_what_was_tried(study):
    """A row for each trial: values as drawn, conditions kept, what diverged without a score, one chosen a group."""
    for group, level in (("digits, relu", "relu"), ("digits, tanh", "tanh")):
        rows = trials_of(study, group)
        assert len(rows) == 20
        assert [float(row["number"]) for row in rows] == list(range(20))
        for row in rows:
            assert (row["train.momentum"] != "") == (row["train.optimizer"] == "momentum")
            is_over = float(row["train.learning_rate"]) > 0.04
            assert (row["score"] == "", row["statuses"]) == (is_over, "diverged diverged" if is_over else "done done")
        scores = [float(row["score"] or -math.inf) for row in rows]
        (chosen,) = [row for row in rows if row["is_chosen"] == "True"]
        assert float(chosen["score"]) == max(scores)
        best = [float(row["best_so_far"]) for row in rows if row["best_so_far"]]
        assert best == sorted(best)
        distance = abs(math.log10(float(chosen["train.learning_rate"]) / BEST_RATE[level]))
        others = [row for row in rows if row is not chosen and row["score"]]
        assert distance < max(abs(math.log10(float(row["train.learning_rate"]) / BEST_RATE[level])) for row in others)


def test_budgets_add_up(study):
    """Trials, runs, epochs and seconds of a group are those of its trials: here two runs of 9 epochs, or one of 1."""
    told = {row[0]: row for row in table_after(study.read("report.md"), "What was spent")}
    for group in ("digits, relu", "digits, tanh"):
        rows = trials_of(study, group)
        n_over = sum(row["score"] == "" for row in rows)
        assert n_over
        epochs, seconds = 2 * (9 * (20 - n_over) + n_over), 2 * (4.5 * (20 - n_over) + 0.25 * n_over)
        assert sum(int(row["epochs"]) for row in rows) == epochs
        assert told[group] == [group, "random", "20", str(n_over), "40", str(epochs), f"{seconds:.3g}"]
    assert "Every group got 20 trials" in study.read("report.md")


def test_gap_is_of_the_same_settings_on_new_seeds(study):
    """Search score minus the mean of the reported seeds, with the t interval of SciPy over the seeds."""
    by_level = {"relu": [], "tanh": []}
    for run in study.reported:
        by_level[run.cell.levels["model.activation"]].append(accuracy(run))
    for row in study.rows("search_chosen.csv"):
        values = by_level[row["model.activation"]]
        gaps = [float(row["search_score"]) - value for value in values]
        interval = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
        told = [float(row[name]) for name in ("reported_score", "gap_mean", "gap_ci_low", "gap_ci_high")]
        assert told == pytest.approx([np.mean(values), np.mean(gaps), interval.low, interval.high], abs=1e-9)
        assert row["n_seeds"] == "6"


def test_worth_is_paired_over_the_seeds(study):
    """Tuned minus untuned on test, seed by seed, cell by cell, and over all cells; a sentence counts the intervals."""
    outcome = {
        (run.cell.levels["model.activation"], run.seed, name): result_of(run).metrics["test_accuracy"]
        for name, runs in (("tuned", study.reported), ("untuned", study.untuned))
        for run in runs
    }
    rows = study.rows("search_untuned.csv")
    assert [row["model.activation"] for row in rows] == ["relu", "tanh"]
    all_gains = []
    for row in rows:
        level = row["model.activation"]
        gains = [outcome[level, seed, "tuned"] - outcome[level, seed, "untuned"] for seed in range(6)]
        interval = stats.ttest_1samp(gains, 0).confidence_interval(0.95)
        told = [float(row[f"gain_{name}"]) for name in ("mean", "ci_low", "ci_high")]
        assert told == pytest.approx([np.mean(gains), interval.low, interval.high], rel=1e-7)
        assert interval.low > 0
        all_gains.append(gains)
    means = np.mean(all_gains, axis=0)
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    told = f"the gain is +{100 * means.mean():.2f} (+{100 * low:.2f} to +{100 * high:.2f}) in percentage points"
    for text in (study.read("report.md"), study.section()):
        assert (
            "the 95 % interval of the gain lies above zero in 2, holds zero in 0, and lies below zero in 0."
            in " ".join(text.split())
        )
        assert told in " ".join(text.split())


def test_figures_answer_their_questions(study):
    """Each figure of the section has its question, a note, and marks of its own; ids and names differ."""
    section = study.section()
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", section)
    assert all(title.endswith("?") for title in titles)
    assert len(set(titles)) == len(titles)
    paths = ("train.learning_rate", "train.weight_decay", "train.optimizer", "train.momentum")
    assert {f"Which values of {path} scored well?" for path in paths} <= set(titles)
    for group in ("digits, relu", "digits, tanh"):
        assert f"How do the settings of good trials go together ({group})?" in titles
    assert "in which it applies" in section
    assert "without a score to compare not shown" in section
    labels = re.findall(r'<svg role="img" aria-label="([^"]*)"', section)
    assert len(labels) == len(titles)


def test_report_is_the_same_each_time(study, tmp_path):
    """The same store gives the same bytes, section and files alike."""
    write_report(study_of(study.store, "searched"), tmp_path)
    for path in (study.folder / "report").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_files_of_a_search_that_was_taken_out_do_not_stay(tmp_path):
    """A suite that searches nothing any more has no section, and no tables of its former search."""
    study = Study(tmp_path, text_of(trials=4, seeds=3, untuned="false"))
    assert {path.name for path in (tmp_path / "report").glob("search*")} == {
        "search.tex", "search_chosen.csv", "search_trials.csv"
    }  # fmt: skip
    assert "Was tuning worth it?" not in study.section()
    text = text_of().split("[search]")[0]
    study.store.register("searched", text, [0, 1, 2], {"digits": FACTS["digits"]})
    write_report(study_of(study.store, "searched"), tmp_path / "report")
    assert list((tmp_path / "report").glob("search*")) == []
    assert 'id="search"' not in study.read("report.html")


def test_search_that_has_not_ended(tmp_path):
    """Before a search has ended the report says so, and shows nothing of what it does not know."""
    study = Study(tmp_path, text_of(), searches=False, reports=False)
    assert "2 of 2 searches have not ended." in study.section()
    assert "No search has ended yet." in study.section()
    assert "<figure>" not in study.section()
    assert "No pair of a tuned and an untuned run is there yet." in study.section()


def test_search_in_which_everything_fails(tmp_path, monkeypatch):
    """Nothing is chosen, the settings stay, tuned and untuned are the same runs, and the report says each."""
    monkeypatch.setattr(f"{__name__}.result_of", lambda _: RunResult("diverged", {}, {}, 9034, 0.25, message="made up"))
    study = Study(tmp_path, text_of(trials=3, seeds=3))
    assert "no trial has one: nothing was changed" in study.section()
    assert study.section().count("nothing changed") == 2
    assert "In 2 all differences are equal." in study.section()
    assert {run.key for run in study.reported} == {run.key for run in study.untuned}


def test_datasets_with_units_of_their_own(tmp_path):
    """Each dataset has figures of its own, and a gain is less error where less is better."""
    study = Study(tmp_path, text_of(datasets='["digits", "diabetes"]', objective="val_loss", seeds=4, trials=8))
    titles = re.findall(r"<figcaption>(.*?)</figcaption>", study.section())
    assert {"digits: How soon were good settings found?", "diabetes: How soon were good settings found?"} <= set(titles)
    rows = [row for row in study.rows("search_untuned.csv") if row["dataset"] == "diabetes"]
    assert len(rows) == 2
    for row in rows:
        assert float(row["gain_mean"]) == pytest.approx(float(row["untuned_mean"]) - float(row["tuned_mean"]))
        assert float(row["gain_mean"]) > 0


def test_many_groups_are_put_together_and_it_says_so(tmp_path):
    """Of 40 groups, tables have 30 rows and say so, figures show all together or the first, and CSV has them all."""
    factors = f'"train.batch_size" = {[16 + 2 * each for each in range(20)]}'
    study = Study(tmp_path, text_of(trials=3, seeds=3, more_factors=factors))
    section = " ".join(study.section().split())
    assert "The first 30 of 40 groups; <code>search_chosen.csv</code> has them all." in section
    assert "for all 40 groups together" in section
    assert "the median of 40 groups, and the range of all of them shaded." in section
    assert "A line for what was chosen in each of 40 groups" in section
    assert len(study.rows("search_chosen.csv")) == 40
    assert len(study.rows("search_trials.csv")) == 40 * 3
    assert len(section) < 500_000


def test_hyperband_compares_what_was_trained_longest(tmp_path):
    """Short trainings are in no figure's scores, and their epochs are counted once."""
    study = Study(tmp_path, text_of(trials=8, strategy="hyperband", seeds=3, untuned="false"))
    rows = study.rows("search_trials.csv")
    for row in rows:
        before = [each for each in rows if (each["group"], each["number"]) == (row["group"], row["resumes"])]
        if row["score"]:
            assert int(row["epochs"]) == 2 * (int(row["budget"]) - (int(before[0]["budget"]) if before else 0))
        assert (row["is_comparable"] == "True") == (row["budget"] == "9")
    assert all(row["is_comparable"] == "True" for row in rows if row["is_chosen"] == "True")
