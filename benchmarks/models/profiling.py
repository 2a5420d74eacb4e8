"""Profiles of models on this machine: memory, the time to build and to trace, images a second and latency.

A training step is forward pass, backward pass and an update by SGD with momentum, in one `tf.function`; inference is a
forward pass. Both get random inputs that are on the device already, so reading data is in neither. TensorFlow is
imported when the first model is measured: a call that cannot be carried out has ended before that.
"""

from __future__ import annotations

import re
import statistics
import time
import timeit
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import zoo
from benchmarks.errors import UserError
from benchmarks.settings.run import section_fields
from zoo.config import InputShape, ModelConfig
from zoo.settings import Problem, SettingError, unknown

WARM_UP_CALLS = 2
"""Calls after the first that are not counted: caches fill, and autotuning ends."""

LARGEST_SIZE = 65_536
"""The largest batch, and the largest axis of an input."""


@dataclass(frozen=True)
class Subject:
    """A model to measure."""

    name: str
    config: ModelConfig
    input_shape: InputShape
    num_classes: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    """The settings that differ from the variant's."""


@dataclass(frozen=True)
class Pace:
    """How long calls of one compiled function take."""

    first_call_seconds: float
    """Tracing, optimizing and the first execution."""
    seconds: tuple[float, ...]
    """Of each counted call, in their order."""

    @property
    def median(self) -> float:
        """Seconds of the middle call."""
        return statistics.median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds below which a quarter and three quarters of the calls lie."""
        lower, upper = np.quantile(self.seconds, (0.25, 0.75))
        return float(lower), float(upper)


@dataclass(frozen=True)
class Profile:
    """One row of the results: one model with one batch size."""

    model: str
    changes: Mapping[str, Any]
    input_shape: InputShape
    batch_size: int
    parameters: int
    macs: int
    """Multiply-adds of the weight layers for one example."""
    activation_bytes: int
    """Memory of all layers' outputs for the batch, as they are kept for the backward pass."""
    build_seconds: float
    training: Pace
    inference: Pace

    def images_per_second(self, pace: Pace) -> float:
        """By the median."""
        return self.batch_size / pace.median

    def flat(self) -> dict[str, Any]:
        """Plain values under one name each."""
        values = {
            name: value for name, value in asdict(self).items() if name not in ("changes", "training", "inference")
        }
        values["input_shape"] = list(self.input_shape)
        for name, pace in (("training", self.training), ("inference", self.inference)):
            lower, upper = pace.quartiles
            values |= {
                f"{name}_first_call_seconds": pace.first_call_seconds,
                f"{name}_images_per_second": self.images_per_second(pace),
                f"{name}_median_seconds": pace.median,
                f"{name}_lower_quartile_seconds": lower,
                f"{name}_upper_quartile_seconds": upper,
            }
        return values | {f"model.{name}": value for name, value in self.changes.items()}


def find_subjects(patterns: Iterable[str], changes: Mapping[str, Any], input_shape: InputShape | None) -> list[Subject]:
    """The models that match any of the shell patterns, each once, with some of their settings replaced.

    Raises:
        SettingError: a pattern matches no model, or a model cannot have a setting or take inputs of the shape.
    """
    names: dict[str, None] = {}
    for pattern in patterns:
        found = zoo.list_models(pattern)
        if not found:
            raise SettingError([unknown("MODEL", "model", pattern, zoo.VARIANTS)])
        names |= dict.fromkeys(found)
    known = section_fields("model")
    wrong = [unknown("--set", "setting of a model", name, known) for name in changes if name not in known]
    if wrong:
        raise SettingError(wrong)
    subjects = []
    for name in names:
        variant = zoo.VARIANTS[name]
        shape = variant.input_shape if input_shape is None else input_shape
        try:
            config = zoo.model_config(name, **changes)
            config.check_input_shape(shape)
        except SettingError as error:
            raise error.within(name) from None
        subjects.append(Subject(name, config, shape, variant.num_classes, changes))
    return subjects


