"""Exported models: what they predict elsewhere, what is told of them, and which runs have none."""

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special, stats
from studies import study_of

import zoo
from benchmarks import errors, metrics
from benchmarks.data.catalog import find_dataset
from benchmarks.data.loading import load
from benchmarks.errors import UserError
from benchmarks.files import weights_file
from benchmarks.models import export
from benchmarks.models import trained as trained_models
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.keys import short_keys
from benchmarks.plan.plan import make_plan
from benchmarks.results import RunResult, kept_predictions
from benchmarks.settings.run import RunSettings, run_key, settings_from
from benchmarks.store import DatasetFacts, Store, StoredRun
from benchmarks.suite.reading import parse_suite

CLASSES = """
name = "classes"
datasets = ["digits"]
seeds = 1
model = { variant = "mlp_small" }
train = { steps = 40 }
[factors.network]
mlp = { "model.normalization" = "batch" }
conv = { "model.variant" = "resnet8" }
"""

TABLES = """
name = "tables"
datasets = ["breast_cancer", "diabetes"]
seeds = 3
model = { variant = "mlp_small", width = 16 }
train = { steps = 40, weight_average = 0.9 }
[factors]
"model.initializer" = ["he_normal", "glorot_uniform"]
"""

RUNS = ["mlp", "conv", "binary", "regression"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two suites in one runs folder, weights kept for the first; a run of each kind by name; `store` and `runs_dir`."""
    from executing import run_missing

    from benchmarks.execution.running import Options

    folder = tmp_path_factory.mktemp("trained")
    runs_dir = folder / "runs"
    silent = SimpleNamespace(moved=lambda *_: None, run_done=lambda *_: None)
    planned = []
    store = Store.create_or_open(runs_dir)
    for text, keeps in ((CLASSES, True), (TABLES, False)):
        path = folder / "suite.toml"
        path.write_text(text, encoding="utf-8")
        plan = make_plan(path, runs_dir, folder / "none")
        # One worker: each imports TensorFlow for itself.
        run_missing(plan, store, silent, Options(workers=1, keep_weights=keeps))
        planned += [run for run in plan.runs if run.seed == 0 and run.cell.title != "glorot_uniform"]
    keys = [run.key for run in planned]
    return SimpleNamespace(store=store, runs_dir=runs_dir, keys=dict(zip(RUNS, keys, strict=True)))


def data_of(trained, name):
    stored = trained.store.runs([trained.keys[name]])[trained.keys[name]]
    return load(find_dataset(stored.dataset, trained.runs_dir / "none", trained.runs_dir))


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Folder of exports by name of the run, each with what another process made of it: `outputs.npy`."""
    folder = tmp_path_factory.mktemp("exported")
    for name, key in trained.keys.items():
        stored = trained_models.finished_run(trained.store, key)
        made, _ = export.export_run(trained.store, stored, folder / name, trained.runs_dir / "none")
        assert made.doubts == ()
        np.save(folder / name / "inputs.npy", data_of(trained, name).test.inputs)
    code = (
        "import sys, keras, numpy as np\n"
        f"for name in {RUNS}:\n"
        "    model = keras.saving.load_model(f'{name}/model.keras')\n"
        "    np.save(f'{name}/outputs.npy', model.predict(np.load(f'{name}/inputs.npy'), verbose=0))\n"
        "print([name for name in ('zoo', 'benchmarks') if name in sys.modules])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_exported_model_predicts_as_the_run_did(name, trained, exported):
    """In another process with Keras alone, raw test inputs give the outcome and the predictions that are stored."""
    dataset, key = data_of(trained, name), trained.keys[name]
    stored = trained.store.runs([key])[key]
    outputs = np.load(exported / name / "outputs.npy")
    outcome = metrics.OUTCOME_METRICS[dataset.task]
    found = metrics.test_metrics(dataset.task, outputs, dataset.test.labels)[outcome]
    predictions, _ = kept_predictions(dataset.task, outputs)
    kept = trained.store.predictions([key])[key]
    if dataset.task == "regression":
        assert found == pytest.approx(stored.metrics[outcome], rel=1e-6)
        np.testing.assert_allclose(predictions, kept, rtol=1e-5)
        assert np.ptp(outputs) > 1  # in the unit of the target, which goes from 25 to 346
    else:
        assert found == stored.metrics[outcome]
        half = float(np.finfo(np.float16).eps)
        np.testing.assert_allclose(predictions.astype(float), kept.astype(float), rtol=half, atol=half)


def test_an_ensemble_averages_its_members(trained, tmp_path):
    """Of two networks of different families: the mean of their probabilities, also once saved and loaded."""
    dataset, keys = data_of(trained, "mlp"), [trained.keys["mlp"], trained.keys["conv"]]
    model = export.load_ensemble([key[:12] for key in keys], trained.runs_dir, trained.runs_dir / "none")
    model.save(tmp_path / "ensemble.keras")
    again = zoo.load_model(tmp_path / "ensemble.keras")
    kept = trained.store.predictions(keys)
    expected = np.mean([special.softmax(kept[key].astype(float), axis=1) for key in keys], axis=0)
    for each in (model, again):
        np.testing.assert_allclose(each.predict(dataset.test.inputs, verbose=0), expected, atol=2e-3)


@pytest.mark.parametrize(("head", "task"), [("binary_logit", "binary"), ("regression", "regression")])
def test_what_is_averaged(head, task):
    """Probabilities where there are classes, and else the outputs as they are."""
    models = [zoo.create_model("mlp_small", input_shape=(5,), head=head, seed=seed) for seed in range(3)]
    inputs = np.random.default_rng(0).normal(size=(7, 5)).astype("f4")
    outputs = np.stack([model.predict(inputs, verbose=0) for model in models])
    expected = (special.expit(outputs) if task == "binary" else outputs).mean(axis=0)
    together = export._averaged({str(number): model for number, model in enumerate(models)}, task)
    np.testing.assert_allclose(together.predict(inputs, verbose=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("names", "told"), [(["mlp", "mlp"], "two runs at least"), (["mlp", "binary"], "one dataset")])
def test_runs_that_make_no_ensemble(names, told, trained):
    """One run, twice, or runs on several datasets."""
    with pytest.raises(UserError, match=told):
        export.load_ensemble([trained.keys[name] for name in names], trained.runs_dir, trained.runs_dir / "none")


def test_one_key_is_no_list_of_runs(trained):
    """A text is not taken for the list of its characters."""
    with pytest.raises(UserError, match="in place of a list") as caught:
        export.load_ensemble("4c6a", trained.runs_dir, trained.runs_dir / "none")
    assert "given:   '4c6a'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "origin"), [("mlp", trained_models.KEPT), ("regression", trained_models.TRAINED_AGAIN)]
)
def test_export_tells_where_the_weights_come_from(name, origin, exported):
    """Weights are the kept ones where there are any, else the run was trained again."""
    assert json.loads((exported / name / "run.json").read_text())["weights"] == origin
    assert f"| weights | {origin} |" in (exported / name / "README.md").read_text()


@pytest.mark.parametrize("name", ["mlp", pytest.param("conv", marks=pytest.mark.night)])
def test_training_again_gives_the_weights_that_were_kept(name, trained, tmp_path):
    """A run that is trained again, alone, comes out with the very weights that it had among others."""
    runs_dir = copy_of(trained, tmp_path)
    kept = export.load_network(trained.keys[name], runs_dir, runs_dir / "none")
    weights_file(runs_dir, trained.keys[name]).unlink()
    again = export.load_network(trained.keys[name][:12], runs_dir, runs_dir / "none")
    assert kept.count_params() > 9_000
    for one, other in zip(kept.variables, again.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def copy_of(trained, tmp_path):
    """A copy of the runs folder that a test may change."""
    runs_dir = tmp_path / "runs"
    shutil.copytree(trained.runs_dir, runs_dir)
    return runs_dir


@pytest.mark.parametrize("name", ["mlp", "regression"])
def test_numbers_that_differ_from_the_stored_ones_are_told(name, trained, tmp_path):
    """Where a model does not give what is stored of its run, both numbers are told, for kept weights and new ones."""
    runs_dir = copy_of(trained, tmp_path)
    outcome = {"mlp": "test_accuracy", "regression": "test_rmse"}[name]
    true = trained.store.runs([trained.keys[name]])[trained.keys[name]].metrics[outcome]
    with sqlite3.connect(runs_dir / "store.sqlite") as connection:
        changed = f"update runs set metrics = json_set(metrics, '$.{outcome}', 0.125) where key = ?"
        connection.execute(changed, [trained.keys[name]])
        connection.execute("delete from digests where key = ?", [trained.keys[name]])  # else it is seen as damage
    connection.close()
    with pytest.warns(export.OtherResults, match=rf"{outcome} {true:.10g}, stored 0\.125") as caught:
        export.load_network(trained.keys[name], runs_dir, runs_dir / "none")
    assert len(caught) == 1


def test_card_has_the_interval_of_all_seeds(trained, exported):
    """The card tells the mean over the seeds of the cell with the t interval of SciPy."""
    planned = study_of(trained.store, "tables").runs
    keys = [run.key for run in planned if run.dataset == "breast_cancer" and run.cell.title == "he_normal"]
    values = [100 * run.metrics["test_accuracy"] for run in trained.store.runs(keys).values()]
    assert len(values) == 3
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    card = (exported / "binary" / "README.md").read_text()
    assert f" {np.mean(values):.2f} ({low:.2f} to {high:.2f}) |" in card


def test_card_tells_what_a_reader_needs(exported):
    """The card has the classes or columns in their order, the source of the data, changed settings and versions."""
    binary, regression = ((exported / name / "README.md").read_text() for name in ("binary", "regression"))
    assert "keras.ops.sigmoid" in binary
    assert "malignant, benign" in binary
    assert "in the target's unit" in regression
    assert "age, bmi, bp, s1" in regression
    assert "Efron" in regression
    assert "Licence: CC BY 4.0\n" in binary
    assert "Licence: none stated by the authors" in regression
    assert "| `model.width` | 16 |" in regression
    assert "| `train.weight_average` | 0.9 |" in regression
    assert "batch_size" not in regression
    assert "| tensorflow |" in regression
    assert "Warning" not in binary + regression


def test_run_json_has_all_facts(trained, exported):
    """`run.json` is strict JSON with key, all settings, exact metrics, history, cell and machine."""
    text = (exported / "regression" / "run.json").read_text()
    told = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    stored = trained.store.runs([trained.keys["regression"]])[trained.keys["regression"]]
    assert told["key"] == stored.key
    assert told["metrics"] == stored.metrics
    assert told["history"] == stored.history
    assert told["settings"] == stored.settings
    assert told["settings_that_differ_from_defaults"]["train.weight_average"] == 0.9
    assert set(told["cell"]["runs"]) == {"0", "1", "2"}
    assert told["suites"] == ["tables"]
    assert told["provenance"]["trained_on"]["tensorflow"]
    assert math.isclose(told["metrics_of_the_exported_model"]["test_rmse"], stored.metrics["test_rmse"], rel_tol=1e-6)


def test_onnx_gives_the_same_outputs(trained, tmp_path):
    """The model in ONNX, run by the reference implementation of ONNX, gives what the Keras model gives."""
    pytest.importorskip("tf2onnx")
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    stored = trained_models.finished_run(trained.store, trained.keys["mlp"])
    _, files = export.export_run(trained.store, stored, tmp_path / "out", trained.runs_dir / "none", with_onnx=True)
    assert "model.onnx" in files
    model = onnx.load(tmp_path / "out" / "model.onnx")
    inputs = data_of(trained, "mlp").test.inputs[:50].astype(np.float32)
    (outputs,) = ReferenceEvaluator(model).run(None, {model.graph.input[0].name: inputs})
    expected = zoo.load_model(tmp_path / "out" / "model.keras").predict(inputs, verbose=0)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_onnx_without_its_packages(monkeypatch):
    """Where the packages for ONNX are not installed, the message says how to install them."""
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == "tf2onnx" else name)
    with pytest.raises(UserError, match=r"--onnx: tf2onnx not installed; `pip install 'ablation-zoo\[onnx\]'`"):
        export.check_onnx()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, False),
        ({"drop_connect": 0.1}, True),
        ({"normalization": "batch"}, True),
        ({"normalization": "batch", "normalization_variance": "biased"}, False),
    ],
)
def test_models_of_keras_layers_need_no_zoo(settings, expected, tmp_path):
    """A saved model is said to need this package just where it has layers of it."""
    zoo.create_model("mlp_small", **settings).save(tmp_path / "model.keras")
    assert export._needs_zoo(tmp_path / "model.keras") == expected


