"""The suite file: what it accepts, what it refuses and what it says then."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from benchmarks.errors import UserError
from benchmarks.labels import level_label
from benchmarks.plan.expansion import expand_cells
from benchmarks.settings.run import setting_paths, settings_from, unknown_setting
from benchmarks.suite.design import DESIGNS
from benchmarks.suite.reading import parse_suite, read_suite_text
from benchmarks.suite.suite import Suite
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZERS
from zoo.settings import SettingError

BUNDLES = """
name = "recipes"
datasets = ["digits", "mnist:3.0.1"]
seeds = [3, 1, 4]

[model]
variant = "mlp_small"

[factors]
"model.dropout" = [0.0, 0.2]

[factors.recipe]
plain = { "train.optimizer" = "sgd", "train.learning_rate" = 0.1 }
adaptive = { "train.optimizer" = "adam", "train.learning_rate" = 0.001 }

[baseline]
recipe = "adaptive"

[[exclude]]
"model.dropout" = 0.2
recipe = "plain"

[[include]]
"model.dropout" = 0.2
recipe = "plain"
"""


def problems_of(text):
    with pytest.raises(SettingError) as caught:
        parse_suite(text, "my.toml")
    assert str(caught.value).startswith("my.toml:\n")
    return caught.value.problems


def edited(text, old, new):
    assert text.count(old) == 1, f"{old!r} is to occur once"
    return text.replace(old, new)


def test_suite_of_the_issue(issue_suite):
    """The suite that the project was asked for is read as it is meant, each value in its place."""
    suite = parse_suite(issue_suite, "activations.toml")
    assert suite.name == "activations"
    assert suite.question == "Which activation and initializer train best?"
    assert suite.datasets == ["digits"]
    assert suite.seed_list == [0, 1, 2, 3, 4]
    assert suite.design == "factorial"
    assert suite.base == {
        "model.variant": "mlp_small",
        "model.dropout": 0.1,
        "train.epochs": 30,
        "train.batch_size": 64,
        "train.optimizer": "adam",
        "train.learning_rate": 0.001,
        "data.standardize": "per_feature",
        "data.validation_fraction": 0.1,
    }
    assert [(factor.name, list(factor.levels)) for factor in suite.factor_list] == [
        ("model.activation", ["relu", "tanh", "elu", "gelu"]),
        ("model.initializer", ["glorot_uniform", "he_normal"]),
    ]
    assert suite.baseline_levels == {"model.activation": "relu", "model.initializer": "he_normal"}


def test_settings_at_levels(issue_suite):
    """A cell has the base settings, with those of its levels put in their place."""
    suite = parse_suite(issue_suite, "activations.toml")
    settings_there = suite.settings_at({"model.activation": "gelu", "model.initializer": "glorot_uniform"})
    assert settings_there.flat() == settings_from({"model.variant": "mlp_small"}).flat() | {
        "model.activation": "gelu",
        "model.initializer": "glorot_uniform",
        "model.dropout": 0.1,
    }


def test_bundles():
    """The levels of a bundle are named and change several settings at once."""
    suite = parse_suite(BUNDLES, "recipes.toml")
    dropout, recipe = suite.factor_list
    assert dict(dropout.levels) == {"0": {"model.dropout": 0.0}, "0.2": {"model.dropout": 0.2}}
    assert dict(recipe.levels) == {
        "plain": {"train.optimizer": "sgd", "train.learning_rate": 0.1},
        "adaptive": {"train.optimizer": "adam", "train.learning_rate": 0.001},
    }
    assert suite.baseline_levels == {"model.dropout": "0", "recipe": "adaptive"}
    assert suite.seed_list == [3, 1, 4]
    there = suite.settings_at({"model.dropout": "0.2", "recipe": "plain"})
    assert (there.train.optimizer, there.train.learning_rate, there.model.dropout) == ("sgd", 0.1, 0.2)


def test_baseline_is_the_first_level_unless_named(suite_of):
    """A factor that `baseline` does not name has its first level as baseline."""
    factors = {"model.activation": ["gelu", "relu"], "model.depth": [3, 2], "model.width": [8, 16]}
    suite = suite_of(factors=factors, baseline={"model.depth": 2})
    assert suite.baseline_levels == {"model.activation": "gelu", "model.depth": "2", "model.width": "8"}


def test_factor_over_models_needs_no_base_variant(suite_of):
    """Where a factor names the models, `[model]` may hold other settings only."""
    suite = suite_of(model={"dropout": 0.3}, factors={"model.variant": ["mlp_small", "resnet8"]})
    families = [
        (cell.levels["model.variant"], cell.settings.model.family, cell.settings.model.dropout)
        for cell in expand_cells(suite)
    ]
    assert families == [("mlp_small", "mlp", 0.3), ("resnet8", "resnet", 0.3)]


def test_models_in_a_bundle_need_no_base_variant(suite_of):
    """A bundle may name the model too."""
    nets = {
        "small": {"model.variant": "mlp_small", "train.epochs": 3},
        "large": {"model.variant": "mlp_512", "train.epochs": 2},
    }
    cells = expand_cells(suite_of(model={}, factors={"net": nets}))
    assert [(cell.settings.model.width, cell.settings.train.epochs) for cell in cells] == [(64, 3), (512, 2)]


def test_every_shipped_suite_is_accepted():
    """Each suite in the package, and the one that `ablate new` writes, can be read and expanded."""
    package = files("benchmarks.suite")
    texts = {path.name: path.read_text(encoding="utf-8") for path in package.joinpath("suites").iterdir()}
    texts["new_suite.toml"] = package.joinpath("new_suite.toml").read_text(encoding="utf-8").format(name="mine")
    assert len(texts) >= 3
    for name, text in texts.items():
        assert expand_cells(parse_suite(text, name))


def test_shipped_quickstart_is_the_suite_of_the_issue(issue_suite):
    """`quickstart` trains the runs of the issue's suite, under its own name."""
    quickstart = tomllib.loads(files("benchmarks.suite").joinpath("suites/quickstart.toml").read_text(encoding="utf-8"))
    assert quickstart | {"name": "activations"} == tomllib.loads(issue_suite)


