"""The `ablate` command as a person calls it, right and wrong."""

import csv
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import matplotlib.image as mpimg
import numpy as np
import pytest
import typer

import zoo
from benchmarks import cli
from benchmarks.plan.expansion import expand_cells, expand_runs
from benchmarks.results import RunResult
from benchmarks.store import DatasetFacts, Store
from benchmarks.suite.reading import parse_suite
from benchmarks.training.stopwatch import PHASES

SUITE = """
name = "tiny"
question = "Does anything matter?"
datasets = ["digits"]
seeds = 2
[model]
variant = "mlp_small"
[train]
epochs = 1
[factors]
"model.activation" = ["relu", "tanh"]
"""


@pytest.fixture
def write(tmp_path):
    """Writes a suite and gives its path."""

    def to_file(text, name="tiny.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return to_file


COMMANDS = ["run", "plan", "report", "status", "runs", "export", "models", "datasets", "schema", "new"]
COMMANDS += ["profile", "speed", "logs", "watch", "merge", "tune", "compare", "index", "track", "diagnose"]

SHIPPED_SUITES = Path(cli.__file__).parents[1] / "suite" / "suites"
SHIPPED = {"quickstart", "mnist_mlp", "random_vs_grid", "tuned_digits", "tuned_mnist", "vanishing_gradients"}

DIGITS = DatasetFacts("1.0.0", 1442, 355, 10, (8, 8, 1), "the official test split", "classification")

NONE = dict.fromkeys(["done", "diverged", "failed", "out_of_memory", "timed_out", "missing"], 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command, ablate):
    """Every command explains itself."""
    code, out, _ = ablate(command, "--help")
    assert code == 0
    assert f"Usage: ablate {command} " in out.splitlines()[0]


def test_version(ablate):
    """The command and the zoo tell the version that is installed."""
    assert ablate("--version") == (0, f"ablate {version('ablation-zoo')}\n", "")
    assert zoo.__version__ == version("ablation-zoo")


def test_help_lists_all_commands(ablate):
    """The command's own help lists all commands, and this test knows them all."""
    _, out, _ = ablate("--help")
    listed = [line.split()[0] for line in out.partition("Commands:")[2].splitlines() if line.strip()]
    assert sorted(set(listed) & set(COMMANDS)) == sorted(COMMANDS)
    assert {info.callback.__name__ for info in cli.app.registered_commands} == set(COMMANDS)


def test_tune_trains_as_run_does():
    """Whatever `run` says of how runs are trained, `tune` says too, in the same words."""
    options = {
        info.callback.__name__: {each.name: each for each in typer.main.get_command_from_info(
            info, pretty_exceptions_short=True, rich_markup_mode=None).params}
        for info in cli.app.registered_commands
        if info.callback.__name__ in ("run", "tune")
    }  # fmt: skip
    of_reports = {"seeds", "until_resolved", "max_seeds", "keep_weights", "profile", "shard", "track"}
    assert set(options["run"]) - of_reports == set(options["tune"]) - {"output"}
    for name in set(options["run"]) & set(options["tune"]):
        run, tune = options["run"][name], options["tune"][name]
        assert [getattr(run, each, None) for each in ("opts", "default", "help", "metavar")] == [
            getattr(tune, each, None) for each in ("opts", "default", "help", "metavar")
        ]


def test_tune_refuses_before_it_trains(ablate, write):
    """Options that do not go together, and a suite whose levels differ in their search, which none without can say."""
    search = (
        '[search]\nstrategy = "random"\ntrials = 2\nobjective = "val_loss"\n'
        'space = { "train.learning_rate" = [0.1, 0.2] }\n'
    )
    levels = '[factors.way]\na = { "search.strategy" = "random" }\nb = { "search.strategy" = "bayesian" }\n'
    path = write(SUITE + search)
    for arguments, told in (
        (["--gpus", "1"], "--executor ray beside it"),
        (["--executor", "rey"], "nearest: ray"),
        (["--retry", "failde"], "nearest: failed"),
        (["--output", "nosuch/tuned.toml"], "given:   nosuch/tuned.toml"),
    ):
        code, _, err = ablate("tune", path, *arguments)
        assert (code, told in err) == (2, True)
    code, _, err = ablate("tune", write(SUITE + search + levels, "ways.toml"))
    assert (code, "factors.way: its levels differ in how they are tuned" in err) == (2, True)
    assert not path.parent.joinpath("runs").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plan", "quickstart"],
        ["run", "nosuch.toml"],
        ["models"],
        ["models", "resnet20", "-v"],
        ["schema"],
        ["datasets"],
    ],
)
def test_light_commands_import_nothing_heavy(arguments, tmp_path):
    """What trains nothing needs none of TensorFlow, Keras, SciPy, pandas and matplotlib, nor does a wrong call."""
    code = (
        "import sys; from benchmarks import cli; sys.argv = ['ablate', *sys.argv[1:]]\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert (end.code or 0) == 2 * ('nosuch.toml' in sys.argv), end.code\n"
        "heavy = ('tensorflow', 'keras', 'scipy', 'pandas', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["--runs-dir", "~/mine"], ["--runs-dir=~/mine"]])
def test_home_folder_that_the_shell_leaves(arguments, tmp_path, monkeypatch, capsys):
    """A ~ that a shell leaves as it is, behind = or between quotes, is the home folder all the same."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["ablate", "status", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert f"{tmp_path}/mine: no store here" in capsys.readouterr().err


BAD_SUITES = {
    "not TOML": ("name = ", "not a TOML file", None),
    "setting": (SUITE.replace("model.activation", "model.activaton"), 'factors."model.activaton"', "model.activation"),
    "level": (SUITE.replace('"tanh"', '"tahn"'), 'factors."model.activation"[1]', "tanh"),
    "dataset": (SUITE.replace('"digits"', '"digts"'), "datasets", "digits"),
    "model": (SUITE.replace('"mlp_small"', '"mlp_smal"'), "model.variant", "mlp_small"),
    "key": (SUITE.replace("question", "qestion"), "qestion", "question"),
    "train key": (SUITE.replace("epochs", "epoch"), "train.epoch", "train.epochs"),
    "wrong type": (SUITE.replace("epochs = 1", 'epochs = "1"'), "train.epochs", None),
    "zero epochs": (SUITE.replace("epochs = 1", "epochs = 0"), "train.epochs", None),
    "empty factor": (SUITE.replace('["relu", "tanh"]', "[]"), 'factors."model.activation"', None),
    "baseline": (SUITE + '[baseline]\n"model.activation" = "elu"\n', 'baseline."model.activation"', "relu"),
    "duplicate level": (SUITE.replace('"tanh"', '"relu"'), 'factors."model.activation"[1]', None),
    "duplicate cell": (SUITE + '[[include]]\n"model.activation" = "tanh"\n', "duplicate cell", None),
    "one setting in two factors": (
        SUITE + '[factors.both]\na = { "model.activation" = "elu" }\nb = { "train.epochs" = 2 }\n',
        "factors.both: two factors change model.activation",
        None,
    ),
    "dot outside quotes": (
        SUITE.replace('"model.activation"', "model.activation"),
        "factors.model.activation: a setting's name needs quotes here",
        None,
    ),
    "dot outside quotes in a bundle": (
        SUITE + '[factors.recipe]\na = { train.optimizer = "sgd" }\nb = { "train.optimizer" = "adam" }\n',
        "factors.recipe.a.train: a setting's name needs quotes here",
        None,
    ),
    "level of another type": (SUITE + '[factors."model.depth"]\na = 1\n', 'factors."model.depth".a', None),
    "too many runs": (
        SUITE.replace("seeds = 2", "seeds = 100_000").replace('"tanh"]', '"tanh"]\n"model.width" = [1, 2, 3, 4, 5, 6]'),
        "too many runs",
        None,
    ),
    "name that leaves the folder": (SUITE.replace('"tiny"', '"../tiny"'), "name", None),
}


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize("case", BAD_SUITES)
def test_bad_suite(case, command, ablate, write):
    """A suite that cannot be used ends with exit code 2 and one message: file, key path, nearest match."""
    text, place, closest = BAD_SUITES[case]
    path = write(text)
    code, out, err = ablate(command, path)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert place in err
    assert str(path) in err
    if closest:
        assert f"nearest: {closest}" in err
    assert not Path("runs").exists()


MATRIX = SUITE.replace('"tanh"]', '"tanh"]\n"model.width" = [1, 2, 3, 4, 5, 6]')
CLAIMED = MATRIX + (
    '[[claims]]\nstatement = "Tanh wins"\nfactor = "model.activation"\nbetter = "tanh"\nthan = "relu"\nmargin = 0\n'
)


@pytest.mark.parametrize(
    "arguments", [["plan", "--seeds", "100000"], ["run", "--until-resolved", "--max-seeds", "100000"]]
)
def test_too_many_seeds_on_the_command_line(arguments, ablate, write, monkeypatch):
    """The most runs there can be are counted with the seeds that are asked for: 12 cells and 100,000 of them."""
    monkeypatch.setattr("benchmarks.execution.running.begun", lambda *_, **__: pytest.fail("it trained"))
    command, *options = arguments
    code, _, err = ablate(command, write(CLAIMED), *options)
    assert code == 2
    assert "tiny.toml:\nfactors: too many runs\n  given:   1,200,000\n" in err


def test_fewer_seeds_than_too_many(ablate, write):
    """A suite that comes to too many runs can be tried with few seeds, in a plan and in what is stored of it."""
    path = write(MATRIX.replace("seeds = 2", "seeds = 100_000"))
    assert json.loads(ablate("plan", path, "--seeds", "2", "--json")[1])["runs"]["total"] == 24
    Store.create_or_open(path.parent / "runs").register("tiny", path.read_text(), [0, 1], {"digits": DIGITS})
    assert ablate("runs", "tiny")[0] == 0


def test_missing_suite_file(ablate, write):
    """A path that is not there is named, with the file beside it that is nearest."""
    write(SUITE)
    code, _, err = ablate("plan", "tny.toml")
    assert code == 2
    assert "tny.toml: no such file" in err
    assert "nearest: tiny.toml" in err


def test_misspelt_shipped_suite(ablate):
    """A bare name that is neither file nor shipped suite is met with the shipped suite that is nearest."""
    code, _, err = ablate("plan", "quikstart")
    assert code == 2
    assert "nearest: quickstart" in err
    assert "mnist_mlp" in err


def test_suite_that_is_a_folder(ablate, tmp_path):
    """A folder in place of a suite is one clear message."""
    code, _, err = ablate("plan", tmp_path)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["run"], ["plan", "quickstart", "--seeds", "0"], ["models", "resnet200"]]
)
def test_bad_call(arguments, ablate):
    """A call that cannot be carried out ends with exit code 2 and no traceback."""
    code, _, err = ablate(*arguments)
    assert code == 2
    assert "Traceback" not in err


def test_runs_folder_that_cannot_be_written(ablate, write, tmp_path):
    """A runs folder below a plain file cannot be made: exit code 2, before anything is trained."""
    (tmp_path / "file").write_text("no folder")
    code, _, err = ablate("run", write(SUITE), "--runs-dir", tmp_path / "file" / "runs")
    assert code == 2
    assert "cannot be written" in err


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0 but no more"])
def test_foreign_store(content, ablate, write, tmp_path):
    """A file that is no store is refused by every command that would read it, and left as it is."""
    store = tmp_path / "runs" / "store.sqlite"
    store.parent.mkdir()
    store.write_bytes(content)
    for command in (["run", write(SUITE)], ["plan", write(SUITE)], ["report", write(SUITE)], ["status"]):
        code, _, err = ablate(*command)
        assert code == 2, command
        assert str(store.relative_to(tmp_path)) in err
        assert store.read_bytes() == content


def test_closed_pipe(tmp_path):
    """A reader that goes away early, such as `head`, is no error."""
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "plan", "quickstart", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_terminal_without_unicode(tmp_path, write):
    """What a terminal cannot show is shown as its escape, without an error."""
    path = write(SUITE.replace("matter?", "matter\N{EM DASH}caf\N{LATIN SMALL LETTER E WITH ACUTE}?"))
    command = [sys.executable, "-c", "from benchmarks.cli import main; main()", "plan", str(path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env=environment, check=True)
    assert rb"matter\u2014caf\xe9?" in done.stdout


def test_factor_named_like_markup(ablate, write):
    """A name that looks like markup of the terminal library is a name."""
    bundles = '[factors."[/x]"]\na = { "train.epochs" = 1 }\nb = { "train.epochs" = 2 }\n'
    code, out, _ = ablate("plan", write(SUITE + bundles))
    assert code == 0
    assert "[/x]" in out


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a b", "\N{SNOWMAN}"])
def test_odd_runs_folder(name, tmp_path):
    """A runs folder may have any name that the file system takes, and all files stay inside it."""
    folder = tmp_path / "here" / name
    Store.create_or_open(folder).close()
    Store.open(folder).close()
    assert [path.name for path in (tmp_path / "here").iterdir()] == [name]
    assert [path.name for path in folder.iterdir()] == ["store.sqlite"]


def test_report_folder_does_not_hide_a_shipped_suite(ablate, tmp_path):
    """A folder named like a shipped suite, such as its own report's, does not stand in for it."""
    (tmp_path / "quickstart").mkdir()
    assert ablate("plan", "quickstart", "--runs-dir", ".")[0] == 0


def test_changed_suite_is_not_reported_as_it_was(ablate, write, tmp_path):
    """A suite that was edited since it was run is not paired with what was run before."""
    Store.create_or_open(tmp_path / "runs").register("tiny", SUITE, [0, 1], {"digits": DIGITS})
    assert ablate("report", write(SUITE))[0] == 0
    code, _, err = ablate("report", write(SUITE.replace('["digits"]', '["digits", "mnist"]')))
    assert code == 2
    assert "changed since it was last run" in err


def test_report_of_a_suite_that_never_ran(ablate, write):
    """Without a run there is nothing to report, and the message says what to do."""
    code, _, err = ablate("report", write(SUITE))
    assert code == 2
    assert "ablate run" in err


def test_plan_as_json(ablate, write):
    """The plan as JSON has all cells and the counts."""
    code, out, _ = ablate("plan", write(SUITE), "--seeds", "3", "--json")
    plan = json.loads(out)
    assert code == 0
    assert plan["runs"] == NONE | {"total": 6, "missing": 6}
    assert [cell["levels"] for cell in plan["cells"]] == [{"model.activation": "relu"}, {"model.activation": "tanh"}]
    assert plan["datasets"] == {"digits": "1.0.0"}


def test_models_as_json(ablate):
    """The models as JSON have exact sizes, the published ones, and all settings."""
    _, out, _ = ablate("models", "*20", "--json")
    found = {model["name"]: model for model in json.loads(out)}
    assert set(found) == {"plain20", "resnet20", "preact_resnet20", "se_resnet20"}
    resnet20 = found["resnet20"]
    assert (resnet20["parameters"], resnet20["macs"]) == (269_722, 40_551_040)
    assert resnet20["published"] == "0.27 M parameters"
    assert (resnet20["input_shape"], resnet20["num_classes"], resnet20["family"]) == ([32, 32, 3], 10, "resnet")
    assert resnet20["settings"]["depth"] == 20


@pytest.mark.parametrize("columns", ["80", "130"])
def test_models_on_one_line_each(columns, ablate, monkeypatch):
    """The list fits the terminal, with one line a model and sizes as papers print them."""
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = ablate("models")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert set(zoo.VARIANTS) <= set(lines)
    assert len(out.splitlines()) < len(zoo.VARIANTS) + 6
    assert max(map(len, out.splitlines())) <= int(columns)
    assert lines["resnet20"].split()[1:5] == ["0.27", "M", "40.6", "M"]
    assert lines["linear"].split()[1:5] == ["7.85", "k", "7.84", "k"]
    assert ("section 4.2" in lines["resnet20"]) == (columns == "130")


def test_models_in_a_pipe_are_not_cut_off(ablate):
    """A pipe has no width: the longest source is there as a whole."""
    _, out, _ = ablate("models")
    assert max((variant.source for variant in zoo.VARIANTS.values()), key=len) in out


@pytest.mark.parametrize("columns", ["80", "130"])
def test_models_in_detail(columns, ablate, monkeypatch):
    """In detail, a model shows its exact size, each setting, what is not its family's default, and the choices."""
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = ablate("models", "resnet50", "-v")
    lines = [" ".join(line.replace("=", " ").split()) for line in out.splitlines()]
    text = " ".join(lines)
    assert max(map(len, out.splitlines())) <= int(columns)
    assert "parameters 25,557,032" in lines
    assert "input 224x224x3, 1000 classes" in lines
    assert "published 3.8 G multiply-adds" in lines
    assert any(line.startswith("depth 50 *") for line in lines)
    assert any(line.startswith("activation relu") and "*" not in line for line in lines)
    assert any(line.startswith("softsign x / (1 + |x|)") for line in lines)
    assert "not with normalization none" in text.lower()
    for name in zoo.ResNetConfig.model_fields:
        assert any(line.split()[:1] == [name] for line in lines), name


def test_models_in_detail_share_their_choices(ablate):
    """Several models of several families show each table of choices once."""
    _, out, _ = ablate("models", "*_*", "-v")
    assert out.count("1.7159 tanh(2 x / 3)") == 1
    assert [line for line in out.splitlines() if line.startswith("Kind of skip connections")] == [
        "Kind of skip connections (mlp)",
        "Kind of skip connections (resnet)",
    ]


PROFILED = ["mlp_small", "--set", "activation=gelu", "--batch-sizes", "4,2", "--repeats", "3", "--input-shape", "5"]


def test_profile_as_json(ablate):
    """The profile as JSON has one row a batch size, in the order asked for, and the machine."""
    _, out, _ = ablate("profile", *PROFILED, "--json")
    profile = json.loads(out)
    assert [row["batch_size"] for row in profile["profiles"]] == [4, 2]
    # 5-64-64-10
    assert {row["parameters"] for row in profile["profiles"]} == {6 * 64 + 65 * 64 + 65 * 10}
    assert {row["macs"] for row in profile["profiles"]} == {5 * 64 + 64 * 64 + 64 * 10}
    assert {row["model.activation"] for row in profile["profiles"]} == {"gelu"}
    assert profile["machine"]["logical_cores"] == os.cpu_count()
    assert profile["repeats"] == 3


def test_profile_as_csv(ablate):
    """The profile as CSV is one flat row a batch size, in which numbers are numbers."""
    _, out, _ = ablate("profile", *PROFILED, "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["batch_size"] for row in rows] == ["4", "2"]
    for row in rows:
        assert float(row["training_images_per_second"]) > 0
        assert float(row["inference_lower_quartile_seconds"]) <= float(row["inference_median_seconds"])
        assert row["machine.system"]


def test_profile_as_a_table(ablate, monkeypatch):
    """The profile as a table fits 80 columns and has training and inference of each batch size."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = ablate("profile", *PROFILED)
    tables = out.partition("settings ")[0]
    assert sum(line.split()[:2] == ["mlp_small", "4"] for line in tables.splitlines()) == 2
    assert max(map(len, tables.splitlines())) <= 80
    assert "activation = gelu" in out
    assert "tensorflow" in out


BAD_PROFILES = {
    "no such model": (["resnt20"], "nearest: resnet20"),
    "batch sizes": (["linear", "--batch-sizes", "1;2"], "given:   1;2"),
    "batch of none": (["linear", "--batch-sizes", "0"], "allowed: whole numbers from 1 to"),
    "batch too large": (["linear", "--batch-sizes", "1,65537"], "allowed: whole numbers from 1 to 65,536"),
    "repeats": (["linear", "--repeats", "0"], "--repeats"),
    "shape": (["resnet20", "--input-shape", "32"], "(height, width, channels)"),
    "shape with a hole": (["resnet20", "--input-shape", "32,,3"], "given:   32,,3"),
    "setting": (["resnet20", "--set", "activaton=gelu"], "nearest: activation"),
    "setting without a value": (["resnet20", "--set", "activation"], "SETTING=VALUE"),
    "value": (["resnet20", "--set", "activation=gleu"], "nearest: gelu"),
    "setting of another family": (["linear", "--set", "stages=3"], "linear:"),
    "format": (["linear", "--format", "jsn"], "nearest: json"),
    "two formats": (["linear", "--json", "--csv"], "csv and json"),
}


@pytest.mark.parametrize("case", BAD_PROFILES)
def test_profile_that_cannot_be_made(case, ablate, monkeypatch):
    """What cannot be measured is told, with what is allowed or nearest, before TensorFlow is imported."""
    monkeypatch.setattr("benchmarks.tensorflow_start.import_tensorflow", lambda: pytest.fail("it went on"))
    arguments, told = BAD_PROFILES[case]
    code, out, err = ablate("profile", *arguments)
    assert code == 2
    assert out == ""
    assert told in err
    assert "Traceback" not in err


EMBEDDED = ("digits", "shapes", "spirals", "wine", "breast_cancer", "diabetes")


def test_datasets_as_json(ablate, shared_tfds):
    """Embedded and prepared datasets are listed with version and origin."""
    _, out, _ = ablate("datasets", "--data-dir", shared_tfds, "--json")
    found = {each["name"]: (each["version"], each["origin"]) for each in json.loads(out)}
    assert found == {
        **dict.fromkeys(EMBEDDED, ("1.0.0", "embedded")),
        "mnist": ("3.0.1", "prepared"),
        "cifar10_jpeg": ("1.0.0", "prepared"),
    }


def test_what_a_dataset_holds(ablate):
    """A dataset that is named is read, and told with its task, shape, columns and numbers of examples."""
    code, out, _ = ablate("datasets", "wine", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["task"], told["num_classes"], told["input_shape"]) == ("classification", 3, [13])
    assert told["num_train"] + told["num_test"] == 178
    assert len(told["columns"]) == 13
    _, out, _ = ablate("datasets", "diabetes")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "task regression" in lines
    assert not any(line.startswith("num classes") for line in lines)


def shown(ablate, *arguments):
    """The settings that a sheet was drawn with, and its pixels."""
    code, out, err = ablate("datasets", *arguments, "--show", "sheet.png", "--json")
    assert code == 0, err
    return json.loads(out)["augment"], mpimg.imread("sheet.png")


def test_sheet_of_a_dataset(ablate):
    """A sheet shows the common recipe, in proportion to the image, or what is asked for; the seed decides the rest."""
    recipe, pixels = shown(ablate, "digits")
    assert recipe == {"flip": True, "crop_padding": 1}
    assert pixels.shape[0] > 400
    assert len(np.unique(pixels)) > 10
    rotated, first = shown(ablate, "digits", "--set", "rotate=45", "--set", "augment.gaussian_noise=0.1")
    assert rotated == {"rotate": 45.0, "gaussian_noise": 0.1}
    _, again = shown(ablate, "digits", "--set", "rotate=45", "--set", "gaussian_noise=0.1")
    _, other = shown(ablate, "digits", "--set", "rotate=45", "--set", "gaussian_noise=0.1", "--seed", "1")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, pixels)
    assert not np.array_equal(first, other)


BAD_SHEETS = {
    "setting": (["digits", "--show", "a.png", "--set", "flpi=true"], "nearest: flip"),
    "value": (["digits", "--show", "a.png", "--set", "rotate=1000"], "augment.rotate"),
    "type": (["digits", "--show", "a.png", "--set", "flip=3"], "augment.flip"),
    "no value": (["digits", "--show", "a.png", "--set", "flip"], "SETTING=VALUE"),
    "misfit": (["digits", "--show", "a.png", "--set", "color_jitter=0.5"], "images with 3 channels"),
    "no images": (["wine", "--show", "a.png"], "has no images to show"),
    "no such dataset": (["digts", "--show", "a.png"], "nearest: digits"),
    "no name": (["--show", "a.png"], "ablate datasets NAME --show"),
    "no sheet": (["digits", "--set", "flip=true"], "--show FILE.png"),
    "no sheet of this seed": (["digits", "--seed", "1"], "--show FILE.png"),
    "no picture": (["digits", "--show", "a.txt"], "allowed: FILE.png"),
    "no folder": (["digits", "--show", "nowhere/a.png"], "allowed: FILE.png in an existing folder"),
}


@pytest.mark.parametrize("case", BAD_SHEETS)
def test_sheet_that_cannot_be_drawn(case, ablate, tmp_path):
    """What cannot be shown ends with exit code 2, one message, and no picture."""
    arguments, told = BAD_SHEETS[case]
    code, out, err = ablate("datasets", *arguments)
    assert code == 2
    assert out == ""
    assert told in err
    assert "Traceback" not in err
    assert not list(tmp_path.glob("a.*"))


@pytest.fixture
def stored(tmp_path):
    """A store in which the suite "tiny" has a done, a diverged and a failed run, and one that is missing."""
    suite = parse_suite(SUITE, "tiny.toml")
    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    store = Store.create_or_open(tmp_path / "runs")
    store.register("tiny", SUITE, [0, 1], {"digits": DIGITS})
    store.record(runs[0], RunResult("done", {"test_accuracy": 0.875}), {})
    store.record(runs[1], RunResult("diverged", message="the loss was not finite"), {})
    store.record(runs[2], RunResult("failed", message="out of luck"), {})
    return runs


def test_runs_as_json(stored, ablate, write):
    """The runs of a suite are listed with whole keys, levels, seeds and outcomes, by the suite's name or its file."""
    code, out, _ = ablate("runs", "tiny", "--json")
    rows = json.loads(out)
    assert code == 0
    assert [row["key"] for row in rows] == [run.key for run in stored]
    assert [row["status"] for row in rows] == ["done", "diverged", "failed", "missing"]
    assert [row["levels"]["model.activation"] for row in rows] == ["relu", "relu", "tanh", "tanh"]
    assert [row["seed"] for row in rows] == [0, 1, 0, 1]
    assert [row["outcome"] for row in rows] == [0.875, None, None, None]
    assert json.loads(ablate("runs", write(SUITE), "--json")[1]) == rows


TAKEN = ("dataset", "seed", "status", "done", "key", "outcome", "level:seed")
SHARES = ["weight_decay", "clip_norm", "clip_value", "weight_average", "label_smoothing", "learning_rate", "momentum"]


def test_factors_with_the_names_of_columns(ablate, write):
    """Wherever runs are told, no level takes the place of another column, and none is left out."""
    bundles = "".join(
        f'[factors."{name}"]\na-{name} = {{ "train.{path}" = 0.1 }}\nb-{name} = {{ "train.{path}" = 0.2 }}\n'
        for name, path in zip(TAKEN, SHARES, strict=True)
    ).replace("-level:seed", "-level")
    head = SUITE.partition("[factors]")[0].replace("seeds = 2", 'seeds = 2\ndesign = "paired"')
    path = write(head.replace("epochs = 1", 'epochs = 1\noptimizer = "momentum"') + bundles)
    suite = parse_suite(path.read_text(), "tiny.toml")
    run, *_ = expand_runs(expand_cells(suite), [0, 1], {"digits": "1.0.0"})
    store = Store.create_or_open(path.parent / "runs")
    store.register("tiny", path.read_text(), [0, 1], {"digits": DIGITS})
    store.record(run, RunResult("diverged", {"test_accuracy": 0.875}, message="out of range"), {})
    levels = [*run.cell.levels.values()]
    assert len(levels) == 7

    def row(*call):
        """What stands in the line that has the first level."""
        code, out, err = ablate(*call)
        assert code == 0, err
        (line,) = (line for line in out.splitlines() if f" {levels[0]} " in line and ": " not in line)
        return sorted(re.split(r"\s{2,}", line.strip()))

    assert row("plan", path) == sorted([*levels, "digits", "0/2"])
    assert row("status", "tiny") == sorted([*levels, "digits", "1", "0", "0", "1"])
    listed = ablate("runs", "tiny")[1].splitlines()
    (line,) = (line for line in listed if run.key[:8] in line)
    assert sorted(re.split(r"\s{2,}", line.strip())) == sorted(
        [*levels, run.key[:8], "digits", "0", "diverged", "test_accuracy 0.875"]
    )
    told = [re.split(r"\s{2,}", line)[1] for line in ablate("logs", run.key)[1].splitlines() if "  " in line]
    assert {*levels, "digits", "0", "out of range"} <= set(told)
    assert any(text.startswith("diverged: ") for text in told)


def test_runs_as_a_table(stored, ablate):
    """The table has a line a run that begins with what `ablate export` takes."""
    _, out, _ = ablate("runs", "tiny")
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "test_accuracy 0.875" in lines[stored[0].key[:8]]
    assert "missing" in lines[stored[3].key[:8]]


@pytest.mark.usefixtures("stored")
def test_what_comes_after_a_merge(store_url, ablate, monkeypatch):
    """The command that is named shows what was joined, in a folder or on a server, and has no password in it."""
    code, out, err = ablate("merge", "runs", "--into", store_url or "joined")
    assert code == 0, err
    status, report = out.splitlines()[-1].removeprefix("next: ablate ").split(", then ablate ")
    if store_url:
        password = urlsplit(store_url).password
        assert password not in out
        monkeypatch.setenv("PGPASSWORD", password)
    _, option, place = status.split()
    assert report.split() == ["report", "SUITE", option, place]
    code, out, err = ablate("status", option, place, "--json")
    assert code == 0, err
    assert [(row["suite"], row["done"]) for row in json.loads(out)] == [("tiny", 1)]


@pytest.mark.usefixtures("stored")
def test_runs_of_an_unknown_suite(ablate):
    """A suite that was not run here is met with the nearest that was."""
    code, _, err = ablate("runs", "tyni")
    assert code == 2
    assert "nearest: tiny" in err


@pytest.mark.parametrize(("number", "told"), [(1, "diverged"), (2, "failed: out of luck"), (3, "is not trained yet")])
def test_export_of_a_run_without_a_model(number, told, stored, ablate, monkeypatch):
    """A run that has no model is refused before TensorFlow is imported, and nothing is written."""
    monkeypatch.setattr("benchmarks.tensorflow_start.import_tensorflow", lambda: pytest.fail("it went on"))
    code, out, err = ablate("export", stored[number].key[:12], "model")
    assert (code, out) == (2, "")
    assert told in err
    assert not Path("model").exists()


def test_export_into_a_folder_that_is_taken(stored, ablate, tmp_path):
    """An export never writes into a folder with something in it, nor over a file."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("mine")
    for place in ("taken", "taken/mine"):
        code, _, err = ablate("export", stored[0].key, place)
        assert code == 2
        assert "nothing was changed" in err
    assert (tmp_path / "taken" / "mine").read_text() == "mine"


TRAINED = SUITE.replace("seeds = 2", "seeds = 1").replace("epochs = 1", "steps = 5")


def test_run_with_profile_and_weights(ablate, write):
    """A training leaves a timeline that viewers can read, seconds a phase, and weights that an export uses."""
    code, _, _ = ablate("run", write(TRAINED), "--profile", "spent", "--keep-weights", "--checkpoint-every", "0")
    assert code == 0
    events = json.loads(Path("spent/timeline.json").read_text())["traceEvents"]
    assert {event["name"] for event in events} >= {"build", "trace", "start", "input", "step", "test"}
    ends = [event["ts"] + event["dur"] for event in events]
    # Spans of one thread must not overlap; a microsecond is lost to rounding.
    assert all(event["ts"] >= end - 1 for event, end in zip(events[1:], ends, strict=False))
    table = [line.split() for line in Path("spent/phases.txt").read_text().splitlines()[1:]]
    seconds = {line[0]: float(line[1]) for line in table}
    assert set(seconds) == {*PHASES, "rest", "whole"}
    assert sum(seconds.values()) - seconds["whole"] == pytest.approx(seconds["whole"], abs=0.01)
    steps = sum(event["dur"] for event in events if event["name"] == "step") / 1e6
    assert seconds["step"] == pytest.approx(steps, abs=0.001)
    listed = json.loads(ablate("runs", "tiny", "--json")[1])
    assert [row["weights_kept"] for row in listed] == [True, True]
    code, out, err = ablate("export", listed[1]["key"][:10], "model", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert (told["run"], told["weights"], told["doubts"]) == (listed[1]["key"], "kept weights", [])
    assert sorted(path.name for path in Path("model").iterdir()) == sorted(told["files"])


@pytest.mark.night
def test_weights_are_kept_only_where_asked_for(ablate, write):
    """Without the option no weights are written, and the export says that the run was trained again."""
    assert ablate("run", write(TRAINED))[0] == 0
    assert not Path("runs/weights").exists()
    (row, _) = json.loads(ablate("runs", "tiny", "--json")[1])
    code, out, err = ablate("export", row["key"], "model")
    assert code == 0, err
    assert out.startswith(f"{row['key']}: trained again\n")


@pytest.mark.parametrize(("arguments", "expected"), [([], 60.0), (["--checkpoint-every", "0.5"], 0.5)])
def test_time_between_checkpoints(arguments, expected, ablate, write, monkeypatch):
    """The time between checkpoints is a minute, or what is asked for."""
    given = []

    def begun(_plan, _store, options, _stopwatch):
        given.append(options.checkpoint_every)
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.execution.running.begun", begun)
    assert ablate("run", write(SUITE), *arguments)[0] == 130
    assert given == [expected]


def test_profile_of_an_interrupted_run(ablate, write, monkeypatch):
    """An interrupted training leaves its profile too."""

    def begun(_plan, _store, _options, stopwatch):
        with stopwatch.phase("step"):
            raise KeyboardInterrupt

    monkeypatch.setattr("benchmarks.execution.running.begun", begun)
    # A name that looks like markup of the terminal library is a name.
    code, out, _ = ablate("run", write(SUITE), "--profile", "spent[/x]")
    assert (code, "spent[/x]/timeline.json" in out) == (130, True)
    events = json.loads(Path("spent[/x]/timeline.json").read_text())["traceEvents"]
    assert [event["name"] for event in events] == ["step"]
    assert "whole" in Path("spent[/x]/phases.txt").read_text()


@pytest.mark.parametrize(
    "arguments", [["--checkpoint-every", "-1"], ["--profile", "file/spent"], ["--profile", "file"]]
)
def test_run_options_that_cannot_be_used(arguments, ablate, write, tmp_path):
    """An option that cannot be used ends with exit code 2 before anything is trained."""
    (tmp_path / "file").write_text("no folder")
    code, _, err = ablate("run", write(SUITE), *arguments)
    assert code == 2
    assert arguments[0] in err or arguments[1] in err
    assert "Traceback" not in err


def test_new_suite_can_be_planned(ablate):
    """`ablate new` writes a suite that is valid as it stands, and never overwrites one."""
    code, _, _ = ablate("new", "my_study")
    assert code == 0
    text = Path("my_study.toml").read_text()
    assert tomllib.loads(text)["name"] == "my_study"
    assert ablate("plan", "my_study.toml")[0] == 0
    code, _, err = ablate("new", "my_study")
    assert code == 2
    assert "exists already" in err
    assert Path("my_study.toml").read_text() == text


def test_new_with_a_name_that_leaves_the_folder(ablate, tmp_path):
    """A name that is a path is refused and nothing is written."""
    code, _, _ = ablate("new", "../study")
    assert code == 2
    assert not (tmp_path.parent / "study.toml").exists()


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_suites_can_be_planned(name, ablate, request):
    """Every shipped suite is known by its name and valid; only those of prepared data need a folder of it."""
    datasets = parse_suite((SHIPPED_SUITES / f"{name}.toml").read_text(encoding="utf-8"), name).datasets
    is_prepared = not set(datasets) <= set(EMBEDDED)
    folder = ["--data-dir", request.getfixturevalue("shared_tfds")] if is_prepared else []
    code, out, err = ablate("plan", name, *folder)
    assert code == 0, err
    assert out.startswith(f"{name}: ")


def test_all_shipped_suites_are_tested():
    """The list of the test above is complete."""
    assert {path.stem for path in SHIPPED_SUITES.glob("*.toml")} == SHIPPED


@pytest.mark.parametrize("folder", ["gs://bucket/tfds", "tfds"])
def test_data_folder_of_speed(folder, ablate, monkeypatch):
    """`ablate speed` looks for data where `--data-dir` says, in a bucket too."""
    from benchmarks.data.buckets import bucket_of

    def compare(_work, _repeats, data_dir, *_):
        return SimpleNamespace(as_text=lambda: bucket_of(data_dir) or str(data_dir))

    monkeypatch.setattr("benchmarks.speed.comparison.compare", compare)
    assert ablate("speed", "mnist", "--data-dir", folder)[:2] == (0, f"{folder}\n")


def test_unknown_work_to_measure(ablate):
    """`ablate speed` names what it can measure, before it imports anything heavy."""
    code, _, err = ablate("speed", "minst")
    assert code == 2
    assert "nearest: mnist" in err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--until-resolved", "--max-seeds", "20"], "the suite tiny claims nothing"),
        (["--max-seeds", "20"], "--max-seeds: no effect without --until-resolved"),
        (["--until-resolved", "--max-seeds", "20", "--seeds", "3"], "--seeds: the looks say how many seeds there are"),
        (["--until-resolved", "--max-seeds", "20", "--shard", "1/2"], "--shard: a look is at all runs"),
    ],
)
def test_looks_that_cannot_be_made_are_refused(ablate, write, options, told):
    """Before anything is trained or written."""
    path = write(SUITE)
    code, _, err = ablate("run", path, *options)
    assert code == 2
    assert told in err
    assert not (path.parent / "runs").exists()
