# SPDX-License-Identifier: GPL-2.0-or-later
"""Control groups: limits on memory and processes for a whole sandbox, where the kernel lets us.

An rlimit bounds each process; only a control group bounds them together.  Both versions are used
as they are found (Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst): with v1 a child of our
own group in the memory and in the pids hierarchy; with v2 a sibling of our group, because a group
with processes in it cannot hand controllers to its children.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "kverdict-"
_CONTROLLERS = ("memory", "pids")
_SELF = Path("/proc/self/cgroup")
_MOUNTS = Path("/proc/self/mountinfo")
_WAIT_SECONDS = 2.0  # for the kernel to forget processes that were killed
# sh joins every group before it becomes the command: nothing of it ever runs outside of them.
_JOIN = (
    'while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 128; shift; done; shift; exec "$@"'
)


@dataclass(frozen=True)
class Place:
    """A folder in which we may make groups, and the controllers that act in them."""

    folder: Path
    controllers: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """One sandbox's group, in each of its hierarchies; no folders where there is no place."""

    folders: tuple[Path, ...] = ()

    def join(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in the group."""
        if not self.folders:
            return list(argv)
        return ["sh", "-c", _JOIN, "sh", *map(str, self.folders), "--", *argv]

    def out_of_memory(self) -> bool:
        """Whether the kernel killed a process of the group for its memory limit."""
        return any(
            line.startswith("oom_kill ") and line.split()[1] != "0"
            for folder in self.folders
            for name in ("memory.events", "memory.oom_control")
            for line in _read(folder / name).splitlines()
        )


def available() -> tuple[str, ...]:
    """The controllers that limit a sandbox here: of "memory" and "pids", those that do."""
    return tuple(sorted({name for place in _places() for name in place.controllers}))


@contextmanager
def group(*, memory: int, processes: int) -> Iterator[Group]:
    """A new group with these limits (bytes, tasks); whatever still lives in it at the end dies.

    Without a place for one, it is an empty Group that limits nothing.
    """
    made: list[Path] = []
    try:
        for place in _places():
            _sweep(place.folder)
            folder = place.folder / f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
            with suppress(OSError):
                folder.mkdir()
                made.append(folder)
                _limit(folder, place.controllers, memory, processes)
        yield Group(tuple(made))
    finally:
        for folder in made:
            _end(folder)


def _places() -> tuple[Place, ...]:
    """Where groups can be made, from /proc/self/cgroup ("4:memory:/a/b", v2: "0::/a/b")."""
    places: dict[Path, tuple[str, ...]] = {}
    mounts = dict(_hierarchies(_read(_MOUNTS)))
    for line in _read(_SELF).splitlines():
        number, names, path = line.split(":", 2)
        if number == "0" and "" in mounts:
            own = mounts[""] / path.lstrip("/")
            parent = own if path == "/" else own.parent
            handed = _read(parent / "cgroup.subtree_control").split()
            acting = tuple(name for name in _CONTROLLERS if name in handed)
            if acting and os.access(parent, os.W_OK):
                places[parent] = acting
        for name in set(names.split(",")) & set(_CONTROLLERS) & mounts.keys():
            own = mounts[name] / path.lstrip("/")
            if os.access(own, os.W_OK):
                places[own] = (*places.get(own, ()), name)
    return tuple(Place(folder, names) for folder, names in sorted(places.items()))


def _hierarchies(mountinfo: str) -> Iterator[tuple[str, Path]]:
    """Controller -> mount point from /proc/self/mountinfo (proc(5)); v2's controller is ""."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2":
            yield "", Path(before.split()[4])
        elif kind == "cgroup":
            for name in options.split(","):
                yield name, Path(before.split()[4])


def _limit(folder: Path, controllers: Sequence[str], memory: int, processes: int) -> None:
    if "memory" in controllers:
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (folder / name).exists():
                (folder / name).write_text(f"{memory}\n")
    if "pids" in controllers:
        (folder / "pids.max").write_text(f"{processes}\n")


def _sweep(place: Path) -> None:
    """Groups of a run that was killed: the kernel refuses to remove one that is in use."""
    for folder in place.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            with suppress(OSError):
                folder.rmdir()


def _end(folder: Path) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < until:
        with suppress(OSError):
            (folder / "cgroup.kill").write_text("1\n")
        for pid in _read(folder / "cgroup.procs").split():
            with suppress(OSError):
                os.kill(int(pid), 9)
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.02)
        else:
            return


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
