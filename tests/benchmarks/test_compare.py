"""What changed between two runs folders, suites or versions of one."""

from __future__ import annotations

import json
import math
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired
from studies import recorded

from benchmarks import cli
from benchmarks.analysis.changes import MatchedCell, find_changes
from benchmarks.analysis.tables import level_column
from benchmarks.errors import UserError
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.report.comparing import compare, rows_of, summary_of
from benchmarks.results import RunResult
from benchmarks.settings import training
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from zoo.settings import SettingError

DIGITS = DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification")
HOUSES = DatasetFacts("1.0.0", 442, 110, 1, (10,), "official test split", task="regression", mean_rmse=80_000.0)
MACHINE = {"cpu": "a processor", "versions": {"keras": "3.15.0"}}

SUITE = """
name = "activations"
datasets = ["digits"]
seeds = 8
[model]
variant = "mlp_small"
[train]
epochs = 5
[factors]
"model.activation" = ["relu", "tanh", "elu"]
"""


def noise(run, number=0):
    """A number around zero that depends on nothing but the cell's levels, the seed and the number."""
    words = f"{sorted(run.cell.levels.items())} {run.seed} {number}"
    return np.random.default_rng(zlib.crc32(words.encode())).normal(0, 0.004)


def usual(run):
    accuracy = 0.9 + noise(run)
    metrics = {"test_accuracy": accuracy, "test_nll": 1 - accuracy, "test_ece": 0.02, "test_loss": 0.1}
    if run.cell.dataset == "houses":
        metrics = {"test_rmse": 50_000 * (1 + noise(run)), "test_mae": 40_000.0, "test_r2": 0.5, "test_loss": 0.1}
    return RunResult("done", metrics, {"val_accuracy": [0.5, accuracy], "train_loss": [1.0, 0.1]}, 9034, 0.4)


def retrained(run):
    """The same cell trained again with other noise and no change."""
    return shifted(run, noise(run, 1))


def shifted(run, shift):
    metrics = usual(run).metrics
    return replace(
        usual(run),
        metrics=metrics | {"test_accuracy": metrics["test_accuracy"] + shift, "test_nll": metrics["test_nll"] - shift},
    )


def worse_tanh(run):
    """Tanh loses one and a half points, give or take; the others are trained again."""
    loss = -0.015 if run.cell.levels["model.activation"] == "tanh" else 0
    return shifted(run, loss + noise(run, 1) / 4)


def stored(folder, text=SUITE, result=usual, facts=None, machine=MACHINE):
    """Record every run of a suite, but those whose result is None; gives the folder."""
    recorded(folder, text, facts or {"digits": DIGITS, "houses": HOUSES}, result, machine).close()
    return str(folder)


def changes_by_level(found):
    return {change.levels["model.activation"]: change for change in found.changes.changes}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A runs folder to compare with."""
    return stored(tmp_path_factory.mktemp("release"))


@pytest.fixture
def ablate(monkeypatch, capsys):
    """Calls the command: (arguments) -> exit code, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ablate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        return caught.value.code or 0, output.out, output.err

    return call


def test_a_regression_is_found(release, tmp_path, ablate):
    """A cell that lost a point and a half is worse, the others are not, and the exit code is 1."""
    after = stored(tmp_path / "after", result=worse_tanh)
    code, out, _ = ablate("compare", release, after, "--json")
    found = json.loads(out)
    assert code == 1
    assert found["regressions"] == 1
    words = {change["levels"]["model.activation"]: change["word"] for change in found["changes"]}
    assert words == {"relu": "undecided", "tanh": "worse", "elu": "undecided"}
    code, out, _ = ablate("compare", release, after)
    assert code == 1
    first = next(line for line in out.splitlines() if "digits" in line)
    assert "tanh" in first
    assert "worse" in first
    assert "3 comparisons: 1 worse, 2 undecided" in out


def test_the_numbers_are_those_of_scipy(release, tmp_path):
    """Means, interval and p of a change are those of a paired t test, and Holm's of statsmodels."""
    found = compare(release, stored(tmp_path / "after", result=worse_tanh), margin=0.001)
    tables = [read(folder) for folder in (release, str(tmp_path / "after"))]
    values = []
    for level, change in changes_by_level(found).items():
        before, after = (table[level] for table in tables)
        assert change.before.mean == pytest.approx(np.mean(before), rel=1e-12)
        assert change.after.mean == pytest.approx(np.mean(after), rel=1e-12)
        test = stats.ttest_rel(after, before)
        interval = test.confidence_interval(0.95)
        assert (change.evidence.ci_low, change.evidence.ci_high) == pytest.approx(tuple(interval), rel=1e-9)
        differences = np.subtract(after, before)
        if abs(differences.mean()) < 0.001:
            values.append(ttost_paired(np.array(after), np.array(before), -0.001, 0.001)[0])
        else:
            values.append(stats.ttest_1samp(differences, math.copysign(0.001, differences.mean())).pvalue)
        assert change.evidence.tested.p == pytest.approx(values[-1], rel=1e-9)
    adjusted = multipletests(values, method="holm")[1]
    assert [change.adjusted_p for change in changes_by_level(found).values()] == pytest.approx(adjusted, rel=1e-9)


