"""Blocks as HTML: one page without scripts or references."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.labels import counted, whole
from benchmarks.report import blocks
from benchmarks.report.blocks import Block, Cell, Part, Table, Text
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
    bodies = [(section, html_blocks(blocks)) for section, blocks in sections]
    return filled("report.html.j2", report=report, standing=html_text(report.standing), sections=bodies)


def filled(template: str, **values: Any) -> str:
    """A template of the report filled with values, whose text is escaped."""
    environment = Environment(
        loader=PackageLoader("benchmarks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"whole": whole, "counted": counted}
    return environment.get_template(template).render(values)


def html_blocks(blocks: Iterable[Block]) -> Markup:
    """Blocks one below the other."""
    return _lines(map(_set, blocks))


def html_text(text: Text) -> Markup:
    """Text with its marks."""
    return Markup("").join(map(_part, (text,) if isinstance(text, str) else text))


def _part(part: Part) -> Markup:
    match part:
        case blocks.Code(text):
            return Markup("<code>{}</code>").format(text)
        case blocks.Strong(text):
            return Markup("<b>{}</b>").format(text)
        case blocks.Index(symbol, index):
            return Markup("{}<sub>{}</sub>").format(symbol, index)
        case blocks.Tag(text, warns):
            return Markup(' <span class="tag{}">{}</span>').format(" warn" if warns else "", text)
        case blocks.Word(text):
            return Markup('<span class="word {}">{}</span>').format(VERDICT_FRAMES[text], text)
        case _:
            return escape(part)


def _set(block: Block) -> Markup:
    match block:
        case blocks.Paragraph():
            return _paragraph(block.text, block.kind)
        case blocks.Heading(text, level):
            return Markup("<h{0}>{1}</h{0}>").format(level, html_text(text))
        case blocks.Bullets(items):
            return Markup("<ul>\n{}\n</ul>").format(_lines(map(Markup("<li>{}</li>").format, map(html_text, items))))
        case blocks.Facts(items, are_many):
            pattern = "<div><dt>{}</dt><dd>{}</dd></div>" if are_many else "<dt>{}</dt><dd>{}</dd>"
            frame = '<div class="columns"><dl>\n{}\n</dl></div>' if are_many else "<dl>\n{}\n</dl>"
            return Markup(frame).format(_lines(Markup(pattern).format(name, html_text(text)) for name, text in items))
        case blocks.Source(text):
            return Markup('<pre tabindex="0"><code>{}</code></pre>').format(text)
        case blocks.Plots():
            return _plots(block)
        case blocks.Card(title, parts):
            body = _lines(_table(each, stacks=True) if isinstance(each, Table) else _set(each) for each in parts)
            return Markup('<article class="card">\n<h3>{}</h3>\n{}\n</article>').format(title, body)
        case Table():
            return _table(block)
        case blocks.File():
            return Markup("")


def _lines(parts: Iterable[Markup]) -> Markup:
    """Those of the parts that are not empty, one below the other."""
    return Markup("\n").join(filter(None, parts))


def _paragraph(text: Text, kind: str = "caption") -> Markup:
    told = html_text(text)
    return Markup("<p{}>{}</p>").format("" if kind == "prose" else _class(kind), told) if told else told


def _class(names: str) -> Markup:
    return Markup(' class="{}"').format(names) if names else Markup("")


def _plots(block: blocks.Plots) -> Markup:
    if not block.plots:
        return _paragraph(block.caption)
    if block.size == "wide":
        frame = Markup('<div class="forest" tabindex="0" role="group" aria-label="Forest plot">{}</div>')
        plots = _lines(frame.format(plot.svg) for plot in block.plots)
    else:
        plots = Markup('<div class="panels {}">\n{}\n</div>').format(block.size, _lines(map(_plot, block.plots)))
    return _lines((plots, _paragraph(block.caption)))


def _plot(plot: blocks.Plot) -> Markup:
    body = _lines((plot.svg, _paragraph(plot.note)))
    return Markup("<figure><figcaption>{}</figcaption>\n{}</figure>").format(html_text(plot.title), body)


def _table(table: Table[Any], *, stacks: bool = False) -> Markup:
    """A table.

    Args:
        table: which.
        stacks: whether its rows become small cards on a narrow page, where each cell has its head beside it.
    """
    if not table.is_on_pages:
        return Markup("")
    body = _lines(
        Markup("<tbody>\n{}{}\n</tbody>").format(
            _group_head(table, head), _lines(_row(table, item, stacks=stacks) for item in items)
        )
        for head, items in itertools.groupby(table.rows, table.group or (lambda _: ""))
    )
    frame = Markup(
        '<div class="wide{}" tabindex="0" role="group" aria-label="{}">\n<table>\n{}{}\n</table>\n</div>'
    ).format(" grouped" if table.group else "", table.title, _heads(table.columns), body)
    return _lines((frame, _paragraph(table.caption)))


def _heads(columns: Sequence[blocks.Column[Any]]) -> Markup:
    if not any(column.head for column in columns):
        return Markup("")
    cells = (Markup("<th{}>{}</th>").format(_class_of(column), html_text(column.head)) for column in columns)
    return Markup("<thead><tr>{}</tr></thead>\n").format(Markup("").join(cells))


def _group_head(table: Table[Any], head: Text) -> Markup:
    if not table.group:
        return Markup("")
    return Markup('<tr class="group"><th colspan="{}" scope="rowgroup">{}</th></tr>\n').format(
        len(table.columns), html_text(head)
    )


def _row(table: Table[Any], item: Any, *, stacks: bool) -> Markup:
    cells = Markup("").join(_cell(column, column.cell(item), stacks=stacks) for column in table.columns)
    return Markup("<tr{}>{}</tr>").format(_class(" ".join(table.marks(item)) if table.marks else ""), cells)


def _cell(column: blocks.Column[Any], cell: Cell, *, stacks: bool) -> Markup:
    if cell is blocks.COVERED:
        return Markup("")
    label = Markup(' data-label="{}"').format(plain(column.head)) if stacks else ""
    span = Markup(' colspan="{}"').format(cell.columns) if isinstance(cell, blocks.Spanning) else ""
    return Markup("<td{}{}{}>{}</td>").format(_class_of(column), label, span, html_text(text_of(cell)))


def _class_of(column: blocks.Column[Any]) -> Markup:
    return _class("n" if column.is_number else "" if column.wraps == "never" else column.wraps)
