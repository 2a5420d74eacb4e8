"""Folders that appear as a whole, so that nobody takes a part of a dataset for all of it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PART_PREFIX = ".part-"
_ABANDONED_SECONDS = 86_400.0


@contextmanager
def appearing(folder: Path, is_whole: Callable[[Path], bool] = Path.exists) -> Iterator[Path]:
    """A folder to write into, which takes its place once the block has ended.

    Where it is there by then, another process was faster; its folder stays if it is whole. What processes left there
    that were killed a day ago is removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder.parent)
    part = Path(tempfile.mkdtemp(prefix=_PART_PREFIX, dir=folder.parent))
    try:
        yield part
        try:
            part.rename(folder)
        except OSError:
            if not is_whole(folder):
                shutil.rmtree(folder, ignore_errors=True)
                part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _remove_abandoned(parent: Path) -> None:
    for part in parent.glob(f"{_PART_PREFIX}*"):
        if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(part, ignore_errors=True)
