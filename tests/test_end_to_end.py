"""Whole throw-away suites, trained by the real command in processes of their own, killed for real."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import numpy as np
import psutil
import pytest
from executing import ABLATE, with_tensorflow

SUITE = """
name = "study"
question = "Which activation?"
datasets = ["digits"]
seeds = 3
[model]
variant = "mlp_small"
dropout = 0.1
[train]
epochs = {epochs}
[factors]
"model.activation" = ["relu", "tanh", "gelu"]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""


EPOCHS = {"numpy": 100, "tensorflow": 15}
"""So many that a command is long enough to be disturbed."""


class Folder:
    """A new folder with a suite in which `ablate` is called; nothing else is there, or datasets that are prepared."""

    def __init__(self, path, text, engine="tensorflow", prepared=None):
        path.mkdir()
        self.path, self.text, self.ablate = path, text, ABLATE[engine]
        (path / "study.toml").write_text(text)
        for name in (".datasets", ".decoded") if prepared else ():
            shutil.copytree(prepared / name, path / "runs" / name)

    def start(self, *arguments, **environment):
        """Start `ablate run study.toml`, with one worker unless told otherwise: each imports TensorFlow for itself."""
        workers = () if "--workers" in arguments else ("--workers", "1")
        return subprocess.Popen(
            [*self.ablate, "run", "study.toml", *arguments, *workers],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=os.environ | {"TFDS_DATA_DIR": str(self.path / "none"), "PYTHONUNBUFFERED": "1"} | environment,
        )

    def run(self, *arguments, **environment):
        """Call `ablate run study.toml`: exit code, standard output, standard error."""
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def stored(self):
        """Number of runs in the store."""
        store = self.path / "runs" / "store.sqlite"
        if not store.exists():
            return 0
        connection = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
        try:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        finally:
            connection.close()

    def wait_for_runs(self, process, number):
        """Wait until the store holds this many runs, or the process has ended."""
        while process.poll() is None and self.stored() < number:
            time.sleep(0.01)

    def read(self, name):
        """A file of the report."""
        return (self.path / "runs" / "study" / name).read_bytes()

    def rows(self, *without):
        """The rows of runs.csv, less some columns."""
        rows = csv.DictReader(self.read("runs.csv").decode().splitlines())
        return [{name: value for name, value in row.items() if name not in without} for row in rows]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, engine, digits_runs):
    """The suite, run once without a disturbance, by two workers: how many there are changes no result."""
    text = SUITE.format(epochs=EPOCHS[engine])
    prepared = digits_runs if engine == "numpy" else None
    folder = Folder(tmp_path_factory.mktemp("undisturbed") / "work", text, engine, prepared)
    code, out, err = folder.run("--workers", "2")
    assert code == 0, err
    assert "18 done" in out
    return folder


@with_tensorflow
def test_report_files(undisturbed):
    """A run ends with all files of the report, one row a cell and one row a run."""
    summary = list(csv.DictReader(undisturbed.read("summary.csv").decode().splitlines()))
    assert len(summary) == 6
    assert {row["n_planned"] for row in summary} == {row["n_done"] for row in summary} == {"3"}
    runs = undisturbed.rows()
    assert len({row["key"] for row in runs}) == 18
    by_cell = {}
    for row in runs:
        by_cell.setdefault((row["model.activation"], row["model.initializer"]), []).append(float(row["test_accuracy"]))
    for row in summary:
        values = by_cell[row["model.activation"], row["model.initializer"]]
        assert float(row["mean"]) == pytest.approx(np.mean(values))
        assert float(row["sd"]) == pytest.approx(np.std(values, ddof=1))
        assert 0.9 < float(row["mean"]) < 1
    assert b"Which activation?" in undisturbed.read("report.html")
    assert b"Which activation?" in undisturbed.read("report.md")


