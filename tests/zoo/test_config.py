"""The configs of the model families: what they accept, and what they say about what they do not."""

from __future__ import annotations

import contextlib
import itertools
import json
import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import zoo
from zoo.settings import OneOf, Problem, as_written

FAMILIES = list(zoo.FAMILIES)
WITH_DEPTH = [zoo.MLPConfig, zoo.ResNetConfig]
NOT_SHAPING = {"initializer", "initializer_gain", "initializer_scale", "initial_bias"}
COMPANIONS = {
    "leaky_relu_slope": {"activation": "leaky_relu"},
    "elu_alpha": {"activation": "elu"},
    "initializer_gain": {"initializer": "he_normal"},
    "initializer_scale": {"initializer": "constant"},
    "normalization_variance": {"normalization": "batch"},
    "normalization_momentum": {"normalization": "batch"},
    "normalization_epsilon": {"normalization": "layer"},
    "normalization_group_size": {"normalization": "group"},
    "normalization_place": {"normalization": "rms"},
    "initial_bias": {"normalization": "none"},
    "stem_padding": {"stem": "imagenet"},
    "activated_shortcuts": {"block_order": "pre_activation"},
    "residual_start": {"normalization": "none"},
    "strided_convolution": {"block": "bottleneck"},
    "dropout_kind": {"dropout": 0.1},
}
"""What a setting needs beside it to have an effect."""
VALUES = {
    "leaky_relu_slope": 0.2,
    "elu_alpha": 2.0,
    "initializer_gain": "activation",
    "initializer_scale": 0.5,
    "normalization_momentum": 0.99,
    "normalization_variance": "biased",
    "normalization_epsilon": 0.1,
    "normalization_group_size": 4,
    "normalization_place": "after_activation",
    "width_profile": "pyramid",
    "stem_padding": "zeros",
    "activated_shortcuts": "every_stage",
    "downsampling_block": "last",
    "strided_convolution": "3x3",
    "residual_start": "zero_gamma",
    "dropout_kind": "channels",
    "stochastic_depth": 0.5,
}
"""For each setting that is declared with others, a value that is not its default."""


def choices(family):
    """Give setting -> its annotation, for every setting whose values are the names of a table."""
    fields = family.model_fields.items()
    marks = {name: [mark for mark in field.metadata if isinstance(mark, OneOf)] for name, field in fields}
    return {name: found[0] for name, found in marks.items() if found}


def declared():
    """Give every declaration of `only_with` and `not_with`: (family, setting, other, values it needs or not)."""
    for family in FAMILIES:
        for name, field in family.model_fields.items():
            for other, values in field.json_schema_extra["only_with"].items():
                yield pytest.param(family, name, other, tuple(values), True, id=f"{family.family}-{name}-{other}")
            for other, value in field.json_schema_extra["not_with"].items():
                yield pytest.param(family, name, other, (value,), False, id=f"{family.family}-{name}-{other}")


def beside(setting, other, value):
    """Give what a setting needs beside it, with a value of another one."""
    values = COMPANIONS.get(setting, {}) | {other: value}
    return values | ({"depth": 29} if values.get("block") == "bottleneck" else {})


def problem_of(family, **values):
    with pytest.raises(zoo.SettingError) as caught:
        family(**values)
    assert isinstance(caught.value, ValueError)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("family", "setting"), [(family, setting) for family in FAMILIES for setting in choices(family)]
)
def test_every_name_of_every_table_is_accepted(family, setting):
    """Each row of each table can be asked for in each family; only dense layers cannot be normalized by instance."""
    for name in choices(family)[setting].table:
        if name == "instance" and family.has_dense_hidden_layers:
            problem = problem_of(family, normalization=name)
            assert (problem.path, problem.given) == ("normalization", "instance")
            assert problem.allowed == "none, batch, layer, group, rms"
            continue
        assert getattr(family(**beside(setting, setting, name)), setting) == name


