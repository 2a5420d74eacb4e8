"""Reading datasets through TFDS: real ones, and small ones written here with TFDS's own writer."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import fsspec
import numpy as np
import pytest
import tensorflow_datasets as tfds
from executing import run_missing
from sklearn.datasets import load_digits

from benchmarks.data.catalog import find_dataset
from benchmarks.data.dataset import decoded_folder, open_prepared, write_decoded
from benchmarks.data.loading import load, load_decoded
from benchmarks.data.preparing import prepare
from benchmarks.data.standardization import fit_standardization
from benchmarks.errors import DatasetError
from benchmarks.execution.running import with_data
from benchmarks.models.trained import load_dataset
from benchmarks.plan.plan import make_plan
from benchmarks.settings.data import Reading
from benchmarks.store import Store
from benchmarks.tasks import Task

CLASS = tfds.features.ClassLabel(num_classes=3)
TABLE = {"height": np.float32, "count": np.int64, "flag": np.bool_, "wide": np.float64, "label": CLASS}
TABLE |= dict.fromkeys("abc", np.float32)


@pytest.fixture
def prepared(tmp_path):
    """Give a function that writes a dataset with TFDS and finds it again.

    Its splits map a name to a list of examples; TFDS stores them in an order of its own.
    """

    def write(features, splits, supervised=None, version="1.0.0", file_format="tfrecord"):
        class Made(tfds.core.GeneratorBasedBuilder, skip_registration=True):
            VERSION = tfds.core.Version(version)

            def _info(self):
                described = tfds.features.FeaturesDict(features)
                return tfds.core.DatasetInfo(builder=self, features=described, supervised_keys=supervised)

            def _split_generators(self, dl_manager):
                del dl_manager
                return {split: self._generate_examples(examples) for split, examples in splits.items()}

            def _generate_examples(self, examples):
                yield from enumerate(examples)

        tfds.disable_progress_bar()
        builder = Made(data_dir=str(tmp_path), file_format=file_format)
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
        return find_dataset(f"made:{version}", tmp_path, tmp_path / "runs")

    write.folder = tmp_path / "made"
    return write


def message_of(reference):
    with pytest.raises(DatasetError) as caught:
        load(reference)
    message = str(caught.value)
    assert message.startswith("datasets: ")
    assert "made" in message
    return message


def rows(number, **changes):
    """Rows of a table, each unlike the others, and no column like another."""
    return [
        {"height": index / 4, "count": -index, "flag": index % 2 == 0, "wide": index * 1e3, "label": index % 3}
        | {"a": index + 0.5, "b": index + 20.0, "c": index - 30.0}
        | changes
        for index in range(number)
    ]


def numbers(number, labels=3):
    return [{"x": [float(index), 1.0], "label": index % labels} for index in range(number)]


VECTOR = {"x": tfds.features.Tensor(shape=(2,), dtype=np.float32), "label": CLASS}


def test_digits_are_scikit_learns(tmp_path):
    """The embedded digits are all of scikit-learn's images with their labels; every fifth of a class is tested."""
    reference = find_dataset("digits", tmp_path / "data", tmp_path / "runs")
    prepare(reference)
    dataset = load(reference)
    bundled = load_digits()
    is_test = np.zeros(len(bundled.target), bool)
    for digit in range(10):
        is_test[np.flatnonzero(bundled.target == digit)[4::5]] = True
    for examples, part in ((dataset.train, ~is_test), (dataset.test, is_test)):
        expected = sorted(
            (int(label), image.astype(np.uint8).tobytes())
            for image, label in zip(bundled.images[part], bundled.target[part], strict=True)
        )
        given = sorted(
            (int(label), image.tobytes()) for image, label in zip(examples.inputs, examples.labels, strict=True)
        )
        assert given == expected
    assert (dataset.input_shape, dataset.num_classes) == ((8, 8, 1), 10)
    assert dataset.train.inputs.dtype == np.uint8
    assert dataset.train.labels.dtype == np.int32
    assert not (tmp_path / "data").exists()


def test_digits_are_prepared_once(tmp_path, monkeypatch):
    """Preparing what is prepared does nothing, and reading it twice gives the same order."""
    reference = find_dataset("digits", tmp_path, tmp_path)
    prepare(reference)
    first = load(reference)
    monkeypatch.setattr(tfds, "builder", lambda *_, **__: pytest.fail("prepared again"))
    prepare(reference)
    assert np.array_equal(load(reference).train.inputs, first.train.inputs)


def test_mnist(tmp_path, shared_tfds):
    """MNIST has the class counts, the mean and the standard deviation that are published for it."""
    reference = find_dataset("mnist", shared_tfds, tmp_path)
    prepare(reference)
    dataset = load(reference)
    assert dataset.train.inputs.shape == (60_000, 28, 28, 1)
    assert dataset.test.inputs.shape == (10_000, 28, 28, 1)
    train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test_counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(dataset.train.labels).tolist() == train_counts
    assert np.bincount(dataset.test.labels).tolist() == test_counts
    # PyTorch's examples normalize by these.
    assert dataset.train.inputs.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert dataset.train.inputs.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    assert dataset.test_split == "the official test split"


def test_cifar10(tmp_path, shared_tfds):
    """CIFAR-10 as JPEG has its shapes, 6,000 images a class, and the channel means published for the original."""
    dataset = load(find_dataset("cifar10_jpeg", shared_tfds, tmp_path))
    assert dataset.train.inputs.shape == (50_000, 32, 32, 3)
    assert dataset.test.inputs.shape == (10_000, 32, 32, 3)
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    means = dataset.train.inputs[::10].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=0.01)


def test_table_of_scalars(prepared):
    """Numeric scalars of any kind are float32 columns in the order of their names, the only one that TFDS keeps.

    What TFDS reads back is ordered anew in every process: a run would not be the same after a resume.
    """
    dataset = load(prepared(TABLE, {"train": rows(9), "test": rows(6, flag=True)}))
    assert dataset.train.inputs.shape == (9, 7)
    assert dataset.train.inputs.dtype == np.float32
    names = ["a", "b", "c", "count", "flag", "height", "wide", "label"]
    for examples, given in ((dataset.train, rows(9)), (dataset.test, rows(6, flag=True))):
        expected = sorted([float(row[name]) for name in names] for row in given)
        assert sorted(np.column_stack([examples.inputs, examples.labels]).tolist()) == expected


