"""Reference of all that can be chosen, from the declarations: `python -m benchmarks.cli.reference` prints the page.

A setting's facts come from its field, and the tables of named choices are found through the fields that accept their
names: a new field, row or table is on the page without an edit here. `make docs` writes the page to docs/reference.md.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import zoo
from benchmarks.cli.streams import patient_streams
from benchmarks.report.formatting import markdown
from benchmarks.settings.run import SECTION_CONFIGS, VARIANT
from benchmarks.suite.claims import ACROSS_DATASETS, CLAIM_KINDS, Analysis, Claim
from benchmarks.suite.design import Design
from benchmarks.suite.search import SearchTable, Tuned
from benchmarks.suite.suite import Suite
from zoo.settings import OneOf, Settings, as_written
from zoo.topology import PUBLISHED_LAYOUTS

SUITE_TABLES: dict[str, type[Settings]] = {
    "": Suite,
    "design": Design,
    "search": SearchTable,
    "tuned": Tuned,
    "claims": Claim,
    "analysis": Analysis,
}
"""The tables of a suite file beside those of settings: key of the suite -> what has its keys."""

ROW_TEXTS = ("formula", "explanation", "source", "defaults")
"""The texts of a table's row that people read, where it has them; its other fields are for the program."""

_NUMBERS = ("Classes", "Parameters", "MACs")
"""The columns of the page that are set flush right."""

MOST_NAMES_IN_A_CELL = 4
"""Longer lists of names stand elsewhere."""


@dataclass(frozen=True)
class Need:
    """What must hold for a setting to have an effect."""

    setting: str
    values: tuple[Any, ...]
    is_met_by_them: bool
    """Whether the setting must have one of the values, or must have none of them."""

    def told(self, shown: Callable[[str], str] = str) -> str:
        """In words: `Only with normalization = batch.`; `shown` marks up names and values."""
        only = "Only" if self.is_met_by_them else "Not"
        return f"{only} with {shown(self.setting)} = {_either([shown(value_text(value)) for value in self.values])}."


@dataclass(frozen=True)
class SettingFacts:
    """What is declared about one setting of one config."""

    name: str
    default: Any
    is_required: bool
    explanation: str
    allowed: str
    """The values that it takes, in words; for named choices their names."""
    choices: OneOf | None
    """The table of the named choices, if it is one."""
    needs: tuple[Need, ...]


@dataclass(frozen=True)
class ChoiceTable:
    """One table of named choices, and who takes its names."""

    title: str
    rows: Mapping[Any, Any]
    taken_by: str


def facts_of(config: type[Settings]) -> dict[str, SettingFacts]:
    """The facts of every setting of a config, by name."""
    schemas = config.model_json_schema()["properties"]
    fields = config.model_fields.items()
    choices = {name: next(_choices([*field.metadata, field.annotation]), None) for name, field in fields}
    return {
        name: SettingFacts(
            name=name,
            default=field.default,
            is_required=field.is_required(),
            explanation=field.description or "",
            allowed=allowed_values(schemas[name]),
            choices=choices[name],
            needs=tuple(_needs(field.json_schema_extra, choices)),
        )
        for name, field in fields
    }


def choice_tables() -> list[ChoiceTable]:
    """Every table that a setting takes its names from, then the others."""
    found: dict[int, tuple[OneOf, dict[str, list[str]]]] = {}
    for section, configs in [*SECTION_CONFIGS.items(), *((name, (table,)) for name, table in SUITE_TABLES.items())]:
        for config in configs:
            for facts in facts_of(config).values():
                if facts.choices:
                    _, takers = found.setdefault(id(facts.choices.table), (facts.choices, {}))
                    takers.setdefault(f"`{section}.{facts.name}`", []).append(_family(config))
    kinds = [choices.kind for choices, _ in found.values()]
    tables = []
    for choices, takers in found.values():
        families = {family for each in takers.values() for family in each}
        is_shared = kinds.count(choices.kind) > 1
        title = choices.kind.capitalize() + (f" ({', '.join(sorted(families))})" if is_shared else "")
        rows_are_texts = all(isinstance(row, str) for row in choices.table.values())
        module = None if rows_are_texts else sys.modules[type(next(iter(choices.table.values()))).__module__]
        notes = (inspect.getdoc(module) or "").split("\n\n")[1:] if module else []
        tables.append(ChoiceTable(title, choices.table, "\n\n".join([f"For {' and '.join(takers)}.", *notes])))
    layouts = {
        f"{block}, {stages} stages, depth {depth}": f"{', '.join(map(str, blocks))} blocks"
        for (block, stages, depth), blocks in PUBLISHED_LAYOUTS.items()
    }
    return [
        *tables,
        ChoiceTable("Kind of claim", CLAIM_KINDS, "For `claims.kind`."),
        ChoiceTable("Claims about several datasets", ACROSS_DATASETS, "For `claims.datasets`."),
        ChoiceTable(
            "Published layouts", layouts, "Blocks in each stage where they are not equally many (He et al. 2016)."
        ),
        ChoiceTable("Head", zoo.HEADS, "For `head` of `zoo.create_model` and `zoo.build_model`."),
    ]


