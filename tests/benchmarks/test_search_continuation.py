"""Trainings that end before their schedule do and are continued: bit for bit what an undisturbed training gives."""

from __future__ import annotations

import dataclasses

import pytest
from executing import train_runs

from benchmarks.execution.local import Engine
from benchmarks.plan.stacks import epochs_behind, slot_of, stacks_by_program, training_key
from benchmarks.runs import Cell, Run
from benchmarks.settings.run import settings_from
from benchmarks.settings.training import TrainConfig
from benchmarks.training.checkpoints import Checkpoint, CheckpointFile, Checkpoints, Position, States
from zoo.settings import SettingError

# Everything that has a state: random layers, augmentation, moving averages, momenta, bias correction, schedules.
DENSE = {
    "model.variant": "mlp_small",
    "model.width": 16,
    "model.normalization": "batch",
    "model.dropout": 0.2,
    "train.epochs": 6,
    "train.batch_size": 100,
    "train.optimizer": "nadam",
    "train.learning_rate": 0.02,
    "train.weight_decay": 0.1,
    "train.weight_average": 0.5,
    "train.schedule": "warmup_cosine",
    "augment.flip": True,
    "augment.mixup": 0.2,
}
EARLY_STOPPING = DENSE | {
    "train.learning_rate": 0.1,
    "train.schedule": "reduce_on_plateau",
    "train.plateau_patience": 1,
    "train.checkpoint": "best_val",
    "train.early_stopping_patience": 1,
}
CONVOLUTIONAL = {
    "model.variant": "resnet8",
    "model.width": 2,
    "model.dropout": 0.1,
    "train.epochs": 3,
    "train.batch_size": 200,
    "train.optimizer": "momentum",
    "train.learning_rate": 0.05,
    "train.schedule": "cosine",
    "train.checkpoint": "best_val",
}
MUON = {
    "model.variant": "mlp_small",
    "model.width": 16,
    "train.epochs": 3,
    "train.batch_size": 100,
    "train.optimizer": "muon",
}


def run_of(changes, stop_after=0, seed=0):
    """The run with these settings, ended after so many epochs."""
    settings = settings_from(changes | ({"train.stop_after": stop_after} if stop_after else {}))
    return Run(Cell("digits", {}, settings), seed, "1.0.0")


def outcome(result):
    """Everything that is told of a run but the seconds."""
    predictions = None if result.predictions is None else result.predictions.tobytes()
    return result.status, result.metrics, result.history, predictions


def trained(runs, digits, states=None, epochs=None, **options):
    """Train some runs; what came out by seed, in order. The share done after each epoch is added to `epochs`."""
    told = [] if epochs is None else epochs
    results = train_runs(runs, {"digits": digits}, lambda _, share: told.append(share), states=states, **options)
    return [outcome(result) for _, result in sorted(results, key=lambda pair: pair[0].seed)]


@pytest.fixture(scope="module")
def undisturbed(digits):
    """Give a function that trains runs from their beginning; those of one program, one after another, trace it once."""
    engine = Engine({"digits": digits}.__getitem__)
    return lambda runs, epochs=None: trained(runs, digits, epochs=epochs, engine=engine)


@pytest.mark.parametrize(
    ("changes", "stops", "seeds"),
    [
        pytest.param(DENSE, (1, 4), range(3), id="dense"),
        pytest.param(DENSE, (1, 2, 4), range(3), id="dense, three times", marks=pytest.mark.night),
        pytest.param(EARLY_STOPPING, (2, 4), range(5), id="early stopping", marks=pytest.mark.night),
        pytest.param(CONVOLUTIONAL, (1, 2), range(1), id="convolutional", marks=pytest.mark.night),
        pytest.param(MUON, (1, 2), range(1), id="muon"),
    ],
)
def test_continued_is_as_from_the_beginning(changes, stops, seeds, digits, undisturbed, tmp_path):
    """Rung by rung, a training that is continued gives the bits of one of that length from its beginning."""
    states = States(tmp_path)
    for stop in (*stops, 0):
        runs = [run_of(changes, stop, seed) for seed in seeds]
        shares, shares_from_beginning = [], []
        continued = trained(runs, digits, states, shares)
        assert continued == undisturbed(runs, shares_from_beginning)
        assert {status for status, *_ in continued} == {"done"}
        assert stop == stops[0] or len(shares) < len(shares_from_beginning), "it went on from the state"


def test_part_is_the_beginning_of_the_whole(undisturbed):
    """A run that ends early has the history of the whole training's first epochs: the schedule stays that of all."""
    (part,), (whole,) = undisturbed([run_of(DENSE, 2)]), undisturbed([run_of(DENSE)])
    (short,) = undisturbed([run_of(DENSE | {"train.epochs": 2})])
    assert {name: values[:2] for name, values in whole[2].items()} == part[2]
    assert all(len(values) == 2 for values in part[2].values())
    assert short[2] != part[2]


def test_early_stopping_is_worth_testing(undisturbed):
    """Some of the runs that are continued have stopped early by then, and others go on."""
    runs = [run_of(EARLY_STOPPING, 0, seed) for seed in range(5)]
    histories = [history["val_loss"] for _, _, history, _ in undisturbed(runs)]
    assert min(map(len, histories)) <= 4 < max(map(len, histories))


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_lost_state_costs_time_only(harm, digits, undisturbed, tmp_path):
    """Where the state of one of the runs is gone or damaged, all of its stack is trained from the beginning."""
    runs, states = [run_of(MUON | {"train.optimizer": "adam"}, 1, seed) for seed in range(2)], States(tmp_path)
    trained(runs, digits, states)
    path = sorted(tmp_path.glob("*.state"))[0]
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    longer = [run_of(MUON | {"train.optimizer": "adam"}, 2, seed) for seed in range(2)]
    assert trained(longer, digits, states) == undisturbed(longer)


