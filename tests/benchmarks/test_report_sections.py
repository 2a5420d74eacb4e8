"""The sections that a design, a number of seeds or the size of a suite may not support, and how long a report takes."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from studies import study_of

from benchmarks.analysis.effects import pareto_points
from benchmarks.analysis.estimates import estimate
from benchmarks.analysis.summaries import divergence_rate, sd_interval
from benchmarks.analysis.tables import level_column
from benchmarks.report import limits
from benchmarks.report.sections.pareto import front_of, points_over
from benchmarks.report.writing import write_report
from tools.report_scale import SEEDS, made_up_store

pytestmark = pytest.mark.usefixtures("undrawn")


def test_the_interval_of_a_standard_deviation():
    """The worked limits of a table of chi-square: with n = 10, 0.6878 s to 1.8256 s; none below three values."""
    sample = np.array([-1.5, -1.0, -0.7, -0.3, -0.1, 0.1, 0.3, 0.7, 1.0, 1.5])
    found = estimate(sample / sample.std(ddof=1))
    assert sd_interval(found) == pytest.approx((0.6878, 1.8256), abs=5e-5)
    assert all(map(math.isnan, sd_interval(estimate([1.0, 2.0]))))
    assert all(map(math.isnan, sd_interval(estimate([1.0, 1.0, 1.0]))))


def test_the_interval_of_a_standard_deviation_covers():
    """Of 2,000 normal samples, 95 % of the intervals hold the true one."""
    samples = np.random.default_rng(1).normal(0, 3, (2000, 6))
    inside = sum(low < 3 < high for low, high in (sd_interval(estimate(each)) for each in samples))
    assert stats.binomtest(inside, 2000, 0.95).pvalue > 0.001


@pytest.mark.parametrize(
    ("n_diverged", "n", "low", "high"), [(0, 10, 0.0, 0.2775), (1, 20, 0.0089, 0.2361), (81, 263, 0.2553, 0.3662)]
)
def test_the_rate_of_divergence(n_diverged, n, low, high):
    """Wilson's interval, as Newcombe (1998) has it for 1 of 20, 0 of 10 and 81 of 263."""
    found = divergence_rate(n_diverged, n)
    assert found.share == n_diverged / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_no_run_has_ended():
    """Then there is no rate."""
    assert math.isnan(divergence_rate(0, 0).share)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A store of 800 runs."""
    folder = tmp_path_factory.mktemp("made_up")
    suite, store = made_up_store(folder, 800)
    yield suite, store
    store.close()


def written(made_up, folder):
    suite, store = made_up
    path = write_report(study_of(store, suite.name), folder / "report")
    return path.with_suffix(".md").read_text(encoding="utf-8")


def test_reading_in_parts_changes_nothing(made_up, tmp_path, monkeypatch):
    """Runs that are read a few cells at a time give the same report to the byte."""
    from benchmarks.analysis import reading

    whole = written(made_up, tmp_path / "a")
    assert "799 of 800 runs done" in whole
    monkeypatch.setattr(reading, "RUNS_A_PART", 3 * SEEDS + 1)
    parts = written(made_up, tmp_path / "b")
    assert parts == whole
    for name in ("report.html", "claims.json", "summary.csv", "runs.csv"):
        first, second = ((tmp_path / each / "report" / name).read_bytes() for each in "ab")
        assert first == second


def test_a_suite_too_large_for_a_section_says_so(made_up, tmp_path, monkeypatch):
    """What is left out or cut short is told, section by section."""
    monkeypatch.setattr(limits, "MOST_WORK", 1000)
    monkeypatch.setattr(limits, "MOST_COMPARED_CELLS", 7)
    monkeypatch.setattr(limits, "MOST_PLOTTED_RUNS", 100)
    monkeypatch.setattr(limits, "MOST_CLAIMS", 1)
    text = written(made_up, tmp_path)
    assert "too many for a report" in text
    assert "is too large" in text
    assert "The first 7 of 80 cells." in text
    assert "The first 1 of 2 claims" in text
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "there are too many runs" in page
    assert "the others are incomplete or behind the front" in page


def test_the_front_is_the_same_where_points_are_left_out(made_up, tmp_path, monkeypatch):
    """Cells that are not looked at lie behind it."""

    def fronts(text):
        section = text.split("## Outcome against cost")[1].split("## Reliability")[0]
        return [line for line in section.splitlines() if line.startswith(("|", "On the front"))]

    whole = fronts(written(made_up, tmp_path / "a"))
    monkeypatch.setattr(limits, "MOST_COMPARED_CELLS", 5)
    assert fronts(written(made_up, tmp_path / "b")) == whole
    assert len(whole) > 5


def test_equals_on_a_front_are_all_kept(monkeypatch):
    """Of many cells with equal cost and outcome none is beaten, whichever are looked at."""
    monkeypatch.setattr(limits, "MOST_COMPARED_CELLS", 3)
    cells = [(5.0, 0.9), (4.0, 0.8), *[(1.0, 0.9)] * 4, (2.0, 0.95), (1.0, 0.7), (2.0, 0.95)]
    runs = pd.DataFrame(
        [
            {"dataset": "d", "task": "classification", "cell": cell, level_column("a"): str(cell), "seed": 0}
            | {"parameters": cost, "outcome": outcome}
            for cell, (cost, outcome) in enumerate(cells)
        ]
    )
    whole = [point for point in pareto_points(runs, "parameters") if point.is_on_front]
    found = front_of(points_over(runs, "parameters"))
    assert sorted(each.levels["a"] for each in found) == sorted(each.levels["a"] for each in whole)
    assert [each.cost for each in found] == [1] * 4 + [2] * 2
    assert points_over(runs.assign(outcome=math.nan), "parameters") == []


@pytest.mark.night
def test_the_memory_of_a_large_report():
    """A tenth of 100,000 runs takes half of the memory that they may take, with what is fixed."""
    # In a process of its own: what other tests have imported is no memory of the report.
    command = [sys.executable, "-m", "tools.report_scale", "--runs", "10000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["runs"] > 9_000
    assert found["GiB"] < 1
