"""The results of a runs folder as tables."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import benchmarks
from benchmarks.errors import StoreError, UserError
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from zoo.settings import SettingError

ROOT = Path(__file__).parents[2]
FACTS = {
    "digits": DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "official test split", task="classification"),
    "houses": DatasetFacts("1.0.0", 442, 110, 1, (10,), "official test split", task="regression", mean_rmse=80_000.0),
}

FIRST = """
name = "first"
datasets = ["digits"]
seeds = [3, 5]
[model]
variant = "mlp_small"
[factors]
"model.activation" = ["relu", "tanh"]
"""
SECOND = FIRST.replace('"first"', '"second"').replace('["digits"]', '["houses"]').replace("[3, 5]", "1")
SECOND = SECOND.replace('"model.activation" = ["relu", "tanh"]', '"model.width" = [64, [128, 64]]')


def result_of(run):
    """A result that tells its run: the accuracy is 0.5 and a hundredth of the seed, one more for tanh."""
    if run.cell.dataset == "houses":
        return RunResult("done", {"test_rmse": 50_000.0, "test_loss": 1.0}, {"val_rmse": [6.0, 5.0]}, 100, 2.0)
    own = 0.5 + run.seed / 100 + (run.cell.levels.get("model.activation") == "tanh") / 10
    history = {"val_accuracy": [0.1, 0.2, own], "train_loss": [3.0, 2.0, 1.0]}
    return RunResult("done", {"test_accuracy": own, "test_loss": 1.0}, history, 9034, 0.5)


def stored(folder, *texts, changes=None):
    """Record every run of suites, but those that `changes` makes None of."""
    store = Store.create_or_open(folder)
    for text in texts:
        suite = parse_suite(text, "suite.toml")
        store.register(suite.name, text, suite.seed_list, {name: FACTS[name] for name in suite.datasets})
        planned = expand_runs(expand_cells(suite), suite.seed_list, dict.fromkeys(suite.datasets, "1.0.0"))
        for place, run in enumerate(planned):
            found = (changes or {}).get(place, lambda usual: usual)(result_of(run))
            if found is not None:
                store.record(run, found, {"cpu": "a processor"})
    store.close()
    return folder


def test_a_row_for_each_run(tmp_path):
    """Every planned run is a row with its factors, seed, status, metrics, seconds and key."""
    found = benchmarks.load_results(stored(tmp_path, FIRST))
    assert list(
        found[["suite", "dataset", "model.activation", "seed", "status"]].itertuples(index=False, name=None)
    ) == [("first", "digits", level, seed, "done") for level in ("relu", "tanh") for seed in (3, 5)]
    assert found["test_accuracy"].tolist() == pytest.approx([0.53, 0.55, 0.63, 0.65])
    assert found["seconds"].tolist() == [0.5] * 4
    assert found["key"].nunique() == 4
    assert not [name for name in found.columns if "rmse" in name]
    assert found.groupby("model.activation")["outcome"].mean().to_dict() == pytest.approx({"relu": 0.54, "tanh": 0.64})


def test_what_is_not_done(tmp_path):
    """A diverged run has the outcome of who learnt nothing and no metric; a missing one is a row without numbers."""

    def diverged(usual):
        return replace(usual, status="diverged", metrics={}, message="the loss was not finite")

    found = benchmarks.load_results(stored(tmp_path, FIRST, changes={0: diverged, 3: lambda _: None}))
    assert found["status"].tolist() == ["diverged", "done", "done", "missing"]
    assert found["outcome"].tolist() == pytest.approx([0.1, 0.55, 0.63, np.nan], nan_ok=True)
    assert found["test_accuracy"].isna().tolist() == [True, False, False, True]
    assert found["message"].tolist() == ["the loss was not finite", "", "", ""]


def test_several_suites(tmp_path):
    """All suites are there unless one is asked for; a factor that a suite lacks is missing in its rows."""
    stored(tmp_path, FIRST, SECOND)
    found = benchmarks.load_results(str(tmp_path))
    assert found["suite"].tolist() == ["first"] * 4 + ["second"] * 2
    assert found["model.width"].tolist()[4:] == ["64", "[128, 64]"]
    assert found["model.width"].isna().tolist() == [True] * 4 + [False] * 2
    assert found["test_rmse"].tolist()[4:] == [50_000.0] * 2
    alone = benchmarks.load_results(tmp_path, "second")
    assert len(alone) == 2
    assert "model.activation" not in alone
    assert "test_accuracy" not in alone


def test_a_row_for_each_epoch(tmp_path):
    """Epochs count from 1, and of a diverged run there are those before it diverged; missing runs have none."""

    def diverged(usual):
        history = {name: values[:1] for name, values in usual.history.items()}
        return replace(usual, status="diverged", metrics={}, history=history)

    stored(tmp_path, FIRST, changes={0: diverged, 3: lambda _: None})
    found = benchmarks.load_results(tmp_path, "first", epochs=True)
    assert found["epoch"].tolist() == [1, 1, 2, 3, 1, 2, 3]
    assert found["seed"].tolist() == [3, 5, 5, 5, 3, 3, 3]
    assert found["val_accuracy"].tolist() == pytest.approx([0.1, 0.1, 0.2, 0.55, 0.1, 0.2, 0.63])
    assert "val_rmse" not in found


def test_a_suite_without_epochs(tmp_path):
    """Where nothing was trained the table is empty and has its columns."""
    stored(tmp_path, FIRST, changes=dict.fromkeys(range(4), lambda _: None))
    found = benchmarks.load_results(tmp_path, epochs=True)
    assert found.empty
    assert {"suite", "dataset", "seed", "epoch", "val_accuracy"} <= set(found.columns)


def test_a_factor_with_the_name_of_a_column(tmp_path):
    """A bundle that is called seed does not take the place of the seed."""
    text = FIRST.replace('"model.activation" = ["relu", "tanh"]', "") + (
        'seed = { plain = { "model.activation" = "relu" }, other = { "model.activation" = "tanh" } }\n'
    )
    found = benchmarks.load_results(stored(tmp_path, text))
    assert found["seed"].tolist() == [3, 5, 3, 5]
    assert found["level:seed"].tolist() == ["plain", "plain", "other", "other"]


def test_a_suite_of_another_version(tmp_path):
    """What is no longer understood is left out with a warning, or an error where it is asked for or is all there is."""
    store = Store.create_or_open(tmp_path)
    store.register(
        "older", FIRST.replace('"first"', '"older"').replace("seeds", "sedes"), [0], {"digits": FACTS["digits"]}
    )
    store.close()
    with pytest.raises(SettingError, match="sedes"):
        benchmarks.load_results(tmp_path)
    stored(tmp_path, FIRST)
    with pytest.warns(UserWarning, match="^older is left out: this version of ablate no longer understands"):
        found = benchmarks.load_results(tmp_path)
    assert found["suite"].tolist() == ["first"] * 4
    with pytest.raises(SettingError, match="sedes"):
        benchmarks.load_results(tmp_path, "older")


def test_untuned_runs_are_left_out(tmp_path):
    """Of a suite that also trains its cells untuned, no mean is over both sorts of runs."""
    search = (
        '[search]\nstrategy = "grid"\ntrials = 2\nobjective = "val_loss"\nuntuned = true\n'
        'space = { "train.learning_rate" = [0.1, 0.2] }\n'
    )
    stored(tmp_path, FIRST + search)
    found = benchmarks.load_results(tmp_path)
    assert len(found) == 4
    assert set(found["status"]) == {"missing"}


def test_what_is_not_there(tmp_path):
    """No store, a store without suites and an unknown suite are told in words."""
    with pytest.raises(StoreError):
        benchmarks.load_results(tmp_path / "nowhere")
    Store.create_or_open(tmp_path / "empty").close()
    with pytest.raises(UserError, match="no suite was run here yet"):
        benchmarks.load_results(tmp_path / "empty")
    with pytest.raises(UserError, match="nearest: first"):
        benchmarks.load_results(stored(tmp_path / "runs", FIRST), "frist")


def test_public_list():
    """Each public name is there, is explained, and is told by the package's help."""
    assert set(benchmarks.__all__) <= set(dir(benchmarks))
    for name in benchmarks.__all__:
        assert getattr(benchmarks, name).__doc__, name
    functions = [name for name in benchmarks.__all__ if name.islower()]
    assert [name for name in functions if f"benchmarks.{name}(" not in benchmarks.__doc__] == []


def test_misspelt_name():
    """A name that is not in the public list is met with the nearest that is."""
    code = "import benchmarks; benchmarks.load_result"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith("Did you mean: 'load_results'?")


def test_importing_the_package_is_cheap():
    """`import benchmarks` imports no pandas; what is asked of it does, and what it does not have is an error."""
    code = (
        "import sys, benchmarks; print('pandas' in sys.modules); benchmarks.load_results; "
        "print('pandas' in sys.modules, 'tensorflow' in sys.modules, hasattr(benchmarks, 'lod_results'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["False", "True False False"], done.stderr
