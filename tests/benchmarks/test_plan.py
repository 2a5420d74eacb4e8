"""What a suite comes to in a runs folder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.data.catalog import find_dataset
from benchmarks.data.dataset import open_prepared
from benchmarks.errors import StoreError, UserError
from benchmarks.plan.plan import make_plan
from benchmarks.plan.study import Expansion, Study
from benchmarks.results import RunResult
from benchmarks.store import STORE_FILE, DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from zoo.settings import SettingError

NONE = dict.fromkeys(["done", "diverged", "failed", "out_of_memory", "timed_out", "missing"], 0)
DIGITS = {"digits": DatasetFacts("1.0.0", 1440, 357, 10, (8, 8, 1), "x", "classification")}


@pytest.fixture
def path(tmp_path, issue_suite):
    """The suite of the issue as a file: 8 cells, 5 seeds."""
    file = tmp_path / "activations.toml"
    file.write_text(issue_suite, encoding="utf-8")
    return file


@pytest.fixture
def folder(tmp_path):
    """A runs folder that does not exist yet."""
    return tmp_path / "runs"


def record(folder, runs, status):
    store = Store.create_or_open(folder)
    for run in runs:
        store.record(run, RunResult(status), {})
    store.close()


def test_plan_of_the_issue(path, folder, tmp_path, issue_suite):
    """The issue's suite comes to 8 cells and 40 runs, all of them missing; looking makes no folder."""
    plan = make_plan(path, folder, tmp_path)
    assert (len(plan.cells), len(plan.runs)) == (8, 40)
    assert len({run.key for run in plan.runs}) == 40
    assert list(plan.seeds) == [0, 1, 2, 3, 4]
    assert plan.text == issue_suite
    assert plan.suite.name == "activations"
    assert plan.references == {"digits": find_dataset("digits", tmp_path, folder)}
    assert plan.counts == NONE | {"missing": 40}
    assert plan.missing == plan.runs
    assert not folder.exists()


def test_what_is_stored_is_not_missing(path, folder, tmp_path):
    """What is stored stands, failed runs among it; the rest is missing."""
    runs = make_plan(path, folder, tmp_path).runs
    record(folder, runs[:7], "done")
    record(folder, runs[10:12], "diverged")
    record(folder, runs[20:25], "failed")
    plan = make_plan(path, folder, tmp_path)
    assert plan.counts == NONE | {"done": 7, "diverged": 2, "failed": 5, "missing": 26}
    assert [run.key for run in plan.missing] == [run.key for run in runs[7:10] + runs[12:20] + runs[25:]]


def test_number_of_seeds_can_be_given(path, folder, tmp_path):
    """Another number of seeds takes the place of the suite's, and shares runs with it."""
    own = make_plan(path, folder, tmp_path)
    record(folder, own.runs, "done")
    fewer = make_plan(path, folder, tmp_path, num_seeds=2)
    assert list(fewer.seeds) == [0, 1]
    assert fewer.counts == NONE | {"done": 16}
    more = make_plan(path, folder, tmp_path, num_seeds=6)
    assert more.counts == NONE | {"done": 40, "missing": 8}
    assert {run.seed for run in more.missing} == {5}


def test_list_of_seeds_is_replaced_too(path, folder, tmp_path, issue_suite):
    """`--seeds` means 0 to N - 1 also where the suite lists seeds of its own."""
    path.write_text(issue_suite.replace("seeds = 5 ", "seeds = [7, 9] "), encoding="utf-8")
    assert list(make_plan(path, folder, tmp_path).seeds) == [7, 9]
    assert list(make_plan(path, folder, tmp_path, num_seeds=3).seeds) == [0, 1, 2]


def test_stored_counts(path, folder, tmp_path):
    """What `status` counts is the suite as it was last run: with its seeds then, whatever the file says now."""
    plan = make_plan(path, folder, tmp_path, num_seeds=3)
    record(folder, plan.runs[:5], "done")
    record(folder, plan.runs[5:6], "failed")
    store = Store.create_or_open(folder)
    store.register(plan.suite.name, plan.text, list(plan.seeds), DIGITS)
    path.write_text("changed since", encoding="utf-8")
    (registration,) = store.registrations()
    assert Study.registered(registration, store).counts == NONE | {"done": 5, "failed": 1, "missing": 18}
    store.close()


@pytest.mark.parametrize("datasets", [["digits", "digits:1.0.0"], ["digits:1.0.0", "digits"], ["digits:", "digits"]])
def test_no_run_is_planned_twice(path, folder, tmp_path, issue_suite, datasets):
    """A dataset named with and without its version is refused or counted once: no run may be planned twice."""
    path.write_text(issue_suite.replace('["digits"]', json.dumps(datasets)), encoding="utf-8")
    try:
        plan = make_plan(path, folder, tmp_path)
    except (SettingError, UserError):
        return
    assert len({run.key for run in plan.runs}) == len(plan.runs)


