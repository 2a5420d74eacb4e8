"""Joining stores: halves make the whole, whatever conflicts is refused before anything is written."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from studies import study_of

from benchmarks import cli
from benchmarks.errors import StoreError, UserError
from benchmarks.files import weights_file
from benchmarks.plan.merging import merge
from benchmarks.report.writing import write_report
from benchmarks.results import RunResult
from benchmarks.store import STORE_FILE, DatasetFacts, RegisteredClaim, Store, place_of
from benchmarks.store.tables import METADATA
from benchmarks.suite.reading import parse_suite

HERE, THERE = {"processor": "abacus"}, {"processor": "slide rule"}
DONE = RunResult("done", {"test_accuracy": 0.9, "test_loss": 0.3})
FACTS = DatasetFacts("1.0.0", 1442, 355, 10, (8, 8, 1), "the official test split", "classification")


@pytest.fixture
def stores(tmp_path):
    """Give a function that makes the store of a folder, or opens it."""
    opened = []

    def store(name):
        opened.append(Store.create_or_open(tmp_path / name))
        return opened[-1]

    yield store
    for each in opened:
        each.close()


@pytest.fixture(params=["sqlite", "postgres"])
def into(request, tmp_path):
    """Where stores are joined: a runs folder that is not there yet, or an empty database of a server."""
    return tmp_path / "into" if request.param == "sqlite" else request.getfixturevalue("new_database")()


@contextmanager
def opened_at(place, tmp_path):
    """The store of a folder, or of a server; None where there is none."""
    store = Store.find(*place_of(place, tmp_path / "beside_a_server"))
    try:
        yield store
    finally:
        if store:
            store.close()


def content(place, tmp_path):
    """Every row of a store; None where there is none."""
    with opened_at(place, tmp_path) as store:
        if store is None:
            return None
        with store._transaction() as connection:
            return {
                each.name: sorted(map(repr, connection.execute(sa.select(each)))) for each in METADATA.sorted_tables
            }


def results_of(runs):
    """A result for each run, all different."""
    generator = np.random.default_rng(5)
    for number, run in enumerate(runs):
        metrics = dict(zip(("test_accuracy", "test_loss"), generator.uniform(0.5, 1, 2).tolist(), strict=True))
        predictions = generator.normal(size=(4, 10)).astype("<f2")
        history = {"train_loss": generator.uniform(size=3).tolist()}
        yield run, RunResult("done", metrics, history, 100, number / 10, predictions=predictions)


def test_two_halves_are_the_whole(tmp_path, stores, issue_suite):
    """The halves of a suite, joined, give the report of the whole: summary and runs are equal, predictions too."""
    suite = parse_suite(issue_suite, "activations.toml")
    from benchmarks.plan.expansion import expand_cells, expand_runs

    runs = expand_runs(expand_cells(suite), suite.seed_list, {"digits": "1.0.0"})
    whole, halves = stores("whole"), [stores("one"), stores("two")]
    for store in (whole, *halves):
        store.register(suite.name, issue_suite, suite.seed_list, {"digits": FACTS})
    for number, (run, result) in enumerate(results_of(runs)):
        for store in (whole, halves[number % 2]):
            store.record(run, result, HERE if number % 2 else THERE)
    told = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "joined")
    assert [(each.runs, each.taken) for each in told] == [(20, 20), (20, 20)]
    joined = stores("joined")
    keys = [run.key for run in runs]
    assert joined.machines() == whole.machines()
    ours, theirs = joined.predictions(keys), whole.predictions(keys)
    assert {key: array.tobytes() for key, array in ours.items()} == {
        key: array.tobytes() for key, array in theirs.items()
    }
    texts = []
    for store in (whole, joined):
        folder = store.folder / "report"
        write_report(study_of(store, suite.name), folder)
        texts.append((folder / "summary.csv").read_bytes())
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == 9


def test_joining_again_changes_nothing(into, tmp_path, stores, runs_of):
    """The same stores once more: all is there already, and every row stays as it is."""
    runs = runs_of(3)
    for name, part in {"one": runs[:4], "two": runs[2:]}.items():
        store = stores(name)
        store.register("small", "text", [0], {"digits": FACTS})
        for run in part:
            store.record(run, DONE, HERE)
        store.close()
    folders = [tmp_path / "one", tmp_path / "two"]
    assert [(each.taken, each.equal) for each in merge(folders, into, runs_dir=tmp_path)] == [(4, 0), (2, 2)]
    before, sources = content(into, tmp_path), [content(folder, tmp_path) for folder in folders]
    assert len(before["runs"]) == 6
    assert [(each.taken, each.equal) for each in merge(folders[::-1], into, runs_dir=tmp_path)] == [(0, 4), (0, 4)]
    assert content(into, tmp_path) == before
    assert [content(folder, tmp_path) for folder in folders] == sources


LAST_BIT = replace(DONE, metrics={"test_accuracy": 0.9, "test_loss": float(np.nextafter(0.3, 1))})
CONFLICTS = {
    "one machine, last bit": (HERE, LAST_BIT),
    "another machine, more than that": (THERE, replace(DONE, metrics={"test_accuracy": 0.9, "test_loss": 0.3001})),
    "diverged there": (THERE, RunResult("diverged")),
}


@pytest.mark.parametrize("case", CONFLICTS)
@pytest.mark.parametrize("target_has_it", [True, False])
def test_conflicts_are_refused(case, target_has_it, into, tmp_path, stores, runs_of):
    """Outcomes of one run that differ are refused wherever they lie, both are named, and nothing is written."""
    machine, other = CONFLICTS[case]
    first, second = runs_of(1)
    stores("one").record(first, DONE, HERE)
    stores("two").record(first, other, machine)
    stores("two").record(second, DONE, machine)
    folders = [tmp_path / "one", tmp_path / "two"]
    if target_has_it:
        merge(folders[:1], into, runs_dir=tmp_path)
        folders = folders[1:]
    before = content(into, tmp_path)
    assert (before is not None) == target_has_it
    with pytest.raises(UserError) as caught:
        merge(folders, into, runs_dir=tmp_path)
    assert first.key in str(caught.value)
    assert str(tmp_path / "two") in str(caught.value)
    assert content(into, tmp_path) == before
    told = merge(folders, into, prefers_first=True, runs_dir=tmp_path)
    assert [each.passed_over for each in told][-1:] == [1]
    assert sum(each.passed_over for each in told) == 1
    with opened_at(into, tmp_path) as store:
        assert store.runs([first.key])[first.key].metrics == DONE.metrics
        assert store.statuses([second.key]) == {second.key: "done"}


def test_last_bits_of_two_machines(tmp_path, stores, runs_of):
    """Results of two machines that differ in their last bits are one result: the first stays, and it is said."""
    run = runs_of(1)[0]
    stores("one").record(run, DONE, HERE)
    stores("two").record(run, LAST_BIT, THERE)
    told = merge([tmp_path / "two", tmp_path / "one"], tmp_path / "into")
    assert [(each.taken, each.equal, each.close) for each in told] == [(1, 0, 0), (0, 0, 1)]
    assert "last bits" in told[1].as_text()
    assert stores("into").runs([run.key])[run.key].metrics == LAST_BIT.metrics


def test_an_outcome_takes_the_place_of_a_failure(tmp_path, stores, runs_of):
    """What failed in one store and is done in another is done, in either order; a failure never replaces anything."""
    run, other = runs_of(1)
    array = np.ones((2, 3), "<f2")
    stores("bad").record(run, RunResult("failed", message="there"), HERE)
    stores("bad").record(other, RunResult("timed_out", message="first"), HERE)
    stores("good").record(run, replace(DONE, predictions=array), THERE)
    stores("good").record(other, RunResult("failed", message="second"), THERE)
    for order in (["bad", "good"], ["good", "bad"]):
        into = "-".join(order)
        merge([tmp_path / name for name in order], tmp_path / into)
        joined = stores(into)
        assert joined.runs([run.key])[run.key].status == "done"
        assert joined.predictions([run.key])[run.key].tolist() == array.tolist()
        assert joined.runs([other.key])[other.key].message == ("first" if order[0] == "bad" else "second")


def test_weights_come_along(tmp_path, stores, runs_of):
    """Kept weights are copied with the runs that are taken, and no others."""
    run, other = runs_of(1)
    for name in ("one", "two"):
        stores(name).record(run, DONE, HERE)
        for each in (run, other):
            weights_file(tmp_path / name, each.key).parent.mkdir(exist_ok=True)
            weights_file(tmp_path / name, each.key).write_text(name)
    merge([tmp_path / "one", tmp_path / "two"], tmp_path / "into")
    kept = list((tmp_path / "into" / "weights").iterdir())
    assert [(path.name, path.read_text()) for path in kept] == [(f"{run.key}.npz", "one")]


@pytest.mark.parametrize("broken_at", ["weights", "runs"])
def test_weights_after_an_interrupt(broken_at, tmp_path, stores, runs_of, monkeypatch):
    """Interrupted wherever it is, joining once more brings what is missing, weights and runs."""
    runs = runs_of(2)
    for run in runs:
        stores("one").record(run, DONE, HERE)
        weights_file(tmp_path / "one", run.key).parent.mkdir(exist_ok=True)
        weights_file(tmp_path / "one", run.key).write_text(run.key)
    what, calls = {"weights": (shutil, "copyfileobj"), "runs": (Store, "_take")}[broken_at], []
    with monkeypatch.context() as patch:
        whole = getattr(*what)

        def broken(*given):
            calls.append(given)
            if len(calls) == (2 if broken_at == "weights" else 1):
                raise KeyboardInterrupt
            return whole(*given)

        patch.setattr(*what, broken)
        with pytest.raises(KeyboardInterrupt):
            merge([tmp_path / "one"], tmp_path / "into")
    merge([tmp_path / "one"], tmp_path / "into")
    assert stores("into").statuses(run.key for run in runs) == {run.key: "done" for run in runs}
    kept = {path.name: path.read_text() for path in (tmp_path / "into" / "weights").iterdir()}
    assert kept == {f"{run.key}.npz": run.key for run in runs}


def claim(n_results, text="a beats b"):
    return RegisteredClaim("hash", text, 1, [0], {}, n_results)


def test_notes(tmp_path, stores, monkeypatch):
    """Of a suite the later registration stays, of a claim the earlier one, in either order; the rest comes along."""
    for moment, name in (("2026-01-01T00:00:00+00:00", "early"), ("2026-01-02T00:00:00+00:00", "late")):
        monkeypatch.setattr("benchmarks.store.notes.now", lambda moment=moment: moment)
        stores(name).register("small", f"text of {name}", [0], {"digits": FACTS})
        former = RegisteredClaim(f"hash/{name}", "a beats b", 1, [1], {}, 0, n_results_before=5)
        stores(name).register_claims("small", [claim(0 if name == "early" else 7), former])
        stores(name).record_search(f"search of {name}", [], {"train.learning_rate": 0.1})
    for order in (["early", "late"], ["late", "early"]):
        into = "-".join(order)
        merge([tmp_path / name for name in order], tmp_path / into)
        joined = stores(into)
        assert joined.registration("small").text == "text of late"
        claims = joined.claims("small")
        found = claims.pop("hash")
        assert set(claims) == {"hash/early", "hash/late"}
        assert (found.n_results, found.registered_at[:10]) == (0, "2026-01-01")
        assert set(joined.found()) == {"search of early", "search of late"}


def test_searches_that_chose_otherwise_are_refused(tmp_path, stores):
    """Stores whose searches of one name chose different values do not go together."""
    for name, rate in (("one", 0.1), ("two", 0.01)):
        stores(name).record_search("key", [], {"train.learning_rate": rate})
    with pytest.raises(UserError) as caught:
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "into")
    assert "search key" in str(caught.value)


def test_stores_that_cannot_be_joined(tmp_path, stores):
    """A store with itself, one that is none, and one that is damaged are refused, and nothing is made."""
    stores("one")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / STORE_FILE).write_text("rubbish")
    cases = [
        (["one", "one"], "into", UserError),
        (["one"], "one", UserError),
        (["one", "none"], "into", StoreError),
        (["one", "broken"], "into", StoreError),
        (["one"], "broken", StoreError),
    ]
    for names, into, error in cases:
        with pytest.raises(error):
            merge([tmp_path / name for name in names], tmp_path / into)
    assert not (tmp_path / "into").exists()
    assert (tmp_path / "broken" / STORE_FILE).read_text() == "rubbish"


def test_on_the_command_line(tmp_path, stores, runs_of, monkeypatch, capsys):
    """`ablate merge` says what it did, as text and as JSON; a conflict ends with exit code 2."""
    run, other = runs_of(1)
    stores("one").record(run, DONE, HERE)
    stores("two").record(other, DONE, HERE)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["ablate", "merge", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        output = capsys.readouterr()
        return caught.value.code or 0, output.out, output.err

    code, out, _ = call("one", "two", "--into", "all")
    assert code == 0
    assert "two: 1 runs: 1 copied" in out
    assert [each["equal"] for each in json.loads(call("one", "two", "--into", "all", "--json")[1])] == [1, 1]
    stores("three").record(run, LAST_BIT, HERE)
    code, _, err = call("three", "--into", "all")
    assert (code, "--prefer-first" in err, "Traceback" in err) == (2, True, False)
