"""Augmentation does what the papers say, with randomness that is handed in and out."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from benchmarks.augmentation.augmenter import Augmenter, value_range_of
from benchmarks.augmentation.rand_augment import OPERATIONS, apply_operation
from benchmarks.augmentation.sheet import write_sheet
from benchmarks.errors import DatasetError
from benchmarks.settings.augmentation import AUGMENTATIONS, AugmentConfig
from zoo.settings import SettingError

STRENGTHS = {
    "flip": True,
    "crop_padding": 2,
    "translate": 0.2,
    "rotate": 20.0,
    "scale": 0.3,
    "contrast": 0.5,
    "brightness": 0.3,
    "color_jitter": 0.5,
    "rand_augment": 7.0,
    "cutout": 3,
    "gaussian_noise": 0.1,
    "mixup": 0.5,
    "cutmix": 1.0,
}
SHAPE = (9, 8, 3)
BATCH = 12
MANY = 3000
LEAST_P_VALUE = 0.001
"""The seeds are fixed: a test of a distribution fails for ever or never."""


@pytest.fixture(scope="module")
def batch():
    """Random images of whole levels and one-hot labels, a class an image."""
    images = np.random.default_rng(5).integers(0, 256, (BATCH, *SHAPE)).astype(np.float32)
    return images, np.eye(BATCH, dtype=np.float32)


def augmenter_of(shape=SHAPE, value_range=(0.0, 255.0), **strengths):
    return Augmenter(AugmentConfig(**strengths), shape, value_range)


def apply(augmenter, inputs, targets=None, seed=0, erased=None):
    """Augment once from the first states of a seed; arrays in, arrays out."""
    seeds = tf.constant(augmenter.initial_seeds(seed))
    targets = None if targets is None else tf.constant(targets)
    inputs, targets, _ = augmenter.apply(tf.constant(inputs), targets, seeds, erased)
    return inputs.numpy(), None if targets is None else targets.numpy()


def augmented(inputs, targets=None, seed=0, erased=None, **strengths):
    return apply(augmenter_of(inputs.shape[1:], **strengths), inputs, targets, seed, erased)


def is_uniform(values, low, high):
    return scipy.stats.kstest(values, "uniform", (low, high - low)).pvalue > LEAST_P_VALUE


def ramps(count, side):
    """Images whose two channels hold each pixel's place about the middle: x and y."""
    places = np.arange(side) - (side - 1) / 2
    y, x = np.meshgrid(places, places, indexing="ij")
    return np.tile(np.stack([x, y], -1).astype(np.float32), (count, 1, 1, 1))


def test_every_augmentation_is_tested():
    """The table of this file has a strength for each augmentation there is."""
    assert tuple(STRENGTHS) == AUGMENTATIONS


def test_off_is_the_identity(batch):
    """By default nothing is on, and inputs, targets and states come back as they went in."""
    config = AugmentConfig()
    augmenter = Augmenter(config, SHAPE)
    assert not config.is_on
    assert not config.mixes_labels
    assert augmenter.initial_seeds(0).shape == (0, 2)
    assert augmenter.initial_seeds(0).dtype == np.int64
    images, targets = apply(augmenter, *batch)
    np.testing.assert_array_equal(images, batch[0])
    np.testing.assert_array_equal(targets, batch[1])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_draws_follow_from_the_seeds_alone(batch, name):
    """The same states give the same batch bit for bit, saved states go on as the others would, other seeds differ."""
    augmenter = augmenter_of(**{name: STRENGTHS[name]})
    assert augmenter.config.is_on
    assert augmenter.config.mixes_labels == (name in ("mixup", "cutmix"))
    inputs, targets = (tf.constant(part) for part in batch)
    before = random.getstate()
    first = augmenter.apply(inputs, targets, tf.constant(augmenter.initial_seeds(3)))
    second = augmenter.apply(inputs, targets, first[2])
    assert random.getstate() == before
    again = augmenter_of(**{name: STRENGTHS[name]})
    tf.nest.map_structure(
        np.testing.assert_array_equal, again.apply(inputs, targets, tf.constant(augmenter.initial_seeds(3))), first
    )
    restored = tf.constant(np.array(first[2]))
    tf.nest.map_structure(np.testing.assert_array_equal, again.apply(inputs, targets, restored), second)
    other = augmenter.apply(inputs, targets, tf.constant(augmenter.initial_seeds(4)))
    for changed in (first, second, other):
        assert changed[0].dtype == tf.float32
        assert changed[0].shape == inputs.shape
        assert changed[1].dtype == tf.float32
        assert changed[1].shape == targets.shape
        assert changed[2].dtype == tf.int64
        assert changed[2].shape == (1, 2)
        assert np.any(changed[0] != inputs)
    assert np.any(first[0] != second[0])
    assert np.any(first[0] != other[0])
    assert np.any(first[2] != second[2])