def test_inputs_far_from_zero_lose_nothing(trained):
    """Standardization inside the model is exact where inputs are large beside their spread, as years are."""
    from benchmarks.execution.local import TrainedValues

    dataset = data_of(trained, "regression")
    settings = settings_from({"model.variant": "linear"})
    kernel = np.ones((10, 1), np.float32)
    variables = {"head/kernel": kernel, "head/bias": np.zeros(1, np.float32)}
    shift, scale = np.full(10, 1e6, np.float32), np.full(10, 1e3, np.float32)
    model = TrainedValues(variables, shift, scale, 0.0, 1.0).as_model(settings, dataset)
    inputs = shift + np.arange(10, dtype=np.float32) / 8
    assert float(model(inputs[np.newaxis])[0, 0]) == 1e3 * np.arange(10).sum() / 8


def test_damaged_weights_are_told(trained, tmp_path):
    """A file of weights that was cut short is named, and nothing else is used in its place."""
    runs_dir = copy_of(trained, tmp_path)
    path = weights_file(runs_dir, trained.keys["mlp"])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"the kept weights cannot be used.*without the file"):
        export.load_network(trained.keys["mlp"], runs_dir, runs_dir / "none")


def test_weights_of_another_model_are_told(trained, tmp_path):
    """Weights that do not fit the model of the run are refused."""
    runs_dir = copy_of(trained, tmp_path)
    shutil.copy(weights_file(runs_dir, trained.keys["conv"]), weights_file(runs_dir, trained.keys["mlp"]))
    with pytest.raises(UserError, match="the kept weights cannot be used"):
        export.load_network(trained.keys["mlp"], runs_dir, runs_dir / "none")


