"""Where faults are tried: one root folder, one seed, and each suite run once without any fault, to compare with."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.errors import UserError
from tools.faults.folder import Folder, Results

SUITE = """
name = "study"
datasets = ["digits"]
seeds = 5
[model]
variant = "mlp_small"
dropout = 0.1
[train]
epochs = 15
[factors]
"model.activation" = ["relu", "tanh", "gelu"]
"model.initializer" = ["glorot_uniform", "he_normal"]
"""
"""30 runs of three programs, in some seconds."""


class NotPossibleError(Exception):
    """A fault cannot be tried on this machine."""


@dataclass(frozen=True)
class Undisturbed:
    """A suite that was run without any fault."""

    folder: Folder
    results: Results
    seconds: float
    """The whole command."""


@dataclass
class Bench:
    """Makes folders and remembers all of them.

    Args:
        root: an empty folder for everything.
        seed: of all that is drawn: moments, places, mutations.
    """

    root: Path
    seed: int = 0
    folders: list[Folder] = field(default_factory=list)
    _undisturbed: dict[str, Undisturbed] = field(default_factory=dict)

    def random(self, name: str) -> random.Random:
        """The generator of one fault."""
        return random.Random(f"{self.seed} {name}")

    def folder(self, text: str, *, is_fresh: bool = False, path: Path | None = None) -> Folder:
        """A new folder with a suite; its datasets are there already, unless it is to be fresh."""
        like = None if is_fresh else self.undisturbed(text).folder
        made = Folder(path or self.root / f"{len(self.folders)}", text, like)
        self.folders.append(made)
        return made

    def finished(self, text: str) -> Folder:
        """A folder in which a suite was run without any fault, for a fault to be done to it."""
        made = self.folder(text)
        shutil.copytree(self.undisturbed(text).folder.runs, made.runs, dirs_exist_ok=True)
        return made

    def undisturbed(self, text: str) -> Undisturbed:
        """The suite run without any fault, once.

        Raises:
            UserError: not even that goes well.
        """
        if text not in self._undisturbed:
            folder = self.folder(text, is_fresh=True)
            start = time.monotonic()
            code, out, err = folder.call()
            seconds = time.monotonic() - start
            if code not in (0, 1) or "Traceback" in err:
                raise UserError(f"a suite ended with exit code {code} without any fault\n{out}{err}")
            self._undisturbed[text] = Undisturbed(folder, folder.results(), seconds)
        return self._undisturbed[text]

    def tried_at_once(self, text: str, count: int, attempt: Callable[[Folder, int], bool], tally: Tally) -> None:
        """Do something to so many new folders at the same time, where most of the time is waiting.

        Args:
            text: the suite of each.
            count: how many.
            attempt: is given a folder and its number from 0; whether the fault was survived.
            tally: counts all of them.
        """
        folders = [self.folder(text) for _ in range(count)]
        with ThreadPoolExecutor(count) as threads:
            for survived in threads.map(attempt, folders, range(count)):
                tally.note(survived=survived)
        for folder in folders:
            tally.close(folder)

    def close(self) -> None:
        """End all processes that are still there."""
        for folder in self.folders:
            folder.end()


@dataclass
class Tally:
    """Counts what one fault does to some folders."""

    expected: Results
    """What nothing was done to."""
    tried: int = 0
    survived: int = 0
    lost: int = 0
    doubled: int = 0
    is_equal: bool = True
    how: str = ""

    def note(self, *, survived: bool) -> None:
        """The fault was done once."""
        self.tried += 1
        self.survived += survived

    def close(self, folder: Folder) -> None:
        """Nothing more is done to a folder, and all its runs should be there."""
        self.lost += folder.lost()
        self.doubled += folder.doubled()
        self.is_equal &= folder.results() == self.expected


def went_well(ended: tuple[int, str, str], code: int = 0) -> bool:
    """Whether a command ended with the exit code that it should, and not with a traceback."""
    found, _, err = ended
    return found == code and "Traceback" not in err


def was_refused(ended: tuple[int, str, str], *words: str) -> bool:
    """Whether a command ended with a message that a person can act on, with all of these words in it."""
    return went_well(ended, 2) and all(word in ended[2] for word in words)
