"""A section of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from benchmarks.report.blocks import Block, Heading, Paragraph
from benchmarks.report.report import Report, ReportedDataset


@dataclass(frozen=True)
class Section:
    """What a report says of one thing, in prose, tables and plots."""

    name: str
    """Its anchor on the page."""
    title: str
    build: Callable[[Report], Iterable[Block]]
    """Report -> its blocks; none where the suite has nothing of the kind, and then there is no such section."""
    label: str = ""
    """In the list of contents; its title where it has none."""
    is_drawn: bool = False
    """Whether it says nothing where there are no figures."""
    files: tuple[str, ...] = ()
    """All files that it can leave beside the pages; `{dataset}` stands for each dataset."""


def by_dataset(
    of_dataset: Callable[[ReportedDataset], Iterable[Block]], *prose: str
) -> Callable[[Report], Iterator[Block]]:
    """Builds a section of prose and of what is said of each dataset, headed by its name where there are several."""

    def build(report: Report) -> Iterator[Block]:
        yield from map(Paragraph, prose)
        for dataset in report.datasets:
            if report.has_several_datasets:
                yield Heading(dataset.name)
            yield from of_dataset(dataset)

    return build


def outputs_obstacle(dataset: ReportedDataset, what: str, whose: str) -> str:
    """Why something is not given that classifiers alone have, as a clause: what it is, and whose outputs it takes."""
    if dataset.facts.task == "regression":
        return f"a regression has no {what}"
    if dataset.labels is None:
        return "the labels of the test examples were not kept"
    return f"of no {whose} the outputs for the test examples were kept"


def of_datasets(report: Report, told: Callable[[ReportedDataset], str]) -> tuple[str, ...]:
    """What is told of all datasets, or, where it differs, each with the datasets that it is told of."""
    names: dict[str, list[str]] = {}
    for dataset in report.datasets:
        names.setdefault(told(dataset), []).append(dataset.name)
    if len(names) == 1:
        return tuple(names)
    return tuple(f"On {' and '.join(having)}: {text[0].lower()}{text[1:]}" for text, having in names.items())


def file_part(dataset: str) -> str:
    """The name of a dataset as part of the name of a file."""
    return dataset.replace("/", "_").replace(":", "-")
