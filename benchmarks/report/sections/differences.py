"""How far each level is from the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.estimates import Estimate, standardized_mean
from benchmarks.analysis.judgements import Explored
from benchmarks.labels import NOTHING
from benchmarks.metrics import Metric
from benchmarks.report.blocks import Block, Code, Column, Index, Mark, Paragraph, Part, Plot, Plots, Table, Tag, Text
from benchmarks.report.formatting import Style, decimal, gain_title, p_text, sentences, titled
from benchmarks.report.plots.differences import forest_plot
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section, by_dataset, file_part, of_datasets
from benchmarks.report.tables import estimate_columns, number


def build(report: Report) -> Iterable[Block]:
    """What a difference is, and for each dataset a forest plot and a table, which a file for papers has too."""
    levels: list[Part] = []
    for factor, level in report.factors.baseline.items():
        levels += [", " if levels else "", Code(factor), f" = {level}"]
    yield Paragraph(
        (
            "The baseline is ",
            *levels,
            ". Each level below changes that one factor of the baseline. "
            f"{' '.join(of_datasets(report, _what))} Where it is positive, the level is better. Exploratory: p is "
            "of the paired t test against no difference, q the same adjusted for false discoveries (Benjamini and "
            "Hochberg) over all differences of the dataset.",
        )
    )
    yield from by_dataset(_of_dataset)(report)


def _what(dataset: ReportedDataset) -> str:
    terms = ("level", "baseline") if dataset.metric.better == "higher" else ("baseline", "level")
    return (
        f"A difference is the {dataset.metric.title} of the {terms[0]} minus that of the {terms[1]} in the same seed, "
        f"{dataset.style.unit_of_differences}."
    )


def _of_dataset(dataset: ReportedDataset) -> Iterator[Block]:
    svg = forest_plot(f"forest-{dataset.number}", dataset.contrasts, dataset.metric, dataset.style)
    yield Plots((Plot("", svg),), "wide", _marks(dataset))
    yield _table(dataset)
    file = f"contrasts-{file_part(dataset.name)}.tex"
    yield contrasts_table(dataset.contrasts, dataset.report.factors.baseline, dataset.metric, dataset.style, file)


def _marks(dataset: ReportedDataset) -> str:
    """How the forest plot is to be read."""
    return sentences(
        "Filled: mean over the seeds with its 95 % t interval.",
        _has_raw_values(dataset) and "Hollow: single seeds, where there are fewer than 3 pairs.",
        any(each.without_diverged for each in dataset.all_contrasts)
        and "Squares (“without diverged”): the same without the pairs of which a run diverged.",
        not dataset.main_obstacle and "Diamonds (“averaged”): main effects.",
    )


def _has_raw_values(dataset: ReportedDataset) -> bool:
    return any(each.estimate.state == "raw values" for each in dataset.all_contrasts)


@dataclass(frozen=True)
class _Line:
    """A contrast, or its second line."""

    explored: Explored
    found: Estimate
    is_second: bool

    @property
    def contrast(self) -> Contrast:
        return self.explored.contrast


def _lines(dataset: ReportedDataset) -> Iterator[_Line]:
    for each in (each for of_factor in dataset.explored.values() for each in of_factor):
        yield _Line(each, each.contrast.estimate, False)
        if each.contrast.without_diverged:
            yield _Line(each, each.contrast.without_diverged, True)


def _table(dataset: ReportedDataset) -> Table[_Line]:
    style, report = dataset.style, dataset.report

    def in_design(told: Callable[[_Line], str]) -> Callable[[_Line], str]:
        return lambda line: told(line) if line.contrast.in_design else ""

    def first_line(told: Callable[[_Line], str]) -> Callable[[_Line], str]:
        return lambda line: "" if line.is_second or not line.contrast.in_design else told(line)

    columns: list[Column[_Line]] = [
        Column("Level", _level),
        *estimate_columns(
            "Mean",
            lambda line: line.found,
            style.differences,
            raw=lambda line: style.differences.raw(line.found) if line.contrast.in_design else "not in the design",
            further=[number((Index("d", "z"),), lambda line: decimal(standardized_mean(line.found)))],
        ),
        number("p", first_line(lambda line: p_text(line.explored.p))),
        number("q", first_line(lambda line: p_text(_q(line.explored)))),
        number("Pairs", in_design(lambda line: f"{line.found.n} of {line.contrast.n_planned}")),
        Column("", lambda line: _equal_told(line.found) if not line.is_second else ""),
    ]
    return Table(
        "Table of differences",
        columns,
        list(_lines(dataset)),
        caption=_caption(dataset),
        marks=_marks_of,
        group=lambda line: (line.contrast.factor, Tag(f"baseline {report.factors.baseline[line.contrast.factor]}")),
        group_head="Factor",
    )


def _equal_told(found: Estimate) -> str:
    if found.state != "degenerate":
        return ""
    return f"degenerate: {'no difference with any seed' if found.mean == 0 else 'all differences are equal'}"


def _marks_of(line: _Line) -> tuple[Mark, ...]:
    if line.is_second:
        return ("continuation",)
    return ("continued",) if line.contrast.without_diverged else ()


def _level(line: _Line) -> Text:
    if line.is_second:
        return "without diverged"
    tags = [Tag("averaged")] if line.contrast.kind == "main" else []
    if line.contrast.in_design and line.found.n < line.contrast.n_planned:
        tags.append(Tag("incomplete", warns=True))
    return (line.contrast.level, *tags)


def _q(explored: Explored) -> float:
    return explored.adjusted_p if explored.p == explored.p else explored.p


def _caption(dataset: ReportedDataset) -> Text:
    shown = [contrast for each in dataset.report.datasets for contrast in each.all_contrasts]
    n_intervals = sum(contrast.estimate.state == "interval" for contrast in shown)
    few = "; raw values in place of them where there are fewer than 3 pairs" if _has_raw_values(dataset) else ""
    return (
        f"Means and 95 % t intervals {dataset.style.unit_of_differences}{few}. ",
        Index("d", "z"),
        ": mean over standard deviation of the differences, with Hedges’s correction. ",
        sentences(
            n_intervals > 1
            and f"The report shows {n_intervals} such intervals, each 95 % on its own and none corrected for the "
            "number of them.",
            f"No main effects are given: {dataset.main_obstacle}."
            if dataset.main_obstacle
            else "Averaged: main effects, each seed averaged over the levels of the other factors.",
        ),
    )


def contrasts_table(
    contrasts: Mapping[str, Sequence[Contrast]], baseline: Mapping[str, str], metric: Metric, style: Style, file: str
) -> Table[Contrast]:
    """The difference of each level from the baseline for a paper, without verdicts."""

    def difference(each: Contrast) -> str:
        if not each.in_design:
            return "not in the design"
        found = each.estimate
        return style.differences.raw(found) if found.state == "raw values" else style.difference(found.mean)

    columns: list[Column[Contrast]] = [
        Column("factor", lambda each: each.factor),
        Column("level", lambda each: each.level + (", averaged" if each.kind == "main" else "")),
        Column("baseline", lambda each: baseline[each.factor]),
        number("pairs", lambda each: f"{each.estimate.n} of {each.n_planned}" if each.in_design else NOTHING),
        number("difference", difference),
        number("95 % interval", lambda each: style.differences.interval(each.estimate)),
        number("d_z", lambda each: decimal(standardized_mean(each.estimate))),
    ]
    return Table(
        "Differences from the baseline",
        columns,
        [each for of_factor in contrasts.values() for each in of_factor],
        files=(file,),
        is_on_pages=False,
        note=f"{titled(gain_title(metric, style), '')}; more is better. Exploratory.",
    )


SECTION = Section(
    "differences", "Differences from the baseline", build, "Differences", files=("contrasts-{dataset}.tex",)
)
