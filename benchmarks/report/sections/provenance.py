"""Where the numbers of a report come from, and what a reader needs to judge or repeat the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import zoo
from benchmarks.analysis.tables import MISSING
from benchmarks.labels import NOTHING, counted, whole
from benchmarks.report.blocks import Block, Bullets, Code, Column, Facts, Heading, Paragraph, Source, Table, Text
from benchmarks.report.formatting import as_text, flat_facts
from benchmarks.report.report import Report, ReportedDataset
from benchmarks.report.section import Section
from benchmarks.report.sections.cells import RUNS_FILE
from benchmarks.report.tables import number
from benchmarks.results import FAILURES
from benchmarks.runs import Run
from benchmarks.settings import training
from benchmarks.settings.run import VARIANT, canonical_json
from benchmarks.suite.suite import Suite
from zoo.variants import VARIANTS

_Checked = tuple[str, bool, str]
"""A line of the checklist: the question, whether all is fine, and the answer."""


def build(report: Report) -> Iterable[Block]:
    """Deviations, checklist, registration, runs, datasets, machines, models, settings, and the suite itself."""
    yield Heading("Deviations from the plan")
    deviations = tuple(_deviations(report))
    yield Bullets(deviations) if deviations else Paragraph("None.")
    yield Heading("Checklist")
    yield _checklist_table(report)
    if report.claims and report.claims.standing.registered_at:
        columns: list[Column[tuple[str, str]]] = [
            Column("Claim", itemgetter(0), wraps="sentences"),
            Column("Registered", itemgetter(1)),
        ]
        yield Heading("Claims as registered")
        yield Table("Times of registration", columns, list(report.claims.standing.registered_at.items()))
    yield Heading("Runs")
    yield Facts(tuple(_runs(report)))
    yield Heading("Datasets")
    yield _datasets(report)
    if notes := tuple(f"{each.name}: {note}" for each in report.datasets for note in each.facts.notes):
        yield Bullets(notes)
    yield Heading("Machines")
    yield from _machines(report)
    if models := tuple(_models(report.study.suite)):
        yield Heading("Models against their publications")
        yield Bullets(models)
        yield Paragraph(_OF_NETWORKS, "caption")
    yield Heading("Settings that all cells share")
    fixed, varied = _settings(report.study.runs)
    yield Facts(tuple(fixed), are_many=True)
    yield Paragraph(f"Varied: {', '.join(varied)}.", "caption")
    yield Heading("Suite")
    yield Source(report.study.text, "toml")


def _checklist_table(report: Report) -> Block:
    columns: list[Column[_Checked]] = [
        Column("", lambda each: "yes" if each[1] else "no"),
        Column("", itemgetter(0), wraps="sentences"),
        Column("", itemgetter(2), wraps="sentences"),
    ]
    return Table("Checklist", columns, list(_checklist(report)))


def _runs(report: Report) -> Iterator[tuple[str, Text]]:
    held = report.runs[report.runs["machine"] != ""]
    n_tried_again = int((held["attempts"] > 1).sum())
    again = f", {n_tried_again} of them tried more than once" if n_tried_again else ""
    yield "Runs", f"{len(held)} in the store{again}"
    if len(held):
        yield "Finished", f"{held['finished_at'].min()} to {held['finished_at'].max()}"
    yield "Registered", report.study.registered_at
    yield "Revisions", f"zoo {zoo.REVISION}, training {training.REVISION}"
    yield "Seeds", ", ".join(map(str, report.seeds))
    yield "Checkpoint", f"{report.evaluated}; the test examples were read once a run"
    yield "Keys", ("the content key of every run is in ", Code(RUNS_FILE))


def _datasets(report: Report) -> Block:
    columns: list[Column[ReportedDataset]] = [
        Column("Dataset", lambda each: each.name),
        Column("Version", lambda each: each.facts.version),
        number("Training", lambda each: each.facts.num_train),
        number("Test", lambda each: each.facts.num_test),
        Column("Task", lambda each: each.facts.task),
        number("Classes", lambda each: NOTHING if each.facts.task == "regression" else str(each.facts.num_classes)),
        Column("Diverged counts as", _level_without_learning),
        Column("Shape", lambda each: " × ".join(map(str, each.facts.input_shape))),
        Column("Test examples", lambda each: each.facts.test_split, wraps="sentences"),
    ]
    return Table("Table of datasets", columns, report.datasets)


def _level_without_learning(dataset: ReportedDataset) -> str:
    """What a diverged run counts as."""
    level, style = dataset.facts.level_without_learning, dataset.style
    if level is None:
        return "not known"
    return f"{dataset.metric.title} {style.value(level)}{' %' if style.unit == 'share' else ''}"


def _machines_used(report: Report) -> Counter[str]:
    """Id of each machine that runs come from -> how many do."""
    return Counter(report.runs.loc[report.runs["machine"] != "", "machine"])


def _machines(report: Report) -> Iterator[Block]:
    n_runs, known = _machines_used(report), report.study.store.machines()
    if not n_runs:
        yield Paragraph("None yet.")
    for machine in sorted(n_runs, key=lambda each: (-n_runs[each], each)):
        yield Heading(counted(n_runs[machine], "run"), 4)
        yield Facts(tuple(flat_facts(known.get(machine, {}))), are_many=True)


_OF_NETWORKS = (
    "Of the networks alone, before factors change them. How they are trained is the suite’s own, and not their papers’."
)


def _deviations(report: Report) -> Iterator[str]:
    suite, runs, claims = report.study.suite, report.runs, report.claims
    is_look = claims is not None and len(report.seeds) in claims.standing.looks
    if list(report.seeds) != suite.seed_list and not is_look:
        yield (
            f"The suite plans {counted(len(suite.seed_list), 'seed')}; "
            f"{counted(len(report.seeds), 'seed')} were asked for on the command line."
        )
    if claims:
        for statement, why in claims.standing.unregistered.items():
            yield f"The claim “{statement}” is exploratory: {why}."
        for claim in claims.standing.attempts:
            yield (
                f"The claim “{claim.statement}” was registered before, with other seeds, settings or looks, and "
                f"{counted(claim.n_results_before, 'run')} had results when it was registered anew. It counts once "
                "more among the claims that alpha is divided over."
            )
        for claim in claims.standing.taken_out:
            yield (
                f"The claim “{claim.statement}” was registered, and taken out or edited after there were results. "
                "It counts among the claims that alpha is divided over."
            )
    counts = runs["status"].value_counts()
    if number := int(counts.get("diverged", 0)):
        yield f"{counted(number, 'run')} diverged: an outcome, which counts."
    for status in FAILURES:
        if number := int(counts.get(status, 0)):
            how = status.replace("_", " ")
            yield f"{counted(number, 'run')} ended as {how}: a hole, until “ablate run --retry {status}” fills it."
    if number := int(counts.get(MISSING, 0)):
        yield f"{counted(number, 'run')} {'is' if number == 1 else 'are'} missing."
    if (n_machines := len(_machines_used(report))) > 1:
        yield f"The runs come from {n_machines} machines or set-ups, which differ in what is listed below."


def _checklist(report: Report) -> Iterator[_Checked]:
    suite, runs, claims = report.study.suite, report.runs, report.claims
    if claims:
        n_claims, n_exploratory = len(claims.judged.claims), len(claims.standing.unregistered)
        registered = f"{n_claims - n_exploratory} of {counted(n_claims, 'claim')}"
        yield "Were the claims registered before there were results?", not n_exploratory, registered
        n_withdrawn = len(claims.standing.withdrawn)
        told = f"{counted(n_withdrawn, 'claim')} taken out, edited or registered anew after there were results"
        yield "Are all claims still as they were registered?", not n_withdrawn, told
        looks, undeclared = claims.standing.looks, claims.standing.undeclared
        declared = f"looks at {', '.join(map(str, looks))}" if looks else "one look, at all seeds"
        answer = undeclared or f"{declared}; now {len(report.seeds)}"
        yield "Were the seeds declared?", undeclared is None, answer
    held = int(runs["outcome"].notna().sum())
    yield "Has every planned run an outcome?", held == len(runs), f"{whole(held)} of {counted(len(runs), 'run')}"
    per_cell = runs.groupby("cell")["seed"].agg(frozenset).nunique()
    yield "Has every cell the same seeds, so that they are paired?", per_cell == 1, "by the plan"
    n_machines = len(_machines_used(report))
    yield "Do all runs come from one machine and set-up?", n_machines <= 1, f"{n_machines}"
    if suite.search:
        yield "Have the settings been tuned on other seeds than those reported?", True, "checked before running"
    yield f"Was each test set read once a run, {report.evaluated}?", True, "by construction"
    yield "Do all runs have the revisions of this program and the versions of the data?", True, "by their keys"


def _models(suite: Suite) -> Iterator[str]:
    """How each model that is named stands to its publication, before factors change it further."""
    for base in suite.bases:
        name = base.get(VARIANT)
        # Without a variant the suite writes down all of its model itself.
        if name not in VARIANTS:
            continue
        variant = VARIANTS[name]
        given = {path.removeprefix("model."): value for path, value in base.items() if path.startswith("model.")}
        changed = [
            f"{setting} is {as_text(value)} instead of {as_text(getattr(variant.config, setting))}"
            for setting, value in given.items()
            if f"model.{setting}" != VARIANT and not _is_equal(value, getattr(variant.config, setting))
        ]
        told = f"changes it: {', '.join(changed)}" if changed else "leaves it as it is"
        yield f"{name} ({variant.source}): the base {told}."


def _is_equal(value: Any, other: Any) -> bool:
    """Whether two values of a setting are the same; what is a list in a suite is a tuple in a config."""
    return canonical_json(value) == canonical_json(other) or value == other


def _settings(planned: Sequence[Run]) -> tuple[list[tuple[str, str]], list[str]]:
    """The settings that all cells share, with their values, and the paths of the others."""
    values: dict[str, set[str]] = {}
    # Tuned settings can differ between datasets.
    cells = {(run.cell.dataset, *run.cell.levels.items()): run.cell for run in planned}
    everywhere = Counter[str]()
    for cell in cells.values():
        for path, value in cell.settings.flat().items():
            values.setdefault(path, set()).add(as_text(value))
            everywhere[path] += 1
    is_fixed = {path: len(found) == 1 and everywhere[path] == len(cells) for path, found in values.items()}
    fixed = [(path, next(iter(found))) for path, found in values.items() if is_fixed[path]]
    return fixed, [path for path in values if not is_fixed[path]]


SECTION = Section("provenance", "Provenance", build)