def read(folder):
    """Level -> accuracies in the order of the seeds, straight from the store."""
    store = Store.open(Path(folder))
    [registration] = store.registrations()
    suite = parse_suite(registration.text, "suite.toml")
    found = {}
    for run in expand_runs(expand_cells(suite), suite.seed_list, registration.versions):
        accuracy = store.runs([run.key])[run.key].metrics["test_accuracy"]
        found.setdefault(run.cell.levels["model.activation"], []).append(accuracy)
    store.close()
    return found


def test_nothing_changed(release, tmp_path, ablate):
    """The same results give the word equal and exit code 0, also where the suites are in folders of their own."""
    code, out, _ = ablate("compare", release, stored(tmp_path / "after"), "--json")
    assert code == 0
    assert {change["word"] for change in json.loads(out)["changes"]} == {"equal"}


def test_noise_is_no_regression(release, tmp_path, ablate):
    """Runs that were trained again, with no change but noise, end with exit code 0."""
    code, out, _ = ablate("compare", release, stored(tmp_path / "after", result=retrained))
    assert code == 0
    assert "worse by" not in out
    assert "3 comparisons: 3 undecided" in out


@pytest.mark.parametrize(("margin", "word"), [(0.0, "worse"), (0.002, "worse"), (0.015, "undecided"), (0.05, "within")])
def test_the_margin(margin, word, release, tmp_path):
    """A loss of 0.015 is worse than a margin below it, not told from one as large, and within a larger one."""
    found = compare(release, stored(tmp_path / "after", result=worse_tanh), margin=margin)
    assert changes_by_level(found)["tanh"].word.startswith(word)


def test_a_gain_is_no_regression(release, tmp_path, ablate):
    """Compared the other way round, the same change is for the better."""
    after = stored(tmp_path / "after", result=worse_tanh)
    code, out, _ = ablate("compare", after, release, "--json")
    assert code == 0
    assert [change["word"] for change in json.loads(out)["changes"]].count("better") == 1


def test_less_is_better(release, tmp_path):
    """Of the log-likelihood, a rise is worse, and values are shown as they are measured."""
    found = compare(release, stored(tmp_path / "after", result=worse_tanh), metrics=["test_nll"])
    change = changes_by_level(found)["tanh"]
    assert change.word == "worse"
    assert change.after.mean > change.before.mean > 0
    assert change.evidence.mean < 0


def test_several_metrics_are_one_family(release, tmp_path):
    """Holm's correction is over all cells and metrics together."""
    found = compare(
        release, stored(tmp_path / "after", result=worse_tanh), metrics=["test_accuracy", "test_nll", "test_rmse"]
    )
    assert found.changes.family == 6
    assert {row["metric"] for row in rows_of(found)} == {"test_accuracy", "test_nll"}


def test_few_seeds(tmp_path, ablate, monkeypatch):
    """With five seeds nothing is said, however large the change; with two the single values are shown."""
    monkeypatch.setenv("COLUMNS", "1000")
    text = SUITE.replace("seeds = 8", "seeds = 5")
    before = stored(tmp_path / "before", text)
    code, out, _ = ablate("compare", before, stored(tmp_path / "after", text, worse_tanh))
    assert code == 0
    assert "too few seeds (5<6)" in out
    assert "with fewer than 6 common seeds nothing can be said" in out
    text = text.replace("seeds = 5", "seeds = 2")
    found = compare(stored(tmp_path / "two", text), stored(tmp_path / "again", text, worse_tanh))
    row = next(row for row in rows_of(found) if row["model.activation"] == "tanh")
    assert row["before"].count(",") == 1
    assert row["change"].count("−1.") == 2
    assert row["interval"] is None


def test_only_common_seeds_are_paired(release, tmp_path):
    """Where the second side has more seeds, the first eight are compared, and both numbers are told."""
    text = SUITE.replace("seeds = 8", "seeds = 12")
    found = compare(release, stored(tmp_path / "after", text))
    for change in found.changes.changes:
        assert change.word == "equal"
        assert (change.n_before, change.n_after, change.seeds) == (8, 12, tuple(range(8)))
    assert "seeds: 8 before, 12 after, 8 of them in both" in found.notes


