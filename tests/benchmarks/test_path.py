"""Paths whose changes are found: what is taken, kills, failures, what is planned, reported and refused."""

from __future__ import annotations

import itertools
import json
import math
import os
import shutil
import subprocess
import time

import pytest
from executing import ABLATE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from studies import study_of

from benchmarks.analysis.paths import steps_along
from benchmarks.analysis.tables import run_table
from benchmarks.plan.expansion import expand_cells, expand_runs, with_cells_along
from benchmarks.plan.ledger import reopened
from benchmarks.plan.path import changes_taken, path_to_find
from benchmarks.plan.plan import make_plan
from benchmarks.report.render.markdown import markdown_page
from benchmarks.report.report import Report
from benchmarks.report.writing import built_sections
from benchmarks.results import RunResult
from benchmarks.runs import Factors
from benchmarks.search.greedy import find_path
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError

pytestmark = pytest.mark.usefixtures("undrawn")

VERSIONS = {"digits": "1.0.0", "wine": "1.0.0"}
FACTS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "split", "classification")
FACTORS = {
    "model.activation": ["sigmoid", "relu", "tanh"],
    "model.width": [8, 16],
    "model.dropout": [0.0, 0.5],
}
BASELINE = {name: levels[0] for name, levels in FACTORS.items()}
LEVELS = list(itertools.product(*FACTORS.values()))


def suite_with(objective="val_accuracy", **changes):
    """A suite that wants its path found on two seeds."""
    keys = {
        "name": "road",
        "datasets": ["digits"],
        "seeds": 2,
        "design": {"name": "path", "objective": objective, "search_seeds": [1000, 1001]},
        "model": {"variant": "mlp_small"},
        "factors": FACTORS,
        "baseline": BASELINE,
    }
    return Suite(**keys | changes)


def levels_of(run):
    """Of the factors, as the suite has them."""
    model = run.cell.settings.model
    return model.activation, model.width[0] if isinstance(model.width, tuple) else model.width, model.dropout


class Lab:
    """A store, and a training whose scores are made up: by levels, and equally much more and less by seed."""

    def __init__(self, folder, scores, fails=()):
        self.store, self.scores, self.fails = Store.create_or_open(folder), scores, fails
        self.trained, self.most = [], math.inf

    def train(self, runs):
        """Train as many of these runs as there are before it is killed."""
        for run in runs:
            if len(self.trained) == self.most:
                raise KeyboardInterrupt
            score = self.scores[levels_of(run)] + (0.25 if run.seed % 2 else -0.25)
            metrics = {"val_accuracy": score, "val_loss": -score, "test_accuracy": -score}
            has_failed = levels_of(run) in self.fails and run.seed == 1001
            status = "failed" if has_failed else "done"
            result = RunResult(status, {} if has_failed else metrics, {}, message="made up" if has_failed else None)
            self.store.record(run, result, {"cores": 1})
            self.trained.append(run)

    def find(self, suite):
        """The changes that are taken."""
        path = path_to_find(suite, VERSIONS)
        find_path(path, self.store, self.train)
        return changes_taken(self.store.searches([path.key])[path.key].chosen)


def greedy(scores):
    """The changes that a hand would take, over numbers of levels and not over suites."""
    names, present, taken = list(FACTORS), tuple(BASELINE.values()), []
    while True:
        others = [
            (place, level)
            for place, name in enumerate(names)
            for level in FACTORS[name][1:]
            if present[place] == BASELINE[name]
        ]
        after = {change: (*present[: change[0]], change[1], *present[change[0] + 1 :]) for change in others}
        best = max(others, key=lambda change: scores[after[change]], default=None)
        if best is None or scores[after[best]] <= scores[present]:
            return taken
        present = after[best]
        taken.append((names[best[0]], "0.5" if best[1] == 0.5 else str(best[1])))


@given(st.lists(st.integers(-3, 3), min_size=len(LEVELS), max_size=len(LEVELS)))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_takes_what_a_hand_would(tmp_path_factory, values):
    """Whatever the scores, with ties: the best change that is left, until none makes it better; by either turn."""
    scores = dict(zip(LEVELS, map(float, values), strict=True))
    lab = Lab(tmp_path_factory.mktemp("lab"), scores)
    assert lab.find(suite_with()) == greedy(scores)
    tried = {levels_of(run) for run in lab.trained}
    assert len(lab.trained) == 2 * len(tried) <= path_to_find(suite_with(), VERSIONS).most_runs
    # Of the loss, less is better, and the same runs are asked for.
    assert lab.find(suite_with("val_loss")) == greedy(scores)
    assert len(lab.trained) == 2 * len(tried)
    lab.store.close()


