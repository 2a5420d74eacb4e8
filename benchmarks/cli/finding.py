"""Suite that is meant on the command line: found by name or path."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.errors import UserError

if TYPE_CHECKING:
    from benchmarks.plan.plan import Plan
    from benchmarks.plan.study import Study
    from benchmarks.store import Registration, Store


def plan_of(suite: str, runs_dir: Path, store_url: str | None, data_dir: Path | None, seeds: int | None) -> Plan:
    """Plan a suite by its file or its shipped name."""
    from benchmarks.data.catalog import default_data_dir
    from benchmarks.plan.plan import make_plan

    return make_plan(suite_path(suite), runs_dir, data_dir or default_data_dir(), seeds, store_url)


def suite_path(suite: str) -> Path:
    """The file itself, or the shipped suite of that name."""
    from zoo.settings import Problem, nearest

    path = Path(suite)
    if path.is_file() or not suite.isidentifier():
        return path
    shipped = {each.stem: each for each in Path(str(files("benchmarks.suite").joinpath("suites"))).glob("*.toml")}
    if suite not in shipped:
        allowed = f"a suite file, or one of {', '.join(sorted(shipped))}"
        closest = nearest(suite, [*shipped, *(str(each) for each in Path().glob("*.toml"))])
        message = "no such file, and no shipped suite of this name"
        raise UserError(str(Problem("SUITE", message, suite, allowed, closest)))
    return shipped[suite]


def registered_suite(suite: str, store: Store) -> Registration:
    """A suite as it was last run into a store, by its name or its file."""
    from benchmarks.suite.reading import parse_suite, read_suite_text
    from zoo.settings import Problem, nearest

    names = [each.name for each in store.registrations()]
    name = suite
    if suite not in names and Path(suite).is_file():
        name = parse_suite(read_suite_text(Path(suite)), suite).name
    found = store.registration(name)
    if found is None:
        allowed = ", ".join(names) or "none: `ablate run SUITE` runs one"
        message = f"no such suite was run into {store.place}"
        raise UserError(str(Problem("SUITE", message, suite, allowed, nearest(name, names))))
    return found


def registered_study(suite: str, store: Store) -> Study:
    """The same as the study that it was last run as."""
    from benchmarks.plan.study import Study

    return Study.registered(registered_suite(suite, store), store)