def test_dataset_is_checked(path, folder, tmp_path, issue_suite):
    """A plan finds a misspelt dataset, and names the nearest."""
    path.write_text(issue_suite.replace('["digits"]', '["digitz"]'), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        make_plan(path, folder, tmp_path)
    message = str(caught.value)
    assert "datasets" in message
    assert "given:   digitz" in message
    assert "nearest: digits" in message


TRAIN = 'epochs = 30\nbatch_size = 64\noptimizer = "adam"\nlearning_rate = 1e-3'


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ("epochs = 1\nbatch_size = 4096", "train.batch_size: a batch larger than the training part of digits"),
        ('epochs = 1\nloss = "huber"', "train.loss: not a loss for digits (classification)"),
    ],
    ids=["batch", "loss"],
)
def test_what_does_not_fit_decoded_data_is_refused(train, problem, path, digits_runs, tmp_path, issue_suite):
    """Where the data lie decoded, a plan refuses what a session would, by the same check and in the same words."""
    plan = make_plan(path, digits_runs, tmp_path)
    path.write_text(issue_suite.replace(TRAIN, train), encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        make_plan(path, digits_runs, tmp_path)
    assert str(caught.value).startswith(f"{path}:\n{problem}")
    unfit = replace(plan, expansion=Expansion(parse_suite(path.read_text(), str(path)), plan.versions))
    dataset = open_prepared(plan.references["digits"], digits_runs)
    with pytest.raises(SettingError) as of_session:
        unfit.check_fit({"digits": dataset})
    assert str(of_session.value) == str(caught.value)


def test_the_task_of_embedded_data_is_known_before(path, folder, tmp_path, issue_suite):
    """What fits no classes is refused also where the digits were never decoded."""
    path.write_text(issue_suite.replace(TRAIN, 'epochs = 1\nloss = "squared"'), encoding="utf-8")
    with pytest.raises(SettingError, match=r"train\.loss: not a loss for digits"):
        make_plan(path, folder, tmp_path)


def test_misspelt_dataset_names_the_file(path, folder, tmp_path, issue_suite):
    """The message about a dataset says in which suite file it is named, as every other message does."""
    path.write_text(issue_suite.replace('["digits"]', '["digitz"]'), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        make_plan(path, folder, tmp_path)
    assert str(path) in str(caught.value)


def test_foreign_store_stops_the_plan(path, folder, tmp_path):
    """A plan over a file that is no store is refused, and the file stays."""
    folder.mkdir()
    (folder / STORE_FILE).write_text("mine")
    with pytest.raises(StoreError) as caught:
        make_plan(path, folder, tmp_path)
    assert str(folder / STORE_FILE) in str(caught.value)
    assert (folder / STORE_FILE).read_text() == "mine"


def test_clashing_cell_names_the_file(path, folder, tmp_path, issue_suite):
    """Cells that are equal are found by the plan, and the message says in which file."""
    path.write_text("include = [{ 'model.activation' = 'tanh' }]\n" + issue_suite, encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        make_plan(path, folder, tmp_path)
    assert "duplicate cell" in str(caught.value)
    assert str(path) in str(caught.value)


CLAIM = """
[[claims]]
statement = "Tanh beats ReLU"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.002
"""


def test_plan_of_a_sample_with_claims(path, folder, tmp_path, issue_suite):
    """A plan holds the cells of the design that is asked for, and the claims as they stand in the file."""
    text = issue_suite.replace('design = "factorial"', 'design = { name = "sample", cells = 3 }')
    claim = CLAIM + 'where = { "model.initializer" = "glorot_uniform" }\n'
    path.write_text(text.replace("[model]", '[[include]]\n"model.activation" = "tanh"\n[model]') + CLAIM)
    plan = make_plan(path, folder, tmp_path)
    assert (len(plan.cells), len(plan.runs)) == (4, 20)
    assert plan.cells[0].levels == plan.suite.baseline_levels
    assert [each.statement for each in plan.suite.claims] == ["Tanh beats ReLU"]
    path.write_text(issue_suite.replace('"factorial"', '"one_factor"') + claim)
    with pytest.raises(SettingError) as caught:
        make_plan(path, folder, tmp_path)
    assert str(caught.value).startswith(f"{path}:\nclaims[0]: the design has no such cell")


def test_claims_and_design_are_no_part_of_a_run(path, folder, tmp_path, issue_suite):
    """What is claimed, and how combinations are chosen, changes no key: stored runs stay what they are."""
    record(folder, make_plan(path, folder, tmp_path).runs, "done")
    path.write_text(issue_suite.replace('"factorial"', '"one_factor"') + CLAIM)
    assert make_plan(path, folder, tmp_path).counts == NONE | {"done": 25}
