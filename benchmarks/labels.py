"""How the levels of cells stand in tables: one rule for all that is shown and written."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

NOTHING = "–"
"""Stands where there is no number."""

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"

LEVEL = "level:"
"""Begins the name of a level's column where its factor is called as another column of the table; none of those begins
so."""


def column_of(factor: str, others: Container[str]) -> str:
    """What the column of a factor's levels is called beside other columns; no other one has that name."""
    return f"{LEVEL}{factor}" if factor in others or factor.startswith(LEVEL) else factor


def with_levels(row: Mapping[str, Any], levels: Mapping[str, str | None]) -> dict[str, Any]:
    """A row of a table, with the levels of its cell after its dataset."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        found[name] = value
        if name == "dataset":
            found |= {column_of(factor, row): level for factor, level in levels.items()}
    return found


def level_label(level: object) -> str:
    """How a level is written in tables: as in TOML, text without its quotes."""
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, float):
        return repr(level).removesuffix(".0")
    if isinstance(level, list):
        return "[" + ", ".join(level_label(item) for item in level) + "]"
    return str(level)


def whole(number: int | None) -> str:
    """A whole number with thin spaces between thousands."""
    return NOTHING if number is None else f"{number:,}".replace(",", THIN_SPACE)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 seed`, `5 seeds`."""
    return f"{whole(number)} {noun}{'' if number == 1 else 's'}"