@pytest.mark.parametrize(
    ("level", "label"),
    [
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (3.0, "3"),
        (1e-3, "0.001"),
        (0.1, "0.1"),
        ("he_normal", "he_normal"),
        ([1, 2.5, "a"], "[1, 2.5, a]"),
    ],
)
def test_label_of_a_level(level, label):
    """Levels are labelled as in TOML, text without quotes and a number by its value."""
    assert level_label(level) == label


@given(numbers=st.lists(st.floats(1e-6, 1e-1), min_size=2, max_size=2, unique=True))
def test_different_numbers_have_different_labels(numbers):
    """Two learning rates can always be told apart by their labels, whatever their digits."""
    first, second = numbers
    assert level_label(first) != level_label(second)


def test_levels_that_differ_late_are_different_levels(suite_of):
    """Levels that agree in six digits are two levels, not one given twice."""
    factors = {"train.learning_rate": [0.00123456701, 0.00123456702]}
    assert len(expand_cells(suite_of(factors=factors))) == 2


LISTS = """
name = "widths"
datasets = ["digits"]
seeds = 1
[model]
variant = "mlp_small"
[factors]
"model.width" = [64, [128, 64], [32, 16]]
"""


def test_levels_that_are_lists():
    """A level may be a list: it is labelled as in TOML, and can be the baseline, excluded and included."""
    suite = parse_suite(LISTS, "x")
    assert dict(suite.factor_list[0].levels) == {
        "64": {"model.width": 64},
        "[128, 64]": {"model.width": [128, 64]},
        "[32, 16]": {"model.width": [32, 16]},
    }
    assert suite.settings_at({"model.width": "[128, 64]"}).model.widths == (128, 64)
    suite = parse_suite(LISTS + '[baseline]\n"model.width" = [32, 16]\n', "x")
    assert suite.baseline_levels == {"model.width": "[32, 16]"}
    cells = expand_cells(parse_suite(LISTS + '[[exclude]]\n"model.width" = [128, 64]\n', "x"))
    assert [cell.title for cell in cells] == ["64", "[32, 16]"]
    excluded_and_included = '[[exclude]]\n"model.width" = [128, 64]\n[[include]]\n"model.width" = [128, 64]\n'
    cells = expand_cells(parse_suite(LISTS + excluded_and_included, "x"))
    assert [cell.settings.model.width for cell in cells] == [64, (32, 16), (128, 64)]


