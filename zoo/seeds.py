"""Seeds that are handed over: one seed, many independent named streams."""

from __future__ import annotations

import hashlib


def child_seed(seed: int, *names: str | int) -> int:
    """The seed of a named child stream: a whole number in [0, 2**31).

    The same seed and names give the same child on every machine, and children of different names are unrelated.
    It fits in 31 bits because Keras's initializers take a signed 32-bit seed.

    Args:
        seed: the parent, a whole number of at least 0.
        names: the path of the stream, such as `("weights", "hidden_1_dense")`.
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1
