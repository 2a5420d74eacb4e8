"""The same store, on what differs as two machines do, gives the same report, byte for byte."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from benchmarks.plan.plan import make_plan
from benchmarks.plan.registration import register_claims
from benchmarks.report.writing import possible_files
from benchmarks.results import RunResult
from benchmarks.search.greedy import find_path
from benchmarks.store import DatasetFacts, Store

ROOT = Path(__file__).parents[2]

BASE = """
question = "Weiß man’s? 100 % of β < 1 & more"
[model]
variant = "mlp_small"
[train]
epochs = 5
"""
CLAIMED = """
name = "claimed"
datasets = ["digits", "wine"]
seeds = 7
[factors]
"model.activation" = ["relu", "tanh"]
"model.width" = [8, 16]
[[claims]]
statement = "Tanh beats ReLU"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.002
datasets = "each"
[[claims]]
statement = "16 is as good as 8"
factor = "model.width"
better = 16
than = 8
where = { "model.activation" = "tanh" }
margin = 0.05
kind = "equivalence"
datasets = "average"
"""
SEARCHED = """
name = "searched"
datasets = ["wine"]
seeds = 3
[factors]
"model.activation" = ["relu", "tanh"]
[search]
strategy = "random"
trials = 6
objective = "val_accuracy"
untuned = true
[search.space]
"train.learning_rate" = { log = [1e-4, 1e-1] }
"train.optimizer" = ["adam", "momentum"]
"model.dropout" = { linear = [0.0, 0.6] }
"""
ROAD = """
name = "road"
datasets = ["digits"]
seeds = 3
design = { name = "path", objective = "val_accuracy" }
[factors]
"model.activation" = ["relu", "tanh", "elu"]
"model.width" = [8, 16]
[baseline]
"model.activation" = "relu"
"model.width" = 8
"""
SUITES = (CLAIMED, SEARCHED, ROAD)
NAMES = ("claimed", "searched", "road")

FACTS = {
    "digits": DatasetFacts("1.0.0", 1437, 360, 10, (8, 8, 1), "split", "classification"),
    "wine": DatasetFacts("1.0.0", 142, 36, 3, (13,), "split", "classification"),
}

REPORT = """
import os, platform, socket, sys
_, root, umask, host, *names = sys.argv
os.umask(int(umask, 8))
socket.gethostname = platform.node = lambda: host
sys.path.insert(0, root)
from benchmarks.cli import main
for name in names:
    sys.argv = ["ablate", "report", name]
    try:
        main()
    except SystemExit as exit:
        assert not exit.code, name
"""

HERE = {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "COLUMNS": "60"}
ELSEWHERE = {
    "PYTHONHASHSEED": "4242",
    "TZ": "America/St_Johns",
    "LC_ALL": "C",
    "LANG": "tr_TR.ISO-8859-9",
    "OMP_NUM_THREADS": "7",
    "OPENBLAS_NUM_THREADS": "3",
    "COLUMNS": "200",
    "PYTHONUTF8": "0",
    "SOURCE_DATE_EPOCH": "86400",
    # Another processor: these make NumPy and OpenBLAS take other kernels, whose sums differ in their last bits.
    "NPY_DISABLE_CPU_FEATURES": " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", ())),
    "OPENBLAS_CORETYPE": "Nehalem",
}

OTHER_PYTHON = "ABLATE_TEST_OTHER_PYTHON"
"""Names the variable with the command of a Python for another processor, with this project's packages.

With an emulator: `env PYTHONPATH=/arm/site-packages qemu-aarch64-static -L /arm /arm/usr/bin/python3`.
"""


def result_of(run):
    """A result that follows from the run alone: some diverged, one failed, and all others with predictions."""
    draw = np.random.default_rng(zlib.crc32(run.key.encode()))
    width = draw.normal(0, 0.01)
    losses = (2 * np.exp(-np.arange(1, 6)) + draw.random(5) / 10).tolist()
    if run.seed == 3 and "relu" in run.cell.levels.values():
        return RunResult("diverged", {}, {"train_loss": losses[:2]}, 900, 0.2, "the loss was not finite in epoch 3")
    if run.seed == 5 and "16" in run.cell.levels.values():
        return RunResult("failed", message="OSError: no space", seconds=0.1, traceback="Traceback")
    accuracy = 0.9 + 0.02 * ("tanh" in run.cell.levels.values()) + width
    metrics = {"test_accuracy": accuracy, "val_accuracy": accuracy - 0.01, "test_loss": 0.3, "val_loss": 0.4}
    metrics |= {"test_nll": 0.3 - width, "test_brier": 0.1 - width / 3, "test_ece": 0.03 + abs(width)}
    facts = FACTS[run.dataset]
    return RunResult(
        "done",
        metrics,
        {"val_accuracy": [accuracy - each / 4 for each in losses], "train_loss": losses},
        parameters=900 + int(draw.integers(9)),
        macs=1800,
        seconds=float(draw.random()),
        predictions=draw.normal(0, 2, (facts.num_test, facts.num_classes)).astype("<f2"),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with three suites, whose runs, search and path are stored."""
    folder = tmp_path_factory.mktemp("here")
    store = Store.create_or_open(folder / "runs")
    for name, facts in FACTS.items():
        store.keep_labels(name, facts.version, np.arange(facts.num_test) % facts.num_classes)
    for name, text in zip(NAMES, SUITES, strict=True):
        path = folder / f"{name}.toml"
        # What stands at the top of a suite comes before its tables.
        question, _, tables = BASE.strip().partition("\n")
        head, _, rest = text.strip().partition("[factors]")
        path.write_text(f"{head}{question}\n{tables}\n[factors]{rest}\n", encoding="utf-8")
        plan = make_plan(path, folder / "runs", folder)
        register_claims(plan, store)
        store.register(name, plan.text, list(plan.seeds), {each: FACTS[each] for each in plan.suite.datasets})
        trained(searched(plan, store).renewed(store).all_runs, store)
    store.close()
    return folder


