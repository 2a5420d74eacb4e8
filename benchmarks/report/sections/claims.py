"""What the suite claimed before it was run, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.analysis.judgements import JudgedClaim, Judgement
from benchmarks.labels import counted
from benchmarks.report import limits
from benchmarks.report.blocks import (
    Block,
    Card,
    Column,
    File,
    Paragraph,
    Part,
    Plots,
    Strong,
    Table,
    Word,
    caption,
)
from benchmarks.report.claims import CLAIMS_FILE, ClaimContent, ClaimRow, Claims, Numbers, claims_json, is_open
from benchmarks.report.formatting import sentences, titled
from benchmarks.report.plots.claims import claim_metrics, claims_forest
from benchmarks.report.prose import SKEWED
from benchmarks.report.report import Report
from benchmarks.report.section import Section
from benchmarks.report.tables import left_out, number

CLAIMS_TEX = "claims.tex"


def build(report: Report) -> Iterable[Block]:
    """How claims are judged, what was found at each look, a card for each claim, and the claims side by side."""
    claims = report.claims
    if claims is None:
        return
    yield Paragraph(_rules(claims))
    if len(claims.looks) > 1:
        yield _looks(claims)
    for claim in claims.claims[: limits.MOST_CLAIMS]:
        yield Card(claim.statement, tuple(_said(claims, claim)))
    yield Paragraph(left_out(claims.claims, limits.MOST_CLAIMS, "claims", CLAIMS_FILE), "caption")
    yield Plots(
        tuple(
            plot
            for metric in claim_metrics(claims.judged)
            for plot in claims_forest(f"claims-{metric}", claims.judged, metric, claims.styles[metric])
        )
    )
    yield caption(
        "Seeds needed: for a verdict in 80 % of cases, if mean and spread stay as they are. Checks, in grey or named "
        "so, are single datasets, single levels, or without diverged runs; their p is not adjusted. They can take a "
        f"verdict away and never give one. {SKEWED}"
    )
    yield File(CLAIMS_FILE, claims_json(report.study.suite, claims, report.study.versions, report.seeds))
    yield claims_table(claims)


def _rules(claims: Claims) -> str:
    judged, standing = claims.judged, claims.standing
    return sentences(
        "A difference is oriented so that positive means better, and paired over the seeds. Its interval is a "
        f"{claims.confidence} t interval, for itself alone. A verdict takes {claims.least_seeds} seeds, a p below "
        f"{claims.alpha_per_look} after Holm’s correction over {counted(judged.family, 'registered judgement')}, and "
        "two tests that agree: one by sign flips, and a t test that allows for skewness.",
        f"{judged.looks} looks at the results were declared before the first, at {', '.join(map(str, standing.looks))} "
        f"seeds; this is number {judged.look}. Alpha = {claims.alpha} is divided evenly among them, so that stopping "
        "at any of them is fair."
        if judged.looks > 1
        else "",
        "What was added, edited or given other seeds after there were results is exploratory: it has no verdict, and "
        "its p is adjusted for false discoveries (Benjamini and Hochberg)."
        if standing.unregistered
        else "",
        f"{counted(len(standing.withdrawn), 'registered claim')} taken out, edited or registered anew after there were "
        "results still count in the correction."
        if standing.withdrawn
        else "",
    )


def _looks(claims: Claims) -> Block:
    def found(place: int) -> Column[tuple[str, list[str]]]:
        look = claims.looks[place]
        return Column(f"{look.number}: {look.n_seeds} seeds", lambda row: row[1][place], wraps="words")

    columns = [Column[tuple[str, list[str]]]("What was found at each look", lambda row: row[0], wraps="words")]
    columns += [found(place) for place in range(len(claims.looks))]
    return Table("Verdicts at each look", columns, claims.look_rows[: limits.MOST_CLAIMS])


def _said(claims: Claims, claim: ClaimContent) -> Iterator[Block]:
    about = [f"{titled(claim.metric.title, '')}, margin {claim.margin}", claim.kind, claim.across]
    yield caption(f"{claim.contrast}. {'; '.join(filter(None, about))}.")
    several = len(claim.rows) > 1
    for row in claim.rows:
        dataset: tuple[Part, ...] = (Strong(row.dataset), " ") if several and row.dataset else ()
        yield Paragraph((Word(row.word), *dataset, row.sentence), "verdict")
    yield _numbers(claims, claim.rows)
    for note in dict.fromkeys(row.check_note for row in claim.rows):
        yield caption(note)


@dataclass(frozen=True)
class _Line:
    numbers: Numbers
    is_check: bool


def _numbers(claims: Claims, rows: Iterable[ClaimRow]) -> Block:
    lines = [
        _Line(numbers, is_check)
        for row in rows
        for numbers, is_check in ((row.numbers, False), *((check, True) for check in row.checks))
    ]
    columns: list[Column[_Line]] = [
        Column("On", lambda line: line.numbers.name),
        number("Difference", lambda line: line.numbers.difference),
        number(f"{claims.confidence} interval", lambda line: line.numbers.interval),
        number("n", lambda line: line.numbers.n),
        number("p", lambda line: line.numbers.p),
        number("adjusted", lambda line: line.numbers.adjusted_p),
        Column("Verdict", lambda line: line.numbers.verdict, wraps="words"),
        Column("Seeds needed", lambda line: line.numbers.seeds_needed, wraps="words"),
    ]
    return Table("Numbers of the claim", columns, lines, marks=lambda line: ("check",) if line.is_check else ())


def claims_table(claims: Claims) -> Table[tuple[JudgedClaim, Judgement, Numbers]]:
    """The claims with their evidence and verdicts, and the seeds that would decide where one is open, for a paper."""
    judged = claims.judged
    rows = [
        (claim, each, row.numbers)
        for claim, content in zip(judged.claims, claims.claims, strict=True)
        for each, row in zip(claim.judgements, content.rows, strict=True)
    ]

    def margin(row: tuple[JudgedClaim, Judgement, Numbers]) -> str:
        style = claims.styles[row[1].metric]
        return f"{style.factor * row[0].margin:.10g}{' pp' if style.unit == 'share' else ''}"

    columns: list[Column[tuple[JudgedClaim, Judgement, Numbers]]] = [
        Column("claim", lambda row: row[0].statement, wraps="sentences"),
        Column("dataset", lambda row: row[1].dataset or "all"),
        number("margin", margin),
        number("difference", lambda row: row[2].difference),
        number("interval", lambda row: row[2].interval),
        number("adjusted p", lambda row: row[2].adjusted_p),
        Column("verdict", lambda row: _verdict(row[1], row[2]), wraps="words"),
    ]
    note = (
        f"Intervals of {100 * (1 - judged.alpha_per_look):.4g} % each; p adjusted by Holm over "
        f"{counted(judged.family, 'registered judgement')}, alpha {judged.alpha_per_look:.4g}; exploratory claims have "
        "no verdict, and their p is adjusted for false discoveries."
    )
    return Table("Claims", columns, rows, files=(CLAIMS_TEX,), is_on_pages=False, note=note)


def _verdict(judgement: Judgement, numbers: Numbers) -> str:
    verdict = judgement.verdict
    told = verdict.text if verdict else "exploratory"
    return f"{told}; needed: {numbers.seeds_needed}" if is_open(verdict) else told


SECTION = Section("claims", "Claims", build, files=(CLAIMS_FILE, CLAIMS_TEX))