@with_tensorflow
def test_second_call_trains_nothing_and_writes_the_same_bytes(undisturbed):
    """The same command again finds every run and writes the same report, byte for byte."""
    names = ("report.html", "report.md", "summary.csv", "runs.csv")
    before = [undisturbed.read(name) for name in names]
    code, out, err = undisturbed.run()
    assert code == 0, err
    assert "to train" not in out
    assert [undisturbed.read(name) for name in names] == before


@with_tensorflow
def test_same_suite_elsewhere_gives_equal_metrics(undisturbed, tmp_path):
    """Run anew in another folder, every metric is equal to the last bit, whatever the user's files and shell say."""
    again = Folder(tmp_path / "work", undisturbed.text)
    (tmp_path / ".keras").mkdir()
    told = {"floatx": "float64", "epsilon": 0.1, "backend": "jax", "image_data_format": "channels_first"}
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(told))
    code, _, err = again.run(
        HOME=str(tmp_path),
        KERAS_BACKEND="jax",
        TF_XLA_FLAGS="--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
        TF_ENABLE_ONEDNN_OPTS="0",
        TZ="Asia/Tokyo",
    )
    assert code == 0, err
    assert again.read("summary.csv") == undisturbed.read("summary.csv")
    assert again.rows("seconds", "finished_at") == undisturbed.rows("seconds", "finished_at")


def test_killed_and_resumed(undisturbed, tmp_path, engine, digits_runs):
    """Killed with SIGKILL at several moments and started again, it ends as if nothing had happened."""
    folder = Folder(tmp_path / "work", undisturbed.text, engine, digits_runs)
    generator = np.random.default_rng(20)
    kills_with_runs = 0
    for stored in (0, 0, 1, 7):
        process = folder.start("--workers", "2" if stored == 7 else "1")
        folder.wait_for_runs(process, stored)
        time.sleep(generator.uniform(0, 0.4))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "it must have been killed before it was done"
        kills_with_runs += 0 < folder.stored() < 18
    assert kills_with_runs >= 2
    before = folder.stored()
    # What other stacks left behind, of runs that are stored and of runs that will be.
    checkpoints = folder.path / "runs" / ".checkpoints"
    checkpoints.mkdir(exist_ok=True)
    for row in undisturbed.rows():
        (checkpoints / f"0-{row['key']}.checkpoint").touch()
    code, out, err = folder.run()
    assert code == 0, err
    assert before == 18 or not list(checkpoints.iterdir())
    # On a fast machine the last kill may find all runs stored and the report being written.
    assert ("to train" not in out) if before == 18 else (f"{18 - before} of 18 runs to train" in out)
    assert folder.read("summary.csv") == undisturbed.read("summary.csv")
    assert folder.rows("seconds", "finished_at") == undisturbed.rows("seconds", "finished_at")


CHECKPOINTED = """
name = "study"
datasets = ["digits"]
seeds = 3
[model]
variant = "mlp_small"
normalization = "batch"
dropout = 0.2
[train]
epochs = 100
optimizer = "nadam"
learning_rate = 0.01
weight_average = 0.9
checkpoint = "best_val"
early_stopping_patience = 40
schedule = "reduce_on_plateau"
plateau_patience = 15
[augment]
flip = true
crop_padding = 1
mixup = 0.2
[factors]
"train.weight_decay" = [0.0, 0.1]
"""