def trained(runs, store):
    """Record what is made up of runs."""
    for run in runs:
        if not store.statuses([run.key]):
            store.record(run, result_of(run), {"cpu": "a processor", "cores": 2, "versions": {"keras": "3", "b": "1"}})


def searched(plan, store):
    """Record what is made up of a plan's search, or of its path."""
    if plan.open_path:
        find_path(plan.open_path, store, lambda runs: trained(runs, store))
    for group in plan.groups:
        trials = []
        for number in range(6):
            optimizer = ("adam", "momentum")[number % 2]
            values = {"train.learning_rate": 10 ** -(1 + number / 2), "train.optimizer": optimizer}
            values["model.dropout"] = number / 10
            runs = group.runs_at(values)
            trained(runs, store)
            score = store.runs([runs[0].key])[runs[0].key].metrics.get("val_accuracy")
            trials.append({"round": 0, "number": number, "values": values, "budget": None, "resumes": None,
                           "keys": [run.key for run in runs], "score": score})  # fmt: skip
        best = max((trial for trial in trials if trial["score"] is not None), key=lambda trial: trial["score"])
        store.record_search(group.key, trials, best["values"])
    return plan


def report(folder, environment, umask, host, python=(sys.executable,)):
    """Write all reports of a folder in a process of its own: file -> bytes."""
    home = folder / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    own = {"HOME": str(home), "MPLCONFIGDIR": str(home), "TMPDIR": str(home)}
    command = [*python, "-W", "error", "-c", REPORT, str(ROOT), umask, host, *(f"{name}.toml" for name in NAMES)]
    done = subprocess.run(command, cwd=folder, env=kept | own | environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    files = [*folder.glob("runs/*/*"), folder / "runs" / "index.html"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.is_file()}


def backwards(database):
    """Put the rows of all tables into the reverse of their order."""
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid DESC').fetchall()
            connection.execute(f'DELETE FROM "{table}"')
            if rows:
                connection.executemany(f'INSERT INTO "{table}" VALUES ({",".join("?" * len(rows[0]))})', rows)
    connection.close()


@pytest.fixture(scope="module")
def ours(made, tmp_path_factory):
    """What is written here."""
    here = tmp_path_factory.mktemp("ours") / "here"
    shutil.copytree(made, here)
    return report(here, HERE, "022", "ourhost")


def test_two_machines_write_the_same_bytes(made, ours, tmp_path):
    """All files of the reports of claims, a search and a path, and of the index, are equal."""
    elsewhere = tmp_path / "an other ünusual place" / "much deeper"
    shutil.copytree(made, elsewhere)
    backwards(elsewhere / "runs" / "store.sqlite")
    theirs = report(elsewhere, ELSEWHERE, "077", "theirhost.example")
    assert {"runs/claimed/claims.json", "runs/searched/search_untuned.csv", "runs/road/path.csv"} < ours.keys()
    assert ours.keys() == theirs.keys()
    assert [name for name, content in ours.items() if content != theirs[name]] == []
    places = (b"ourhost", b"theirhost", os.fsencode(made.parent), os.fsencode(tmp_path))
    for name, content in ours.items():
        assert not any(told in content for told in places), name


def test_sections_declare_their_files(ours):
    """What a section leaves beside the pages is known beforehand: so it goes when the section has nothing to leave."""
    possible = {*possible_files(list(FACTS)), "report.html", "report.md"}
    left = {Path(name).name for name in ours if name.count("/") == 2}
    assert left <= possible
    assert left >= {"claims.tex", "search.tex", "path.tex", "ensembles-wine.tex", "path_tried.csv"}


@pytest.mark.night
@pytest.mark.skipif(OTHER_PYTHON not in os.environ, reason=f"{OTHER_PYTHON} names no Python for another processor")
def test_another_processor_writes_the_same_bytes(made, ours, tmp_path):
    """Also where the code was compiled for another processor, with another C library."""
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(made, elsewhere)
    other = {name: value for name, value in ELSEWHERE.items() if not name.startswith(("NPY_", "OPENBLAS_CORE"))}
    theirs = report(elsewhere, other, "077", "theirhost.example", shlex.split(os.environ[OTHER_PYTHON]))
    assert ours.keys() == theirs.keys()
    assert [name for name, content in ours.items() if content != theirs[name]] == []
