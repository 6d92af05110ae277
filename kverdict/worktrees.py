# SPDX-License-Identifier: GPL-2.0-or-later
"""Worktrees of our own repositories: whole ones to build in, slight ones to apply mail in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kverdict.bare import alone_with_worktrees, in_use
from kverdict.disk import is_about_space, require, worktree_need
from kverdict.errors import InfraError
from kverdict.git import GitFailed, NotARepository, Repository
from kverdict.progress import Progress, Task
from kverdict.runs import discard, scratch

SLIGHT = "am-"  # of scratch folders


def checkout(repo: Path, sha: str, folder: Path, *, progress: Progress) -> None:
    """Makes ``folder`` the whole tree of commit ``sha``, and nothing else.

    A folder that is already a worktree of ``repo`` is cleaned and switched: only files that
    differ are written, so that make sees the rest as unchanged.  The caller sees to it that
    nobody else uses the folder.  Raises InfraError when the folder holds something else.
    """
    with progress.task(f"checking out {sha[:12]}") as task, in_use(repo):
        if _is_worktree_of(repo, folder):
            try:
                _switch(folder, sha, task)
                return
            except (GitFailed, NotARepository) as error:
                if is_about_space(error):
                    remove(repo, folder)
                    raise
                # A power cut may leave an index or a HEAD without content.
                progress.say(f"  the worktree is damaged ({error.problem}): it is made anew")
        if _was_worktree_of(repo, folder):
            discard(folder)
        _check_room(repo, sha, folder)
        try:
            _add(repo, sha, folder)
            _switch(folder, sha, task)
        except GitFailed as error:
            if is_about_space(error):
                remove(repo, folder)
            raise


def _check_room(repo: Path, sha: str, folder: Path) -> None:
    with Repository(repo) as ours:
        require(folder, worktree_need(*ours.size(sha)), "the checkout")


def remove(repo: Path, folder: Path) -> None:
    """Removes a worktree and what the repository remembers of it; a missing one is fine.

    Not `git worktree prune`: it takes away what another process's `git worktree add` has begun.
    """
    record = _record(folder) if _was_worktree_of(repo, folder) else None
    discard(folder)
    if record is not None and record.is_dir():
        with alone_with_worktrees(repo):
            discard(record)


@contextmanager
def slight(repo: Path, sha: str, paths: Sequence[str], parent: Path) -> Iterator[Repository]:
    """A temporary worktree at ``sha`` with a full index, but only the files at ``paths``.

    It is not a sparse checkout: no entry is marked skip-worktree, because with that mark git's
    3-way merge refuses any file in a folder.  git takes an absent file for one to be written.
    """
    with scratch(parent, SLIGHT) as temporary, in_use(repo):
        folder = temporary / "tree"
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


def _switch(folder: Path, sha: str, task: Task) -> None:
    with Repository(folder) as tree:
        # Whoever held it was killed: a worktree has one user at a time.
        (tree.git_dir / "index.lock").unlink(missing_ok=True)
        tree.run_with_progress("checkout", "--progress", "--force", "--detach", sha, task=task)
        tree.run("clean", "-ffdxq", timeout=600)
        if tree.resolve("HEAD") != sha:
            raise InfraError(f"{folder} is not at {sha[:12]} after a checkout", "start again")


def _add(repo: Path, sha: str, folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not _is_empty(folder)):
        raise InfraError(f"{folder} is in the way", "it is not a worktree of kverdict: move it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone_with_worktrees(repo), Repository(repo) as ours:
        ours.run(
            "worktree", "add", "--force", "--quiet", "--detach", "--no-checkout", "--",
            str(folder.absolute()), sha,
        )  # fmt: skip


def _is_worktree_of(repo: Path, folder: Path) -> bool:
    """Whether ``folder`` is registered with ``repo``, and the repository still knows of it."""
    record = _record(folder)
    return _was_worktree_of(repo, folder) and record is not None and (record / "HEAD").is_file()


def _was_worktree_of(repo: Path, folder: Path) -> bool:
    """Whether ``folder`` says that it belongs to ``repo``."""
    record = _record(folder)
    return record is not None and record.parent.parent == repo.resolve()


def _record(folder: Path) -> Path | None:
    """What the repository of a worktree keeps of it (gitrepository-layout(5))."""
    link = folder / ".git"
    if folder.is_symlink() or link.is_symlink() or not link.is_file():
        return None
    return Path(link.read_text(errors="replace").removeprefix("gitdir:").strip())


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
