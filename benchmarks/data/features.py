"""Features of a TFDS dataset: which are the input and which is the target, told from its own description."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow_datasets as tfds

from benchmarks.errors import DatasetError

FeatureKind = Literal["image", "number", "category", "text", "other"]

TARGET_NAMES = ("label", "target")
"""The names under which a target is searched for where the dataset does not say what it is."""


@dataclass(frozen=True)
class Feature:
    """One feature of a dataset: a plain thing in place of TFDS's own."""

    kind: FeatureKind
    shape: tuple[int | None, ...]
    categories: tuple[str, ...] = ()
    """The names of its classes, where it is a category."""
    is_boolean: bool = False
    is_whole: bool = False
    """Whether it is a whole number."""
    described: str = ""
    """What it is to TFDS, where it is of no kind that can be read."""

    @property
    def can_be_target(self) -> bool:
        """Whether it is one class, one text or one number an example."""
        return self.kind in ("category", "text") or (self.kind == "number" and self.shape in ((), (1,)))

    def __str__(self) -> str:
        if self.kind == "other":
            return self.described
        return f"{self.kind} of shape {self.shape}" if self.shape else self.kind


@dataclass(frozen=True)
class Choice:
    """The features that are read: inputs in the order of their names, and the target."""

    inputs: dict[str, Feature]
    target: str
    target_feature: Feature
    left_out: tuple[str, ...]
    """The features that are neither."""

    def specification(self) -> dict[str, Any]:
        """The chosen features as TFDS wants them named, nested as they are in the dataset."""
        nested: dict[str, Any] = {}
        for name in (*self.inputs, self.target):
            *outer, last = name.split("/")
            within = nested
            for part in outer:
                within = within.setdefault(part, {})
            within[last] = True
        return nested


def choose_features(dataset: str, info: tfds.core.DatasetInfo) -> Choice:
    """Tell inputs and target.

    What the dataset says itself (`supervised_keys`) is used and nothing else. Else the target is the feature called
    `label` or `target`, or the only class label, and all the rest is input. Where there are images, the first by name
    is the input; else all numbers, categories and texts are.

    Raises:
        DatasetError: there is no such target, or nothing that could be the input.
    """
    # TFDS gives features in an order that changes from process to process.
    features = dict(sorted(flat_features(info.features)))
    stated = [list(_within(keys, features)) for keys in info.supervised_keys or ()]
    target = _choose_target(dataset, features, stated[1] if len(stated) > 1 else [])
    candidates = [name for name in features if name != target and (not stated or name in stated[0])]
    images = [name for name in candidates if features[name].kind == "image"]
    inputs = images[:1] or [name for name in candidates if features[name].kind != "other"]
    if not inputs:
        raise no_inputs(dataset, candidates if stated else features)
    left_out = tuple(name for name in features if name not in inputs and name != target)
    return Choice({name: features[name] for name in inputs}, target, features[target], left_out)


def no_inputs(dataset: str, features: Mapping[str, object] | list[str]) -> DatasetError:
    """The error of a dataset with nothing to learn from."""
    return DatasetError(f"datasets: {dataset} has no image and no numeric features; its features: {list(features)}")


def flat_features(features: Any) -> Iterator[tuple[str, Feature]]:
    """The features of a dataset by name."""
    return ((name, _plain(feature)) for name, feature in flat(features))


def flat(nested: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Features, or their values, by name; one inside another has both names: `features/height`."""
    for name, each in nested.items():
        if isinstance(each, dict | tfds.features.FeaturesDict):
            yield from flat(each, f"{prefix}{name}/")
        else:
            yield prefix + name, each


def decoded(value: Any) -> Any:
    """A text that TFDS gives as bytes, as text; all else as it is."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


def _plain(feature: Any) -> Feature:
    if isinstance(feature, tfds.features.Image):
        return Feature("image", tuple(feature.shape))
    if isinstance(feature, tfds.features.ClassLabel):
        return Feature("category", (), tuple(feature.names or ()))
    if isinstance(feature, tfds.features.Text):
        return Feature("text", ())
    # Video is a subclass of others; plain tensors, scalars and sequences of a fixed number of these remain.
    is_sequence = type(feature) is tfds.features.Sequence
    if type(feature.feature if is_sequence else feature) in (tfds.features.Tensor, tfds.features.Scalar):
        shape, letter = tuple(feature.shape), np.dtype(feature.np_dtype).kind
        if letter in "fiub" and None not in shape:
            return Feature("number", shape, is_boolean=letter == "b", is_whole=letter in "iu")
        if letter in "OSU" and not shape:
            return Feature("text", ())
    described = f"a list of {type(feature.feature).__name__}" if is_sequence else type(feature).__name__
    return Feature("other", (), described=described)


def _within(keys: Any, features: Mapping[str, Feature]) -> Iterator[str]:
    """The features that one of `supervised_keys` means: a name, a group of features, or several in any nesting."""
    if isinstance(keys, str):
        yield from (name for name in features if name == keys or name.startswith(f"{keys}/"))
    else:
        for each in keys.values() if isinstance(keys, Mapping) else keys:
            yield from _within(each, features)


def _choose_target(dataset: str, features: Mapping[str, Feature], stated: list[str]) -> str:
    named = [name for name in TARGET_NAMES if name in features]
    named = [name for name in named if features[name].can_be_target] or named
    found = stated if len(stated) == 1 else named
    found = found or [name for name, feature in features.items() if feature.kind == "category"]
    if len(found) != 1:
        what = f"{' and '.join(found)} could both be it; " if named else ""
        raise DatasetError(
            f"datasets: {dataset} has no class label and no numeric target that could be told; {what}"
            f"its features: {list(features)}\n"
            f"  allowed: supervised_keys that name it, a feature called {' or '.join(TARGET_NAMES)}, or one class label"
        )
    if not features[found[0]].can_be_target:
        raise DatasetError(
            f"datasets: {dataset}: the target {found[0]!r} is no single class or number: {features[found[0]]}\n"
            "  allowed: one class, one text or one number an example"
        )
    return found[0]
