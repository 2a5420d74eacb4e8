"""What is to be learned from a dataset."""

from __future__ import annotations

from typing import Literal

Task = Literal["classification", "binary", "regression"]
"""One of three or more classes, labelled by whole numbers from 0; one of two, labelled 0 and 1; or a number, float32.

A dataset's own features tell which it is.
"""
