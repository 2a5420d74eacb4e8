"""Whole throw-away searches on digits, by the real command in processes of its own, killed for real."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time

import pytest
from executing import ABLATE

from benchmarks.analysis.searches import search_outcome
from benchmarks.plan.plan import make_plan
from benchmarks.plan.study import Study
from benchmarks.store import Store

SUITE = """
# A comment that stays.
name = "study"
datasets = ["digits"]
seeds = 2
claims = []

[search]  # and one that goes
strategy = "{strategy}"
trials = {trials}
objective = "val_loss"

[search.space]
"train.learning_rate" = {{ log = [1e-3, 1e-1], step = 10 }}
"train.optimizer" = ["momentum", "adam"]
"train.momentum" = {{ choices = [0.5, 0.9], when = {{ "train.optimizer" = "momentum" }} }}

[model]
variant = "mlp_small"
width = 8
dropout = 0.1

[train]
epochs = 4
batch_size = 100
schedule = "cosine"

[factors]
"model.activation" = ["relu", "tanh"]
"""
TRIALS = {"grid": 9, "random": 4, "bayesian": 7, "hyperband": 4}


class Folder:
    """A folder with a suite and prepared data in which `ablate` is called, with one engine."""

    def __init__(self, path, strategy, engine, runs):
        shutil.copytree(runs, path / "runs")
        self.path, self.runs, self.ablate = path, path / "runs", ABLATE[engine]
        (path / "study.toml").write_text(SUITE.format(strategy=strategy, trials=TRIALS[strategy]), encoding="utf-8")

    def start(self, *arguments):
        """Start `ablate`."""
        return subprocess.Popen(
            [*self.ablate, *arguments],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"TFDS_DATA_DIR": str(self.path / "none")},
        )

    def call(self, *arguments):
        """Call `ablate`: exit code, standard output, standard error."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def plan(self, name="study"):
        """The plan of a suite of this folder, beside what is stored."""
        return make_plan(self.path / f"{name}.toml", self.runs, self.path)

    def told(self):
        """All that is stored of the searches, and of the runs: everything but times and machines."""
        store, plan = Store.open(self.runs), self.plan()
        searches = [(search.trials, search.chosen) for _, search in sorted(plan.searches.items())]
        keys = [run.key for run in plan.runs] + [
            key for trials, _ in searches for trial in trials for key in trial["keys"]
        ]
        runs = {key: (run.status, run.metrics, run.history) for key, run in store.runs(keys).items()}
        store.close()
        return searches, runs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, engine, digits_runs):
    """Give a function that runs the suite of a strategy once, in a folder of its own."""
    made = {}

    def run(strategy):
        if strategy not in made:
            folder = Folder(tmp_path_factory.mktemp("searches") / strategy, strategy, engine, digits_runs)
            made[strategy] = (folder, folder.call("run", "study.toml"))
        return made[strategy]

    return run


@pytest.mark.parametrize(
    "strategy", ["hyperband", "bayesian", *(pytest.param(each, marks=pytest.mark.night) for each in ("grid", "random"))]
)
def test_searched_trained_and_reported(strategy, undisturbed):
    """One command searches, trains what was found on the reported seeds, and reports."""
    folder, (code, out, err) = undisturbed(strategy)
    assert (code, err) == (0, "")
    assert "2 of 2 groups to search" in out
    assert (folder.runs / "study" / "report.html").exists()
    plan = folder.plan()
    assert plan.counts == plan.counts | {"done": 4, "missing": 0}
    searches, _ = folder.told()
    assert len(searches) == 2
    for trials, chosen in searches:
        longest = [trial for trial in trials if trial["budget"] in (None, 4)]
        assert chosen == min(longest, key=lambda trial: trial["score"])["values"]
        assert ("train.momentum" in chosen) == (chosen["train.optimizer"] == "momentum")
    # Hyperband went on from states, and removed them.
    assert (folder.runs / ".states").is_dir() == (strategy == "hyperband")
    assert not list((folder.runs / ".states").glob("*"))


def test_score_is_of_validation(undisturbed):
    """What a trial is scored by stands in its run's history, at the epoch whose weights are evaluated."""
    folder, _ = undisturbed("hyperband")
    searches, runs = folder.told()
    for trials, _ in searches:
        for trial in trials:
            ((_, metrics, history),) = [runs[key] for key in trial["keys"]]
            assert trial["score"] == metrics["val_loss"] == history["val_loss"][-1]
            assert len(history["val_loss"]) == trial["budget"]


def test_rungs_are_parts_of_one_training(undisturbed):
    """What hyperband continued has the history of its shorter training as its beginning."""
    folder, _ = undisturbed("hyperband")
    searches, runs = folder.told()
    continued = 0
    for trials, _ in searches:
        by_number = {trial["number"]: trial for trial in trials}
        for trial in trials:
            if trial["resumes"] is not None:
                before = runs[by_number[trial["resumes"]]["keys"][0]][2]["val_loss"]
                assert runs[trial["keys"][0]][2]["val_loss"][: len(before)] == before
                continued += 1
    assert continued >= 2


def test_nothing_to_do_the_second_time(undisturbed):
    """A search that has ended is not made again, and the report is the same."""
    folder, _ = undisturbed("hyperband")
    report, told = (folder.runs / "study" / "report.md").read_bytes(), folder.told()
    start = time.monotonic()
    code, out, _ = folder.call("run", "study.toml")
    assert (code, "to search" in out, folder.told()) == (0, False, told)
    assert (folder.runs / "study" / "report.md").read_bytes() == report
    assert time.monotonic() - start < 60


