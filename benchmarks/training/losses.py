"""Losses, of one run's batch: what training makes small."""

from __future__ import annotations

import tensorflow as tf

from benchmarks.arrays import Tensor
from benchmarks.settings.training import TrainConfig
from benchmarks.tasks import Task


class Loss:
    """The loss that a run's settings ask for on data of some task.

    With `soft_targets` targets come as shares of classes and not as labels, as mixing examples makes them.
    """

    def __init__(self, config: TrainConfig, task: Task, num_classes: int, *, soft_targets: bool):
        self.name = config.loss_for(task)
        self.config = config
        self.task = task
        self.num_classes = num_classes
        self.soft_targets = soft_targets

    def targets(self, labels: Tensor) -> Tensor:
        """What the outputs are held against, from the dataset's labels of shape (...).

        Shares of classes (..., classes), labels (...) as they are, or one number each (..., 1), by loss and task.
        """
        if self.task == "classification" and (self.soft_targets or self.config.label_smoothing):
            return tf.one_hot(labels, self.num_classes)
        if self.task == "classification":
            return labels
        return tf.cast(labels, tf.float32)[..., tf.newaxis]

    def mean(self, outputs: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
        """The loss of a batch: outputs (batch, units), targets as `targets` gives them, weights (classes,)."""
        losses = self._each(outputs, targets)
        if self.config.class_weights != "none":
            losses *= self._weights(targets, class_weights)
        return tf.reduce_mean(losses)

    def _each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.name == "squared":
            return tf.square(outputs - targets)[:, 0]
        if self.name == "huber":
            delta = self.config.huber_delta
            error = tf.abs(outputs - targets)[:, 0]
            return tf.where(error <= delta, tf.square(error) / 2, delta * (error - delta / 2))
        smoothing = self.config.label_smoothing
        if self.task == "binary":
            targets = targets * (1 - smoothing) + smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs)[:, 0]
        if targets.dtype.is_integer:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)
        targets = targets * (1 - smoothing) + smoothing / self.num_classes
        return tf.nn.softmax_cross_entropy_with_logits(targets, outputs)

    def _weights(self, targets: Tensor, class_weights: Tensor) -> Tensor:
        if self.task == "binary":
            second = targets[:, 0]
            return class_weights[0] * (1 - second) + class_weights[1] * second
        if targets.dtype.is_integer:
            return tf.gather(class_weights, targets)
        return tf.linalg.matvec(targets, class_weights)
