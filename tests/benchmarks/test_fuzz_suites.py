"""The reader of suites on thousands of mutated files: each is right, or refused with an error for people."""

from __future__ import annotations

import random
import tomllib
from collections import Counter

import pytest
from examples import examples
from hypothesis import HealthCheck, given

from benchmarks.errors import UserError
from benchmarks.plan.expansion import expand_cells
from benchmarks.suite.reading import parse_suite
from tools.faults import fuzzing
from tools.faults.fuzzing import Findings, is_accepted, read_all
from tools.faults.mutations import (
    EVERYTHING,
    document,
    mutated,
    mutated_tables,
    mutated_texts,
    random_tables,
    random_texts,
    suites,
)
from zoo.settings import SettingError

MOST_SECONDS = 5.0
"""Of computing that a file may take."""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file that is written anew for each example."""
    return tmp_path_factory.mktemp("fuzz") / "my.toml"


def only_clear_errors(path, content):
    """Read and expand; whatever is wrong must be an error that is meant for people, with the file in it, and soon."""
    path.write_bytes(content)
    is_accepted(path, MOST_SECONDS)


@examples(800, 20_000, suppress_health_check=[HealthCheck.too_slow])
@given(content=mutated_texts())
def test_mutated_texts(path, content):
    """A valid suite with a few things wrong in its text is accepted, or refused with an error for people."""
    only_clear_errors(path, content)


@examples(150, 3_000, suppress_health_check=[HealthCheck.too_slow])
@given(content=mutated_tables())
def test_mutated_tables(path, content):
    """A valid suite with a few things wrong in its tables is accepted, or refused with an error for people."""
    only_clear_errors(path, content)


@examples(150, 3_000, suppress_health_check=[HealthCheck.too_slow])
@given(table=random_tables())
def test_random_documents(path, table):
    """A random document is accepted, or refused with an error for people; nothing else ever comes out."""
    only_clear_errors(path, document(table))


@given(table=random_tables().filter(lambda table: "nan" not in repr(table)))
def test_documents_are_their_tables(table):
    """The documents of these tests say what they are meant to say: Python's reader reads them back."""
    assert tomllib.loads(document(table).decode()) == table


@examples(100, 2000)
@given(content=random_texts())
def test_random_texts(path, content):
    """Any text at all is accepted, or refused with an error for people."""
    only_clear_errors(path, content)


def test_files_are_worth_reading(path):
    """Some of them are right; most of those that are refused are refused for more than their TOML."""
    generator, kinds = random.Random(12), Counter()
    for _ in range(500):
        path.write_bytes(content := mutated(generator))
        kinds["right"] += is_accepted(path)
        try:
            tomllib.loads(content.decode())
        except (ValueError, RecursionError):
            kinds["no TOML"] += 1
    assert kinds["right"] > 500 / 25
    assert 50 < kinds["no TOML"] < 350


def test_findings_of_the_fault(tmp_path):
    """What the table of faults is told: so many files, none of which ends in a traceback, and some are right."""
    found = read_all(11, 200, tmp_path)
    assert found.read >= 200
    assert found.faults == {}
    assert 0 < found.accepted < found.read
    assert 0 < found.slowest_seconds < MOST_SECONDS
    assert not list(tmp_path.iterdir())


def test_suites_to_begin_with(tmp_path):
    """All that mutations start from is right, and they leave nothing as it is."""
    path = tmp_path / "suite.toml"
    for text in suites():
        path.write_text(text, encoding="utf-8")
        assert is_accepted(path), text
    changed = [mutated(random.Random(seed)) for seed in range(100)]
    assert len({*changed}) > 95
    assert mutated(random.Random(3)) == changed[3], "the same seed gives the same file"


def test_everything_is_expanded():
    """The suite with all there is has the cells of its path, and of each step from the baseline."""
    assert len(expand_cells(parse_suite(EVERYTHING, "x"))) == 12


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
        with pytest.raises(SettingError, match="no such setting"):
            settings_from({"model.variant": "mlp_small", path: 1})
