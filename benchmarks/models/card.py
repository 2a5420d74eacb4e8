"""Card of an exported model: all that is told of its run, as Markdown for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from inspect import cleandoc
from pathlib import Path
from typing import Any

import numpy as np

import zoo
from benchmarks.analysis.plain import as_plain
from benchmarks.data.dataset import Dataset
from benchmarks.metrics import FURTHER_METRICS, METRICS, OUTCOME_METRICS
from benchmarks.models.trained import TrainedModel, reference_of, settings_of
from benchmarks.plan.keys import planned_runs
from benchmarks.runs import Cell, Run
from benchmarks.settings import training
from benchmarks.settings.run import SECTIONS, RunSettings
from benchmarks.store import Store, StoredRun


def dataset_card(stored: StoredRun, store: Store, data_dir: Path) -> dict[str, Any]:
    """What TFDS's builder says of a run's dataset, which lies on disk; empty texts where it says nothing."""
    import tensorflow_datasets as tfds

    info = tfds.builder_from_directory(str(reference_of(stored, store, data_dir).directory)).info
    licence = getattr(info.redistribution_info, "license", None)
    return {
        "description": cleandoc(info.description or ""),
        "homepage": info.homepage or "",
        "licence": licence if isinstance(licence, str) else "",
        "citation": cleandoc(info.citation or ""),
    }


def card_facts(
    store: Store, stored: StoredRun, dataset: Dataset, made: TrainedModel, card: Mapping[str, Any]
) -> dict[str, Any]:
    """All that is told of an exported run, in plain values."""
    settings = settings_of(stored)
    identity = settings.identity()
    changed = {f"{section}.{name}": value for section in SECTIONS for name, value in identity[section].items()}
    return {
        "key": stored.key,
        "model": {
            "family": settings.model.family,
            "variant": next((name for name, each in zoo.VARIANTS.items() if each.config == settings.model), None),
            "parameters": stored.parameters,
            "input_shape": list(dataset.input_shape),
            "is_double": dataset.train.inputs.dtype == np.float64,
            "columns": list(dataset.columns),
            "task": dataset.task,
            "num_classes": dataset.num_classes,
        },
        "dataset": {
            "name": stored.dataset,
            "version": stored.dataset_version,
            "num_train": len(dataset.train),
            "num_test": len(dataset.test),
            "test_split": dataset.test_split,
            "target": dataset.target,
            "classes": list(dataset.class_names),
            **card,
        },
        "seed": stored.seed,
        "settings_that_differ_from_defaults": changed,
        "settings": stored.settings,
        "metrics": stored.metrics,
        "history": stored.history,
        "cell": _cell(store, stored, settings, dataset),
        "suites": sorted({name for name, run in planned_runs(store) if run.key == stored.key}),
        "weights": made.origin,
        "metrics_of_the_exported_model": made.metrics,
        "doubts": list(made.doubts),
        "provenance": {
            "trained_on": store.machines().get(stored.machine, {}),
            "finished_at": stored.finished_at,
            "seconds": stored.seconds,
            "attempts": stored.attempts,
            "zoo_revision": zoo.REVISION,
            "training_revision": training.REVISION,
        },
    }


def _cell(store: Store, stored: StoredRun, settings: RunSettings, dataset: Dataset) -> dict[str, Any]:
    """What all runs with these settings on these data say together, as a report's cell does."""
    from benchmarks.analysis.summaries import cell_summaries
    from benchmarks.analysis.tables import run_table
    from benchmarks.execution.running import dataset_facts

    seeds = sorted({stored.seed}.union(*(each.seeds for each in store.registrations())))
    cell = Cell(stored.dataset, {}, settings)
    planned = [Run(cell, seed, stored.dataset_version) for seed in seeds]
    found = store.runs(run.key for run in planned)
    planned = [run for run in planned if run.key in found]
    (summary,) = cell_summaries(run_table(planned, found, {stored.dataset: dataset_facts(dataset)}))
    outcome = OUTCOME_METRICS[dataset.task]
    return {
        "runs": {run.seed: run.key for run in planned},
        "done": summary.n_done,
        "diverged": summary.n_diverged,
        "failed": summary.n_failed,
        "metrics": {name: asdict(each) for name, each in ({outcome: summary.outcome} | dict(summary.further)).items()},
    }


def card_as_json(facts: Mapping[str, Any]) -> str:
    """JSON, in which a number that is not finite is null."""
    return json.dumps(as_plain(facts), indent=2, ensure_ascii=False) + "\n"


def card_as_markdown(facts: Mapping[str, Any], needs_zoo: bool, with_onnx: bool) -> str:
    """The model card as Markdown."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from benchmarks.report.formatting import as_text, markdown

    environment = Environment(
        loader=PackageLoader("benchmarks.models"),
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"markdown": markdown, "plain": as_text, "fenced": _fenced}
    return environment.get_template("README.md.j2").render(
        **facts, needs_zoo=needs_zoo, with_onnx=with_onnx, rows=list(_metric_rows(facts))
    )


def _metric_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Title with unit, value of this run, and mean over the cell with its interval, metric by metric."""
    from benchmarks.analysis.estimates import Estimate
    from benchmarks.report.formatting import style_of, titled

    task = facts["model"]["task"]
    names = [OUTCOME_METRICS[task], *FURTHER_METRICS[task]]
    for name in [*names, *(each for each in METRICS if each in facts["metrics"] and each not in names)]:
        if name not in facts["metrics"]:
            continue
        metric, value = METRICS[name], facts["metrics"][name]
        found = Estimate(**facts["cell"]["metrics"][name]) if name in facts["cell"]["metrics"] else None
        style = style_of(metric.unit, [value, *(found.values if found else ())])
        yield titled(metric.title, style.unit_of_values), style.value(value), style.estimate(found) if found else ""


def _fenced(text: str) -> str:
    """Text as a code block, whatever backticks it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