@pytest.mark.night
@pytest.mark.slow
def test_killed_within_a_stack(tmp_path):
    """Killed with SIGKILL while a stack is trained, the next call goes on within it and ends bit for bit the same."""
    plain = Folder(tmp_path / "plain", CHECKPOINTED)
    code, _, err = plain.run()
    assert code == 0, err
    folder = Folder(tmp_path / "work", CHECKPOINTED)
    checkpoints, generator, kills = folder.path / "runs" / ".checkpoints", np.random.default_rng(21), 0
    for _ in range(3):
        process = folder.start("--checkpoint-every", "0")
        before = {path: path.stat().st_mtime_ns for path in checkpoints.glob("*.checkpoint")}
        while process.poll() is None and not any(
            before.get(path) != path.stat().st_mtime_ns for path in checkpoints.glob("*.checkpoint")
        ):
            time.sleep(0.005)
        time.sleep(generator.uniform(0, 0.3))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 2
    code, _, err = folder.run("--checkpoint-every", "0")
    assert code == 0, err
    assert folder.rows("seconds", "finished_at") == plain.rows("seconds", "finished_at")
    assert folder.read("summary.csv") == plain.read("summary.csv")
    assert not list(checkpoints.glob("*"))


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(sent, expected, tmp_path, engine, digits_runs):
    """Ctrl-C and SIGTERM end with their exit codes; what was finished is kept, and the next call goes on."""
    folder = Folder(tmp_path / "work", SUITE.format(epochs=2 * EPOCHS[engine]), engine, digits_runs)
    process = folder.start()
    folder.wait_for_runs(process, 1)
    # A terminal and a batch system send it to all processes of the group, the workers among them.
    os.killpg(process.pid, sent)
    out, err = process.communicate(timeout=60)
    assert process.returncode == expected, err
    assert "interrupted" in out
    assert "Traceback" not in err
    stored = folder.stored()
    assert 0 < stored < 18
    code, out, err = folder.run()
    assert code == 0, err
    assert f"{18 - stored} of 18 runs to train" in out


