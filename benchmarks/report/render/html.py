"""Blocks as HTML: one page without scripts or references."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.report.blocks import (
    COVERED,
    Block,
    Bullets,
    Card,
    Cell,
    Code,
    Column,
    Facts,
    File,
    Heading,
    Index,
    Paragraph,
    Part,
    Plot,
    Plots,
    Source,
    Spanning,
    Strong,
    Table,
    Tag,
    Text,
    Word,
)
from benchmarks.report.render.text import plain, text_of
from benchmarks.report.report import Report
from benchmarks.report.section import Section

VERDICT_FRAMES: Mapping[str, str] = {
    "supported": "filled",
    "refuted": "crossed",
    "inconclusive": "plain",
    "exploratory": "dashed",
}
"""Word of a verdict -> how it is framed."""


def html_page(report: Report, sections: Iterable[tuple[Section, Sequence[Block]]]) -> str:
    """A report as one HTML file."""
    environment = Environment(
        loader=PackageLoader("benchmarks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    bodies = [(section, html_blocks(blocks)) for section, blocks in sections]
    return environment.get_template("report.html.j2").render(
        report=report, standing=html_text(report.standing), sections=bodies
    )


def html_blocks(blocks: Iterable[Block]) -> Markup:
    """Blocks one below the other."""
    return Markup("\n").join(filter(None, (_SETTERS[type(block)](block) for block in blocks)))


def html_text(text: Text) -> Markup:
    """Text with its marks."""
    return Markup("").join(map(_part, (text,) if isinstance(text, str) else text))


def _part(part: Part) -> Markup:
    match part:
        case Code(text):
            return Markup("<code>{}</code>").format(text)
        case Strong(text):
            return Markup("<b>{}</b>").format(text)
        case Index(symbol, index):
            return Markup("{}<sub>{}</sub>").format(symbol, index)
        case Tag(text, warns):
            return Markup(' <span class="tag{}">{}</span>').format(" warn" if warns else "", text)
        case Word(text):
            return Markup('<span class="word {}">{}</span>').format(VERDICT_FRAMES[text], text)
        case _:
            return escape(part)


def _paragraph(block: Paragraph) -> Markup:
    text = html_text(block.text)
    kind = Markup("") if block.kind == "prose" else Markup(' class="{}"').format(block.kind)
    return Markup("<p{}>{}</p>").format(kind, text) if text else text


def _heading(block: Heading) -> Markup:
    return Markup("<h{0}>{1}</h{0}>").format(block.level, html_text(block.text))


def _bullets(block: Bullets) -> Markup:
    items = Markup("\n").join(Markup("<li>{}</li>").format(html_text(item)) for item in block.items)
    return Markup("<ul>\n{}\n</ul>").format(items)


def _facts(block: Facts) -> Markup:
    pattern = "<div><dt>{}</dt><dd>{}</dd></div>" if block.are_many else "<dt>{}</dt><dd>{}</dd>"
    items = Markup("\n").join(Markup(pattern).format(name, html_text(text)) for name, text in block.items)
    frame = '<div class="columns"><dl>\n{}\n</dl></div>' if block.are_many else "<dl>\n{}\n</dl>"
    return Markup(frame).format(items)


def _source(block: Source) -> Markup:
    return Markup('<pre tabindex="0"><code>{}</code></pre>').format(block.text)


def _plots(block: Plots) -> Markup:
    told = _paragraph(Paragraph(block.caption, "caption"))
    if not block.plots:
        return told
    if block.size == "wide":
        frame = Markup('<div class="forest" tabindex="0" role="group" aria-label="Forest plot">{}</div>')
        plots = Markup("\n").join(frame.format(plot.svg) for plot in block.plots)
    else:
        panels = Markup("\n").join(map(_plot, block.plots))
        plots = Markup('<div class="panels {}">\n{}\n</div>').format(block.size, panels)
    return plots + Markup("\n") + told if told else plots


def _plot(plot: Plot) -> Markup:
    note = _paragraph(Paragraph(plot.note, "caption"))
    title = html_text(plot.title)
    return Markup("<figure><figcaption>{}</figcaption>\n{}{}</figure>").format(title, plot.svg, note and "\n" + note)


def _card(block: Card) -> Markup:
    blocks = (_table(each, stacks=True) if isinstance(each, Table) else html_blocks([each]) for each in block.blocks)
    body = Markup("\n").join(filter(None, blocks))
    return Markup('<article class="card">\n<h3>{}</h3>\n{}\n</article>').format(block.title, body)


def _table(table: Table[Any], *, stacks: bool = False) -> Markup:
    """A table.

    Args:
        table: which.
        stacks: whether its rows become small cards on a narrow page, where each cell has its head beside it.
    """
    if not table.is_on_pages:
        return Markup("")
    body = Markup("\n").join(
        Markup("<tbody>\n{}{}\n</tbody>").format(
            _group_head(table, head), Markup("\n").join(_row(table, item, stacks=stacks) for item in items)
        )
        for head, items in itertools.groupby(table.rows, table.group or (lambda _: ""))
    )
    frame = Markup(
        '<div class="wide{}" tabindex="0" role="group" aria-label="{}">\n<table>\n{}{}\n</table>\n</div>'
    ).format(" grouped" if table.group else "", table.title, _heads(table.columns), body)
    told = _paragraph(Paragraph(table.caption, "caption"))
    return frame + Markup("\n") + told if told else frame


def _heads(columns: Sequence[Column[Any]]) -> Markup:
    if not any(column.head for column in columns):
        return Markup("")
    heads = Markup("").join(
        Markup("<th{}>{}</th>").format(_class_of(column), html_text(column.head)) for column in columns
    )
    return Markup("<thead><tr>{}</tr></thead>\n").format(heads)


def _group_head(table: Table[Any], head: Text) -> Markup:
    if not table.group:
        return Markup("")
    return Markup('<tr class="group"><th colspan="{}" scope="rowgroup">{}</th></tr>\n').format(
        len(table.columns), html_text(head)
    )


def _row(table: Table[Any], item: Any, *, stacks: bool) -> Markup:
    mark = " ".join(table.marks(item)) if table.marks else ""
    cells = Markup("").join(_cell(column, column.cell(item), stacks=stacks) for column in table.columns)
    return Markup("<tr{}>{}</tr>").format(Markup(' class="{}"').format(mark) if mark else "", cells)


def _cell(column: Column[Any], cell: Cell, *, stacks: bool) -> Markup:
    if cell is COVERED:
        return Markup("")
    label = Markup(' data-label="{}"').format(plain(column.head)) if stacks else Markup("")
    span = Markup(' colspan="{}"').format(cell.columns) if isinstance(cell, Spanning) else Markup("")
    return Markup("<td{}{}{}>{}</td>").format(_class_of(column), label, span, html_text(text_of(cell)))


def _class_of(column: Column[Any]) -> Markup:
    kind = "n" if column.is_number else "" if column.wraps == "never" else column.wraps
    return Markup(' class="{}"').format(kind) if kind else Markup("")


def _file(_: File) -> Markup:
    return Markup("")


_SETTERS: Mapping[type, Callable[[Any], Markup]] = {
    Paragraph: _paragraph,
    Heading: _heading,
    Bullets: _bullets,
    Facts: _facts,
    Source: _source,
    Plots: _plots,
    Card: _card,
    Table: _table,
    File: _file,
}