def test_folder_with_something_in_it_is_left_alone(trained, tmp_path):
    """An export replaces nothing: a file in the folder stays, and no other appears."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    stored = trained_models.finished_run(trained.store, trained.keys["mlp"])
    with pytest.raises(UserError, match="a folder with something in it; nothing was changed"):
        export.export_run(trained.store, stored, tmp_path / "out", trained.runs_dir / "none")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_export_that_fails_leaves_nothing(trained, tmp_path, monkeypatch):
    """Where writing ends with an error, neither the folder nor a part of it is left."""
    monkeypatch.setattr(export, "card_as_markdown", lambda *_: 1 / 0)
    stored = trained_models.finished_run(trained.store, trained.keys["mlp"])
    with pytest.raises(ZeroDivisionError):
        export.export_run(trained.store, stored, tmp_path / "out", trained.runs_dir / "none")
    assert list(tmp_path.iterdir()) == []


def test_export_takes_an_empty_folder(trained, tmp_path):
    """A folder that is there and empty is filled with whole files."""
    (tmp_path / "out").mkdir()
    stored = trained_models.finished_run(trained.store, trained.keys["mlp"])
    export.export_run(trained.store, stored, tmp_path / "out", trained.runs_dir / "none")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.keras", "README.md", "run.json"}
    assert zipfile.is_zipfile(tmp_path / "out" / "model.keras")


MANY = """
name = "many"
datasets = ["digits"]
seeds = 20
model = { variant = "mlp_small" }
[factors]
"model.activation" = ["relu", "tanh"]
"""


@pytest.fixture
def many(tmp_path):
    """A store with the first 36 of 40 runs: done, but the first diverged and the second failed; and all 40 runs."""
    suite = parse_suite(MANY, "many.toml")
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    store = Store.create_or_open(tmp_path / "runs")
    facts = DatasetFacts("1.0.0", 1442, 355, 10, (8, 8, 1), "the official test split", "classification")
    store.register("many", MANY, suite.seed_list, {"digits": facts})
    results = [RunResult("diverged", message="the loss was not finite"), RunResult("failed", message="out of luck")]
    results += [RunResult("done", {"test_accuracy": 0.5})] * 34
    for run, result in zip(runs, results, strict=False):
        store.record(run, result, {})
    return store, runs


def test_run_is_found_by_any_beginning_that_only_it_has(many):
    """A key is found by all of it and by each beginning from the shortest that no other stored run has."""
    store, runs = many
    stored = [run.key for run in runs[:36]]
    for key in stored:
        own = next(n for n in range(1, 33) if sum(other.startswith(key[:n]) for other in stored) == 1)
        assert {trained_models.find_run(store, key[:length]).key for length in range(own, 33)} == {key}


def test_beginning_of_several_keys(many):
    """A beginning that several keys have is met with some of them."""
    store, runs = many
    first = max("0123456789abcdef", key=lambda digit: sum(run.key.startswith(digit) for run in runs[:36]))
    number = sum(run.key.startswith(first) for run in runs[:36])
    with pytest.raises(UserError, match=f"RUN: {number} keys begin like this") as caught:
        trained_models.find_run(store, first)
    assert sum(run.key in str(caught.value) for run in runs) == min(number, 5)


def test_unknown_key(many):
    """A key that no run has is met with the nearest, and with the command that lists keys."""
    store, runs = many
    wrong = runs[5].key[:7] + "xx"
    with pytest.raises(UserError, match="no such run") as caught:
        trained_models.find_run(store, wrong)
    assert f"nearest: {runs[5].key}" in str(caught.value)
    assert "ablate runs SUITE" in str(caught.value)


def test_nothing_is_not_the_beginning_of_every_key(many):
    """An empty text names no run."""
    with pytest.raises(UserError, match="no such run"):
        trained_models.find_run(many[0], "")


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (0, "diverged, so it has no trained model: the loss was not finite"),
        (1, "failed: out of luck"),
        (39, "is not trained yet; `ablate run` of the suite 'many'"),
    ],
)
def test_run_without_a_model(number, told, many):
    """A run that diverged, failed or was not trained has no model, and the message says why."""
    store, runs = many
    with pytest.raises(UserError, match=told):
        trained_models.finished_run(store, runs[number].key)


def stored_as(settings: RunSettings, key: str | None = None) -> StoredRun:
    """A run with these settings as it comes out of the store, where it was JSON."""
    flat = json.loads(json.dumps(settings.flat()))
    key = key or run_key(settings, "digits", "1.0.0", 3)
    return StoredRun(key, "done", "digits", "1.0.0", 3, flat, {}, {}, 1, 1, 0.0, None, None, 1, "", "")


@pytest.mark.parametrize("variant", sorted(zoo.VARIANTS))
def test_settings_come_back_from_the_store(variant):
    """The settings of every model come back from their stored form, with all coefficients of the optimizer."""
    changes = {"model.variant": variant, "train.schedule": "step", "train.decay_at": [0.25, 0.5], "augment.mixup": 1.0}
    settings = settings_from(changes)
    found = trained_models.settings_of(stored_as(settings))
    assert found.model == settings.model
    assert (found.identity(), found.program(), found.flat()) == (
        settings.identity(),
        settings.program(),
        settings.flat(),
    )


@pytest.mark.parametrize(
    "change",
    [{"model.no_such_setting": 1}, {"model.family": "no_such_family"}, {"other.setting": 1}, {"train.epochs": 7}],
)
def test_settings_of_another_version(change):
    """A stored run whose settings mean something else by now is not trained again under its old key."""
    stored = stored_as(settings_from({"model.variant": "mlp_small"}))
    stored.settings.update(change)
    with pytest.raises(UserError, match="stored by another version"):
        trained_models.settings_of(stored)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["a" * 32, "b" * 32], ["a" * 8, "b" * 8]),
        (["a" * 10 + "b" * 22, "a" * 10 + "c" * 22], ["a" * 10 + "b", "a" * 10 + "c"]),
        ([], []),
    ],
)
def test_short_keys(keys, expected):
    """Keys are cut to eight characters, or to as many as tell them apart."""
    assert short_keys(keys) == expected
