"""Checkpoints: runs that are killed and taken up again end bit for bit as if nothing had happened."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from executing import train_runs
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.suite.reading import parse_suite
from benchmarks.training.checkpoints import Checkpoint, CheckpointFile, Checkpoints, Position
from benchmarks.training.inputs import DatasetOnDevice
from benchmarks.training.program import Program
from benchmarks.training.trainer import Trainer

HELPERS = Path(__file__).parents[1] / "helpers"

# Of 12 steps an epoch: with 3 or 5 at a call there are looks at the clock inside.
DENSE = """
name = "dense"
datasets = ["digits"]
seeds = 5
[model]
variant = "mlp_small"
width = 16
normalization = "batch"
dropout = 0.2
input_dropout = 0.1
[train]
epochs = 7
batch_size = 100
optimizer = "nadam"
learning_rate = 0.1
weight_average = 0.5
checkpoint = "best_val"
early_stopping_patience = 1
schedule = "reduce_on_plateau"
plateau_patience = 1
label_smoothing = 0.1
[augment]
flip = true
crop_padding = 1
mixup = 0.2
[factors]
"train.weight_decay" = [0.0, 0.3]
"""

CONVOLUTIONAL = """
name = "convolutional"
datasets = ["digits"]
seeds = 1
[model]
variant = "resnet8"
width = 2
dropout = 0.1
stochastic_depth = 0.2
[train]
steps = 20
batch_size = 100
schedule = "cosine"
weight_average = 0.8
checkpoint = "best_val"
[augment]
gaussian_noise = 0.1
cutout = 2
[factors]
"train.learning_rate" = [0.01, 0.03]
"""

MUON = """
name = "muon"
datasets = ["digits"]
seeds = 1
model = { variant = "mlp_small", dropout = 0.1 }
train = { epochs = 3, batch_size = 100, optimizer = "muon", weight_decay = 0.1 }
[factors]
"train.learning_rate" = [0.01, 0.03]
"""

# The child that is killed: it trains with few steps at a call and writes a checkpoint after each call.
CHILD = """
import json, sys
from pathlib import Path

import numpy as np
from executing import train_runs

from benchmarks.data.catalog import find_dataset
from benchmarks.data.loading import load
from benchmarks.data.preparing import prepare
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.training.checkpoints import Checkpoints
from benchmarks.suite.reading import parse_suite
from benchmarks.training import trainer
from benchmarks.training.checkpoints import CheckpointFile

folder, data, writes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
trainer.STEPS_A_CALL = 3
suite = parse_suite(sys.stdin.read(), "suite")
reference = find_dataset("digits", data / "none", data)
prepare(reference)
runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
write, count = CheckpointFile.write, 0


def told(self, checkpoint):
    # Whoever kills does so once a number of checkpoints is there; the process is then already at what follows.
    global count
    write(self, checkpoint)
    count += 1
    if count == writes:
        print("written", flush=True)


CheckpointFile.write = told
for run, result in train_runs(runs, {"digits": load(reference)}, checkpoints=Checkpoints(folder, 0.0)):
    print(json.dumps([run.key, result.status]), flush=True)