def test_tune_writes_a_suite_that_plans(undisturbed):
    """`ablate tune` writes a suite with the same runs, without the search, and never over a file that is there."""
    folder, _ = undisturbed("hyperband")
    code, out, err = folder.call("tune", "study.toml", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["file"] == "study_tuned.toml"
    text = (folder.path / "study_tuned.toml").read_text(encoding="utf-8")
    assert "# A comment that stays." in text
    assert "[search" not in text
    tuned = folder.plan("study_tuned")
    assert tuned.suite.search is None
    assert tuned.suite.name == "study_tuned"
    assert tuned.missing == []
    assert [run.key for run in tuned.runs] == [run.key for run in folder.plan().runs]
    code, _, err = folder.call("tune", "study.toml")
    assert (code, "study_tuned.toml: exists already; nothing was changed" in err) == (2, True)
    assert (folder.path / "study_tuned.toml").read_text(encoding="utf-8") == text
    code, _, err = folder.call("tune", "study_tuned.toml")
    assert (code, "nothing to tune" in err) == (2, True)


def test_listings_show_the_tuned_runs(undisturbed):
    """`plan`, `status` and `runs` are about the runs with the settings that were found."""
    folder, _ = undisturbed("hyperband")
    keys = [run.key for run in folder.plan().runs]
    _, out, _ = folder.call("runs", "study", "--json")
    assert [(row["key"], row["status"]) for row in json.loads(out)] == [(key, "done") for key in keys]
    _, out, _ = folder.call("status", "--json")
    assert [(row["suite"], row["done"], row["missing"]) for row in json.loads(out) if row["suite"] == "study"] == [
        ("study", 4, 0)
    ]
    _, out, _ = folder.call("plan", "study.toml", "--json")
    assert json.loads(out)["search"] == {"groups": 2, "searched": 2}


def test_outcome_of_a_real_search(undisturbed):
    """Budgets, best-so-far curves and the gap to new seeds are there for each group."""
    folder, _ = undisturbed("hyperband")
    store = Store.open(folder.runs)
    registration = store.registration("study")
    outcome = search_outcome(Study.registered(registration, store))
    store.close()
    assert len({group.budget.trials for group in outcome.groups}) == 1
    for group in outcome.groups:
        assert 0 < group.budget.epochs <= 4 * 4
        assert group.best_so_far[-1] == group.search_score
        scores = list(group.reruns_by_seed.values())
        assert outcome.gap(group).values == pytest.approx([score - group.search_score for score in scores])
        assert len(scores) == 2
    assert {each.level for each in outcome.sensitivities} == {"relu", "tanh"}


@pytest.mark.parametrize(
    ("strategy", "at"),
    [
        ("bayesian", (5,)),
        pytest.param("bayesian", (3, 9), marks=pytest.mark.night),
        pytest.param("hyperband", (3, 9), marks=pytest.mark.night),
    ],
)
def test_killed_and_resumed(strategy, at, undisturbed, tmp_path, engine, digits_runs):
    """A search that is killed with SIGKILL, even twice, ends with the trials, scores and runs of one that was not."""
    expected, _ = undisturbed(strategy)
    folder, kills = Folder(tmp_path / "killed", strategy, engine, digits_runs), 0
    for wanted in at:
        process = folder.start("run", "study.toml")
        while process.poll() is None and _stored(folder) < wanted:
            time.sleep(0.02)
        process.kill()
        process.communicate()
        kills += process.returncode == -9
        assert Store.open(folder.runs).found() == {} or wanted == 9
    assert kills >= 1
    code, _, _ = folder.call("run", "study.toml")
    assert code == 0
    assert folder.told() == expected.told()


def _stored(folder):
    """Number of runs in the store."""
    if not (folder.runs / "store.sqlite").exists():
        return 0
    store = Store.open(folder.runs)
    try:
        return len(store.keys())
    finally:
        store.close()


def test_jobs_of_an_array_share_a_search(undisturbed, tmp_path, engine, digits_runs):
    """Three jobs on one store, two of which share a group, and one is killed: what one run gives, nothing twice."""
    expected, _ = undisturbed("random")
    folder = Folder(tmp_path / "array", "random", engine, digits_runs)
    jobs = [folder.start("run", "study.toml", "--shard", f"{number}/3") for number in (1, 2, 3)]
    while jobs[0].poll() is None and _stored(folder) < 2:
        time.sleep(0.02)
    jobs[0].kill()
    told = [job.communicate(timeout=300) for job in jobs]
    assert [job.returncode for job in jobs[1:]] == [0, 0]
    assert "1 of them in part 3/3" in told[2][0]
    code, out, _ = folder.call("run", "study.toml", "--shard", "1/3")
    assert (code, "part 1/3: " in out) == (0, True)
    assert folder.told() == expected.told()
    store = Store.open(folder.runs)
    stored = store.runs(store.keys())
    assert len(stored) == _stored(expected)
    assert {run.attempts for run in stored.values()} == {1}
    store.close()
    code, out, _ = folder.call("report", "study.toml")
    assert (code, out.startswith("4 done\n")) == (0, True)
