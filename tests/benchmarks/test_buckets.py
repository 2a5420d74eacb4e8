"""Datasets in buckets: found and copied through fsspec, here from its own bucket in memory."""

import os
import time
from pathlib import Path
from uuid import uuid4

import fsspec
import numpy as np
import pytest

from benchmarks.data.buckets import bucket_of
from benchmarks.data.catalog import DatasetReference, find_dataset, prepared_datasets
from benchmarks.data.loading import load
from benchmarks.data.preparing import prepare
from benchmarks.errors import DatasetError


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """A bucket that holds the digits under another name, in two versions, and what is no dataset."""
    folder = tmp_path_factory.mktemp("runs")
    reference = find_dataset("digits", folder / "none", folder)
    prepare(reference)
    address, memory = f"memory://{uuid4().hex}", fsspec.filesystem("memory")
    for version in ("1.9.0", "1.10.0"):
        memory.put(f"{reference.directory}/", f"{address}/tfds/handwriting/{version}/", recursive=True)
    memory.put(f"{reference.directory}/", f"{address}/tfds/group/part/0.1.0/", recursive=True)
    memory.pipe(f"{address}/tfds/downloads/1.0.0/other.json", b"{}")
    yield Path(f"{address}/tfds")
    memory.rm(address, recursive=True)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("gs://bucket/tfds", "gs://bucket/tfds"),
        ("s3://bucket", "s3://bucket"),
        ("/data/tfds", None),
        ("data", None),
        ("C:/data", None),
        ("runs:old/data", None),
    ],
)
def test_which_folders_are_buckets(given, address):
    """An address of two slashes is one, also after a path has folded them; folders and drives are none."""
    assert bucket_of(Path(given)) == address


def test_newest_version_is_found_and_copied(bucket, tmp_path, digits):
    """Of several versions the newest is copied into the runs folder, whole, and reads as the dataset that it is."""
    found = find_dataset("handwriting", bucket, tmp_path)
    assert (found.name, found.version, found.origin) == ("handwriting", "1.10.0", "bucket")
    assert found.directory == tmp_path / ".datasets" / "handwriting" / "1.10.0"
    prepare(found)
    assert [path.name for path in found.directory.parent.iterdir()] == ["1.10.0"]
    np.testing.assert_array_equal(load(found).train.inputs, digits.train.inputs)


def test_copied_once(bucket, tmp_path):
    """What has been copied is not read from the bucket again."""
    found = find_dataset("handwriting:1.9.0", bucket, tmp_path)
    prepare(found)
    gone = DatasetReference(found.name, found.version, "bucket", found.data_dir, "memory://nowhere")
    prepare(gone)


def test_all_of_a_bucket(bucket):
    """The datasets of a bucket are listed with their newest versions, those with a config too."""
    listed = {(each.name, each.version, each.origin) for each in prepared_datasets(bucket)}
    assert listed == {("handwriting", "1.10.0", "bucket"), ("group/part", "0.1.0", "bucket")}


def test_embedded_ones_need_no_bucket(bucket, tmp_path):
    """Those that come along are taken from here."""
    assert find_dataset("wine", bucket, tmp_path).origin == "embedded"


@pytest.mark.parametrize(
    ("name", "address", "told"),
    [
        ("handwritin", None, ["no such dataset", "nearest: handwriting"]),
        ("handwriting:2.0.0", None, ["no such version", "allowed: 1.9.0, 1.10.0"]),
        ("mnist", "nowhere://bucket", ["nowhere://bucket cannot be read", "Protocol not known"]),
    ],
)
def test_what_is_not_there(bucket, name, address, told, tmp_path):
    """The error says what was given, and what there is."""
    with pytest.raises(DatasetError) as caught:
        find_dataset(name, Path(address) if address else bucket, tmp_path)
    for each in told:
        assert each in str(caught.value)


def test_copy_that_breaks_leaves_nothing(bucket, tmp_path, monkeypatch):
    """Where the bucket breaks off in the middle, no part of a dataset looks like a whole one."""
    found = find_dataset("handwriting", bucket, tmp_path)

    def broken(*given, **_):
        Path(given[-1], "dataset_info.json").write_text("{}")
        raise ConnectionError("the line is dead")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.get", broken)
    with pytest.raises(DatasetError, match="the line is dead"):
        prepare(found)
    assert list(found.directory.parent.iterdir()) == []


def test_copy_that_was_killed_goes_with_the_next(bucket, tmp_path):
    """What a process left that was killed a day ago, while it copied, is removed."""
    found = find_dataset("handwriting", bucket, tmp_path)
    left = found.directory.parent / ".part-of-a-killed-process"
    left.mkdir(parents=True)
    os.utime(left, (time.time() - 90_000,) * 2)
    prepare(found)
    assert [path.name for path in found.directory.parent.iterdir()] == [found.version]