def climbing():
    """Scores that are best with all three changes, first the activation, then the width, then dropout."""
    worth = {"sigmoid": 0, "relu": 5, "tanh": 4, 8: 0, 16: 3, 0.0: 0, 0.5: 1}
    return {levels: float(sum(worth[level] for level in levels)) for levels in LEVELS}


def test_changes_that_need_each_other_are_not_found(tmp_path):
    """Greedy is what it says: of two changes of which either alone is worse, none is taken."""
    scores = {levels: 1.0 if levels == ("relu", 16, 0.0) else 0.0 if levels == LEVELS[0] else -1.0 for levels in LEVELS}
    assert Lab(tmp_path, scores).find(suite_with()) == []


def test_never_looks_at_the_test_split(tmp_path):
    """The made-up test accuracies grow where validation falls, and nothing is taken for them."""
    lab = Lab(tmp_path, climbing())
    taken = lab.find(suite_with())
    assert taken == [("model.activation", "relu"), ("model.width", "16"), ("model.dropout", "0.5")]
    assert {run.seed for run in lab.trained} == {1000, 1001}


@pytest.mark.parametrize("most", [0, 1, 7, 11, 15])
def test_killed_and_asked_again(tmp_path, most):
    """A path that was killed anywhere ends as one that was not, with every run trained once."""
    expected = Lab(tmp_path / "whole", climbing())
    taken = expected.find(suite_with())
    lab = Lab(tmp_path / "killed", climbing())
    lab.most = most
    with pytest.raises(KeyboardInterrupt):
        lab.find(suite_with())
    assert lab.store.found() == {}
    lab.most = math.inf
    assert lab.find(suite_with()) == taken
    assert sorted(run.key for run in lab.trained) == sorted(run.key for run in expected.trained)
    key = path_to_find(suite_with(), VERSIONS).key
    assert lab.store.searches([key])[key].trials == expected.store.searches([key])[key].trials


def test_failed_runs_are_worse_than_any(tmp_path):
    """A change of which one run failed is not taken, and the next best is; nor is a baseline that failed kept to."""
    lab = Lab(tmp_path / "change", climbing(), fails=[("relu", 8, 0.0)])
    assert lab.find(suite_with())[0] == ("model.activation", "tanh")
    falling = {levels: -score for levels, score in climbing().items()}
    lab = Lab(tmp_path / "baseline", falling, fails=[LEVELS[0]])
    assert lab.find(suite_with())[0] == ("model.dropout", "0.5")


def test_retried_runs_open_the_path_again(tmp_path):
    """`--retry failed` tries the change again whose run failed, and it is taken then."""
    (tmp_path / "road.toml").write_text(TEXT_OF_LAB, encoding="utf-8")
    lab = Lab(tmp_path / "runs", climbing(), fails=[("relu", 8, 0.0)])
    suite = parse_suite(TEXT_OF_LAB, "road")
    assert lab.find(suite)[0] == ("model.activation", "tanh")
    plan = make_plan(tmp_path / "road.toml", tmp_path / "runs", tmp_path)
    assert plan.open_path is None
    assert [cell.title for cell in plan.cells[5:]] == ["tanh, 16, 0", "tanh, 16, 0.5"]
    plan = reopened(plan, lab.store, {"failed"})
    assert plan.open_path is not None
    assert len(plan.cells) == 5
    lab.fails, before = (), len(lab.trained)
    assert lab.find(suite)[0] == ("model.activation", "relu")
    # The one that failed, and what had not been tried beside relu.
    assert len(lab.trained) - before == 1 + 3 * 3


def test_left_out_cells_are_not_tried(tmp_path):
    """What the suite excludes is no step."""
    suite = suite_with(exclude=[{"model.activation": "relu", "model.width": 16}])
    lab = Lab(tmp_path, climbing())
    assert lab.find(suite) == [("model.activation", "relu"), ("model.dropout", "0.5")]
    assert ("relu", 16) not in {levels_of(run)[:2] for run in lab.trained}


def test_mean_over_datasets(tmp_path):
    """One path for all datasets, and the runs of each."""
    lab = Lab(tmp_path, climbing())
    assert len(lab.find(suite_with(datasets=["digits", "wine"]))) == 3
    assert {run.dataset for run in lab.trained} == {"digits", "wine"}


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "val_loss"},
        {"design": {"name": "path", "objective": "val_accuracy", "search_seeds": [1000]}},
        {"exclude": [{"model.activation": "relu", "model.width": 16}]},
        {"train": {"epochs": 7}},
        {"factors": FACTORS | {"model.dropout": [0.0, 0.25]}},
    ],
    ids=["objective", "seeds", "exclude", "base", "level"],
)
def test_another_path_has_another_key(changes):
    """What is stored of a path is taken for no other; its name and what is reported play no part."""
    key = path_to_find(suite_with(), VERSIONS).key
    assert path_to_find(suite_with(**changes), VERSIONS).key != key
    assert path_to_find(suite_with(name="other", seeds=9, question="Why?"), VERSIONS).key == key


