"""Catalog: where a dataset is, embedded, prepared on disk, or to be downloaded; told without TensorFlow and TFDS."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmarks.data.buckets import bucket_of, datasets_in
from benchmarks.errors import DatasetError
from benchmarks.settings.data import Reading
from benchmarks.tensorflow_start import import_tensorflow
from zoo.settings import Problem, nearest


@dataclass(frozen=True)
class EmbeddedDataset:
    """A TFDS builder of this project, over data that an installed package brings along."""

    version: str
    module: str
    """In `benchmarks.data.embedded`."""
    summary: str


EMBEDDED: dict[str, EmbeddedDataset] = {
    "digits": EmbeddedDataset("1.0.0", "digits", "1,797 grey 8x8 handwritten digits, 10 classes (scikit-learn)"),
    "shapes": EmbeddedDataset("1.0.0", "shapes", "10,000 colour 32x32 images of drawn shapes, 10 classes (generated)"),
    "spirals": EmbeddedDataset("1.0.0", "spirals", "5,000 points in the plane on five spiral arms (generated)"),
    "wine": EmbeddedDataset("1.0.0", "tables", "178 wines with 13 measurements, 3 cultivars (scikit-learn)"),
    "breast_cancer": EmbeddedDataset(
        "1.0.0", "tables", "569 breast masses with 30 measurements, 2 classes (scikit-learn)"
    ),
    "diabetes": EmbeddedDataset("1.0.0", "tables", "442 patients with 10 measurements, regression (scikit-learn)"),
}
"""Datasets that need no download."""

Origin = Literal["embedded", "prepared", "download", "bucket"]


@dataclass(frozen=True)
class DatasetReference:
    """A dataset in one version, and where it comes from."""

    name: str
    """TFDS name, with its config where it has one: `mnist`, `glue/cola`."""
    version: str
    origin: Origin
    data_dir: Path
    """The TFDS folder that holds it, or will."""
    bucket: str = ""
    """Address of the TFDS folder that it is copied from, where it lies in a bucket."""
    reading: Reading = field(default_factory=Reading)

    @property
    def directory(self) -> Path:
        """The folder of this very version."""
        return self.data_dir / self.name / self.version


def default_data_dir() -> Path:
    """The folder that TFDS uses when nobody names one.

    Raises:
        DatasetError: there is no home folder to look in, as in containers.
    """
    try:
        return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    except RuntimeError:
        message = "datasets: this user has no home folder, where TFDS looks\n  allowed: --data-dir or TFDS_DATA_DIR"
        raise DatasetError(message) from None


def find_dataset(name: str, data_dir: Path, runs_dir: Path, reading: Reading | None = None) -> DatasetReference:
    """Find a dataset by the name that a suite gives it.

    Args:
        name: TFDS name, optionally with a config and a version: `mnist`, `mnist:3.0.1`, `glue/cola`.
        data_dir: the TFDS folder of prepared datasets, or the address of one in a bucket, such as gs://bucket/tfds.
        runs_dir: the runs folder; embedded datasets are prepared in it, since `data_dir` may be read-only, and those
            of a bucket are copied into it.
        reading: how it is to be read, where not in the usual way.

    Raises:
        DatasetError: no dataset has this name, or not this version.
    """
    found = _find(name, data_dir, runs_dir)
    return replace(found, reading=reading) if reading else found


def _find(name: str, data_dir: Path, runs_dir: Path) -> DatasetReference:
    bare, _, pinned = name.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?", bare) or ".." in bare:
        raise DatasetError(f"datasets: {name!r} is not a TFDS name, such as 'mnist', 'mnist:3.0.1' or 'glue/cola'")
    if bare in EMBEDDED:
        version = EMBEDDED[bare].version
        _check_pinned(bare, pinned, [version])
        return DatasetReference(bare, version, "embedded", runs_dir / ".datasets")
    if bucket := bucket_of(data_dir):
        return _find_in_bucket(bare, pinned, bucket, runs_dir)
    if prepared := _find_prepared(bare, pinned, data_dir):
        return prepared
    full_name, version = _find_downloadable(bare, data_dir)
    if prepared := _find_prepared(full_name, pinned, data_dir):
        return prepared
    _check_pinned(full_name, pinned, [*_prepared_versions(data_dir / full_name), version])
    return DatasetReference(full_name, version, "download", data_dir)


def prepared_datasets(data_dir: Path) -> list[DatasetReference]:
    """The datasets that lie prepared in a TFDS folder or bucket, newest version of each."""
    if bucket := bucket_of(data_dir):
        there = sorted({*datasets_in(bucket, "*"), *datasets_in(bucket, "*/*")})
        named = {name: _sorted_versions(version for other, version in there if other == name) for name, _ in there}
        return [DatasetReference(name, each[-1], "bucket", data_dir, bucket) for name, each in named.items() if each]
    if not data_dir.is_dir():
        return []
    folders = [path for depth in ("*", "*/*") for path in sorted(data_dir.glob(depth)) if path.is_dir()]
    named = {path.relative_to(data_dir).as_posix(): _prepared_versions(path) for path in folders}
    return [DatasetReference(name, each[-1], "prepared", data_dir) for name, each in named.items() if each]


def _prepared_versions(folder: Path) -> list[str]:
    return _sorted_versions(path.parent.name for path in folder.glob("*/dataset_info.json"))


def _sorted_versions(names: Iterable[str]) -> list[str]:
    """Those of these names that are versions, the newest last."""
    versions = [name for name in names if re.fullmatch(r"\d+\.\d+\.\d+", name)]
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


def _check_pinned(name: str, pinned: str, known: list[str]) -> None:
    if pinned and pinned not in known:
        allowed = ", ".join(dict.fromkeys(known))
        raise DatasetError(str(Problem("datasets", "no such version", f"{name}:{pinned}", allowed)))


def _find_prepared(name: str, pinned: str, data_dir: Path) -> DatasetReference | None:
    versions = _prepared_versions(data_dir / name)
    if pinned in versions or (versions and not pinned):
        return DatasetReference(name, pinned or versions[-1], "prepared", data_dir)
    return None


def _find_in_bucket(name: str, pinned: str, bucket: str, runs_dir: Path) -> DatasetReference:
    versions = _sorted_versions(version for _, version in datasets_in(bucket, name))
    if not versions:
        names = [*EMBEDDED, *(found for pattern in ("*", "*/*") for found, _ in datasets_in(bucket, pattern))]
        raise DatasetError(_no_such("dataset", name, f"the embedded {', '.join(EMBEDDED)}; what is in {bucket}", names))
    _check_pinned(name, pinned, versions)
    return DatasetReference(name, pinned or versions[-1], "bucket", runs_dir / ".datasets", bucket)


def _find_downloadable(name: str, data_dir: Path) -> tuple[str, str]:
    """Full name, with the config that TFDS would take, and version of a dataset that TFDS knows."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    base, _, config_name = name.partition("/")
    if base not in known:
        names = [*EMBEDDED, *(found.name for found in prepared_datasets(data_dir)), *known]
        allowed = f"the embedded {', '.join(EMBEDDED)}; what is prepared in {data_dir}; any TFDS name"
        raise DatasetError(_no_such("dataset", name, allowed, names))
    # The module of a dataset imports TensorFlow.
    import_tensorflow()
    builder = tfds.builder_cls(base)
    configs = {config.name: config for config in builder.BUILDER_CONFIGS}
    if not config_name and configs:
        config_name = builder.DEFAULT_BUILDER_CONFIG_NAME or builder.BUILDER_CONFIGS[0].name
    if config_name and config_name not in configs:
        raise DatasetError(_no_such(f"config of {base}", name, ", ".join(configs) or "none", configs))
    version = (configs[config_name].version if config_name else None) or builder.VERSION
    return (f"{base}/{config_name}" if config_name else base), str(version)


def _no_such(kind: str, given: str, allowed: str, names: Iterable[str]) -> str:
    return str(Problem("datasets", f"no such {kind}", given, allowed, nearest(given, names)))
