"""What the documents tell people to write and to type: suites that are valid, commands and options that exist."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

import benchmarks
import zoo
from benchmarks import cli
from benchmarks.plan.expansion import expand_cells
from benchmarks.plan.group_checks import check_groups
from benchmarks.plan.groups import groups_of
from benchmarks.suite.design import DESIGNS
from benchmarks.suite.reading import parse_suite
from benchmarks.suite.suite import Suite
from zoo.settings import SettingError

ROOT = Path(__file__).parents[1]
PAGES = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in
         [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]}  # fmt: skip
SHIPPED = {path.stem for path in (ROOT / "benchmarks" / "suite" / "suites").glob("*.toml")}

COMMANDS = typer.main.get_command(cli.app).commands


def blocks(language):
    """The blocks in a language, each with the place where it begins."""
    for page, text in PAGES.items():
        for found in re.finditer(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
            if found[1] == language:
                yield f"{page}:{text.count(chr(10), 0, found.start()) + 1}", found[2]


def commands_in(line):
    """The calls of `ablate` in a line of shell, also in what it hands to other commands."""
    words = shlex.split(line, comments=True)
    for word in words:
        if re.search(r"\bablate .", word):
            yield from commands_in(word)
    call = []
    for word in [*words, ";"]:
        if word in ("&&", "|", ">", ";"):
            if call and Path(call[0]).name == "ablate":
                yield call[1:]
            call = []
        else:
            call.append(word)


def typed():
    """Every call of `ablate` in blocks of shell, and after a prompt in others, with its place."""
    lines = [(place, line) for place, text in blocks("sh") for line in text.replace("\\\n", " ").splitlines()]
    lines += [(place, line[2:]) for place, text in blocks("") for line in text.splitlines() if line.startswith("$ ")]
    for place, line in lines:
        yield from (pytest.param(call, id=f"{place} {' '.join(call)}") for call in commands_in(line))


def mentioned():
    """Every call of `ablate` in the midst of a sentence, with its page."""
    for page, text in PAGES.items():
        prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
        calls = {tuple(call) for found in re.findall(r"`(ablate [^`]+)`", prose) for call in commands_in(found)}
        yield from (pytest.param(list(call), id=f"{page} {' '.join(call)}") for call in sorted(calls))


def section(page, title):
    """The text of a section of a page, down to the next heading."""
    (text,) = re.findall(rf"^#+ {title}\n(.*?)(?=^#|\Z)", PAGES[page], re.MULTILINE | re.DOTALL)
    return text


def parsed(call):
    """What the command line makes of a call, without carrying it out."""
    name, *arguments = call
    return COMMANDS[name].make_context(name, arguments).params


TYPED, MENTIONED, TOML = list(typed()), list(mentioned()), list(blocks("toml"))


def test_the_examples_are_found():
    """There is something to test: commands, suites, and the first suite is whole."""
    assert len(TYPED) > 30
    assert len(MENTIONED) > 15
    assert len(TOML) >= 6
    assert len(expand_cells(parse_suite(TOML[0][1], "README.md"))) == 8


@pytest.mark.parametrize("call", TYPED)
def test_commands_can_be_typed(call):
    """A command that people are to type has the name, the arguments and the options that it is given."""
    suite = parsed(call).get("suite")
    if call[0] in ("plan", "run", "diagnose") and suite.isidentifier():
        assert suite in SHIPPED


@pytest.mark.parametrize("call", MENTIONED)
def test_commands_that_are_mentioned_exist(call):
    """In a sentence arguments may be left out; what is there are commands, and options of theirs."""
    name, *arguments = call
    options = {option for each in COMMANDS[name].params for option in each.opts} if name in COMMANDS else {}
    assert name in (*COMMANDS, "--help")
    assert {each for each in arguments if each.startswith("-")} <= set(options)


def merged(whole, part):
    """A table with the keys of another one in it, table by table."""
    both = {key: merged(whole[key], part[key]) for key in whole.keys() & part.keys()
            if isinstance(whole[key], dict) and isinstance(part[key], dict)}  # fmt: skip
    return whole | part | both


@pytest.mark.parametrize("text", [pytest.param(text, id=place) for place, text in TOML])
def test_suites_are_valid(text):
    """Each block of TOML is a part of the first one, which is a whole suite, and goes with it."""
    whole = merged(tomllib.loads(TOML[0][1]), {"factors": {"model.normalization": ["none", "batch"]}})
    whole["baseline"]["model.normalization"] = "none"
    part = tomllib.loads(text)
    suite = Suite(**merged(whole, part))
    cells = expand_cells(suite)
    check_groups(groups_of(suite, cells, {"digits": "1.0.0"}), suite.seed_list)
    assert part.keys() <= Suite.model_fields.keys()


def test_the_error_is_the_one_that_is_shown():
    """The example of an error, with all that is allowed, is what is printed."""
    (shown,) = (text for _, text in blocks("") if text.startswith("error: "))
    with pytest.raises(SettingError) as caught:
        parse_suite(TOML[0][1].replace('"tanh"', '"gleu"'), "my_study.toml")
    assert f"error: {caught.value}\n" == shown


def test_python_is_valid(monkeypatch):
    """What is asked of the zoo exists, each setting is one of the model's, and the list is what it is said to be."""
    (text,) = (text for _, text in blocks("python") if text.startswith("import zoo"))

    def checked(function):
        def call(*given, **named):
            arguments = inspect.signature(function).bind(*given, **named).arguments
            return zoo.model_config(arguments["name"], **arguments.get("settings", {})) if "name" in arguments else None

        return call

    for name in ("create_model", "build_model"):
        monkeypatch.setattr(zoo, name, checked(getattr(zoo, name)))
    exec(compile(text, "README.md", "exec"), {})
    call, said = re.search(r"^(zoo\.list_models\(.*?\))  # (.*)$", text, re.MULTILINE).groups()
    assert eval(call) == eval(said)


