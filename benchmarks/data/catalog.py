"""Where a dataset is: embedded, prepared on disk, or to be downloaded. It needs neither TensorFlow nor TFDS to look."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.errors import DatasetError
from benchmarks.quiet import import_tensorflow
from zoo.settings import nearest


@dataclass(frozen=True)
class EmbeddedDataset:
    """A TFDS builder of this project, over data that an installed package brings along."""

    version: str
    module: str
    summary: str


EMBEDDED: dict[str, EmbeddedDataset] = {
    "digits": EmbeddedDataset(
        "1.0.0", "benchmarks.data.embedded.digits", "1,797 grey 8x8 handwritten digits, 10 classes (scikit-learn)"
    ),
}
"""Datasets that need no download."""

Origin = Literal["embedded", "prepared", "download"]


@dataclass(frozen=True)
class DatasetReference:
    """A dataset in one version, and where it comes from."""

    name: str
    """TFDS name, with its config where it has one: `mnist`, `glue/cola`."""
    version: str
    origin: Origin
    data_dir: Path
    """The TFDS folder that holds it, or will."""

    @property
    def directory(self) -> Path:
        """The folder of this very version."""
        return self.data_dir / self.name / self.version


def default_data_dir() -> Path:
    """The folder that TFDS uses when nobody names one."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets")


def find_dataset(name: str, data_dir: Path, runs_dir: Path) -> DatasetReference:
    """Find a dataset by the name that a suite gives it.

    Args:
        name: TFDS name, optionally with a config and a version: `mnist`, `mnist:3.0.1`, `glue/cola`.
        data_dir: the TFDS folder of prepared datasets.
        runs_dir: the runs folder; embedded datasets are prepared in it, since `data_dir` may be read-only.

    Raises:
        DatasetError: no dataset has this name, or not this version.
    """
    bare, _, pinned = name.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9_]+(/[A-Za-z0-9_.-]+)?", bare) or ".." in bare:
        raise DatasetError(f"datasets: {name!r} is not a TFDS name, such as 'mnist', 'mnist:3.0.1' or 'glue/cola'")
    if bare in EMBEDDED:
        version = EMBEDDED[bare].version
        _check_pinned(bare, pinned, [version])
        return DatasetReference(bare, version, "embedded", runs_dir / "datasets")
    versions = _prepared_versions(data_dir / bare)
    if pinned in versions or (versions and not pinned):
        return DatasetReference(bare, pinned or versions[-1], "prepared", data_dir)
    version = _downloadable_version(bare, data_dir)
    _check_pinned(bare, pinned, [*versions, version])
    return DatasetReference(bare, version, "download", data_dir)


def prepared_datasets(data_dir: Path) -> list[DatasetReference]:
    """The datasets that lie prepared in a TFDS folder, newest version of each."""
    if not data_dir.is_dir():
        return []
    folders = [path for path in sorted(data_dir.glob("*")) if path.is_dir()]
    folders += [path for path in sorted(data_dir.glob("*/*")) if path.is_dir()]
    found = []
    for folder in folders:
        versions = _prepared_versions(folder)
        if versions:
            name = folder.relative_to(data_dir).as_posix()
            found.append(DatasetReference(name, versions[-1], "prepared", data_dir))
    return found


def _prepared_versions(folder: Path) -> list[str]:
    found = [path.parent.name for path in folder.glob("*/dataset_info.json")]
    versions = [version for version in found if re.fullmatch(r"\d+\.\d+\.\d+", version)]
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


def _check_pinned(name: str, pinned: str, known: Iterable[str]) -> None:
    known = list(dict.fromkeys(known))
    if pinned and pinned not in known:
        raise DatasetError(f"datasets: no such version\n  given:   {name}:{pinned}\n  allowed: {', '.join(known)}")


def _downloadable_version(name: str, data_dir: Path) -> str:
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    if name.partition("/")[0] not in known:
        prepared = [found.name for found in prepared_datasets(data_dir)]
        closest = nearest(name, [*EMBEDDED, *prepared, *known])
        raise DatasetError(
            f"datasets: no such dataset\n  given:   {name}\n"
            f"  allowed: the embedded {', '.join(EMBEDDED)}; what is prepared in {data_dir}; any TFDS name"
            + (f"\n  nearest: {closest}" if closest else "")
        )
    # The module of a dataset imports TensorFlow.
    import_tensorflow()
    return str(tfds.builder_cls(name.partition("/")[0]).VERSION)