@pytest.mark.parametrize(
    ("level", "message", "given_text"),
    [
        ("[128, 64, 32]", "one width for each of the 2 hidden layers is needed", "[128, 64, 32]"),
        ("[128, true]", "wrong value", "[128, true]"),
        ("[128, 0]", "wrong value", "[128, 0]"),
        ("[[128], 64]", "wrong value", "[[128], 64]"),
        ("[]", "wrong value", "[]"),
        ("[32, 16]", "given twice", "[32, 16]"),
    ],
)
def test_wrong_list_as_a_level(level, message, given_text):
    """A list that no network can have, or that stands there already, is refused at its place among the levels."""
    problem = problems_of(LISTS.replace("[32, 16]]", f"[32, 16], {level}]"))[0]
    assert (problem.path, problem.message, problem.given) == ('factors."model.width"[3]', message, given_text)
    assert message == "given twice" or problem.allowed


def test_list_that_is_no_level():
    """A list that is no level of the factor is refused as a baseline, with the levels there are."""
    (problem,) = problems_of(LISTS + '[baseline]\n"model.width" = [128, 65]\n')
    assert problem.path == 'baseline."model.width"'
    assert problem.allowed == "64, [128, 64], [32, 16]"
    (problem,) = problems_of(LISTS + '[baseline]\n"model.width" = "[128, 64]"\n')
    assert problem.given == '"[128, 64]"'


def test_level_without_effect_is_refused_at_its_place():
    """A level that changes nothing in the model of the suite is refused where it stands, with what it needs."""
    text = LISTS.replace('"model.width" = [64, [128, 64], [32, 16]]', '"model.leaky_relu_slope" = [0.01, 0.2]')
    (problem,) = problems_of(text)
    assert problem.path == 'factors."model.leaky_relu_slope"[1]'
    assert problem.message == 'no effect with activation = "relu"'
    assert problem.allowed == 'only with activation = "leaky_relu"'


DESIGN_FACTORS = {
    "model.dropout": [0.0, 0.2],
    "model.depth": [1, 2],
    "model.width": [64, 32],
    "train.batch_size": [32, 64],
    "model.l2": [0.0, 1e-4],
}
DESIGN_BASELINE = {name: levels[0] for name, levels in DESIGN_FACTORS.items()}


def test_design_by_its_name_or_as_a_table(suite_of):
    """A design is given by its name, or by a table with its name and the options that it has."""
    assert suite_of(design="one_factor").chosen_design == suite_of(design={"name": "one_factor"}).chosen_design
    made = suite_of(design={"name": "sample", "cells": 7, "seed": 3}, factors=DESIGN_FACTORS).chosen_design
    assert (made.name, made.cells, made.seed) == ("sample", 7, 3)
    made = suite_of(design={"name": "fractional", "resolution": 5}, factors=DESIGN_FACTORS).chosen_design
    assert (made.name, made.resolution) == ("fractional", 5)
    assert suite_of(design="fractional", factors=DESIGN_FACTORS).chosen_design.resolution == 4


