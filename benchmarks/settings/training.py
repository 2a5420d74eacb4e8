"""The settings of training."""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from pydantic import model_validator

from benchmarks.arrays import Array
from benchmarks.settings.optimizers import MOMENTUM_FORMS, OPTIMIZERS, WEIGHT_DECAY_FORMS, with_coefficient
from benchmarks.settings.schedules import ON_PLATEAU, SCHEDULES
from zoo.settings import ListAsTuple, OneOf, Problem, Settings, as_written, found_problems, setting

REVISION = 3
"""Raised whenever the same settings come to give other results, so that results of the old meaning are not reused."""

LOSSES: dict[str, str] = {
    "cross_entropy": "minus the log of the right class's probability: of a softmax, or of a sigmoid for two classes",
    "squared": "the squared difference, of targets with mean 0 and deviation 1 in the training part",
    "huber": "the same up to huber_delta, linear beyond it (Huber 1964)",
}
"""Every name that `train.loss` accepts beside "by_task"."""

_LOSS_CHOICES = {"by_task": "cross_entropy for classes, squared for numbers"} | LOSSES

CLASS_WEIGHTS: dict[str, str] = {
    "none": "every example counts the same",
    "balanced": "every class counts the same: an example counts n / (classes x examples of its class) "
    "(King & Zeng 2001, section 4.1)",
}

CHECKPOINTS: dict[str, str] = {
    "last": "the weights after the last step",
    "best_val": "the weights after the epoch with the best monitored value",
}

MONITORS: dict[str, str] = {
    "val_loss": "the loss on the validation part; less is better",
    "val_accuracy": "the accuracy on the validation part; more is better",
}

_BUDGETS = ("epochs", "steps", "images")
DEFAULT_EPOCHS = 30


def _coefficient(explanation: str, name: str, **declared: Any) -> Any:
    owners = with_coefficient(name)
    only_with = None if len(owners) == len(OPTIMIZERS) else {"optimizer": owners}
    return setting(None, f"{explanation}; by default the optimizer's own.", only_with=only_with, **declared)