@pytest.mark.night
def test_killed_while_it_is_continued(digits, undisturbed, tmp_path, monkeypatch):
    """A continued training that is killed goes on from its checkpoint, and not from the state that it began with."""
    states, checkpoints = States(tmp_path / "states"), Checkpoints(tmp_path / "checkpoints", 0.0)
    run, write = run_of(DENSE, 5), CheckpointFile.write
    trained([run_of(DENSE, 2)], digits, states)

    def killed(self, checkpoint):
        write(self, checkpoint)
        if checkpoint.position == Position(4, 0):
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointFile, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        trained([run], digits, states, checkpoints=checkpoints)
    shares = []
    assert trained([run], digits, states, shares, checkpoints=checkpoints) == undisturbed([run])
    assert shares == [4 / 5, 5 / 5]


def test_result_lost_after_the_state_was_kept(digits, tmp_path):
    """Where a process dies between state and result, the result is made from the state without a step."""
    states, shares = States(tmp_path), []
    first = trained([run_of(DENSE, 2)], digits, states)
    assert trained([run_of(DENSE, 2)], digits, states, shares) == first
    assert shares == []


def test_disk_without_room_costs_the_state_only(digits, undisturbed, tmp_path):
    """Where a state cannot be written, the run that has ended is done all the same."""
    (tmp_path / "file").touch()  # in the place of the folder
    run = run_of(MUON | {"train.optimizer": "adam"}, 1)
    assert trained([run], digits, States(tmp_path / "file")) == undisturbed([run])


def test_only_what_ends_early_leaves_a_state(digits, tmp_path):
    """A whole training leaves nothing; one that ends early leaves one state, of its last length."""
    states = States(tmp_path)
    trained([run_of(MUON)], digits, states)
    assert list(tmp_path.iterdir()) == []
    for stop in (1, 2):
        trained([run_of(MUON, stop)], digits, states)
    assert states.kept() == {run_of(MUON).key: [2]}
    states.of(run_of(MUON).key).remove()
    assert list(tmp_path.iterdir()) == []


def test_key_and_slot_of_parts():
    """Parts of a training are runs with keys of their own, one slot, and the whole training's key in common."""
    whole, parts = run_of(DENSE), [run_of(DENSE, stop) for stop in (1, 3)]
    assert len({run.key for run in (whole, *parts)}) == 3
    assert {training_key(run) for run in (whole, *parts)} == {whole.key}
    seeds = [[dataclasses.replace(run, seed=seed) for run in (whole, *parts)] for seed in range(20)]
    assert all(len({slot_of(run, 5) for run in same}) == 1 for same in seeds)


def test_stacks_begin_and_end_together(digits):
    """Runs of different lengths, or that are taken up at different epochs, are in different stacks of one program."""
    runs = [run_of(DENSE, stop, seed) for stop in (0, 2) for seed in range(8)]
    made = list(stacks_by_program(runs, {"digits": digits}, lambda run: run.seed % 2))
    kinds = [{(run.seed % 2, run.cell.settings.train.stop_after) for run in stack.values()} for stack in made]
    assert all(len(kind) == 1 for kind in kinds)
    assert sorted(run.key for stack in made for run in stack.values()) == sorted(run.key for run in runs)


def test_epochs_behind():
    """A run is taken up at the longest state that is no longer than itself; a training that is given in steps never."""
    kept = {run_of(DENSE).key: [2, 4]}
    assert [epochs_behind(run_of(DENSE, stop), kept) for stop in (1, 2, 3, 4, 5, 0)] == [0, 2, 2, 4, 4, 4]
    assert epochs_behind(run_of(DENSE, 3, seed=1), kept) == 0
    steps = {**DENSE, "train.epochs": 0, "train.steps": 30}
    assert epochs_behind(run_of(steps), {run_of(steps).key: [1]}) == 0


def test_state_files(tmp_path):
    """A newer state replaces an older one, and what is no state is passed over."""
    file = States(tmp_path).of("a" * 32)
    state = Checkpoint(Position(3, 0), {}, {"run": {}})
    assert (file.newest(9), file.read(2)) == (0, None)
    file.write(2, state)
    file.write(4, state)
    (tmp_path / f"{'a' * 32}-7.part").touch()
    (tmp_path / "readme.state").touch()
    assert (file.newest(9), file.newest(3), file.read(4)) == (4, 0, state)
    assert States(tmp_path).kept() == {"a" * 32: [4]}


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        ({"epochs": 5, "stop_after": 5}, "less than epochs = 5"),
        ({"steps": 5, "stop_after": 1}, "only with epochs"),
        ({"images": 500, "stop_after": 1}, "only with epochs"),
    ],
)
def test_ends_without_meaning_are_refused(settings, allowed):
    """A training ends before its schedule does, or has no such end: one thing has one key."""
    with pytest.raises(SettingError) as caught:
        TrainConfig(**settings)
    (problem,) = caught.value.problems
    assert (problem.path, problem.allowed) == ("stop_after", allowed)
