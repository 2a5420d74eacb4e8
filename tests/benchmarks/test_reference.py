"""The reference page: all of it is generated, nothing is missing, and its links lead somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest

import zoo
from benchmarks.cli import reference
from benchmarks.cli.reference import (
    Need,
    allowed_values,
    choice_tables,
    facts_of,
    reference_page,
    row_texts,
    shape_text,
    short_count,
    short_memory,
)
from benchmarks.settings.data import STANDARDIZATIONS, DataConfig
from benchmarks.settings.optimizers import OPTIMIZERS
from benchmarks.settings.run import setting_paths
from benchmarks.suite.design import Design
from benchmarks.suite.suite import Suite
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZER_GAINS, INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.settings import OneOf, Settings, setting
from zoo.topology import BLOCKS, MLP_SKIP_CONNECTIONS, POOLINGS, RESNET_SKIP_CONNECTIONS, STEMS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page():
    return reference_page()


def test_page_is_up_to_date(page):
    """The page in the repository is the generated one; `make docs` writes it."""
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == page


def test_page_has_every_model(page):
    """Every model has a row with its exact size."""
    for name, variant in zoo.VARIANTS.items():
        (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}` |") and "<br>" in line)
        assert f" {variant.parameters:,} | {variant.macs:,} |" in row
        assert f" {'x'.join(map(str, variant.input_shape))} | {variant.num_classes} |" in row


@pytest.mark.parametrize("path", setting_paths())
def test_page_has_every_setting(path, page):
    """Every path that a suite can set is on the page."""
    assert f"`{path}`" in page


def test_page_has_every_key_of_a_suite(page):
    """Every key of a suite, and of each table in it, has a row; so does what a design can be besides a name."""
    schema = Suite.model_json_schema()
    tables = {"": schema["properties"], "design": Design.model_fields}
    for key, each in schema["properties"].items():
        told = json.dumps({name: value for name, value in each.items() if name != "properties"})
        if found := re.search(r"#/\$defs/(\w+)", told):
            tables[key] = schema["$defs"][found[1]]["properties"]
    assert {"search", "tuned", "claims", "analysis"} <= set(tables)
    for table, keys in tables.items():
        section = page.split(f"\n### Keys of {table or 'a suite'}\n")[1].split("\n### ")[0]
        for key in keys:
            assert f"\n| `{f'{table}.' if table else ''}{key}` | " in section
    (margin,) = (line for line in page.splitlines() if line.startswith("| `claims.margin` |"))
    assert margin.startswith("| `claims.margin` | required | a number, at least 0 | The least difference that matters")


@pytest.mark.parametrize(
    "table",
    [
        ACTIVATIONS,
        INITIALIZERS,
        INITIALIZER_GAINS,
        NORMALIZATIONS,
        NORMALIZATION_PLACES,
        BLOCKS,
        STEMS,
        POOLINGS,
        MLP_SKIP_CONNECTIONS,
        RESNET_SKIP_CONNECTIONS,
        OPTIMIZERS,
        STANDARDIZATIONS,
        zoo.HEADS,
    ],
)
def test_page_has_every_choice(table, page):
    """Every row of every table is in the section of its table."""
    (found,) = (each for each in choice_tables() if each.rows is table)
    section = page.split(f"\n### {found.title}\n")[1].split("\n### ")[0]
    for name in table:
        assert f"\n| `{name}` | " in section


def test_page_tells_each_row_something(page):
    """No cell of the page is empty, and no row has more or fewer cells than its table's head."""
    width = None
    for line in page.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        width = width or len(cells)
        assert len(cells) == width, line
        assert all(cell.strip() for cell in cells), line


def test_links_lead_to_headings(page):
    """Headings differ, and every link leads to one, by the rule that GitHub makes anchors with."""
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(set(anchors)) == len(anchors)
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert len(links) > 30
    assert {link.removeprefix("#") for link in links} <= set(anchors)


@dataclass(frozen=True)
class Row:
    """A row as a table of tomorrow could have it."""

    program_only: int
    explanation: str
    source: str


NEW_TABLE = {"first": Row(1, "explained | so", "a *source*"), "second": Row(2, "otherwise", "another")}


class NewConfig(DataConfig):
    """A config with one more setting, of a table that no other setting has."""

    new_choices: tuple[Annotated[str, OneOf("new choice", NEW_TABLE)], ...] = setting((), "What is new.")


