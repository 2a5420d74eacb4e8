"""All that training changes: the state of the runs of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.arrays import Array, Tensor
from benchmarks.settings.training import TrainConfig
from benchmarks.training.packed_optimizer import PackedOptimizer
from benchmarks.training.packing import PackedValues, Packing


class Slots:
    """The weights of the runs of a stack and all else that their training changes, each with a leading slot axis."""

    def __init__(self, size: int, packing: Packing, train: TrainConfig, generators: int):
        start = packing.pack([np.asarray(variable) for variable in packing.model.variables])
        self._packing = packing
        self.averages = train.weight_average > 0
        """Whether a moving average of the weights is kept, and evaluated."""
        # Keras's optimizers take Keras variables; the rest needs none of what those add.
        self.weights = keras.Variable(np.tile(start.weights, (size, 1)), name="weights")
        self.average = tf.Variable(np.tile(start.weights, (size if self.averages else 0, 1)))
        self.statistics = tf.Variable(np.tile(start.statistics, (size, 1)))
        self.seeds = tf.Variable(np.tile(start.seeds, (size, 1, 1)))
        self.augmentation_seeds = tf.Variable(np.zeros((size, generators, 2), np.int64))
        self.alive = tf.Variable(np.ones(size, bool))
        """Whether the losses were finite so far."""
        self.optimizer = PackedOptimizer(train, packing, self.weights)
        self._best: tuple[Any, Any] | None = None
        """Weights and statistics of each slot's best epoch so far, once there was one."""

    @property
    def evaluated(self) -> Tensor:
        """The variable whose weights are evaluated: (slots, parameters)."""
        return self.average if self.averages else self.weights

    def start(self, values: Sequence[PackedValues], augmentation_seeds: Array) -> None:
        """Begin anew from initial values, slot by slot, and first states of augmentations: (slots, generators, 2)."""
        self.weights.assign(np.stack([each.weights for each in values]))
        if self.averages:
            self.average.assign(self.weights.value)
        self.statistics.assign(np.stack([each.statistics for each in values]))
        self.seeds.assign(np.stack([each.seeds for each in values]))
        self.augmentation_seeds.assign(augmentation_seeds)
        self.alive.assign(np.ones(len(values), bool))
        self.optimizer.start()
        self._best = None

    def values_of(self, slot: int) -> dict[str, Array]:
        """The weights and statistics of one slot as they are evaluated, by the paths of the model's variables."""
        return self._packing.values_by_path(PackedValues(self.evaluated[slot], self.statistics[slot], self.seeds[slot]))

    def keep_best(self, slots: Array) -> None:
        """Remember the weights of some slots as their best so far: mask (slots,)."""
        chosen = tf.constant(slots)[:, tf.newaxis]
        for best, now in zip(self._made_best(), (self.evaluated, self.statistics), strict=True):
            best.assign(tf.where(chosen, now, best))

    def restore_best(self, slots: Array) -> None:
        """Go back to the remembered weights in some slots: mask (slots,)."""
        if self._best is None:
            return
        chosen = tf.constant(slots)[:, tf.newaxis]
        for target, best in zip((self.evaluated, self.statistics), self._best, strict=True):
            target.assign(tf.where(chosen, best, target))

    def state(self) -> dict[str, Array]:
        """All of it, by name, for a checkpoint: (slots, ...), but for what the optimizer has once for all slots."""
        return {name: np.asarray(variable) for name, variable in self._variables().items()}

    def restore(self, state: dict[str, Array]) -> None:
        """Go on from a state that `state` gave."""
        if "best_0" in state:
            self._made_best()
        for name, variable in self._variables().items():
            variable.assign(state[name])

    def state_of(self, slot: int) -> dict[str, Array]:
        """All of one slot, by name and without the slot axis, so that its run can be continued beside others."""
        return {
            name: np.asarray(variable)[slot] if self._is_by_slot(name, variable) else np.asarray(variable)
            for name, variable in self._variables().items()
        }

    def restore_each(self, states: Sequence[dict[str, Array]], leading: int) -> None:
        """Go on from what `state_of` gave, slot by slot, after equally many steps.

        The slot `leading` says what all slots share, such as the optimizer's count of its steps.
        """
        evaluated = "average" if self.averages else "weights"
        stand_ins = {"best_0": evaluated, "best_1": "statistics"}  # of runs for which no epoch was remembered
        if any("best_0" in state for state in states):
            self._made_best()
        for name, variable in self._variables().items():
            if self._is_by_slot(name, variable):
                variable.assign(np.stack([state.get(name, state[stand_ins.get(name, name)]) for state in states]))
            else:
                variable.assign(states[leading][name])

    def _made_best(self) -> tuple[Tensor, Tensor]:
        if self._best is None:
            self._best = (tf.Variable(self.evaluated), tf.Variable(self.statistics))
        return self._best

    def _variables(self) -> dict[str, Any]:
        own = ("weights", "average", "statistics", "seeds", "augmentation_seeds", "alive")
        variables = {name: getattr(self, name) for name in own}
        variables |= {f"optimizer_{index}": each for index, each in enumerate(self.optimizer.variables)}
        best: tuple[Any, ...] = self._best or ()
        return variables | {f"best_{index}": each for index, each in enumerate(best)}

    def _is_by_slot(self, name: str, variable: Any) -> bool:
        """Whether a variable of the state has an entry for each slot, or one for all."""
        if name.startswith("optimizer"):
            return self.optimizer.is_by_slot(variable)
        return name != "average" or self.averages
