"""Suites are data: whatever one says, nothing is run, nothing is written elsewhere, and nothing listens."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pickle
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from html.parser import HTMLParser

import numpy as np
import psutil
import pytest
from executing import ABLATE

from benchmarks import cli
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite

SUITE = """
name = "{name}"
datasets = ["{dataset}"]
seeds = 3
[model]
variant = "mlp_small"
width = 8
[train]
steps = 3
[factors]
"model.activation" = ["relu", "tanh"]
"""

OUT_OF_THE_FOLDER = [
    "..",
    ".",
    "/",
    "/etc",
    "../elsewhere",
    "a/../../elsewhere",
    "a\\\\..\\\\b",
    "C:\\\\x",
    "~",
    "a\\u0000",
    "",
]


@pytest.fixture
def work(tmp_path, monkeypatch):
    """The folder in which `ablate` is called, with nothing beside it."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder / "no_datasets"))
    return folder


@pytest.fixture
def ablate(work, monkeypatch, capsys):  # noqa: ARG001 - it is called there
    """Calls the command there: (arguments) -> exit code, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ablate", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        return caught.value.code or 0, output.out, output.err

    return call


def paths_under(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def stored(folder, text, message=None):
    """A store with all runs of a suite, of which none was trained."""
    suite = parse_suite(text, "study.toml")
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    facts = DatasetFacts("1.0.0", 1442, 355, 10, (8, 8, 1), "official test split", "classification")
    store = Store.create_or_open(folder / "runs")
    store.register(suite.name, text, suite.seed_list, {"digits": facts})
    for place, run in enumerate(runs):
        good = RunResult("done", {"test_accuracy": 0.9 + place / 1000, "test_loss": 0.1}, seconds=1.0)
        store.record(run, RunResult("failed", message=message) if message and not place else good, {"cores": 2})
    store.close()
    return runs


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize("given", OUT_OF_THE_FOLDER)
@pytest.mark.parametrize("where", ["name", "dataset"])
def test_name_that_leaves_the_folder(where, given, command, ablate, work):
    """A suite or a dataset whose name would be another place is refused, and nothing is made anywhere."""
    text = SUITE.format(**({"name": "study", "dataset": "wine"} | {where: given}))
    (work / "study.toml").write_text(text, encoding="utf-8")
    before = paths_under(work.parent)
    code, out, err = ablate(command, "study.toml")
    assert code == 2, out
    assert ("datasets" if where == "dataset" else "name") in err
    assert "Traceback" not in err
    assert paths_under(work.parent) == before


@pytest.mark.parametrize("given", OUT_OF_THE_FOLDER)
def test_new_suite_stays_here(given, ablate, work):
    """`ablate new` writes no file of a name that is another place."""
    code, _, _ = ablate("new", given.encode().decode("unicode_escape"))
    assert code == 2
    assert paths_under(work.parent) == {"work"}


def test_links_are_not_followed(ablate, work):
    """A link in place of a report's folder is refused; one in place of a file of it is replaced."""
    text = SUITE.format(name="study", dataset="digits")
    (work / "study.toml").write_text(text, encoding="utf-8")
    stored(work, text)
    elsewhere = work.parent / "elsewhere"
    elsewhere.mkdir()
    victim = work.parent / "victim"
    victim.write_text("mine", encoding="utf-8")
    (work / "runs" / "study").symlink_to(elsewhere, target_is_directory=True)
    code, _, err = ablate("report", "study.toml")
    assert code == 2
    assert "link" in err
    assert not paths_under(elsewhere)
    (work / "runs" / "study").unlink()
    (work / "runs" / "study").mkdir()
    for place in ("study/report.html", "study/runs.csv", "index.html"):
        (work / "runs" / place).symlink_to(victim)
    code, _, err = ablate("report", "study.toml")
    assert code == 0, err
    assert victim.read_text(encoding="utf-8") == "mine"
    assert not (work / "runs" / "study" / "report.html").is_symlink()


