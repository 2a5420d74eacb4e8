"""How numbers and text are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.analysis.estimates import estimate
from benchmarks.report import formatting

unhurried = settings(deadline=None, max_examples=100)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.96389, "96.39"), (1.0, "100.00"), (0.0, "0.00"), (-0.00001, "0.00"), (math.nan, "–"), (None, "–")],
)
def test_percent(value, expected):
    """A share is written in per cent with two decimals, never as minus zero."""
    assert formatting.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0123, "+1.23"), (-0.0123, "−1.23"), (0.0, "0.00"), (-0.00001, "0.00"), (0.00001, "0.00"), (math.nan, "–")],
)
def test_points(value, expected):
    """A difference has its sign, with a true minus, and none where it rounds to zero."""
    assert formatting.points(value) == expected


def test_whole_and_counted():
    """Thousands are set apart by a thin space, and nouns agree."""
    assert formatting.whole(1234567) == "1\u202f234\u202f567"
    assert formatting.whole(None) == "–"
    assert formatting.counted(1, "seed") == "1 seed"
    assert formatting.counted(0, "seed") == "0 seeds"


def test_intervals():
    """Intervals are given where there are some."""
    found = estimate([0.01, 0.02, -0.06])
    assert formatting.points_interval(found) == "−11.83 to +9.83"
    assert formatting.percent_interval(found) == "−11.83 to 9.83"
    assert formatting.points_interval(estimate([0.01, 0.02])) == "–"


def test_lists():
    """Raw values stand side by side."""
    assert formatting.points_list([0.01, -0.02]) == "+1.00, −2.00"
    assert formatting.percent_list([0.5, 0.25]) == "50.00, 25.00"
    assert formatting.points_list([]) == "–"


def test_short():
    """Long text is cut to one line of the length that was asked for."""
    assert formatting.short("a\n b", 10) == "a b"
    assert formatting.short("abcdef", 4) == "abc…"


@pytest.mark.parametrize("text", ["=cmd()", "+1+1", "-2+3", "@sum", " =x", "\t=x", "-", "+a"])
def test_spreadsheet_formulas_are_defused(text):
    """Text that a spreadsheet would take for a formula is put behind an apostrophe."""
    assert formatting.spreadsheet_text(text) == "'" + text


@pytest.mark.parametrize("value", ["-0.5", "+1e-3", "relu", "a=b", "", -0.5, 3, None])
def test_numbers_and_plain_text_stay(value):
    """Numbers, also those written as text, and harmless text are left as they are."""
    assert formatting.spreadsheet_text(value) == value


@unhurried
@given(st.text(max_size=40))
def test_markdown_is_defused(text):
    """Whatever the text, no pipe, markup or line break is left that Markdown would act on."""
    shown = formatting.markdown(text)
    assert "\n" not in shown
    assert "<" not in shown
    assert ">" not in shown
    rest = shown
    for mark in "\\`*[]|~_":
        rest = rest.replace("\\" + mark, "")
    assert not set("\\`*[]|~") & set(rest)


def test_markdown_leaves_names_readable():
    """Underscores within a word need no backslash; those around it do."""
    assert formatting.markdown("he_normal") == "he_normal"
    assert formatting.markdown("_x_ a|b") == r"\_x\_ a\|b"
