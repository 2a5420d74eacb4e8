"""The blocks of a report in all its formats, and what it takes for a section to be in them."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from studies import study_of

from benchmarks.report import sections, writing
from benchmarks.report.blocks import (
    COVERED,
    Bullets,
    Card,
    Code,
    Column,
    Facts,
    File,
    Heading,
    Number,
    Paragraph,
    Plots,
    Spanning,
    Strong,
    Table,
    Tag,
    Word,
)
from benchmarks.report.render.csv import csv_table
from benchmarks.report.render.html import html_blocks
from benchmarks.report.render.latex import latex_table
from benchmarks.report.render.markdown import markdown_blocks
from benchmarks.report.section import Section
from benchmarks.report.tables import left_out
from tools.report_scale import made_up_store

EVIL = '<script>alert("|")</script> & `x` *y* [z](u) \\| "q" # =1+1'

TEXTS = st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=30)


class Reader(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(str(text))
        self.close()

    def handle_starttag(self, tag, attrs):  # noqa: ARG002  as the base class calls it
        """Note a tag."""
        self.tags.append(tag)

    def handle_data(self, data):
        """Note text."""
        self.text += data


def table_of(*texts, **more):
    """A table with a column of texts, and one of numbers."""
    columns = [
        Column("what", lambda row: row),
        Column("letters", lambda row: Number(len(row) / 7, f"{len(row)}"), is_number=True),
    ]
    return Table("Table of texts", columns, texts, **more)


def all_blocks(text):
    """Every block that has text of a user's, in every mark."""
    marked = (text, Code(text), Strong(text), Tag(text), Tag(text, warns=True), text)
    return [
        *(Paragraph(marked, kind) for kind in ("prose", "caption", "verdict")),
        Heading(marked),
        Bullets((marked, text)),
        *(Facts(((text, marked),), are_many) for are_many in (True, False)),
        Card(text, (table_of(text, caption=marked),)),
        table_of(text, group=lambda row: (row, Tag(row)), group_head="of", marks=lambda _: ("check",)),
    ]


@example(EVIL)
@given(TEXTS)
def test_text_is_only_text_on_a_page(text):
    """It makes no tag in any block or mark, and is shown as it is."""
    blocks = all_blocks(f"a{text}b")
    page = Reader(html_blocks(blocks))
    assert page.tags == Reader(html_blocks(all_blocks("ab"))).tags
    assert page.text.count(f"a{text}b") >= 6 * len(blocks) - 20


@example(EVIL)
@example("\n\n# heading")
@given(TEXTS)
def test_text_is_only_text_in_markdown(text):
    """It makes no tag, no line and no cell of a table."""
    told, harmless = markdown_blocks(all_blocks(f"a{text}b")), markdown_blocks(all_blocks("ab"))
    assert not re.search(r"<[a-zA-Z/!]", told)
    for line, usual in zip(told.split("\n"), harmless.split("\n"), strict=True):
        assert line[:1] == usual[:1]
        assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"\|", usual))


@example(EVIL)
@given(TEXTS)
def test_csv_reads_back(text):
    """A file has each text once, beside the number itself, and no formula."""
    [head, row] = csv.reader(io.StringIO(csv_table(table_of(f"a{text}")), newline=""))
    assert (head, row) == (["what", "letters"], [f"a{text}", f"{(1 + len(text)) / 7:.10g}"])
    assert csv_table(table_of("=cmd()")).splitlines()[1].startswith("'=cmd()")


def test_one_table_in_all_formats():
    """The reader's text on pages and in LaTeX, the value in a file; groups and marks in the way of each."""
    table = table_of("one", "three", group=lambda row: ("long" if len(row) > 3 else "short", Tag("t")), group_head="of")
    page = str(html_blocks([table]))
    assert page.count("<tbody>") == 2
    assert re.findall(r'<tr class="group"><th colspan="2" scope="rowgroup">(\w+) <span class="tag">t</span>', page) == [
        "short",
        "long",
    ]
    assert '<td class="n">5</td>' in page
    assert markdown_blocks([table]).splitlines() == [
        "| of | what | letters |",
        "|---|---|---:|",
        "| short (t) | one | 3 |",
        "| long (t) | three | 5 |",
    ]
    assert csv_table(table).splitlines() == [
        "of,what,letters",
        "short (t),one,0.4285714286",
        "long (t),three,0.7142857143",
    ]
    assert "three & 5 \\\\" in latex_table(table)