@pytest.mark.parametrize(("sent", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_probe(sent, expected, tmp_path, engine, digits_runs):
    """Other commands that train end with these exit codes too, and leave no process."""
    folder = Folder(tmp_path / "work", SUITE.format(epochs=4 * EPOCHS[engine]), engine, digits_runs)
    process = subprocess.Popen(
        [*folder.ablate, "plan", "study.toml", "--probe"],
        cwd=folder.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (workers := psutil.Process(process.pid).children(recursive=True)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == expected, err
    assert "Traceback" not in err
    assert not psutil.wait_procs(workers, timeout=5)[1]


def test_failed_and_diverged_runs(tmp_path, engine, digits_runs):
    """A run that diverges is recorded and the others go on; the exit code is 1 and the report shows it."""
    text = SUITE.format(epochs=2) + '"train.learning_rate" = [0.001, 1e37]\n'
    text = text.replace("tanh", "elu").replace("[train]", '[train]\noptimizer = "sgd"')
    folder = Folder(tmp_path / "work", text, engine, digits_runs)
    code, out, err = folder.run()
    assert code == 1, err
    assert "18 done, 18 diverged" in out
    summary = list(csv.DictReader(folder.read("summary.csv").decode().splitlines()))
    diverged = [row for row in summary if row["train.learning_rate"] == "1e+37"]
    assert [row["n_diverged"] for row in diverged] == ["3"] * 6
    assert {float(row["mean"]) for row in diverged} == {0.1}, "a diverged run counts at the chance level"
    assert b"the loss was not finite in epoch" in folder.read("report.html")
    again, out, _ = folder.run()
    assert again == 1
    assert "to train" not in out, "a diverged run is an outcome and is not trained again"


def test_suites_share_runs(undisturbed):
    """A second suite trains only the runs that the first has not stored."""
    (undisturbed.path / "other.toml").write_text(
        undisturbed.text.replace('"study"', '"other"').replace('["relu", "tanh", "gelu"]', '["gelu", "elu"]')
    )
    command = [*undisturbed.ablate, "run", "other.toml", "--json"]
    done = subprocess.run(command, cwd=undisturbed.path, capture_output=True, text=True, check=True)
    counts = json.loads(done.stdout)["runs"]
    assert (counts["done"], sum(counts.values())) == (12, 12)
    assert "6 of 12 runs to train" in done.stderr


def test_settings_that_do_not_fit_are_refused_before_training(tmp_path, engine, digits_runs):
    """A batch larger than the data ends with exit code 2, and nothing is stored."""
    text = SUITE.format(epochs=1).replace("[train]", "[train]\nbatch_size = 5000")
    folder = Folder(tmp_path / "work", text, engine, digits_runs)
    code, _, err = folder.run()
    assert code == 2
    assert "train.batch_size" in err
    assert "1 to 1298" in err
    assert "Traceback" not in err
    assert folder.stored() == 0


def test_truncated_dataset_is_refused(tmp_path, shared_tfds, engine):
    """Truncated data is one clear message with exit code 2, naming the folder."""
    broken = tmp_path / "tfds" / "mnist" / "3.0.1"
    broken.mkdir(parents=True)
    for path in (shared_tfds / "mnist" / "3.0.1").iterdir():
        content = path.read_bytes()
        (broken / path.name).write_bytes(content[: len(content) // 2] if "train" in path.name else content)
    folder = Folder(tmp_path / "work", SUITE.format(epochs=1).replace('"digits"', '"mnist"'), engine)
    code, _, err = folder.run("--data-dir", str(tmp_path / "tfds"))
    assert code == 2, err
    assert "mnist" in err
    assert "Traceback" not in err


@pytest.mark.night
@pytest.mark.slow
def test_mnist(tmp_path, shared_tfds):
    """The suite runs on MNIST from a prepared TFDS folder and learns it."""
    text = SUITE.format(epochs=1).replace('"digits"', '"mnist"').replace("seeds = 3", "seeds = 1")
    folder = Folder(tmp_path / "work", text)
    code, out, err = folder.run("--data-dir", str(shared_tfds))
    assert code == 0, err
    assert "6 done" in out
    assert all(0.92 < float(row["test_accuracy"]) < 0.98 for row in folder.rows())


def test_two_runners_share_a_suite(undisturbed, tmp_path, engine, digits_runs):
    """Two runners started together train every run once between them, and both end with the whole report."""
    folder = Folder(tmp_path / "work", undisturbed.text, engine, digits_runs)
    processes = [folder.start() for _ in range(2)]
    told = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    elsewhere = [re.findall(r"18/18 runs(?:, (\d+) trained by another runner)?", out + err) for out, err in told]
    assert sum(int(found[-1] or 0) for found in elsewhere if found) == 18
    assert folder.read("summary.csv") == undisturbed.read("summary.csv")


LOOKED = """
name = "study"
datasets = ["digits"]
seeds = 7
[model]
variant = "mlp_small"
[train]
epochs = 1
[factors]
"model.activation" = ["relu", "tanh"]
[[claims]]
statement = "Tanh is as good as ReLU to a ten thousandth"
factor = "model.activation"
better = "tanh"
than = "relu"
margin = 0.0001
kind = "equivalence"
"""


def test_looks_go_on_after_a_kill(tmp_path, engine, digits_runs):
    """Seeds are added at the looks that were declared; killed in the second, the report is that of an unkilled run."""
    looks = ("--until-resolved", "--max-seeds", "14")
    whole = Folder(tmp_path / "whole", LOOKED, engine, digits_runs)
    code, out, err = whole.run(*looks)
    assert code == 0, err
    assert "28 done" in out
    assert "look 2 of 2, 14 seeds" in out
    killed = Folder(tmp_path / "killed", LOOKED, engine, digits_runs)
    process = killed.start(*looks)
    killed.wait_for_runs(process, 15)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 15 <= killed.stored() <= 28
    code, out, err = killed.run(*looks)
    assert code == 0, err
    assert "look 1 of 2, 7 seeds" in out
    assert killed.read("claims.json") == whole.read("claims.json")
    assert killed.rows("seconds", "finished_at", "attempts") == whole.rows("seconds", "finished_at", "attempts")
    made = json.loads(whole.read("claims.json"))["looks_made"]
    assert [each["seeds"] for each in made] == [7, 14]
    assert made[0]["judgements"][0]["verdict"]["word"] == "inconclusive"