WRONG_DESIGNS = [
    ({"design": "sample"}, "design.cells", None),
    ({"design": {"name": "sampel"}}, "design.name", "sample"),
    ({"design": {"cells": 4}}, "design.name", None),
    ({"design": {"name": "sample", "cels": 4, "cells": 4}}, "design.cels", "cells"),
    ({"design": {"name": "sample", "cells": 1}}, "design.cells", None),
    ({"design": {"name": "sample", "cells": 4.0}}, "design.cells", None),
    ({"design": {"name": "sample", "cells": 32}}, "design.cells", None),
    ({"design": {"name": "sample", "cells": 4, "seed": -1}}, "design.seed", None),
    ({"design": {"name": "fractional", "resolution": 3}}, "design.resolution", None),
    ({"design": {"name": "fractional", "resolution": 6}}, "design.resolution", None),
    ({"design": 3}, "design", None),
    ({"design": ["factorial"]}, "design", None),
    ({"design": "fractional", "exclude": [{"model.depth": 2}]}, "exclude", None),
    ({"design": "fractional", "factors": {"model.dropout": [0.0, 0.2]}, "baseline": {}}, "factors", None),
    ({"design": "path", "baseline": {}}, "baseline", None),
    ({"design": {"name": "path", "order": ["model.depth"]}}, "design.order", None),
    ({"design": {"name": "path", "order": [*DESIGN_FACTORS, "model.depth"]}}, "design.order[5]", None),
    ({"design": {"name": "path", "order": [*DESIGN_FACTORS, "model.dept"]}}, "design.order[5]", "model.depth"),
    ({"design": "leave_one_out", "baseline": {"model.depth": 2}}, "baseline", None),
    ({"design": "add_one_in", "baseline": {"model.depth": 2}}, "baseline", None),
    ({"design": "paired", "factors": DESIGN_FACTORS | {"model.depth": [1, 2, 3]}}, 'factors."model.depth"', None),
    *(
        ({"design": name, "factors": DESIGN_FACTORS | {"model.depth": [1, 2, 3]}}, 'factors."model.depth"', None)
        for name in ("leave_one_out", "add_one_in", "fractional", "path")
    ),
]


@pytest.mark.parametrize(("keys", "path", "nearest"), WRONG_DESIGNS)
def test_wrong_design(suite_of, keys, path, nearest):
    """What a design has no use for, or cannot do without, is refused with its place."""
    with pytest.raises(SettingError) as caught:
        suite_of(**({"factors": DESIGN_FACTORS, "baseline": DESIGN_BASELINE} | keys))
    (problem,) = caught.value.problems
    assert problem.path == path
    assert problem.given or "needs" in problem.message or "required" in problem.message
    assert problem.nearest == nearest


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize(
    ("option", "value", "of"),
    [("resolution", 5, "fractional"), ("cells", 4, "sample"), ("seed", 3, "sample"), ("order", ["a"], "path")],
)
def test_option_of_another_design(suite_of, name, option, value, of):
    """An option that a design does not have is refused with it, and the design that has it is told."""
    if name == of:
        return
    with pytest.raises(SettingError) as caught:
        suite_of(design={"name": name, option: value}, factors=DESIGN_FACTORS, baseline=DESIGN_BASELINE)
    problem = next(each for each in caught.value.problems if each.path == f"design.{option}")
    assert problem.message == f'no effect with name = "{name}"'
    assert of in problem.allowed


# In the issue's suite: what is replaced, by what -> path, given, part of what is allowed, nearest.
MISSPELT = [
    ("question =", "qestion =", "qestion", "qestion", "question, datasets, seeds", "question"),
    ("[train]", "[trian]", "trian", "trian", "model, train, data", "train"),
    ("dropout = 0.1", "dropuot = 0.1", "model.dropuot", "model.dropuot", "model.dropout", "model.dropout"),
    (
        'optimizer = "adam"',
        'optimiser = "adam"',
        "train.optimiser",
        "train.optimiser",
        "train.optimizer",
        "train.optimizer",
    ),
    ("standardize =", "standardise =", "data.standardise", "data.standardise", "data.standardize", "data.standardize"),
    ('"mlp_small"', '"mlp_smal"', "model.variant", "mlp_smal", "linear, mlp_small, mlp_512", "mlp_small"),
    ('"adam"', '"adm"', "train.optimizer", "adm", "rmsprop, adam", "adam"),
    ('"per_feature"', '"per_featur"', "data.standardize", "per_featur", "per_channel, min_max", "per_feature"),
    ('"factorial"', '"factoral"', "design", "factoral", ", ".join(DESIGNS), "factorial"),
    ('"tanh"', '"tahn"', 'factors."model.activation"[1]', "tahn", ", ".join(ACTIVATIONS), "tanh"),
    (
        '["glorot_uniform", "he_normal"]',
        '["glorot_uniform", "he-normal"]',
        'factors."model.initializer"[1]',
        "he-normal",
        ", ".join(INITIALIZERS),
        "he_normal",
    ),
    (
        '"model.initializer" = [',
        '"model.initialiser" = [',
        'factors."model.initialiser"',
        "model.initialiser",
        "model.initializer, model.initial_bias",
        "model.initializer",
    ),
    (
        '"model.initializer" = "he_normal"',
        '"model.initialiser" = "he_normal"',
        'baseline."model.initialiser"',
        "model.initialiser",
        "model.activation, model.initializer",
        "model.initializer",
    ),
    (
        '"model.initializer" = "he_normal"',
        '"model.initializer" = "he_uniform"',
        'baseline."model.initializer"',
        "he_uniform",
        "glorot_uniform, he_normal",
        None,
    ),
]


