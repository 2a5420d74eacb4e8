"""Tuned suite: written with the settings that its search has found in place of the search."""

from __future__ import annotations

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import UserError
from benchmarks.plan.groups import tuned_tables
from benchmarks.plan.plan import Plan
from benchmarks.search.loop import TrialRecord, best_of
from benchmarks.store import StoredSearch
from benchmarks.suite.reading import parse_suite
from benchmarks.suite.search import SEARCH_PREFIX, SearchTable, Tuned

_HEADER = re.compile(r"^\s*\[{1,2}\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')\s*(\..*)?\]{1,2}\s*(#.*)?$")
_LONGEST_NAME = 64


@dataclass(frozen=True)
class Written:
    """What was written of what a search has found."""

    path: Path | None
    """Of the suite; None where nothing was found for any group, so that there is none."""
    name: str
    tuned: list[Tuned]
    is_complete: bool
    """Whether something was found for every group."""

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        return {
            "suite": self.name,
            "file": None if self.path is None else str(self.path),
            "tuned": [each.model_dump(mode="json") for each in self.tuned],
        }


class TunedSuite:
    """The suite that is to be written; whether that can be done is seen before anything is trained.

    Args:
        plan: of the suite with the search.
        output: the file; by default it is named after the suite.

    Raises:
        UserError: the suite searches nothing, its levels change the search, the file exists already or cannot be
            written, or the search cannot be taken out of the text.
    """

    def __init__(self, plan: Plan, output: Path | None):
        suite = plan.suite
        if suite.search is None:
            raise UserError(f"{plan.path}: nothing to tune: it has no [search]; `ablate new` writes one in a comment")
        if differing := [name for name, levels in suite.factors.items() if _changes_search(levels)]:
            raise UserError(
                f"{plan.path}: factors.{differing[0]}: its levels differ in how they are tuned, which a suite without "
                "a search cannot say; `ablate run` searches, trains and compares them"
            )
        self.name = f"{suite.name[: _LONGEST_NAME - len('_tuned')]}_tuned"
        self.path = output or Path(f"{self.name}.toml")
        if self.path.exists():
            raise UserError(f"{self.path}: exists already; nothing was changed. --output names another file")
        if not (self.path.parent.is_dir() and os.access(self.path.parent, os.W_OK)):
            allowed = "a file in an existing folder that can be written"
            raise UserError(f"--output: not a place for a suite\n  given:   {self.path}\n  allowed: {allowed}")
        self._text = _without_search(plan.text, suite.name, self.name)
        expected = {key: value for key, value in tomllib.loads(plan.text).items() if key != "search"}
        if _parsed(self._text) != expected | {"name": self.name}:
            raise UserError(
                f"{plan.path}: [search] cannot be taken out of this text; write it as tables of its own, [search] and "
                "[search.space], at the end"
            )

    def write(self, plan: Plan) -> Written:
        """Write the suite with what the search of the plan, which has ended, has found, if that is something.

        Raises:
            UserError: the file cannot be written, or exists by now.
        """
        tuned = tuned_tables(plan.suite, plan.groups, plan.searches)
        if not tuned:
            return Written(None, self.name, tuned, is_complete=False)
        tables = {group.key: group.table for group in plan.groups}
        entries = [_as_toml(each, _told(tables[each.search], plan.searches[each.search])) for each in tuned]
        text = "\n".join([self._text.rstrip("\n"), "", *entries])
        parse_suite(text, str(self.path))
        try:
            with self.path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise UserError(f"{self.path}: exists already; nothing was changed") from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
        return Written(self.path, self.name, tuned, len(tuned) == len(plan.groups))


def _changes_search(levels: Any) -> bool:
    bundles = levels.values() if isinstance(levels, dict) else ()
    return any(path.startswith(SEARCH_PREFIX) for bundle in bundles for path in bundle)


def _without_search(text: str, old_name: str, new_name: str) -> str:
    """The text of a suite with another name, and without its search; comments stay where they are."""
    kept: list[str] = []
    table = ""
    for line in text.split("\n"):
        header = _HEADER.match(line)
        if header:
            table = header.group(1).strip("\"'")
        if table == "search" or (not table and re.match(r"\s*search\s*[.=]", line)):
            continue
        if not table and re.match(r"\s*[\"']?name[\"']?\s*=", line):
            line = re.sub(rf"([\"']){re.escape(old_name)}\1", _value(new_name), line, count=1)
        kept.append(line)
    return "\n".join(kept)


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _told(table: SearchTable, search: StoredSearch) -> str:
    """Where an entry comes from, for people."""
    best = best_of((TrialRecord(**trial) for trial in search.trials), table.direction)
    assert best is not None  # else nothing was chosen
    seeds = ", ".join(map(str, table.seeds))
    return (
        f"{table.strategy}, {len(search.trials)} trials, {table.objective} {best.score:.6g} over seeds {seeds}; "
        f"ended {search.finished_at}"
    )


def _as_toml(tuned: Tuned, told: str) -> str:
    """One entry of `tuned`, below a comment."""
    lines = [f"# {told}", "[[tuned]]"]
    if tuned.dataset is not None:
        lines.append(f"dataset = {_value(tuned.dataset)}")
    if tuned.where:
        lines.append(f"where = {_inline(tuned.where)}")
    lines += [f"settings = {_inline(tuned.settings)}", f"trials = {tuned.trials}", f"search = {_value(tuned.search)}"]
    return "\n".join([*lines, ""])


def _inline(table: dict[str, Any]) -> str:
    return "{ " + ", ".join(f"{_value(key)} = {_value(value)}" for key, value in table.items()) + " }"


def _value(value: Any) -> str:
    """A value as TOML has it: as JSON does, for text, numbers, truth values and lists of them."""
    # TOML has no surrogate pairs, and escapes one character more.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
