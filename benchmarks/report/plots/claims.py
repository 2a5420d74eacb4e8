"""Which claims hold: the difference of each with its interval, beside the margin that it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.analysis.judgements import JudgedClaim, JudgedClaims, Judgement
from benchmarks.analysis.verdicts import Evidence
from benchmarks.metrics import METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Plot
from benchmarks.report.formatting import Style, gain_title, sentences
from benchmarks.report.plots.common import LETTERS, LINE, WIDTH, bare, number_axis, padded, paged, paged_plots, wrapped
from benchmarks.report.svg import FIRST, INK, MUTED, PAPER, RULE, SECOND, draw

_MARK = 0.26
_BAND = 0.08
"""Half the height of the margin's shade, in inches."""
_GAP = 0.16


@dataclass(frozen=True)
class _Row:
    statement: tuple[str, ...]
    found: str
    evidence: Evidence
    word: str


def claim_metrics(judged: JudgedClaims) -> list[str]:
    """The metrics that claims are about, each of which has a plot of its own."""
    return list(dict.fromkeys(each.metric for _, each in judged.judgements))


def claims_forest(name: str, judged: JudgedClaims, metric: str, style: Style) -> tuple[Plot, ...]:
    """The difference that each claim about a metric is about, with its interval, its margin shaded, and the verdict."""
    rows = [_row(claim, each, style) for claim, each in judged.judgements if each.metric == metric]
    if not rows:
        return ()
    span = _limits(rows, style)
    pages = paged(rows, limits.MOST_JUDGEMENTS)
    note = sentences(
        "Shaded: differences within the margin, which do not matter; the upright lines are what is tested against.",
        f"Bars: {100 * (1 - judged.alpha_per_look):.4g} % t intervals, not widened for the number of claims, as the "
        "verdicts are.",
        "Filled circle: supported; cross: refuted; hollow circle: inconclusive; diamond: exploratory, without a "
        "verdict.",
        any(_is_raw(row) for row in rows) and "Small strokes: single seeds, where there is no interval.",
    )
    return paged_plots(
        name, "Which claims hold?", note, pages, lambda name, page: _page(name, page, metric, style, span)
    )


def _row(claim: JudgedClaim, judgement: Judgement, style: Style) -> _Row:
    where = f" (on {judgement.dataset})" if judgement.dataset and len(claim.judgements) > 1 else ""
    lines = wrapped(claim.statement + where, LETTERS, limits.MOST_STATEMENT_LINES)
    evidence, said = judgement.evidence, judgement.title
    whole = said
    if evidence.state == "interval":
        whole = f"{said}, {style.difference(evidence.mean)} ({style.differences.interval(evidence)})"
    elif evidence.state == "degenerate":
        whole = f"{said}, {style.difference(evidence.mean)}, all equal"
    return _Row(tuple(lines), whole if len(whole) <= LETTERS else said, evidence, judgement.word)


def _is_raw(row: _Row) -> bool:
    return row.evidence.state == "raw values"


def _limits(rows: Sequence[_Row], style: Style) -> tuple[float, float]:
    ends = [0.0]
    for row in rows:
        found = row.evidence
        ends += [-found.margin, found.margin, found.ci_low, found.ci_high, found.mean]
        ends += found.differences if _is_raw(row) else ()
    return padded([style.factor * end for end in ends])


def _page(name: str, rows: Sequence[_Row], metric: str, style: Style, span: tuple[float, float]) -> Markup:
    heights = [LINE * (len(row.statement) + 1) + _MARK + _GAP for row in rows]
    bottom = 0.48
    height = sum(heights) + bottom

    def paint(figure: Figure) -> None:
        axes = figure.add_axes((0.02, bottom / height, 0.96, 1 - bottom / height))
        axes.set(xlim=span, ylim=(sum(heights), 0))
        top = 0.0
        for row, room in zip(rows, heights, strict=True):
            _paint_row(axes, row, top, style.factor, span)
            top += room
        bare(axes)
        axes.grid(visible=False)
        axes.set_xlabel(gain_title(METRICS[metric], style))
        number_axis(axes, "x", most=6, sign="+")

    return draw(name, "Difference of each claim with its interval and its margin", WIDTH, height, paint)


def _paint_row(axes: Axes, row: _Row, top: float, factor: int, span: tuple[float, float]) -> None:
    beside = axes.get_yaxis_transform()
    blank = LINE * len(row.statement)
    for number, line in enumerate(row.statement):
        axes.text(0, top + LINE * (number + 0.6), line, transform=beside, va="center", weight="bold")
    axes.text(0, top + blank + _MARK + LINE * 0.5, row.found, transform=beside, va="center", color=MUTED)
    middle = top + blank + _MARK / 2
    evidence = row.evidence
    margin = factor * evidence.margin
    corner = (-margin, middle - _BAND)
    axes.add_patch(Rectangle(corner, 2 * margin, 2 * _BAND, facecolor=RULE, alpha=0.7, linewidth=0, zorder=1.5))
    ends = [middle - _BAND, middle + _BAND]
    axes.plot([0, 0], ends, color=MUTED, linewidth=0.8, zorder=2)
    axes.plot(span, [middle] * 2, color=RULE, linewidth=0.6, zorder=1)
    kinds = {"superiority": (1,), "non_inferiority": (-1,), "equivalence": (-1, 1)}
    for side in kinds[evidence.kind]:
        axes.plot([side * margin] * 2, ends, color=INK, linewidth=1, zorder=2)
    _paint_mark(axes, row, middle, factor)


def _paint_mark(axes: Axes, row: _Row, middle: float, factor: int) -> None:
    evidence = row.evidence
    colour, marker, filled = {
        "supported": (FIRST, "o", True),
        "refuted": (SECOND, "X", True),
        "inconclusive": (INK, "o", False),
        "exploratory": (MUTED, "D", False),
    }[row.word]
    if _is_raw(row):
        values = [factor * value for value in evidence.differences]
        axes.plot(values, [middle] * len(values), "|", color=colour, markersize=8, markeredgewidth=1.4, zorder=4)
    elif evidence.state in ("interval", "degenerate"):
        if evidence.state == "interval":
            ends = [factor * evidence.ci_low, factor * evidence.ci_high]
            axes.plot(ends, [middle] * 2, color=colour, linewidth=1.8, zorder=3)
        face = colour if filled else PAPER
        axes.plot(
            [factor * evidence.mean], [middle], marker, color=colour, markerfacecolor=face, markersize=6, zorder=4
        )
