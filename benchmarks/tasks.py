"""What is to be learned from a dataset."""

from __future__ import annotations

from typing import Literal

Task = Literal["classification", "binary", "regression"]

TASKS: dict[Task, str] = {
    "classification": "one of three or more classes; labels are whole numbers from 0",
    "binary": "one of two classes; labels are 0 and 1",
    "regression": "a number; labels are float32",
}
"""Every task, and its labels. A dataset's own features tell which it is."""
