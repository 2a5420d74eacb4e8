"""The JSON Schema of the suite format: what an editor accepts is what the program accepts."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.resources import files

import pytest

import zoo
from benchmarks.settings.augmentation import AugmentConfig
from benchmarks.settings.data import STANDARDIZATIONS, TASK_CHOICES, DataConfig
from benchmarks.settings.optimizers import MOMENTUM_FORMS, OPTIMIZERS, WEIGHT_DECAY_FORMS
from benchmarks.settings.run import setting_paths
from benchmarks.settings.schedules import SCHEDULES
from benchmarks.settings.training import CHECKPOINTS, CLASS_WEIGHTS, LOSSES, MONITORS, TrainConfig
from benchmarks.suite.claims import Analysis, Claim
from benchmarks.suite.design import DESIGNS, Design
from benchmarks.suite.schema import suite_schema
from benchmarks.suite.suite import Suite
from zoo import topology
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZER_GAINS, INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATION_VARIANCES, NORMALIZATIONS
from zoo.settings import SettingError

TABLES = {
    "model.variant": zoo.VARIANTS,
    "model.activation": ACTIVATIONS,
    "model.initializer": INITIALIZERS,
    "model.initializer_gain": INITIALIZER_GAINS,
    "model.normalization": NORMALIZATIONS,
    "model.normalization_place": NORMALIZATION_PLACES,
    "model.normalization_variance": NORMALIZATION_VARIANCES,
    "model.width_profile": topology.WIDTH_PROFILES,
    "model.block": topology.BLOCKS,
    "model.block_order": topology.BLOCK_ORDERS,
    "model.stem": topology.STEMS,
    "model.stem_padding": topology.STEM_PADDINGS,
    "model.activated_shortcuts": topology.ACTIVATED_SHORTCUTS,
    "model.downsampling_block": topology.DOWNSAMPLING_BLOCKS,
    "model.strided_convolution": topology.STRIDED_CONVOLUTIONS,
    "model.residual_start": topology.RESIDUAL_STARTS,
    "model.dropout_kind": topology.DROPOUT_KINDS,
    "model.pooling": topology.POOLINGS,
    "train.optimizer": OPTIMIZERS,
    "train.momentum_form": MOMENTUM_FORMS,
    "train.weight_decay_form": WEIGHT_DECAY_FORMS,
    "train.schedule": SCHEDULES,
    "train.loss": ["by_task", *LOSSES],
    "train.class_weights": CLASS_WEIGHTS,
    "train.checkpoint": CHECKPOINTS,
    "train.monitor": MONITORS,
    "data.standardize": STANDARDIZATIONS,
    "data.task": TASK_CHOICES,
}

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
ANNOTATIONS = {"$schema", "title", "description", "default", "$defs"}


def is_a(value, kind):
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def accepts(schema, value):
    """Check a value against the part of draft 2020-12 that the schema uses; an unknown keyword is an error."""
    if isinstance(schema, bool):
        return schema
    known = {
        "type": lambda kinds: any(is_a(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
        "enum": lambda names: value in names,
        "oneOf": lambda parts: sum(accepts(part, value) for part in parts) == 1,
        "anyOf": lambda parts: any(accepts(part, value) for part in parts),
    }
    if isinstance(value, dict):
        listed, patterns = schema.get("properties", {}), schema.get("additionalProperties", True)
        known |= {
            "properties": lambda parts: all(accepts(parts[key], value[key]) for key in value if key in parts),
            "additionalProperties": lambda part: all(accepts(part, value[key]) for key in value if key not in listed),
            "required": lambda keys: all(key in value for key in keys),
            "minProperties": lambda least: len(value) >= least,
        }
        assert isinstance(patterns, bool | dict)
    if isinstance(value, list):
        known |= {
            "items": lambda part: all(accepts(part, item) for item in value),
            "minItems": lambda least: len(value) >= least,
            "uniqueItems": lambda on: not on or all(item not in value[:place] for place, item in enumerate(value)),
        }
    if isinstance(value, str):
        known |= {
            "pattern": lambda pattern: re.search(pattern, value) is not None,
            "maxLength": lambda most: len(value) <= most,
            "minLength": lambda least: len(value) >= least,
        }
    if isinstance(value, int | float):
        known |= {
            "minimum": lambda least: value >= least,
            "maximum": lambda most: value <= most,
            "exclusiveMinimum": lambda least: value > least,
            "exclusiveMaximum": lambda most: value < most,
        }
    others = {"properties", "additionalProperties", "required", "minProperties", "items", "minItems", "uniqueItems"}
    others |= {"pattern", "maxLength", "minLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    unknown = set(schema) - ANNOTATIONS - set(known) - others
    assert not unknown, f"teach this test the keywords {unknown}"
    return all(check(schema[keyword]) for keyword, check in known.items() if keyword in schema)


@pytest.fixture(scope="module")
def schema():
    """The schema as `ablate schema` prints it: through JSON."""
    return json.loads(json.dumps(suite_schema(), allow_nan=False))


def changed(text, old, new):
    assert text.count(old) == 1
    return tomllib.loads(text.replace(old, new))


def test_shipped_suites_pass(schema):
    """Every suite in the package, and the one that `ablate new` writes, is right by the schema."""
    package = files("benchmarks.suite")
    texts = [path.read_text(encoding="utf-8") for path in package.joinpath("suites").iterdir()]
    texts.append(package.joinpath("new_suite.toml").read_text(encoding="utf-8").format(name="mine"))
    assert len(texts) >= 3
    assert all(accepts(schema, tomllib.loads(text)) for text in texts)


def test_suite_of_the_issue_passes(schema, issue_suite):
    """The suite that the project was asked for is right by the schema."""
    assert accepts(schema, tomllib.loads(issue_suite))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("question =", "qestion ="),
        ("seeds = 5 ", "seed = 5 "),
        ("seeds = 5 ", 'seeds = "5" '),
        ("seeds = 5 ", "seeds = 0 "),
        ("seeds = 5 ", "seeds = [] "),
        ("seeds = 5 ", "seeds = [1, 1] "),
        ("seeds = 5 ", "seeds = [-1] "),
        ("seeds = 5 ", "seeds = true "),
        ('name = "activations"', 'name = "a/b"'),
        ('datasets = ["digits"]', 'datasets = "digits"'),
        ('datasets = ["digits"]', "datasets = []"),
        ('"factorial"', '"factoral"'),
        ("[train]", "[trian]"),
        ('"mlp_small"', '"mlp_smal"'),
        ("dropout = 0.1", "dropuot = 0.1"),
        ("dropout = 0.1", "dropout = 1"),
        ("dropout = 0.1", 'dropout = "0.1"'),
        ("epochs = 30", "epochs = -1"),
        ("epochs = 30", "epochs = 30.5"),
        ("learning_rate = 1e-3", "learning_rate = 0"),
        ('optimizer = "adam"', 'optimizer = "adm"'),
        ('"per_feature"', '"per_featur"'),
        ('"tanh"', '"tahn"'),
        ('"tanh"', "3"),
        ('"tanh"', '"relu"'),
        ("dropout = 0.1", "width = 0"),
        ("dropout = 0.1", "width = []"),
        ("dropout = 0.1", "width = [64, 0]"),
        ("dropout = 0.1", "width = [64, 65537]"),
        ("dropout = 0.1", "width = '64'"),
        ("dropout = 0.1", "width = true"),
        ("dropout = 0.1", "skip_connections = true"),
        ("dropout = 0.1", "skip_connections = 'identiy'"),
        ("dropout = 0.1", "blocks_per_stage = 3"),
        ("dropout = 0.1", "blocks_per_stage = [1, 'a']"),
        ("dropout = 0.1", "weight_standardization = 1"),
        ("dropout = 0.1", "elu_alpha = 0"),
        ("dropout = 0.1", "max_norm = -1"),
        ('"tanh"', '["tanh"]'),
        ('["glorot_uniform", "he_normal"]', '["he_normal"]'),
        ('["glorot_uniform", "he_normal"]', '"he_normal"'),
    ],
)
def test_what_is_wrong_fails(schema, issue_suite, old, new):
    """A misspelt key, name or setting, a wrong type and a number out of range are marked in the editor."""
    assert not accepts(schema, changed(issue_suite, old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seeds = 5 ", "seeds = [0, 7] "),
        ("dropout = 0.1", "dropout = 0"),
        ("learning_rate = 1e-3", "learning_rate = 1"),
        ("dropout = 0.1", "width = 128"),
        ("dropout = 0.1", "width = [128, 64]"),
        ("dropout = 0.1", "skip_connections = 'projection'"),
        ("dropout = 0.1", "weight_standardization = true"),
        ("dropout = 0.1", "max_norm = 0"),
        ("[baseline]", "'model.width' = [64, [64, 32]]\n[baseline]"),
        ("[baseline]", "'model.width' = [64, [64, 32]]\n[baseline]\n'model.width' = [64, 32]"),
        ('question = "Which activation and initializer train best?"', ""),
        ("[baseline]", "[factors.net]\na = { 'model.depth' = 1 }\nb = { 'model.depth' = 2 }\n[baseline]\nnet = 'a'"),
        ("[baseline]", "[[exclude]]\n'model.activation' = 'relu'\n[[include]]\n'model.activation' = 'elu'\n[baseline]"),
    ],
)
def test_what_is_right_passes(schema, issue_suite, old, new):
    """What the program accepts, the schema accepts too: lists of seeds, whole numbers for shares, bundles, cells."""
    table = changed(issue_suite, old, new)
    Suite(**table)
    assert accepts(schema, table)


def test_bundles_under_a_setting_pass(schema, issue_suite):
    """Bundles may bear the path of a setting as their name: the program accepts it, and so does the schema."""
    table = tomllib.loads(issue_suite)
    table["factors"] = {"model.depth": {"low": {"model.depth": 1}, "high": {"model.depth": 2}}}
    del table["baseline"]
    Suite(**table)
    assert accepts(schema, table)


def test_every_key_is_there(schema):
    """Every key of the format is a property with its explanation; others are not allowed, the required are required."""
    assert set(schema["properties"]) == set(Suite.model_fields)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"name", "datasets", "seeds", "factors"}
    for name, field in Suite.model_fields.items():
        assert schema["properties"][name]["description"] == field.description


def names_in(schema):
    """The names that a schema lets one choose from, of all its alternatives; None where it lists none."""
    parts = schema.get("anyOf", [schema])
    return [name for part in parts for name in part["enum"]] if all("enum" in part for part in parts) else None


@pytest.mark.parametrize("path", setting_paths())
def test_every_setting_is_there(schema, path):
    """Every setting stands in its section and among the factors, explained, with the names of its table to choose."""
    section, _, name = path.partition(".")
    assert schema["properties"][section]["additionalProperties"] is False
    in_section = schema["properties"][section]["properties"][name]
    factor = schema["properties"]["factors"]["properties"][path]
    levels = factor if "items" in factor else next(part for part in factor["anyOf"] if "items" in part)
    assert levels["minItems"] == 2
    for each in (in_section, levels["items"]):
        assert each["description"]
        if path == "model.skip_connections":
            union = topology.MLP_SKIP_CONNECTIONS | topology.RESNET_SKIP_CONNECTIONS
            assert set(names_in(each)) == set(union)
        else:
            assert names_in(each) == (list(TABLES[path]) if path in TABLES else None)


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("model.width", [1, 65536, [1], [64, 32, 16]], [0, 65537, [], [0], [64, "32"], [[64]], True, "64", 1.5]),
        ("model.blocks_per_stage", [[], [1, 2], [3, 4, 23, 3]], [3, "3", [1.5], ["1"], [True]]),
        ("model.skip_connections", ["none", "identity", "projection_everywhere"], [True, "", "all", ["none"]]),
        ("model.leaky_relu_slope", [0, 0.2], [1, -0.1, "0.2", True]),
        ("model.initial_bias", [-100, 0, 0.1], [-101, 100.5, "0"]),
        ("model.normalization_group_size", [1, 8], [0, 1.5]),
        ("model.weight_standardization", [True, False], [0, 1, "true"]),
        ("train.decay_at", [[0.5], [0.25, 0.5]], [0.5, ["0.5"], "0.5"]),
        ("train.momentum", [0, 0.9], [1, -0.1, "0.9", True]),
        ("train.steps", [0, 100], [-1, 0.5, "100", True]),
        ("train.label_smoothing", [0, 0.1], [1, -0.1, True]),
        ("augment.flip", [True, False], [0, 1, "true"]),
        ("augment.crop_padding", [0, 4], [-1, 1.5, True]),
    ],
)
def test_values_of_a_setting(schema, path, right, wrong):
    """What a setting takes and what not is told alike in its section and among its levels."""
    section, _, name = path.partition(".")
    in_section = schema["properties"][section]["properties"][name]
    levels = next(part for part in schema["properties"]["factors"]["properties"][path]["anyOf"] if "items" in part)
    for each in (in_section, levels["items"]):
        assert [value for value in right if not accepts(each, value)] == []
        assert [value for value in wrong if accepts(each, value)] == []


def test_design_names(schema):
    """The designs can be chosen from."""
    name, table = schema["properties"]["design"]["oneOf"]
    assert name["enum"] == table["properties"]["name"]["enum"] == list(DESIGNS)
    assert set(table["properties"]) == set(Design.model_fields)
    assert all(each["description"] for each in table["properties"].values())


CLAIM = {"statement": "Tanh wins", "factor": "model.activation", "better": "tanh", "than": "relu", "margin": 0.01}
ANALYSED = {"claims": [CLAIM], "analysis": {"alpha": 0.01}}


@pytest.mark.parametrize(
    ("keys", "is_right"),
    [
        ({"design": "one_factor"}, True),
        ({"design": {"name": "one_factor"}}, True),
        ({"design": {"name": "sample", "cells": 3, "seed": 7}}, True),
        ({"design": {"name": "sample", "cells": 1}}, False),
        ({"design": {"name": "sampel", "cells": 3}}, False),
        ({"design": {"name": "sample", "cell": 3}}, False),
        ({"design": {"cells": 3}}, False),
        ({"design": {"name": "factorial", "resolution": 6}}, False),
        ({"design": ["factorial"]}, False),
        (ANALYSED, True),
        ({"claims": [CLAIM | {"where": {"model.initializer": "he_normal"}, "margin": 0}]}, True),
        ({"claims": [CLAIM | {"where": {}, "metric": "test_nll", "kind": "equivalence", "datasets": "all"}]}, True),
        ({"claims": []}, True),
        ({"claims": [CLAIM | {"margin": -0.1}]}, False),
        ({"claims": [CLAIM | {"margin": "0.1"}]}, False),
        ({"claims": [CLAIM | {"statement": ""}]}, False),
        ({"claims": [CLAIM | {"metric": "accuracy"}]}, False),
        ({"claims": [CLAIM | {"kind": "better"}]}, False),
        ({"claims": [CLAIM | {"datasets": "some"}]}, False),
        ({"claims": [CLAIM | {"marign": 0.1}]}, False),
        *(({"claims": [{name: CLAIM[name] for name in CLAIM if name != left_out}]}, False) for left_out in CLAIM),
        ({"claims": CLAIM}, False),
        (ANALYSED | {"analysis": {"alpha": 0}}, False),
        (ANALYSED | {"analysis": {"looks": [6]}, "seeds": 6}, True),
        (ANALYSED | {"analysis": {"looks": 6}}, False),
        (ANALYSED | {"analysis": {"looks": [3]}}, False),
        (ANALYSED | {"analysis": {"lucks": [6]}}, False),
    ],
)
def test_designs_and_claims(schema, issue_suite, keys, is_right):
    """Of designs and claims, an editor accepts what the program accepts and marks what it refuses."""
    table = tomllib.loads(issue_suite) | keys
    assert accepts(schema, table) is is_right
    if is_right:
        assert Suite(**table)
    else:
        with pytest.raises(SettingError):
            Suite(**table)


SEARCH = {
    "strategy": "random",
    "trials": 20,
    "objective": "val_accuracy",
    "space": {
        "train.learning_rate": {"log": [1e-4, 1e-1]},
        "train.weight_decay": {"log": [1e-6, 1e-2], "or": 0},
        "model.dropout": {"linear": [0.0, 0.6], "step": 0.1},
        "train.optimizer": ["momentum", "adam"],
        "train.momentum": {"linear": [0.8, 0.99], "when": {"train.optimizer": "momentum"}},
    },
}


@pytest.mark.parametrize(
    ("keys", "is_right"),
    [
        ({}, True),
        ({"per": "suite", "rounds": 2, "seeds": [7, 8]}, True),
        ({"per": ["model.activation", "dataset"]}, True),
        ({"strategy": "bayesian", "batch": 2, "initial": 5}, True),
        ({"strategy": "hyperband", "factor": 4}, True),
        ({"space": {"model.width": {"choices": [16, 32]}}}, True),
        ({"strategy": "randm"}, False),
        ({"trials": 0}, False),
        ({"per": "all"}, False),
        ({"per": []}, False),
        ({"objective": "test_accuracy"}, False),
        ({"seeds": []}, False),
        ({"seeds": 7}, False),
        ({"rounds": 0}, False),
        ({"space": {}}, False),
        ({"space": {"train.learning_rat": [1]}}, False),
        ({"space": {"train.epochs": [5, 10]}}, False),
        ({"space": {"train.learning_rate": 0.1}}, False),
        ({"space": {"train.learning_rate": []}}, False),
        ({"space": {"train.learning_rate": {"log": [1e-4, 1e-1], "setp": 10}}}, False),
        ({"tirals": 3}, False),
    ],
)
def test_searches(schema, issue_suite, keys, is_right):
    """Of a search, an editor accepts what the program accepts and marks what it refuses."""
    table = tomllib.loads(issue_suite) | {"search": SEARCH | keys}
    del table["model"]["dropout"]
    assert accepts(schema, table) is is_right
    if is_right:
        Suite(**table)
    else:
        with pytest.raises(SettingError):
            Suite(**table)


@pytest.mark.parametrize(
    ("entry", "is_right"),
    [
        ({"settings": {"train.learning_rate": 0.01}}, True),
        ({"dataset": "digits", "where": {"model.activation": "tanh"}, "settings": {"model.width": 8}}, True),
        ({"where": {"model.activation": "tanh"}}, False),
        ({"settings": {}}, False),
        ({"setting": {"model.width": 8}}, False),
    ],
)
def test_tuned_settings(schema, issue_suite, entry, is_right):
    """What `ablate tune` writes is told to editors too."""
    table = tomllib.loads(issue_suite) | {"tuned": [entry]}
    assert accepts(schema, table) is is_right
    if is_right:
        Suite(**table)
    else:
        with pytest.raises(SettingError):
            Suite(**table)


def test_claims_are_explained(schema):
    """Every key of a claim and of the analysis is told with its explanation where it stands."""
    claim, analysis = schema["properties"]["claims"]["items"], schema["properties"]["analysis"]
    for told, config in ((claim, Claim), (analysis, Analysis)):
        assert {name: each["description"] for name, each in told["properties"].items()} == {
            name: field.description for name, field in config.model_fields.items()
        }


def test_defaults(schema):
    """Defaults of all sections but the model are told; those of a model are its variant's, so none is told for it."""
    for section, config in (("train", TrainConfig), ("data", DataConfig), ("augment", AugmentConfig)):
        told = {name: each["default"] for name, each in schema["properties"][section]["properties"].items()}
        assert told == config().model_dump(mode="json")
    assert not any("default" in each for each in schema["properties"]["model"]["properties"].values())


