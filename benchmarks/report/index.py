"""The page over all suites of a runs folder: what each asks, how much of it has run, and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from benchmarks.errors import UserError
from benchmarks.files import replaced
from benchmarks.labels import counted, whole
from benchmarks.plan.study import NOT_UNDERSTOOD, Study
from benchmarks.report.claims import CLAIMS_FILE, CLAIMS_FORMAT
from benchmarks.report.render.html import VERDICT_FRAMES, filled
from benchmarks.store import Registration, Store
from zoo.settings import SettingError

INDEX_FILE = "index.html"

MOST_CLAIMS = 20
"""Judgements of a suite that the page shows; the report has them all."""


@dataclass(frozen=True)
class IndexClaim:
    """A judgement of a claim, as the report of its suite has it."""

    statement: str
    dataset: str
    """Empty where the claim is about several at once, or there is one only."""
    word: str
    """The first word of the verdict, or "exploratory"."""
    kind: str
    """The second part of the verdict; empty where there is none."""

    @property
    def frame(self) -> str:
        """How the word is framed, as in a report."""
        return VERDICT_FRAMES.get(self.word, "dashed")


@dataclass(frozen=True)
class IndexEntry:
    """A suite of a runs folder."""

    name: str
    question: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Status -> number of runs; empty where the suite is not understood."""
    claims: tuple[IndexClaim, ...] = ()
    link: str = ""
    """Where its report is, seen from the page; empty where there is none."""
    problem: str = ""
    """Why something of it is not shown; empty where nothing is in the way."""

    @property
    def state(self) -> str:
        """How much of the plan has run, such as: 38 of 40 runs done; 1 diverged, 1 missing."""
        done = f"{whole(self.counts.get('done', 0))} of {counted(sum(self.counts.values()), 'run')} done"
        others = [f"{whole(number)} {status}" for status, number in self.counts.items() if number and status != "done"]
        return "; ".join(filter(None, (done, ", ".join(others))))


def index_entries(store: Store, study: Study | None = None) -> list[IndexEntry]:
    """Every suite that was run into a store, by name, with the verdicts that its report has.

    Args:
        store: which.
        study: one of these suites, where it was expanded already.

    Raises:
        StoreError: the store cannot be read.
    """
    return [_entry(registration, store, study) for registration in store.registrations()]


def index_page(entries: Sequence[IndexEntry]) -> str:
    """The page as HTML, without scripts, and without times of day: the same suites give the same bytes."""
    return filled("index.html.j2", entries=entries, most_claims=MOST_CLAIMS)


def write_index(store: Store, study: Study | None = None) -> Path:
    """Write index.html into the runs folder of a store.

    Args:
        store: which.
        study: one of its suites, where it was expanded already.

    Returns:
        Where it is.

    Raises:
        StoreError: the store cannot be read.
        UserError: the folder cannot be written.
    """
    path = store.folder / INDEX_FILE
    text = index_page(index_entries(store, study))
    try:
        with replaced(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise UserError(f"{path}: the index cannot be written: {error.strerror}") from None
    return path


def _entry(registration: Registration, store: Store, known: Study | None) -> IndexEntry:
    name, folder = registration.name, store.folder / registration.name
    link = f"{quote(name)}/report.html" if (folder / "report.html").is_file() else ""
    try:
        study = Study.registered(registration, store, known)
        entry = IndexEntry(name, study.suite.question, study.counts, link=link)
    except SettingError:
        return IndexEntry(name, link=link, problem=NOT_UNDERSTOOD)
    if not link:
        return replace(entry, problem="no report yet")
    if not study.suite.claims:
        return entry
    try:
        return replace(entry, claims=written_verdicts(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return replace(entry, problem=f"the verdicts cannot be read; `ablate report` of {name} writes them anew")


def written_verdicts(folder: Path) -> tuple[IndexClaim, ...]:
    """The judgements that a report in a folder has written down.

    Raises:
        OSError, ValueError, KeyError, TypeError, AttributeError: there is no such file, or it is another one.
    """
    written = json.loads((folder / CLAIMS_FILE).read_text(encoding="utf-8"))
    if written["format"] != CLAIMS_FORMAT:
        raise ValueError("of another format")
    found = []
    for claim in written["claims"]:
        for each in claim["judgements"]:
            dataset = (each["dataset"] or "") if len(claim["judgements"]) > 1 else ""
            verdict = each["verdict"] or {"word": "exploratory", "kind": ""}
            found.append(IndexClaim(claim["statement"], dataset, verdict["word"], verdict["kind"]))
    return tuple(found)
