"""Buckets of datasets: gs://, s3:// and whatever else fsspec reaches. They are copied once, and read as files.

Copies and not streams: every epoch reads all of a dataset, in an order of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.data.folders import appearing
from benchmarks.errors import DatasetError, first_line


def bucket_of(data_dir: Path) -> str | None:
    """The address of a bucket that was given as a data folder; None for a folder of this machine."""
    # `Path` folds the two slashes of an address into one. A scheme has two letters at least: C:/ is a drive.
    found = re.fullmatch(r"([a-z][a-z0-9]+):/{1,2}([^/].*)", data_dir.as_posix())
    return f"{found[1]}://{found[2]}" if found else None


def datasets_in(bucket: str, pattern: str = "*") -> list[tuple[str, str]]:
    """Name and version of each prepared dataset of a TFDS folder in a bucket, those of one name or `*` or `*/*`.

    Raises:
        DatasetError: the bucket cannot be read.
    """
    with _reading(bucket) as (files, root):
        found = files.glob(f"{root}/{pattern}/*/dataset_info.json")
    inside = [str(path).removesuffix("/dataset_info.json").removeprefix(f"{root}/") for path in found]
    return [(name, version) for name, _, version in (path.rpartition("/") for path in inside)]


def copy_dataset(bucket: str, name: str, version: str, folder: Path) -> None:
    """Copy a prepared dataset into a folder, which appears as a whole once all of it is there.

    Raises:
        DatasetError: the bucket cannot be read.
    """
    with appearing(folder) as part, _reading(bucket) as (files, root):
        files.get(f"{root}/{name}/{version}/", f"{part}/", recursive=True)


@contextmanager
def _reading(bucket: str) -> Iterator[tuple[Any, str]]:
    """The file system of a bucket, and the place in it, without a slash at its end."""
    # Whoever reads no bucket need not wait for it.
    from fsspec.core import url_to_fs

    try:
        files, root = url_to_fs(bucket)
        yield files, root.rstrip("/")
    except ImportError as error:
        raise DatasetError(
            f"--data-dir: what reads {bucket} is not installed\n  reason:  {error}\n"
            '  remedy:  pip install "ablation-zoo[buckets]", for gs:// and s3://'
        ) from error
    except Exception as error:  # each kind of bucket has its own
        raise DatasetError(f"--data-dir: {bucket} cannot be read\n  reason:  {first_line(error)}") from error