def test_a_changed_dataset_is_refused(release, tmp_path, ablate):
    """Another version of the data measures something else: nothing is compared, and the call ends with 2."""
    after = stored(tmp_path / "after", facts={"digits": replace(DIGITS, version="2.0.0")})
    code, _, err = ablate("compare", release, after)
    assert code == 2
    assert "changed dataset (digits: version 1.0.0 and 2.0.0)" in err


def test_one_changed_dataset_among_two(tmp_path):
    """The other dataset is compared all the same."""
    text = SUITE.replace('["digits"]', '["digits", "houses"]')
    before = stored(tmp_path / "before", text)
    facts = {"digits": replace(DIGITS, num_test=300), "houses": HOUSES}
    found = compare(before, stored(tmp_path / "after", text, facts=facts))
    words = {(change.dataset, change.word) for change in found.changes.changes}
    assert words == {("digits", "not compared"), ("houses", "equal")}
    assert found.changes.family == 3


def test_a_changed_budget_is_refused(release, tmp_path, ablate):
    """Cells that were trained for longer are not compared."""
    text = SUITE.replace("epochs = 5", "epochs = 10")
    code, _, err = ablate("compare", release, stored(tmp_path / "after", text))
    assert code == 2
    assert "unequal budget (train.epochs 5 and 10)" in err


def test_changed_settings_are_told(release, tmp_path):
    """Any other setting is what is compared, and is named."""
    text = SUITE.replace("epochs = 5", "epochs = 5\nlearning_rate = 0.01")
    found = compare(release, stored(tmp_path / "after", text, worse_tanh))
    assert any("train.learning_rate 0.001 before, 0.01 after" in note for note in found.notes)
    assert changes_by_level(found)["tanh"].word == "worse"


def test_changed_code_is_labelled(tmp_path, monkeypatch):
    """Runs of an earlier revision of the code are found under their own keys, compared, and labelled."""
    monkeypatch.setattr(training, "REVISION", training.REVISION - 1)
    before = stored(tmp_path / "before")
    monkeypatch.undo()
    found = compare(before, stored(tmp_path / "after", result=worse_tanh))
    assert any(f"training {training.REVISION - 1} before" in note for note in found.notes)
    assert changes_by_level(found)["tanh"].word == "worse"


def test_other_machines_are_told(release, tmp_path):
    """Another version of a library stands beside the results."""
    machine = {"cpu": "a processor", "versions": {"keras": "3.16.0"}}
    found = compare(release, stored(tmp_path / "after", machine=machine))
    assert found.notes == ("machines differ: versions.keras 3.15.0 before, 3.16.0 after",)


def test_holes_are_not_averaged_over(release, tmp_path):
    """A cell with a missing or failed run is not compared; without a word it never vanishes."""

    def holed(run):
        if run.seed == 3 and run.cell.levels["model.activation"] == "tanh":
            return None
        if run.seed == 4 and run.cell.levels["model.activation"] == "elu":
            return RunResult("failed", message="out of memory", seconds=0.1)
        return worse_tanh(run)

    changes = changes_by_level(compare(release, stored(tmp_path / "after", result=holed)))
    assert {level: change.word for level, change in changes.items()} == {
        "relu": "undecided",
        "tanh": "not compared",
        "elu": "not compared",
    }
    assert "missing pair (1 of 8" in changes["tanh"].detail


def test_diverged_runs_count_at_chance(release, tmp_path):
    """A run that diverges is an outcome: seven of eight seeds at chance level are a regression, and are counted."""

    def diverging(run):
        if run.seed and run.cell.levels["model.activation"] == "elu":
            return RunResult("diverged", message="the loss was not finite", seconds=0.1)
        return usual(run)

    found = compare(release, stored(tmp_path / "after", result=diverging))
    change = changes_by_level(found)["elu"]
    assert (change.word, change.diverged_before, change.diverged_after) == ("worse", 0, 7)
    assert change.after.values[1:] == (0.1,) * 7
    assert "0 diverged before, 7 after" in rows_of(found)[0]["found"]


def test_a_constant_change_is_suspect(release, tmp_path):
    """Where every seed gives the same difference there is no spread to judge by, and no verdict."""
    found = compare(release, stored(tmp_path / "after", result=lambda run: shifted(run, -0.25)))
    assert {change.word for change in found.changes.changes} == {"undecided"}
    assert all("degenerate" in change.detail for change in found.changes.changes)