def allowed_values(schema: Mapping[str, Any]) -> str:
    """The values that a JSON Schema allows, in words: `a whole number, from 1 to 8`."""
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        if {"type": "number"} in alternatives:  # of which whole ones are some
            alternatives = [each for each in alternatives if each != {"type": "integer"}]
        listed = [{"of them": True} if each.get("items") in alternatives else each for each in alternatives]
        return ", or ".join(dict.fromkeys(map(allowed_values, listed)))
    if "of them" in schema:
        return "a list of them"
    if "enum" in schema:
        return _either(list(map(str, schema["enum"])))
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        return ", or ".join(allowed_values({"type": each}) for each in kind)
    if kind == "array":
        return f"a list, each {allowed_values(schema['items'])}" if schema.get("items") else "a list"
    bounds = [f"{words} {_bound(schema[name])}" for name, words in _BOUNDS.items() if name in schema]
    if "minimum" in schema and "maximum" in schema:
        bounds = [f"from {_bound(schema['minimum'])} to {_bound(schema['maximum'])}"]
    return ", ".join(filter(None, (_KINDS.get(kind, kind), " and ".join(bounds))))


def value_text(value: Any) -> str:
    """A value as it is written in a suite, names without quotes."""
    if isinstance(value, Settings):
        value = value.differing_from_default()
    return value if isinstance(value, str) and value else as_written(value)


_KINDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "object": "a table",
    "null": "nothing",
}

_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
}


def row_texts(row: Any) -> dict[str, str]:
    """The texts of a table's row by their kind; a row that is a text is its meaning."""
    if isinstance(row, str):
        return {"meaning": row}
    return {name: str(getattr(row, name)) for name in ROW_TEXTS if hasattr(row, name)}


def short_count(number: int) -> str:
    """A count as papers print it: 269,722 is `0.27 M`."""
    for size, unit in ((1e9, " G"), (1e5, " M"), (1e3, " k")):
        if number >= size:
            value = number / (1e6 if unit == " M" else size)
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}{unit}"
    return str(number)


def short_memory(size: int) -> str:
    """An amount of memory: 38,535,168 bytes are `36.8 MiB`."""
    unit, power = next((each for each in (("GiB", 30), ("MiB", 20)) if size >= 2 ** each[1]), ("KiB", 10))
    return f"{size / 2**power:.1f} {unit}"


def shape_text(shape: Iterable[int]) -> str:
    """A shape as `32x32x3`."""
    return "x".join(map(str, shape))


def _choices(parts: Iterable[Any]) -> Iterator[OneOf]:
    """Every table that stands in annotations, however deep inside."""
    for part in parts:
        if isinstance(part, OneOf):
            yield part
        else:
            yield from _choices(get_args(part))


def _needs(extra: Any, choices: Mapping[str, OneOf | None]) -> Iterator[Need]:
    for name, values in (extra or {}).get("only_with", {}).items():
        table = getattr(choices.get(name), "table", {})
        others = tuple(each for each in table if each not in values)
        # Of a long list of names, the few that are not on it are told.
        is_long = len(values) > len(others) > 0
        yield Need(name, others if is_long else tuple(values), is_met_by_them=not is_long)
    for name, value in (extra or {}).get("not_with", {}).items():
        yield Need(name, (value,), is_met_by_them=False)