def test_each_augmentation_draws_as_if_it_were_alone(batch):
    """All at once give what each gives by itself, one after another in the order of the table."""
    together = apply(augmenter_of(**STRENGTHS), *batch, seed=2)
    one_by_one = batch
    for name, strength in STRENGTHS.items():
        one_by_one = apply(augmenter_of(**{name: strength}), *one_by_one, seed=2)
    np.testing.assert_array_equal(together[0], one_by_one[0])
    np.testing.assert_array_equal(together[1], one_by_one[1])


@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "gaussian_noise"])
@pytest.mark.parametrize("value_range", [(0.0, 255.0), (-1.0, 3.0)])
def test_values_stay_in_their_range(batch, name, value_range):
    """No value leaves the range of the stored ones, wherever it lies; black is its lower end."""
    low, high = value_range
    images = low + batch[0] * ((high - low) / 255)
    changed, _ = apply(augmenter_of(SHAPE, value_range, **{name: STRENGTHS[name]}), images, batch[1])
    room = 1e-5 * (high - low)
    assert changed.min() >= low - room
    assert changed.max() <= high + room


@pytest.mark.parametrize("name", ["contrast", "brightness", "color_jitter", "rand_augment", "cutout", "rotate"])
def test_a_range_is_only_a_unit(batch, name):
    """Images that are stored in other units are changed to the same images in these units."""
    usual, _ = augmented(batch[0], **{name: STRENGTHS[name]})
    units = (batch[0] / 255) * 4 - 1
    other, _ = apply(augmenter_of(SHAPE, (-1.0, 3.0), **{name: STRENGTHS[name]}), units)
    # What depends on whole levels may be off by one of them where the conversion rounds.
    assert np.mean(np.abs((other + 1) * (255 / 4) - usual) > 0.01) < 0.02


@pytest.mark.parametrize(("flip", "padding"), [(True, 0), (False, 2), (True, 2)])
def test_windows_are_the_possible_ones_each_as_often(flip, padding):
    """Every output is one of the windows that numpy finds, mirrored or not, and all of them are as likely."""
    image = np.arange(1, 25, dtype=np.float32).reshape(4, 3, 2)
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    corners = [(row, column) for row in range(2 * padding + 1) for column in range(2 * padding + 1)]
    possible = {}
    for mirrored in (False, True) if flip else (False,):
        for row, column in corners:
            window = padded[row : row + 4, column : column + 3]
            possible[(window[:, ::-1] if mirrored else window).tobytes()] = 0
    assert len(possible) == len(corners) * (1 + flip)
    changed, _ = augmented(np.tile(image, (MANY, 1, 1, 1)), flip=flip, crop_padding=padding)
    for window in changed:
        possible[window.tobytes()] += 1  # a KeyError: no such window
    assert scipy.stats.chisquare(list(possible.values())).pvalue > LEAST_P_VALUE


def test_images_of_a_batch_are_not_mixed_up_by_windows(batch):
    """Mirroring and cropping take each window from its own image."""
    changed, _ = augmented(batch[0], flip=True, crop_padding=1)
    for image, result in zip(batch[0], changed, strict=True):
        padded = np.pad(image, [(1, 1), (1, 1), (0, 0)])
        windows = [padded[row : row + 9, column : column + 8] for row in range(3) for column in range(3)]
        assert any(np.array_equal(result, each) or np.array_equal(result, each[:, ::-1]) for each in windows)


