"""What is wrong with a search that somebody described, told so that they can mend it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a search space or with how it is to be searched."""

    path: str
    """As it would be written in TOML, such as `"train.learning_rate".log`."""
    message: str
    """What is wrong, as a clause."""
    given: str | None = None
    allowed: str | None = None
    nearest: str | None = None
    """The allowed thing that is closest to what was given."""

    def __str__(self) -> str:
        """One paragraph for a person: where, what, given, allowed, nearest."""
        lines = [f"{self.path}: {self.message}" if self.path else self.message]
        details = (("given", self.given), ("allowed", self.allowed), ("nearest", self.nearest))
        lines += [f"  {label + ':':9}{text}" for label, text in details if text is not None]
        return "\n".join(lines)


class TuningError(ValueError):
    """A search that cannot be run as described; `problems` holds each thing that is wrong."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it goes to another process: by its problems, and not by its text."""
        return type(self), (self.problems,)


def unknown(path: str, kind: str, given: object, allowed: Iterable[str]) -> Problem:
    """The problem of a name that is none of those allowed."""
    names = list(allowed)
    return Problem(path, f"no such {kind}", str(given), ", ".join(names), _nearest(str(given), names))


def _nearest(given: str, names: Iterable[str]) -> str | None:
    """The name that is closest, whatever its case; of those that are equally alike, the one that begins as it does."""
    by_lower, wanted = {name.lower(): name for name in names}, given.lower()

    def closeness(name: str) -> tuple[float, int]:
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(name, wanted, strict=False))
        return difflib.SequenceMatcher(None, name, wanted).ratio(), len(list(alike))

    found = difflib.get_close_matches(wanted, by_lower, n=5, cutoff=0.5)
    return by_lower[max(found, key=closeness)] if found else None


def dotted(*parts: str) -> str:
    """A path as it would be written in TOML: `"train.momentum".when`."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else json.dumps(part) for part in parts)


def as_written(value: object) -> str:
    """A value as it would be written in a suite, cut off where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # no JSON: a date, say, or a number of thousands of digits
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
