"""Arrays as rows: precision, shape, and the bytes in row order, compressed."""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy as np

from benchmarks.arrays import Array
from benchmarks.errors import StoreError


def packed(array: Array) -> dict[str, Any]:
    """The columns of an array."""
    return {
        "dtype": array.dtype.str,
        "shape": list(array.shape),
        "data": zlib.compress(np.ascontiguousarray(array).tobytes()),
    }


def unpacked(row: Any, what: str) -> Array:
    """The array of a row with the columns that `packed` gave; `what` names it where it is damaged.

    Raises:
        StoreError: the row is not what was written.
    """
    try:
        dtype, shape = np.dtype(row.dtype), tuple(row.shape)
        size = dtype.itemsize * math.prod(shape)
        stream = zlib.decompressobj()
        # One byte more than there should be, so that what is too long is seen and never read as a whole.
        data = stream.decompress(row.data, size + 1)
        if len(data) != size or not stream.eof:
            raise ValueError(f"they are not the {size} bytes that they should be")
        return np.frombuffer(data, dtype).reshape(shape)
    except (zlib.error, ValueError, TypeError, OverflowError) as error:
        raise StoreError(f"{what}: {error}") from error
