"""The sections of a report, a file each, in the order of the page."""

from __future__ import annotations

from benchmarks.report.section import Section
from benchmarks.report.sections import (
    cells,
    claims,
    curves,
    differences,
    ensembles,
    failures,
    further,
    importance,
    interactions,
    pareto,
    path,
    precision,
    provenance,
    ranks,
    reliability,
    search,
    seeds,
    times,
)

SECTIONS: tuple[Section, ...] = (
    claims.SECTION,
    differences.SECTION,
    path.SECTION,
    seeds.SECTION,
    cells.SECTION,
    further.SECTION,
    interactions.SECTION,
    importance.SECTION,
    curves.SECTION,
    times.SECTION,
    pareto.SECTION,
    search.SECTION,
    reliability.SECTION,
    ensembles.SECTION,
    failures.SECTION,
    precision.SECTION,
    ranks.SECTION,
    provenance.SECTION,
)
"""To add one: its file here, and its row in this table. What it can be made of is in `benchmarks.report.blocks`."""
