"""Networks beside forward passes in NumPy and keras.applications, in double precision; and their sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import zoo
from tools.fidelity.keras_applications import NETWORKS, theirs_and_ours
from tools.fidelity.net_references import LeNet, Perceptron, ResidualNetwork
from tools.fidelity.table import Row
from zoo.build import count_parameters
from zoo.variants import VARIANTS

SIDE = 64
"""Height and width of the images for ImageNet here: the same layers as at 224, in a tenth of the time."""

PARAMETERS: dict[str, tuple[int, str]] = {
    "linear": (7_850, "LeCun et al. 1998, section III.C.1; (784 + 1) 10"),
    "mlp_512": (669_706, "Keras example mnist_mlp"),
    "mlp_small": (8_970, "by hand: (64 + 1) 64 + (64 + 1) 64 + (64 + 1) 10"),
    "lenet5": (60_850, "LeCun et al. 1998, section II.B: 60,000, and a linear layer of 84 to 10"),
    "resnet20": (269_722, "akamaster/pytorch_resnet_cifar10"),
    "plain20": (269_722, "akamaster/pytorch_resnet_cifar10, without what has no parameters"),
    "resnet18": (11_689_512, "torchvision"),
    "resnet34": (21_797_672, "torchvision"),
    "resnet50": (25_557_032, "torchvision"),
    "resnet101": (44_549_160, "torchvision"),
    "resnet152": (60_192_808, "torchvision"),
    "resnet50_v2": (25_549_352, "timm"),
    "resnet101_v2": (44_541_480, "timm"),
    "resnet152_v2": (60_185_128, "timm"),
    "se_resnet50": (28_088_024, "pytorchcv, seresnet50"),
    "preact_resnet164": (1_703_258, "pytorchcv, preresnet164bn_cifar10"),
    "preact_resnet1001": (10_327_706, "pytorchcv, preresnet1001_cifar10"),
    "wrn_16_4": (2_748_890, "pytorchcv, wrn16_4_cifar10"),
    "wrn_28_10": (36_479_194, "pytorchcv, wrn28_10_cifar10"),
    "wrn_40_4": (8_949_210, "pytorchcv, wrn40_4_cifar10"),
}
"""Variant -> the exact number of parameters that independent code or a paper has, and which."""


def rows(names: list[str] | None = None) -> Iterator[Row]:
    """Rows of all variants, or of some: outputs, parameters, and outputs beside keras.applications."""
    for name in names or list(VARIANTS):
        found, expected, parameters = outputs_of(name)
        yield Row("net", name, f"{VARIANTS[name].source}, in NumPy", relative_difference(found, expected))
        yield from _sizes(name, parameters)
    for name in names or NETWORKS:
        if name in NETWORKS:
            reference = f"keras.applications.{NETWORKS[name]}"
            yield Row("net", name, reference, relative_difference(*_outputs_of_both(name)))


def outputs_of(name: str) -> tuple[Any, Any, int]:
    """Outputs of a variant with arbitrary weights, those of the reference, and its parameters."""
    row = VARIANTS[name]
    shape = (SIDE, SIDE, 3) if row.input_shape == (224, 224, 3) else row.input_shape
    with _DoublePrecision():
        model = zoo.build_model(row.config, shape, row.num_classes, seed=0)
        _fill(model)
        images = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
        found = np.asarray(model(images, training=False), "float64")
    return found, _reference(model, row.config).logits(images), count_parameters(model)


def relative_difference(found: Any, expected: Any) -> float:
    """The largest difference, as a share of the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def printed(text: str) -> tuple[float, float, str]:
    """What a paper prints, "0.27 M parameters": the number, its last decimal's unit, and what it counts."""
    match = re.match(r"([\d,]+(?:\.(\d+))?)(?: ([MG]))? (parameters|multiply-adds)", text)
    assert match, text
    unit = {None: 1, "M": 1e6, "G": 1e9}[match[3]]
    return float(match[1].replace(",", "")) * unit, unit / 10 ** len(match[2] or ""), match[4]


def _sizes(name: str, parameters: int) -> Iterator[Row]:
    row = VARIANTS[name]
    if name in PARAMETERS:
        known, source = PARAMETERS[name]
        yield Row("parameters of", name, f"{known:,}: {source}", abs(parameters - known) / known)
    if row.published:
        figure, _, what = printed(row.published)
        count = parameters if what == "parameters" else row.macs
        yield Row("printed size of", name, f"{row.published}: {row.source}", abs(count - figure) / figure)


def _reference(model: Any, config: Any) -> Any:
    if config.family == "resnet":
        return ResidualNetwork(model, config, config.layout)
    return {"mlp": Perceptron, "lenet": LeNet}[config.family](model, config)


def _outputs_of_both(name: str) -> tuple[Any, Any]:
    with _DoublePrecision():
        theirs, ours = theirs_and_ours(name, SIDE)
        images = np.random.default_rng(2).normal(size=(2, SIDE, SIDE, 3)).astype("float32")
        return np.asarray(ours(images), "float64"), np.asarray(theirs(images), "float64")


def _fill(model: Any) -> None:
    """Give every variable an arbitrary value, with which signals neither vanish nor explode through 1,000 layers."""
    generator = np.random.default_rng(0)
    for variable in model.variables:
        kind, shape = variable.path.rsplit("/", 1)[-1], tuple(variable.shape)
        if "kernel" in kind:
            variable.assign(generator.normal(scale=1 / np.sqrt(np.prod(shape[:-1])), size=shape))
        elif kind in ("bias", "beta", "moving_mean"):
            variable.assign(generator.normal(scale=0.3, size=shape))
        elif kind in ("gamma", "moving_variance"):
            variable.assign(generator.uniform(0.3, 0.7, size=shape) if kind == "gamma" else np.ones(shape))


class _DoublePrecision:
    """Builds and computes in double precision while it is entered."""

    def __enter__(self) -> None:
        self.kept = keras.config.dtype_policy(), keras.config.floatx()
        keras.config.set_floatx("float64")
        keras.config.set_dtype_policy("float64")

    def __exit__(self, *_: object) -> None:
        policy, floatx = self.kept
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)
