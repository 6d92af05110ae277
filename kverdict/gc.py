# SPDX-License-Identifier: GPL-2.0-or-later
"""Frees space by policy: old runs, and what of the cache was not used for the longest time.

Whatever is in use is not touched: a run by its lock, an object tree by its own, a finished stage
as long as any run is at work (runs.Store.in_use).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from kverdict.progress import Progress
from kverdict.runs import (
    Store,
    flocked,
    is_running,
    read_links,
    run_lock,
    run_states,
    scratch,
)
from kverdict.settings import Keep, Settings

KEEP_FILE = "keep"
BIN = ".gc."  # of scratch folders
_DAY = 86400.0


class Why(Enum):
    """What speaks for or against a run's folder."""

    RUNNING = "running"
    LINKED = "a link in the runs folder points to it"
    SHOWN = "a page that stays links to it"
    KEPT = "it has a file `keep`"
    YOUNG = "unfinished, and may go on"
    AMONG_NEWEST = "among the newest"
    OLD = "too old"
    SURPLUS = "more runs than are kept"


REMOVED = (Why.OLD, Why.SURPLUS)


@dataclass(frozen=True)
class RunFolder:
    """What the decision over a run needs to be known; ``days`` since it was last written to."""

    path: Path
    finished: bool
    running: bool
    linked: bool
    kept: bool
    days: float
    shown: bool = False  # a page that is no run's links to it: the nights' index
    links: frozenset[str] = frozenset()  # names of the runs that its own pages link to


@dataclass(frozen=True)
class CacheFolder:
    """Something in the cache that can be made again; ``used`` in seconds since the epoch."""

    path: Path
    size: int
    used: float


@dataclass(frozen=True)
class Removal:
    """What went, or would go."""

    path: Path
    size: int
    why: str


@dataclass(frozen=True)
class Outcome:
    removed: tuple[Removal, ...]
    notes: tuple[str, ...]  # what could not be looked at, and why

    @property
    def size(self) -> int:
        return sum(item.size for item in self.removed)


# --- the policy ---------------------------------------------------------------------------------


def judge_runs(runs: Sequence[RunFolder], keep: Keep) -> list[tuple[RunFolder, Why]]:
    """Each of ``runs`` (the newest first) with what speaks for or against it.

    Those that stay in any case do not count among the newest.  What a run that stays links to
    stays as well, and what that links to.
    """
    shown = {run.path.name for run in runs if run.shown}
    while True:
        judged = _judge_runs(runs, keep, shown)
        staying = (run for run, why in judged if why not in REMOVED)
        more = {name for run in staying for name in run.links} - shown
        if not more:
            return judged
        shown |= more


def _judge_runs(
    runs: Sequence[RunFolder], keep: Keep, shown: Collection[str]
) -> list[tuple[RunFolder, Why]]:
    judged, counted = [], 0
    for run in runs:
        why = _protection(run, shown)
        if why is None:
            counted += 1
            why = Why.OLD if run.days > keep.days else Why.AMONG_NEWEST
            if why is Why.AMONG_NEWEST and not run.finished:
                why = Why.YOUNG
            elif why is Why.AMONG_NEWEST and counted > keep.runs:
                why = Why.SURPLUS
        judged.append((run, why))
    return judged


def _protection(run: RunFolder, shown: Collection[str]) -> Why | None:
    reasons = {
        Why.RUNNING: run.running,
        Why.LINKED: run.linked,
        Why.KEPT: run.kept,
        Why.SHOWN: run.path.name in shown,
    }
    return next((why for why, holds in reasons.items() if holds), None)


def surplus(cache: Sequence[CacheFolder], whole: int, limit: int) -> list[CacheFolder]:
    """Which to remove, the longest unused first, so that ``whole`` bytes come to the limit."""
    chosen = []
    for folder in sorted(cache, key=lambda item: (item.used, item.path)):
        if whole <= limit:
            break
        chosen.append(folder)
        whole -= folder.size
    return chosen


# --- runs ---------------------------------------------------------------------------------------


def run_folders(runs: Path) -> list[RunFolder]:
    """The runs, the newest first."""
    if not runs.is_dir():
        return []
    targets = {link.resolve() for link in runs.iterdir() if link.is_symlink()}
    states = run_states(runs)
    known = {path for path, _ in states}
    pages = (path for path in runs.iterdir() if path.is_dir() and path not in known)
    shown = frozenset().union(*map(read_links, pages))
    now = time.time()
    return [
        RunFolder(
            path=path,
            finished=state.finished,
            running=is_running(path),
            linked=path.resolve() in targets,
            kept=os.path.lexists(path / KEEP_FILE),
            days=(now - (path / "run.json").stat().st_mtime) / _DAY,
            shown=path.name in shown,
            links=read_links(path),
        )
        for path, state in states
    ]


def collect(settings: Settings, keep: Keep, progress: Progress, *, dry_run: bool) -> Outcome:
    """Removes what the policy ``keep`` says, runs first; with ``dry_run`` it only says what."""
    removed = list(_collect_runs(settings.runs_folder, keep, dry_run))
    with progress.task("measuring the cache"):
        whole = size_of(settings.cache_folder)
    limit = int(keep.cache_gib * (1 << 30))
    if whole <= limit:
        return Outcome(tuple(removed), ())
    cache = settings.cache_folder
    store = Store(cache / "stages")
    with store.unused() as unused:
        known = [*_slots(cache / "slots"), *(_entries(store) if unused else ())]
        chosen = surplus(known, whole, limit)
        with progress.task("freeing space"):
            for folder in chosen:
                if dry_run or _remove_cached(folder.path):
                    removed.append(Removal(folder.path, folder.size, "not used for the longest"))
    notes = [] if unused or not store.root.is_dir() else ["a run is at work: its stages stay"]
    left = whole - sum(item.size for item in chosen)
    if left > limit:
        notes.append(f"{left >> 20} MiB of the cache are in use, or trees")
    return Outcome(tuple(removed), tuple(notes))


def _collect_runs(runs: Path, keep: Keep, dry_run: bool) -> Iterator[Removal]:
    for run, why in judge_runs(run_folders(runs), keep):
        if why not in REMOVED:
            continue
        size = size_of(run.path)
        if dry_run:
            yield Removal(run.path, size, why.value)
            continue
        with run_lock(run.path) as ours:
            if ours:
                with scratch(runs, BIN) as bin_:
                    run.path.rename(bin_ / "run")
                yield Removal(run.path, size, why.value)


# --- the cache ----------------------------------------------------------------------------------


def size_of(folder: Path) -> int:
    """What a folder takes on the disk, without following links; what vanishes meanwhile is 0."""
    whole, todo = 0, [os.fspath(folder)]
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                whole += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return whole


def _entries(store: Store) -> Iterator[CacheFolder]:
    for path in store.entries():
        yield CacheFolder(path, size_of(path), path.lstat().st_mtime)


def _slots(home: Path) -> Iterator[CacheFolder]:
    """Worktrees with their object trees; the lock of each stays."""
    for lock in sorted(home.glob("*/lock")):
        if (lock.parent / "src").exists() or (lock.parent / "obj").exists():
            yield CacheFolder(lock.parent, size_of(lock.parent), lock.stat().st_mtime)


def _remove_cached(path: Path) -> bool:
    """Whether it could be removed: a slot may have come into use."""
    with scratch(path.parent, BIN) as bin_:
        if path.parent.name != "slots":
            path.rename(bin_ / path.name)
            return True
        with flocked(path / "lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as ours:
            if ours:
                for entry in path.iterdir():
                    if entry.name != "lock":
                        entry.rename(bin_ / entry.name)
            return ours