@pytest.mark.parametrize(("old", "new", "path", "given_text", "allowed", "nearest"), MISSPELT)
def test_misspelt(issue_suite, old, new, path, given_text, allowed, nearest):
    """A misspelt name at any level is shown with file, place, what was given, what is allowed and the nearest."""
    (problem,) = problems_of(edited(issue_suite, old, new))
    assert problem.path == path
    assert problem.given == given_text
    assert allowed in problem.allowed
    if nearest:
        assert problem.nearest == nearest
    for detail in (problem.path, problem.given, problem.allowed, problem.nearest):
        assert detail in str(problem)


@pytest.mark.parametrize(
    ("old", "new", "place", "nearest"),
    [
        ('plain = { "train.optimizer"', 'plain = { "train.optimzer"', "factors.recipe.plain", "train.optimizer"),
        ('"sgd"', '"sdg"', "factors.recipe.plain", "sgd"),
        ('recipe = "adaptive"', 'recipe = "adaptiv"', "baseline.recipe", "adaptive"),
        ('[[exclude]]\n"model.dropout"', '[[exclude]]\n"model.dropuot"', 'exclude[0]."model.dropuot"', "model.dropout"),
        ("[[exclude]]\n", '[[exclude]]\nrecipy = "plain"\n', "exclude[0].recipy", "recipe"),
        (
            '[[include]]\n"model.dropout" = 0.2',
            '[[include]]\n"model.dropout" = 0.3',
            'include[0]."model.dropout"',
            None,
        ),
    ],
)
def test_misspelt_in_bundles_and_cells(old, new, place, nearest):
    """Names in bundles, `exclude` and `include` are checked as closely, and their place is named."""
    (problem,) = problems_of(edited(BUNDLES, old, new))
    assert problem.path.startswith(place)
    assert problem.given
    assert problem.allowed
    if nearest:
        assert nearest in (problem.nearest, f"train.{problem.nearest}")


WRONG = [
    ("seeds = 5 ", 'seeds = "5" ', "seeds", '"5"'),
    ("seeds = 5 ", "seeds = 5.0 ", "seeds", "5.0"),
    ("seeds = 5 ", "seeds = true ", "seeds", "true"),
    ("seeds = 5 ", "seeds = 0 ", "seeds", "0"),
    ("seeds = 5 ", "seeds = -1 ", "seeds", "-1"),
    ("seeds = 5 ", "seeds = [] ", "seeds", "[]"),
    ("seeds = 5 ", "seeds = [0, -1] ", "seeds[1]", "-1"),
    ("seeds = 5 ", "seeds = [1, true] ", "seeds[1]", "true"),
    ("seeds = 5 ", "seeds = [1, 2, 1] ", "seeds[2]", "1"),
    ("epochs = 30", 'epochs = "30"', "train.epochs", '"30"'),
    ("epochs = 30", "epochs = -1", "train.epochs", "-1"),
    ("batch_size = 64", "batch_size = 64.0", "train.batch_size", "64.0"),
    ("learning_rate = 1e-3", "learning_rate = 0", "train.learning_rate", "0"),
    ("learning_rate = 1e-3", "learning_rate = inf", "train.learning_rate", "inf"),
    ("learning_rate = 1e-3", "learning_rate = 2020-01-01", "train.learning_rate", "2020-01-01"),
    ("dropout = 0.1", "dropout = true", "model.dropout", "true"),
    ("dropout = 0.1", "dropout = 1.0", "model.dropout", "1.0"),
    ("validation_fraction = 0.1", "validation_fraction = -0.1", "data.validation_fraction", "-0.1"),
    ('datasets = ["digits"]', 'datasets = "digits"', "datasets", '"digits"'),
    ('datasets = ["digits"]', "datasets = []", "datasets", "[]"),
    ('datasets = ["digits"]', 'datasets = ["digits", 3]', "datasets[1]", "3"),
    ('datasets = ["digits"]', 'datasets = ["digits", "digits"]', "datasets[1]", "digits"),
    ('name = "activations"', 'name = "../activations"', "name", '"../activations"'),
    ('name = "activations"', 'name = "two\\nlines"', "name", '"two\\nlines"'),
    ('name = "activations"', 'name = "activations\\n"', "name", '"activations\\n"'),
    ('name = "activations"', 'name = ""', "name", '""'),
    ('name = "activations"', "name = 7", "name", "7"),
    ('["relu", "tanh", "elu", "gelu"]', "[]", 'factors."model.activation"', "no level"),
    ('["relu", "tanh", "elu", "gelu"]', '["relu"]', 'factors."model.activation"', "1 level"),
    ('["relu", "tanh", "elu", "gelu"]', '"relu"', 'factors."model.activation"', '"relu"'),
    ('["relu", "tanh", "elu", "gelu"]', '["relu", "tanh", "relu"]', 'factors."model.activation"[2]', "relu"),
    ('["relu", "tanh", "elu", "gelu"]', '["relu", 3]', 'factors."model.activation"[1]', "3"),
    ('["relu", "tanh", "elu", "gelu"]', "{}", 'factors."model.activation"', "no level"),
    ('["relu", "tanh", "elu", "gelu"]', "{ a = {}, b = 3 }", 'factors."model.activation".a', "{}"),
]


