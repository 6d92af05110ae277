# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own bare repositories under the cache: who uses one, and what killed users left in it.

A git that is killed leaves its lock files, and every later git refuses to work because of them:
"Another git process seems to be running in this repository".  Whether one is, is known here: all
our commands that write hold a lock of the kernel's while they do, which ends with their process.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kverdict.interrupt import undisturbed
from kverdict.runs import flocked

USERS = "kverdict-users.lock"
WORKTREES = "kverdict-worktrees.lock"
IMPORTS = "kverdict.lock"  # of the repository of all imports
_LOCKS = ("*.lock", "refs/**/*.lock", "worktrees/*/*.lock", "worktrees/*/locked", "info/*.lock")
_HALF_WRITTEN = ("objects/pack/tmp_*", "objects/??/tmp_obj_*", "fast_import_crash_*")


@contextmanager
def in_use(repo: Path) -> Iterator[None]:
    """Others may use it as well; what killed ones left is cleared first, our own after an error."""
    clear_unless_used(repo)
    try:
        with flocked(repo / USERS, fcntl.LOCK_SH):
            yield
    except BaseException:
        with undisturbed():
            clear_unless_used(repo)
        raise


@contextmanager
def alone_with_worktrees(repo: Path) -> Iterator[None]:
    """For whoever adds or removes one: `git worktree add` dies of another's half-written record."""
    with flocked(repo / WORKTREES, fcntl.LOCK_EX):
        yield


def clear_unless_used(repo: Path) -> None:
    """Removes ``leftovers`` when nobody uses the repository."""
    with flocked(repo / USERS, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        if alone:
            for record in _without_worktree(repo):
                shutil.rmtree(record, ignore_errors=True)
            for file in _files(repo):
                file.unlink(missing_ok=True)


def leftovers(repo: Path) -> tuple[Path, ...]:
    """git's lock files, half-written objects, records of worktrees that are gone.

    None are seen while somebody uses the repository: they may be in use, too.
    """
    with flocked(repo / USERS, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        return (*_files(repo), *_without_worktree(repo)) if alone else ()


def _files(repo: Path) -> list[Path]:
    ours = {USERS, WORKTREES, IMPORTS}
    found = (path for pattern in (*_LOCKS, *_HALF_WRITTEN) for path in repo.glob(pattern))
    return sorted(path for path in found if path.name not in ours)


def _without_worktree(repo: Path) -> list[Path]:
    """As `git worktree prune` sees it: the file that a record names is not there."""
    records = (repo / "worktrees").glob("*")
    return sorted(record for record in records if not _has_worktree(record))


def _has_worktree(record: Path) -> bool:
    try:
        return Path((record / "gitdir").read_text().strip()).is_file()
    except (OSError, ValueError):
        return False
