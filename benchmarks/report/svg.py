"""Matplotlib figures as SVG for a page: the same bytes each time, and colours that follow the page's."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.figure import Figure

# Each colour is drawn with a hex code of its own, which the page's style sheet then decides, for light and for dark.
INK = "#101112"
MUTED = "#606162"
RULE = "#d0d1d2"
PAPER = "#fdfefc"
FIRST = "#0072b2"
SECOND = "#d55e00"

_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--card)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.parse_math": False,  # a label may hold a dollar sign
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

_DECIMALS = re.compile(r"-?\d+\.\d{2,}")
_NEEDLESS = re.compile(
    r'<metadata>.*?</metadata>|<!--.*?-->|(?<=<g) id="[^"]*"| xmlns(:xlink)?="[^"]*"| version="1.1"'
    # The page has its own font; a turn by nothing needs no words.
    r'| ?font-family: [^;"]+;| transform="rotate\(-0 [^"]*"',
    re.DOTALL,
)
_FONT = re.compile(r"font: (?:(\w+) )?([\d.]+)px [^;\"]+")


def draw(name: str, description: str, width: float, height: float, paint: Callable[[Figure], None]) -> Markup:
    """Draw a figure and give its SVG element.

    Args:
        name: different for each figure of a page; keeps their element ids apart.
        description: what is to be seen, for those who cannot.
        width: in inches.
        height: in inches.
        paint: draws on the figure; the style is in force while it runs.
    """
    buffer = io.StringIO()
    # The defaults first: a matplotlibrc of the user's would change the bytes.
    with mpl.rc_context(), warnings.catch_warnings():
        # Text is written as text, so the page's fonts show the characters that matplotlib's own lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        mpl.rcParams["svg.hashsalt"] = name
        figure = Figure(figsize=(width, height))
        paint(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _for_page(buffer.getvalue(), description)


def _for_page(document: str, description: str) -> Markup:
    """The SVG element alone, without what a page does not need, its colours as variables of the page."""
    body = document[document.index("<svg") :]
    body = _FONT.sub(lambda font: f"font-size: {font[2]}px" + ("; font-weight: bold" if font[1] else ""), body)
    body = _NEEDLESS.sub("", body)
    body = re.sub(r'(?<= d=")[^"]*|(?<= points=")[^"]*', lambda path: _short_path(path[0]), body)
    body = re.sub(r"\s*\n\s*", "\n", body)
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, variable)
    label = f'<svg role="img" aria-label="{escape(description)}"'
    return Markup(body.replace("<svg", label, 1).strip())


def _short_path(path: str) -> str:
    """Path data to a tenth of a point, which no eye tells from more."""
    path = _DECIMALS.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), path)
    return " ".join(path.split())
