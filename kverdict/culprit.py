# SPDX-License-Identifier: GPL-2.0-or-later
"""The commit that was found: what it says of itself, whether it can matter, and life without it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kverdict.bare import in_use
from kverdict.bisection import Answer, Commit, Step
from kverdict.git import Repository, failure_of
from kverdict.models import AppliedPatch, FileReach, ReachState
from kverdict.question import Question, Subject, selftests_named
from kverdict.reach import compiled_anything, reach
from kverdict.text import counted

_MOST_NAMED = 3
_CONFLICT = 1  # exit status of git-merge-tree(1); others are errors


def describe(repo: Path, sha: str) -> Commit:
    with Repository(repo) as repository:
        known = repository.commit(sha)
        message = repository.run("show", "-s", "--no-color", "--format=%B", sha).text
        paths = repository.changed_paths(known.parents[0], sha) if known.parents else ()
    return Commit(
        sha=sha,
        parents=known.parents,
        author=known.author,
        date=known.authored,
        subject=known.subject,
        message=message.strip(),
        paths=paths,
    )


def patch_id(repo: Path, sha: str) -> str | None:
    """The stable patch-id (git-patch-id(1)) of a commit; None for a merge and an empty one."""
    plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
    with Repository(repo) as repository:
        diff = repository.run("diff-tree", "-p", *plain, sha).stdout
        words = repository.run("patch-id", "--stable", stdin=diff).text.split()
    return words[0] if words else None


def without(repo: Path, tip: str, culprit: str) -> str | None:
    """A commit that is ``tip`` with ``culprit`` reverted; None when that conflicts.

    As git revert does it, and without a worktree: the culprit's parent is made its child, and
    merged with the tip.  (git 2.39's merge-tree takes no --merge-base.)  The same commits give the
    same id.
    """
    with in_use(repo), Repository(repo) as repository:
        known, last = repository.commit(culprit), repository.commit(tip)
        when = last.committed.isoformat()
        env = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        before = repository.commit(known.parents[0]).tree
        undone = repository.run("commit-tree", before, "-p", culprit, "-m", "undone", env=env)
        merged = repository.run(
            "merge-tree", "--write-tree", "--no-messages", tip, undone.text.strip(), check=False
        )
        if merged.returncode == _CONFLICT:
            return None
        if not merged.ok:
            raise failure_of(merged)
        tree = merged.text.splitlines()[0]
        message = f'Revert "{known.subject}"\n\nThis reverts commit {culprit}.\n'
        made = repository.run("commit-tree", tree, "-p", tip, stdin=message.encode(), env=env)
        return made.text.strip()


def suspicions(
    commit: Commit,
    step: Step,
    parents: Collection[Step],
    sources: Collection[str],
    question: Question,
) -> tuple[str, ...]:
    """Why the commit cannot matter, each in a line; none when it can.

    ``sources`` are the files that its build, or its parent's, has read; empty: not known.
    """
    if selftests_named(question.about) and any(path.startswith("tools/") for path in commit.paths):
        return ()  # a selftest comes from the same commit as the kernel
    found = []
    kernels = {parent.bzimage_digest for parent in parents}
    if step.bzimage_digest is not None and step.bzimage_digest in kernels:
        found.append("its kernel is its parent's to the bit: nothing that runs has changed")
    elif step.bzimage_digest is not None and kernels and None not in kernels:
        return ()  # whatever it touches, it makes another kernel
    if len(commit.parents) > 1:
        return tuple(found)  # what a merge brings is more than its diff
    if question.subject is Subject.BUILD and {one.answer for one in parents} == {Answer.GOOD}:
        return ()  # of what a build's own tools are made is not known
    patch = AppliedPatch(
        number=1, subject=commit.subject, commit=commit.sha, three_way=False, paths=commit.paths
    )
    touched = reach((patch,), sources)
    if not commit.paths:
        found.append("it changes no file")
    elif not compiled_anything(touched) and (sources or _no_code(touched.files)):
        found.append(_of_files(touched.files))
    return tuple(found)


def _no_code(files: Collection[FileReach]) -> bool:
    return all(item.state is ReachState.NO_CODE for item in files)


def _of_files(files: Collection[FileReach]) -> str:
    if _no_code(files):
        return f"it touches no code: {_named(files)}"
    off = [item for item in files if item.state is ReachState.NOT_COMPILED]
    notes = sorted({item.note for item in off if item.note.endswith(" only")})
    why = f" ({', '.join(notes)})" if notes else ""
    return f"nothing of it is compiled here{why}: {_named(off)}"


def _named(files: Collection[FileReach]) -> str:
    names = [item.path for item in files]
    left = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (
        f" and {counted(left, 'more file')}" if left > 0 else ""
    )