class TrainConfig(Settings):
    """How a model is trained.

    An epoch is every training example once, in an order drawn anew; the examples left over by the last full batch sit
    that epoch out. The length of the training is given by one of epochs, steps and images.
    """

    epochs: int = setting(DEFAULT_EPOCHS, "Passes over the training examples; 0 where steps or images are given.", ge=0)
    steps: int = setting(0, "Steps of the optimizer, in place of epochs.", ge=0)
    images: int = setting(0, "Training examples seen, in place of epochs; rounded up to whole batches.", ge=0)
    stop_after: int = setting(
        0,
        "Epochs after which the training ends, in the midst of a schedule that is still made for all of `epochs`; "
        "0: none.",
        ge=0,
        shapes_program=False,
    )
    batch_size: int = setting(64, "Examples in each step.", ge=1)

    optimizer: Annotated[str, OneOf("optimizer", OPTIMIZERS)] = setting("adam", "How gradients become steps.")
    learning_rate: float | None = _coefficient(
        "Size of a step, where the schedule's factor is 1",
        "learning_rate",
        gt=0,
        allow_inf_nan=False,
        shapes_program=False,
    )
    momentum: float | None = _coefficient("Share of the last step that is kept", "momentum", ge=0, lt=1)
    momentum_form: Annotated[str, OneOf("form of momentum", MOMENTUM_FORMS)] = setting(
        "rate_inside",
        "How momentum, rate and gradient come together.",
        only_with={"optimizer": tuple(name for name, row in OPTIMIZERS.items() if row.has_momentum_forms)},
    )
    beta_1: float | None = _coefficient("Decay of the moving mean of gradients", "beta_1", ge=0, lt=1)
    beta_2: float | None = _coefficient("Decay of the moving mean of squared gradients", "beta_2", ge=0, lt=1)
    squared_decay: float | None = _coefficient(
        "Decay of the moving mean of squared gradients", "squared_decay", ge=0, lt=1
    )
    optimizer_epsilon: float | None = _coefficient("Added where the optimizer divides", "optimizer_epsilon", gt=0, le=1)
    weight_decay: float = setting(
        0.0,
        "Pull of every step on each weight towards zero; biases and gains are spared.",
        ge=0,
        le=1000,
        shapes_program=False,
    )
    weight_decay_form: Annotated[str, OneOf("form of weight decay", WEIGHT_DECAY_FORMS)] = setting(
        "decoupled", "What weight_decay is a share of.", not_with={"weight_decay": 0.0}
    )
    clip_norm: float = setting(
        0.0,
        "Longest gradient of all weights together; longer ones are shortened (Pascanu et al. 2013); 0: none.",
        ge=0,
        allow_inf_nan=False,
    )
    clip_value: float = setting(
        0.0, "Largest element of the gradient; larger ones are cut off; 0: none.", ge=0, allow_inf_nan=False
    )
    weight_average: float = setting(
        0.0,
        "Share of the old value that a moving average of all weights keeps at each step; it is what is evaluated "
        "(Polyak & Juditsky 1992); 0: none.",
        ge=0,
        lt=1,
    )

    schedule: Annotated[str, OneOf("schedule", SCHEDULES)] = setting(
        "constant", "How the learning rate goes over the training.", shapes_program=False
    )
    decay_at: Annotated[tuple[float, ...], ListAsTuple] = setting(
        (0.5, 0.75),
        "Shares of the training after which the learning rate falls.",
        shapes_program=False,
        only_with={"schedule": ("step",)},
    )
    decay_factor: float = setting(
        0.1, "What it is multiplied with then.", gt=0, lt=1, shapes_program=False, only_with={"schedule": ("step",)}
    )
    final_factor: float = setting(
        0.01,
        "Share of the learning rate that is left at the end.",
        gt=0,
        le=1,
        shapes_program=False,
        only_with={"schedule": ("exponential",)},
    )
    warmup_fraction: float = setting(
        0.1,
        "Share of the training in which the learning rate rises.",
        ge=0,
        lt=1,
        shapes_program=False,
        only_with={"schedule": ("warmup_cosine", "one_cycle")},
    )
    plateau_patience: int = setting(
        5,
        "Epochs without improvement before the learning rate falls.",
        ge=1,
        shapes_program=False,
        only_with={"schedule": (ON_PLATEAU,)},
    )
    plateau_factor: float = setting(
        0.1,
        "What it is multiplied with then; 0.1 as He et al. 2016, section 3.4.",
        gt=0,
        lt=1,
        shapes_program=False,
        only_with={"schedule": (ON_PLATEAU,)},
    )

    loss: Annotated[str, OneOf("loss", _LOSS_CHOICES)] = setting("by_task", "What is made small.")
    huber_delta: float = setting(
        1.0,
        "Where the Huber loss becomes linear, in deviations of the target.",
        gt=0,
        allow_inf_nan=False,
        only_with={"loss": ("huber",)},
    )
    label_smoothing: float = setting(
        0.0, "Share of the target that is spread over all classes (Szegedy et al. 2016, section 7).", ge=0, lt=1
    )
    class_weights: Annotated[str, OneOf("class weights", CLASS_WEIGHTS)] = setting(
        "none", "What the examples of each class count in the loss."
    )

    checkpoint: Annotated[str, OneOf("checkpoint rule", CHECKPOINTS)] = setting(
        "last", "Which weights are evaluated at the end.", shapes_program=False
    )
    early_stopping_patience: int = setting(
        0,
        "Epochs without improvement after which the training ends; 0: never (Prechelt 1998).",
        ge=0,
        shapes_program=False,
        only_with={"checkpoint": ("best_val",)},
    )
    monitor: Annotated[str, OneOf("monitored value", MONITORS)] = setting(
        "val_loss", f"What best_val, early stopping and {ON_PLATEAU} look at.", shapes_program=False
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_default_epochs(cls, values: Any) -> Any:
        if isinstance(values, dict) and "epochs" not in values and (values.get("steps") or values.get("images")):
            return values | {"epochs": 0}
        return values

    @model_validator(mode="after")
    def _check_budget(self) -> Self:
        given = [name for name in _BUDGETS if getattr(self, name)]
        if len(given) != 1:
            message = "the training needs one length" if not given else "the training has one length"
            written = ", ".join(f"{name} = {getattr(self, name)}" for name in _BUDGETS)
            problem = Problem(given[-1] if given else "epochs", message, written, f"one of {', '.join(_BUDGETS)}")
            raise found_problems([problem])
        if self.stop_after and self.stop_after >= self.epochs:
            message = "the training ends by itself before that" if self.epochs else "the training is not in epochs"
            allowed = f"less than epochs = {self.epochs}" if self.epochs else "only with epochs"
            raise found_problems([Problem("stop_after", message, str(self.stop_after), allowed)])
        return self

    @model_validator(mode="after")
    def _check_patience(self) -> Self:
        patience = {"early_stopping_patience": self.early_stopping_patience}
        if self.schedule == ON_PLATEAU:
            patience["plateau_patience"] = self.plateau_patience
        # The first epoch is the best so far, and after the last one nothing is left to be changed.
        most = self.epochs - 2
        for name, epochs in patience.items():
            if self.epochs and epochs > max(most, 0):
                message = f"no effect: a training of epochs = {self.epochs} is over before that"
                allowed = f"at most {most}, or more epochs" if most > 0 else "only with more epochs"
                raise found_problems([Problem(name, message, str(epochs), allowed)])
        return self

    @model_validator(mode="after")
    def _check_decay(self) -> Self:
        shares = self.decay_at
        if not shares or list(shares) != sorted(set(shares)) or not 0 < shares[0] <= shares[-1] < 1:
            allowed = "rising shares between 0 and 1, such as [0.5, 0.75]"
            raise found_problems([Problem("decay_at", "not a list of shares", as_written(shares), allowed)])
        return self

    @model_validator(mode="after")
    def _check_weight_decay(self) -> Self:
        if self.optimizer == "adamw" and self.weight_decay == 0:
            message = "adamw without weight decay is adam"
            raise found_problems([Problem("weight_decay", message, "0", "more than 0, or optimizer = adam")])
        unfit = {
            "adamw": ("adamw is adam with the other form", "decoupled, or optimizer = adam"),
            "sgd": ("no effect: for plain sgd both forms are the same", "decoupled, or an optimizer with momentum"),
        }
        if self.optimizer in unfit and self.weight_decay_form == "coupled":
            message, allowed = unfit[self.optimizer]
            raise found_problems([Problem("weight_decay_form", message, "coupled", allowed)])
        return self

    @model_validator(mode="after")
    def _check_monitor(self) -> Self:
        if self.monitor != "val_loss" and not self.needs_validation:
            allowed = f"only with checkpoint = best_val or schedule = {ON_PLATEAU}"
            raise found_problems([Problem("monitor", "no effect: nothing looks at it", self.monitor, allowed)])
        return self

    def differing_from_default(self) -> dict[str, Any]:
        """The settings whose value is not their default; a coefficient that is the optimizer's own is not told."""
        return self._told(super().differing_from_default())

    def shaping_program(self) -> dict[str, Any]:
        """The settings that shape the compiled computation, likewise."""
        return self._told(super().shaping_program())

    def without_own_coefficients(self) -> Self:
        """The same training, with no coefficient given that is the optimizer's own."""
        own = OPTIMIZERS[self.optimizer].coefficients
        given = {name: None for name, each in own.items() if getattr(self, name) == each.value}
        return self.changed(**given) if given else self

    def _told(self, values: dict[str, Any]) -> dict[str, Any]:
        own = {name: each.value for name, each in OPTIMIZERS[self.optimizer].coefficients.items()}
        return {name: value for name, value in values.items() if name not in own or value not in (None, own[name])}

    def coefficients(self) -> dict[str, float]:
        """Setting -> value of every coefficient of the optimizer, its rate included, whether it was given or not."""
        own = OPTIMIZERS[self.optimizer].coefficients
        return {name: each.value if getattr(self, name) is None else getattr(self, name) for name, each in own.items()}

    @property
    def needs_validation(self) -> bool:
        """Whether something looks at the validation part while the run is trained."""
        return self.checkpoint == "best_val" or self.schedule == ON_PLATEAU

    def loss_for(self, task: str) -> str:
        """The loss that is meant for data of this task."""
        if self.loss == "by_task":
            return "squared" if task == "regression" else "cross_entropy"
        return self.loss

    def total_steps(self, steps_per_epoch: int) -> int:
        """Steps of the whole training, where one pass over the training part is so many full batches."""
        if self.steps:
            return self.steps
        if self.images:
            return -(-self.images // self.batch_size)
        return self.epochs * steps_per_epoch


def schedule_factors(config: TrainConfig, first_step: int, steps: int, total_steps: int) -> Array:
    """The factors of so many steps, `first_step` others of the training lying behind: (steps,) float32."""
    schedule, step = SCHEDULES[config.schedule], first_step + np.arange(steps)
    settings = (getattr(config, name) for name in schedule.reads)
    return schedule.factor(step, total_steps, *settings).astype(np.float32)
