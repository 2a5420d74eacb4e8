"""How numbers and text are written in every table of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from benchmarks.analysis.estimates import Estimate

NOTHING = "–"
"""Stands where there is no number."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_MARKDOWN = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")


def percent(share: float | None) -> str:
    """A share of 1 as a percentage with two decimals, without its sign: 0.96389 is `96.39`."""
    return NOTHING if share is None or math.isnan(share) else _with_minus(f"{100 * share:.2f}")


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign: -0.0123 is `−1.23`."""
    if difference is None or math.isnan(difference):
        return NOTHING
    text = _with_minus(f"{100 * difference:+.2f}")
    return "0.00" if text[1:] == "0.00" else text


def decimal(value: float | None) -> str:
    """A number with two decimals and, where it is negative, a true minus."""
    return NOTHING if value is None or math.isnan(value) else _with_minus(f"{value:.2f}")


def whole(number: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    return NOTHING if number is None else f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent_interval(found: Estimate) -> str:
    """The interval of a mean share, in per cent."""
    return f"{percent(found.ci_low)} to {percent(found.ci_high)}" if found.state == "interval" else NOTHING


def points_interval(found: Estimate) -> str:
    """The interval of a mean difference, in percentage points."""
    return f"{points(found.ci_low)} to {points(found.ci_high)}" if found.state == "interval" else NOTHING


def percent_list(shares: Iterable[float]) -> str:
    """Raw values in per cent, side by side."""
    return ", ".join(percent(share) for share in shares) or NOTHING


def points_list(differences: Iterable[float]) -> str:
    """Raw differences in percentage points, side by side."""
    return ", ".join(points(difference) for difference in differences) or NOTHING


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 seed`, `5 seeds`."""
    return f"{whole(number)} {noun}{'' if number == 1 else 's'}"


def short(text: str, length: int) -> str:
    """Text on one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def markdown(text: object) -> str:
    """Text that shows as it is in Markdown, on one line, also in the cell of a table."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda found: "\\" + found[0], line)


def spreadsheet_text(value: object) -> object:
    """A cell of a CSV file that no spreadsheet takes for a formula; numbers, also written as text, stay as they are."""
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")) and not _NUMBER.fullmatch(value):
        return "'" + value
    return value


def _with_minus(text: str) -> str:
    text = text if text.strip("-0.") else text.removeprefix("-")
    return text.replace("-", "−")
