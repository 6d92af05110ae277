# SPDX-License-Identifier: GPL-2.0-or-later
"""Who has to know of a commit: what the tree's own scripts/get_maintainer.pl says, sandboxed."""

from __future__ import annotations

import re
from pathlib import Path

from kverdict.git import Repository
from kverdict.models import Frozen
from kverdict.proc import ToolMissing
from kverdict.sandbox import SRC, Bind, Isolation, Sandbox
from kverdict.text import shorten
from kverdict.worktrees import slight

SCRIPT = "scripts/get_maintainer.pl"
# What it knows the top of a kernel tree by (its sub top_of_kernel_tree).
_FILES = ("COPYING", "CREDITS", "Kbuild", "MAINTAINERS", "Makefile", "README", SCRIPT)
_IGNORED = ".get_maintainer.ignore"
_FOLDERS = (
    *("Documentation", "arch", "drivers", "fs", "include", "init", "ipc", "kernel", "lib"),
    "scripts",
)
_SECONDS = 120.0
_MOST = 100
_LINE = re.compile(r"^(?P<who>.{1,300}?) \((?P<role>[^()]{1,300}(?:\([^()]*\)[^()]*)?)\)$")


class Recipients(Frozen):
    people: tuple[str, ...] = ()  # "Name <address>"
    lists: tuple[str, ...] = ()
    note: str = ""  # why they are not known


def maintainers_of(repo: Path, commit: str, *, isolation: Isolation) -> Recipients:
    """Of the files that a commit touches, by the MAINTAINERS of that commit; never raises for it.

    Without git: who once touched a file is not asked.
    """
    with Repository(repo) as repository:
        words = ("format-patch", "--stdout", "--no-signature", "-1", commit)
        patch = repository.run(*words).stdout
        if repository.blob_ids([(commit, SCRIPT)])[0] is None:
            return Recipients(note=f"this tree has no {SCRIPT}")
    with slight(repo, commit, [*_FILES, _IGNORED], repo.parent / "am") as tree:
        assert tree.worktree is not None
        for name in _FOLDERS:
            (tree.worktree / name).mkdir(exist_ok=True)
        sandbox = Sandbox(
            binds=(Bind(tree.worktree, SRC),),
            env={"GIT_DIR": "/nonexistent"},
            cwd=SRC,
            isolation=isolation,
        )
        command = ["perl", SCRIPT, "--no-git", "--no-git-fallback", "--roles", "--norolestats"]
        try:
            done = sandbox.run(command, stdin=patch, timeout=_SECONDS)
        except ToolMissing as missing:
            return Recipients(note=str(missing))
    if not done.ok:
        said = (done.error_text or done.text).strip().splitlines()
        return Recipients(note=f"{SCRIPT} failed: {shorten(said[-1] if said else '', 200)}")
    return read_roles(done.text)


def read_roles(text: str) -> Recipients:
    """From lines as "Name <address> (maintainer:KVM)" and "kvm@vger.kernel.org (open list:KVM)"."""
    people: list[str] = []
    lists: list[str] = []
    for line in text.splitlines()[:_MOST]:
        match = _LINE.match(line.strip())
        if match is None:
            continue
        (lists if " list" in match["role"].partition(":")[0] else people).append(match["who"])
    return Recipients(people=tuple(people), lists=tuple(lists))
