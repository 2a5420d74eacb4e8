"""The layers that a config asks for, made by name; every builder takes its parts from here."""

from __future__ import annotations

import math
from typing import Any

import keras

from zoo import custom
from zoo.activations import ACTIVATIONS
from zoo.arguments import MOST_SIZE, OpenShape
from zoo.config import ModelConfig
from zoo.heads import HEADS, output_units
from zoo.initializers import INITIALIZERS, Initializer
from zoo.normalization import NORMALIZATIONS, group_count
from zoo.seeds import child_seed
from zoo.settings import Problem, SettingError
from zoo.topology import Part


class LayerMaker:
    """Makes the layers of one model: resolves each named choice once, and seeds each layer by its name.

    A layer's initial weights depend on the seed and on the layer's own name and shape, on nothing else: a setting that
    leaves a layer's shape alone leaves its initial weights alone.
    """

    def __init__(self, config: ModelConfig, seed: int):
        self.config = config
        self.seed = seed
        self.activation = ACTIVATIONS[config.activation]
        self.normalization = NORMALIZATIONS[config.normalization]
        self.transforms_kernels = config.weight_standardization or config.drop_connect > 0

    def inputs(self, input_shape: OpenShape) -> tuple[Any, Any]:
        """The input of the model, and what the first layer sees of it: with dropout, where the config says so."""
        inputs = keras.Input(input_shape, name="inputs", dtype=_outer_dtype())
        return inputs, self.drop(inputs, "inputs", self.config.input_dropout)

    def dense(self, features: Any, units: int, name: str, *, use_bias: bool | None = None) -> Any:
        """Apply a hidden dense layer: (batch, ..., n) -> (batch, ..., units)."""
        made = self._weight_layer("Dense", features, units, name=name, use_bias=use_bias)
        return made(self.shift(features, name))

    def convolution(
        self, features: Any, channels: int, name: str, *, size: int = 3, strides: int = 1, use_bias: bool | None = None
    ) -> Any:
        """Apply a convolution: (batch, h, w, c) -> (batch, ceil(h / strides), ceil(w / strides), channels).

        It pads (size - 1) / 2 pixels on each side also where it strides, as the reference networks do; Keras's own
        "same" padding would pad a strided convolution more on the right and below.
        """
        made = self._weight_layer(
            "Conv2D",
            features,
            channels,
            size,
            strides=strides,
            padding="same" if strides == 1 else "valid",
            name=name,
            use_bias=use_bias,
        )
        features = self.shift(features, name)
        if strides > 1 and size > 1:
            features = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_padding")(features)
        return made(features)

    def unpadded_convolution(self, features: Any, channels: int, name: str, *, size: int) -> Any:
        """Apply a convolution that stays inside the image: (batch, h, w, c) -> (batch, h - size + 1, ..., channels)."""
        return self._weight_layer("Conv2D", features, channels, size, name=name)(features)

    def head(self, features: Any, head: str, num_classes: int) -> Any:
        """Apply the last layer: (batch, n) -> (batch, outputs), at least in single precision."""
        units = output_units(head, num_classes)
        shape = (features.shape[-1], units)
        layer = keras.layers.Dense(
            units,
            kernel_initializer=make_initializer(self.config, "head", shape, self.seed),
            bias_initializer=make_bias_initializer(self.config, "head", shape, self.seed),
            kernel_regularizer=self._regularizer(),
            dtype=_outer_dtype(),
            name="head",
        )
        outputs = layer(self.shift(features, "head"))
        activation = HEADS[head].keras_activation
        if activation:
            outputs = keras.layers.Activation(activation, dtype=_outer_dtype(), name="probabilities")(outputs)
        return outputs

    def normalize(self, features: Any, name: str, *, gain_at_zero: bool = False) -> Any:
        """Apply the config's normalization, or nothing where it is "none"."""
        is_image = len(features.shape) == 4
        row = self.normalization.convolution if is_image else self.normalization.dense
        if row is None:
            return features
        arguments = dict(row.arguments) | {
            argument: getattr(self.config, setting) for argument, setting in row.settings.items()
        }
        if row.sized_groups:
            least = math.ceil(self.normalization.least / _positions(features))
            arguments["groups"] = group_count(features.shape[-1], self.config.normalization_group_size, least)
        self._check_normalized_together(features, row.keras_class, arguments.get("groups", 1), name)
        is_unbiased = row.keras_class == "BatchNormalization" and self.config.normalization_variance == "unbiased"
        made = getattr(custom if is_unbiased else keras.layers, row.keras_class)
        if gain_at_zero and row.keras_class == "RMSNormalization":
            made = custom.RMSNormalizationFromZero
        elif gain_at_zero:
            arguments["gamma_initializer"] = "zeros"
        return made(name=f"{name}_normalization", **arguments)(features)

    def _check_normalized_together(self, features: Any, keras_class: str, groups: int, name: str) -> None:
        """Refuse to normalize so few numbers together that what comes out hardly depends on what went in."""
        together = features.shape[-1] // groups if groups > 0 else 1
        if keras_class == "GroupNormalization":
            together *= _positions(features)
        if together < self.normalization.least:
            message = f"no gradient passes {name}, where numbers are normalized by {together}"
            allowed = f"by {self.normalization.least} or more: larger images, wider layers, or another normalization"
            raise SettingError([Problem("normalization", message, self.config.normalization, allowed)])

    def activate(self, features: Any, name: str) -> Any:
        """Apply the config's activation."""
        row, name = self.activation, f"{name}_activation"
        features = self.shift(features, name)
        if row.input_factor != 1:
            features = keras.layers.Rescaling(row.input_factor, name=f"{name}_input")(features)
        arguments = dict(row.arguments)
        if row.parameter:
            argument, setting = row.parameter
            arguments[argument] = getattr(self.config, setting)
        if row.keras_layer == "PReLU":
            # One slope a channel, whatever the position.
            positions = list(range(1, len(features.shape) - 1)) or None
            arguments |= {"shared_axes": positions, "alpha_initializer": keras.initializers.Constant(0.25)}
        if row.keras_layer:
            features = getattr(keras.layers, row.keras_layer)(name=name, **arguments)(features)
        else:
            features = keras.ops.gelu(features, **arguments)
        if row.output_factor != 1:
            features = keras.layers.Rescaling(row.output_factor, name=f"{name}_output")(features)
        return features

    def normalize_and_activate(self, features: Any, name: str) -> Any:
        """Apply normalization and activation in the config's order."""
        if self.config.normalization_place == "before_activation":  # type: ignore[attr-defined] # of families with one
            return self.activate(self.normalize(features, name), name)
        return self.normalize(self.activate(features, name), name)

    def drop(self, features: Any, name: str, rate: float, *, kind: str = "units") -> Any:
        """Apply dropout, of units or of whole channels, or nothing where the rate is 0."""
        if rate == 0:
            return features
        name = f"{name}_dropout"
        layer = keras.layers.SpatialDropout2D if kind == "channels" else keras.layers.Dropout
        return layer(rate, seed=dropout_seed(self.seed, name), name=name)(features)

    def drop_branch(self, features: Any, name: str, rate: float) -> Any:
        """Drop a whole residual branch for some of the examples; the others' is divided by 1 - rate.

        Huang et al. 2016, Deep Networks with Stochastic Depth: there the branch is scaled after training instead,
        which is the same in the mean.
        """
        if rate == 0:
            return features
        name = f"{name}_stochastic_depth"
        noise_shape = (None, *(1 for _ in features.shape[1:]))
        return keras.layers.Dropout(rate, noise_shape, seed=dropout_seed(self.seed, name), name=name)(features)

    def shift(self, features: Any, name: str) -> Any:
        """Add a single learned number where the config asks for that."""
        return custom.ScalarBias(name=f"{name}_shift")(features) if self.config.scalar_biases else features

    def scale_channels(self, features: Any, name: str) -> Any:
        """Apply a learned factor, one at first, and a learned offset, zero at first, to each channel."""
        return keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=name)(features)

    def squeeze_and_excite(self, features: Any, reduction: int, name: str) -> Any:
        """Scale each channel by a number in (0, 1) that follows from the means of all channels.

        Hu, Shen & Sun 2018, Squeeze-and-Excitation Networks, section 3: mean, dense layer with 1 / reduction as many
        units, the network's activation, dense layer, sigmoid.
        """
        channels = features.shape[-1]
        gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze_mean")(features)
        gate = self.dense(gate, max(channels // reduction, 1), f"{name}_squeeze", use_bias=True)
        gate = self.dense(self.activate(gate, f"{name}_squeeze"), channels, f"{name}_excitation", use_bias=True)
        gate = keras.layers.Activation("sigmoid", name=f"{name}_gate")(gate)
        return keras.layers.Multiply(name=f"{name}_excited")([features, gate])

    def _weight_layer(
        self, kind: str, features: Any, *arguments: Any, name: str, use_bias: bool | None = None, **keywords: Any
    ) -> Any:
        units, size = arguments if kind == "Conv2D" else (*arguments, None)
        shape = (size, size, features.shape[-1], units) if size else (features.shape[-1], units)
        keywords |= {
            "name": name,
            "use_bias": self.config.hidden_bias if use_bias is None else use_bias,
            "kernel_initializer": make_initializer(self.config, name, shape, self.seed),
            "bias_initializer": make_bias_initializer(self.config, name, shape, self.seed),
            "kernel_regularizer": self._regularizer(),
            "kernel_constraint": self._constraint(kind),
        }
        if not self.transforms_kernels:
            return getattr(keras.layers, kind)(*arguments, **keywords)
        if self.config.weight_standardization and math.prod(shape[:-1]) == 1:
            message = f"the units of {name} have one weight each, which would be standardized to zero"
            raise SettingError([Problem("weight_standardization", message, "true", "false, or wider layers")])
        return getattr(custom, f"Transformed{kind}")(
            *arguments,
            standardize=self.config.weight_standardization,
            drop_connect=self.config.drop_connect,
            seed=dropout_seed(self.seed, name),
            **keywords,
        )

    def _regularizer(self) -> Any:
        if self.config.l1 == 0 and self.config.l2 == 0:
            return None
        return keras.regularizers.L1L2(self.config.l1, self.config.l2)

    def _constraint(self, kind: str) -> Any:
        if self.config.max_norm == 0:
            return None
        # The axes of the kernel that lead into one unit.
        return keras.constraints.MaxNorm(self.config.max_norm, axis=[0, 1, 2] if kind == "Conv2D" else 0)


def _outer_dtype() -> str:
    """Of inputs and outputs: single precision also where a policy computes with less."""
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"


def _positions(features: Any) -> int:
    """How many positions an example's features have; many, where a size is left open."""
    sizes = features.shape[1:-1]
    return MOST_SIZE if None in sizes else math.prod(sizes)


def make_initializer(config: ModelConfig, layer: str, shape: tuple[int, ...], seed: int) -> keras.Initializer:
    """The initializer of one layer's kernel (..., inputs, units), seeded by the model's seed and the layer's name."""
    factor = config.initial_factor(layer)
    row, part = INITIALIZERS[config.initializer], config.part(layer)
    if factor == 0 or row.factor_argument is None:
        return keras.initializers.Zeros()
    arguments = dict(row.arguments)
    if row.takes_scale:
        arguments[row.factor_argument] = config.initializer_scale
    if row.limit:
        arguments[row.factor_argument] = row.limit / math.prod(shape[:-1])
    if config.initializer_gain == "activation":
        gain = 1.0 if layer in config.first_layers else config.activation_gain
        arguments[row.factor_argument] = gain**row.factor_power
    arguments[row.factor_argument] *= factor**row.factor_power
    if row.limit:
        arguments["minval"] = -arguments[row.factor_argument]
    if row.is_random:
        arguments["seed"] = child_seed(seed, "weights", layer)
    if part:
        return _initializer_of_part(row, arguments, part, shape, child_seed(seed, "weights", layer.rpartition("_")[0]))
    return _keras_initializer(row, arguments)


def _initializer_of_part(
    row: Initializer, arguments: dict[str, Any], part: Part, shape: tuple[int, ...], seed_of_whole: int
) -> keras.Initializer:
    """The initializer of a layer that is one unit of another, such that all units together start as that one would."""
    if row.is_orthogonal:
        centred = row.keras_class == "zoo>DeltaOrthogonal"
        return custom.PartOfOrthogonal(part.seen, part.unit, centred, arguments["gain"], seed_of_whole)
    if row.keras_class == "zoo>CentredIdentity" and part.unit not in part.seen[part.unit]:
        return keras.initializers.Zeros()
    if arguments.get("mode") in ("fan_avg", "fan_out"):
        positions = math.prod(shape[:-2])
        fan_in = math.prod(shape[:-1]) if arguments["mode"] == "fan_avg" else 0
        # Keras counts the one unit that it sees.
        arguments["scale"] *= (fan_in + positions) / (fan_in + positions * part.units_per_input)
    return _keras_initializer(row, arguments)


def _keras_initializer(row: Initializer, arguments: dict[str, Any]) -> keras.Initializer:
    module, _, name = row.keras_class.rpartition(">")
    return getattr(custom if module else keras.initializers, name)(**arguments)


def make_bias_initializer(config: ModelConfig, layer: str, shape: tuple[int, ...], seed: int) -> keras.Initializer:
    """The initializer of the bias of one layer, whose kernel has the shape (..., inputs, units)."""
    if INITIALIZERS[config.initializer].draws_biases and config.initial_factor(layer) > 0:
        limit = math.prod(shape[:-1]) ** -0.5
        return keras.initializers.RandomUniform(-limit, limit, seed=child_seed(seed, "biases", layer))
    return keras.initializers.Constant(0.0 if layer == "head" else config.initial_bias)


def dropout_seed(seed: int, layer_name: str) -> int:
    """The seed of one layer that drops something."""
    return child_seed(seed, "dropout", layer_name)