@pytest.mark.parametrize(
    ("family", "setting"), [(family, setting) for family in FAMILIES for setting in choices(family)]
)
def test_wrong_name(family, setting):
    """A name in no table is shown with every name of the table and the nearest, or none where none is near."""
    choice = choices(family)[setting]
    for name in choice.table:
        problem = problem_of(family, **{setting: f"{name}~"})
        assert (problem.path, problem.given, problem.nearest) == (setting, f"{name}~", name)
        assert problem.allowed == ", ".join(choice.table)
        assert problem.message == f"no such {choice.kind}"
    assert problem_of(family, **{setting: "???"}).nearest is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("setting", "given_name", "expected", "kind"),
    [
        ("activation", "rellu", "relu", "activation"),
        ("activation", "sigmod", "sigmoid", "activation"),
        ("initializer", "he_norml", "he_normal", "initializer"),
        ("initializer", "glorot-uniform", "glorot_uniform", "initializer"),
        ("normalization", "bach", "batch", "normalization"),
        ("normalization_place", "before", "before_activation", "normalization place"),
    ],
)
def test_misspelt_name(family, setting, given_name, expected, kind):
    """What people really write is met with what they meant."""
    problem = problem_of(family, **{setting: given_name})
    assert (problem.nearest, problem.message) == (expected, f"no such {kind}")


@pytest.mark.parametrize(("family", "setting", "other", "values", "needed"), list(declared()))
def test_settings_without_effect_are_refused(family, setting, other, values, needed):
    """Under each value of another setting that takes its effect away, a setting is refused, but not its default."""
    every = choices(family)[other].table if other in choices(family) else values
    without = [
        name
        for name in every
        if (name in values) != needed and not (name == "instance" and family.has_dense_hidden_layers)
    ]
    assert without
    for name in without:
        companions = beside(setting, other, name)
        problem = problem_of(family, **companions, **{setting: VALUES[setting]})
        given = as_written(name)
        remedy = (
            f"with {other} = {' or '.join(map(as_written, values))}" if needed else f"with another {other} than {given}"
        )
        message = f"no effect with {other} = {given}"
        assert problem == Problem(setting, message, as_written(VALUES[setting]), f"only {remedy}")
        default = family.model_fields[setting].default
        assert getattr(family(**companions, **{setting: default}), setting) == default


@pytest.mark.parametrize(("family", "setting", "other", "values", "needed"), list(declared()))
def test_settings_with_effect_are_accepted(family, setting, other, values, needed):
    """Under each value of the other setting that gives it its effect, the same value is taken."""
    every = (
        choices(family)[other].table
        if other in choices(family)
        else [*values, {"dropout": 0.5, "stages": 3, "depth": 2}[other]]
    )
    every = [name for name in every if (name in values) == needed]
    assert every
    for name in every:
        if name == "instance" and family.has_dense_hidden_layers:
            continue
        assert getattr(family(**beside(setting, other, name), **{setting: VALUES[setting]}), setting) == VALUES[setting]


OF_FACTOR_1 = ["lecun_normal", "lecun_uniform", "glorot_normal", "glorot_uniform", "orthogonal", "delta_orthogonal"]


@pytest.mark.parametrize("initializer", OF_FACTOR_1)
@pytest.mark.parametrize(
    ("values", "asking"),
    [
        ({"activation": "linear"}, 'activation = "linear"'),
        ({"activation": "selu"}, 'activation = "selu"'),
        ({"depth": 0}, "depth = 0"),
    ],
)
def test_gain_that_changes_no_weight_is_refused(initializer, values, asking):
    """Where the activation, or no hidden layer, asks for the factor 1 that an initializer has, nothing would change."""
    problem = problem_of(zoo.MLPConfig, initializer=initializer, initializer_gain="activation", **values)
    assert problem.message == f"no effect: the factor of {initializer} is 1, which {asking} asks for"
    assert problem.allowed.startswith('only with initializer = "he_normal" or ')
    assert zoo.MLPConfig(initializer="he_normal", initializer_gain="activation", **values)


BESIDE_NO_FIXUP = ["batch", "layer", "group", "instance", "rms"]


@pytest.mark.parametrize("normalization", BESIDE_NO_FIXUP)
def test_fixup_takes_the_place_of_normalization(normalization):
    """Zhang, Dauphin & Ma 2019 train without normalization: beside one, the start is refused, and the other is told."""
    problem = problem_of(zoo.ResNetConfig, residual_start="fixup", normalization=normalization)
    assert (problem.path, problem.given) == ("residual_start", "fixup")
    assert 'normalization = "none"' in problem.allowed
    assert "zero_gamma" in problem.allowed