def test_one_of_several_images(prepared):
    """Of several images the first by name is the input, in every process."""
    names = [f"image_{letter}" for letter in "fbdaec"]
    features = {name: tfds.features.Image(shape=(2, 2, 1)) for name in names} | {"label": CLASS}
    images = {name: np.full((2, 2, 1), ord(name[-1]), np.uint8) for name in names}
    given = [images | {"label": index % 3} for index in range(6)]
    assert (load(prepared(features, {"train": given, "test": given})).train.inputs == ord("a")).all()


def test_tensor_of_numbers(prepared):
    """One tensor of numbers keeps its shape."""
    features = {"x": tfds.features.Tensor(shape=(2, 3), dtype=np.float64), "label": CLASS}
    given = [{"x": np.arange(6.0).reshape(2, 3) + 10 * index, "label": index % 3} for index in range(6)]
    dataset = load(prepared(features, {"train": given, "test": given}))
    assert dataset.input_shape == (2, 3)
    assert dataset.train.inputs.dtype == np.float32
    assert sorted(dataset.train.inputs[:, 1, 2].tolist()) == [5, 15, 25, 35, 45, 55]


def test_tensors_and_scalars_together(prepared):
    """A tensor beside scalars is flattened into the row; nothing is lost."""
    features = VECTOR | {"more": np.float32}
    given = [each | {"more": 7.0} for each in numbers(6)]
    dataset = load(prepared(features, {"train": given, "test": given}))
    assert dataset.input_shape == (3,)
    assert sorted(dataset.train.inputs.sum(axis=1).tolist()) == [8, 9, 10, 11, 12, 13]


def test_image_beside_numbers(prepared):
    """Where there is an image, it is the input, and numbers beside it (an id, say) are not."""
    features = {"id": np.int64, "picture": tfds.features.Image(shape=(2, 2, 1)), "label": CLASS}
    given = [{"id": index, "picture": np.full((2, 2, 1), index, np.uint8), "label": index % 3} for index in range(6)]
    dataset = load(prepared(features, {"train": given, "test": given}))
    assert dataset.input_shape == (2, 2, 1)
    assert dataset.train.inputs.dtype == np.uint8
    assert np.array_equal(dataset.train.inputs[:, 0, 0, 0] % 3, dataset.train.labels)


def test_supervised_keys_decide(prepared):
    """Where the dataset says itself what is input and what is label, that is used and nothing else."""
    features = {"a": np.float32, "x": np.float32, "one": CLASS, "two": tfds.features.ClassLabel(num_classes=2)}
    given = [{"a": -1.0, "x": float(index), "one": index % 3, "two": index % 2} for index in range(6)]
    dataset = load(prepared(features, {"train": given, "test": given}, supervised=("x", "two")))
    assert dataset.num_classes == 2
    assert dataset.train.inputs.shape == (6, 1)
    assert np.array_equal(dataset.train.inputs[:, 0] % 2, dataset.train.labels)


def test_float_images(prepared):
    """Images of real numbers stay real numbers."""
    features = {"image": tfds.features.Image(shape=(2, 2, 1), dtype=np.float32), "label": CLASS}
    given = [{"image": np.full((2, 2, 1), index / 3, np.float32), "label": index % 3} for index in range(6)]
    dataset = load(prepared(features, {"train": given, "test": given}))
    assert dataset.train.inputs.dtype == np.float32
    expected = np.arange(6, dtype=np.float32) / np.float32(3)
    assert np.array_equal(np.sort(dataset.train.inputs[:, 0, 0, 0]), expected)


@pytest.mark.parametrize("order", ["by class", "in turn"])
def test_no_test_split(prepared, order):
    """Without a test split a fifth of each class becomes one, whatever their order, and the report is told."""
    labels = np.repeat(np.arange(3), 20) if order == "by class" else np.tile(np.arange(3), 20)
    given = [{"x": [float(index), 1.0], "label": label} for index, label in enumerate(labels.tolist())]
    dataset = load(prepared(VECTOR, {"train": given}))
    assert np.bincount(dataset.train.labels).tolist() == [16, 16, 16]
    assert np.bincount(dataset.test.labels).tolist() == [4, 4, 4]
    both = np.concatenate([dataset.train.inputs, dataset.test.inputs])[:, 0]
    assert sorted(both.tolist()) == list(range(60))
    assert dataset.test_split == "a fifth of each class of the training split, held out (the dataset has no test split)"


def test_class_with_one_example_cannot_be_held_out(prepared):
    """A class of which one example would be trained or tested on and never both is refused by its name."""
    given = [*numbers(30), {"x": [99.0, 1.0], "label": 3}]
    features = VECTOR | {"label": tfds.features.ClassLabel(names=["a", "b", "c", "rare"])}
    message = message_of(prepared(features, {"train": given}))
    assert "of these classes one example" in message
    assert "rare" in message


def test_class_without_examples_is_told(prepared):
    """A class that the test split lacks, and one that nobody has, are named."""
    four = VECTOR | {"label": tfds.features.ClassLabel(names=["a", "b", "c", "never"])}
    notes = load(prepared(four, {"train": numbers(9), "test": numbers(6, labels=2)})).notes
    assert notes == (
        "The training split has no example of these classes: never.",
        "The test split has no example of these classes: c, never.",
    )


def contest(**hidden):
    """Splits of 12, 9 and 6 examples, of which some have no labels."""
    splits = {"train": numbers(12), "validation": numbers(9), "test": numbers(6)}
    return {
        name: [each | {"label": hidden.get(name, each["label"])} for each in given] for name, given in splits.items()
    }


