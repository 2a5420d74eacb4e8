"""How residual branches start, scale, drop and end: the rules of the papers on built networks."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from examples import spanning

import zoo
from zoo import topology
from zoo.normalization import NORMALIZATION_PLACES, NORMALIZATIONS
from zoo.topology import BLOCK_ORDERS, BLOCKS, RESNET_SKIP_CONNECTIONS

SHAPE = (8, 8, 3)
ADDING = [name for name in RESNET_SKIP_CONNECTIONS if name != "none"]


def resnet(randomize=None, shape=SHAPE, **values):
    """Build a small residual network; `depth` is that of one block a stage where it is not given."""
    convolutions = BLOCKS[values.get("block", "basic")].convolutions
    values = {"depth": 2 + 2 * convolutions, "stages": 2, "width": 4} | values
    model = zoo.build_model(zoo.ResNetConfig(**values), shape, 3, seed=0)
    return randomize(model) if randomize else model


def images(number=6):
    return np.random.default_rng(0).normal(size=(number, *SHAPE)).astype("float32")


def sums(model):
    """Give the layers that add a shortcut, in order."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]


def test_rows_are_complete():
    """Each row of each table explains itself to people."""
    of_numbers = {"PUBLISHED_LAYOUTS", "SEEN_BY_C3"}
    tables = [table for name, table in vars(topology).items() if name.isupper() and name not in of_numbers]
    assert len(tables) == 13
    for table in tables:
        for row in table.values():
            assert (row if isinstance(row, str) else row.explanation).strip()


STARTS = [
    {"normalization": normalization, "normalization_place": place, "block_order": order}
    for normalization, place, order in itertools.product(NORMALIZATIONS, NORMALIZATION_PLACES, BLOCK_ORDERS)
    if normalization != "none" or place == "before_activation"
]


BLOCKS_THAT_ADD = [{}, {"block": "bottleneck", "skip_connections": "projection"}]


@pytest.mark.parametrize(
    ("block", "values"), spanning([(block, values) for block in BLOCKS_THAT_ADD for values in STARTS])
)
def test_zero_gamma_starts_every_block_as_its_shortcut(block, values):
    """Under every normalization, place and order each branch is exactly zero at first, in training too."""
    model = resnet(residual_start="zero_gamma", **values, **block)
    added = sums(model)
    probe = keras.Model(model.input, [tensor for layer in added for tensor in [*layer.input, layer.output]])
    for training in (False, True):
        found = [np.asarray(value) for value in probe(images(), training=training)]
        for shortcut, branch, output in zip(found[::3], found[1::3], found[2::3], strict=True):
            np.testing.assert_array_equal(branch, 0)
            np.testing.assert_array_equal(output, shortcut)
            assert np.any(shortcut)


@pytest.mark.parametrize("values", STARTS)
def test_others_do_not_start_at_zero(values):
    """Without it the same branches are no zeros, and everything but what is put to zero starts the same."""
    plain, zero = resnet(**values), resnet(residual_start="zero_gamma", **values)
    layer = sums(plain)[0]
    assert np.any(keras.Model(plain.input, layer.input[1])(images()))
    changed = [
        variable.path
        for variable, other in zip(plain.variables, zero.variables, strict=True)
        if not np.array_equal(variable, other)
    ]
    ends_with_convolution = (
        values["block_order"] == "pre_activation"
        or values["normalization"] == "none"
        or values["normalization_place"] == "after_activation"
    )
    part = (
        "/kernel"
        if ends_with_convolution
        else "_normalization/" + ("scale" if values["normalization"] == "rms" else "gamma")
    )
    assert changed == [f"stage_{stage}_block_1_convolution_2{part}" for stage in (1, 2)]


FIXUP = {"residual_start": "fixup", "normalization": "none"}


BRANCHES = [(block, m, blocks) for block, m in (("basic", 2), ("bottleneck", 3)) for blocks in (1, 4)]
SCALED = ["he_normal", "he_uniform", "orthogonal", "delta_orthogonal"]


@pytest.mark.parametrize(
    ("branches", "initializer"), spanning([(branches, initializer) for branches in BRANCHES for initializer in SCALED])
)
def test_fixup_scales_the_branches(branches, initializer):
    """Rules 1 and 2: head and last convolution at zero, a branch's others L^(-1/(2m-2)) times what they were."""
    block, m, blocks = branches
    values = {"block": block, "depth": 2 + 2 * m * blocks, "initializer": initializer, "skip_connections": "projection"}
    fixup, plain = resnet(**values, **FIXUP), resnet(**values, normalization="none")
    total, seen = 2 * blocks, set()
    for layer in plain.layers:
        if not hasattr(layer, "kernel"):
            continue
        kind = layer.name.split("_")[4:] if layer.name.startswith("stage") else [layer.name]
        factor = {"head": 0, "stem": 1, "projection": 1, "convolution": total ** (-1 / (2 * m - 2))}[kind[0]]
        factor = 0 if kind[-1] == str(m) else factor
        seen.add(factor)
        expected = factor * np.asarray(layer.kernel)
        np.testing.assert_allclose(fixup.get_layer(layer.name).kernel, expected, rtol=1e-4, atol=1e-7)
    assert len(seen) == 3


