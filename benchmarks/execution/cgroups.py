"""Control groups: the limits that batch systems and containers set on what this process may use of its machine.

Both versions are read, see cgroups(7); where there are none, as beside Linux, nothing is limited.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Limits:
    """The least of all limits; infinite where there is none."""

    cores: float = math.inf
    memory: float = math.inf
    """Bytes."""
    available: float = math.inf
    """Those of the bytes that are not needed yet."""


def limits(root: Path = Path("/")) -> Limits:
    """What limits this process, as told below the root of the file system."""
    groups = list(_groups(root))
    memory = [(_memory(group), _needed(group)) for group in groups]
    return Limits(
        cores=min(map(_cores, groups), default=math.inf),
        memory=min((most for most, _ in memory), default=math.inf),
        available=min((most - needed for most, needed in memory), default=math.inf),
    )


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the groups that this process is in, and of those around them, as far as it sees them."""
    own = [line.split(":", 2)[1:] for line in _lines(root / "proc/self/cgroup")]
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, mounted = line.partition(" - ")
        top, place = mount.split()[3:5]
        kind, *_, options = mounted.split()
        for controllers, path in own:
            is_version_1 = kind == "cgroup" and set(controllers.split(",")) <= set(options.split(","))
            if is_version_1 or (kind == "cgroup2" and not controllers):
                # In some containers, groups are named as outside of it, and the container's is what is mounted.
                inside = PurePosixPath(path).relative_to(top) if PurePosixPath(path).is_relative_to(top) else ""
                folder = root / place.lstrip("/")
                yield folder
                for name in PurePosixPath(inside).parts:
                    folder /= name
                    yield folder


def _cores(group: Path) -> float:
    told = _words(group / "cpu.max") or [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
    return math.inf if not told or told[0] in ("max", "-1") else int(told[0]) / int(told[1])


def _memory(group: Path) -> float:
    told = _words(group / "memory.max") or _words(group / "memory.limit_in_bytes")
    return math.inf if told in ([], ["max"]) else int(told[0])


def _needed(group: Path) -> int:
    """Bytes that a group has taken, without what the kernel keeps of files, which it gives back."""
    (taken,) = _words(group / "memory.current") or _words(group / "memory.usage_in_bytes") or ["0"]
    told = _words(group / "memory.stat")
    parts = dict(zip(told[::2], map(int, told[1::2]), strict=True))
    # In version 1, only the totals have the groups inside in them, as the rest here has.
    return int(taken) - sum(parts.get(f"total_{name}", parts.get(name, 0)) for name in ("active_file", "inactive_file"))


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