def test_new_settings_and_tables_appear(monkeypatch):
    """A setting, and a table that only it uses, are on the page without a change to the generator."""
    monkeypatch.setitem(reference.SECTION_CONFIGS, "data", (NewConfig,))
    page = reference_page()
    assert "| `data.new_choices` | `[]` | [`first`](#new-choice) or [`second`](#new-choice) | What is new. |" in page
    assert "### New choice\n\nFor `data.new_choices`." in page
    assert r"| `first` | explained \| so | a \*source\* |" in page


class Base(Settings):
    """What two families share."""

    kind: Annotated[str, OneOf("kind", {name: name for name in "abcde"})] = setting("a", "Which kind.")
    strength: float = setting(0.0, "How strong.", ge=0, lt=1, only_with={"kind": ("a", "b", "c")})
    pace: float = setting(0.5, "How fast.", not_with={"kind": "e"})


class One(Base):
    """The first family."""

    family: ClassVar[str] = "one"


class Other(Base):
    """The second family."""

    family: ClassVar[str] = "other"
    strength: float = setting(0.1, "How strong.", ge=0, lt=1, only_with={"kind": ("a",)})
    size: int = setting(3, "How large.", ge=1, le=5000)


def test_families_that_differ(monkeypatch):
    """A setting that families share has one row, which tells apart what differs; others are with their family."""
    monkeypatch.setitem(reference.SECTION_CONFIGS, "data", (One, Other))
    page = reference_page()
    assert "| `data.kind` | `a` | [one of 5 names](#kind) | Which kind. |" in page
    assert (
        "| `data.strength` | one: `0.0`<br>other: `0.1` | a number, at least 0 and less than 1 | "
        "one: How strong. Not with `kind` = `d` or `e`.<br>other: How strong. Only with `kind` = `a`. |"
    ) in page
    assert "| `data.pace` | `0.5` | a number | How fast. Not with `kind` = `e`. |" in page
    section = page.split("### Settings of other")[1]
    assert "| `data.size` | `3` | a whole number, from 1 to 5,000 | How large. |" in section


def test_facts():
    """The facts of a setting are those that are declared, and what it needs is told the shorter way."""
    facts = facts_of(One)
    assert facts["strength"].needs == (Need("kind", ("d", "e"), is_met_by_them=False),)
    assert facts_of(Other)["strength"].needs == (Need("kind", ("a",), is_met_by_them=True),)
    assert facts_of(Other)["strength"].needs[0].told() == "Only with kind = a."
    assert facts["pace"].explanation == "How fast."
    assert facts["kind"].choices.kind == "kind"
    assert facts["pace"].choices is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": "integer", "minimum": 1, "maximum": 8}, "a whole number, from 1 to 8"),
        ({"type": "integer", "minimum": 1}, "a whole number, at least 1"),
        ({"type": "number", "exclusiveMinimum": 0}, "a number, more than 0"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 0.5}, "a number, at least 0 and less than 0.5"),
        ({"type": "number", "maximum": 1e6}, "a number, at most 1,000,000"),
        ({"type": "string", "enum": ["a", "b", "c"]}, "a, b or c"),
        ({"type": "array", "items": {"type": "number"}}, "a list, each a number"),
        ({"type": "array"}, "a list"),
        ({"type": "array", "items": {"$ref": "#/$defs/Claim"}}, "a list, each a table"),
        ({"type": ["boolean", "string", "array"]}, "true or false, or text, or a list"),
        ({"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}, "a whole number, at least 1, or text"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "a whole number, or nothing"),
        (
            {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
            "a whole number, or a list of them",
        ),
    ],
)
def test_allowed_values(schema, words):
    """What a schema allows is told in words."""
    assert allowed_values(schema) == words


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (7_850, "7.85 k"),
        (60_850, "60.9 k"),
        (269_722, "0.27 M"),
        (1_727_962, "1.73 M"),
        (40_551_040, "40.6 M"),
        (252_887_680, "253 M"),
        (3_857_973_248, "3.86 G"),
        (11_282_415_616, "11.3 G"),
    ],
)
def test_short_counts(number, text):
    """Counts are told with three digits, and below a million as papers do."""
    assert short_count(number) == text


def test_other_texts():
    """Shapes, memory and rows of tables are told as people write them."""
    assert shape_text((32, 32, 3)) == "32x32x3"
    assert short_memory(1_536) == "1.5 KiB"
    assert short_memory(3 * 2**20) == "3.0 MiB"
    assert short_memory(5 * 2**30) == "5.0 GiB"
    assert row_texts("a meaning") == {"meaning": "a meaning"}
    assert row_texts(NEW_TABLE["second"]) == {"explanation": "otherwise", "source": "another"}