@pytest.mark.parametrize(("old", "new", "path", "given_text"), WRONG)
def test_wrong_value(issue_suite, old, new, path, given_text):
    """A wrong type, an empty list, a number out of range or a thing given twice is refused, place and value named."""
    first = problems_of(edited(issue_suite, old, new))[0]
    assert (first.path, first.given) == (path, given_text)


@pytest.mark.parametrize("key", ["name", "datasets", "seeds", "factors"])
def test_required_keys(issue_suite, key):
    """Each key that has no default is asked for by name."""
    values = tomllib.loads(issue_suite)
    del values[key], values["baseline"]
    with pytest.raises(SettingError) as caught:
        Suite(**values)
    assert [problem.path for problem in caught.value.problems] == [key]


def test_every_unknown_key_is_listed():
    """Two misspelt keys are both told, in one go."""
    problems = problems_of('nam = "x"\ndatasets = ["digits"]\nseed = 3\n[factors]\n"model.depth" = [1, 2]\n')
    paths = [problem.path for problem in problems]
    assert set(paths) == {"nam", "seed", "name", "seeds"}


@pytest.mark.parametrize("section", ["model", "train", "data", "factors", "baseline"])
@pytest.mark.parametrize("value", ["3", '"x"', "[]", "true"])
def test_section_of_wrong_type(section, value):
    """A section that is no table is refused by name."""
    keys = {"factors": "factors = { 'model.depth' = [1, 2] }", section: f"{section} = {value}"}
    problems = problems_of('name = "x"\ndatasets = ["digits"]\nseeds = 1\n' + "\n".join(keys.values()))
    assert section in [problem.path for problem in problems]


@pytest.mark.parametrize("key", ["exclude", "include"])
@pytest.mark.parametrize("value", ["3", "{}", "[3]", "[[]]", "[{}]"])
def test_cells_of_wrong_type(issue_suite, key, value):
    """`exclude` and `include` are lists of cells, none of them empty."""
    problems = problems_of(f"{key} = {value}\n" + issue_suite)
    assert all(problem.path.startswith(key) for problem in problems)


def test_variant_missing(issue_suite):
    """A suite that names no model is told so, with the models there are."""
    (problem,) = problems_of(edited(issue_suite, 'variant = "mlp_small"', ""))
    assert problem.path == "model.variant"
    assert problem.allowed == ", ".join(zoo.VARIANTS)


def test_setting_of_another_family(issue_suite):
    """A depth that the chosen family cannot have is refused at the level, with the depths near it."""
    text = edited(issue_suite, '"mlp_small"', '"resnet8"').replace(
        '"model.initializer" = ["glorot_uniform", "he_normal"]', '"model.depth" = [8, 9]'
    )
    (problem,) = problems_of(text.partition("[baseline]")[0])
    assert problem.path.startswith('factors."model.depth"[1]')
    assert "8, 14" in problem.allowed


