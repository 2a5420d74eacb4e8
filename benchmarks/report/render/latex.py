r"""Tables in LaTeX, with booktabs, to be read by `\input` into a paper.

All text is escaped. What pdfTeX has no character for by itself (letters beyond Latin ones) needs LuaLaTeX or XeLaTeX.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from benchmarks.labels import THIN_SPACE
from benchmarks.report import limits
from benchmarks.report.blocks import Column, Table
from benchmarks.report.render.text import names_of, plain, text_of, with_groups

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row these would be taken for its options.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    '"': "{''}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "²": r"\textsuperscript{2}",
    "ω": r"\ensuremath{\omega}",
    "…": r"\ldots{}",
    "–": "{--}",
    "—": "{---}",
    "‘": "{`}",
    "’": "{'}",
    "“": "{``}",
    "”": "{''}",
    THIN_SPACE: r"\,",
    "\N{NO-BREAK SPACE}": "~",
}

_WIDTHS = {"words": 0.24, "sentences": 0.3}
"""Shares of a line that a column of longer text takes."""

_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=[!?`])(?=`)|(?<=,)(?=,)")
"""Between characters that would become one other character."""


def latex_text(text: object) -> str:
    """Text that LaTeX sets as it is, on one line: nothing in it is a command, and nothing ends a cell or a row."""
    line = " ".join(str(text).split())
    kept = "".join(character for character in line if character.isprintable() or character in _ESCAPES)
    parts = _LIGATURE.split(kept)
    return "{}".join("".join(_ESCAPES.get(character, character) for character in part) for part in parts)


def latex_table(table: Table[Any]) -> str:
    """A table between rules of booktabs, headed by the packages that it needs: a bare `tabular`, or a `longtable`."""
    columns = with_groups(table).columns
    is_long = len(table.rows) > limits.MOST_LATEX_ROWS
    packages = ["array", "booktabs", *(["longtable"] if is_long else [])]
    heading = "".join(f"% \\usepackage{{{package}}}\n" for package in packages)
    if not table.rows:
        return f"{heading}% There is nothing to show.\n"
    frame = pd.DataFrame([[latex_text(plain(text_of(column.cell(item)))) for column in columns] for item in table.rows])
    frame.columns = pd.Index(list(map(latex_text, names_of(columns))))
    text = frame.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="".join(map(_format, columns)),
        environment="longtable" if is_long else None,
    )
    return f"{heading}% {latex_text(table.note)}\n{text}"


def _format(column: Column[Any]) -> str:
    if column.wraps != "never":
        return rf">{{\raggedright\arraybackslash}}p{{{_WIDTHS[column.wraps]}\linewidth}}"
    return "r" if column.is_number else "l"
