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
from tools.faults.folder import NO_REPORT, RUN, Folder, Results

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

    def finish(self, folder: Folder) -> None:
        """Have all runs of a folder's suite in it, as they were trained without any fault."""
        shutil.copytree(self.undisturbed(folder.text).folder.runs, folder.runs, dirs_exist_ok=True)
        folder.note_runs()

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

    def tried(
        self, count: int, attempt: Callable[[Folder, int], bool], how: str = "", *, is_at_once: bool = False
    ) -> Tally:
        """Do something to so many new folders with `SUITE`.

        Args:
            count: how many.
            attempt: is given a folder and its number from 0; whether the fault was survived.
            how: for people.
            is_at_once: whether to all at the same time, where most of the time is waiting; else one after another.
        """
        tally = Tally(self.undisturbed(SUITE).results, how=how)
        folders = [self.folder(SUITE) for _ in range(count)]
        with ThreadPoolExecutor(count if is_at_once else 1) as threads:
            for survived in threads.map(attempt, folders, range(count)):
                tally.note(survived=survived)
        for folder in folders:
            tally.close(folder)
        return tally

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
    """How often it was done."""
    survived: int = 0
    """How often all was well after it: nothing damaged, a clear message where one is due, and the next command went
    on."""
    lost: int = 0
    """Finished runs that were not there any more, or were not as they had been."""
    doubled: int = 0
    """Runs with an outcome that were trained to their end once more."""
    is_equal: bool = True
    """Whether all results were, in the end, those of a run that nothing was done to."""
    how: str = ""
    """What was really done, for people, where there is more than one way."""

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


def goes_on(folder: Folder, *options: str) -> bool:
    """Whether the next command trains what is left of a suite."""
    return went_well(folder.call(*RUN, *NO_REPORT, *options))


def was_refused(ended: tuple[int, str, str], *words: str) -> bool:
    """Whether a command ended with a message that a person can act on, with all of these words in it."""
    return went_well(ended, 2) and all(word in ended[2] for word in words)
