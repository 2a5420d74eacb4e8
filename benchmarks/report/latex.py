r"""The tables of a report in LaTeX, with booktabs, to be read by `\input` into a paper.

All text is escaped. What pdfTeX has no character for by itself (letters beyond Latin ones) needs LuaLaTeX or XeLaTeX.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from benchmarks.analysis.contrasts import Contrast
from benchmarks.analysis.estimates import Estimate, standardized_mean
from benchmarks.analysis.judgements import JudgedClaim, Judgement
from benchmarks.analysis.summaries import CellSummary
from benchmarks.labels import NOTHING, THIN_SPACE, column_of, counted
from benchmarks.metrics import Metric
from benchmarks.report import limits
from benchmarks.report.claims import Claims, Numbers, is_open
from benchmarks.report.formatting import Style, decimal, gain_title, titled

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row these would be taken for its options.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    '"': "{''}",
    "−": r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "±": r"\ensuremath{\pm}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "²": r"\textsuperscript{2}",
    "ω": r"\ensuremath{\omega}",
    "…": r"\ldots{}",
    "–": "{--}",
    "—": "{---}",
    "‘": "{`}",
    "’": "{'}",
    "“": "{``}",
    "”": "{''}",
    THIN_SPACE: r"\,",
    "\N{NO-BREAK SPACE}": "~",
}

_LIGATURE = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=[!?`])(?=`)|(?<=,)(?=,)")
"""Between characters that would become one other character."""


def latex_text(text: object) -> str:
    """Text that LaTeX sets as it is, on one line: nothing in it is a command, and nothing ends a cell or a row."""
    line = " ".join(str(text).split())
    kept = "".join(character for character in line if character.isprintable() or character in _ESCAPES)
    parts = _LIGATURE.split(kept)
    return "{}".join("".join(_ESCAPES.get(character, character) for character in part) for part in parts)


def file_part(dataset: str) -> str:
    """The name of a dataset as part of the name of a file."""
    return dataset.replace("/", "_").replace(":", "-")


def cells_tex(summaries: Sequence[CellSummary], metric: Metric, style: Style, caption: str = "") -> str:
    """The cells of one dataset: levels, how many runs there are, mean, standard deviation and interval of the outcome.

    Args:
        summaries: what `cell_summaries` gave.
        metric: the outcome.
        style: how its values are written.
        caption: of the table, as plain text; without one it is a bare `tabular`.
    """
    rows = [
        behind_levels(
            each.levels,
            {
                "planned": str(each.n_planned),
                "done": str(each.n_done),
                "diverged": str(each.n_diverged),
                "mean": _value(each.outcome.mean, each.outcome, style),
                "SD": style.value(each.outcome.sd),
                "95 % interval": style.interval(each.outcome),
            },
        )
        for each in summaries
    ]
    factors = len(summaries[0].levels) if summaries else 0
    note = f"{titled(metric.title, style.unit_of_values)}; {metric.better} is better."
    return tex_table(rows, "l" * factors + "rrrrrr", note, caption)


def contrasts_tex(
    contrasts: Mapping[str, Sequence[Contrast]],
    baseline: Mapping[str, str],
    metric: Metric,
    style: Style,
    caption: str = "",
) -> str:
    """The difference of each level from the baseline, on one dataset, without verdicts.

    Args:
        contrasts: factor -> its contrasts.
        baseline: factor -> label of its baseline level.
        metric: the outcome.
        style: how its differences are written.
        caption: of the table, as plain text; without one it is a bare `tabular`.
    """
    rows = [
        {
            "factor": factor,
            "level": each.level + (", averaged" if each.kind == "main" else ""),
            "baseline": baseline[factor],
            "pairs": f"{each.estimate.n} of {each.n_planned}" if each.in_design else NOTHING,
            "difference": _difference(each.estimate, style) if each.in_design else "not in the design",
            "95 % interval": style.difference_interval(each.estimate),
            "d_z": decimal(standardized_mean(each.estimate)),
        }
        for factor, of_factor in contrasts.items()
        for each in of_factor
    ]
    note = f"{titled(gain_title(metric, style), '')}; more is better. Exploratory."
    return tex_table(rows, "lllrrrr", note, caption)


def claims_tex(claims: Claims, caption: str = "") -> str:
    """The claims with their evidence and verdicts, and the seeds that would decide where one is open.

    Args:
        claims: what `claims_content` gave.
        caption: of the table, as plain text; without one it is a bare `tabular`.
    """
    judged = claims.judged
    rows = [
        _claim_row(claim, each, row.numbers, claims.styles[each.metric])
        for claim, content in zip(judged.claims, claims.claims, strict=True)
        for each, row in zip(claim.judgements, content.rows, strict=True)
    ]
    note = (
        f"Intervals of {100 * (1 - judged.alpha_per_look):.4g} % each; p adjusted by Holm over "
        f"{counted(judged.family, 'registered judgement')}, alpha {judged.alpha_per_look:.4g}; exploratory claims have "
        "no verdict, and their p is adjusted for false discoveries."
    )
    columns = r">{\raggedright\arraybackslash}p{0.3\linewidth}lrrrr>{\raggedright\arraybackslash}p{0.24\linewidth}"
    return tex_table(rows, columns, note, caption)


def _claim_row(claim: JudgedClaim, judgement: Judgement, numbers: Numbers, style: Style) -> dict[str, str]:
    verdict = judgement.verdict
    told = verdict.text if verdict else "exploratory"
    if is_open(verdict):
        told += f"; needed: {numbers.seeds_needed}"
    unit = " pp" if style.unit == "share" else ""
    return {
        "claim": claim.statement,
        "dataset": judgement.dataset or "all",
        "margin": f"{style.factor * claim.margin:.10g}{unit}",
        "difference": numbers.difference,
        "interval": numbers.interval,
        "adjusted p": numbers.adjusted_p,
        "verdict": told,
    }


def behind_levels(levels: Mapping[str, str], row: Mapping[str, str]) -> dict[str, str]:
    """A row with a column for each factor before its own."""
    return {**{column_of(factor, row): level for factor, level in levels.items()}, **row}


def _value(value: float, found: Estimate, style: Style) -> str:
    return f"raw: {style.values(found.values)}" if found.state == "raw values" else style.value(value)


def _difference(found: Estimate, style: Style) -> str:
    return f"raw: {style.differences(found.values)}" if found.state == "raw values" else style.difference(found.mean)


def tex_table(rows: Sequence[Mapping[str, str]], columns: str, note: str, caption: str) -> str:
    """Rows of equal columns between rules of booktabs, headed by the packages that they need."""
    is_long = len(rows) > limits.MOST_LATEX_ROWS
    packages = ["array", "booktabs", *(["longtable"] if is_long else [])]
    heading = "".join(f"% \\usepackage{{{package}}}\n" for package in packages)
    if not rows:
        return f"{heading}% There is nothing to show.\n"
    frame = pd.DataFrame([[latex_text(value) for value in row.values()] for row in rows])
    frame.columns = pd.Index([latex_text(name) for name in rows[0]])
    text = frame.style.hide(axis="index").to_latex(
        hrules=True,
        column_format=columns,
        environment="longtable" if is_long else "table" if caption else None,
        caption=latex_text(caption) if caption else None,
        position_float="centering" if caption and not is_long else None,
    )
    return f"{heading}% {latex_text(note)}\n{text}"