@pytest.mark.parametrize(
    ("reading", "splits", "sizes", "source"),
    [
        (Reading(), contest(), (12, 6), "the official test split"),
        (Reading(), contest(test=-1), (12, 9), "the official validation split (the test split has no labels)"),
        (Reading(), contest(test=-1, validation=-1), (9, 3), "held out (the test split has no labels)"),
        (Reading(test="validation"), contest(), (12, 9), "validation, as data.test says"),
        (Reading(train="train+validation"), contest(), (21, 6), "the official test split"),
        (Reading(train="train+validation"), contest(test=-1), (18, 3), "held out (the test split has no labels)"),
        (Reading("train[:75%]", "train[75%:]"), contest(), (9, 3), "train[75%:], as data.test says"),
        (Reading("train[:6]"), contest(), (6, 6), "the official test split"),
    ],
)
def test_chosen_splits(prepared, reading, splits, sizes, source):
    """Splits are those that are asked for, else those that have labels and are not trained on; the report is told."""
    dataset = load(replace(prepared(VECTOR, splits), reading=reading))
    assert (len(dataset.train), len(dataset.test)) == sizes
    assert source in dataset.test_split
    assert set(dataset.test.labels) <= {0, 1, 2}


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (Reading("train", "train"), "data.test: 12 examples of made would be trained and tested on"),
        (Reading("train[:80%]", "train[70%:]"), "data.test: 2 examples of made"),
        (Reading("none+train"), "data.train: no split of made"),
        (Reading("train[:half]"), "data.train: no split of made"),
        (Reading("train", "validtion"), "data.test: no split of made"),
    ],
)
def test_splits_that_cannot_be(prepared, reading, told):
    """Splits that share examples, or that the dataset does not have, are refused with those that it has."""
    with pytest.raises(DatasetError) as caught:
        load(replace(prepared(VECTOR, contest()), reading=reading))
    assert told in str(caught.value)
    assert "allowed:" in str(caught.value)


def test_validation_split_stands_in_for_test(prepared):
    """Where there is a validation split and no test split, it is the test split, and the report is told."""
    dataset = load(prepared(VECTOR, {"train": numbers(9), "validation": numbers(6)}))
    assert (len(dataset.train), len(dataset.test)) == (9, 6)
    assert "validation" in dataset.test_split


def test_validation_split_beside_test_is_not_used(prepared):
    """Where there are all three splits, training and testing are on the splits of those names."""
    dataset = load(prepared(VECTOR, {"train": numbers(9), "validation": numbers(6), "test": numbers(3)}))
    assert (len(dataset.train), len(dataset.test)) == (9, 3)
    assert dataset.test_split == "the official test split"


def test_images_of_one_size_that_is_not_declared(prepared):
    """Images whose size is not declared are fine where they are all of one size."""
    features = {"image": tfds.features.Image(shape=(None, None, 3)), "label": CLASS}
    given = [{"image": np.full((4, 5, 3), index, np.uint8), "label": index % 3} for index in range(6)]
    assert load(prepared(features, {"train": given, "test": given})).input_shape == (4, 5, 3)


def test_images_of_varying_size(prepared):
    """Images of several sizes are refused, and two of the sizes are named."""
    features = {"image": tfds.features.Image(shape=(None, None, 1)), "label": CLASS}
    given = [{"image": np.zeros((2 + index, 3, 1), np.uint8), "label": index % 3} for index in range(6)]
    message = message_of(prepared(features, {"train": given, "test": given}))
    assert "(2, 3, 1)" in message
    assert "(7, 3, 1)" in message


def test_splits_of_two_sizes(prepared):
    """Images of one size in training and of another in the test split are refused too."""
    features = {"image": tfds.features.Image(shape=(None, None, 1)), "label": CLASS}
    small, large = (
        [{"image": np.zeros((size, 3, 1), np.uint8), "label": index % 3} for index in range(6)] for size in (2, 4)
    )
    message = message_of(prepared(features, {"train": small, "test": large}))
    assert "size" in message or "shape" in message


@pytest.mark.parametrize("split", ["train", "test"])
def test_label_out_of_range(prepared, split):
    """A hidden test label, stored as -1, is refused with its split and value: nothing could be measured on it."""
    splits = {"train": numbers(6), "test": numbers(6)}
    splits[split][2]["label"] = -1
    message = message_of(prepared(VECTOR, splits))
    assert "the target 'label' is out of range in 1 of 6 examples: -1" in message
    assert ("training" if split == "train" else "test") in message
    assert "0 to 2" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("split", ["train", "test"])
def test_inputs_that_are_not_finite(prepared, split, value):
    """A missing or infinite number in a feature is refused before it turns every loss into NaN."""
    splits = {"train": numbers(6), "test": numbers(6)}
    splits[split][2]["x"][1] = value
    assert "not finite" in message_of(prepared(VECTOR, splits))


def test_numbers_too_large_for_float32(prepared):
    """A float64 beyond float32 would become infinite: it is refused like one."""
    splits = {"train": rows(6), "test": rows(6, wide=1e300)}
    assert "not finite" in message_of(prepared(TABLE, splits))


def test_one_class_only(prepared):
    """Where all labels are one class there is nothing to learn."""
    message = message_of(prepared(VECTOR, {"train": numbers(6, labels=1), "test": numbers(6)}))
    assert "the training split of made: the target 'label' is 0 everywhere" in message
    assert "two classes" in message


@pytest.mark.parametrize(
    ("features", "example"),
    [
        ({"x": np.float32, "y": np.int64}, {"x": 1.0, "y": 1}),
        ({"x": np.float32, "one": CLASS, "two": CLASS}, {"x": 1.0, "one": 1, "two": 2}),
        ({"x": np.float32, "label": np.float32, "target": CLASS}, {"x": 1.0, "label": 1.5, "target": 1}),
    ],
    ids=["numbers only", "two labels", "label and target"],
)
def test_no_label(prepared, features, example):
    """A dataset without one class label is refused, with the features it has."""
    message = message_of(prepared(features, {"train": [example] * 3, "test": [example] * 3}))
    assert "no class label and no numeric target" in message
    assert "'x'" in message
    assert "allowed: supervised_keys that name it" in message


@pytest.mark.parametrize(
    ("feature", "value", "told"),
    [
        (tfds.features.Sequence(CLASS), [1, 2], "a list of ClassLabel"),
        (tfds.features.Sequence(np.float32), [1.0], "a list of"),
        (tfds.features.Tensor(shape=(2,), dtype=np.float32), [1, 2], "number of shape (2,)"),
        (tfds.features.Image(shape=(2, 2, 1)), np.zeros((2, 2, 1), np.uint8), "image of shape (2, 2, 1)"),
    ],
    ids=["many labels", "list of numbers", "two numbers", "image"],
)
@pytest.mark.parametrize("supervised", [None, ("x", "label")])
def test_target_of_many_values(prepared, feature, value, told, supervised):
    """A target that is more than one class or number an example is refused for what it is."""
    given = [{"x": float(index), "label": value} for index in range(3)]
    message = message_of(prepared({"x": np.float32, "label": feature}, {"train": given, "test": given}, supervised))
    assert f"the target 'label' is no single class or number: {told}" in message
    assert "allowed: one class, one text or one number an example" in message


