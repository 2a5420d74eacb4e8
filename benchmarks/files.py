"""Files: how they are replaced as a whole, and where those of a runs folder lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place, or that of one that is there, once the block has ended.

    At each moment a whole file is there or none, also after a loss of power. What a killed process leaves is
    `STEM.PROCESS.part`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.stem}.{os.getpid()}.part")
    try:
        with made.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def weights_file(runs_dir: Path, key: str) -> Path:
    """Where the weights of a run are kept, if they are."""
    return runs_dir / "weights" / f"{key}.npz"


def states_folder(runs_dir: Path) -> Path:
    """Where trainings that may be continued keep their states."""
    return runs_dir / ".states"