@pytest.mark.parametrize("start", ["fixup", "zero_gamma"])
def test_standardized_weights_cannot_start_at_zero(start):
    """Weight standardization would make weights of zero 1 in size at the first step; a gain at zero it leaves alone."""
    values = {"weight_standardization": True, "residual_start": start}
    assert problem_of(zoo.ResNetConfig, normalization="none", **values).path == "residual_start"
    assert zoo.ResNetConfig(weight_standardization=True, residual_start="zero_gamma", normalization="batch")


def test_biases_that_are_drawn_have_no_value():
    """Where an initializer draws the biases, an initial bias is refused."""
    problem = problem_of(zoo.MLPConfig, initializer="pytorch_default", initial_bias=0.5)
    assert problem.message == 'no effect with initializer = "pytorch_default", which draws the biases too'


def test_several_settings_without_effect():
    """All settings without effect are told of at once."""
    with pytest.raises(zoo.SettingError) as caught:
        zoo.ResNetConfig(skip_connections="none", stochastic_depth=0.5, residual_start="fixup", elu_alpha=2.0)
    assert {problem.path for problem in caught.value.problems} == {"stochastic_depth", "residual_start", "elu_alpha"}


@pytest.mark.parametrize(
    ("family", "values", "refused"),
    [
        (zoo.MLPConfig, {"normalization": "none"}, False),
        (zoo.MLPConfig, {"normalization": "batch"}, True),
        (zoo.MLPConfig, {"normalization": "rms"}, False),
        (zoo.MLPConfig, {"normalization": "layer", "normalization_place": "after_activation"}, False),
        (zoo.LeNetConfig, {"normalization": "group"}, True),
        (zoo.ResNetConfig, {"normalization": "batch"}, True),
        (zoo.ResNetConfig, {"normalization": "none"}, False),
        (zoo.ResNetConfig, {"normalization": "batch", "normalization_place": "after_activation"}, False),
        (
            zoo.ResNetConfig,
            {
                "normalization": "batch",
                "normalization_place": "after_activation",
                "block_order": "pre_activation",
            },
            False,
        ),
        (zoo.ResNetConfig, {"normalization": "batch", "block_order": "pre_activation"}, True),
        (zoo.ResNetConfig, {"normalization": "rms", "block_order": "pre_activation"}, False),
        (zoo.ResNetConfig, {"normalization": "none", "residual_start": "fixup"}, True),
        (zoo.ResNetConfig, {"normalization": "batch", "squeeze_excitation": 2}, False),
    ],
)
def test_initial_bias_needs_a_bias(family, values, refused):
    """An initial bias is refused exactly where no hidden layer of the built network has a bias."""
    small = {} if family is zoo.LeNetConfig else {"depth": 8, "width": 3}
    model = zoo.build_model(family(**values, **small), (8, 8, 1), 2, seed=0)
    hidden = [layer for layer in model.layers if hasattr(layer, "kernel_initializer") and layer.name != "head"]
    assert any(layer.use_bias for layer in hidden) != refused
    if refused:
        problem = problem_of(family, **values, initial_bias=0.5)
        assert (problem.path, problem.given) == ("initial_bias", "0.5")
        assert problem.message == "no effect: no hidden layer of this network has a bias"
    else:
        assert family(**values, initial_bias=0.5).initial_bias == 0.5


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("given_name", "expected"),
    [("activatoin", "activation"), ("dropuot", "dropout"), ("L1", "l1"), ("zzz", None)],
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
        ("normalization_group_size", True, "true", "a whole number"),
        ("normalization_group_size", 16.0, "16.0", "a whole number"),
        ("normalization_group_size", "16", '"16"', "a whole number"),
        ("weight_standardization", 1, "1", "true or false"),
        ("weight_standardization", "false", '"false"', "true or false"),
        ("activation", None, "null", "text in quotes"),
        ("normalization", False, "false", "text in quotes"),
    ],
)
def test_wrong_type(family, setting, value, given_text, allowed):
    """A value of another type is not converted, and is shown with the type that is allowed."""
    assert problem_of(family, **{setting: value}) == Problem(setting, "wrong type", given_text, allowed)


