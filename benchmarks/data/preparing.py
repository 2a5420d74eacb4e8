"""Preparing of datasets on disk, by TFDS: downloaded, copied from a bucket, or generated."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import sys
from collections.abc import Iterator

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader

from benchmarks.data.buckets import copy_dataset
from benchmarks.data.catalog import EMBEDDED, DatasetReference
from benchmarks.errors import DatasetError, first_line
from benchmarks.tensorflow_start import no_deprecations_of_tfds


@no_deprecations_of_tfds()
def prepare(reference: DatasetReference) -> None:
    """Make sure that the dataset lies on disk, downloading, copying or generating it where it is missing.

    Raises:
        DatasetError: it is missing and cannot be had.
    """
    if reference.origin == "prepared" or (reference.directory / "dataset_info.json").exists():
        return
    if reference.origin == "bucket":
        copy_dataset(reference.bucket, reference.name, reference.version, reference.directory)
        return
    if reference.origin == "embedded":
        importlib.import_module(f"benchmarks.data.embedded.{EMBEDDED[reference.name].module}")
        tfds.disable_progress_bar()
    # TFDS announces a download also where it only generates.
    announcements = io.StringIO() if reference.origin == "embedded" else sys.stderr
    try:
        with contextlib.redirect_stdout(announcements), _few_retries():
            builder = tfds.builder(f"{reference.name}:{reference.version}", data_dir=str(reference.data_dir))
            builder.download_and_prepare()
    except Exception as error:
        if (reference.directory / "dataset_info.json").exists():
            return  # another process was faster
        if reference.origin == "embedded":
            message = (
                f"datasets: {reference.name} could not be written to {reference.data_dir}: {first_line(error)[:300]}"
            )
            raise DatasetError(message) from error
        raise DatasetError(
            f"datasets: {reference.name} is not prepared in {reference.data_dir} and could not be downloaded\n"
            f"  reason:  {first_line(error)[:300]}\n"
            f"  remedy:  prepare it where there is a network, with `tfds build {reference.name}`, and name its folder "
            "with --data-dir or TFDS_DATA_DIR"
        ) from error


@contextlib.contextmanager
def _few_retries() -> Iterator[None]:
    """Let TFDS give up a download after seconds: its own ten retries keep a person without a network for minutes."""
    log = logging.getLogger("urllib3.connectionpool")
    kept, kept_level = downloader.MAX_RETRIES, log.level
    downloader.MAX_RETRIES = 4
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        downloader.MAX_RETRIES = kept
        log.setLevel(kept_level)
