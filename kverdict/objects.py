# SPDX-License-Identifier: GPL-2.0-or-later
"""Object trees: whose objects an incremental build may take for good.

make believes time stamps, and whatever lies in an object tree.  So a slot's object tree is only
ever built from commits of the user's own tree, and thrown away when its last build was broken off
(gcc may have left half an object) or when the clock went back (a file that was just changed would
look older than what was made of it).  A stranger's commit is built in a copy that is gone after:
its make could leave objects behind that the next series' kernel would be linked from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kverdict import ledger, proc
from kverdict.disk import is_about_space
from kverdict.errors import InfraError
from kverdict.models import Frozen
from kverdict.progress import Progress
from kverdict.runs import Slot, scratch, write_atomically
from kverdict.stages.build import empty_objects, has_objects

STATE = "objects.json"
SCRATCH = "objects-"
_COPY_SECONDS = 3600.0


class State(Frozen):
    """What is known of a slot's object tree; absent when nothing was ever built in it."""

    building: bool  # a build began, and did not come to its end
    until: float  # the wall clock at the end of the last build, seconds since the epoch


@contextmanager
def object_tree(
    mine: Slot,
    *,
    strangers: bool,
    progress: Progress,
    clock: Callable[[], float] = time.time,
) -> Iterator[Path]:
    """The folder to build in: the slot's own, or for a stranger's commit a copy of it.

    The worktree must be checked out already.
    """
    distrust(mine, progress, clock())
    if strangers:
        with scratch(mine.obj.parent, SCRATCH) as folder:
            yield _copied(mine.obj, folder / "obj", progress)
        return
    began = clock()
    _write(mine, State(building=True, until=began))
    try:
        yield mine.obj
    except (InfraError, OSError) as error:
        if is_about_space(error):
            empty_objects(mine.obj)  # it would not be built upon, and the room is needed
        raise
    ended = clock()
    # Set back while it was building, nobody knows what make compared with what.
    _write(mine, State(building=ended < began, until=max(began, ended)))


def distrust(mine: Slot, progress: Progress, now: float) -> None:
    """Empties the slot's object tree when an incremental build could not be believed."""
    why = why_distrusted(_read(mine), now)
    if not why and ledger.read(mine.obj) is None:
        why = "nothing is known of what the compiler said"
    if why and has_objects(mine.obj):
        progress.say(f"  {why}: building from nothing")
        empty_objects(mine.obj)


def why_distrusted(state: State | None, now: float) -> str:
    """In words, "" for objects that can be built upon."""
    if state is None:
        return "nothing is known of these objects"
    if state.building:
        return "the last build was broken off"
    if now < state.until:
        return "the clock went back"
    return ""


def _copied(obj: Path, copy: Path, progress: Progress) -> Path:
    with progress.task("  copying the object tree"):
        # With time stamps; as another user's files, which is what they stay in the sandbox.
        command = ["cp", "--archive", "--reflink=auto", "--", str(obj), str(copy)]
        proc.run(command, timeout=_COPY_SECONDS, check=True)
    if (said := ledger.read(obj)) is not None:
        ledger.write(copy, said)
    return copy


def _read(mine: Slot) -> State | None:
    try:
        return State.from_json((mine.obj.parent / STATE).read_bytes())
    except (OSError, ValueError):
        return None


def _write(mine: Slot, state: State) -> None:
    write_atomically(mine.obj.parent / STATE, state.to_json())
