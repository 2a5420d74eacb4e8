"""Writes the report of a suite."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.errors import UserError
from benchmarks.report.claims import claims_json
from benchmarks.report.content import report_content
from benchmarks.report.pages import html_page, markdown_page
from benchmarks.report.spreadsheets import runs_csv, summary_csv
from benchmarks.store import Registration, Store
from benchmarks.suite import Suite


def write_report(suite: Suite, registration: Registration, store: Store, folder: Path) -> Path:
    """Write report.html, report.md, summary.csv and runs.csv, and claims.json where there are claims.

    The same store and suite give the same bytes.

    Args:
        suite: what was run.
        registration: the same suite as the store has it: its seeds and datasets are the plan.
        store: holds the runs.
        folder: where the files go; made where it is missing.

    Returns:
        Where report.html is.

    Raises:
        SettingError: the suite does not expand.
        StoreError: the store cannot be read.
        UserError: the folder cannot be written.
    """
    content = report_content(suite, registration, store)
    factors = list(content.factors)
    summaries = [summary for dataset in content.datasets for summary in dataset.summaries]
    files = {
        "summary.csv": summary_csv(summaries, factors),
        "runs.csv": runs_csv(content.runs, factors),
        "report.md": markdown_page(content),
        "report.html": html_page(content),
    }
    if content.claims:
        files["claims.json"] = claims_json(suite, content.claims, registration.versions, registration.seeds)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _replace(folder / name, text)
        if not content.claims:
            # Verdicts on claims that were taken out must not stay behind.
            (folder / "claims.json").unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: the report cannot be written: {error.strerror}") from None
    return folder / "report.html"


def _replace(path: Path, text: str) -> None:
    """Write beside the file and move into place, so that nobody sees half a file."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_text(text, encoding="utf-8", newline="")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