def test_calls_of_the_public_list_are_valid():
    """What the README asks of `benchmarks` is in its public list, with arguments that it takes."""
    (text,) = (text for _, text in blocks("python") if text.startswith("import benchmarks"))
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    assert len(calls) == 3
    for call in calls:
        assert call.func.value.id == "benchmarks"
        assert call.func.attr in benchmarks.__all__
        function = getattr(benchmarks, call.func.attr)
        inspect.signature(function).bind(*(ast.literal_eval(each) for each in call.args))


def test_modules_and_names_exist():
    """Each module that is to be run is there, and each name of the packages that is mentioned is in its module."""
    text = "\n".join(PAGES[page] for page in PAGES if page != "docs/design.md")
    for module in set(re.findall(r"python -m ((?:benchmarks|tools)\.[\w.]*\w)", text)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    names = set(re.findall(r"`((?:zoo|tuning|benchmarks)(?:\.\w+)+)[(`]", text))
    assert {"benchmarks.check_gradients", "benchmarks.measure_signal", "zoo.load_model", "tuning.hypermodel"} <= names
    for each in names:
        place, name = ROOT / each.rpartition(".")[0].replace(".", "/"), each.rpartition(".")[2]
        module = place.with_suffix(".py") if place.with_suffix(".py").is_file() else place / "__init__.py"
        is_module = (place / name).is_dir() or (place / f"{name}.py").is_file()
        assert is_module or re.search(rf"\b{name}\b", module.read_text(encoding="utf-8")), each


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """What a page links to in this repository is there."""
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        assert (ROOT / page).parent.joinpath(link).exists(), link


def test_every_room_is_explained():
    """The page on the design has each folder and file directly under `benchmarks`, on a line of its own."""
    rooms = re.findall(r"^\| `([\w.]+/?)` \| .+ \|$", PAGES["docs/design.md"], re.MULTILINE)
    entries = [path for path in (ROOT / "benchmarks").iterdir() if path.name != "__pycache__"]
    assert sorted(rooms) == sorted(f"{path.name}/" if path.is_dir() else path.name for path in entries)
    assert len(entries) <= 27


def test_files_to_read_first_are_there():
    """What the page on the design tells a newcomer to read is there."""
    files = re.findall(r"`((?:benchmarks|zoo)/[\w/]+\.py)`", PAGES["docs/design.md"])
    assert len(files) >= 7
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_files_that_are_named_are_there():
    """Each file and folder of the repository that a page names by its path is there."""
    ours = re.compile(r"`((?:\.ci|benchmarks|docs|tests|tools|tuning|zoo)/[\w./]+)`")
    named = [(page, path) for page, text in PAGES.items() for path in ours.findall(text)]
    assert len(named) > 60
    assert [(page, path) for page, path in named if not (ROOT / path).exists()] == []


def test_tables_to_add_to_are_where_contributing_says():
    """Each table or test that is named with a file, or with several, is defined in the file that follows it."""
    rows = re.findall(r"^\| (?:an?) .*\|$", PAGES["CONTRIBUTING.md"], re.MULTILINE)
    assert len(rows) >= 14
    checked = set()
    for row in rows:
        waiting = []
        for word in re.findall(r"`([\w./]+)`", row):
            if re.fullmatch("[A-Z_]+|test_[a-z_]+|cost_by_formula", word):
                waiting.append(word)
            elif word.endswith(".py"):
                text = (ROOT / word).read_text(encoding="utf-8")
                missing = [name for name in waiting if not re.search(rf"^(def )?{name}\b", text, re.MULTILINE)]
                assert missing == [], word
                checked |= set(waiting)
                waiting = []
        assert waiting == [], row
    assert {"ACTIVATIONS", "OPTIMIZERS", "SCHEDULES", "METRICS", "SECTIONS", "TRACKERS", "EMBEDDED"} <= checked


def test_designs_are_those_of_the_table():
    """The README lists each design, with what the table says of it."""
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section("README.md", "Designs"), re.MULTILINE)) == DESIGNS


@pytest.mark.parametrize("page", ["README.md", "docs/design.md"])
def test_sections_fit_a_screen(page):
    """A newcomer sees a section of the README, and the way of the data, without turning a page."""
    parts = re.split(r"^#+ ", PAGES[page], flags=re.MULTILINE)
    assert [part.splitlines()[0] for part in parts if part and len(part.splitlines()) > 50] == []


def test_slurm_script(tmp_path):
    """A job of the array trains its part of all parts, also where it alone is sent again."""
    script = ROOT / "docs" / "slurm_array.sh"
    (last,) = re.findall(r"#SBATCH --array=1-(\d+)", script.read_text(encoding="utf-8"))
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    for count in (last, "1"):
        variables = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": count}
        environment = os.environ | variables | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run(["bash", script, "s.toml"], env=environment, capture_output=True, text=True, check=True)
        command, *call = done.stdout.splitlines()
        assert (command, parsed(call)["shard"], parsed(call)["suite"]) == ("ablate", f"3/{last}", "s.toml")
