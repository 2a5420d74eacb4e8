"""Writes the report of a suite."""

from __future__ import annotations

from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.files import replaced
from benchmarks.plan.study import Study
from benchmarks.report.claims import CLAIMS_FILE, claims_json
from benchmarks.report.content import Content, report_content
from benchmarks.report.ensembles import ensemble_file_names, ensemble_files
from benchmarks.report.index import write_index
from benchmarks.report.latex import cells_tex, claims_tex, contrasts_tex, file_part
from benchmarks.report.pages import html_page, markdown_page
from benchmarks.report.path import PATH_FILES, path_files
from benchmarks.report.search import SEARCH_FILES, search_files
from benchmarks.report.spreadsheets import runs_csv, summary_csv


def write_report(study: Study, folder: Path) -> Path:
    """Write report.html, report.md, summary.csv, runs.csv and tables in LaTeX, and claims.json where there are claims.

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
    content = report_content(study)
    summaries = [summary for dataset in content.datasets for summary in dataset.summaries]
    files = {
        "summary.csv": summary_csv(summaries),
        "runs.csv": runs_csv(content.runs, list(content.factors)),
        "report.md": markdown_page(content),
        "report.html": html_page(content),
        **_latex_tables(content),
        **path_files(content.path),
        **search_files(content.search),
        **ensemble_files({dataset.name: dataset.ensembles for dataset in content.datasets}),
    }
    if content.claims:
        files[CLAIMS_FILE] = claims_json(study.suite, content.claims, study.versions, study.seeds)
    if folder.is_symlink():
        raise UserError(
            f"{folder}: the report cannot be written: this is a link, and a report stays in its runs folder"
        )
    try:
        for name, text in files.items():
            with replaced(folder / name) as file:
                file.write(text.encode())
        optional = (CLAIMS_FILE, "claims.tex", *PATH_FILES, *SEARCH_FILES, *ensemble_file_names(study.suite.datasets))
        for name in optional:
            # Verdicts on claims that were taken out must not stay behind, nor what a search found that was.
            if name not in files:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written: {error.strerror}") from None
    write_index(study.store, study)
    return folder / "report.html"


def _latex_tables(content: Content) -> dict[str, str]:
    """File -> table, for each dataset, and for the claims."""
    tables = {}
    for dataset in content.datasets:
        name = file_part(dataset.name)
        tables[f"cells-{name}.tex"] = cells_tex(dataset.summaries, dataset.metric, dataset.style)
        tables[f"contrasts-{name}.tex"] = contrasts_tex(
            dataset.contrasts, content.baseline, dataset.metric, dataset.style
        )
    if content.claims:
        tables["claims.tex"] = claims_tex(content.claims)
    return tables