TEN = tfds.features.ClassLabel(names=[str(digit) for digit in range(10)])


@pytest.mark.parametrize(
    ("feature", "values", "task", "labels", "names"),
    [
        (tfds.features.Text(), ["cat", "dog", "cat"], "by_target", [0, 1, 0], ("cat", "dog")),
        (tfds.features.Text(), ["b", "ü", "a"], "classification", [1, 2, 0], ("a", "b", "ü")),
        (np.int64, [5, 3, 8], "classification", [1, 0, 2], ("3", "5", "8")),
        (np.float32, [5.0, 3.0, 3.0], "classification", [1, 0, 0], ("3.0", "5.0")),
        (np.int64, [5, 3, 8], "by_target", [5, 3, 8], ()),
        (tfds.features.Tensor(shape=(1,), dtype=np.float32), [[0.5], [1.5], [1.0]], "by_target", [0.5, 1.5, 1.0], ()),
        (TEN, [7, 2, 9], "regression", [7, 2, 9], ()),
        (tfds.features.ClassLabel(names=["10", "0.5"]), [0, 1, 0], "regression", [10, 0.5, 10], ()),
        (np.bool_, [True, False, True], "by_target", [1, 0, 1], ("false", "true")),
        (np.bool_, [True, False, True], "regression", [1, 0, 1], ()),
    ],
)
def test_target_as_it_is_asked_for(prepared, feature, values, task, labels, names):
    """A target is the classes, or the number, that its type and `data.task` make of it."""
    given = [{"x": float(index), "label": values[index % 3]} for index in range(9)]
    reference = prepared({"x": np.float32, "label": feature}, {"train": given, "test": given})
    dataset = load(replace(reference, reading=Reading(task=task)))
    assert dataset.class_names == names
    assert dataset.num_classes == max(1, len(names))
    order = dataset.train.inputs[:, 0].astype(int)
    assert dataset.train.labels.tolist() == [labels[index % 3] for index in order]


def test_whole_number_says_how_it_is_learnt(prepared):
    """A whole number could be meant as a class: what it is taken for is said, with the setting that makes it one."""
    given = [{"x": float(index), "target": index % 5} for index in range(9)]
    reference = prepared({"x": np.float32, "target": np.int64}, {"train": given, "test": given})
    (note,) = load(reference).notes
    assert "whole numbers from 0 to 4 and is learnt as a number" in note
    assert 'data.task = "classification"' in note
    (note,) = load(replace(reference, reading=Reading(task="classification"))).notes
    assert note == "The values of the target 'target' are 5 classes."


@pytest.mark.parametrize(
    ("feature", "values", "task", "told"),
    [
        (np.float32, [0.5, 1.0], "classification", "the target 'label' has 2 different numbers"),
        (tfds.features.Text(), ["a", "b"], "regression", "the target 'label' has texts"),
        (
            tfds.features.ClassLabel(names=["cat", "dog"]),
            [0, 1],
            "regression",
            "the target 'label' has the classes cat, dog",
        ),
    ],
)
def test_target_that_is_not_of_the_task(prepared, feature, values, task, told):
    """A target is refused where its values cannot be what `data.task` asks for."""
    given = [{"x": float(index), "label": values[index % 2]} for index in range(6)]
    reference = prepared({"x": np.float32, "label": feature}, {"train": given, "test": given})
    message = message_of(replace(reference, reading=Reading(task=task)))
    assert f"data.task: {told}" in message
    assert f"given:   {task}" in message


def test_text_that_training_does_not_have(prepared):
    """A class that stands in the test split alone is refused by its name."""
    train, test = ([{"x": 1.0, "label": name} for name in names] for names in (["cat", "dog"], ["cat", "bird"]))
    message = message_of(prepared({"x": np.float32, "label": tfds.features.Text()}, {"train": train, "test": test}))
    assert "no class of the training split in 1 of 2 examples: 'bird'" in message
    assert "allowed: cat, dog" in message


def test_sequence_of_a_fixed_length(prepared):
    """A sequence of equally many numbers an example is a vector."""
    features = {"x": tfds.features.Sequence(np.float32, length=4), "label": CLASS}
    given = [{"x": [float(index)] * 4, "label": index % 3} for index in range(6)]
    dataset = load(prepared(features, {"train": given, "test": given}))
    assert dataset.columns == ("x[0]", "x[1]", "x[2]", "x[3]")
    assert dataset.input_shape == (4,)


EXACT = tfds.features.Tensor(shape=(), dtype=np.float64, encoding="bytes")


def test_numbers_far_from_zero_keep_what_tells_them_apart(prepared):
    """Numbers of 1e9 and more are centred before they are rounded: what is learnt is what they are near zero."""
    offset = 1e9
    given = [{"a": offset + index, "n": 10**9 + index, "target": offset + index / 4} for index in range(40)]
    reference = prepared({"a": EXACT, "n": np.int64, "target": EXACT}, {"train": given, "test": given})
    dataset = load(reference)
    assert dataset.notes == ()
    index = np.argsort(dataset.train.labels)
    assert (dataset.train.labels[index] - offset).tolist() == [index / 4 for index in range(40)]
    standardization = fit_standardization("per_feature", dataset.train.inputs, np.arange(40))
    centred = ((dataset.train.inputs[index] - standardization.shift) * standardization.scale).astype(np.float32)
    plain = np.arange(40.0)
    expected = (plain - plain.mean()) / plain.std()
    assert np.abs(centred - expected[:, np.newaxis]).max() < 1e-6


def test_numbers_that_were_rounded_when_written(prepared):
    """TFDS writes real numbers in single precision: where that lost what tells them apart, it is said."""
    given = [{"a": index, "target": 1e9 + index} for index in range(200)]
    (note,) = load(prepared({"a": np.float32, "target": np.float64}, {"train": given, "test": given})).notes
    assert "'target'" in note
    assert "4 different ones are left" in note


def test_values_that_single_precision_cannot_hold(prepared):
    """Where even centred numbers have fewer values in single precision, it is said of how many."""
    given = [{"a": 10**12 + 10**9 * (index % 2) + index, "label": index % 3} for index in range(30)]
    (note,) = load(prepared({"a": np.int64, "label": CLASS}, {"train": given, "test": given})).notes
    assert note == "Of 30 different values of 'a', single precision tells 2 apart."


