"""Seeds for the parts of a search."""

from __future__ import annotations

import hashlib


def seed_for(seed: int, *purpose: str | int) -> int:
    """A seed from 1 to 2**31 for one purpose: the same everywhere, unrelated to other seeds and purposes."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:4], "big") // 2 + 1
