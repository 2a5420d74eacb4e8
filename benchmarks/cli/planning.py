"""Commands before anything is trained: begin a suite, check it, and complete it in an editor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.cli.arguments import RUNS_DIR, AsJson, DataDir, RunsDir, Seeds, StoreURL, SuiteArgument
from benchmarks.cli.finding import plan_of
from benchmarks.cli.rendering import describe, make_wide_console, path_text, print_json, row_table, say
from benchmarks.errors import UserError
from benchmarks.labels import with_levels

if TYPE_CHECKING:
    from benchmarks.plan.path import FoundPath
    from benchmarks.plan.plan import Plan

MOST_BYTES_READ = 2**31
"""Records that a plan reads to tell which runs of their content are stored; more of them `ablate run` reads."""

_ORIGINS = {
    "embedded": "embedded",
    "prepared": "prepared on disk",
    "bucket": "in a bucket",
    "download": "will be downloaded",
}


def plan(
    suite: SuiteArgument,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    data_dir: DataDir = None,
    seeds: Seeds = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Train like programs for a moment where no stored run tells their time.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a suite and show its cells and runs, how many are stored, and how long the rest will take.

    Nothing is downloaded or trained, unless --probe asks for it; what a probe trains is not stored. Prepared data are
    read once, to tell which runs on them are stored.
    """
    from benchmarks.cli.estimating import expected_time
    from benchmarks.store import Store

    made = _read_if_small(plan_of(suite, runs_dir, store_url, data_dir, seeds), runs_dir, store_url)
    expected = expected_time(made, runs_dir, store_url, probes=probe)
    if as_json:
        print_json(_plan_as_json(made) | {"expected": asdict(expected)})
        return
    say(": ".join(filter(None, (made.suite.name, made.suite.question))))
    for name, reference in made.references.items():
        say(f"dataset {name}: version {made.versions[name]}, {_ORIGINS[reference.origin]}")
        for sentence in _data_told(made, name, runs_dir):
            say(sentence)
    for sentence in made.changed_data(Store.find(runs_dir, store_url)):
        say(sentence)
    num_untuned = len(made.all_runs) - len(made.runs)
    beside = f", and {num_untuned} without what the search finds" if num_untuned else ""
    say(
        f"{len(made.cells)} cells ({made.suite.chosen_design.name}) x {len(made.seeds)} seeds = {len(made.runs)} runs"
        f"{beside}: {describe(made.counts)}"
    )
    if made.suite.search:
        table = made.suite.search
        searched = f"{len(made.groups) - len(made.open_groups)} of {len(made.groups)} groups searched"
        say(f"search: {table.strategy}, {table.trials} trials each by {table.objective}, {searched}")
    if made.path_to_find:
        say(_path_told(made, made.path_to_find))
    for sentence in (made.estimable.note, *made.cautions):
        say(sentence)
    if made.missing:
        say(expected.as_text())
    make_wide_console().print(_cell_table(made))


def _read_if_small(plan: Plan, runs_dir: Path, store_url: str | None) -> Plan:
    """A plan for what its datasets hold, where they are prepared and reading them takes no more than a minute."""
    from benchmarks.store import Store

    folders = [plan.references[name].directory for name in plan.unread]
    are_here = all((folder / "dataset_info.json").exists() for folder in folders)
    if not folders or not are_here or sum(map(_num_bytes, folders)) > MOST_BYTES_READ:
        return plan
    from benchmarks.execution.running import with_data

    return with_data(plan, runs_dir, Store.find(runs_dir, store_url))


def _num_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _data_told(plan: Plan, name: str, runs_dir: Path) -> Iterator[str]:
    """What is to be said of a dataset, in sentences."""
    from benchmarks.data.dataset import open_prepared

    found = open_prepared(plan.references[name], runs_dir)
    if found:
        yield f"It is trained on {len(found.train):,} examples, and tested on {len(found.test):,}: {found.test_split}."
        yield from found.notes
    elif name in plan.unread:
        yield "It is not read yet; `ablate run` does so first, and then knows which runs of this content are stored."


def new(name: Annotated[str, typer.Argument(help="Name of the suite; it is written to NAME.toml.")]) -> None:
    """Write a commented suite to start from."""
    from benchmarks.suite.format import NAME_PATTERN
    from benchmarks.suite.reading import parse_suite

    if not re.fullmatch(NAME_PATTERN, name):
        raise UserError(f"NAME: not a name of a suite\n  given:   {name}\n  allowed: letters, digits, _ and -")
    text = files("benchmarks.suite").joinpath("new_suite.toml").read_text(encoding="utf-8").format(name=name)
    parse_suite(text, f"ablate new {name}")
    path = Path(f"{name}.toml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(f"{path}: exists already; nothing was changed") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    say(f"wrote {path}; next: ablate plan {path}, then ablate run {path}")


def schema() -> None:
    """Print the JSON Schema of the suite format, for editors that complete and check TOML."""
    from benchmarks.suite.schema import suite_schema

    print_json(suite_schema())


def _plan_as_json(plan: Plan) -> dict[str, Any]:
    return {
        "suite": plan.suite.name,
        "design": plan.suite.chosen_design.model_dump(),
        "estimable": asdict(plan.estimable),
        "cautions": plan.cautions,
        "claims": [claim.statement for claim in plan.suite.claims],
        "datasets": dict(plan.versions),
        "seeds": list(plan.seeds),
        "runs": {"total": len(plan.all_runs), **plan.counts},
        "search": None
        if plan.suite.search is None
        else {"groups": len(plan.groups), "searched": len(plan.groups) - len(plan.open_groups)},
        "path": None if plan.path_to_find is None else _path_as_json(plan, plan.path_to_find),
        "cells": [{"dataset": cell.dataset, "levels": dict(cell.levels)} for cell in plan.cells],
    }


def _path_told(plan: Plan, path: FoundPath) -> str:
    from benchmarks.plan.path import changes_taken

    if path.key not in plan.searches:
        # One for each factor, of which the first is among the changes alone.
        more = (len(plan.suite.factors) - 1) * len(plan.suite.datasets) * len(plan.seeds)
        return (
            f"path: to be found by {path.objective} on seeds {', '.join(map(str, path.seeds))}, with at most "
            f"{path.most_runs} runs; then at most {more} runs along it beside those above"
        )
    return f"path: found by {path.objective}: {path_text(changes_taken(plan.searches[path.key].chosen))}"


def _path_as_json(plan: Plan, path: FoundPath) -> dict[str, Any]:
    from benchmarks.plan.path import changes_taken

    found = plan.searches.get(path.key)
    return {
        "objective": path.objective,
        "seeds": path.seeds,
        "at_most_runs": path.most_runs,
        "changes": None if found is None else [list(change) for change in changes_taken(found.chosen)],
    }


CELLS_SHOWN = 40


def _cell_table(plan: Plan) -> Any:
    per_cell = len(plan.seeds)
    rows = []
    for index, cell in enumerate(plan.cells[:CELLS_SHOWN]):
        cell_runs = plan.runs[index * per_cell : (index + 1) * per_cell]
        done = sum(plan.statuses.get(run.key) == "done" for run in cell_runs)
        rows.append(with_levels({"dataset": cell.dataset, "done": f"{done}/{per_cell}"}, cell.levels))
    table = row_table(rows)
    if len(plan.cells) > CELLS_SHOWN:
        table.caption = f"... and {len(plan.cells) - CELLS_SHOWN} more cells; --json lists all"
    return table
