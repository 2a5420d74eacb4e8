"""Tables for papers."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks.analysis.contrasts import simple_contrasts
from benchmarks.analysis.summaries import cell_summaries
from benchmarks.analysis.tables import level_column
from benchmarks.metrics import FURTHER_METRICS, METRICS
from benchmarks.plan.registration import Standing
from benchmarks.report.claims import claims_content
from benchmarks.report.formatting import style_of
from benchmarks.report.limits import MOST_LATEX_ROWS
from benchmarks.report.render.latex import latex_table, latex_text
from benchmarks.report.sections.cells import cells_table
from benchmarks.report.sections.claims import claims_table
from benchmarks.report.sections.differences import contrasts_table
from benchmarks.runs import Factors

ACCURACY = METRICS["test_accuracy"]
STYLE = style_of("share")
EVIL = r"50 % of A & B_1 #2 $x^2$ {\input{/etc/passwd}} ~ [h] *-- ``q'' <b> | \\ \end{tabular}"


def runs_of(factors, seeds=8, shift=0.02):
    """A run table of every combination; the second level of each factor is better."""
    rows = []
    for cell, levels in enumerate(itertools.product(*factors.values())):
        places = sum(list(values).index(level) for values, level in zip(factors.values(), levels, strict=True))
        for seed in range(seeds):
            accuracy = 0.9 + shift * places + 0.001 * np.sin(7 * seed + cell)
            row = {"dataset": "digits", "task": "classification", "cell": cell, "seed": seed, "status": "done"}
            row |= dict.fromkeys(METRICS, np.nan)
            row |= {level_column(factor): level for factor, level in zip(factors, levels, strict=True)}
            row |= dict.fromkeys(FURTHER_METRICS["classification"], 0.1)
            rows.append(row | {"outcome": accuracy, "test_accuracy": accuracy, "parameters": 9034.0})
    return pd.DataFrame(rows)


FACTORS = {"model.activation": ["relu", "[128, 64]", "*"], "a_b % &": ["plain", EVIL]}
BASELINE = {"model.activation": "relu", "a_b % &": "plain"}


def claims_of(suite, runs, unregistered=()):
    """The claims of a suite as a report has them."""
    standing = Standing(
        unregistered=dict.fromkeys(unregistered, "it was not registered"),
        registered_at={},
        taken_out=(),
        attempts=(),
        looks=(),
        seeds=tuple(suite.seed_list),
        undeclared=None,
    )
    return claims_content(suite, runs, standing)


@pytest.fixture(scope="module")
def claims(suite_of):
    """Claims with every character that LaTeX reads as a command."""
    claims = [
        {"statement": EVIL, "factor": "model.activation", "better": "tanh", "than": "relu", "margin": 0.002},
        {
            "statement": "Too small to be seen",
            "factor": "model.activation",
            "better": "tanh",
            "than": "relu",
            "margin": 0.02,
        },
        {
            "statement": "Nobody claimed it",
            "factor": "model.activation",
            "better": "relu",
            "than": "tanh",
            "margin": 0.0,
        },
    ]
    suite = suite_of(seeds=8, claims=claims)
    runs = runs_of({"model.activation": ["relu", "tanh"]})
    return claims_of(suite, runs, ["Nobody claimed it"])


def cells_tex(runs):
    """The table of all cells of a run table."""
    return latex_table(cells_table(cell_summaries(runs), ACCURACY, STYLE, "x.tex"))


@pytest.fixture(scope="module")
def tables(claims):
    """Every kind of table, short and long."""
    runs = runs_of(FACTORS)
    many = runs_of({"a": [str(level) for level in range(MOST_LATEX_ROWS + 2)]}, seeds=2)
    contrasts = {}
    for each in simple_contrasts(runs, Factors(FACTORS, BASELINE)):
        contrasts.setdefault(each.factor, []).append(each)
    return {
        "cells": cells_tex(runs),
        "many cells": cells_tex(many),
        "contrasts": latex_table(contrasts_table(contrasts, BASELINE, ACCURACY, STYLE, "x.tex")),
        "claims": latex_table(claims_table(claims)),
    }


COMMANDS = {
    *("begin", "end", "toprule", "midrule", "bottomrule", "raggedright", "arraybackslash"),
    *("linewidth", "endfirsthead", "endhead", "endfoot", "endlastfoot", "multicolumn", "usepackage", "ensuremath"),
    *("textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar", "textsuperscript"),
    *("ldots", "times", "pm", "leq", "geq", "omega"),
}
"""Commands that a table may have; `\\input` is not among them."""

TOKEN = re.compile(r"\\([a-zA-Z]+)\*?|\\(.)|([{}$&#_^~%])", re.DOTALL)


def check(text):
    """Read LaTeX strictly: known commands, balanced braces and environments, nothing special left unescaped.

    Returns:
        The number of cells in each row of the table.
    """
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    environments, depth, cells, rows = [], 0, 1, []
    for found in TOKEN.finditer(body):
        command, symbol, special = found.groups()
        if command:
            assert command in COMMANDS, found.group()
            if command in ("begin", "end"):
                name = re.match(r"\{([a-z]+)\}", body[found.end() :])[1]
                if command == "begin":
                    environments.append(name)
                else:
                    assert environments.pop() == name
        elif symbol:
            assert symbol in "\\{}$&#%_,", found.group()
            if symbol == "\\":
                assert depth == 0
                assert body[found.end() :].lstrip()[:1] not in ("[", "*")
                rows.append(cells)
                cells = 1
        elif special == "&":
            assert depth == 0
            cells += 1
        elif special in "{}":
            depth += 1 if special == "{" else -1
            assert depth >= 0
        else:
            assert special == "~", f"{special} is not escaped"
    assert (environments, depth) == ([], 0)
    return rows


@pytest.mark.parametrize("name", ["cells", "many cells", "contrasts", "claims"])
def test_tables_are_sound(name, tables):
    """Only known commands, balanced, every row of as many cells as the table has columns, whatever the labels are."""
    rows = check(tables[name])
    assert len(set(rows) - {1}) == 1
    assert rows.count(max(rows)) >= 3
    assert tables[name].startswith("% \\usepackage{array}\n% \\usepackage{booktabs}\n")
    for rule in ("toprule", "midrule", "bottomrule"):
        assert f"\\{rule}" in tables[name]


def test_long_tables_go_over_pages(tables):
    """More rows than fit a page are set as a longtable, and its package is named."""
    assert "\\begin{longtable}" in tables["many cells"]
    assert "\\usepackage{longtable}" in tables["many cells"]
    assert "longtable" not in tables["cells"]


def test_the_numbers(tables):
    """Means, differences and verdicts are those of the analysis, and an open claim names the seeds that it needs."""
    runs = runs_of(FACTORS)
    mean = runs[(runs["cell"] == 0)]["outcome"].mean()
    row = next(line for line in tables["cells"].splitlines() if line.startswith("relu & plain"))
    assert row.split(" & ")[2:6] == ["8", "8", "0", f"{100 * mean:.2f}"]
    open_claim = next(line for line in tables["claims"].splitlines() if "Too small" in line)
    assert "inconclusive: " in open_claim
    assert "; needed: " in open_claim
    assert "supported: superior" in tables["claims"]
    exploratory = next(line for line in tables["claims"].splitlines() if "Nobody" in line)
    assert exploratory.rstrip(" \\").endswith("exploratory")
    assert "2 registered judgements" in tables["claims"]


def test_seeds_are_named_only_where_they_decide(suite_of):
    """A missing pair is no matter of seeds, and six seeds where six are needed are told."""
    compared = {"factor": "model.activation", "better": "tanh", "than": "relu"}
    suite = suite_of(seeds=7, claims=[{"statement": "s", "margin": 0.02, **compared}])
    runs = runs_of({"model.activation": ["relu", "tanh"]}, seeds=7)
    told = {}
    for name, hole in (("whole", None), ("holed", 3)):
        table = runs.assign(outcome=runs["outcome"].where(runs.index != hole))
        told[name] = next(
            line for line in latex_table(claims_table(claims_of(suite, table))).splitlines() if line.startswith("s & ")
        )
    assert "; needed: " in told["whole"]
    assert "missing pair (1 of 7 pairs)" in told["holed"]
    assert "needed" not in told["holed"]


def test_factors_named_as_columns_keep_their_columns():
    """A factor called "mean" has a column of its own beside the mean."""
    text = cells_tex(runs_of({"mean": ["low", "high"]}))
    assert set(check(text)) == {7}
    head, first = (line for line in text.splitlines() if line.startswith(("level:mean", "low")))
    assert [part.strip(" \\") for part in head.split("&")][:5] == ["level:mean", "planned", "done", "diverged", "mean"]
    assert first.startswith("low & 8 & 8 & 0 & 9")


def test_few_seeds_are_shown_as_they_are(tables):
    """Below three seeds a cell has its values and no mean."""
    assert tables["many cells"].count("raw: 9") + tables["many cells"].count("raw: 1") == MOST_LATEX_ROWS + 2


def test_an_empty_table():
    """Without cells there is a comment and no table."""
    text = latex_table(cells_table([], ACCURACY, STYLE, "x.tex"))
    assert check(text) == []
    assert "nothing to show" in text


def read_back(text):
    """What LaTeX would set, by its own rules, for text without math."""
    names = {
        "textbackslash": "\\",
        "textasciicircum": "^",
        "textasciitilde": "~",
        "textless": "<",
        "textgreater": ">",
        "textbar": "|",
    }
    text = text.replace("{''}", '"')
    text = re.sub(r"\\([a-z]+)\{\}", lambda found: f"\0{ord(names[found[1]]):x};", text)
    text = re.sub(r"\\(.)", lambda found: f"\0{ord(found[1]):x};", text)
    assert not re.search(r"--|''|``|,,|[!?]`", text)
    text = re.sub(r"[{}]", "", text)
    return re.sub("\0([0-9a-f]+);", lambda found: chr(int(found[1], 16)), text)


@example("--seeds=3 ---- ``q'' ,, ?` !`")
@example("[h] * \\\\[2em] \\input{x} %")
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_any_text_is_set_as_it_is(text):
    """Every printable ASCII text comes back: no character is lost, joined with another, or read as a command."""
    escaped = latex_text(text)
    check(escaped)
    assert read_back(escaped) == " ".join(text.split())


@pytest.mark.parametrize("bad", ["\n\n", "\t", "\x00", "\x1b[0m", "\u202e", "\\par\n"])
def test_no_line_ends_within_a_cell(bad):
    """Line ends and control characters cannot begin a paragraph or hide text."""
    escaped = latex_text(f"a{bad}b")
    assert "\n" not in escaped
    assert all(character.isprintable() for character in escaped)


@pytest.mark.night
def test_latex_compiles_them(tables, tmp_path):
    """PdfLaTeX sets all of them without an error."""
    if (
        not (engine := shutil.which("pdflatex"))
        or subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).returncode
    ):
        pytest.skip("pdflatex with booktabs is not installed")
    body = "\n\n".join(f"\\section{{x}}\n{{\\small\n{text}\n}}" for text in tables.values())
    packages = "\\usepackage{array,booktabs,longtable}"
    document = f"\\documentclass{{article}}\n{packages}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "tables.tex").write_text(document, encoding="utf-8")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "tables.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "tables.pdf").is_file()
    assert "Missing character" not in done.stdout
