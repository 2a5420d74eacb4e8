"""What a run gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["done", "diverged", "failed"]

METRICS: dict[str, str] = {
    "test_accuracy": "share of test examples classified right, after the last epoch",
    "test_loss": "mean cross-entropy (NLL, in nats) of the test examples, after the last epoch",
    "val_accuracy": "share of validation examples classified right, after the last epoch",
    "val_loss": "mean cross-entropy of the validation examples, after the last epoch",
    "train_loss": "mean cross-entropy of the batches of the last epoch, dropout on",
}
"""The metrics of a finished run: one number each."""


@dataclass(frozen=True)
class RunResult:
    """The outcome of one run."""

    status: Status
    metrics: dict[str, float] = field(default_factory=dict)
    """Empty unless the status is "done"."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """One value an epoch; a diverged run has the epochs before it diverged."""
    parameters: int | None = None
    seconds: float = 0.0
    """Training and evaluation, the tracing of the program left out; runs of a stack share its time evenly."""
    message: str | None = None
    """Why a run failed, or where it diverged."""
    traceback: str | None = None