def test_cells_before_and_after():
    """The baseline and each change alone are known before; the cells along the path come after them, in order."""
    suite = suite_with()
    before = [tuple(cell.levels.values()) for cell in expand_cells(suite)]
    assert before == [
        ("sigmoid", "8", "0"), ("relu", "8", "0"), ("tanh", "8", "0"), ("sigmoid", "16", "0"), ("sigmoid", "8", "0.5")
    ]  # fmt: skip
    changes = [("model.width", "16"), ("model.activation", "tanh")]
    after = [tuple(cell.levels.values()) for cell in with_cells_along(suite, expand_cells(suite), changes)]
    assert after == [*before, ("tanh", "16", "0")]


def test_gains_by_hand():
    """Gain, gain since the baseline, and gain alone, seed by seed; a diverged run counts, a hole is left out."""
    suite = suite_with(seeds=3)
    changes = [("model.width", "16"), ("model.activation", "relu")]
    runs = expand_runs(with_cells_along(suite, expand_cells(suite), changes), [0, 1, 2], VERSIONS)
    accuracy = {
        ("sigmoid", 8, 0.0): [0.5, 0.5, 0.5],
        ("sigmoid", 16, 0.0): [0.6, 0.7, 0.8],
        ("relu", 16, 0.0): [0.75, 0.75, 0.85],
        ("relu", 8, 0.0): [0.9, 0.9, 0.8],
    }
    table = run_table(runs, {}, {"digits": FACTS})
    table["status"] = "done"
    table["outcome"] = [accuracy.get(levels_of(run), [0.0] * 3)[run.seed] for run in runs]
    levels = {name: list(map(str, each)) for name, each in suite_levels(suite)}
    first, second = steps_along(table, Factors(levels, suite.baseline_levels), changes)
    assert first.gain.values == pytest.approx((0.1, 0.2, 0.3))
    assert first.alone == first.gain == first.since_baseline
    assert second.gain.values == pytest.approx((0.15, 0.05, 0.05))
    assert second.since_baseline.values == pytest.approx((0.25, 0.25, 0.35))
    assert second.alone.values == pytest.approx((0.4, 0.4, 0.3))
    assert second.gain.mean == pytest.approx(0.25 / 3)
    # The interval is that of a table of Student's t: 4.303 for 2 degrees of freedom.
    assert second.gain.ci_high - second.gain.mean == pytest.approx(4.303 * second.gain.sd / math.sqrt(3), rel=1e-3)


def suite_levels(suite):
    """Factor -> labels of its levels."""
    return [(factor.name, list(factor.levels)) for factor in suite.factor_list]


def test_refused():
    """What does not go with a path that is found, each with its place."""
    wrong = [
        ({"seeds": [5, 1001]}, "design.search_seeds"),
        ({"data": {"validation_fraction": 0}}, "design.objective"),
        ({"datasets": ["diabetes"]}, "design.objective"),
        ({"baseline": {}}, "baseline"),
        ({"design": {"name": "path", "objective": "test_accuracy"}}, "design.objective"),
        ({"design": {"name": "path", "objective": "val_loss", "order": list(FACTORS)}}, "design.order"),
        ({"design": {"name": "path", "search_seeds": [7]}}, "design.search_seeds"),
        ({"design": {"name": "path", "objective": "val_loss", "search_seeds": [7, 7]}}, "design.search_seeds"),
        ({"design": {"name": "one_factor", "objective": "val_loss"}}, "design.objective"),
        ({"tuned": [{"settings": {"train.learning_rate": 0.1}}]}, "tuned"),
        ({"factors": FACTORS | {"data.validation_fraction": [0.1, 0.2]},
          "baseline": BASELINE | {"data.validation_fraction": 0.1}}, "design.objective"),
    ]  # fmt: skip
    for changes, place in wrong:
        with pytest.raises(SettingError) as error:
            suite_with(**changes)
        assert [problem.path for problem in error.value.problems] == [place]
    claim = {"statement": "s", "factor": "model.width", "better": 16, "than": 8, "margin": 0.01, "kind": "superiority"}
    # What the path is to find cannot be claimed before; what is known whatever it finds can.
    expand_cells(suite_with(claims=[claim]))
    with pytest.raises(SettingError, match="the design has no such cell"):
        expand_cells(suite_with(claims=[claim | {"where": {"model.activation": "relu"}}]))


