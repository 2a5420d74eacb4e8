"""Standardization against scikit-learn and against moments that NumPy gives in float64."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from benchmarks.data.standardization import fit_standardization
from benchmarks.settings.data import STANDARDIZATIONS

EVERY = list(STANDARDIZATIONS)
SCALING = [name for name in EVERY if name != "none"]
images = hnp.arrays(np.uint8, st.tuples(st.integers(4, 12), st.just(3), st.just(2), st.integers(1, 3)))
tables = hnp.arrays(
    np.float32,
    st.tuples(st.integers(4, 30), st.integers(1, 5)),
    elements=st.floats(-100, 100, width=32).map(lambda value: np.float32(round(value, 2))),
)


def applied(name, inputs, train=None):
    """Standardize as a model's input is: in float32, by the training part."""
    train = np.arange(len(inputs)) if train is None else np.asarray(train)
    fitted = fit_standardization(name, inputs, train)
    return (inputs.astype(np.float32) - fitted.shift) * fitted.scale


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("shape", [(5,), (4, 3, 2), (6, 6, 1)])
def test_shape_and_type(name, shape):
    """Shift and scale have the shape of one example and are float32, whatever the data."""
    inputs = np.random.default_rng(0).integers(0, 255, (20, *shape), dtype=np.uint8)
    fitted = fit_standardization(name, inputs, np.arange(10))
    for values in (fitted.shift, fitted.scale):
        assert values.shape == shape
        assert values.dtype == np.float32


@given(inputs=images | tables)
def test_none_leaves_values_as_they_are(inputs):
    """Without standardization a pixel of 255 stays 255."""
    assert np.array_equal(applied("none", inputs), inputs)


@settings(deadline=None)
@given(inputs=images | tables)
def test_per_feature_is_scikit_learns_standard_scaler(inputs):
    """Each input element is standardized as by StandardScaler, which also leaves constant ones unscaled."""
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    expected = StandardScaler().fit_transform(flat).reshape(inputs.shape)
    np.testing.assert_allclose(applied("per_feature", inputs), expected, atol=1e-3)


@settings(deadline=None)
@given(inputs=images | tables)
def test_min_max_is_scikit_learns_min_max_scaler(inputs):
    """Each input element is brought to 0 to 1 as by MinMaxScaler, constant ones to 0."""
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    expected = MinMaxScaler().fit_transform(flat).reshape(inputs.shape)
    np.testing.assert_allclose(applied("min_max", inputs), expected, atol=1e-5)


@settings(deadline=None)
@given(inputs=images)
def test_per_channel_of_images(inputs):
    """Each channel has one mean and one standard deviation over examples and positions, as NumPy has them."""
    exact = inputs.astype(np.float64)
    mean, spread = exact.mean(axis=(0, 1, 2)), exact.std(axis=(0, 1, 2))
    expected = (exact - mean) / np.where(spread > 0, spread, 1)
    np.testing.assert_allclose(applied("per_channel", inputs), expected, atol=1e-4)
    fitted = fit_standardization("per_channel", inputs, np.arange(len(inputs)))
    assert (fitted.scale == fitted.scale[0, 0]).all()
    assert (fitted.shift == fitted.shift[0, 0]).all()


@settings(deadline=None)
@given(inputs=tables)
def test_per_channel_of_tables(inputs):
    """The columns of a table are its channels: there per channel is per feature."""
    np.testing.assert_allclose(applied("per_channel", inputs), applied("per_feature", inputs), atol=1e-4)


def test_per_channel_is_not_per_feature():
    """On images with a bright edge, per feature evens out the positions and per channel keeps their difference."""
    inputs = np.random.default_rng(0).integers(0, 50, (200, 4, 4, 2), dtype=np.uint8)
    inputs[:, 0] += 200
    by_feature, by_channel = applied("per_feature", inputs), applied("per_channel", inputs)
    assert np.abs(by_feature[:, 0].mean() - by_feature[:, 1:].mean()) < 1e-4
    assert by_channel[:, 0].mean() - by_channel[:, 1:].mean() > 1.5


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_training_part_only(name, dtype):
    """Whatever stands in the other examples, shift and scale stay: nothing leaks from validation."""
    generator = np.random.default_rng(3)
    inputs = generator.integers(1, 250, (50, 3, 3, 2)).astype(dtype)
    train = np.arange(0, 50, 2)
    changed = inputs.copy()
    changed[1::2] = 255 if dtype == np.uint8 else np.nan
    first, second = (fit_standardization(name, each, train) for each in (inputs, changed))
    assert np.array_equal(first.shift, second.shift)
    assert np.array_equal(first.scale, second.scale)


@pytest.mark.parametrize("name", SCALING)
def test_training_part_matters(name):
    """Another training part has other statistics: they are not those of all examples."""
    inputs = np.random.default_rng(4).normal(size=(40, 6)).astype(np.float32)
    first, second = (fit_standardization(name, inputs, np.arange(40)[part::2]) for part in (0, 1))
    assert not np.array_equal(first.shift, second.shift)
    assert not np.array_equal(first.scale, second.scale)