def test_content_is_part_of_the_version(prepared):
    """The version names the content: the same where all is the same, another for any change."""
    versions = [load(prepared(VECTOR, {"train": numbers(9), "test": numbers(6)})).version]
    for changed in ({"label": 1}, {"x": [0.0, 2.0]}):
        others = numbers(9)
        others[0] = others[0] | changed
        shutil.rmtree(prepared.folder)
        versions.append(load(prepared(VECTOR, {"train": others, "test": numbers(6)})).version)
    shutil.rmtree(prepared.folder)
    again = load(prepared(VECTOR, {"train": numbers(9), "test": numbers(6)})).version
    assert again == versions[0]
    assert len(set(versions)) == 3
    assert all(re.fullmatch(r"1\.0\.0\+[0-9a-f]{12}", version) for version in versions)


@pytest.mark.parametrize("file_format", ["array_record", "parquet"])
def test_other_formats(prepared, file_format):
    """What TFDS writes in another format is read as the same data, parts of splits included."""
    features = {"x": tfds.features.Tensor(shape=(2,), dtype=np.float32), "t": tfds.features.Text(), "label": CLASS}
    features |= {"image": tfds.features.Image(shape=(4, 4, 3)), "boxes": tfds.features.Sequence(np.float32)}
    given = [
        {"x": [index, 1.0], "t": "ab"[index % 2], "label": index % 3, "boxes": [1.0] * (index % 3)}
        | {"image": np.full((4, 4, 3), index, np.uint8)}
        for index in range(12)
    ]
    splits = {"train": given, "test": given}
    datasets = []
    for each in ("tfrecord", file_format):
        shutil.rmtree(prepared.folder, ignore_errors=True)
        datasets.append(load(prepared(features, splits, file_format=each)))
    first, other = datasets
    assert other.version == first.version
    assert np.array_equal(other.train.inputs, first.train.inputs)
    assert len(other.train) == len(other.test) == 12


def test_parts_of_splits_in_other_formats(prepared):
    """Parts of splits are read from ArrayRecord, and refused with a way out where TFDS gives all in their place."""
    splits, reading = {"train": numbers(12)}, Reading("train[:9]", "train[9:]")
    dataset = load(replace(prepared(VECTOR, splits, file_format="array_record"), reading=reading))
    assert (len(dataset.train), len(dataset.test)) == (9, 3)
    shutil.rmtree(prepared.folder)
    message = message_of(replace(prepared(VECTOR, splits, file_format="parquet"), reading=reading))
    assert "stored as parquet" in message
    assert "tfds convert_format" in message


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        (tfds.features.Text(), "a word"),
        (tfds.features.Tensor(shape=(None,), dtype=np.float32), [1.0, 2.0]),
        (tfds.features.Sequence(np.float32), [1.0]),
        (tfds.features.Tensor(shape=(), dtype=np.str_), "word"),
    ],
    ids=["text", "unknown length", "sequence", "tensor of text"],
)
def test_no_inputs(prepared, feature, value):
    """A dataset of text or of sequences is refused, with the features it has."""
    given = [{"sentence": value, "label": index % 3} for index in range(6)]
    message = message_of(prepared({"sentence": feature, "label": CLASS}, {"train": given}))
    assert "no image and no numeric features" in message
    assert "sentence" in message


def test_text_beside_numbers(prepared):
    """Text with a value of its own in every row is no category: it is left out, and said to be."""
    given = [each | {"note": f"word {index}"} for index, each in enumerate(numbers(30))]
    dataset = load(prepared(VECTOR | {"note": tfds.features.Text()}, {"train": given, "test": given}))
    assert dataset.input_shape == (2,)
    assert dataset.columns == ("x[0]", "x[1]")
    assert dataset.left_out == ("note",)


@pytest.mark.parametrize(("values", "kept"), [(1, False), (2, True), (20, True), (21, False)])
def test_text_of_few_values(prepared, values, kept):
    """Text of 2 to 20 values in the training split is a category; constant text and free text are left out."""
    given = [each | {"note": f"{index % values:02}"} for index, each in enumerate(numbers(42))]
    dataset = load(prepared(VECTOR | {"note": tfds.features.Text()}, {"train": given, "test": given}))
    expected = [f"note={value:02}" for value in range(values)] if kept else []
    assert dataset.columns == (*expected, "x[0]", "x[1]")
    assert dataset.left_out == (() if kept else ("note",))


MIXED = {
    "colour": tfds.features.ClassLabel(names=["red", "green", "blue"]),
    "town": tfds.features.Text(),
    "tall": np.bool_,
    "age": np.int64,
    "weights": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    "history": tfds.features.Sequence(np.float32),
    "label": tfds.features.ClassLabel(num_classes=2),
}