@pytest.mark.parametrize(
    "text", ["name = ", "name", "= 3", "[a\n", 'a = "b', "a = 1\na = 2", "[a]\n[a]", "<html>", "{}", "a = 2020-13-45"]
)
def test_not_toml(text):
    """What is no TOML is said to be none, with the file and the place in it."""
    with pytest.raises(UserError) as caught:
        parse_suite(text, "my.toml")
    assert str(caught.value).startswith("my.toml: not a TOML file: ")


@pytest.mark.parametrize(
    ("value", "word", "remedy"),
    [
        ("null", "null", "leave the key out, and its default counts"),
        ("[1, None]", "None", "leave the key out, and its default counts"),
        ("True", "True", "true in small letters"),
        ("yes", "yes", "true in its place"),
        ("mlp_small", "mlp_small", 'text needs quotes: "mlp_small"'),
    ],
)
def test_words_of_other_formats(value, word, remedy):
    """A word of Python, YAML or JSON, and a text without quotes, are told with what to write instead."""
    with pytest.raises(UserError) as caught:
        parse_suite(f'name = "x"\r\nkey = {value}\n', "my.toml")
    first, given, told = str(caught.value).splitlines()
    assert "at line 2" in first
    assert (given, told.startswith("  remedy:  "), remedy in told) == (f"  given:   {word}", True, True)


@pytest.mark.parametrize(
    ("given", "nearest", "told"),
    [
        ("data.folds", None, "data.train, data.test, data.task, data.standardize"),
        ("train.lr", "train.learning_rate", "train.learning_rate"),
        ("model.learning_rate", "train.learning_rate", "train.learning_rate"),
        ("train.momentun", "train.momentum", "train.momentum, train.momentum_form"),
        ("model.activ", "model.activation", "model.activation"),
        ("seed", None, ""),
    ],
)
def test_an_unknown_setting_shows_the_few_nearest(given, nearest, told):
    """Names are alike, whatever their sections are; a handful is shown, and where all are listed."""
    problem = unknown_setting("factors", given)
    assert (problem.nearest, problem.allowed.startswith(told)) == (nearest, True)
    assert problem.allowed.count(",") < 8
    assert f"{len(setting_paths())} settings are listed by `ablate schema`" in problem.allowed


@pytest.mark.parametrize(("seeds", "path"), [("[20261127000001]", "seeds[0]"), ("[0, 2147483648]", "seeds[1]")])
def test_a_seed_too_large(issue_suite, seeds, path):
    """It is told with the largest there is, which is taken."""
    (problem,) = problems_of(edited(issue_suite, "seeds = 5 ", f"seeds = {seeds} "))
    assert (problem.path, problem.allowed) == (path, "whole numbers from 0 to 2,147,483,647")
    assert parse_suite(edited(issue_suite, "seeds = 5 ", "seeds = [2147483647] "), "x").seed_list == [2**31 - 1]


@pytest.mark.parametrize("place", ["factor", "level"])
def test_names_too_long(place):
    """Names of factors and labels of levels have a length that tables and trackers take, told with its number."""
    long, factor, level = "f" * 101, "recipe", "plain"
    factor, level = (long, level) if place == "factor" else (factor, long)
    text = edited(BUNDLES, "[factors.recipe]\nplain", f'[factors."{factor}"]\n"{level}"')
    (problem,) = problems_of(text)
    assert (problem.given, problem.allowed) == ("101 letters", "at most 100")
    assert len(problem.path) <= 100


def test_level_that_fits_one_of_several_models():
    """A level is refused on its own only where no model of the suite takes it; cells are checked when expanded."""
    text = """
name = "mixed"
datasets = ["digits"]
seeds = 1
[factors]
"model.variant" = ["resnet8", "mlp_small"]
"model.depth" = [8, 3]
[baseline]
"model.variant" = "mlp_small"
[[exclude]]
"model.variant" = "resnet8"
"model.depth" = 3
"""
    assert parse_suite(text, "x").name == "mixed"
    with pytest.raises(SettingError, match="depth"):
        parse_suite(text.replace("[8, 3]", "[8, -3]"), "x")