@pytest.mark.parametrize("name", SCALING)
def test_more_examples_than_one_chunk(name):
    """Moments that are gathered in chunks are those of the whole, also where the first chunk is unlike the rest."""
    inputs = np.random.default_rng(5).normal(size=(9001, 2, 2, 3))
    inputs[4096:] = inputs[4096:] * 5 + 30
    inputs[:, 0] += 40  # positions differ too
    inputs = inputs.astype(np.float32)
    train = np.arange(9001)
    axes = {"per_feature": 0, "per_channel": (0, 1, 2), "min_max": 0}[name]
    exact = inputs.astype(np.float64)
    shift = exact.min(axis=0) if name == "min_max" else exact.mean(axis=axes)
    spread = np.ptp(exact, axis=0) if name == "min_max" else exact.std(axis=axes)
    fitted = fit_standardization(name, inputs, train)
    np.testing.assert_allclose(fitted.shift, np.broadcast_to(shift, (2, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(fitted.scale, np.broadcast_to(1 / spread, (2, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize(("name", "most"), [("per_feature", 320), ("per_channel", 320), ("min_max", 80)])
def test_large_images_take_little_memory(name, most, tmp_path):
    """Of a file of 144 MiB, in float64 1152, a few hundred are in the memory at once: such files are streamed."""
    file = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (192, 512, 512, 3))  # of zeros
    file[7, 3, 2, 1] = 192
    tracemalloc.start()
    try:
        fitted = fit_standardization(name, file, np.arange(192))
        _, taken = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < most * 2**20
    place = fitted.shift[3, 2, 1], fitted.scale[3, 2, 1]
    assert place == pytest.approx(
        {
            "per_feature": (1, 1 / 191**0.5),
            "per_channel": (2**-18, 1 / (192 / 2**18 - 2**-36) ** 0.5),
            "min_max": (0, 1 / 192),
        }[name]
    )


@pytest.mark.parametrize("name", SCALING)
@pytest.mark.parametrize("mean", [1e4, 1e6, 1e7, -3e7])
def test_large_mean_with_small_spread_keeps_digits(name, mean):
    """A mean a million times the spread costs the spread no digits, as it would in a float32 sum of squares."""
    generator = np.random.default_rng(6)
    inputs = (mean + generator.integers(-8, 9, (5000, 2))).astype(np.float32)
    exact = inputs.astype(np.float64)
    fitted = fit_standardization(name, inputs, np.arange(5000))
    spread = np.ptp(exact, axis=0) if name == "min_max" else exact.std(axis=0)
    np.testing.assert_allclose(fitted.scale, 1 / spread, rtol=1e-5)


def test_large_mean_of_images_keeps_digits():
    """Per channel too, where positions differ far more than examples do."""
    generator = np.random.default_rng(7)
    places = generator.integers(-3, 4, (4, 4, 2)) * 1000.0
    inputs = (1e6 + places + generator.integers(-2, 3, (300, 4, 4, 2))).astype(np.float32)
    exact = inputs.astype(np.float64)
    fitted = fit_standardization("per_channel", inputs, np.arange(300))
    np.testing.assert_allclose(fitted.scale[0, 0], 1 / exact.std(axis=(0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("name", SCALING)
@given(constant=st.floats(-(2**100), 2**100, width=32), size=st.integers(1, 50))
@settings(deadline=None)
def test_constant_inputs_become_zero(name, constant, size):
    """A constant input has no spread: it is shifted to 0 and not scaled up, however large it is."""
    inputs = np.full((size, 2, 2, 1), constant, np.float32)
    fitted = fit_standardization(name, inputs, np.arange(size))
    assert ((inputs - fitted.shift) * fitted.scale == 0).all()
    assert (fitted.scale == 1).all()


@pytest.mark.parametrize("name", ["per_feature", "per_channel"])
def test_constant_after_other_values_in_the_table(name):
    """A constant column beside others that vary becomes 0, and they are standardized as without it."""
    inputs = np.random.default_rng(8).normal(size=(1000, 3)).astype(np.float32)
    inputs[:, 1] = 123456.7
    out = applied(name, inputs)
    assert (out[:, 1] == 0).all()
    np.testing.assert_allclose(out[:, [0, 2]].std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("name", SCALING)
@pytest.mark.parametrize("exponent", [-30, -14, -6, 0, 6, 14, 30])
def test_units_do_not_matter(name, exponent):
    """Data in other units, such as picometres, are standardized to the same values."""
    inputs = np.random.default_rng(9).normal(loc=2, size=(500, 3)).astype(np.float32)
    scaled = inputs * np.float32(10.0**exponent)
    np.testing.assert_allclose(applied(name, scaled), applied(name, inputs), atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_unseen_values_stay_finite(name):
    """A value that the training part does not have, in an input that is constant there, gives a moderate number."""
    inputs = np.zeros((100, 2, 2, 1), np.uint8)
    inputs[-1] = 255
    assert np.abs(applied(name, inputs, np.arange(99))).max() <= 255


@pytest.mark.parametrize("name", EVERY)
def test_one_training_example(name):
    """A training part of one example is constant, and gives no error and no infinity."""
    inputs = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    out = applied(name, inputs, [0])
    assert np.isfinite(out).all()
