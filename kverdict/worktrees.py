# SPDX-License-Identifier: GPL-2.0-or-later
"""Worktrees of our own repositories: whole ones to build in, slight ones to apply mail in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kverdict.errors import InfraError
from kverdict.git import Repository
from kverdict.progress import Progress, Task


def checkout(repo: Path, sha: str, folder: Path, *, progress: Progress) -> None:
    """Makes ``folder`` the whole tree of commit ``sha``, and nothing else.

    A folder that is already a worktree of ``repo`` is cleaned and switched: only files that
    differ are written, so that make sees the rest as unchanged.  The caller sees to it that
    nobody else uses the folder.  Raises InfraError when the folder holds something else.
    """
    with progress.task(f"checking out {sha[:12]}") as task:
        if not _is_worktree_of(repo, folder):
            _add(repo, sha, folder)
        with Repository(folder) as tree:
            # Whoever held it was killed: a worktree has one user at a time.
            (tree.git_dir / "index.lock").unlink(missing_ok=True)
            _switch(tree, sha, task)


def remove(repo: Path, folder: Path) -> None:
    """Removes a worktree and what the repository remembers of it; a missing one is fine."""
    shutil.rmtree(folder, ignore_errors=True)
    with Repository(repo) as ours:
        ours.run("worktree", "prune")


@contextmanager
def slight(repo: Path, sha: str, paths: Sequence[str], parent: Path) -> Iterator[Repository]:
    """A temporary worktree at ``sha`` with a full index, but only the files at ``paths``.

    It is not a sparse checkout: no entry is marked skip-worktree, because with that mark git's
    3-way merge refuses any file in a folder.  git takes an absent file for one to be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="am-", dir=parent) as temporary:
        folder = Path(temporary, "tree")
        try:
            _add(repo, sha, folder)
            with Repository(folder) as tree:
                tree.run("read-tree", "HEAD")
                write_files(tree, paths)
                yield tree
        finally:
            remove(repo, folder)


def write_files(tree: Repository, paths: Sequence[str]) -> None:
    """Writes the files of the index at ``paths``, those that it has; refreshes their entries."""
    names = "".join(f"{path}\0" for path in paths).encode(errors="surrogateescape")
    tree.run("checkout-index", "-f", "-u", "-q", "-z", "--stdin", stdin=names, check=False)


def _switch(tree: Repository, sha: str, task: Task) -> None:
    tree.run_with_progress("checkout", "--progress", "--force", "--detach", sha, task=task)
    tree.run("clean", "-ffdxq", timeout=600)
    if tree.resolve("HEAD") != sha:
        raise InfraError(f"{tree.worktree} is not at {sha[:12]} after a checkout", "start again")


def _add(repo: Path, sha: str, folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise InfraError(f"{folder} is in the way", "it is not a worktree of kverdict: move it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Repository(repo) as ours:
        ours.run(
            "worktree", "add", "--force", "--quiet", "--detach", "--no-checkout", "--",
            str(folder.absolute()), sha,
        )  # fmt: skip


def _is_worktree_of(repo: Path, folder: Path) -> bool:
    """Whether ``folder`` is registered with ``repo``, and the repository still knows of it."""
    link = folder / ".git"
    if folder.is_symlink() or not link.is_file():
        return False
    place = Path(link.read_text().removeprefix("gitdir:").strip())
    return place.parent.parent == repo.resolve() and (place / "HEAD").is_file()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
