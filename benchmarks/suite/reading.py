"""Reads suite files."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable
from datetime import date, time
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.suite.suite import Suite
from zoo.settings import Problem, SettingError, as_written, dotted, nearest

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and newline, which terminals obey, and what turns the direction of the text after it."""


def parse_suite(text: str, source: str) -> Suite:
    """Check the text of a suite file.

    Args:
        text: the TOML.
        source: names the file in errors.

    Raises:
        UserError: it is no TOML.
        SettingError: what it says cannot be used; every problem found is listed, with its place.
    """
    try:
        values = tomllib.loads(text)
        problems = list(_odd_values((), values))
        if problems:
            raise SettingError(problems)
        return Suite(**values)
    except SettingError as error:
        raise error.within(source) from None
    except ValueError as error:  # a TOMLDecodeError, or a number of thousands of digits
        raise UserError(f"{source}: not a TOML file: {error}{_way_out(text, str(error))}") from None
    except RecursionError:
        raise UserError(f"{source}: tables or lists are nested too deeply") from None


_OF_OTHER_FORMATS = {
    "null": "TOML has no null: leave the key out, and its default counts",
    "none": "TOML has no None: leave the key out, and its default counts",
    "nil": "TOML has no nil: leave the key out, and its default counts",
    "true": "TOML has true in small letters",
    "false": "TOML has false in small letters",
    "yes": "TOML has true in its place",
    "no": "TOML has false in its place",
    "on": "TOML has true in its place",
    "off": "TOML has false in its place",
}
"""Words of Python, YAML and JSON, in small letters -> what to write."""


def _way_out(text: str, message: str) -> str:
    """What to write in place of a word at which TOML ends; nothing where there is none."""
    place = re.search(r"Invalid value \(at line (\d+), column (\d+)\)", message)
    if not place:
        return ""
    line = text.replace("\r\n", "\n").split("\n")[int(place[1]) - 1]
    word = re.match(r"[A-Za-z_][\w.-]*", line[int(place[2]) - 1 :])
    if not word:
        return ""
    remedy = _OF_OTHER_FORMATS.get(word[0].lower(), f'text needs quotes: "{word[0]}"')
    return f"\n  given:   {word[0]}\n  remedy:  {remedy}"


def read_suite_text(path: Path) -> str:
    """The text of a suite file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a TOML file: it is not UTF-8 text") from None
    except FileNotFoundError:
        siblings = [str(path.with_name(other.name)) for other in path.parent.glob("*.toml")]
        raise UserError(str(Problem(str(path), "no such file", nearest=nearest(path, siblings)))) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _odd_values(place: tuple[str | int, ...], value: object) -> Iterable[Problem]:
    """Values that TOML has and no setting takes: dates, infinities, whole numbers beyond 64 bits, and unseen text."""
    if isinstance(value, dict):
        for key, item in value.items():
            if _UNSEEN.search(key):
                yield Problem(
                    dotted(place), "a name with characters that are not shown", ascii(key)[:80], "names to read"
                )
            else:
                yield from _odd_values((*place, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_values((*place, index), item)
    elif isinstance(value, str) and _UNSEEN.search(value):
        yield Problem(dotted(place), "a text with characters that are not shown", ascii(value)[:80], "text to read")
    elif isinstance(value, date | time):
        yield Problem(dotted(place), "a date or time, which no setting takes", str(value))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(dotted(place), "not a finite number", str(value))
    elif isinstance(value, int) and abs(value) >= 2**63:
        yield Problem(dotted(place), "a number too large", as_written(value), "whole numbers of at most 63 bits")
