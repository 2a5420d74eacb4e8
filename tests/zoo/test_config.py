"""The configs of the model families: what they accept, and what they say about what they do not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import zoo
from zoo.activations import ACTIVATIONS
from zoo.initializers import INITIALIZERS
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.settings import Problem

FAMILIES = [zoo.MLPConfig, zoo.ResNetConfig]
CHOICES = {
    "activation": ACTIVATIONS,
    "initializer": INITIALIZERS,
    "normalization": NORMALIZATIONS,
    "normalization_place": NORMALIZATION_PLACES,
}
NOT_SHAPING = {"initializer"}


def problem_of(family, **values):
    with pytest.raises(zoo.SettingError) as caught:
        family(**values)
    assert isinstance(caught.value, ValueError)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("setting", "name"), [(setting, name) for setting, table in CHOICES.items() for name in table])
def test_every_name_of_every_table_is_accepted(family, setting, name):
    """Each row of each table can be asked for in each family."""
    assert getattr(family(**{setting: name}), setting) == name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("setting", "given_name", "expected"),
    [
        ("activation", "rellu", "relu"),
        ("activation", "sigmod", "sigmoid"),
        ("initializer", "he_norml", "he_normal"),
        ("initializer", "glorot-uniform", "glorot_uniform"),
        ("normalization", "bach", "batch"),
        ("normalization_place", "before", "before_activation"),
        ("activation", "???", None),
    ],
)
def test_wrong_name(family, setting, given_name, expected):
    """A name in no table is shown with every name of the table and the nearest, or none where none is near."""
    problem = problem_of(family, **{setting: given_name})
    assert (problem.path, problem.given, problem.nearest) == (setting, given_name, expected)
    assert problem.allowed == ", ".join(CHOICES[setting])
    assert problem.message == f"no such {setting.replace('_', ' ')}"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("given_name", "expected"),
    [("activatoin", "activation"), ("dropout_rate", "dropout"), ("skip", None), ("zzz", None)],
)
def test_unknown_setting(family, given_name, expected):
    """A setting that the family does not have is shown with all that it has and the nearest."""
    problem = problem_of(family, **{given_name: 1})
    assert problem == Problem(given_name, "no such key", given_name, ", ".join(family.model_fields), expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("setting", "value", "given_text", "allowed"),
    [
        ("dropout", "0.1", '"0.1"', "a number"),
        ("dropout", True, "true", "a number"),
        ("dropout", None, "null", "a number"),
        ("width", True, "true", "a whole number"),
        ("width", 16.0, "16.0", "a whole number"),
        ("width", "16", '"16"', "a whole number"),
        ("depth", "20", '"20"', "a whole number"),
        ("depth", 20.0, "20.0", "a whole number"),
        ("skip_connections", 1, "1", "true or false"),
        ("skip_connections", "false", '"false"', "true or false"),
        ("activation", None, "null", "text in quotes"),
        ("normalization", False, "false", "text in quotes"),
    ],
)
def test_wrong_type(family, setting, value, given_text, allowed):
    """A value of another type is not converted, and is shown with the type that is allowed."""
    assert problem_of(family, **{setting: value}) == Problem(setting, "wrong type", given_text, allowed)


@pytest.mark.parametrize(
    ("family", "setting", "value", "neighbour"),
    [
        (zoo.MLPConfig, "dropout", -0.001, 0.0),
        (zoo.MLPConfig, "dropout", 1.0, 0.999),
        (zoo.MLPConfig, "width", 0, 1),
        (zoo.MLPConfig, "depth", -1, 0),
        (zoo.MLPConfig, "depth", 10_001, 10_000),
        (zoo.ResNetConfig, "dropout", -0.001, 0.0),
        (zoo.ResNetConfig, "dropout", 1.0, 0.999),
        (zoo.ResNetConfig, "width", 0, 1),
        (zoo.ResNetConfig, "depth", 2, 8),
    ],
)
def test_bounds(family, setting, value, neighbour):
    """The value just out of bounds is refused with its path, the one just inside is accepted."""
    problem = problem_of(family, **{setting: value})
    assert problem.path == setting
    assert problem.given == str(value)
    assert getattr(family(**{setting: neighbour}), setting) == neighbour


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_dropout_must_be_a_real_number(family, value):
    """Not-a-number and the infinities, which TOML can write, are no rates."""
    assert problem_of(family, dropout=value).path == "dropout"


@given(depth=st.integers(8, 2000))
def test_depth_rule(depth):
    """A residual network takes exactly the depths 6n + 2; others are refused with the neighbours that fit."""
    n, remainder = divmod(depth - 2, 6)
    if remainder == 0:
        assert zoo.ResNetConfig(depth=depth).blocks_per_stage == n
    else:
        problem = problem_of(zoo.ResNetConfig, depth=depth)
        assert (problem.path, problem.given) == ("depth", str(depth))
        assert "6n + 2" in problem.message
        assert [int(number) for number in re.findall(r"\d+", problem.allowed)] == [6 * n + 2, 6 * n + 8]


@pytest.mark.parametrize(("depth", "n"), [(20, 3), (32, 5), (44, 7), (56, 9), (110, 18), (1202, 200)])
def test_depths_of_the_paper(depth, n):
    """Blocks n = 3, 5, 7, 9 lead to 20, 32, 44, 56 layers (He et al. 2016, section 4.2), 18 to 110 and 200 to 1202."""
    assert zoo.ResNetConfig(depth=depth).blocks_per_stage == n


@pytest.mark.parametrize("family", FAMILIES)
def test_configs_are_frozen(family):
    """No setting of a config can be assigned."""
    config = family()
    for name in family.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(config, name, getattr(config, name))


@pytest.mark.parametrize("family", FAMILIES)
def test_default_differs_in_nothing(family):
    """A config of defaults is identified by nothing at all, also when they are written out."""
    assert family().differing_from_default() == {}
    assert family(**family().model_dump()).differing_from_default() == {}


def test_differing_from_default():
    """What differs is listed in plain values; a setting at its family's own default is left out."""
    config = zoo.ResNetConfig(depth=32, activation="gelu", normalization="batch", skip_connections=False)
    assert config.differing_from_default() == {
        "depth": 32,
        "activation": "gelu",
        "skip_connections": False,
    }
    assert zoo.MLPConfig(normalization="batch").differing_from_default() == {"normalization": "batch"}
    assert zoo.MLPConfig(dropout=0).differing_from_default() == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_that_shape_the_program(family):
    """All settings but the initializer shape the program, as the built model's structure shows."""
    assert set(family().shaping_program()) == set(family.model_fields) - NOT_SHAPING
    base = family()
    assert base.changed(initializer="lecun_normal").shaping_program() == base.shaping_program()
    assert base.changed(activation="tanh").shaping_program() != base.shaping_program()
    assert base.changed(depth=14).shaping_program() != base.shaping_program()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "values", [{"activation": "rellu"}, {"depth": -6}, {"dropout": 1.5}, {"depht": 20}, {"width": True}]
)
def test_changed_checks_again(family, values):
    """A changed copy is checked as at construction."""
    with pytest.raises(zoo.SettingError):
        family().changed(**values)


def test_changed_checks_clashes_again():
    """The depth rule holds for a changed copy too."""
    with pytest.raises(zoo.SettingError, match="6n \\+ 2"):
        zoo.ResNetConfig().changed(depth=21)


def test_configs_of_different_families_differ():
    """Two families with the same values are two configs."""
    values = zoo.MLPConfig().model_dump() | {"depth": 20, "width": 16}
    assert zoo.MLPConfig(**values) != zoo.ResNetConfig(**values)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_is_explained(family):
    """Each setting has a line for people, a full sentence."""
    for name, field in family.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