def test_byte_order_mark(tmp_path, issue_suite):
    """A file that begins with a byte order mark, as some editors write it, is read."""
    path = tmp_path / "suite.toml"
    path.write_bytes(b"\xef\xbb\xbf" + issue_suite.encode())
    assert parse_suite(read_suite_text(path), "x") == parse_suite(issue_suite, "x")


@pytest.mark.parametrize(
    "text",
    [
        "seeds = " + "1" * 5000,
        "seeds = 0x" + "f" * 5000,
        "seeds = -0x" + "f" * 5000,
        "seeds = [0x" + "f" * 5000 + "]",
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{a = " * 5000 + "1" + "}" * 5000,
        "[" + ".".join("a" * 5000) + "]",
    ],
    ids=["long number", "hexadecimal", "negative", "in a list", "nested lists", "nested tables", "deep table"],
)
def test_absurd_toml(text):
    """Numbers of thousands of digits and thousands of brackets are refused like any other bad suite."""
    with pytest.raises((UserError, SettingError)) as caught:
        parse_suite(text, "my.toml")
    assert str(caught.value).startswith("my.toml:")


def test_file_that_is_not_there(tmp_path):
    """A missing file is named, with the nearest of its folder."""
    (tmp_path / "quickstart.toml").write_text("")
    with pytest.raises(UserError) as caught:
        read_suite_text(tmp_path / "quikstart.toml")
    assert f"{tmp_path / 'quikstart.toml'}: no such file" in str(caught.value)
    assert f"nearest: {tmp_path / 'quickstart.toml'}" in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'name = "caf\xe9"'])
def test_file_that_is_not_text(tmp_path, content):
    """A file that is not UTF-8 is no TOML."""
    path = tmp_path / "binary.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a TOML file: it is not UTF-8") as caught:
        parse_suite(read_suite_text(path), str(path))
    assert str(path) in str(caught.value)


def test_folder_given_as_suite(tmp_path):
    """A folder cannot be read as a suite."""
    with pytest.raises(UserError) as caught:
        read_suite_text(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: cannot be read")


def test_file_is_read(tmp_path, issue_suite):
    """What is read from a file is what its text says, and errors name the file."""
    path = tmp_path / "mine.toml"
    path.write_text(issue_suite, encoding="utf-8")
    assert parse_suite(read_suite_text(path), str(path)) == parse_suite(issue_suite, "x")
    path.write_text("nam = 3", encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        parse_suite(read_suite_text(path), str(path))
    assert str(caught.value).startswith(f"{path}:\n")


@pytest.mark.parametrize(
    ("model", "factors", "cells"),
    [
        (
            'variant = "resnet8"',
            '"model.dropout" = [0.1, 0.2]\n"model.dropout_kind" = ["units", "channels"]',
            4,
        ),
        ('variant = "resnet8"\ndepth = 10', '"model.blocks_per_stage" = [[2, 1, 1], [1, 2, 1]]', 2),
        (
            'variant = "mlp_small"',
            '"model.activation" = ["leaky_relu", "relu"]\n"model.leaky_relu_slope" = [0.01, 0.2]\n'
            '[[exclude]]\n"model.activation" = "relu"\n"model.leaky_relu_slope" = 0.2',
            3,
        ),
    ],
)
def test_levels_that_need_each_other(model, factors, cells):
    """A level that is allowed only together with the levels of another factor is accepted where all cells are."""
    text = f'name = "s"\ndatasets = ["digits"]\nseeds = 1\n[model]\n{model}\n[factors]\n{factors}\n'
    assert len(expand_cells(parse_suite(text, "s"))) == cells


def test_level_that_never_fits():
    """A level that is refused whatever the other factors are is named where it is written."""
    text = (
        'name = "s"\ndatasets = ["digits"]\nseeds = 1\n[model]\nvariant = "resnet8"\n'
        '[factors]\n"model.depth" = [20, 21]\n"model.width" = [8, 16]\n'
    )
    with pytest.raises(SettingError) as caught:
        parse_suite(text, "s")
    assert [problem.path for problem in caught.value.problems] == ['factors."model.depth"[1]']
