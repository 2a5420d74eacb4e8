"""The JSON Schema of the suite format, so that editors complete and check it."""

from __future__ import annotations

from typing import Any

import zoo
from benchmarks.settings.run import SECTION_CONFIGS, SECTIONS, setting_paths
from benchmarks.suite.design import DESIGNS, Design
from benchmarks.suite.suite import Suite


def suite_schema() -> dict[str, Any]:
    """The format of a suite file as JSON Schema, draft 2020-12, made from the settings' own declarations."""
    schema = _plain(Suite.model_json_schema())
    definitions = {name: _plain(each) for name, each in schema.pop("$defs").items()}
    schema["properties"] = _in_place(schema["properties"], definitions)
    schema["properties"]["search"] = _where_given(schema["properties"]["search"])
    schema["properties"]["design"] = _without(schema["properties"]["design"], "type") | _design_schema()
    for section in SECTIONS:
        schema["properties"][section] = _section_schema(section) | {
            "description": schema["properties"][section]["description"]
        }
    factors = schema["properties"]["factors"]
    bundles = factors["additionalProperties"]["anyOf"][1]
    factors["properties"] = {path: {"anyOf": [_levels_schema(path), bundles]} for path in setting_paths()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "ablate suite"} | schema


def _in_place(part: Any, definitions: dict[str, Any]) -> Any:
    """Put what is defined apart where it is used, beside what is said of it there."""
    if isinstance(part, list):
        return [_in_place(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    inner = {name: _in_place(each, definitions) for name, each in part.items()}
    reference = inner.pop("$ref", None)
    return definitions[reference.rpartition("/")[2]] | inner if reference else inner


def _where_given(schema: dict[str, Any]) -> dict[str, Any]:
    """A table that need not be there, without the null that stands for that, and that TOML does not have."""
    table: dict[str, Any] = next(each for each in schema["anyOf"] if each.get("type") == "object")
    return table | _without(schema, "anyOf", "default")


def _design_schema() -> dict[str, Any]:
    """A design by its name, or as a table with its name and options."""
    return {"oneOf": [{"type": "string", "enum": list(DESIGNS)}, _plain(Design.model_json_schema())]}


def _section_schema(section: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for config in SECTION_CONFIGS[section]:
        for name, each in _plain(config.model_json_schema())["properties"].items():
            properties[name] = _either(properties[name], each) if name in properties else each
    if section == "model":
        variant = {"type": "string", "enum": list(zoo.VARIANTS), "description": "Which model; see `ablate models`."}
        # A setting's default is the variant's, which may differ from its family's.
        properties = {name: _without(each, "default") for name, each in properties.items()}
        properties = {"variant": variant} | properties
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _either(known: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What either of two families accepts of a setting; the first one's words describe it."""
    said = ("default", "description")
    alternatives = known.get("anyOf", [_without(known, *said)])
    added = [each for each in other.get("anyOf", [_without(other, *said)]) if each not in alternatives]
    if not added:
        return known
    return {name: known[name] for name in said if name in known} | {"anyOf": [*alternatives, *added]}


def _levels_schema(path: str) -> dict[str, Any]:
    section, _, name = path.partition(".")
    level = _section_schema(section)["properties"][name]
    return {"type": "array", "minItems": 2, "uniqueItems": True, "items": level}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is for this program and not for editors."""
    properties = {
        name: _without(each, "shapes_program", "only_with", "not_with", "title")
        for name, each in schema.get("properties", {}).items()
    }
    return _without(schema, "title") | {"properties": properties}


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
