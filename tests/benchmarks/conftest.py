"""What several test files of the benchmarks need."""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest

from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.settings.run import settings_from
from benchmarks.suite.suite import Suite

ROOT = Path(__file__).parents[2]

ISSUE_SUITE = """
name = "activations"
question = "Which activation and initializer train best?"
datasets = ["digits"]
seeds = 5                      # 0..4, or a list
design = "factorial"           # or "one_factor": the baseline, and each other level alone

[model]
variant = "mlp_small"          # other keys override its settings
dropout = 0.1

[train]
epochs = 30
batch_size = 64
optimizer = "adam"
learning_rate = 1e-3

[data]
standardize = "per_feature"
validation_fraction = 0.1

[factors]
"model.activation" = ["relu", "tanh", "elu", "gelu"]
"model.initializer" = ["glorot_uniform", "he_normal"]

[baseline]
"model.activation" = "relu"
"model.initializer" = "he_normal"
"""

SMALL_SUITE = {
    "name": "small",
    "datasets": ["digits"],
    "seeds": 2,
    "model": {"variant": "mlp_small"},
    "factors": {"model.activation": ["relu", "tanh"]},
}


@pytest.fixture
def undrawn(monkeypatch, request):
    """Leave the plots of reports empty where they do not matter: drawing them takes most of the time of a report.

    In a file that uses it, tests that are marked as `drawn` have them all the same.
    """
    if request.node.get_closest_marker("drawn"):
        return
    from markupsafe import Markup

    from benchmarks.report import plots

    for found in pkgutil.iter_modules(plots.__path__):
        module = importlib.import_module(f"{plots.__name__}.{found.name}")
        if hasattr(module, "draw"):
            monkeypatch.setattr(module, "draw", lambda *_: Markup("<svg></svg>"))


@pytest.fixture
def ablate(tmp_path, monkeypatch, capsys):
    """Calls the command in an empty folder: (arguments) -> exit code, standard output, standard error."""
    from benchmarks.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "no_datasets"))
    # Tests in several processes are given the width of the terminal.
    monkeypatch.delenv("COLUMNS", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ablate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        output = capsys.readouterr()
        return caught.value.code or 0, output.out, output.err

    return call


@pytest.fixture(scope="session")
def known_cases():
    """The worked cases of the statistical specification, docs/statistics.md."""
    path = Path(__file__).parents[1] / "known_answers" / "statistics.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def issue_suite():
    """The text of the suite that the project was asked to run as it stands."""
    return ISSUE_SUITE


@pytest.fixture(scope="session")
def embedded(tmp_path_factory):
    """Give a function that prepares an embedded dataset once and reads it."""
    # TensorFlow Datasets takes seconds to import, and most files here do without.
    from benchmarks.data.catalog import find_dataset
    from benchmarks.data.loading import load
    from benchmarks.data.preparing import prepare

    folder = tmp_path_factory.mktemp("embedded")

    @functools.cache
    def read(name):
        reference = find_dataset(name, folder / "none", folder)
        prepare(reference)
        return load(reference)

    return read


@pytest.fixture(scope="session")
def diabetes(embedded):
    """A regression in memory: 354 training examples of 10 numbers."""
    return embedded("diabetes")


@pytest.fixture(scope="session")
def breast_cancer(embedded):
    """A binary classification in memory: 456 training examples of 30 numbers."""
    return embedded("breast_cancer")


@pytest.fixture(scope="session")
def suite_of():
    """Give a function that makes a suite from a small valid one by replacing top-level keys."""
    return lambda **changes: Suite(**(SMALL_SUITE | changes))


@pytest.fixture(scope="session")
def settings_of():
    """Give a function that makes the settings of a run from dotted paths, for `mlp_small` unless a variant is named."""
    return lambda changes=(): settings_from({"model.variant": "mlp_small"} | dict(changes))


@pytest.fixture(scope="session")
def runs_of(suite_of):
    """Give a function that expands the small suite with so many seeds to two runs each, of `digits` 1.0.0."""

    def expand(num_seeds, **changes):
        suite = suite_of(seeds=num_seeds, **changes)
        return expand_runs(expand_cells(suite), suite.seed_list, dict.fromkeys(suite.datasets, "1.0.0"))

    return expand


@pytest.fixture(scope="session")
def postgres():
    """The URL of a Postgres server for tests, by a user who may make databases."""
    url = os.environ.get("ABLATE_TEST_POSTGRES")
    if not url:
        pytest.skip("ABLATE_TEST_POSTGRES names no Postgres server; `.ci/postgres start DIR` starts one")
    pytest.importorskip("psycopg", reason="psycopg is not installed: the extra `postgres`")
    return url


@pytest.fixture
def new_database(postgres):
    """Give a function that makes an empty database and gives its URL; it is gone after the test."""
    import psycopg

    made = []

    def make(options=""):
        made.append(f"ablate_{uuid.uuid4().hex}")
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {made[-1]} {options}")
        return f"{postgres.rpartition('/')[0]}/{made[-1]}"

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request):
    """The `--store` of an empty store: None for a file in the runs folder, or a database of its own."""
    return None if request.param == "sqlite" else request.getfixturevalue("new_database")()


@pytest.fixture
def start():
    """Give a function that starts Python on a script with the project in reach, its input and output in lines."""
    started = []

    def run(script, **options):
        command = [sys.executable, "-u", "-c", textwrap.dedent(script)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, **pipes | options))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def data(digits, diabetes, breast_cancer):
    """The three datasets by name, in memory and as tensors."""
    from benchmarks.training.inputs import DatasetOnDevice

    return {each.name: (each, DatasetOnDevice.of(each)) for each in (digits, diabetes, breast_cancer)}


@pytest.fixture(scope="session")
def fresh_trainer(data):
    """Makes a trainer, with a program of its own, of some settings given as dotted paths."""
    from benchmarks.training.program import Program
    from benchmarks.training.trainer import Trainer

    def make(changes, dataset="digits"):
        found, on_device = data[dataset]
        return Trainer(Program(settings_from(changes), on_device), found)

    return make


@pytest.fixture(scope="session")
def trainer_for(fresh_trainer):
    """Gives a trainer for some settings; those that can share a program share it, from file to file."""
    made = {}

    def give(changes, dataset="digits"):
        key = (dataset, settings_from(changes).program())
        if key not in made:
            made[key] = fresh_trainer(changes, dataset)
        return made[key]

    return give
