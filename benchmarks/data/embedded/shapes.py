"""Shapes: small colour images of drawn shapes, generated, as a TFDS dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.arrays import Array, Tensor
from benchmarks.data.embedded.builder import Columns, EmbeddedBuilder, fifth_of_each_class
from benchmarks.data.embedded.uniforms import Uniforms

SIZE = 32
NUM_IMAGES = 10_000
_SEED = 20260
_FINE = 4
"""Each pixel of a shape is the mean of this many samples along each side."""
_CHUNK = 250

# Every function below uses only sums, products and comparisons of float32 or whole numbers, which are rounded alike on
# every machine; sines and cosines are rounded to 14 bits before they are used.


def _turns(count: int) -> Iterator[tuple[np.float32, np.float32]]:
    """Unit vectors at equal angles, the first to the right."""
    for angle in np.arange(count) * (2 * np.pi / count):
        x, y = _rounded(np.cos(angle)), _rounded(np.sin(angle))
        yield x, y


def _rounded(values: Any) -> Any:
    return np.float32(np.round(np.asarray(values) * 2**14) / 2**14)


def _disc(u: Tensor, v: Tensor) -> Tensor:
    return u * u + v * v <= np.float32(0.75)


def _ring(u: Tensor, v: Tensor) -> Tensor:
    square = u * u + v * v
    return (square <= np.float32(0.95)) & (square >= np.float32(0.35))


def _square(u: Tensor, v: Tensor) -> Tensor:
    return np.maximum(np.abs(u), np.abs(v)) <= np.float32(0.7)


def _frame(u: Tensor, v: Tensor) -> Tensor:
    largest = np.maximum(np.abs(u), np.abs(v))
    return (largest <= np.float32(0.78)) & (largest >= np.float32(0.46))


def _triangle(u: Tensor, v: Tensor) -> Tensor:
    inside = [x * u + y * v <= np.float32(0.5) for x, y in _turns(3)]
    return inside[0] & inside[1] & inside[2]


def _cross(u: Tensor, v: Tensor) -> Tensor:
    across, along = np.abs(u), np.abs(v)
    return (np.minimum(across, along) <= np.float32(0.26)) & (np.maximum(across, along) <= np.float32(0.95))


def _star(u: Tensor, v: Tensor) -> Tensor:
    # A pentagram is where at least four of its five lines have the centre on the same side.
    sides = [x * u + y * v <= np.float32(0.34) for x, y in _turns(5)]
    return sum(side.astype(np.int8) for side in sides) >= 4


def _crescent(u: Tensor, v: Tensor) -> Tensor:
    moved = u - np.float32(0.5)
    return (u * u + v * v <= np.float32(0.95)) & (moved * moved + v * v >= np.float32(0.68))


def _hourglass(u: Tensor, v: Tensor) -> Tensor:
    across, along = np.abs(v), np.abs(u)
    return (along <= np.float32(0.75)) & (across <= np.float32(0.85) * along)


def _arrow(u: Tensor, v: Tensor) -> Tensor:
    across = np.abs(v)
    head = (u >= np.float32(0.0)) & (across <= np.float32(0.8) - np.float32(0.8) * u)
    return head | ((u <= 0) & (u >= np.float32(-0.95)) & (across <= np.float32(0.22)))


SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "frame": _frame,
    "triangle": _triangle,
    "cross": _cross,
    "star": _star,
    "crescent": _crescent,
    "hourglass": _hourglass,
    "arrow": _arrow,
}
"""Each shape as the set of points (u, v) that it covers; all lie in the unit disc."""


def draw_shapes() -> tuple[Tensor, Tensor]:
    """All images, uint8 (n, 32, 32, 3), and their labels; the classes take turns."""
    labels = np.arange(NUM_IMAGES) % len(SHAPES)
    images = np.empty((NUM_IMAGES, SIZE, SIZE, 3), np.uint8)
    for chunk, start in enumerate(range(0, NUM_IMAGES, _CHUNK)):
        part = slice(start, start + _CHUNK)
        images[part] = _draw(labels[part], Uniforms(_SEED + chunk))
    return images, labels


def _draw(labels: Tensor, uniforms: Uniforms) -> Tensor:
    count = len(labels)
    behind = uniforms.whole(count, 3, low=0, high=256)
    second = np.clip(behind + uniforms.whole(count, 3, low=-70, high=71), 0, 255)
    image = _blend(behind[:, None, None], second[:, None, None], _texture(count, uniforms))
    for _ in range(3):
        colour = uniforms.whole(count, 3, low=0, high=256)
        image = _blend(image, colour[:, None, None], _speck(count, uniforms))
    # Of some colours the one that differs most from both of the background is the shape's.
    colours = uniforms.whole(count, 4, 3, low=0, high=256)
    apart = [np.abs(colours - each[:, None]).sum(axis=2) for each in (behind, second)]
    front = colours[np.arange(count), np.minimum(*apart).argmax(axis=1)]
    image = _blend(image, front[:, None, None], _cover(labels, uniforms))
    noise = uniforms.whole(count, SIZE, SIZE, 3, low=-12, high=13)
    light = uniforms.whole(count, 1, 1, 1, low=-20, high=21)
    return np.clip(image + noise + light, 0, 255).astype(np.uint8)


def _blend(below: Tensor, above: Tensor, share: Tensor) -> Tensor:
    """Colours between `below` (share 0) and `above` (share 256), in whole numbers."""
    return below + (((above - below) * share[..., None] + 128) >> 8)


def _texture(count: int, uniforms: Uniforms) -> Tensor:
    """How much of the second colour the background has, 0 to 256: a gradient, stripes, squares or clouds."""
    angle = uniforms.draw(count, 1, 1, high=2 * np.pi)
    x, y = _places(1)
    along = _rounded(np.cos(angle)) * x + _rounded(np.sin(angle)) * y
    across = _rounded(np.cos(angle)) * y - _rounded(np.sin(angle)) * x
    width = np.float32(uniforms.whole(count, 1, 1, low=24, high=72) / 8)
    even, odd = (np.floor(each / width).astype(np.int32) & 1 for each in (along, across))
    gradient = np.clip(128 + 8 * along, 0, 256).astype(np.int32)
    kinds = np.stack([gradient, 256 * even, 256 * (even ^ odd), _clouds(count, uniforms)])
    return kinds[uniforms.whole(count, low=0, high=4), np.arange(count)]


def _clouds(count: int, uniforms: Uniforms) -> Tensor:
    """Values from 0 to 256 that change slowly: random ones at every eighth pixel, and between them their mean."""
    knots = uniforms.whole(count, 5, 5, low=0, high=257)
    for axis in (1, 2):
        place = np.arange(SIZE)
        share = np.expand_dims(place % 8, -1) if axis == 1 else place % 8
        low, high = knots.take(place // 8, axis), knots.take(place // 8 + 1, axis)
        knots = (low * (8 - share) + high * share + 4) // 8
    return knots


def _speck(count: int, uniforms: Uniforms) -> Tensor:
    """A small disc or bar, somewhere, as shares of 0 to 256."""
    place = (uniforms.whole(count, 2, 1, 1, low=-128, high=129) / 8).astype(np.float32)
    x, y = _places(1)
    x, y = x - place[:, 0], y - place[:, 1]
    angle = uniforms.draw(count, 1, 1, high=2 * np.pi)
    cosine, sine = _rounded(np.cos(angle)), _rounded(np.sin(angle))
    u, v = np.abs(cosine * x + sine * y), np.abs(cosine * y - sine * x)
    size = np.float32(uniforms.whole(count, 1, 1, low=8, high=21) / 8)
    bar = (u <= np.float32(2.5) * size) & (v <= np.float32(0.7))
    disc = u * u + v * v <= size * size
    return np.where(uniforms.whole(count, 1, 1, low=0, high=2) == 1, bar, disc).astype(np.int32) * 256


def _cover(labels: Tensor, uniforms: Uniforms) -> Tensor:
    """How much of each pixel the shape covers, 0 to 256: anywhere, turned, of any size, somewhat narrowed."""
    count = len(labels)
    radius = uniforms.whole(count, 1, 1, low=72, high=113) / 8
    room = SIZE / 2 - radius
    places = [np.float32(np.floor(uniforms.draw(count, 1, 1, low=-1, high=1) * room * 16) / 16) for _ in range(2)]
    angle = uniforms.draw(count, 1, 1, high=2 * np.pi)
    narrow = uniforms.draw(count, 1, 1, low=1.0, high=1.15)
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [_rounded(each / radius) for each in (cosine, sine, -sine * narrow, cosine * narrow)]
    x, y = _places(_FINE)
    x, y = x - places[0], y - places[1]
    covered = np.empty((count, SIZE * _FINE, SIZE * _FINE), bool)
    for label, shape in enumerate(SHAPES.values()):
        mine = np.flatnonzero(labels == label)
        u = rows[0][mine] * x[mine] + rows[1][mine] * y[mine]
        v = rows[2][mine] * x[mine] + rows[3][mine] * y[mine]
        covered[mine] = shape(u, v)
    samples = covered.reshape(count, SIZE, _FINE, SIZE, _FINE).sum(axis=(2, 4), dtype=np.int32)
    return samples * (256 // _FINE**2)


def _places(fine: int) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical place of every sample, in pixels from the centre."""
    along = ((np.arange(SIZE * fine) + 0.5) / fine - SIZE / 2).astype(np.float32)
    return along[None, None, :], along[None, :, None]


class Shapes(EmbeddedBuilder):
    """10,000 colour images of 32x32 pixels, each with one of ten shapes: 8,000 for training, 2,000 for testing.

    Source: drawn by this module from a fixed seed; the same bytes everywhere. A shape has a random place, size, angle,
    width and colour, before a gradient, stripes, squares or clouds, with specks behind it and noise over all. Its
    pixels say next to nothing one by one: a linear model is hardly better than chance. Nine epochs of ResNet-8 (Adam,
    no augmentation) reached 97 % of the test split. Licence: that of this project (Apache-2.0).
    """

    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "Every fifth image of each class is in the test split."}
    SUPERVISED_KEYS = ("image", "label")

    def _features(self) -> dict[str, Any]:
        return {
            "image": tfds.features.Image(shape=(SIZE, SIZE, 3), dtype=np.uint8),
            "label": tfds.features.ClassLabel(names=list(SHAPES)),
        }

    def _examples(self) -> tuple[Columns, Array]:
        images, labels = draw_shapes()
        return {"image": images, "label": labels.tolist()}, fifth_of_each_class(labels)