RATES = ["input_dropout", "dropout", "drop_connect"]
BOUNDS = [
    *((family, rate, *pair) for family in FAMILIES for rate in RATES for pair in [(-0.001, 0.0), (1.0, 0.999)]),
    *((family, penalty, -0.001, 0.0) for family in FAMILIES for penalty in ("l1", "l2", "max_norm")),
    (zoo.MLPConfig, "leaky_relu_slope", 1.0, 0.99),
    (zoo.MLPConfig, "leaky_relu_slope", -0.1, 0.0),
    (zoo.MLPConfig, "elu_alpha", 0.0, 0.01),
    (zoo.MLPConfig, "initializer_scale", 0.0, 1e-6),
    (zoo.MLPConfig, "initial_bias", 100.5, 100.0),
    (zoo.MLPConfig, "normalization_momentum", 1.0, 0.0),
    (zoo.MLPConfig, "normalization_epsilon", 0.0, 1.0),
    (zoo.MLPConfig, "normalization_group_size", 2, 3),
    (zoo.LeNetConfig, "normalization_group_size", 2, 3),
    (zoo.ResNetConfig, "normalization_group_size", 0, 1),
    (zoo.MLPConfig, "width", 0, 1),
    (zoo.MLPConfig, "width", 65_537, 65_536),
    (zoo.MLPConfig, "depth", -1, 0),
    (zoo.MLPConfig, "depth", 10_001, 10_000),
    (zoo.ResNetConfig, "width", 0, 1),
    (zoo.ResNetConfig, "widening_factor", 0, 1),
    (zoo.ResNetConfig, "squeeze_excitation", -1, 0),
    (zoo.ResNetConfig, "stochastic_depth", 1.0, 0.9),
    (zoo.ResNetConfig, "depth", 2, 8),
]


@pytest.mark.parametrize(("family", "setting", "value", "neighbour"), BOUNDS)
def test_bounds(family, setting, value, neighbour):
    """The value just out of bounds is refused with its path, the one just inside is accepted."""
    companions = COMPANIONS.get(setting, {})
    problem = problem_of(family, **companions, **{setting: value})
    assert problem.path == setting
    assert problem.given == str(value)
    assert getattr(family(**companions, **{setting: neighbour}), setting) == neighbour


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_dropout_must_be_a_real_number(family, value):
    """Not-a-number and the infinities, which TOML can write, are no rates."""
    assert problem_of(family, dropout=value).path == "dropout"


@given(depth=st.integers(3, 2000), stages=st.integers(1, 8), block=st.sampled_from([("basic", 2), ("bottleneck", 3)]))
def test_depth_rule(depth, stages, block):
    """A residual network takes the depths 2 + n stages convolutions, and those printed; others meet the neighbours."""
    name, convolutions = block
    printed = {("basic", 4): [34], ("bottleneck", 4): [50, 101, 152]}.get((name, stages), [])
    step = convolutions * stages
    n, remainder = divmod(depth - 2, step)
    values = {"depth": depth, "stages": stages, "block": name}
    if depth in printed:
        assert sum(zoo.ResNetConfig(**values).layout) * convolutions + 2 == depth
    elif remainder == 0 and n:
        assert zoo.ResNetConfig(**values).layout == (n,) * stages
    else:
        problem = problem_of(zoo.ResNetConfig, **values)
        assert (problem.path, problem.given) == ("depth", str(depth))
        assert f"{step}n + 2" in problem.message
        below = 2 + step * max(n, 1)
        assert [int(number) for number in re.findall(r"\d+", problem.allowed)] == sorted(
            {below, below + step, *printed}
        )
        for allowed in (below, below + step, *printed):
            assert zoo.ResNetConfig(**values | {"depth": allowed}).depth == allowed


@pytest.mark.parametrize(("depth", "n"), [(20, 3), (32, 5), (44, 7), (56, 9), (110, 18), (1202, 200)])
def test_depths_of_the_paper(depth, n):
    """Blocks n = 3, 5, 7, 9 lead to 20, 32, 44, 56 layers (He et al. 2016, section 4.2), 18 to 110 and 200 to 1202."""
    assert zoo.ResNetConfig(depth=depth).layout == (n, n, n)


@pytest.mark.parametrize(
    ("depth", "block", "expected"),
    [
        (18, "basic", (2, 2, 2, 2)),
        (34, "basic", (3, 4, 6, 3)),
        (50, "bottleneck", (3, 4, 6, 3)),
        (101, "bottleneck", (3, 4, 23, 3)),
        (152, "bottleneck", (3, 8, 36, 3)),
    ],
)
def test_layouts_of_the_paper(depth, block, expected):
    """Four stages of the depths in table 1 of He et al. 2016 have its numbers of blocks; a list overrules them."""
    assert zoo.ResNetConfig(depth=depth, stages=4, block=block).layout == expected
    other = (expected[0] + 1, expected[1] - 1, *expected[2:])
    assert zoo.ResNetConfig(depth=depth, stages=4, block=block, blocks_per_stage=other).layout == other


