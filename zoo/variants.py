"""Named models: a table row each, with the paper, the size, and the size that was published."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any

from zoo.config import InputShape, ModelConfig
from zoo.families import HIDDEN_DROPOUT, INPUT_DROPOUT, LeNetConfig, MLPConfig, ResNetConfig
from zoo.settings import Problem, SettingError, as_written, unknown


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    config: ModelConfig
    summary: str
    input_shape: InputShape
    """Shape of an example in the publication; the model can be built for others."""
    num_classes: int
    source: str
    parameters: int
    """Trainable parameters at that shape and number of classes."""
    macs: int
    """Multiply-adds of the weight layers for one example of that shape."""
    published: str | None = None
    """What the source prints of its size; None where it prints nothing."""


# Shape of an example and number of classes.
_DIGITS, _MNIST, _CIFAR, _IMAGENET = ((8, 8, 1), 10), ((28, 28, 1), 10), ((32, 32, 3), 10), ((224, 224, 3), 1000)
_RESNET = "He et al. 2016, Deep Residual Learning for Image Recognition"
_PREACT = "He et al. 2016, Identity Mappings in Deep Residual Networks"
_WRN = "Zagoruyko & Komodakis 2016, Wide Residual Networks"
_SE = "Hu, Shen & Sun 2018, Squeeze-and-Excitation Networks"
_HERE = "this project"

_PERCEPTRONS = {
    "linear": Variant(
        MLPConfig(depth=0, initializer="glorot_uniform"),
        "one linear layer: multinomial logistic regression",
        *_MNIST,
        "LeCun et al. 1998, Gradient-Based Learning, section III.C.1",
        7_850,
        7_840,
        "7,850 parameters",
    ),
    "mlp_small": Variant(
        MLPConfig(depth=2, width=64), "two hidden layers of 64: a second on small data", *_DIGITS, _HERE, 8_970, 8_832
    ),
    "mlp_512": Variant(
        MLPConfig(depth=2, width=512, dropout=0.2, initializer="glorot_uniform"),
        "two hidden layers of 512 units with dropout 0.2",
        *_MNIST,
        "Keras example mnist_mlp",
        669_706,
        668_672,
        "669,706 parameters",
    ),
    "mlp_pyramid": Variant(
        MLPConfig(depth=3, width=512, width_profile="pyramid"),
        "hidden layers of 512, 256, 128",
        *_MNIST,
        _HERE,
        567_434,
        566_528,
    ),
    "mlp_deep": Variant(
        MLPConfig(depth=20, width=128),
        "20 hidden layers of 128: gradients vanish or explode",
        *_MNIST,
        _HERE,
        415_498,
        412_928,
    ),
    "mlp_residual": Variant(
        MLPConfig(depth=20, width=128, skip_connections="identity", normalization="batch"),
        "mlp_deep with skip connections and batch normalization",
        *_MNIST,
        f"{_RESNET}, section 3.2",
        418_058,
        412_928,
    ),
    "mlp_dropout": Variant(
        MLPConfig(
            depth=2,
            width=800,
            activation="sigmoid",
            initializer="small_normal",
            input_dropout=INPUT_DROPOUT,
            dropout=HIDDEN_DROPOUT,
            max_norm=15**0.5,
        ),
        "two hidden layers of 800 with dropout on inputs and hidden units and a limit on the norm",
        *_MNIST,
        "Hinton et al. 2012, Improving neural networks by preventing co-adaptation, appendix A",
        1_276_810,
        1_275_200,
    ),
    "lenet5": Variant(
        LeNetConfig(),
        "the convolutional network of 1998, with its partial connections and learned subsampling",
        (32, 32, 1),
        10,
        "LeCun et al. 1998, Gradient-Based Learning, section II.B",
        60_850,
        328_096,
        "60,000 parameters, of which none in the output layer",
    ),
}

# Depth: parameters, multiply-adds, published parameters.
_SMALL_RESIDUAL = {
    8: (75_290, 12_239_488, None),
    20: (269_722, 40_551_040, "0.27 M parameters"),
    32: (464_154, 68_862_592, "0.46 M parameters"),
    44: (658_586, 97_174_144, "0.66 M parameters"),
    56: (853_018, 125_485_696, "0.85 M parameters"),
    110: (1_727_962, 252_887_680, "1.7 M parameters"),
    1202: (19_421_274, 2_829_238_912, "19.4 M parameters"),
}


_Size = tuple[int, int, str | None]


def _small(config: ResNetConfig, summary: str, source: str, size: _Size) -> Variant:
    return Variant(config, summary, *(*_CIFAR, source, *size))


def _large(config: ResNetConfig, summary: str, source: str, size: _Size) -> Variant:
    return Variant(config, summary, *(*_IMAGENET, source, *size))


_PLAIN = {
    f"plain{depth}": _small(
        ResNetConfig(depth=depth, skip_connections="none"),
        f"resnet{depth} without its skip connections",
        f"{_RESNET}, section 4.2",
        size,
    )
    for depth, size in _SMALL_RESIDUAL.items()
    if depth in (20, 32, 44, 56, 110)
}

_RESIDUAL = {
    f"resnet{depth}": _small(
        ResNetConfig(depth=depth), f"residual network of {depth} layers", f"{_RESNET}, section 4.2", size
    )
    for depth, size in _SMALL_RESIDUAL.items()
}

_PRE_ACTIVATION = {
    f"preact_resnet{depth}": _small(
        ResNetConfig(depth=depth, block_order="pre_activation"),
        f"pre-activation residual network of {depth} layers",
        f"{_PREACT}, section 4",
        (parameters, macs, published if depth == 110 else None),
    )
    for depth, (parameters, macs, published) in _SMALL_RESIDUAL.items()
} | {
    f"preact_resnet{depth}": _small(
        ResNetConfig(depth=depth, block="bottleneck", block_order="pre_activation", skip_connections="projection"),
        f"pre-activation residual network of {depth} layers, bottleneck blocks",
        f"{_PREACT}, section 4 and appendix",
        size,
    )
    for depth, size in {
        164: (1_703_258, 244_500_992, "1.7 M parameters"),
        1001: (10_327_706, 1_487_849_984, "10.2 M parameters"),
    }.items()
}

_WIDE = {
    f"wrn_{depth}_{factor}": _small(
        # The paper's depth counts all convolutions, with those of the three projections and without the head.
        ResNetConfig(
            depth=depth - 2, widening_factor=factor, block_order="pre_activation", skip_connections="projection"
        ),
        f"wide residual network, {factor} times as wide, with {depth} convolutions, those of the shortcuts included",
        f"{_WRN}, table 4",
        size,
    )
    for (depth, factor), size in {
        (16, 4): (2_748_890, 392_612_352, "2.7 M parameters"),
        (28, 10): (36_479_194, 5_243_328_768, "36.5 M parameters"),
        (40, 4): (8_949_210, 1_298_582_016, "8.9 M parameters"),
    }.items()
}


def _imagenet(depth: int, **settings: Any) -> ResNetConfig:
    block = "basic" if depth < 50 else "bottleneck"
    return ResNetConfig(
        depth=depth, stages=4, block=block, width=64, stem="imagenet", skip_connections="projection", **settings
    )


_LARGE = {
    f"resnet{depth}": _large(
        _imagenet(depth), f"residual network of {depth} layers for ImageNet", f"{_RESNET}, table 1", size
    )
    for depth, size in {
        18: (11_689_512, 1_814_073_344, "1.8 G multiply-adds"),
        34: (21_797_672, 3_663_761_408, "3.6 G multiply-adds"),
        50: (25_557_032, 3_857_973_248, "3.8 G multiply-adds"),
        101: (44_549_160, 7_570_194_432, "7.6 G multiply-adds"),
        152: (60_192_808, 11_282_415_616, "11.3 G multiply-adds"),
    }.items()
}

_LARGE_V2 = {
    f"resnet{depth}_v2": _large(
        _imagenet(
            depth,
            block_order="pre_activation",
            downsampling_block="last",
            strided_convolution="3x3",
            stem_padding="zeros",
        ),
        f"pre-activation residual network of {depth} layers for ImageNet, as keras.applications has it; as TF-Slim has "
        'it with stem_padding = "same"',
        _PREACT,
        size,
    )
    for depth, size in {
        50: (25_549_352, 3_482_255_360, None),
        101: (44_541_480, 7_194_476_544, None),
        152: (60_185_128, 10_906_697_728, None),
    }.items()
}

_SQUEEZE_EXCITATION = {
    "se_resnet20": _small(
        ResNetConfig(depth=20, squeeze_excitation=16),
        "resnet20 with squeeze-and-excitation",
        _SE,
        (272_095, 40_553_056, None),
    ),
    "se_resnet50": _large(
        _imagenet(50, squeeze_excitation=16),
        "resnet50 with squeeze-and-excitation",
        f"{_SE}, table 2",
        (28_088_024, 3_860_488_192, "3.87 G multiply-adds"),
    ),
}

VARIANTS: dict[str, Variant] = (
    _PERCEPTRONS | _PLAIN | _RESIDUAL | _PRE_ACTIVATION | _WIDE | _LARGE | _LARGE_V2 | _SQUEEZE_EXCITATION
)
"""Every name that `model_config` and `create_model` accept."""


def list_models(pattern: str = "*") -> list[str]:
    """Names of the variants that match a shell pattern such as `resnet*`, in the table's order.

    Raises:
        SettingError: the pattern is no text.
    """
    if not isinstance(pattern, str):
        raise SettingError([Problem("pattern", "wrong type", as_written(pattern), "text, such as resnet*")])
    return [name for name in VARIANTS if fnmatch.fnmatchcase(name, pattern)]


def model_config(name: str, /, **settings: Any) -> ModelConfig:
    """The frozen config of a variant, with some of its settings replaced.

    Raises:
        SettingError: (a ValueError) no variant has this name, or a setting cannot be used; it names the nearest match.
    """
    if not isinstance(name, str) or name not in VARIANTS:
        raise SettingError([unknown("variant", "model", name, VARIANTS)])
    return VARIANTS[name].config.changed(**settings)
