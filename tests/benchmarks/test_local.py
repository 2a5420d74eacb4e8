"""The executor in this process: every run gets a result, whatever happens to others."""

import pytest
from executing import train_runs

from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.plan.stacks import check_runs
from benchmarks.store import Store
from benchmarks.suite.reading import parse_suite
from benchmarks.training.program import Program
from benchmarks.training.trainer import Trainer
from zoo.settings import SettingError

SUITE = """
name = "tiny"
datasets = ["digits"]
seeds = 2
model = { variant = "mlp_small", width = 8 }
train = { epochs = 1 }
[factors]
"model.activation" = ["relu", "tanh", "elu"]
"model.initializer" = ["he_normal", "lecun_normal"]
"""


@pytest.fixture
def runs():
    suite = parse_suite(SUITE, "tiny.toml")
    return expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})


def is_tanh(settings):
    return settings.model.activation == "tanh"


def test_every_run_gets_one_result(runs, digits):
    """Each run comes out once, done, and who watches hears of every epoch of every stack."""
    epochs = []
    results = list(train_runs(runs, {"digits": digits}, lambda *told: epochs.append(told)))
    assert sorted(run.key for run, _ in results) == sorted(run.key for run in runs)
    assert {result.status for _, result in results} == {"done"}
    assert sum(num_runs for num_runs, _ in epochs) == len(runs)
    assert {share for _, share in epochs} == {1.0}


def test_programs_share_one_trace(runs, digits, monkeypatch):
    """Runs of one program are trained by one program: three activations make three, not twelve."""
    made = []
    start = Program.__init__

    def counted(self, *arguments):
        made.append(self)
        start(self, *arguments)

    monkeypatch.setattr(Program, "__init__", counted)
    list(train_runs(runs, {"digits": digits}))
    assert len(made) == 3
    for program in made:
        assert program._train_steps.experimental_get_tracing_count() == 1
        assert program._outputs.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("place", ["building", "training"])
def test_run_that_raises_is_failed_and_the_others_go_on(place, runs, digits, monkeypatch):
    """An exception fails the runs it happens in, with message and traceback; all others are done."""

    def breaking(original, settings_in):
        def call(self, *arguments):
            if is_tanh(settings_in(arguments)):
                raise RuntimeError("out of luck\nand more lines")
            return original(self, *arguments)

        return call

    if place == "building":
        monkeypatch.setattr(Program, "__init__", breaking(Program.__init__, lambda given: given[0]))
    else:
        monkeypatch.setattr(
            Trainer, "train_stack", breaking(Trainer.train_stack, lambda given: next(iter(given[0].values()))[0])
        )
    for run, result in train_runs(runs, {"digits": digits}):
        if is_tanh(run.cell.settings):
            assert result.status == "failed"
            assert result.message == "RuntimeError: out of luck"
            assert "and more lines" in result.traceback
            assert "Traceback" in result.traceback
        else:
            assert result.status == "done"


def test_failed_run_is_replaced_by_the_next_attempt(runs, digits, tmp_path, monkeypatch):
    """A failed run in the store gives way to its next attempt, which is counted."""
    store = Store.create_or_open(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Program, "__init__", lambda *_: 1 / 0)
        for run, result in train_runs(runs[:1], {"digits": digits}):
            store.record(run, result, {})
    assert store.runs([runs[0].key])[runs[0].key].status == "failed"
    for run, result in train_runs(runs[:1], {"digits": digits}):
        store.record(run, result, {})
    again = store.runs([runs[0].key])[runs[0].key]
    assert (again.status, again.attempts, again.message) == ("done", 2, None)


def test_runs_that_do_not_fit_are_refused(runs, digits):
    """Before training, settings that do not fit the data are refused with dataset and setting."""
    check_runs(runs, {"digits": digits})
    text = SUITE.replace("epochs = 1", "epochs = 1, batch_size = 1300")
    suite = parse_suite(text, "tiny.toml")
    too_large = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    with pytest.raises(SettingError, match=r"train\.batch_size: a batch larger than the training part of digits"):
        check_runs(too_large, {"digits": digits})


def test_every_run_is_checked_for_its_task(diabetes):
    """A monitored value that a regression does not have is refused also where it is the second level."""
    text = SUITE.replace("digits", "diabetes").replace("epochs = 1", 'epochs = 1, checkpoint = "best_val"')
    text = text.replace(
        '"model.activation" = ["relu", "tanh", "elu"]', '"train.monitor" = ["val_loss", "val_accuracy"]'
    )
    suite = parse_suite(text, "tiny.toml")
    with pytest.raises(SettingError, match=r"train\.monitor: diabetes has numbers to predict"):
        check_runs(expand_runs(expand_cells(suite), suite.seed_list, {"diabetes": "1.0.0"}), {"diabetes": diabetes})
