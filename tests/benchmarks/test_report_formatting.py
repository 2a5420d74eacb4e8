"""How numbers and text are written."""

from __future__ import annotations

import math

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import labels
from benchmarks.analysis.estimates import estimate
from benchmarks.report import formatting

unhurried = examples(40, 100)


SHARE = formatting.style_of("share")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.96389, "96.39"), (1.0, "100.00"), (0.0, "0.00"), (-0.00001, "0.00"), (math.nan, "–"), (None, "–")],
)
def test_shares(value, expected):
    """A share is written in per cent with two decimals, never as minus zero."""
    assert SHARE.value(value) == formatting.percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0123, "+1.23"), (-0.0123, "−1.23"), (0.0, "0.00"), (-0.00001, "0.00"), (0.00001, "0.00"), (math.nan, "–")],
)
def test_points(value, expected):
    """A difference of shares has its sign, with a true minus, and none where it rounds to zero."""
    assert SHARE.difference(value) == expected


@pytest.mark.parametrize(
    ("typical", "value", "expected"),
    [
        (0.5312, 0.53124, "0.5312"),
        (0.5312, -12.5, "−12.5000"),
        (3.14159, 3.14159, "3.142"),
        (48123.4, 48123.4, "48\u202f123"),
        (48123.4, 0.2, "0"),
        (48123.4, -0.2, "0"),
        (9.9, 9.9996, "10.000"),
        (3e-12, 3e-12, "3.000e−12"),
        (3e-12, 0.0, "0.000e+00"),
        (0.5, 1.25e30, "1.250e+30"),
        (0.5, math.inf, "inf"),
        (0.5, -math.inf, "−inf"),
    ],
)
def test_values_in_the_unit_of_a_target(typical, value, expected):
    """A typical value has four digits, so do all others have its decimals, and what is far off has an exponent."""
    assert formatting.style_of("target", [typical]).value(value) == expected


def test_one_value_far_off_changes_no_style():
    """The decimals follow the median; holes, zeros and infinities do not count."""
    values = [0.5, 0.6, 0.7, 4e12, math.nan, math.inf, 0.0]
    assert formatting.style_of("target", values).value(0.55557) == "0.5556"
    assert formatting.style_of("number", [math.nan, 0.0]).value(0.55557) == "0.556"


def test_units_are_named():
    """Values and differences of shares differ in their unit; a pure number has none."""
    assert (SHARE.unit_of_values, SHARE.unit_of_differences) == ("in per cent", "in percentage points")
    assert formatting.titled("test RMSE", formatting.style_of("target").unit_of_values) == (
        "Test RMSE, in the target’s unit"
    )
    assert formatting.titled("test R²", formatting.style_of("number").unit_of_values) == "Test R²"


def test_whole_and_counted():
    """Thousands are set apart by a thin space, and nouns agree."""
    assert labels.whole(1234567) == "1\u202f234\u202f567"
    assert labels.whole(None) == "–"
    assert labels.counted(1, "seed") == "1 seed"
    assert labels.counted(0, "seed") == "0 seeds"


def test_intervals():
    """Intervals are given where there are some."""
    found = estimate([0.01, 0.02, -0.06])
    assert SHARE.differences.interval(found) == "−11.83 to +9.83"
    assert SHARE.interval(found) == "−11.83 to 9.83"
    assert SHARE.differences.interval(estimate([0.01, 0.02])) == "–"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.01, 0.02, -0.06], "−1.00 (−11.83 to 9.83)"),
        ([0.5, 0.25], "raw: 50.00, 25.00"),
        ([0.5, 0.5, 0.5], "50.00 (all equal)"),
        ([], "–"),
    ],
)
def test_estimates(values, expected):
    """An estimate is told with what there is: an interval, the values themselves, or nothing."""
    assert SHARE.estimate(estimate(values)) == expected


def test_lists():
    """Raw values stand side by side."""
    assert SHARE.differences.values([0.01, -0.02]) == "+1.00, −2.00"
    assert SHARE.values([0.5, 0.25]) == "50.00, 25.00"
    assert SHARE.differences.values([]) == "–"


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