def _bound(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def reference_page() -> str:
    """The whole page, in Markdown."""
    tables = choice_tables()
    titles = {id(table.rows): table.title for table in tables}
    parts = [
        "# Reference\n\nEvery model, setting, key of a suite and named choice, generated by `make docs` from the "
        "declarations in the code. The same is told by `ablate models -v` in a terminal, and by `ablate schema` to an "
        "editor.",
        "\n".join(_contents(tables)),
        *_models_part(),
        *_settings_part(titles),
        *_suite_part(titles),
        *_choices_part(tables),
    ]
    return "\n\n".join(parts) + "\n"


def _contents(tables: list[ChoiceTable]) -> Iterator[str]:
    yield f"- {_link('Models')}: " + ", ".join(_link(_family_title(each), each.family) for each in zoo.FAMILIES)
    groups = [_link(_group_title(section, group), _group_name(section, group)) for section, group, _ in _groups()]
    yield f"- {_link('Settings')}: {', '.join(groups)}"
    of_suite = [_link(_table_title(name), f"`{name}`" if name else "all") for name in SUITE_TABLES]
    yield f"- {_link('The suite file')}: {', '.join(of_suite)}"
    yield f"- {_link('Named choices')}: {', '.join(_link(table.title) for table in tables)}"


def _models_part() -> Iterator[str]:
    yield (
        f"## Models\n\nIn a suite, `{VARIANT}` names one of them; in Python, `zoo.create_model` does. Each is one "
        "config of its family; the sizes are those at the input and the number of classes of the publication. "
        "Multiply-adds (MACs) are those of the weight layers for one example."
    )
    for config in zoo.FAMILIES:
        yield f"### {_family_title(config)}\n\n{inspect.getdoc(config)}"
        yield _markdown_table(
            {
                "Model": f"`{name}`",
                "What it is, and its source": f"{markdown(variant.summary)}<br>*{markdown(variant.source)}*",
                "Input": shape_text(variant.input_shape),
                "Classes": str(variant.num_classes),
                "Parameters": f"{variant.parameters:,}",
                "MACs": f"{variant.macs:,}",
                "Published": markdown(variant.published or "-"),
            }
            for name, variant in zoo.VARIANTS.items()
            if type(variant.config) is config
        )


def _settings_part(titles: dict[int, str]) -> Iterator[str]:
    yield (
        "## Settings\n\nThe paths are those of a suite's factors, where they stand in quotes; in Python, settings of "
        "the model go without `model.` in front. A model in the tables above can have another value than the default "
        "of its family: `ablate models resnet50 -v` shows them. A setting that would have no effect must stay at its "
        "default."
    )
    for section, configs, names in _groups():
        yield f"### {_group_title(section, configs)}"
        yield _markdown_table({"Setting": f"`{section}.{name}`"} | _facts_row(name, configs, titles) for name in names)


def _suite_part(titles: dict[int, str]) -> Iterator[str]:
    yield (
        "## The suite file\n\nThe keys of a suite beside its settings. `[[tuned]]` and `[[claims]]` are lists of "
        "tables, of which each has all these keys. The README shows suites, and `ablate new` writes one to start from."
    )
    for table, config in SUITE_TABLES.items():
        yield f"### {_table_title(table)}\n\n{inspect.getdoc(config)}"
        prefix = f"{table}." if table else ""
        yield _markdown_table(
            {"Key": f"`{prefix}{name}`"} | _facts_row(name, (config,), titles) for name in config.model_fields
        )


def _table_title(table: str) -> str:
    return f"Keys of {table or 'a suite'}"


def _facts_row(name: str, configs: tuple[type[Settings], ...], titles: dict[int, str]) -> dict[str, str]:
    cells = {}
    for config in configs:
        facts = facts_of(config)[name]
        explained = markdown(facts.explanation).replace("\\`", "`")  # names in backticks are code here too
        cells[_family(config)] = {
            "Default": "required" if facts.is_required else f"`{value_text(facts.default)}`",
            "Allowed": _allowed_cell(facts, titles),
            "What it does": " ".join([explained, *(need.told(lambda name: f"`{name}`") for need in facts.needs)]),
        }
    columns = next(iter(cells.values()))
    return {column: _merged({family: each[column] for family, each in cells.items()}) for column in columns}


def _allowed_cell(facts: SettingFacts, titles: dict[int, str]) -> str:
    if facts.choices is None:
        return facts.allowed
    title, names = titles[id(facts.choices.table)], list(facts.choices.table)
    if len(names) > MOST_NAMES_IN_A_CELL:
        return _link(title, f"one of {len(names)} names")
    return _either([_link(title, f"`{name}`") for name in names])


def _choices_part(tables: list[ChoiceTable]) -> Iterator[str]:
    yield "## Named choices"
    for table in tables:
        yield f"### {table.title}\n\n{table.taken_by}"
        yield _markdown_table(
            {"Name": f"`{name}`"} | {kind.capitalize(): markdown(text) for kind, text in row_texts(row).items()}
            for name, row in table.rows.items()
        )


def _groups() -> list[tuple[str, tuple[type[Settings], ...], list[str]]]:
    """Section, configs and the names of settings: those that all of a section's configs have, then those of each."""
    groups = []
    for section, configs in SECTION_CONFIGS.items():
        shared = [name for name in configs[0].model_fields if all(name in each.model_fields for each in configs)]
        groups.append((section, configs, shared))
        groups += [(section, (each,), [name for name in each.model_fields if name not in shared]) for each in configs]
    return [group for group in groups if group[2]]


def _family(config: type[Settings]) -> str:
    return getattr(config, "family", "")


def _family_title(config: type[Settings]) -> str:
    return f"Models of the family {_family(config)}"


def _group_name(section: str, configs: tuple[type[Settings], ...]) -> str:
    return f"every {section}" if len(configs) > 1 else _family(configs[0]) or section


def _group_title(section: str, configs: tuple[type[Settings], ...]) -> str:
    return f"Settings of {_group_name(section, configs)}"


def _merged(text_of: Mapping[str, str]) -> str:
    """One text where all families agree; else each with the families that it is of."""
    families: dict[str, list[str]] = {}
    for family, text in text_of.items():
        families.setdefault(text, []).append(family)
    if len(families) == 1:
        return next(iter(families))
    return "<br>".join(f"{', '.join(names)}: {text}" for text, names in families.items())


def _link(title: str, text: str | None = None) -> str:
    """A link to a heading, by the anchor that GitHub gives it."""
    anchor = re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))
    return f"[{text or title}](#{anchor})"


def _markdown_table(rows: Iterable[Mapping[str, str]]) -> str:
    listed = list(rows)
    names = list(dict.fromkeys(name for row in listed for name in row))
    rule = ["---:" if name in _NUMBERS else "---" for name in names]
    lines = [names, rule, *([row.get(name, "") for name in names] for row in listed)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    with patient_streams():
        print(reference_page(), end="")