def test_two_suites_of_a_folder(tmp_path, ablate):
    """Suites are named with --runs-dir, or by --suite twice."""
    folder = tmp_path / "runs"
    stored(folder)
    stored(
        folder,
        SUITE.replace('"activations"', '"slower"').replace("[train]", "[train]\nlearning_rate = 1e-4"),
        worse_tanh,
    )
    code, out, _ = ablate("compare", "activations", "slower", "--runs-dir", folder)
    assert code == 1
    assert "train.learning_rate 0.001 before, 0.0001 after" in out
    code, _, _ = ablate("compare", folder, folder, "--suite", "activations", "--suite", "slower")
    assert code == 1
    code, _, err = ablate("compare", folder, tmp_path / "other", "--suite", "activations")
    assert code == 2
    assert "--suite" in err


def test_versions_of_a_suite(tmp_path, ablate):
    """A file is a version of the suite: its runs are looked for in the folder, whatever was run last."""
    folder, old = tmp_path / "runs", tmp_path / "old.toml"
    old.write_text(SUITE, encoding="utf-8")
    stored(folder)
    stored(folder, SUITE.replace("[train]", "[train]\nlearning_rate = 1e-4"), worse_tanh)
    code, out, _ = ablate("compare", old, "activations", "--runs-dir", folder)
    assert code == 1
    assert "A: " + str(old) in out


def test_a_new_factor_is_matched_by_settings(release, tmp_path):
    """Where the second suite has a further factor, its cells with the first one's settings are compared."""
    text = SUITE + '"train.optimizer" = ["adam", "sgd"]\n'
    found = compare(release, stored(tmp_path / "after", text))
    assert len(found.changes.changes) == 3
    assert any("3 cells of" in note for note in found.notes)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--margin", "-1"], "--margin: not a margin"),
        (["--margin", "nan"], "--margin: not a margin"),
        (["--metric", "test_acuracy"], "test_accuracy"),
        (["--suite", "activation"], "nearest: activations"),
        (["--suite", "a", "--suite", "b", "--suite", "c"], "one for A and one for B"),
    ],
)
def test_wrong_calls(arguments, told, release, tmp_path, ablate):
    """A wrong call ends with 2 and says what is allowed."""
    code, out, err = ablate("compare", release, stored(tmp_path / "after"), *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_more_wrong_calls(release, tmp_path, ablate):
    """Nothing at a place, a suite that is not there, and a folder beside itself are refused."""
    for arguments in (
        [release, tmp_path / "nowhere", "--runs-dir", release],
        ["activations", "activation", "--runs-dir", release],
        [release, release],
        ["a", "b", "--runs-dir", tmp_path / "nowhere"],
    ):
        code, out, err = ablate("compare", *arguments)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("error: ")


def test_one_margin_for_different_units_is_refused(tmp_path):
    """A margin for accuracies says nothing of an error in dollars."""
    text = SUITE.replace('["digits"]', '["digits", "houses"]')
    before, after = stored(tmp_path / "before", text), stored(tmp_path / "after", text)
    with pytest.raises(UserError) as error:
        compare(before, after, margin=0.002)
    assert "one margin cannot hold" in str(error.value)
    assert compare(before, after, margin=0.002, metrics=["test_accuracy"]).changes.family == 3
    with pytest.raises(SettingError):
        compare(before, after, metrics=["accuracy"])


def test_runs_that_nobody_trained(release, tmp_path):
    """A suite that was registered and never trained is refused."""
    with pytest.raises(UserError) as error:
        compare(release, stored(tmp_path / "after", result=lambda _: None))
    assert "none of its 24 runs is stored" in str(error.value)


def test_the_summary_says_what_is_held_against_what(release, tmp_path):
    """Without a margin it is said that any change counts; with one, how large it is."""
    after = stored(tmp_path / "after", result=worse_tanh)
    assert any("no margin was given" in line for line in summary_of(compare(release, after)))
    assert any("margin 0.002" in line for line in summary_of(compare(release, after, margin=0.002)))


def table(values):
    """A run table of one cell."""
    rows = [
        {"dataset": "digits", "task": "classification", "cell": 0, level_column("a"): "b", "seed": seed}
        | {"status": "done", "outcome": value, "test_nll": 1 - value}
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


@examples(6, 50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=6, max_size=9),
    st.sampled_from([0.0, 0.01, 0.2]),
)
def test_both_directions_mirror_each_other(values, margin):
    """From B to A, worse is better, with the same p."""
    cell = MatchedCell("digits", {"a": "b"}, 0, 0, None)
    before, after = (table(side) for side in zip(*values, strict=True))
    [there] = find_changes(before, after, [cell], {"digits": ["test_accuracy"]}, margin).changes
    [back] = find_changes(after, before, [cell], {"digits": ["test_accuracy"]}, margin).changes
    assert back.word == {"worse": "better", "better": "worse"}.get(there.word, there.word)
    assert back.adjusted_p == pytest.approx(there.adjusted_p, rel=1e-6, nan_ok=True)
