"""How numbers and text are written in every table of a report."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.labels import NOTHING, THIN_SPACE
from benchmarks.metrics import Metric, Unit
from benchmarks.settings.run import canonical_json

if TYPE_CHECKING:
    from benchmarks.analysis.estimates import Estimate
    from benchmarks.analysis.verdicts import Evidence

_UNITS: dict[Unit, tuple[str, str]] = {
    "share": ("in per cent", "in percentage points"),
    "nats": ("in nats", "in nats"),
    "number": ("", ""),
    "target": ("in the target’s unit", "in the target’s unit"),
}

_DIGITS = 4
_MOST_DECIMALS = 9
_LARGEST = 1e9
"""From here on, and where a typical value needs more decimals, numbers are written with an exponent."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_MARKDOWN = re.compile(r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])")


@dataclass(frozen=True)
class Style:
    """How the values of one metric are written, and the differences between them."""

    unit: Unit
    factor: int
    """What a value is multiplied by."""
    decimals: int
    sign: Literal["", "+"] = ""
    """What stands before a value above zero."""

    @property
    def differences(self) -> Style:
        """How the differences are written: with their signs, unless they round to zero."""
        return replace(self, sign="+")

    @property
    def unit_of_values(self) -> str:
        """Such as "in per cent"; empty for a pure number."""
        return _UNITS[self.unit][0]

    @property
    def unit_of_differences(self) -> str:
        """Such as "in percentage points"; empty for a pure number."""
        return _UNITS[self.unit][1]

    def value(self, value: float | None) -> str:
        """A value without its unit, with a true minus and thin spaces between thousands, never as minus zero."""
        if value is None or math.isnan(value):
            return NOTHING
        scaled = self.factor * value
        if abs(scaled) >= _LARGEST or self.decimals > _MOST_DECIMALS:
            text = f"{scaled:{self.sign}.{_DIGITS - 1}e}"
        else:
            text = f"{scaled:{self.sign},.{self.decimals}f}".replace(",", THIN_SPACE)
        is_zero = not re.search("[1-9]", text.partition("e")[0]) and math.isfinite(scaled)
        return text.lstrip("+-") if is_zero else text.replace("-", "−")

    def difference(self, difference: float | None) -> str:
        """One of the differences."""
        return self.differences.value(difference)

    def values(self, values: Iterable[float]) -> str:
        """Raw values, side by side."""
        return ", ".join(map(self.value, values)) or NOTHING

    def interval(self, found: Estimate | Evidence) -> str:
        """The interval of a mean."""
        return self.span(found.ci_low, found.ci_high)

    def span(self, low: float, high: float) -> str:
        """From one value to another; nothing where they are not known."""
        return NOTHING if math.isnan(low) else f"{self.value(low)} to {self.value(high)}"

    def raw(self, found: Estimate) -> str:
        """The values of an estimate that has no mean."""
        return f"raw: {self.values(found.values)}" if found.n else NOTHING

    def estimate(self, found: Estimate) -> str:
        """A mean with its interval, or what there is in its place."""
        if found.state == "interval":
            return f"{self.value(found.mean)} ({self.interval(found)})"
        return f"{self.value(found.mean)} (all equal)" if found.state == "degenerate" else self.raw(found)


def style_of(unit: Unit, values: Iterable[float] = ()) -> Style:
    """The style of a metric.

    Shares are shown in per cent with two decimals; of all else, the typical value has four digits.

    Args:
        unit: of the metric.
        values: that are to be written; those that are not finite do not count.
    """
    if unit == "share":
        return Style(unit, 100, 2)
    sizes = [abs(value) for value in values if math.isfinite(value) and value]
    typical = statistics.median(sizes) if sizes else 1.0
    return Style(unit, 1, max(0, _DIGITS - 1 - math.floor(math.log10(typical))))


def decimal(value: float | None) -> str:
    """A number with two decimals and, where it is negative, a true minus."""
    return Style("number", 1, 2).value(value)


def percent(share: float | None) -> str:
    """A share of 1 as a percentage with two decimals, without its sign: 0.96389 is `96.39`."""
    return style_of("share").value(share)


def p_text(p: float) -> str:
    """A p-value: three decimals, or that it is below them."""
    if math.isnan(p):
        return NOTHING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def titled(title: str, unit: str) -> str:
    """A title with the words of its unit, if there are any: `Test RMSE, in the target’s unit`."""
    title = title[:1].upper() + title[1:]
    return f"{title}, {unit}" if unit else title


def gain_title(metric: Metric, style: Style) -> str:
    """What a difference is that is turned so that positive means better: `reduction of test RMSE, in ...`."""
    turn = "gain in" if metric.better == "higher" else "reduction of"
    return ", ".join(filter(None, (f"{turn} {metric.title}", style.unit_of_differences)))


def sentences(*parts: object) -> str:
    """Those of the sentences that are something, one after the other: `condition and sentence` may be nothing."""
    return " ".join(str(part) for part in parts if part)


def named_seeds(seeds: Sequence[int]) -> str:
    """Such as: seeds 1000, 1001."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def short(text: str, length: int) -> str:
    """Text on one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def markdown(text: object) -> str:
    """Text that shows as it is in Markdown, on one line, also in the cell of a table."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda found: "\\" + found[0], line)


def flat_facts(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Facts by dotted name, as text; sorted, so that their order in the store does not matter."""
    found = []
    for name, value in sorted(facts.items()):
        if isinstance(value, Mapping):
            found += flat_facts(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", as_text(value)))
    return found


def as_text(value: object) -> str:
    """A fact or setting as text."""
    return value if isinstance(value, str) else canonical_json(value)


def digits(value: float) -> str:
    """Ten significant digits: more than a metric in single precision has, fewer than where machines differ."""
    return "" if math.isnan(value) else f"{value:.10g}"


def spreadsheet_text(value: object) -> object:
    """A cell of a CSV file that no spreadsheet takes for a formula; numbers, also written as text, stay as they are."""
    if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")) and not _NUMBER.fullmatch(value):
        return "'" + value
    return value
