"""Writes the report of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.files import replaced
from benchmarks.plan.study import Study
from benchmarks.report.blocks import Block, File, Table
from benchmarks.report.index import write_index
from benchmarks.report.render import FILES
from benchmarks.report.render.html import html_page
from benchmarks.report.render.markdown import markdown_page
from benchmarks.report.report import Report
from benchmarks.report.section import Section, file_part
from benchmarks.report.sections import SECTIONS

Built = Sequence[tuple[Section, Sequence[Block]]]
"""Sections with their blocks."""


def write_report(study: Study, folder: Path) -> Path:
    """Write report.html, report.md, and the tables and files that its sections leave beside them.

    The same study and store give the same bytes. The index of the runs folder is written anew.

    Args:
        study: what was run.
        folder: where the files go; made where it is missing.

    Returns:
        Where report.html is.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
        UserError: the folder cannot be written.
    """
    report = Report(study)
    built = built_sections(report)
    files = {
        **dict(_files(built)),
        "report.md": markdown_page(report, built),
        "report.html": html_page(report, built),
    }
    if folder.is_symlink():
        raise UserError(
            f"{folder}: the report cannot be written: this is a link, and a report stays in its runs folder"
        )
    try:
        for name, text in files.items():
            with replaced(folder / name) as file:
                file.write(text.encode())
        for name in possible_files(study.suite.datasets):
            # Verdicts on claims that were taken out must not stay behind, nor what a search found that was.
            if name not in files:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written: {error.strerror}") from None
    write_index(study.store, study)
    return folder / "report.html"


def built_sections(report: Report) -> Built:
    """The sections that the report has, with their blocks."""
    built = [(section, tuple(section.build(report))) for section in SECTIONS]
    return [(section, blocks) for section, blocks in built if blocks]


def possible_files(datasets: Sequence[str]) -> Iterator[str]:
    """The names of all files that sections can leave beside the pages."""
    for name in (name for section in SECTIONS for name in section.files):
        yield from (name.format(dataset=file_part(dataset)) for dataset in datasets)


def _files(built: Built) -> Iterator[tuple[str, str]]:
    """The files beside the pages by name."""
    for block in (block for _, blocks in built for block in blocks):
        if isinstance(block, File):
            yield block.name, block.text
        if isinstance(block, Table):
            for name in block.files:
                yield name, FILES[Path(name).suffix](block)