def test_translation_shifts_as_scipy_does():
    """A translated image is the image shifted by linear interpolation; the shifts are uniform up to the strength."""
    side, count = 20, 600
    ramp = ramps(count, side)
    noise = np.random.default_rng(0).uniform(0, 255, (count, side, side, 1)).astype(np.float32)
    changed, _ = augmented(np.concatenate([ramp, noise], -1), translate=0.25)
    middle = slice(8, 12)
    shifts = (ramp - changed[..., :2])[:, middle, middle]
    assert np.ptp(shifts, axis=(1, 2)).max() < 1e-4
    across, down = shifts[:, 0, 0].T
    assert is_uniform(across, -5, 5)
    assert is_uniform(down, -5, 5)
    assert abs(np.corrcoef(across, down)[0, 1]) < 0.1
    for place in range(5):
        expected = scipy.ndimage.shift(
            noise[place, ..., 0], (down[place], across[place]), order=1, mode="grid-constant", cval=0
        )
        np.testing.assert_allclose(changed[place, ..., 2], expected, atol=0.02)


def test_rotation_turns_about_the_middle():
    """A rotated image is turned as a whole about its middle, by angles uniform up to the strength to both sides."""
    ramp = ramps(MANY // 3, 9)
    changed, _ = augmented(ramp, rotate=40.0)
    step = changed[:, 4, 5] - changed[:, 4, 4]  # where one pixel to the right leads in the original
    angle = np.degrees(np.arctan2(step[:, 1], step[:, 0]))
    np.testing.assert_allclose(np.hypot(*step.T), 1, atol=1e-4)
    np.testing.assert_allclose(changed[:, 4, 4], 0, atol=1e-4)
    down = changed[:, 5, 4] - changed[:, 4, 4]
    np.testing.assert_allclose(down, np.stack([-step[:, 1], step[:, 0]], -1), atol=1e-4)
    assert is_uniform(angle, -40, 40)


def test_scaling_keeps_middle_and_proportions():
    """The window shrinks or grows alike on both axes about the middle, by shares uniform up to the strength."""
    changed, _ = augmented(ramps(MANY // 3, 9), scale=0.4)
    across = changed[:, 4, 5] - changed[:, 4, 4]
    down = changed[:, 5, 4] - changed[:, 4, 4]
    np.testing.assert_allclose(changed[:, 4, 4], 0, atol=1e-4)
    np.testing.assert_allclose(across[:, 0], down[:, 1], atol=1e-4)
    np.testing.assert_allclose([across[:, 1], down[:, 0]], 0, atol=1e-4)
    assert is_uniform(across[:, 0], 0.6, 1.4)


def test_contrast_multiplies_the_distances_from_the_mean():
    """Around each channel's mean all pixels of an image are multiplied by one factor, uniform about 1."""
    image = np.random.default_rng(1).uniform(100, 150, (5, 5, 3)).astype(np.float32)
    changed, _ = augmented(np.tile(image, (MANY, 1, 1, 1)), contrast=0.6)
    mean = image.mean(axis=(0, 1))
    factors = (changed - mean)[:, 0, 0, 0] / (image - mean)[0, 0, 0]
    np.testing.assert_allclose(changed, mean + factors[:, None, None, None] * (image - mean), atol=1e-2)
    assert is_uniform(factors, 0.4, 1.6)


def test_brightness_adds_one_number():
    """All pixels of an image are shifted by one number, uniform about 0, in shares of the value range."""
    images = np.full((MANY, 2, 2, 3), 127.5, np.float32)
    changed, _ = augmented(images, brightness=0.4)
    assert np.ptp(changed, axis=(1, 2, 3)).max() == 0
    assert is_uniform(changed[:, 0, 0, 0] / 255 - 0.5, -0.4, 0.4)


def test_color_jitter_multiplies_brightness_and_colours():
    """In an image of one colour the grey level is multiplied by a uniform factor, the colour by three of them."""
    colour = np.array([60, 90, 70], np.float32)
    changed, _ = augmented(np.tile(colour, (MANY, 4, 4, 1)), color_jitter=0.5)
    luma = np.array([0.299, 0.587, 0.114])
    brightness = (changed @ luma)[:, 0, 0] / (colour @ luma)
    assert is_uniform(brightness, 0.5, 1.5)
    strength = (changed[:, 0, 0, 1] - changed[:, 0, 0, 0]) / 30
    draws = np.random.default_rng(0).uniform(0.5, 1.5, (MANY, 3)).prod(axis=1)
    assert scipy.stats.ks_2samp(strength, draws).pvalue > LEAST_P_VALUE


def test_color_jitter_has_every_order_as_often():
    """Where growing contrast is clipped it shows whether the image was darkened before or after: each half the time."""
    levels = np.array([10, 130, 250], np.float32)
    changed, _ = augmented(np.tile(levels[:, None, None], (MANY, 1, 1, 3)), color_jitter=0.9)
    assert np.ptp(changed, axis=3).max() < 1e-3
    dark, middle, bright = changed[:, :, 0, 0].T
    darkened = middle / 130
    # The middle level is the mean, which contrast keeps. Contrast that takes 10 to 0 takes 250 beyond 255.
    clipped = (dark < 1e-3) & (darkened < 0.9) & (darkened > 0.1)
    contrast_first = np.abs(bright - 255 * darkened) < 0.05
    assert clipped.sum() > 300
    assert scipy.stats.binomtest(int((clipped & contrast_first).sum()), int(clipped.sum())).pvalue > LEAST_P_VALUE


PIL_OPERATIONS = {
    "identity": lambda image, _share: image,
    "auto_contrast": lambda image, _share: ImageOps.autocontrast(image),
    "equalize": lambda image, _share: ImageOps.equalize(image),
    "rotate": lambda image, share: image.rotate(share * 30),
    "solarize": lambda image, share: ImageOps.solarize(image, 256 * (1 - abs(share))),
    "color": lambda image, share: ImageEnhance.Color(image).enhance(1 + share * 0.9),
    "posterize": lambda image, share: ImageOps.posterize(image, 8 - round(4 * abs(share))),
    "contrast": lambda image, share: ImageEnhance.Contrast(image).enhance(1 + share * 0.9),
    "brightness": lambda image, share: ImageEnhance.Brightness(image).enhance(1 + share * 0.9),
    "sharpness": lambda image, share: ImageEnhance.Sharpness(image).enhance(1 + share * 0.9),
    "shear_x": lambda image, share: warped(image, (1, share * 0.3, 0, 0, 1, 0)),
    "shear_y": lambda image, share: warped(image, (1, 0, 0, share * 0.3, 1, 0)),
    "translate_x": lambda image, share: warped(image, (1, 0, round(share * 150 / 331 * 48), 0, 1, 0)),
    "translate_y": lambda image, share: warped(image, (1, 0, 0, 0, 1, round(share * 150 / 331 * 40))),
}
"""What the authors call for each operation, with the largest strengths of AutoAugment, for images of 48x40 pixels."""


def warped(image, coefficients):
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.NEAREST)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_rand_augment_has_the_operations_of_the_imaging_library(name, channels):
    """Each operation, at several strengths in both directions, gives what the Python Imaging Library gives."""
    noise = np.random.default_rng(2).normal(0, 1, (40, 48, channels))
    smooth = scipy.ndimage.gaussian_filter(noise, (2, 2, 0))
    pixels = np.clip(120 + 400 * smooth, 20, 235).astype(np.uint8)
    place = OPERATIONS.index(name)
    for magnitude in (2.0, 5.0, 10.0):
        for sign in (-1, 1):
            image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            expected = np.asarray(PIL_OPERATIONS[name](image, sign * magnitude / 10), np.float32).reshape(pixels.shape)
            images = tf.constant(pixels[None], tf.float32)
            found = apply_operation(images, tf.constant([place]), tf.constant([float(sign)]), magnitude)[0].numpy()
            # PIL rounds to whole levels, means as well, and warps in fixed-point numbers.
            assert np.mean(np.abs(found - expected) > 1.6) < 0.02, (magnitude, sign)


def test_rand_augment_chooses_for_each_image_alone():
    """Operations are drawn image by image, each as likely: outcomes that are known have their shares."""
    image = np.random.default_rng(0).integers(30, 220, (12, 12, 1)).astype(np.float32)
    once, twice = (
        augmented(np.tile(image, (MANY, 1, 1, 1)), rand_augment=10.0, rand_augment_operations=operations)[0]
        for operations in (1, 2)
    )
    kept, kept_twice, inverted = (
        int(np.all(changed == expected, axis=(1, 2, 3)).sum())
        for changed, expected in ((once, image), (twice, image), (once, 255 - image))
    )
    # Identity leaves it as it is; so does colour if it is grey, and equalizing if it has fewer than 255 pixels.
    assert scipy.stats.binomtest(kept, MANY, 3 / 14).pvalue > LEAST_P_VALUE
    assert scipy.stats.binomtest(inverted, MANY, 1 / 14).pvalue > LEAST_P_VALUE
    # Two of these three, or two inversions.
    assert scipy.stats.binomtest(kept_twice, MANY, (9 + 1) / 14**2).pvalue > LEAST_P_VALUE


@pytest.mark.parametrize("side", [4, 5])
def test_cutout_erases_a_square_about_any_pixel(side):
    """The square has its side, is cut off at the edges, has its middle on every pixel as often, and takes the fill."""
    height, width = 11, 9
    changed, _ = augmented(np.full((MANY, height, width, 3), 7, np.float32), cutout=side, erased=np.array([1, 2, 3.0]))
    erased = changed[..., 0] != 7
    np.testing.assert_array_equal(changed[erased], np.tile(np.array([1, 2, 3], np.float32), (erased.sum(), 1)))
    for axis, size in ((2, height), (1, width)):
        lines = erased.any(axis=axis)
        first, count = lines.argmax(axis=1), lines.sum(axis=1)
        middle = np.where(first > 0, first, count - side) + side // 2
        assert (count == np.minimum(middle - side // 2 + side, size) - np.maximum(middle - side // 2, 0)).all()
        seen = np.bincount(middle, minlength=size)
        assert len(seen) == size
        assert scipy.stats.chisquare(seen).pvalue > LEAST_P_VALUE
        assert (erased.sum(axis=(1, 2)) % count == 0).all()


def test_cutout_is_black_unless_told(batch):
    """Without a fill the square has the lowest value."""
    changed, _ = apply(augmenter_of(SHAPE, (-2.0, 255.0), cutout=3), batch[0])
    assert set(np.unique(changed[changed != batch[0]])) == {-2.0}


@pytest.mark.parametrize("alpha", [0.1, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(3,), (2, 2, 1)])
def test_mixup_mixes_labels_as_it_mixes_inputs(alpha, shape):
    """Inputs and labels have the same shares, which sum to 1, and the shares are Beta(alpha, alpha)."""
    count = 400
    values = np.arange(count, dtype=np.float32)
    inputs = np.broadcast_to(values.reshape(-1, *[1] * len(shape)), (count, *shape)).copy()
    shares = []
    for seed in range(3):
        changed, targets = augmented(inputs, np.eye(count, dtype=np.float32), seed, mixup=alpha)
        np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
        assert targets.min() >= 0
        assert (np.count_nonzero(targets, axis=1) <= 2).all()
        expected = np.broadcast_to((targets @ values).reshape(-1, *[1] * len(shape)), changed.shape)
        np.testing.assert_allclose(changed, expected, rtol=1e-4, atol=1e-3)
        shares.append(np.diagonal(targets)[np.count_nonzero(targets, axis=1) == 2])
    # Ends of the distribution that single precision holds as 0 and 1 cannot be told from partners that are the image.
    assert len(np.concatenate(shares)) > 3 * count * (0.3 if alpha == 0.1 else 0.95)
    inner = np.concatenate(shares)
    low, high = 1e-3, 1 - 1e-3
    law = scipy.stats.beta(alpha, alpha)
    inner = inner[(inner > low) & (inner < high)]
    inner = (law.cdf(inner) - law.cdf(low)) / (law.cdf(high) - law.cdf(low))
    assert is_uniform(inner, 0, 1)


def test_mixup_at_a_tiny_alpha_takes_one_end():
    """The shares of a small alpha lie at 0 and 1, evenly, and not at one half where gamma variates underflow."""
    count = 600
    _, targets = augmented(np.zeros((count, 1), np.float32), np.eye(count, dtype=np.float32), mixup=0.02)
    own = np.diagonal(targets)
    law = scipy.stats.beta(0.02, 0.02)
    for low, high in ((-1, 0.1), (0.1, 0.9), (0.9, 2)):
        seen = int(((own >= low) & (own < high)).sum())
        assert scipy.stats.binomtest(seen, count, law.cdf(high) - law.cdf(low)).pvalue > LEAST_P_VALUE


def paper_shares(alpha, height, width, count, rng):
    """The shares of the first image after `rand_bbox` of the authors of CutMix, with numpy's generator."""
    cut = np.sqrt(1 - rng.beta(alpha, alpha, count))
    cut_w, cut_h = (width * cut).astype(int), (height * cut).astype(int)
    x, y = rng.integers(width, size=count), rng.integers(height, size=count)
    across = np.clip(x + cut_w // 2, 0, width) - np.clip(x - cut_w // 2, 0, width)
    down = np.clip(y + cut_h // 2, 0, height) - np.clip(y - cut_h // 2, 0, height)
    return 1 - across * down / (height * width)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_cutmix_mixes_labels_by_the_pixels(alpha):
    """A label has exactly the share of its image's pixels, they form a rectangle, and shares are the authors' ones."""
    count, height, width = 1000, 16, 12
    values = np.arange(count, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (count, height, width, 3)).copy()
    changed, targets = augmented(images, np.eye(count, dtype=np.float32), cutmix=alpha)
    pasted = changed[..., 0] != values[:, None, None]
    own = 1 - pasted.mean(axis=(1, 2))
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.diagonal(targets), own, atol=1e-6)
    partner = np.where(pasted.any(axis=(1, 2)), (changed[..., 0] * pasted).max(axis=(1, 2)), values).astype(int)
    assert (changed[..., 0][pasted] == np.repeat(partner, pasted.sum(axis=(1, 2)))).all()
    np.testing.assert_allclose(targets[np.arange(count), partner], np.where(partner == values, 1, 1 - own), atol=1e-6)
    np.testing.assert_array_equal(pasted.any(axis=1).sum(axis=1) * pasted.any(axis=2).sum(axis=1), pasted.sum((1, 2)))
    expected = paper_shares(alpha, height, width, 20_000, np.random.default_rng(0))
    assert scipy.stats.ks_2samp(own, expected).pvalue > LEAST_P_VALUE


def test_noise_has_its_deviation():
    """The noise of images is normal, with a deviation in shares of the value range."""
    images = np.full((30, 10, 10, 3), 100, np.float32)
    changed, _ = augmented(images, gaussian_noise=0.2)
    assert scipy.stats.kstest((changed - images).ravel(), "norm", (0, 0.2 * 255)).pvalue > LEAST_P_VALUE


def test_noise_of_vectors_is_measured_by_each_feature():
    """Every feature has noise by its own range, and one without a range has none."""
    stored = np.array([[0, 5, -1], [10, 5, 1]], np.float32)
    augmenter = augmenter_of((3,), value_range_of(stored), gaussian_noise=0.1)
    changed, _ = apply(augmenter, np.zeros((MANY, 3), np.float32))
    np.testing.assert_allclose(changed.std(axis=0), [1.0, 0, 0.2], rtol=0.05)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([[[[3]]], [[[200]]]], np.uint8), (0.0, 255.0)),
        (np.array([[[[0]]], [[[16]]]], np.uint8), (0.0, 16.0)),
        (np.array([[[[-3]]], [[[7]]]], np.float32), (-3.0, 7.0)),
    ],
)
def test_range_of_images_is_one_pair(stored, expected):
    """Bytes have the range of a byte unless they leave most of it unused; other images the range that is found."""
    assert value_range_of(stored) == expected


def test_mixing_needs_targets(batch):
    """Where labels are to be mixed, leaving them out is an error."""
    with pytest.raises(ValueError, match="give the targets"):
        apply(augmenter_of(mixup=1.0), batch[0])


def test_graphs_and_stacks_give_the_same(batch):
    """Inside tf.function, over slots and inside tf.vectorized_map the results are those of a plain call."""
    augmenter = augmenter_of(**STRENGTHS, rand_augment_operations=1)
    inputs = tf.constant(np.stack([batch[0], batch[0][::-1]]))
    targets = tf.constant(np.stack([batch[1], batch[1]]))
    seeds = tf.constant(np.stack([augmenter.initial_seeds(0), augmenter.initial_seeds(1)]))
    erased = tf.constant(np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32))
    plain = [augmenter.apply(*(part[slot] for part in (inputs, targets, seeds, erased))) for slot in range(2)]
    expected = [np.stack(part) for part in zip(*plain, strict=True)]
    stacked = tf.function(augmenter.apply_to_slots)(inputs, targets, seeds, erased)
    vectorized = tf.function(lambda *slots: tf.vectorized_map(lambda slot: augmenter.apply(*slot), slots))(
        inputs, targets, seeds, erased
    )
    for found in (stacked, vectorized):
        # XLA is not used; still, a compiled graph may contract two operations to one.
        np.testing.assert_allclose(found[0], expected[0], atol=0.01)
        np.testing.assert_allclose(found[1], expected[1], atol=1e-6)
        np.testing.assert_array_equal(found[2], expected[2])
    no_targets = augmenter_of(flip=True).apply_to_slots(inputs, None, seeds[:, :1])
    assert no_targets[1] is None
    assert no_targets[0].shape == inputs.shape


@pytest.mark.parametrize(
    ("settings", "task", "shape", "problem"),
    [
        ({"flip": True}, "classification", (30,), ("flip", "needs images", "true on examples of shape (30,)")),
        ({"cutout": 4}, "classification", (30,), ("cutout", "needs images", "4 on examples of shape (30,)")),
        ({"cutmix": 1.0}, "binary", (30,), ("cutmix", "needs images", "1.0 on examples of shape (30,)")),
        ({"mixup": 0.2}, "regression", (8,), ("mixup", "mixes the labels of classes", "0.2 on a regression")),
        ({"cutmix": 1.0}, "regression", (8, 8, 1), ("cutmix", "the labels of classes", "1.0 on a regression")),
        ({"color_jitter": 0.5}, "classification", (8, 8, 1), ("color_jitter", "needs colours", "0.5 on images with 1")),
        ({"rand_augment": 5.0}, "classification", (8, 8, 4), ("rand_augment", "red, green", "5.0 on images with 4")),
        ({"rand_augment": 5.0}, "classification", (2, 8, 3), ("rand_augment", "sharpness", "5.0 on images of 2x8")),
        ({"crop_padding": 8}, "classification", (8, 9, 3), ("crop_padding", "nothing of the image", "8 on images of")),
        ({"cutout": 9}, "classification", (8, 9, 3), ("cutout", "larger than the image", "9 on images of 8x9 pixels")),
    ],
)
def test_misfits_are_refused(settings, task, shape, problem):
    """What does not fit the data is refused, naming the setting, what was given and what is allowed."""
    with pytest.raises(SettingError) as caught:
        AugmentConfig(**settings).check_data(task, shape)
    (found,) = caught.value.problems
    name, message, given = problem
    assert found.path == f"augment.{name}"
    assert message in found.message
    assert found.given.startswith(given)
    assert found.allowed


@pytest.mark.parametrize(
    ("settings", "task", "shape"),
    [
        (STRENGTHS, "classification", SHAPE),
        ({}, "regression", (4,)),
        ({"mixup": 1.0, "gaussian_noise": 0.1}, "binary", (4,)),
        ({"gaussian_noise": 0.1, "flip": True}, "regression", (4, 4, 2)),
        ({"crop_padding": 7, "cutout": 8, "rand_augment": 1.0}, "classification", (8, 9, 1)),
    ],
)
def test_what_fits_is_allowed(settings, task, shape):
    """Settings at the edge of what fits are taken."""
    AugmentConfig(**settings).check_data(task, shape)


def test_all_misfits_are_told_at_once():
    """Every setting that does not fit has a problem of its own."""
    with pytest.raises(SettingError) as caught:
        AugmentConfig(flip=True, mixup=0.2, gaussian_noise=0.1).check_data("regression", (3,))
    assert [problem.path for problem in caught.value.problems] == ["augment.flip", "augment.mixup"]


def test_operations_without_a_magnitude_are_refused():
    """A number of random operations without their strength would have no effect."""
    with pytest.raises(SettingError, match=r"no effect with rand_augment = 0\.0"):
        AugmentConfig(rand_augment_operations=3)


def test_a_sheet_is_a_picture_of_its_size(digits, tmp_path):
    """A sheet is a PNG with a tile for each row and column, the same for the same seed, another for another."""
    config = AugmentConfig(crop_padding=2, cutmix=1.0)
    pictures = {}
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        write_sheet(tmp_path / f"{name}.png", digits, config, seed, rows=2, columns=3)
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.format == "PNG"
            pictures[name] = np.asarray(picture)
    assert pictures["first"].shape[0] < pictures["first"].shape[1]
    np.testing.assert_array_equal(pictures["first"], pictures["again"])
    assert np.any(pictures["first"] != pictures["other"])


def test_a_sheet_refuses_what_cannot_be_shown(digits, tmp_path):
    """Vectors have no picture, and augmentations that do not fit are refused as everywhere."""
    train = dataclasses.replace(digits.train, inputs=digits.train.inputs.reshape(len(digits.train), -1))
    with pytest.raises(DatasetError, match="no images to show"):
        write_sheet(tmp_path / "sheet.png", dataclasses.replace(digits, train=train), AugmentConfig(), 0)
    with pytest.raises(SettingError, match=r"augment\.color_jitter"):
        write_sheet(tmp_path / "sheet.png", digits, AugmentConfig(color_jitter=0.5), 0)