TEXT = """
name = "road"
datasets = ["digits"]
seeds = 2
design = { name = "path", objective = "val_accuracy", search_seeds = [1000] }

[model]
variant = "mlp_small"
width = 8

[train]
epochs = 2
batch_size = 200

[factors]
"train.learning_rate" = [1e-5, 1e-2]
"model.activation" = ["sigmoid", "relu"]

[baseline]
"train.learning_rate" = 1e-5
"model.activation" = "sigmoid"
"""


class Folder:
    """A folder with a suite and prepared data in which `ablate` is called, with one engine."""

    def __init__(self, path, engine, runs):
        shutil.copytree(runs, path / "runs")
        self.path, self.runs, self.ablate = path, path / "runs", ABLATE[engine]
        (path / "road.toml").write_text(TEXT, encoding="utf-8")

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

    def told(self):
        """All that is stored of path and runs, but times and machines."""
        plan = make_plan(self.path / "road.toml", self.runs, self.path)
        store = Store.open(self.runs)
        (search,) = plan.searches.values()
        keys = [run.key for run in plan.runs] + [key for trial in search.trials for key in trial["keys"]]
        runs = {key: (run.status, run.metrics, run.history) for key, run in store.runs(keys).items()}
        store.close()
        return search.trials, search.chosen, runs


def test_killed_by_a_real_kill(tmp_path, engine, digits_runs):
    """Killed with SIGKILL while the path is found, in two jobs or one: the same path, runs and report."""
    whole = Folder(tmp_path / "whole", engine, digits_runs)
    code, out, err = whole.call("plan", "road.toml", "--json")
    told = json.loads(out)["path"]
    assert (code, err, told["at_most_runs"], told["changes"]) == (0, "", 4, None)
    code, out, err = whole.call("run", "road.toml", "--workers", "1")
    assert (code, err) == (0, "")
    assert "a path to find by val_accuracy: at most 4 runs" in out
    assert whole.told()[1]["changes"][0] == ["train.learning_rate", "0.01"]
    killed = Folder(tmp_path / "killed", engine, digits_runs)
    process = killed.start("run", "road.toml", "--workers", "1")
    while process.poll() is None and stored(killed) < 1:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    jobs = [killed.start("run", "road.toml", "--workers", "1", "--shard", f"{number}/2") for number in (1, 2)]
    assert [job.wait(timeout=300) for job in jobs] == [0, 0]
    for job in jobs:
        job.communicate()
    assert killed.told() == whole.told()
    assert killed.call("report", "road.toml")[0] == 0
    reports = [(folder.runs / "road" / "path.csv").read_bytes() for folder in (killed, whole)]
    assert reports[0] == reports[1]


def stored(folder):
    """Number of runs in the store."""
    if not (folder.runs / "store.sqlite").exists():
        return 0
    store = Store.open(folder.runs)
    try:
        return len(store.keys())
    finally:
        store.close()


def markdown_of(study):
    """The report of a study as Markdown."""
    report = Report(study)
    return markdown_page(report, built_sections(report))


def test_report_says_how_it_was_found(tmp_path):
    """The report has the order, what was tried, and that it was found by looking; a declared one says that instead."""
    lab = Lab(tmp_path, climbing())
    text = TEXT_OF_LAB
    suite = parse_suite(text, "road")
    lab.store.register("road", text, [0, 1], {"digits": FACTS})
    empty = markdown_of(study_of(lab.store, "road"))
    assert "has not been found yet" in empty
    lab.find(suite)
    lab.train(study_of(lab.store, "road").runs)
    page = markdown_of(study_of(lab.store, "road"))
    path = page.partition("## Path")[2].partition("## Cells")[0]
    assert "exploratory" in path
    rows = [line.split(" | ")[1] for line in path.splitlines() if line.endswith("of 2 |")]
    assert rows == ["model.activation = relu", "model.width = 16", "model.dropout = 0.5"]
    assert path.count(" (taken) |") == 3
    declared = text.replace('objective = "val_accuracy"', f"order = {list(reversed(FACTORS))}")
    declared = declared.replace('"relu", "tanh"', '"relu"')
    lab.store.register("road", declared, [0, 1], {"digits": FACTS})
    page = markdown_of(study_of(lab.store, "road"))
    path = page.partition("## Path")[2].partition("## Cells")[0]
    assert "was declared in the suite, and does not follow from any result" in path
    assert "What was tried" not in path


TEXT_OF_LAB = """
name = "road"
datasets = ["digits"]
seeds = 2
design = { name = "path", objective = "val_accuracy" }
[model]
variant = "mlp_small"
[factors]
"model.activation" = ["sigmoid", "relu", "tanh"]
"model.width" = [8, 16]
"model.dropout" = [0.0, 0.5]
[baseline]
"model.activation" = "sigmoid"
"model.width" = 8
"model.dropout" = 0.0
"""
