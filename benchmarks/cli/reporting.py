"""Commands that judge what is stored: reports, comparisons and the index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmarks.cli.arguments import DONE, REGRESSION, RUNS_DIR, AsJson, RegisteredSuite, RunsDir, StoreURL
from benchmarks.cli.finding import registered_suite
from benchmarks.cli.rendering import describe, make_wide_console, print_json, row_table, say
from benchmarks.errors import UserError

if TYPE_CHECKING:
    from benchmarks.plan.study import Study
    from benchmarks.tracking.records import Tracked


def report(
    suite: RegisteredSuite, runs_dir: RunsDir = RUNS_DIR, store_url: StoreURL = None, as_json: AsJson = False
) -> None:
    """Write the report of a suite anew from what is stored."""
    from benchmarks.plan.study import Study
    from benchmarks.report.writing import write_report
    from benchmarks.store import Store
    from benchmarks.suite.reading import read_suite_text

    store = Store.open(runs_dir, store_url)
    registration = registered_suite(suite, store)
    if Path(suite).is_file() and read_suite_text(Path(suite)) != registration.text:
        raise UserError(
            f"{suite}: changed since it was last run; `ablate run {suite}` trains what is missing and reports"
        )
    study = Study.registered(registration, store)
    tell_report(study, write_report(study, runs_dir / study.name), as_json)


def compare(
    before: Annotated[str, typer.Argument(metavar="A", help="A runs folder or URL; or a suite, by name or file.")],
    after: Annotated[str, typer.Argument(metavar="B", help="What it is compared with, likewise.")],
    suite: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="The suite in both folders; given twice, that in A and that in B."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="Compare this; by default the outcome: test accuracy or RMSE."),
    ] = None,
    margin: Annotated[
        float, typer.Option(metavar="X", help="Least difference that matters, in the metric's unit: 0.002 is 0.2 %.")
    ] = 0.0,
    alpha: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="How often anything may be called changed that is not.")
    ] = 0.05,
    runs_dir: RunsDir = RUNS_DIR,
    store_url: StoreURL = None,
    as_json: AsJson = False,
) -> None:
    """Tell what changed from A to B beyond noise: two runs folders, two suites of one, or two versions of a suite.

    Cells that have the same levels are compared, paired over the seeds that both have: a t test against the margin
    with Holm's correction over all comparisons, and a sign-flip test that must agree. With fewer than six common seeds
    nothing is said and the values are shown. A cell whose dataset or budget (epochs, steps, images, tuning trials)
    changed, or that has a hole, is not compared, and says so; other changed settings, another revision of the code and
    other machines are told beside the results.

    For checks in CI: keep the runs folder of the last release as A, run the same suite into B, and compare. Exit code:
    0 nothing got worse, 1 a regression: a cell is worse by more than the margin; 2 the call is wrong, or nothing can
    be compared.
    """
    from benchmarks.report import comparing

    found = comparing.compare(
        before,
        after=after,
        suites=suite or (),
        metrics=metric or (),
        margin=margin,
        alpha=alpha,
        runs_dir=runs_dir,
        store_url=store_url,
    )
    if as_json:
        print_json(comparing.as_json(found))
    else:
        say(f"A: {found.before}\nB: {found.after}")
        make_wide_console().print(row_table(comparing.rows_of(found)))
        say("\n".join(comparing.summary_of(found)))
    raise typer.Exit(REGRESSION if found.changes.regressions else DONE)


def index(runs_dir: RunsDir = RUNS_DIR, store_url: StoreURL = None, as_json: AsJson = False) -> None:
    """Write index.html into a runs folder: every suite with its question, its state, its verdicts and its report."""
    from benchmarks.report.index import index_entries, write_index
    from benchmarks.store import Store

    store = Store.open(runs_dir, store_url)
    path = write_index(store)
    if as_json:
        print_json({"index": str(path), "suites": [asdict(entry) for entry in index_entries(store)]})
    else:
        say(f"index: {path}")


REASONS_SHOWN = 3
"""Reasons why runs have no outcome that are told after a report."""


def tell_report(study: Study, path: Path, as_json: bool, tracked: Sequence[Tracked] = ()) -> None:
    """Say where a report is, how the runs ended and why, what became of the claims, and where they are tracked."""
    from benchmarks.report.claims import CLAIMS_FILE
    from benchmarks.report.index import written_verdicts

    verdicts = written_verdicts(path.parent) if path.with_name(CLAIMS_FILE).is_file() else ()
    if as_json:
        told = {"tracked": [vars(each) for each in tracked]} if tracked else {}
        told |= {"claims": [asdict(each) for each in verdicts]} if verdicts else {}
        print_json({"suite": study.name, "runs": study.counts, "report": str(path), **told})
        return
    lines = [describe(study.counts), *_reasons_told(study)]
    for each in verdicts:
        place = f" ({each.dataset})" if each.dataset else ""
        ending = f": {each.kind}" if each.kind else ", without a verdict: the report says why"
        lines.append(f"{each.statement}{place}: {each.word}{ending}")
    say("\n".join([*lines, f"report: {path}", *(each.as_text() for each in tracked)]))


def _reasons_told(study: Study) -> Iterator[str]:
    """Why runs failed or diverged, the most frequent reasons first, and what can be done."""
    from benchmarks.plan.ledger import ledger_of
    from benchmarks.results import FAILURES, FINAL

    counts = study.counts
    if not any(counts[status] for status in FINAL if status != "done"):
        return
    reasons = ledger_of(study).reasons()
    for row in reasons[:REASONS_SHOWN]:
        yield f"{row['runs']} {row['status']}: {row['reason']} (`ablate logs {row['such as']}`)"
    if len(reasons) > REASONS_SHOWN:
        yield f"and {len(reasons) - REASONS_SHOWN} further reasons: `ablate status {study.name}`"
    if failed := [status for status in FAILURES if counts[status]]:
        ways = " ".join(f"--retry {status}" for status in failed)
        yield f"once that is mended: `ablate run SUITE {ways}` tries them again"
