"""Random numbers for generated datasets: the same on every machine and in every version of NumPy."""

from __future__ import annotations

import numpy as np

from benchmarks.arrays import Array


class Uniforms:
    """A stream of uniform numbers from the raw bits of PCG64.

    NumPy keeps the bits of its generators for ever, and not what `numpy.random.Generator` makes of them.
    """

    def __init__(self, seed: int):
        self._bits = np.random.PCG64(seed)

    def draw(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Array:
        """Numbers of this shape in [low, high), each with 53 random bits."""
        raw = np.asarray(self._bits.random_raw(int(np.prod(shape))), dtype=np.uint64)
        unit = (raw >> np.uint64(11)) * 2.0**-53
        return low + (high - low) * unit.reshape(shape)

    def whole(self, *shape: int, low: int, high: int) -> Array:
        """Whole numbers of this shape in [low, high)."""
        return np.floor(self.draw(*shape, low=low, high=high)).astype(np.int32)