@pytest.mark.parametrize("order", BLOCK_ORDERS)
def test_fixup_has_single_numbers(order):
    """Rule 3: a number before each weight layer and activation, a factor a branch, no bias a channel but the head's."""
    model = resnet(block_order=order, **FIXUP)
    kinds = [type(layer).__name__ for layer in model.layers]
    weight_layers = [layer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    activations = kinds.count("Activation")
    assert (len(weight_layers), activations) == (6, 5)
    assert kinds.count("ScalarBias") == len(weight_layers) + activations
    assert kinds.count("ScalarScale") == 2
    assert [layer.name for layer in weight_layers if layer.use_bias] == ["head"]
    for layer in model.layers:
        if layer in weight_layers or type(layer).__name__ == "Activation":
            before = layer.input._keras_history.operation
            if type(before).__name__ == "ZeroPadding2D":
                before = before.input._keras_history.operation
            assert type(before).__name__ == "ScalarBias", layer.name
    for layer in sums(model):
        assert type(layer.input[1]._keras_history.operation).__name__ == "ScalarScale"


def test_fixup_starts_every_block_as_its_shortcut():
    """At first a network under Fixup hands its stem on, and its outputs are all zero."""
    model = resnet(**FIXUP)
    for layer in sums(model):
        shortcut, output = keras.Model(model.input, [layer.input[0], layer.output])(images())
        np.testing.assert_array_equal(output, shortcut)
    np.testing.assert_array_equal(model(images()), 0)


@pytest.mark.parametrize("order", BLOCK_ORDERS)
@pytest.mark.parametrize("skip", ADDING)
def test_stochastic_depth_grows_linearly(order, skip):
    """The l-th of L blocks is skipped with chance l / L of the last one's: Huang et al. 2016, equation 4."""
    values = {"stages": 3, "depth": 10, "blocks_per_stage": (1, 2, 1)}
    model = resnet(block_order=order, skip_connections=skip, stochastic_depth=0.5, **values)
    assert zoo.audit_model(model).branch_drop_rates == pytest.approx((0.125, 0.25, 0.375, 0.5))
    assert zoo.audit_model(model).dropout_rates == frozenset()


@pytest.mark.parametrize("order", BLOCK_ORDERS)
@pytest.mark.parametrize("skip", ADDING)
def test_a_skipped_block_is_its_shortcut(order, skip, randomize):
    """In training a skipped example's sum is its shortcut; for others the branch counts by 1 / (1 - rate)."""
    model = resnet(randomize, block_order=order, skip_connections=skip, stochastic_depth=0.6, normalization="rms")
    first = sums(model)[0]
    drop = first.input[1]._keras_history.operation
    probe = keras.Model(model.input, [first.input[0], drop.input, first.output])
    shortcut, branch, output = (np.asarray(value) for value in probe(images(400), training=True))
    difference = output - shortcut
    skipped = (np.abs(difference) < 1e-6).all((1, 2, 3))
    assert skipped.mean() == pytest.approx(0.3, abs=0.08)
    np.testing.assert_allclose(difference[~skipped], branch[~skipped] / 0.7, rtol=1e-3, atol=1e-4)
    shortcut, branch, output = (np.asarray(value) for value in probe(images(), training=False))
    np.testing.assert_allclose(output, shortcut + branch, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", BLOCK_ORDERS)
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize(("kind", "layer"), [("units", "Dropout"), ("channels", "SpatialDropout2D")])
def test_dropout_between_convolutions(order, block, kind, layer):
    """Every convolution of a branch but the first is fed by a dropout of the kind asked for."""
    model = resnet(block_order=order, block=block, dropout=0.3, dropout_kind=kind)
    found = [each for each in model.layers if isinstance(each, keras.layers.Dropout)]
    assert {type(each).__name__ for each in found} == {layer}
    assert {each.rate for each in found} == {0.3}
    fed = [
        f"stage_{stage}_block_1_convolution_{number}"
        for stage in (1, 2)
        for number in range(2, BLOCKS[block].convolutions + 1)
    ]
    assert len(found) == len(fed)
    for name, dropout in zip(fed, found, strict=True):
        before = model.get_layer(name).input._keras_history.operation
        before = before.input._keras_history.operation if type(before).__name__ == "ZeroPadding2D" else before
        assert before is dropout


@pytest.mark.parametrize(
    ("skip", "projected"),
    [("none", []), ("identity", []), ("projection", [2]), ("projection_everywhere", [1, 2])],
)
def test_projections(skip, projected):
    """Option A has no projection, B has one where channels change, C everywhere; a plain network adds nothing."""
    model = resnet(skip_connections=skip)
    found = [layer.name for layer in model.layers if layer.name.endswith("_projection")]
    assert found == [f"stage_{stage}_block_1_projection" for stage in projected]
    assert len(sums(model)) == (0 if skip == "none" else 2)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("average", lambda x: x.mean((1, 2))),
        ("max", lambda x: x.max((1, 2))),
        ("flatten", lambda x: x.reshape(len(x), -1)),
    ],
)
def test_pooling(pooling, expected, randomize):
    """The head sees the mean or the largest value of each channel, or every position."""
    model = resnet(randomize, pooling=pooling)
    layer = model.get_layer("pooling")
    before, after = map(np.asarray, keras.Model(model.input, [layer.input, layer.output])(images()))
    np.testing.assert_allclose(after, expected(before), rtol=1e-5, atol=1e-6)
    assert model.get_layer("head").input is layer.output