def test_printed_depths_belong_to_their_block_and_stages():
    """Depth 34 needs basic blocks in four stages; of bottleneck blocks, or in three stages, it is refused or other."""
    assert problem_of(zoo.ResNetConfig, depth=34, stages=4, block="bottleneck").path == "depth"
    assert problem_of(zoo.ResNetConfig, depth=34).path == "depth"
    assert zoo.ResNetConfig(depth=50).layout == (8, 8, 8)


@pytest.mark.parametrize(
    ("values", "path", "message", "allowed"),
    [
        ({"blocks_per_stage": (1, 2, 1), "depth": 20}, "depth", "the blocks [1, 2, 1] make a depth of 10", "10"),
        (
            {"blocks_per_stage": (1, 2), "depth": 8},
            "blocks_per_stage",
            "one number of blocks for each of the 3 stages is needed",
            "1 or more in each",
        ),
        (
            {"blocks_per_stage": (1, 0, 2), "depth": 8},
            "blocks_per_stage",
            "one number of blocks for each of the 3 stages is needed",
            "1 or more in each",
        ),
    ],
)
def test_blocks_per_stage(values, path, message, allowed):
    """A list of blocks must have one for each stage, and agree with the depth."""
    problem = problem_of(zoo.ResNetConfig, **values)
    assert (problem.path, problem.message, problem.allowed) == (path, message, allowed)


def test_blocks_per_stage_may_be_a_list():
    """A list, as TOML and JSON have it, is kept as a tuple, so that the config stays a key."""
    config = zoo.ResNetConfig(blocks_per_stage=[1, 2, 1], depth=10)
    assert config.blocks_per_stage == config.layout == (1, 2, 1)
    assert hash(config) == hash(zoo.ResNetConfig(blocks_per_stage=(1, 2, 1), depth=10))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, (64, 64)),
        ({"depth": 0}, ()),
        ({"depth": 3, "width": 5}, (5, 5, 5)),
        ({"depth": 4, "width": 100, "width_profile": "pyramid"}, (100, 50, 25, 12)),
        ({"depth": 3, "width": 4, "width_profile": "pyramid"}, (4, 2, 1)),
        ({"depth": 3, "width": [9, 2, 30]}, (9, 2, 30)),
    ],
)
def test_widths(values, expected):
    """Widths are constant, halved from layer to layer and rounded down, or listed; the built layers have them."""
    config = zoo.MLPConfig(**values)
    assert config.widths == expected
    model = zoo.build_model(config, (3,), 2, seed=0)
    units = [layer.units for layer in model.layers if hasattr(layer, "units")]
    assert units == [*expected, 2]


def test_linear_models_refuse_settings_of_hidden_layers():
    """Without hidden layers, every setting that acts on hidden layers alone is refused, and told of at once."""
    with pytest.raises(zoo.SettingError) as caught:
        zoo.MLPConfig(depth=0, width=8, activation="tanh", dropout=0.5, l2=0.1, input_dropout=0.1, initializer="zeros")
    assert [problem.path for problem in caught.value.problems] == ["activation", "dropout", "width"]
    assert {problem.message for problem in caught.value.problems} == {"no effect with depth = 0"}
    assert zoo.MLPConfig(depth=0, l2=0.1, input_dropout=0.1, initializer="zeros").l2 == 0.1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (zoo.MLPConfig(depth=3, width=[8, 8, 8]), zoo.MLPConfig(depth=3, width=8)),
        (zoo.MLPConfig(depth=3, width=[64, 64, 64]), zoo.MLPConfig(depth=3)),
        (zoo.ResNetConfig(blocks_per_stage=(3, 3, 3)), zoo.ResNetConfig()),
        (
            zoo.ResNetConfig(depth=34, stages=4, blocks_per_stage=(3, 4, 6, 3)),
            zoo.ResNetConfig(depth=34, stages=4),
        ),
    ],
)
def test_two_ways_to_write_one_network(one, other):
    """A list that says what follows anyway does not make another run, and the differences make the same network."""
    assert one.differing_from_default() == other.differing_from_default()
    assert type(one)(**one.differing_from_default()) == other