def mixed(number, **changes):
    return [
        {"colour": index % 3, "town": ["Ulm", "Köln"][index % 2], "tall": index % 4 == 0, "age": index}
        | {"weights": [index / 2, -1.0], "history": [1.0] * (index % 3), "label": index // 2 % 2}
        | changes
        for index in range(number)
    ]


def test_table_of_every_kind(prepared):
    """Categories and short vocabularies are one-hot, the rest numbers, all in the order of names; a sequence is out."""
    dataset = load(prepared(MIXED, {"train": mixed(12), "test": mixed(6, town="Bonn")}))
    assert dataset.columns == (
        *("age", "colour=red", "colour=green", "colour=blue"),
        *("tall", "town=Köln", "town=Ulm", "weights[0]", "weights[1]"),
    )
    assert dataset.left_out == ("history",)
    assert dataset.task == "binary"
    assert dataset.train.inputs.dtype == np.float32
    rows = {int(row[0]): row.tolist() for row in dataset.train.inputs}
    assert rows[4] == [4, 0, 1, 0, 1, 0, 1, 2, -1]
    assert rows[11] == [11, 0, 0, 1, 0, 1, 0, 5.5, -1]
    assert len(rows) == 12
    # A town that the training split does not know is none of those that it knows.
    assert (dataset.test.inputs[:, 5:7] == 0).all()
    assert (dataset.test.inputs[:, 1:4].sum(axis=1) == 1).all()


def test_category_that_is_missing(prepared):
    """A missing category, stored as -1, is refused with its feature and how often it is missing."""
    message = message_of(prepared(MIXED, {"train": mixed(12), "test": mixed(6, colour=-1)}))
    assert "the test split of made: feature 'colour' is out of range in 6 of 6 examples: -1" in message
    assert "allowed: 0 to 2" in message


def nested(number, **changes):
    return [
        {"features": {"b": float(index), "a": 2.0 * index, "kind": index % 2}, "other": 1.0, "score": index} | changes
        for index in range(number)
    ]


NESTED = {
    "features": {"b": np.float32, "a": np.float64, "kind": tfds.features.ClassLabel(num_classes=2)},
    "other": np.float32,
    "score": np.int32,
}


def test_nested_features(prepared):
    """A group of features that supervised_keys names, as in TFDS's own tables, is the input; a number the target."""
    dataset = load(prepared(NESTED, {"train": nested(9), "test": nested(6)}, supervised=("features", "score")))
    assert dataset.columns == ("features/a", "features/b", "features/kind=0", "features/kind=1")
    assert dataset.left_out == ("other",)
    assert (dataset.task, dataset.num_classes) == ("regression", 1)
    assert dataset.train.labels.dtype == np.float64
    assert sorted(dataset.train.labels.tolist()) == list(range(9))
    assert np.array_equal(dataset.train.inputs[:, 1], dataset.train.labels)


def test_supervised_keys_in_a_dictionary(prepared):
    """Inputs that supervised_keys names one by one are used, and no others."""
    features = {"a": np.float32, "b": np.float32, "c": np.float32, "y": np.bool_}
    given = [{"a": index, "b": -index, "c": 9.0, "y": index % 2 == 1} for index in range(6)]
    dataset = load(prepared(features, {"train": given, "test": given}, supervised=({"b": "b", "a": "a"}, "y")))
    assert dataset.columns == ("a", "b")
    assert dataset.left_out == ("c",)
    assert (dataset.task, dataset.num_classes, dataset.train.labels.dtype) == ("binary", 2, np.int32)
    assert np.array_equal(dataset.train.inputs[:, 0] % 2, dataset.train.labels)


@pytest.mark.parametrize(
    ("label", "task", "num_classes", "dtype"),
    [
        (tfds.features.ClassLabel(num_classes=10), "classification", 10, np.int32),
        (CLASS, "classification", 3, np.int32),
        (tfds.features.ClassLabel(num_classes=2), "binary", 2, np.int32),
        (np.bool_, "binary", 2, np.int32),
        (np.float32, "regression", 1, np.float64),
        (np.float64, "regression", 1, np.float64),
        (np.int64, "regression", 1, np.float64),
    ],
    ids=["10 classes", "3 classes", "2 classes", "boolean", "float32", "float64", "int64"],
)
@pytest.mark.parametrize("name", ["label", "target"])
def test_task(prepared, name, label, task, num_classes, dtype):
    """The type of the label alone tells the task, under either of its names."""
    given = [{"x": float(index), "group": index % 2, name: index % 2} for index in range(6)]
    features = {"x": np.float32, "group": CLASS, name: label}
    dataset = load(prepared(features, {"train": given, "test": given}))
    assert (dataset.task, dataset.num_classes) == (task, num_classes)
    assert dataset.task in get_args(Task)
    assert dataset.train.labels.dtype == dtype
    assert dataset.columns == ("group=0", "group=1", "group=2", "x")
    assert np.array_equal(dataset.train.labels, dataset.train.inputs[:, -1] % 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("split", ["train", "test"])
def test_target_that_is_not_finite(prepared, split, value):
    """A missing or infinite target is refused with split, feature and count."""
    splits = {"train": nested(6), "test": nested(6)}
    splits[split][1]["score"] = splits[split][3]["score"] = value
    message = message_of(prepared(NESTED | {"score": np.float64}, splits, supervised=("features", "score")))
    part = "training" if split == "train" else "test"
    assert f"the {part} split of made: the target 'score' is missing or not finite in 2 of 6 examples" in message


@pytest.mark.parametrize("split", ["train", "test"])
def test_constant_target(prepared, split):
    """A target that is the same number everywhere is refused: there is nothing to learn, or to explain."""
    splits = {"train": nested(6), "test": nested(6)} | {split: nested(6, score=7)}
    message = message_of(prepared(NESTED, splits, supervised=("features", "score")))
    assert "the target 'score' is 7 everywhere" in message
    assert "at least two values" in message


def test_missing_numbers_are_counted(prepared):
    """A feature with missing values is named, with its split and how many examples lack it; nothing is filled in."""
    splits = {"train": rows(9), "test": rows(6)}
    for index in (0, 4, 5):
        splits["train"][index]["height"] = np.nan
    message = message_of(prepared(TABLE, splits))
    assert "the training split of made: feature 'height' is missing or not finite in 3 of 9 examples" in message
    assert "allowed: finite numbers" in message


def test_stated_input_that_cannot_be_used(prepared):
    """Where the dataset says that a sequence is its input, no other feature is taken in its place."""
    features = {"words": tfds.features.Sequence(np.float32), "index": np.int64, "label": CLASS}
    given = [{"words": [1.0], "index": index, "label": index % 3} for index in range(6)]
    message = message_of(prepared(features, {"train": given, "test": given}, supervised=("words", "label")))
    assert "no image and no numeric features; its features: ['words']" in message


def test_features_that_are_not_read(prepared):
    """What lies beside an image, of any length, is neither read nor in the way."""
    features = {"boxes": tfds.features.Sequence(np.float32), "image": tfds.features.Image(shape=(2, 2, 1))}
    given = [{"boxes": [0.5] * index, "image": np.zeros((2, 2, 1), np.uint8), "label": index % 3} for index in range(6)]
    dataset = load(prepared(features | {"label": CLASS}, {"train": given, "test": given}))
    assert dataset.input_shape == (2, 2, 1)
    assert dataset.columns == ()
    assert dataset.left_out == ("boxes",)


def test_no_training_split(prepared):
    """A dataset without a training split is refused, with the splits it has."""
    message = message_of(prepared(VECTOR, {"test": numbers(6), "other": numbers(6)}))
    assert "no training split" in message
    assert "other" in message


@pytest.mark.parametrize("number", [1, 2, 4])
def test_too_few_examples_to_hold_any_out(prepared, number):
    """A dataset without a test split and with fewer than five examples is refused, not stumbled over."""
    message_of(prepared(VECTOR, {"train": numbers(number)}))


def test_damaged_data(prepared):
    """Prepared data that are cut short are refused with the folder they lie in."""
    reference = prepared(VECTOR, {"train": numbers(60), "test": numbers(6)})
    (record,) = reference.directory.glob("*train.tfrecord*")
    record.write_bytes(record.read_bytes()[:-40])
    assert str(reference.directory) in message_of(reference)


@pytest.mark.parametrize("content", ["", "{}", "[]", "not JSON"])
@pytest.mark.parametrize("name", ["dataset_info.json", "features.json"])
def test_damaged_description(prepared, name, content):
    """A dataset whose description is damaged is refused with the folder it lies in."""
    reference = prepared(VECTOR, {"train": numbers(6), "test": numbers(6)})
    (reference.directory / name).write_text(content)
    message_of(reference)


def test_download_that_fails(tmp_path, monkeypatch):
    """A dataset that is not prepared and cannot be downloaded: name, folder, reason and remedy."""

    class Unreachable:
        def download_and_prepare(self):
            raise ConnectionError("no route to host\nmore lines")

    reference = find_dataset("mnist", tmp_path, tmp_path / "runs")
    monkeypatch.setattr(tfds, "builder", lambda *_, **__: Unreachable())
    with pytest.raises(DatasetError) as caught:
        prepare(reference)
    message = str(caught.value)
    assert "mnist is not prepared" in message
    assert str(tmp_path) in message
    assert "no route to host" in message
    assert "more lines" not in message
    assert "tfds build mnist" in message
    assert "--data-dir" in message


def test_prepared_data_are_not_downloaded(prepared, monkeypatch):
    """What lies prepared is read as it is: no builder is asked for."""
    reference = prepared(VECTOR, {"train": numbers(9), "test": numbers(6)})
    monkeypatch.setattr(tfds, "builder", lambda *_, **__: pytest.fail("a builder was asked for"))
    prepare(reference)
    assert len(load(reference).train) == 9


SUITE = """
name = "versions"
datasets = {datasets}
seeds = 1
[model]
variant = "linear"
[train]
epochs = 2
stop_after = 1
batch_size = 8
[data]
validation_fraction = 0
standardize = "none"
[factors]
"train.learning_rate" = [0.01, 0.1]
"""


class Silent:
    """An observer that takes no notice."""

    def moved(self, runs_under_way):
        pass

    def run_done(self, run, result):
        pass

    def run_done_elsewhere(self, run):
        pass


@pytest.mark.usefixtures("engine")
def test_each_version_trains_on_its_own_data(prepared, tmp_path):
    """In a suite over two versions of a dataset, each run has the result that it has in a suite of its own."""

    def labelled(flip):
        return [{"x": [float(index % 2), 1.0], "label": (index + flip) % 2} for index in range(40)]

    for version, test_flip in (("1.0.0", 0), ("2.0.0", 1)):
        prepared(VECTOR, {"train": labelled(0), "test": labelled(test_flip)}, version=version)
    metrics = {}
    for name in ("alone", "together"):
        suites = [["made:1.0.0"], ["made:2.0.0"]] if name == "alone" else [["made:1.0.0", "made:2.0.0"]]
        for datasets in suites:
            path = tmp_path / "suite.toml"
            path.write_text(SUITE.format(datasets=json.dumps(datasets)), encoding="utf-8")
            for dataset in datasets:  # else a worker reads it, and imports TensorFlow for it
                load_decoded(find_dataset(dataset, tmp_path, tmp_path / name), tmp_path / name)
            plan = make_plan(path, tmp_path / name, tmp_path)
            store = Store.create_or_open(tmp_path / name)
            run_missing(plan, store, Silent())
            assert not (tmp_path / name / ".states").exists(), "no search goes on from what ends early"
            stored = store.runs(run.key for run in plan.runs).values()
            metrics.setdefault(name, {}).update(
                {(each.dataset_version[:5], each.settings["train.learning_rate"]): each.metrics for each in stored}
            )
            store.close()
    assert len(metrics["alone"]) == 4
    losses = {name: {key: each["test_loss"] for key, each in found.items()} for name, found in metrics.items()}
    assert losses["alone"]["1.0.0", 0.1] != losses["alone"]["2.0.0", 0.1]
    assert losses["together"] == losses["alone"]


def _read(plan, store):
    """As `with_data`, without a process for it."""
    return plan.with_data(
        {name: load_decoded(each, store.folder).version for name, each in plan.references.items()}, store
    )


@pytest.mark.usefixtures("engine")
def test_data_prepared_anew_are_trained_on_anew(prepared, tmp_path):
    """Other labels under the same name and version are other data: what was trained on the former does not count."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.format(datasets='["made"]'), encoding="utf-8")
    store = Store.create_or_open(tmp_path / "runs")
    keys = []
    for flip in (1, 0, 1):
        shutil.rmtree(prepared.folder, ignore_errors=True)
        given = [{"x": [float(index % 2), 1.0], "label": (index + flip) % 2} for index in range(40)]
        prepared(VECTOR, {"train": given, "test": given})
        plan = make_plan(path, tmp_path / "runs", tmp_path)
        assert plan.unread == ["made"]
        assert len(plan.missing) == len(plan.runs)
        read = with_data(plan, store.folder, store) if len(keys) == 1 else _read(plan, store)
        assert len(read.missing) == (0 if len(keys) == 2 else len(plan.runs))
        told = list(read.changed_data(store))
        assert len(told) == bool(keys)
        assert all("The data of made have changed since this suite was run" in sentence for sentence in told)
        keys.append({run.key for run in run_missing(read, store, Silent()).runs})
        assert not make_plan(path, tmp_path / "runs", tmp_path).missing
    assert keys[0] == keys[2]
    assert not keys[0] & keys[1]
    assert len(store.statuses(keys[0] | keys[1])) == 2 * len(plan.runs)
    store.close()


@pytest.mark.usefixtures("engine")
def test_data_that_change_meanwhile_are_refused(prepared, tmp_path):
    """Runs are neither trained nor exported with other data than those that they were planned on."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.format(datasets='["made"]'), encoding="utf-8")
    store = Store.create_or_open(tmp_path / "runs")
    for flip in (0, 1):
        shutil.rmtree(prepared.folder, ignore_errors=True)
        given = [{"x": [float(index % 2), 1.0], "label": (index + flip) % 2} for index in range(40)]
        load_decoded(prepared(VECTOR, {"train": given, "test": given}), tmp_path / "runs")
        if not flip:
            plan = run_missing(make_plan(path, tmp_path / "runs", tmp_path), store, Silent())
    with pytest.raises(DatasetError, match="made has changed while its runs were planned"):
        run_missing(plan.changed(seeds=[7]).renewed(store), store, Silent())
    key = plan.runs[0].key
    with pytest.raises(DatasetError, match=f"is not what run {key} was trained on"):
        load_dataset(store.runs([key])[key], store, tmp_path)
    store.close()


@pytest.mark.usefixtures("engine")
def test_data_that_are_elsewhere_are_as_they_were(prepared, tmp_path):
    """Where the data of a suite are not on this machine, what was trained on them counts, and nothing is read."""
    given = [{"x": [float(index % 2), 1.0], "label": index % 2} for index in range(40)]
    prepared(VECTOR, {"train": given, "test": given})
    path = tmp_path / "suite.toml"
    path.write_text(SUITE.format(datasets='["made"]'), encoding="utf-8")
    store = Store.create_or_open(tmp_path / "runs")
    run_missing(_read(make_plan(path, tmp_path / "runs", tmp_path), store), store, Silent())
    bucket = f"memory://{tmp_path.name}"
    with fsspec.open(f"{bucket}/made/1.0.0/dataset_info.json", "w") as file:
        file.write("{}")
    shutil.rmtree(tmp_path / "runs" / ".decoded")
    plan = make_plan(path, tmp_path / "runs", Path(bucket))
    assert plan.references["made"].origin == "bucket"
    assert plan.unread == ["made"]
    assert not plan.missing
    store.close()


def test_decoded_dataset_is_the_dataset(tmp_path):
    """Decoded into files, a dataset is what it is in memory; the second time the files alone are read."""
    reference = find_dataset("digits", tmp_path / "none", tmp_path)
    prepare(reference)
    plain, decoded = load(reference), load_decoded(reference, tmp_path)
    again = open_prepared(reference, tmp_path)
    for one in (decoded, again):
        for split in ("train", "test"):
            expected, found = getattr(plain, split), getattr(one, split)
            assert np.array_equal(expected.inputs, found.inputs)
            assert expected.inputs.dtype == found.inputs.dtype
            assert np.array_equal(expected.labels, found.labels)
        assert isinstance(one.train.inputs, np.memmap)
        facts = ("name", "version", "num_classes", "test_split", "columns", "left_out", "input_shape", "task")
        assert all(getattr(one, fact) == getattr(plain, fact) for fact in facts)


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_decoded_table(name, tmp_path):
    """A table of several features is decoded to the columns that it has in memory."""
    reference = find_dataset(name, tmp_path / "none", tmp_path)
    prepare(reference)
    plain, decoded = load(reference), load_decoded(reference, tmp_path)
    assert np.array_equal(plain.train.inputs, decoded.train.inputs)
    assert np.array_equal(plain.test.labels, decoded.test.labels)
    assert plain.columns == decoded.columns


def test_changed_records_are_decoded_again(tmp_path):
    """A decoded dataset whose records changed is not used any more, and gives way."""
    reference = find_dataset("wine", tmp_path / "none", tmp_path)
    prepare(reference)
    load_decoded(reference, tmp_path)
    before = decoded_folder(reference, tmp_path)
    (record, *_) = sorted(reference.directory.glob("*tfrecord*"))
    os.utime(record, ns=(1, 1))
    assert open_prepared(reference, tmp_path) is None
    load_decoded(reference, tmp_path)
    assert not before.exists()
    assert decoded_folder(reference, tmp_path).exists()


def test_copies_of_a_dataset_are_decoded_side_by_side(tmp_path):
    """Of two copies of one dataset, each with times of its own, decoding one leaves the other's runner its files."""
    reference = find_dataset("wine", tmp_path / "none", tmp_path)
    prepare(reference)
    copies = [replace(reference, data_dir=tmp_path / name) for name in ("one", "two")]
    for number, copy in enumerate(copies):
        shutil.copytree(reference.directory, copy.directory)
        (record, *_) = sorted(copy.directory.glob("*tfrecord*"))
        os.utime(record, ns=(number, number))
        load_decoded(copy, tmp_path)
    assert all(open_prepared(copy, tmp_path) for copy in copies)


def test_decoded_datasets_move_with_their_runs_folder(tmp_path):
    """A runs folder that is moved as a whole has its embedded datasets decoded still."""
    reference = find_dataset("wine", tmp_path / "none", tmp_path / "here")
    prepare(reference)
    load_decoded(reference, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert open_prepared(find_dataset("wine", tmp_path / "none", tmp_path / "there"), tmp_path / "there")


def test_two_decode_at_once(tmp_path):
    """Of two processes that decode one dataset, the slower leaves what the faster has put there if that is whole."""
    reference = find_dataset("wine", tmp_path / "none", tmp_path)
    prepare(reference)
    folder = decoded_folder(reference, tmp_path)

    def slower(allocate):
        load_decoded(reference, tmp_path)
        there.append(folder.stat().st_ino)
        return load(reference, allocate)

    there = []
    write_decoded(folder, slower)
    assert folder.stat().st_ino == there[0]
    os.truncate(next(folder.glob("*.npy")), 10)
    load_decoded(reference, tmp_path)
    assert open_prepared(reference, tmp_path)
    assert len(list(folder.parent.iterdir())) == 1


def test_killed_decoding_leaves_nothing_that_is_used(tmp_path):
    """A dataset is there as a whole or not at all; what a killed process left goes after a day."""
    reference = find_dataset("wine", tmp_path / "none", tmp_path)
    prepare(reference)
    folder = decoded_folder(reference, tmp_path)
    with pytest.raises(ZeroDivisionError):
        write_decoded(folder, lambda allocate: (allocate((3,), np.float32), 1 / 0))
    assert not list(folder.parent.iterdir())
    left = folder.parent / ".part-of-a-killed-process"
    left.mkdir()
    os.utime(left, (time.time() - 90_000,) * 2)
    load_decoded(reference, tmp_path)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_split_with_fewer_examples_than_its_metadata_say(tmp_path):
    """Records that were lost are an error, and not a smaller dataset."""
    reference = find_dataset("wine", tmp_path / "none", tmp_path)
    prepare(reference)
    path = reference.directory / "dataset_info.json"
    facts = json.loads(path.read_text())
    for split in facts["splits"]:
        split["shardLengths"] = [str(int(length) + 1) for length in split["shardLengths"]]
    path.write_text(json.dumps(facts))
    with pytest.raises(DatasetError, match="expected to contain 145 elements but contained only 144"):
        load(reference)
