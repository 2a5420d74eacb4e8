"""Named models: a table row each, with the paper and the published number of parameters."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from zoo.config import InputShape, MLPConfig, ModelConfig, ResNetConfig
from zoo.settings import SettingError, unknown


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    config: ModelConfig
    summary: str
    input_shape: InputShape
    """Shape of an example in the publication; the model can be built for others."""
    num_classes: int
    source: str
    published_parameters: str | None = None
    """The number of trainable parameters as the source prints it; None where it prints none."""


_RESNET_PAPER = "He et al. 2016, Deep Residual Learning for Image Recognition, section 4.2"
_CIFAR = (32, 32, 3)

VARIANTS: dict[str, Variant] = {
    "linear": Variant(
        MLPConfig(depth=0, initializer="glorot_uniform"),
        "one linear layer: multinomial logistic regression",
        (28, 28, 1),
        10,
        "LeCun et al. 1998, Gradient-Based Learning, section III.C.1",
        "7,850",
    ),
    "mlp_small": Variant(
        MLPConfig(depth=2, width=64),
        "two hidden layers of 64 units: trains in a second on small data",
        (8, 8, 1),
        10,
        "this project",
    ),
    "mlp_512": Variant(
        MLPConfig(depth=2, width=512, dropout=0.2, initializer="glorot_uniform"),
        "two hidden layers of 512 units with dropout 0.2",
        (28, 28, 1),
        10,
        "Keras example mnist_mlp",
        "669,706",
    ),
    "resnet8": Variant(
        ResNetConfig(depth=8), "residual network of 8 layers, for quick studies", _CIFAR, 10, _RESNET_PAPER
    ),
    "resnet20": Variant(ResNetConfig(depth=20), "residual network of 20 layers", _CIFAR, 10, _RESNET_PAPER, "0.27 M"),
    "plain20": Variant(
        ResNetConfig(depth=20, skip_connections=False),
        "resnet20 without its skip connections",
        _CIFAR,
        10,
        _RESNET_PAPER,
        "0.27 M",
    ),
}
"""Every name that `model_config` and `create_model` accept."""


def list_models(pattern: str = "*") -> list[str]:
    """Names of the variants that match a shell pattern such as `resnet*`, in the table's order."""
    return [name for name in VARIANTS if fnmatch.fnmatchcase(name, pattern)]


def model_config(name: str, **settings: Any) -> ModelConfig:
    """The frozen config of a variant, with some of its settings replaced.

    Raises:
        SettingError: (a ValueError) no variant has this name, or a setting cannot be used; it names the nearest match.
    """
    if name not in VARIANTS:
        raise SettingError([unknown("variant", "model", name, VARIANTS)])
    return VARIANTS[name].config.changed(**settings)