def parse_sizes(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers between commas, such as `1,128`.

    Raises:
        SettingError: it is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if all(re.fullmatch("[1-9][0-9]{0,4}", part) and int(part) <= LARGEST_SIZE for part in parts):
        return tuple(map(int, parts))
    allowed = f"whole numbers from 1 to {LARGEST_SIZE:,} with commas between them, such as 1,128"
    raise SettingError([Problem(option, "wrong value", text, allowed)])


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Settings from texts such as `activation=gelu` or `model.width=[300, 100]`: TOML values, else plain text.

    Raises:
        SettingError: a text names no setting.
    """
    changes = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingError([Problem("--set", "a setting and its value are needed", text, "SETTING=VALUE")])
        changes[name.strip().removeprefix("model.")] = _value_of(value.strip())
    return changes


def _value_of(text: str) -> Any:
    try:
        values = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return values["value"] if len(values) == 1 else text


def measure(subject: Subject, batch_sizes: Sequence[int], repeats: int) -> Iterator[Profile]:
    """Build a model and time it with each batch size.

    Raises:
        UserError: it does not fit in the machine's memory.
    """
    import keras
    import tensorflow as tf

    from zoo.audit import audit_model

    keras.backend.clear_session()
    zoo.create_model("linear")  # what Keras sets up once is not the model's
    start = time.perf_counter()
    try:
        model = zoo.build_model(subject.config, subject.input_shape, subject.num_classes, seed=0)
    except tf.errors.ResourceExhaustedError:
        raise _too_large(subject, 0, 0) from None
    build_seconds = time.perf_counter() - start
    audit = audit_model(model)
    for batch_size in batch_sizes:
        activation_bytes = audit.activation_bytes * batch_size
        _check_memory(subject, batch_size, activation_bytes)
        try:
            training, inference = _paces(model, subject, batch_size, repeats)
        except tf.errors.ResourceExhaustedError:
            raise _too_large(subject, batch_size, activation_bytes) from None
        yield Profile(
            model=subject.name,
            changes=subject.changes,
            input_shape=subject.input_shape,
            batch_size=batch_size,
            parameters=audit.parameters,
            macs=audit.macs,
            activation_bytes=activation_bytes,
            build_seconds=build_seconds,
            training=training,
            inference=inference,
        )


def _paces(model: Any, subject: Subject, batch_size: int, repeats: int) -> tuple[Pace, Pace]:
    """The paces of training and of inference."""
    import tensorflow as tf

    random = tf.random.Generator.from_seed(0)
    inputs = random.normal((batch_size, *subject.input_shape))
    labels = random.uniform((batch_size,), maxval=subject.num_classes, dtype=tf.int32)
    infer = tf.function(lambda batch: model(batch, training=False))
    train = training_step(model)
    return _pace(lambda: train(inputs, labels), repeats), _pace(lambda: infer(inputs), repeats)


def training_step(model: Any) -> Any:
    """A compiled function (inputs, labels) -> loss that takes one step of SGD with momentum 0.9 on the mean loss.

    The learning rate is 0: a step costs the same, and the weights stay ordinary numbers however often it is taken.
    """
    import keras
    import tensorflow as tf

    optimizer = keras.optimizers.SGD(0.0, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def step(inputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(inputs, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            loss = tf.add_n([loss, *model.losses])
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def _pace(call: Callable[[], object], repeats: int) -> Pace:
    import tensorflow as tf

    def whole_call() -> None:
        call()
        tf.test.experimental.sync_devices()

    first, *others = timeit.repeat(whole_call, number=1, repeat=1 + WARM_UP_CALLS + repeats)
    return Pace(first, tuple(others[WARM_UP_CALLS:]))


def _check_memory(subject: Subject, batch_size: int, activation_bytes: int) -> None:
    import psutil
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU") and activation_bytes > psutil.virtual_memory().total:
        raise _too_large(subject, batch_size, activation_bytes)


def _too_large(subject: Subject, batch_size: int, activation_bytes: int) -> UserError:
    shape = "x".join(map(str, subject.input_shape))
    given = f"inputs of {shape}" + (f" in batches of {batch_size}" if batch_size else "")
    kept = f", of which {activation_bytes / 2**30:.1f} GiB of activations are kept" if activation_bytes else ""
    return UserError(
        f"MODEL: {subject.name} does not fit in this machine's memory\n  given:   {given}{kept}\n"
        "  allowed: smaller inputs or batches, or another model"
    )


def machine() -> dict[str, Any]:
    """The facts of the machine, and the device that TensorFlow computes on."""
    import tensorflow as tf

    from benchmarks.execution.machine import machine_facts

    gpus = tf.config.list_physical_devices("GPU")
    device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "CPU"
    return {"device": device} | machine_facts()


def as_json(profiles: Iterable[Profile], repeats: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All rows with the machine's facts, as plain values."""
    return {"machine": dict(facts), "repeats": repeats, "profiles": [each.flat() for each in profiles]}


def as_csv(profiles: Iterable[Profile], repeats: int, facts: Mapping[str, Any]) -> str:
    """A flat row a profile, the machine's facts in columns of their own."""
    import pandas as pd

    common = {"repeats": repeats} | {f"machine.{name}": value for name, value in facts.items()}
    rows = [each.flat() | {"input_shape": "x".join(map(str, each.input_shape))} | common for each in profiles]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
