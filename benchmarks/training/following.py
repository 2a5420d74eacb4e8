"""What is known of one run while it is trained: its history, whether it improves, and whether it is over."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.arrays import Array
from benchmarks.settings.schedules import ON_PLATEAU
from benchmarks.settings.training import TrainConfig


@dataclass
class Following:
    """Follows one run from epoch to epoch; plain values, so that it can be written down and taken up again."""

    config: TrainConfig
    history: dict[str, list[float]] = field(default_factory=dict)
    divergence: str | None = None
    stopped_after: int | None = None
    """The epoch after which early stopping ended the run."""
    best: float = math.inf
    """Best monitored value so far, made such that less is better."""
    best_epoch: int = 0
    waited: int = 0
    """Epochs since the learning rate fell or the monitored value improved."""
    rate_factor: float = 1.0
    """What plateaus have left of the learning rate."""

    @property
    def is_over(self) -> bool:
        """Whether nothing that is still trained can change the run's result."""
        return self.divergence is not None or self.stopped_after is not None

    def first_not_finite(self, step_losses: Array) -> int | None:
        """Index of the first step whose loss is not finite."""
        finite = np.isfinite(step_losses)
        return None if finite.all() else int(np.argmin(finite))

    def add_epoch(self, epoch: int, values: dict[str, float]) -> bool:
        """Take in an epoch's values; whether it is the best so far by the monitored value."""
        if self.is_over:
            return False
        for name, value in values.items():
            if not math.isfinite(value):
                self.divergence = f"{name} was not finite after epoch {epoch}"
                return False
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        return self.config.needs_validation and self._look(epoch, values[self.config.monitor])

    def _look(self, epoch: int, monitored: float) -> bool:
        score = -monitored if self.config.monitor == "val_accuracy" else monitored
        improved = score < self.best
        if improved:
            self.best, self.best_epoch = score, epoch
        self.waited = 0 if improved else self.waited + 1
        if self.config.schedule == ON_PLATEAU and self.waited >= self.config.plateau_patience:
            self.rate_factor *= self.config.plateau_factor
            self.waited = 0
        patience = self.config.early_stopping_patience
        if patience and epoch - self.best_epoch >= patience:
            self.stopped_after = epoch
        return improved

    def as_json(self) -> dict[str, Any]:
        """All but the config, in plain values."""
        return {name: value for name, value in vars(self).items() if name != "config"}

    @classmethod
    def from_json(cls, config: TrainConfig, values: dict[str, Any]) -> Following:
        """What `as_json` wrote down."""
        return cls(config, **values)