"""


def runs_of_suite(text):
    suite = parse_suite(text, "suite")
    return expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})


def results_of(text, digits, **arguments):
    """Key of the run -> everything that is told of it but the seconds."""
    return {
        run.key: (
            result.status,
            result.metrics,
            result.history,
            None if result.predictions is None else result.predictions.tobytes(),
        )
        for run, result in train_runs(runs_of_suite(text), {"digits": digits}, **arguments)
    }


@pytest.fixture(scope="module")
def undisturbed(digits):
    """Give a function that trains a suite once without a disturbance."""
    made = {}

    def train(text):
        if text not in made:
            made[text] = results_of(text, digits)
            assert {status for status, *_ in made[text].values()} == {"done"}
        return made[text]

    return train


class Killed(BaseException):
    """What stands for a kill within this process: nothing of the project catches it."""


def killing(monkeypatch, after_writes):
    """Let the training be killed right after it has written so many checkpoints; the list of their positions."""
    written, write = [], CheckpointFile.write

    def counted(self, checkpoint):
        write(self, checkpoint)
        written.append(checkpoint.position)
        if len(written) == after_writes:
            raise Killed

    monkeypatch.setattr(CheckpointFile, "write", counted)
    return written


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(DENSE, id="dense"),
        pytest.param(CONVOLUTIONAL, id="convolutional", marks=pytest.mark.night),
        pytest.param(MUON, id="muon"),
    ],
)
def test_killed_several_times(text, digits, undisturbed, tmp_path, monkeypatch):
    """Killed after some checkpoints and begun again, over and over, runs end bit for bit as undisturbed ones."""
    expected = undisturbed(text)
    monkeypatch.setattr("benchmarks.training.trainer.STEPS_A_CALL", 5)
    checkpoints, positions = Checkpoints(tmp_path, 0.0), []
    # Every start makes the program anew, which takes the time here: two kills, in the middle of epochs and between.
    for after_writes in (1, 3):
        with monkeypatch.context() as patch:
            written = killing(patch, after_writes)
            with pytest.raises(Killed):
                list(train_runs(runs_of_suite(text), {"digits": digits}, checkpoints=checkpoints))
        positions += written
    assert len(positions) == 4
    assert len(set(positions)) == 4, "every start is to have gone on where the last one was killed"
    assert {bool(position.steps) for position in positions} == {True, False}
    assert results_of(text, digits, checkpoints=checkpoints) == expected
    assert list(tmp_path.iterdir()) == []


def test_what_is_killed_is_worth_testing(undisturbed):
    """In the dense suite some runs are stopped early and others not, and the best epoch is not always the last."""
    histories = [history["val_loss"] for _, _, history, _ in undisturbed(DENSE).values()]
    assert len({len(history) for history in histories}) > 1
    assert any(min(history) < history[-1] for history in histories)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "kills"),
    [
        pytest.param(DENSE, (2,), id="dense"),
        pytest.param(DENSE, (1, 1, 2), id="dense, three times", marks=pytest.mark.night),
        pytest.param(CONVOLUTIONAL, (1, 1, 2), id="convolutional", marks=pytest.mark.night),
    ],
)
def test_killed_for_real(text, kills, digits, undisturbed, tmp_path, monkeypatch):
    """A process that is killed with SIGKILL at arbitrary moments leaves what another goes on from to the same end."""
    folder, data = tmp_path / "checkpoints", tmp_path / "data"
    script = tmp_path / "child.py"
    script.write_text(CHILD, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(HELPERS), prepend=os.pathsep)
    generator = np.random.default_rng(5)
    for writes in kills:
        command = [sys.executable, str(script), str(folder), str(data), str(writes)]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        child.stdin.write(text)
        child.stdin.close()
        line = child.stdout.readline()
        # A little later, within a step or within the next write.
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(generator.uniform(0, 0.02))
        child.kill()
        child.stdout.read()
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
        assert line == "written\n", "nothing is to have been finished before the kill"
        assert len(list(folder.glob("*.checkpoint"))) == 1
    taken_up = []
    read = CheckpointFile.read

    def noted(self):
        found = read(self)
        taken_up.append(found.position if found else None)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointFile, "read", noted)
        results = results_of(text, digits, checkpoints=Checkpoints(folder, 1e9))
    assert taken_up[0] is not None, "the training is to have gone on from the checkpoint"
    assert results == undisturbed(text)
    assert not list(folder.glob("*.checkpoint"))


def test_seconds_go_on(digits, tmp_path, monkeypatch):
    """The seconds of a run that was taken up again hold those before it was killed."""
    with monkeypatch.context() as patch:
        killing(patch, after_writes=1)
        with pytest.raises(Killed):
            list(train_runs(runs_of_suite(MUON), {"digits": digits}, checkpoints=Checkpoints(tmp_path, 0.0)))
    (path,) = tmp_path.iterdir()
    file = CheckpointFile(tmp_path, [], 0.0)
    file.path = path
    found = file.read()
    file.write(Checkpoint(found.position, found.arrays, found.values | {"seconds": 5000.0}))
    seconds = [
        result.seconds
        for _, result in train_runs(runs_of_suite(MUON), {"digits": digits}, checkpoints=Checkpoints(tmp_path, 1e9))
    ]
    assert seconds[0] > 5000 > seconds[1]


def test_checkpoint_is_there_until_all_results_are_taken(digits, tmp_path):
    """The checkpoint of a stack is removed after the last of its results was taken, and no sooner."""
    text = MUON.replace('"muon"', '"adam"', 2).replace("seeds = 1", "seeds = 3").replace("[0.01, 0.03]", "[0.01, 0.02]")
    results = train_runs(runs_of_suite(text), {"digits": digits}, checkpoints=Checkpoints(tmp_path, 0.0))
    there = [len(list(tmp_path.glob("*.checkpoint"))) for _ in results]
    assert there
    assert set(there) == {1}
    assert list(tmp_path.iterdir()) == []


def test_failed_stack_leaves_no_checkpoint(digits, tmp_path, monkeypatch):
    """A stack that fails begins anew next time: its checkpoint may be what made it fail."""
    monkeypatch.setattr(Program, "outputs_on_test_split", lambda _: 1 / 0)
    checkpoints = Checkpoints(tmp_path, 0.0)
    results = [result for _, result in train_runs(runs_of_suite(MUON), {"digits": digits}, checkpoints=checkpoints)]
    assert {result.status for result in results} == {"failed"}
    assert list(tmp_path.iterdir()) == []


def test_no_checkpoint_before_it_is_due(digits, tmp_path, monkeypatch):
    """With an interval that is never over nothing is written, and the results are the same."""
    written = killing(monkeypatch, after_writes=1)
    assert results_of(MUON, digits, checkpoints=Checkpoints(tmp_path, 1e9)) == results_of(MUON, digits)
    assert written == []


def damaged(kind, content):
    """A checkpoint file after an accident."""
    middle = len(content) // 2
    return {
        "empty": b"",
        "truncated": content[:middle],
        "less a byte": content[:-1],
        "another middle": content[:middle]
        + bytes(255 - byte for byte in content[middle : middle + 64])
        + content[middle + 64 :],
        "text": b"not a checkpoint",
        "zeros": bytes(len(content)),
        "another archive": archive(other=np.zeros(3)),
        "one array": one_array(),
        "no position": archive(told=np.array("{}"), losses=np.zeros(3)),
        "no JSON": archive(told=np.array("{"), losses=np.zeros(3)),
    }[kind]


def archive(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def one_array():
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    return content.getvalue()


DAMAGES = (
    "empty",
    "truncated",
    "less a byte",
    "another middle",
    "text",
    "zeros",
    "another archive",
    "one array",
    "no position",
    "no JSON",
)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_checkpoint_is_none(kind, tmp_path):
    """A file that is no whole checkpoint is taken for none."""
    file = CheckpointFile(tmp_path, ["a"], 0.0)
    file.write(EXAMPLE)
    file.path.write_bytes(damaged(kind, file.path.read_bytes()))
    assert file.read() is None


def test_training_starts_over_where_the_checkpoint_is_damaged(digits, undisturbed, tmp_path, monkeypatch):
    """With a truncated checkpoint the training begins anew and ends the same, and the file is removed."""
    checkpoints = Checkpoints(tmp_path, 0.0)
    with monkeypatch.context() as patch:
        killing(patch, after_writes=2)
        with pytest.raises(Killed):
            list(train_runs(runs_of_suite(MUON), {"digits": digits}, checkpoints=checkpoints))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1000])
    assert results_of(MUON, digits, checkpoints=checkpoints) == undisturbed(MUON)
    assert list(tmp_path.iterdir()) == []


EXAMPLE = Checkpoint(
    Position(3, 17),
    {
        "weights": np.random.default_rng(1).normal(size=(5, 40)).astype(np.float32),
        "seeds": np.array([[1, 2**62]], np.int64),
        "alive": np.array([True, False]),
        "nothing": np.zeros((0, 5), np.float32),
        "losses": np.array([[np.nan, np.inf, -0.0, 1e-45]], np.float32),
    },
    {
        "seconds": 1.25,
        "runs": {"0": {"best": float("inf"), "history": {"val_loss": [0.1, 1e-300]}, "divergence": None}},
    },
)


def test_what_is_written_is_read(tmp_path):
    """Position, arrays and values come back to the last bit, whatever is in them."""
    file = CheckpointFile(tmp_path / "deep" / "folder", ["a", "b"], 0.0)
    assert file.read() is None
    file.write(EXAMPLE)
    found = CheckpointFile(tmp_path / "deep" / "folder", ["a", "b"], 0.0).read()
    assert found.position == EXAMPLE.position
    assert found.values == EXAMPLE.values
    assert list(found.arrays) == list(EXAMPLE.arrays)
    for name, array in EXAMPLE.arrays.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


@pytest.fixture(scope="module")
def one_file(tmp_path_factory):
    """A checkpoint file and its content."""
    file = CheckpointFile(tmp_path_factory.mktemp("one"), ["a"], 0.0)
    file.write(EXAMPLE)
    return file, file.path.read_bytes()


@given(length=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(one_file, length):
    """Of a file that is cut off anywhere nothing is read."""
    file, content = one_file
    file.path.write_bytes(content[: int(length * len(content))])
    assert file.read() is None


@given(place=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_one_byte_changed_anywhere(one_file, place, mask):
    """Of a file with a changed byte either nothing is read or what was written, and never another state."""
    file, content = one_file
    changed = bytearray(content)
    changed[int(place * len(content))] ^= mask
    file.path.write_bytes(bytes(changed))
    found = file.read()
    if found is None:
        return
    assert (found.position, found.values) == (EXAMPLE.position, EXAMPLE.values)
    assert {name: array.tobytes() for name, array in found.arrays.items()} == {
        name: array.tobytes() for name, array in EXAMPLE.arrays.items()
    }


def test_stacks_have_files_of_their_own(tmp_path):
    """Other runs, or the same in other slots, have another file; the same ones have the same."""
    names = [["0 a", "1 b"], ["0 b", "1 a"], ["0 a"], ["1 a"], ["0 a", "2 b"], ["0 a1 b"]]
    paths = [CheckpointFile(tmp_path, each, 0.0).path for each in names]
    assert len(set(paths)) == len(names)
    assert CheckpointFile(tmp_path, ["0 a", "1 b"], 60.0).path == paths[0]


def test_checkpoints_of_a_run(tmp_path):
    """All files of stacks that have one of these runs are removed, half written ones too, and no others."""
    checkpoints = Checkpoints(tmp_path, 0.0)
    checkpoints.remove_of(["a1"])
    files = [checkpoints.file_of(keys) for keys in ({0: "a1", 3: "b2"}, {1: "a1"}, {0: "a11"}, {0: "b2"}, {2: "c3"})]
    for file in files:
        file.write(EXAMPLE)
    files[3].path.rename(files[3].path.with_suffix(".123.part"))
    assert {key: len(paths) for key, paths in checkpoints.kept().items()} == {"a1": 2, "a11": 1, "b2": 2, "c3": 1}
    checkpoints.remove_of(["a1", "b2", "d4"])
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["0-a11.checkpoint", "2-c3.checkpoint"]


def test_checkpoint_of_another_stack_is_not_taken_up(digits, undisturbed, tmp_path, monkeypatch):
    """A stack that lacks a run which the killed one had begins anew: its other runs end as in the whole stack."""
    checkpoints, runs = Checkpoints(tmp_path, 0.0), runs_of_suite(DENSE)
    with monkeypatch.context() as patch:
        killing(patch, after_writes=3)
        with pytest.raises(Killed):
            list(train_runs(runs, {"digits": digits}, checkpoints=checkpoints))
    read, found = CheckpointFile.read, []

    def noted(self):
        found.append(read(self))
        return found[-1]

    monkeypatch.setattr(CheckpointFile, "read", noted)
    (before,) = tmp_path.iterdir()
    results = train_runs(runs[1:], {"digits": digits}, checkpoints=Checkpoints(tmp_path, 1e9))
    for run, result in results:
        status, metrics, history, predictions = undisturbed(DENSE)[run.key]
        assert (result.status, result.metrics, result.history) == (status, metrics, history)
        assert result.predictions.tobytes() == predictions
    assert found[0] is None
    assert before.name in {path.name for path in tmp_path.iterdir()} or found[1] is not None


def test_a_write_that_is_cut_off_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    """Killed before the new file has taken the place of the old, the old one is there, whole."""
    file = CheckpointFile(tmp_path, ["a"], 0.0)
    file.write(EXAMPLE)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            file.write(Checkpoint(Position(9, 9), EXAMPLE.arrays, EXAMPLE.values))
    assert file.read().position == EXAMPLE.position
    # What a killed process left half written goes with the checkpoint.
    file.path.with_suffix(".123.part").touch()
    CheckpointFile(tmp_path, ["a"], 0.0).remove()
    assert list(tmp_path.iterdir()) == []


def test_interval(tmp_path, monkeypatch):
    """A checkpoint is due when the interval since the last, or since the beginning, is over."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    file = CheckpointFile(tmp_path, ["a"], 60.0)
    due = []
    for now[0] in (100.0, 159.0, 160.0, 200.0):
        due.append(file.is_due())
    file.write(EXAMPLE)
    for now[0] in (201.0, 259.0, 261.0):
        due.append(file.is_due())
    assert due == [False, False, True, True, False, False, True]


