"""Row of the table of fidelity."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What is computed here, beside its source's own arithmetic."""

    kind: str
    name: str
    reference: str
    difference: float
    """The largest, as a share of the largest number that was compared."""
