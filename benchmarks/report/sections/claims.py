"""What the suite claimed before it was run, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import starmap

from benchmarks.analysis.judgements import Check, JudgedClaim, Judgement
from benchmarks.analysis.verdicts import Evidence, Verdict
from benchmarks.labels import THIN_SPACE, counted
from benchmarks.metrics import METRICS
from benchmarks.report import limits
from benchmarks.report.blocks import Block, Card, Column, File, Paragraph, Part, Plots, Strong, Table, Word, caption
from benchmarks.report.claims import CLAIMS_FILE, Claims, Look, claims_json, exact, is_open, is_open_below
from benchmarks.report.formatting import Style, p_text, sentences, titled
from benchmarks.report.plots.claims import claim_metrics, claims_forest
from benchmarks.report.prose import SKEWED
from benchmarks.report.report import Report
from benchmarks.report.section import Section
from benchmarks.report.tables import attributes, left_out, number
from benchmarks.suite.claims import ACROSS_DATASETS, CLAIM_KINDS, AcrossDatasets, least_seeds

CLAIMS_TEX = "claims.tex"


def build(report: Report) -> Iterable[Block]:
    """How claims are judged, what was found at each look, a card for each claim, and the claims side by side."""
    claims = report.claims
    if claims is None:
        return
    yield Paragraph(_rules(claims))
    if len(claims.looks) > 1:
        yield _looks(claims)
    for claim in claims.judged.claims[: limits.MOST_CLAIMS]:
        yield Card(claim.statement, tuple(_said(claims, claim, report.has_several_datasets)))
    yield Paragraph(left_out(claims.judged.claims, limits.MOST_CLAIMS, "claims", CLAIMS_FILE), "caption")
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
        f"{_confidence(claims)} t interval, for itself alone. A verdict takes {least_seeds(judged.alpha_per_look)} "
        f"seeds, a p below {judged.alpha_per_look:.4g} after Holm’s correction over "
        f"{counted(judged.family, 'registered judgement')}, and two tests that agree: one by sign flips, and a t test "
        "that allows for skewness.",
        judged.looks > 1
        and f"{judged.looks} looks at the results were declared before the first, at "
        f"{', '.join(map(str, standing.looks))} seeds; this is number {judged.look}. Alpha = {judged.alpha:g} is "
        "divided evenly among them, so that stopping at any of them is fair.",
        standing.unregistered
        and "What was added, edited or given other seeds after there were results is exploratory: it has no verdict, "
        "and its p is adjusted for false discoveries (Benjamini and Hochberg).",
        standing.withdrawn
        and f"{counted(len(standing.withdrawn), 'registered claim')} taken out, edited or registered anew after there "
        "were results still count in the correction.",
    )


def _confidence(claims: Claims) -> str:
    """Of the intervals, such as `95 %`."""
    return f"{100 * (1 - claims.judged.alpha_per_look):.4g}{THIN_SPACE}%"


_Judged = tuple[JudgedClaim, Judgement]


def _looks(claims: Claims) -> Block:
    def name(row: Sequence[_Judged]) -> str:
        claim, judgement = row[-1]
        return f"{claim.statement} ({judgement.dataset})" if len(claim.judgements) > 1 else claim.statement

    def found(place: int, look: Look) -> Column[Sequence[_Judged]]:
        return Column(f"{look.number}: {look.n_seeds} seeds", lambda row: row[place][1].title, wraps="words")

    rows = list(zip(*(look.judged.judgements for look in claims.looks), strict=True))
    columns = [Column("What was found at each look", name, wraps="words"), *starmap(found, enumerate(claims.looks))]
    return Table("Verdicts at each look", columns, rows[: limits.MOST_CLAIMS])


def _said(claims: Claims, claim: JudgedClaim, has_several_datasets: bool) -> Iterator[Block]:
    metric = claim.judgements[0].metric
    about = [
        f"{titled(METRICS[metric].title, '')}, margin {exact(claims.styles[metric], claim.margin)}",
        f"{claim.kind.replace('_', '-')}: {_stated(claim)}",
        ACROSS_DATASETS[claim.across] if has_several_datasets else "",
    ]
    yield caption(f"{_contrast(claim)}. {'; '.join(filter(None, about))}.")
    several = len(claim.judgements) > 1
    for each in claim.judgements:
        dataset: tuple[Part, ...] = (Strong(each.dataset), " ") if several and each.dataset else ()
        yield Paragraph((Word(each.word), *dataset, claims.sentence(claim, each)), "verdict")
    yield _numbers(claims, claim)
    for note in dict.fromkeys(_check_note(claim, each) for each in claim.judgements):
        yield caption(note)


def _stated(claim: JudgedClaim) -> str:
    """What its kind states, with its own levels."""
    return CLAIM_KINDS[claim.kind].replace("`better`", claim.better).replace("`than`", claim.than)


def _contrast(claim: JudgedClaim) -> str:
    """Such as: model.initializer: he_normal against glorot_uniform, at normalization = none, averaged over width."""
    parts = [f"{claim.factor}: {claim.better} against {claim.than}"]
    if claim.where:
        parts.append("at " + ", ".join(f"{factor} = {level}" for factor, level in claim.where.items()))
    if claim.averaged_over:
        parts.append("averaged over " + ", ".join(claim.averaged_over) + " within each seed")
    if claim.changing_with:
        parts.append(", ".join(claim.changing_with) + " changing with it")
    return "; ".join(parts)


def _check_note(claim: JudgedClaim, judgement: Judgement) -> str:
    """What the checks are."""
    return sentences(
        judgement.simple_effects
        and "At single levels of what is averaged over: where these verdicts differ, the mean has none.",
        not claim.has_simple_effects
        and "This design cannot tell whether it holds at each level of what is averaged over.",
        judgement.without_diverged
        and "Without the seeds of which a run diverged: a check; diverged runs are outcomes and count.",
    )


@dataclass(frozen=True)
class _Line:
    """A judgement of a claim, or a check beside it: a single dataset, a simple effect, or without diverged runs."""

    claim: JudgedClaim
    judgement: Judgement
    style: Style
    check: Check | None = None

    @property
    def name(self) -> str:
        if self.check:
            return self.check.name
        together = _TOGETHER.get(self.claim.across, "").format(counted(len(self.judgement.datasets), "dataset"))
        return self.judgement.dataset or together

    @property
    def evidence(self) -> Evidence:
        return (self.check or self.judgement).evidence

    @property
    def verdict(self) -> Verdict | None:
        return (self.check or self.judgement).verdict

    @property
    def p(self) -> float:
        return self.check.evidence.tested.p if self.check else self.judgement.p

    @property
    def adjusted_p(self) -> float:
        return math.nan if self.check or math.isnan(self.p) else self.judgement.adjusted_p

    @property
    def n(self) -> str:
        found = self.evidence
        what = "dataset" if found.unit == "datasets" else "seed" if len(found.differences) == found.n else "pair"
        return f"{found.n} of {counted(found.n_planned, what)}"

    @property
    def difference(self) -> str:
        found = self.evidence
        if found.state == "raw values":
            return f"raw: {self.style.differences.values(found.differences)}"
        return self.style.difference(found.mean)

    @property
    def interval(self) -> str:
        return self.style.differences.interval(self.evidence)

    @property
    def seeds_needed(self) -> str:
        """What would decide it, as its mean and spread are; empty where it is decided, or has no verdict."""
        if not self.check and is_open_below(self.judgement):
            return "those of the open levels below"
        if self.verdict is None or self.verdict.word != "inconclusive":
            return ""
        return self.evidence.seeds_needed.text if is_open(self.verdict) else "not a matter of seeds"


_TOGETHER: Mapping[AcrossDatasets, str] = {
    "all": "the worst of {}",
    "average": "the average of {}",
    "generalises": "datasets such as these {}",
}


def _numbers(claims: Claims, claim: JudgedClaim) -> Block:
    lines: list[_Line] = []
    for each in claim.judgements:
        whole = _Line(claim, each, claims.styles[each.metric])
        checks = filter(None, (*each.datasets, *each.simple_effects, each.without_diverged))
        lines += [whole, *(replace(whole, check=check) for check in checks)]
    columns: list[Column[_Line]] = [
        Column("On", lambda line: line.name),
        number("Difference", lambda line: line.difference),
        number(f"{_confidence(claims)} interval", lambda line: line.interval),
        number("n", lambda line: line.n),
        number("p", lambda line: p_text(line.p)),
        number("adjusted", lambda line: p_text(line.adjusted_p)),
        Column("Verdict", lambda line: line.verdict.title if line.verdict else "", wraps="words"),
        Column("Seeds needed", lambda line: line.seeds_needed, wraps="words"),
    ]
    return Table("Numbers of the claim", columns, lines, marks=lambda line: ("check",) if line.check else ())


def claims_table(claims: Claims) -> Table[_Line]:
    """The claims with their evidence and verdicts, and the seeds that would decide where one is open, for a paper."""
    judged = claims.judged

    def margin(line: _Line) -> str:
        return f"{line.style.factor * line.claim.margin:.10g}{' pp' if line.style.unit == 'share' else ''}"

    def verdict(line: _Line) -> str:
        told = line.verdict.text if line.verdict else "exploratory"
        return f"{told}; needed: {line.seeds_needed}" if is_open(line.verdict) else told

    columns: list[Column[_Line]] = [
        Column("claim", lambda line: line.claim.statement, wraps="sentences"),
        Column("dataset", lambda line: line.judgement.dataset or "all"),
        number("margin", margin),
        *attributes(lambda line: line, "difference", "interval"),
        number("adjusted p", lambda line: p_text(line.adjusted_p)),
        Column("verdict", verdict, wraps="words"),
    ]
    note = (
        f"Intervals of {100 * (1 - judged.alpha_per_look):.4g} % each; p adjusted by Holm over "
        f"{counted(judged.family, 'registered judgement')}, alpha {judged.alpha_per_look:.4g}; exploratory claims have "
        "no verdict, and their p is adjusted for false discoveries."
    )
    rows = [_Line(claim, each, claims.styles[each.metric]) for claim, each in judged.judgements]
    return Table("Claims", columns, rows, files=(CLAIMS_TEX,), is_on_pages=False, note=note)


SECTION = Section("claims", "Claims", build, files=(CLAIMS_FILE, CLAIMS_TEX))
