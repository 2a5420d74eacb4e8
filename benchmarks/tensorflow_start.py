"""Importing TensorFlow without the lines that it prints on every start."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def import_tensorflow(threads: int | None = None, worker: int | None = None) -> None:
    """Import TensorFlow and silence its start-up chatter; warnings and errors of later work still come through.

    Args:
        threads: how many threads share the work of one operation; by default as many as there are cores.
        worker: number of this process, if it is one of several: each has one of the GPUs, in turn.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _no_standard_error():
        import tensorflow as tf

        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)

        # TensorFlow looks for devices on first use, and says on the way what it did not find.
        devices = tf.config.list_physical_devices()
        _set_up_gpus(tf.config, [device for device in devices if device.device_type == "GPU"], worker)
    # "Using a while_loop for converting ...": true of dropout's random numbers, and cheap.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


_CHANGE_RESULTS = (
    "KERAS_BACKEND",
    "KERAS_NNX_ENABLED",
    "NVIDIA_TF32_OVERRIDE",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
"""Variables of a user's environment that would change what is computed, or with what."""


def import_for_training(threads: int | None = None, worker: int | None = None) -> None:
    """Import TensorFlow and Keras so that neither the user's Keras file nor the environment changes a result.

    Args:
        threads: as of `import_tensorflow`.
        worker: likewise.
    """
    for name in _CHANGE_RESULTS:
        os.environ.pop(name, None)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import_tensorflow(threads, worker)
    with _no_standard_error():
        import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def _set_up_gpus(config: Any, gpus: Sequence[Any], worker: int | None) -> None:
    """Have sums come out the same at each call, and leave room for other processes.

    By itself TensorFlow takes all memory of every GPU, and computes on the first.
    """
    if gpus:
        config.experimental.enable_op_determinism()
    for gpu in gpus:
        config.experimental.set_memory_growth(gpu, True)
    if gpus and worker is not None:
        config.set_visible_devices(gpus[worker % len(gpus)], "GPU")


@contextmanager
def no_deprecations_of_tfds() -> Iterator[None]:
    """Keep back what TFDS 4.9 warns of when it calls its own deprecated parts, once for every column of a table."""
    log = logging.getLogger("absl")

    def is_news(record: logging.LogRecord) -> bool:
        return "`FeatureConnector.dtype` is deprecated" not in record.getMessage()

    log.addFilter(is_news)
    try:
        yield
    finally:
        log.removeFilter(is_news)


@contextmanager
def _no_standard_error() -> Iterator[None]:
    """Point file descriptor 2 elsewhere: TensorFlow's C++ code writes to it before its log level is read."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