def test_a_cell_may_cover_others():
    """On a page it spans them; elsewhere they are empty."""
    columns = [
        Column("a", lambda row: Spanning(row, 2)),
        Column("b", lambda _: COVERED),
        Column("c", lambda _: True),
    ]
    table = Table("t", columns, ["raw: 1, 2"])
    assert '<tr><td colspan="2">raw: 1, 2</td><td>yes</td></tr>' in html_blocks([table])
    assert markdown_blocks([table]).splitlines()[-1] == "| raw: 1, 2 | | yes |"
    assert csv_table(table).splitlines()[-1] == '"raw: 1, 2",,True'


def test_what_there_is_nothing_of_leaves_nothing():
    """A paragraph without text, a file, a table that is no page's, and plots of which none is there."""
    blocks = [
        Paragraph(""),
        File("a.json", "{}"),
        table_of("x", files=("x.csv",), is_on_pages=False),
        Plots(()),
    ]
    assert html_blocks(blocks) == markdown_blocks(blocks) == ""


def test_plots_have_something_in_their_stead():
    """Where there are no figures the same is told by a table, and what the figures alone need is not."""
    plots = Plots((), caption="How to read them.", instead=(table_of("one"),))
    assert "How to read them." in html_blocks([plots])
    assert "<table>" not in html_blocks([plots])
    assert markdown_blocks([plots]) == markdown_blocks([table_of("one")])


@pytest.mark.parametrize(
    ("word", "look"),
    [("supported", "filled"), ("refuted", "crossed"), ("inconclusive", "plain"), ("exploratory", "dashed")],
)
def test_each_verdict_has_a_frame_of_its_own(word, look):
    """Told apart without colours."""
    assert f'<span class="word {look}">{word}</span>' in html_blocks([Paragraph((Word(word),), "verdict")])


def test_a_table_says_what_it_leaves_out():
    """And which file has it; nothing where it has all."""
    assert left_out([1, 2, 3], 3, "cells", "x.csv") == ""
    assert left_out([1, 2, 3], 2, "cells", "x.csv") == ("The first 2 of 3 cells; ", Code("x.csv"), " has them all.")
    assert left_out([1, 2, 3], 2, "levels") == "The first 2 of 3 levels."


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """A study of 800 runs."""
    folder = tmp_path_factory.mktemp("made_up")
    suite, store = made_up_store(folder, 800)
    yield study_of(store, suite.name)
    store.close()


def test_a_new_section_is_a_file_and_a_row(made_up, tmp_path, monkeypatch):
    """What it builds is in the list of contents, on both pages, and in LaTeX and CSV, and goes when the row goes."""

    def build(report):
        yield Paragraph(f"Of {len(report.runs)} runs:")
        yield table_of(*report.factors, files=("letters.csv", "letters.tex"))

    new = Section("letters", "How long are names?", build, label="Names", files=("letters.csv", "letters.tex"))
    monkeypatch.setattr(writing, "SECTIONS", (*sections.SECTIONS[:2], new))
    write = {path.name: path.read_text(encoding="utf-8") for path in written(made_up, tmp_path)}
    assert '<a href="#letters">Names</a>' in write["report.html"]
    section = write["report.html"].split('<section id="letters">')[1]
    assert section.lstrip().startswith("<h2>How long are names?</h2>\n<p>Of 800 runs:</p>")
    assert "## How long are names?\n\nOf 800 runs:\n\n| what | letters |" in write["report.md"]
    assert "model.activation,2.285714286" in write["letters.csv"]
    assert "model.activation & 16 \\\\" in write["letters.tex"]
    monkeypatch.setattr(
        writing, "SECTIONS", (*sections.SECTIONS[:2], Section("gone", "Gone", lambda _: (), files=new.files))
    )
    left = {path.name for path in written(made_up, tmp_path)}
    assert left == write.keys() - set(new.files)
    assert "Gone" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def written(study, folder):
    """The files of a report."""
    return sorted(writing.write_report(study, folder).parent.iterdir())


@pytest.mark.parametrize("attribute", ["name", "title"])
def test_sections_are_told_apart(attribute):
    """By their anchors and by their heads."""
    values = [getattr(each, attribute) for each in sections.SECTIONS]
    assert len(set(values)) == len(values)