EVIL = "'); DROP TABLE r; --<img src=x onerror=alert(1)></script><script>a(2)</script>=1+cmd|' /C calc'!A0"
HOSTILE = f"""
name = "study"
question = "{EVIL}"
datasets = ["digits"]
seeds = 3
[model]
variant = "mlp_small"
[factors."={EVIL}"]
"@SUM(1)\\\\input{{/etc/passwd}}" = {{ "train.epochs" = 2 }}
"-2+3{{{{7*7}}}}{{% raw %}}" = {{ "train.epochs" = 3 }}
"+1;'--" = {{ "train.epochs" = 4 }}
# {EVIL}
"""


class Page(HTMLParser):
    """The elements of a page, and what of it would be run or loaded."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.risks, self.text = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note an element."""
        self.tags.add(tag)
        for name, value in attrs:
            is_link = name in ("href", "src")
            if name.startswith("on") or (is_link and re.match(r"\s*(javascript|data:text)", value or "")):
                self.risks.append((tag, name, value))

    def handle_data(self, data):
        """Note a text."""
        self.text.append(data)


def test_hostile_suite_is_only_text(ablate, work):
    """Markup, SQL, LaTeX and formulas in every text of a suite, and in a message, do nothing in any file or table."""
    (work / "study.toml").write_text(HOSTILE, encoding="utf-8")
    runs = stored(work, HOSTILE, EVIL)
    code, _, err = ablate("report", "study.toml")
    assert code in (0, 1), err
    folder = work / "runs" / "study"
    for path in (folder / "report.html", work / "runs" / "index.html"):
        page = Page(path.read_text(encoding="utf-8"))
        assert not page.risks
        assert "alert(1)" in "".join(page.text)
        assert not {"script", "img", "iframe", "object"} & page.tags
    tables = sorted(folder.glob("*.csv"))
    assert len(tables) >= 2
    for path in tables:
        for row in csv.reader(path.read_text(encoding="utf-8").splitlines()):
            assert not [cell for cell in row if re.match(r"[=@\t\r]|[+-](?!\d*\.?\d+(e[+-]?\d+)?$)", cell)]
    pages = sorted(folder.glob("*.tex"))
    assert pages
    for path in pages:
        assert not re.search(r"\\(input|include|write|openout|catcode|def)\b", path.read_text(encoding="utf-8"))
    for arguments in (("status", "study"), ("runs", "study"), ("logs", runs[0].key)):
        code, out, err = ablate(*arguments, "--json")
        assert code == 0, err
        assert json.loads(out)
    with sqlite3.connect(work / "runs" / "store.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (len(runs),)
    connection.close()


class _Evil:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_no_code_in_a_model_is_run(tmp_path):
    """A model file with a function in it is refused, and so are kept weights with pickled objects."""
    import keras

    import zoo
    from benchmarks.execution.local import TrainedValues

    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1)]).save(tmp_path / "evil.keras")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        zoo.load_model(tmp_path / "evil.keras")
    weights = tmp_path / "weights.npz"
    with zipfile.ZipFile(weights, "w") as archive:
        archive.writestr("shift.npy", b"\x93NUMPY" + pickle.dumps(_Evil(tmp_path / "ran")))
    evil = np.empty(1, object)
    evil[0] = _Evil(tmp_path / "ran")
    np.savez(tmp_path / "objects.npz", shift=evil)
    for path in (weights, tmp_path / "objects.npz"):
        with pytest.raises(ValueError, match=r"allow_pickle|format version"):
            TrainedValues.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_nothing_listens(work, engine, digits_runs):
    """Neither the runner nor its worker opens a port on any address, from the start to the report."""
    (work / "study.toml").write_text(SUITE.format(name="study", dataset="digits"), encoding="utf-8")
    if engine == "numpy":
        shutil.copytree(digits_runs, work / "runs")  # else the worker imports TensorFlow to prepare them
    process = subprocess.Popen(
        [*ABLATE[engine], "run", "study.toml", "--workers", "1", "--track", "tensorboard"],
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen, listening = set(), []
    while process.poll() is None:
        for each in _family(process.pid):
            try:
                connections = each.net_connections("inet")
            except psutil.Error:
                continue  # it has just ended
            seen.add(each.pid)
            listening += [(each.pid, found.laddr) for found in connections if found.status == psutil.CONN_LISTEN]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    assert process.returncode == 0, process.communicate()[1]
    process.stderr.close()
    assert len(seen) >= 2
    assert not listening


def _family(number):
    try:
        runner = psutil.Process(number)
        return [runner, *runner.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