@pytest.mark.parametrize(
    ("values", "path", "given_text", "allowed"),
    [
        ({"width": [8, 8]}, "width", "[8, 8]", "a list of 3, or depth = 2"),
        ({"width": [8, 8, 8], "width_profile": "pyramid"}, "width_profile", "pyramid", "constant, or one width"),
        ({"width": 3, "width_profile": "pyramid"}, "width", "3", "more units, or depth = 2 or less"),
        (
            {"width": 1000, "width_profile": "pyramid", "depth": 9999},
            "width",
            "1000",
            "more units, or depth = 10 or less",
        ),
        ({"width": 11, "width_profile": "pyramid", "normalization": "layer"}, "width", "11", "3 or more in each layer"),
        ({"width": [9, 9, 2], "normalization": "group"}, "width", "[9, 9, 2]", "3 or more in each layer"),
        ({"width": 1, "normalization": "rms"}, "width", "1", "2 or more in each layer"),
    ],
)
def test_widths_that_do_not_fit(values, path, given_text, allowed):
    """A list has one width for each layer and no profile, a pyramid can be halved, and what is normalized is wide."""
    problem = problem_of(zoo.MLPConfig, **{"depth": 3} | values)
    assert (problem.path, problem.given, problem.allowed) == (path, given_text, allowed)


@pytest.mark.parametrize(
    ("family", "shape", "fits"),
    [
        (zoo.MLPConfig, (), False),
        (zoo.MLPConfig, (3,), True),
        (zoo.MLPConfig, (2, 3, 4, 5), True),
        (zoo.LeNetConfig, (32,), False),
        (zoo.LeNetConfig, (32, 32), False),
        (zoo.LeNetConfig, (32, 32, 1), True),
        (zoo.ResNetConfig, (), False),
        (zoo.ResNetConfig, (2, 8, 8, 3), False),
        (zoo.ResNetConfig, (8, 8, 3), True),
    ],
)
def test_input_shape(family, shape, fits):
    """Shapes that a family cannot take are refused before anything is built, with what was given."""
    if fits:
        family().check_input_shape(shape)
        return
    with pytest.raises(zoo.SettingError) as caught:
        zoo.build_model(family(), shape, 2, seed=0)
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("input_shape", str(shape))


@pytest.mark.parametrize(
    ("values", "shape", "adds"),
    [
        ({"width": 64}, (64,), True),
        ({"width": 63, "depth": 1}, (64,), False),
        ({"width": 63, "depth": 2}, (64,), True),
        ({"width": 16, "width_profile": "pyramid"}, (17,), False),
        ({"width": 16, "width_profile": "pyramid"}, (4, 2, 2), True),
        ({"width": [8, 4, 5], "depth": 3}, (9,), True),
        ({"width": [8, 4, 3], "depth": 3}, (9,), False),
    ],
)
def test_identity_needs_a_layer_as_wide_as_its_input(values, shape, adds):
    """Shortcuts from wider inputs do not exist, and a network without any would be the one without skip connections."""
    config = zoo.MLPConfig(**values, skip_connections="identity")
    if adds:
        model = zoo.build_model(config, shape, 2, seed=0)
        assert any(layer.name.endswith("_add") for layer in model.layers)
        return
    with pytest.raises(zoo.SettingError) as caught:
        zoo.build_model(config, shape, 2, seed=0)
    (problem,) = caught.value.problems
    assert (problem.path, problem.given) == ("skip_connections", "identity")