@pytest.mark.night
def test_diverged_run_in_a_killed_stack(digits, tmp_path, monkeypatch):
    """A run that diverged before the kill keeps its message, and those beside it end as undisturbed."""
    text = DENSE.replace('"nadam"', '"sgd"').replace(
        '"train.weight_decay" = [0.0, 0.3]', '"train.learning_rate" = [0.01, 1e30]'
    )
    monkeypatch.setattr("benchmarks.training.trainer.STEPS_A_CALL", 3)
    plain = {run.key: result for run, result in train_runs(runs_of_suite(text), {"digits": digits})}
    with monkeypatch.context() as patch:
        killing(patch, after_writes=2)
        with pytest.raises(Killed):
            list(train_runs(runs_of_suite(text), {"digits": digits}, checkpoints=Checkpoints(tmp_path, 0.0)))
    found = train_runs(runs_of_suite(text), {"digits": digits}, checkpoints=Checkpoints(tmp_path, 1e9))
    again = {run.key: result for run, result in found}
    assert {result.status for result in plain.values()} == {"done", "diverged"}
    for key, result in plain.items():
        assert (again[key].status, again[key].message) == (result.status, result.message)
        assert (again[key].metrics, again[key].history) == (result.metrics, result.history)


def test_epochs_are_told_on(digits, tmp_path, monkeypatch):
    """Taken up again, a training tells the shares of the epochs that follow, up to the whole."""
    shares = []
    with monkeypatch.context() as patch:
        killing(patch, after_writes=2)
        with pytest.raises(Killed):
            list(train_runs(runs_of_suite(MUON)[:1], {"digits": digits}, checkpoints=Checkpoints(tmp_path, 0.0)))
    told = Checkpoints(tmp_path, 1e9)
    list(train_runs(runs_of_suite(MUON)[:1], {"digits": digits}, lambda _, share: shares.append(share), told))
    assert shares in ([1.0], [pytest.approx(2 / 3), 1.0])  # by the epoch in which the second write fell


def test_state_holds_all_that_training_changes(digits):
    """A program that is put back into an earlier state does again what it did from there, to the last bit."""
    runs = runs_of_suite(DENSE)
    settings = runs[0].cell.settings
    program = Program(settings, DatasetOnDevice.of(digits))
    trainer = Trainer(program, digits)
    inputs = [trainer.inputs_of(settings, seed) for seed in range(5)]
    program.start(inputs)
    order = np.stack([each.train_indices[: 4 * 100].reshape(4, 100) for each in inputs], axis=1)
    rates = np.ones((2, 5), np.float32)
    program.train(order[:2], rates)
    program.slots.keep_best(np.array([True, True, False, False, False]))
    state = program.slots.state()
    first = program.train(order[2:], rates)
    after = program.slots.state()
    program.start(inputs)
    program.slots.restore(state)
    assert np.array_equal(program.train(order[2:], rates), first)
    again = program.slots.state()
    assert list(again) == list(after)
    assert all(np.array_equal(again[name], after[name]) for name in after)
    assert json.dumps(sorted(after))  # names are text, for a file