def keys_of(value):
    """Every key of every object inside."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_of(inner)


def test_nothing_internal_is_told(schema):
    """What is for this program alone does not stand in the schema, and it says which draft it is."""
    assert not {"shapes_program", "only_with", "not_with"} & set(keys_of(schema))
    assert {"description", "enum", "model.width"} <= set(keys_of(schema))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_validator_agrees(schema, issue_suite):
    """The schema is right by draft 2020-12, and a real validator accepts and refuses what this file's own does."""
    validators = pytest.importorskip("jsonschema").Draft202012Validator
    validators.check_schema(schema)
    for old, new in [
        ("dropout = 0.1", "width = [128, 64]"),
        ("dropout = 0.1", "width = []"),
        ("dropout = 0.1", "skip_connections = 'projection_everywhere'"),
        ("dropout = 0.1", "skip_connections = true"),
        ("dropout = 0.1", "blocks_per_stage = [1, 'a']"),
        ("[baseline]", "'model.width' = [64, [64, 32]]\n[baseline]"),
        ('design = "factorial"', "design = { name = 'sample', cells = 3 }"),
        ('design = "factorial"', "design = { name = 'sample', cells = 'all' }"),
        ('design = "factorial"', "analysis = { looks = [6, 5] }"),
    ]:
        table = changed(issue_suite, old, new)
        assert validators(schema).is_valid(table) == accepts(schema, table)