TINY = {
    "mlp": (zoo.MLPConfig(depth=1, width=6), (5,)),
    "lenet": (zoo.LeNetConfig(), (12, 12, 1)),
    "resnet": (zoo.ResNetConfig(depth=5, stages=1, width=4, block="bottleneck"), (4, 4, 1)),
}
CHANGES = {
    "mlp": [
        {"depth": 2},
        {"width": 4},
        {"width_profile": "pyramid"},
        {"skip_connections": "identity"},
        {"stochastic_depth": 0.5},
        {"normalization": "group"},
        {"normalization_place": "after_activation"},
        {"normalization_group_size": 3},
        {"initial_bias": 0.5},
        {"initializer_gain": "activation"},
        {"initializer": "pytorch_default"},
        {"activation": "selu", "initializer": "lecun_normal"},
        {"dropout": 0.5},
        {"drop_connect": 0.5},
    ],
    "lenet": [{"normalization": "batch"}, {"normalization_place": "after_activation"}, {"initial_bias": 0.5}],
    "resnet": [
        {"depth": 8, "stages": 2},
        {"block_order": "pre_activation"},
        {"downsampling_block": "last"},
        {"strided_convolution": "3x3"},
        {"normalization": "none"},
        {"normalization_place": "after_activation"},
        {"initial_bias": 0.5},
        {"skip_connections": "none"},
        {"residual_start": "zero_gamma"},
        {"residual_start": "fixup", "normalization": "none"},
        {"normalization_variance": "biased"},
        {"activated_shortcuts": "every_stage"},
        {"squeeze_excitation": 2},
        {"dropout": 0.5},
        {"dropout_kind": "channels"},
        {"stochastic_depth": 0.5},
    ],
}


def fingerprint(config, shape):
    """Give all that a built network is: its layers, how they are connected, and every initial value."""
    keras.utils.clear_session(free_memory=False)  # else operations without a name are numbered on
    model = zoo.build_model(config, shape, 2, seed=0)
    return json.dumps(model.get_config()), *(np.asarray(each).tobytes() for each in model.variables)


@pytest.mark.parametrize("name", TINY)
def test_what_is_accepted_makes_another_network(name):
    """Two settings changed at once, a few of each family: whatever is not refused differs in what is built from it."""
    base, shape = TINY[name]
    found = {}
    for one, other in itertools.combinations_with_replacement([{}, *CHANGES[name]], 2):
        with contextlib.suppress(zoo.SettingError):
            config = base.changed(**(one | other))
            made = fingerprint(config, shape)
            identity = config.differing_from_default()
            assert found.setdefault(made, identity) == identity
    assert len(found) > len(CHANGES[name])


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
    config = zoo.ResNetConfig(
        depth=10, activation="gelu", normalization="batch", skip_connections="none", blocks_per_stage=(1, 2, 1)
    )
    assert config.differing_from_default() == {
        "depth": 10,
        "activation": "gelu",
        "skip_connections": "none",
        "blocks_per_stage": [1, 2, 1],
    }
    assert zoo.MLPConfig(normalization="batch").differing_from_default() == {"normalization": "batch"}
    assert zoo.MLPConfig(width=[3, 4]).differing_from_default() == {"width": [3, 4]}
    assert zoo.MLPConfig(dropout=0).differing_from_default() == {}
    assert zoo.LeNetConfig(activation="scaled_tanh").differing_from_default() == {}
    assert zoo.LeNetConfig(activation="relu").differing_from_default() == {"activation": "relu"}


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_that_shape_the_program(family):
    """Settings that only change initial weights do not shape the program, all others do."""
    assert set(family().shaping_program()) == set(family.model_fields) - NOT_SHAPING
    base = family(normalization="none")
    assert base.changed(initializer="constant", initializer_scale=0.5).shaping_program() == base.shaping_program()
    assert base.changed(initial_bias=0.5).shaping_program() == base.shaping_program()
    assert base.changed(activation="selu").shaping_program() != base.shaping_program()
    assert base.changed(l2=0.1).shaping_program() != base.shaping_program()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "values", [{"activation": "rellu"}, {"max_norm": -6.0}, {"dropout": 1.5}, {"depht": 20}, {"l1": True}]
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
    shared = zoo.LeNetConfig().model_dump()
    assert zoo.MLPConfig(**shared) != zoo.LeNetConfig(**shared)


@pytest.mark.parametrize("family", FAMILIES)
def test_schema_tells_what_a_setting_needs(family):
    """The JSON Schema holds the names of each table and the settings that go with one another."""
    properties = family.model_json_schema()["properties"]
    assert set(properties) == set(family.model_fields)
    for name, choice in choices(family).items():
        assert properties[name]["enum"] == list(choice.table)
    assert properties["elu_alpha"]["only_with"] == {"activation": ["elu"]}
    assert properties["normalization_epsilon"]["not_with"] == {"normalization": "none"}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_setting_is_explained(family):
    """Each setting has a line for people, a full sentence."""
    for name, field in family.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name
