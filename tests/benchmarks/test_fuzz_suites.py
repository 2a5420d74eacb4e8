"""The reader of suites on thousands of mutated files: each is right, or refused with an error for people."""

from __future__ import annotations

import random
import tomllib
from collections import Counter

import pytest

from benchmarks.errors import UserError
from tools.faults import fuzzing
from tools.faults.fuzzing import Findings, is_accepted, mutated, read_all, suites
from zoo.settings import SettingError

NUMBER = 3000


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What came out of many files."""
    return read_all(11, NUMBER, tmp_path_factory.mktemp("fuzz"))


def test_no_traceback(found):
    """No file ends in anything but a suite or an error for people, and none takes long."""
    assert found.read == NUMBER
    assert found.faults == {}
    assert found.slowest_seconds < 5


def test_files_are_worth_reading(found):
    """Some of them are right; most of those that are refused are refused for more than their TOML."""
    assert found.accepted > NUMBER / 25
    generator, kinds = random.Random(12), Counter()
    for _ in range(500):
        try:
            tomllib.loads(mutated(suites(), generator).decode())
        except (ValueError, RecursionError):
            kinds["no TOML"] += 1
    assert 50 < kinds["no TOML"] < 350


def test_suites_to_begin_with(tmp_path):
    """All that mutations start from is right, and they leave nothing as it is."""
    path = tmp_path / "suite.toml"
    for text in suites():
        path.write_text(text, encoding="utf-8")
        assert is_accepted(path), text
    changed = [mutated(suites(), random.Random(seed)) for seed in range(100)]
    assert len({*changed}) > 95
    assert mutated(suites(), random.Random(3)) == changed[3], "the same seed gives the same file"


@pytest.mark.parametrize("wrong", [TypeError("x"), RecursionError(), MemoryError()])
def test_what_is_no_error_for_people_is_found(wrong, tmp_path, monkeypatch):
    """Whatever else is raised is counted, and its file kept."""

    def fail(*_):
        raise wrong

    monkeypatch.setattr(fuzzing, "expand_cells", fail)
    found = read_all(11, 60, tmp_path)
    assert found.faults
    assert sorted(found.faults) == sorted(path.name for path in tmp_path.iterdir())
    assert all(type(wrong).__name__ in text for text in found.faults.values())


def test_errors_that_name_no_file_are_found(tmp_path, monkeypatch):
    """An error that does not say where it is from is no good error."""

    def refuse(*_):
        raise UserError("something is wrong")

    # Whatever the seed makes of the files, so that none is refused before.
    monkeypatch.setattr(fuzzing, "read_suite_text", lambda _: "")
    monkeypatch.setattr(fuzzing, "parse_suite", refuse)
    assert len(read_all(11, 5, tmp_path).faults) == 5


def test_what_takes_too_long_is_found(tmp_path, monkeypatch):
    """A file that is computed on for longer than it may is counted."""

    def compute(*_):
        while True:
            pass

    # Whatever the seed makes of the files, so that none is refused before.
    monkeypatch.setattr(fuzzing, "read_suite_text", lambda _: "")
    monkeypatch.setattr(fuzzing, "parse_suite", compute)
    found = read_all(11, 1, tmp_path, most_seconds=0.05)
    assert isinstance(found, Findings)
    assert "TooSlowError" in next(iter(found.faults.values()))


@pytest.mark.parametrize(
    "text",
    [
        "model.name = 1",
        "model.self = 1",
        "model.config = 1",
        'train = { self = "x" }',
        "x = " + "[" * 3000,
        "x = " + "1" * 5000,
        "a." * 2000 + "a = 1",
        "\0",
        "name = '\ud7ff\x7f'",
        "datasets = " + "[" + "'a', " * 2000 + "]",
    ],
)
def test_odd_files(text, tmp_path):
    """What once ended in a traceback, or might, is refused with an error that names the file."""
    path = tmp_path / "suite.toml"
    head, _, rest = suites()[0].partition("\n[")
    path.write_text(f"{head}\n{text}\n[{rest}", encoding="utf-8")
    assert not is_accepted(path)


def test_settings_named_as_parameters_are_refused_as_settings():
    """A setting that is called as a parameter of the functions that it goes through is unknown, and nothing else."""
    from benchmarks.settings.run import settings_from

    for path in ("model.name", "model.self", "train.self", "data.values", "augment.changes"):
        with pytest.raises(SettingError, match="no such key"):
            settings_from({"model.variant": "mlp_small", path: 1})
