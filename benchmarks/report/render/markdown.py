"""Blocks as Markdown, without figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.report import blocks
from benchmarks.report.blocks import Block, Part, Table, Text
from benchmarks.report.formatting import markdown
from benchmarks.report.render.text import text_of, with_groups
from benchmarks.report.report import Report
from benchmarks.report.section import Section

_HARMLESS = re.compile(r"[\w .,:;=()/\[\]-]+")
"""What can stand in a span of code, also in a table."""


_MARKS = {"check": "check: "}
"""What the first cell of a row begins with that is set apart by its looks elsewhere."""


def markdown_page(report: Report, sections: Iterable[tuple[Section, Sequence[Block]]]) -> str:
    """A report as Markdown."""
    parts = [f"# Ablation report: {markdown(report.study.name)}"]
    parts += [f"Question: {markdown(report.study.suite.question)}"] if report.study.suite.question else []
    parts += [
        markdown(report.state),
        markdown_text((*report.standing, " The figures are in ", blocks.Code("report.html"), ".")),
    ]
    for section, built in sections:
        if not section.is_drawn:
            parts += [f"## {section.title}", markdown_blocks(built)]
    return "\n\n".join(parts) + "\n"


def markdown_blocks(blocks: Iterable[Block]) -> str:
    """Blocks one below the other."""
    return "\n\n".join(filter(None, map(_set, blocks)))


def markdown_text(text: Text) -> str:
    """Text with its marks, on one line."""
    return "".join(map(_part, (text,) if isinstance(text, str) else text)).strip()


def _part(part: Part) -> str:
    match part:
        case blocks.Code(text):
            return f"`{text}`" if _HARMLESS.fullmatch(text) else markdown(text)
        case blocks.Strong(text):
            return f"**{markdown(text)}:**"
        case blocks.Index(symbol, index):
            return markdown(f"{symbol}_{index}")
        case blocks.Tag(text):
            return f" ({markdown(text)})"
        case blocks.Word(text):
            return f"**{markdown(text)}:** "
        case _:
            # Blanks at its ends part it from what stands beside it.
            return f"{' ' * part.startswith(' ')}{markdown(part)}{' ' * (part != ' ' and part.endswith(' '))}"


def _set(block: Block) -> str:
    match block:
        case blocks.Paragraph(text):
            return markdown_text(text)
        case blocks.Heading(text, level):
            return f"{'#' * level} {markdown_text(text)}"
        case blocks.Bullets(items):
            return "\n".join(f"- {markdown_text(item)}" for item in items)
        case blocks.Facts(items):
            return "\n".join(f"- {markdown(name)}: {markdown_text(text)}" for name, text in items)
        case blocks.Source(text, language):
            fence = "```"
            while fence in text:
                fence += "`"
            return f"{fence}{language}\n{text.rstrip()}\n{fence}"
        case blocks.Plots():
            return markdown_blocks(block.instead)
        case blocks.Card(title, parts):
            return f"### {markdown(title)}\n\n{markdown_blocks(parts)}"
        case Table():
            return _table(block)
        case blocks.File():
            return ""


def _table(table: Table[Any]) -> str:
    if not table.is_on_pages:
        return ""
    columns = with_groups(table).columns
    heads = [markdown_text(column.head) for column in columns]
    rules = ["---:" if column.is_number else "---" for column in columns]
    rows = [[markdown_text(text_of(column.cell(item))) for column in columns] for item in table.rows]
    if table.marks:
        marks = ["".join(_MARKS.get(mark, "") for mark in table.marks(item)) for item in table.rows]
        rows = [[mark + first, *others] for mark, (first, *others) in zip(marks, rows, strict=True)]
    lines = "\n".join([_line(heads), f"|{'|'.join(rules)}|", *map(_line, rows)])
    told = markdown_text(table.caption)
    return f"{lines}\n\n{told}" if told else lines


def _line(cells: Iterable[str]) -> str:
    return "| " + "".join(f"{cell} | " if cell else "| " for cell in cells).rstrip()
