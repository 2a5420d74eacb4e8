"""Pixel operations that Keras's layers do not offer as their papers have them. All are pure.

Images are float32 (batch, height, width, channels). What is drawn is handed in, one value an image.
"""

from __future__ import annotations

import tensorflow as tf

from benchmarks.arrays import Tensor

_LUMA = (0.299, 0.587, 0.114)
"""ITU-R 601-2, as in the Python Imaging Library."""


def windows(images: Tensor, padding: int, black: Tensor, corners: Tensor, mirrored: Tensor) -> Tensor:
    """Windows of the images' own size out of images with a black border, some of which are mirrored left to right.

    Keras's RandomCrop takes the same window of every image of a batch; He et al. draw one for each. Mirroring by
    the same gather is free, where a reversal and a choice cost more than the windows themselves.

    Args:
        images: (batch, height, width, channels).
        padding: width of the border in pixels.
        black: value of the border.
        corners: (batch, 2), the upper left pixel of each window in the image with its border, mirrored if it is.
        mirrored: (batch,), which images are mirrored.
    """
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    border = [padding, padding]
    padded = tf.pad(images, [[0, 0], border, border, [0, 0]], constant_values=black) if padding else images
    full_height, full_width = height + 2 * padding, width + 2 * padding
    columns = tf.range(width) + corners[:, 1:]
    columns = tf.where(mirrored[:, tf.newaxis], full_width - 1 - columns, columns)
    rows = tf.range(height) + corners[:, :1]
    first = tf.range(batch) * (full_height * full_width)
    places = (first[:, tf.newaxis] + rows * full_width)[:, :, tf.newaxis] + columns[:, tf.newaxis]
    return tf.gather(tf.reshape(padded, [-1, channels]), places)


def rectangles(height: int, width: int, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Which pixels lie in a rectangle, the ends left out and all of it within the image: (batch, height, width, 1)."""
    rows, columns = tf.range(height), tf.range(width)
    in_rows = (rows >= top[:, tf.newaxis]) & (rows < bottom[:, tf.newaxis])
    in_columns = (columns >= left[:, tf.newaxis]) & (columns < right[:, tf.newaxis])
    return (in_rows[:, :, tf.newaxis] & in_columns[:, tf.newaxis])[..., tf.newaxis]


def warp(images: Tensor, a: Tensor, b: Tensor, x: Tensor, c: Tensor, d: Tensor, y: Tensor) -> Tensor:
    """Each pixel from where (a b x; c d y) leads it, about the middle of the image; nearest pixel, black outside."""
    height, width = images.shape[1:3]
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x = x + middle_x - a * middle_x - b * middle_y
    y = y + middle_y - c * middle_x - d * middle_y
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, x, c, d, y, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )


def grey(images: Tensor) -> Tensor:
    """Images without their colours, one channel."""
    return images if images.shape[-1] == 1 else tf.reduce_sum(images * tf.constant(_LUMA), -1, keepdims=True)


def mean_grey(images: Tensor) -> Tensor:
    """The mean of an image without its colours: (batch, 1, 1, 1)."""
    return tf.reduce_mean(grey(images), [1, 2, 3], keepdims=True)


def smooth(images: Tensor) -> Tensor:
    """Every pixel replaced by a mean with its neighbours, in which it counts five times; the border stays."""
    inner = images[:, 1:-1, 1:-1]
    mean = tf.nn.avg_pool2d(images, 3, 1, "VALID")
    return images + tf.pad((9 * mean + 4 * inner) / 13 - inner, [[0, 0], [1, 1], [1, 1], [0, 0]])


def auto_contrast(images: Tensor, top: float) -> Tensor:
    """Each channel of each image stretched over the range 0 to `top`; constant channels stay."""
    low = tf.reduce_min(images, [1, 2], keepdims=True)
    span = tf.reduce_max(images, [1, 2], keepdims=True) - low
    return tf.where(span > 0, tf.math.divide_no_nan(images - low, span) * top, images)


def equalize(images: Tensor) -> Tensor:
    """Each channel of each image with its levels spread evenly, as the Python Imaging Library does it; 0 to 255."""
    batch, (height, width, channels) = tf.shape(images)[0], images.shape[1:]
    pixels = height * width
    levels = tf.cast(tf.clip_by_value(images, 0, 255), tf.int32)
    levels = tf.reshape(tf.transpose(levels, [0, 3, 1, 2]), [-1, pixels])
    # One histogram a channel of an image: its levels are moved into a range of their own.
    places = levels + 256 * tf.range(batch * channels)[:, tf.newaxis]
    counts = tf.math.unsorted_segment_sum(
        tf.ones_like(tf.reshape(places, [-1])), tf.reshape(places, [-1]), batch * channels * 256
    )
    brightest = tf.gather(counts, tf.reduce_max(places, axis=1))
    step = ((pixels - brightest) // 255)[:, tf.newaxis]
    below = tf.cumsum(tf.reshape(counts, [-1, 256]), axis=1, exclusive=True)
    spread = tf.minimum((below + step // 2) // tf.maximum(step, 1), 255)
    table = tf.where(step > 0, spread, tf.range(256))
    found = tf.reshape(tf.gather(tf.reshape(table, [-1]), places), [batch, channels, height, width])
    return tf.cast(tf.transpose(found, [0, 2, 3, 1]), images.dtype)
