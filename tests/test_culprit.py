# SPDX-License-Identifier: GPL-2.0-or-later
"""The commit that was found, in real repositories: itself, its revert, whether it can matter."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kverdict.bisection import Answer, Commit, Role, Step
from kverdict.culprit import describe, suspicions, without
from kverdict.git import GitFailed
from kverdict.progress import Silent
from kverdict.question import parse
from kverdict.trees import open_tree
from tests.repos import ALICE, Kernel, git, kernel

UTIL, GMEM = "mm/util.c", "virt/kvm/guest_memfd.c"
WRITE, BUILD = parse("write.page", ("write.page",)), parse("build", ())


@pytest.fixture
def made(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "linux")


def repo(made: Kernel) -> Path:
    return open_tree(str(made.path), cache=made.path.parent / "cache", progress=Silent()).repo


def test_what_a_commit_says(made: Kernel) -> None:
    parent = made.sha("HEAD")
    sha = made.commit("mm: change\n\nWhy.\n\nLink: https://x.org/y", {UTIL: "a\n", GMEM: "b\n"})
    found = describe(repo(made), sha)
    assert (found.author, found.parents, found.subject) == (ALICE, (parent,), "mm: change")
    assert found.message.endswith("Link: https://x.org/y")
    assert found.paths == (UTIL, GMEM)
    assert found.fixes == f'Fixes: {sha[:12]} ("mm: change")'
    assert describe(repo(made), parent).paths == ()


def test_a_revert_keeps_what_came_after(made: Kernel) -> None:
    culprit = made.replace("break", UTIL, "util 5", "util five")
    made.replace("later", UTIL, "util 30", "util thirty")
    tip = made.commit("elsewhere", {GMEM: "new\n"})
    head, status = made.sha("HEAD"), git(made.path, "status", "--porcelain")
    reverted = without(repo(made), tip, culprit)
    assert reverted is not None
    content = git(repo(made), "show", f"{reverted}:{UTIL}")
    assert "util 5\n" in content and "util thirty" in content
    assert git(repo(made), "show", f"{reverted}:{GMEM}") == "new"
    assert git(repo(made), "show", "-s", "--format=%P", reverted) == tip
    assert without(repo(made), tip, culprit) == reverted, "the same commits, the same id"
    assert (made.sha("HEAD"), git(made.path, "status", "--porcelain")) == (head, status)


def test_a_revert_that_conflicts(made: Kernel) -> None:
    culprit = made.replace("break", UTIL, "util 5", "util five")
    tip = made.replace("and again", UTIL, "util five", "util FIVE")
    assert without(repo(made), tip, culprit) is None


def test_a_revert_that_could_not_be_tried_is_no_conflict(made: Kernel) -> None:
    culprit = made.replace("break", UTIL, "util 5", "util five")
    tip = made.commit("elsewhere", {GMEM: "new\n"})
    ours = repo(made)
    blob = git(made.path, "rev-parse", f"{tip}:{UTIL}")
    (made.path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    made.commit("and again", {UTIL: "other\n"})
    with pytest.raises(GitFailed):
        without(ours, made.sha("HEAD"), culprit)


def test_the_tip_itself_is_reverted_to_its_parent(made: Kernel) -> None:
    culprit = made.replace("break", UTIL, "util 5", "util five")
    reverted = without(repo(made), culprit, culprit)
    assert reverted is not None
    trees = [git(repo(made), "show", "-s", "--format=%T", sha) for sha in (reverted, f"{culprit}~")]
    assert trees[0] == trees[1]


def commit(*paths: str, parents: int = 1) -> Commit:
    return Commit(
        sha="c" * 40,
        parents=tuple(str(number) * 40 for number in range(parents)),
        author=ALICE,
        date=datetime(2026, 11, 1, tzinfo=UTC),
        subject="change",
        message="change",
        paths=paths,
    )


def step(role: Role, digest: str | None) -> Step:
    return Step(
        number=1,
        role=role,
        commit="c" * 40,
        subject="s",
        answer=Answer.GOOD,
        why="",
        bzimage_digest=digest,
    )


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ((GMEM,), None),
        ((GMEM, "Documentation/kvm.rst"), None),
        (("virt/kvm/Makefile",), None),
        (("scripts/Makefile.build",), None),
        (
            ("Documentation/kvm.rst", "MAINTAINERS"),
            "it touches no code: Documentation/kvm.rst, MAIN",
        ),
        (("arch/arm64/kvm/arm.c",), "not compiled here|compiled here (arm64 only): arch/arm64"),
        (("sound/core/pcm.c",), "nothing of it is compiled here: sound/core/pcm.c"),
        (tuple(f"sound/{n}.c" for n in range(5)), "and 2 more files"),
        ((), "it changes no file"),
    ],
)
def test_what_cannot_matter(paths: tuple[str, ...], said: str | None) -> None:
    bad, parent = step(Role.CULPRIT, "aa"), step(Role.PARENT, None)
    found = suspicions(commit(*paths), bad, [parent], {GMEM, "include/linux/kvm_host.h"}, WRITE)
    if said is None:
        assert found == ()
    else:
        assert len(found) == 1
        assert any(words in found[0] for words in said.split("|"))


def test_a_kernel_that_is_its_parent_s() -> None:
    bad, same = step(Role.CULPRIT, "aa"), step(Role.PARENT, "aa")
    assert "its parent's to the bit" in suspicions(commit(GMEM), bad, [same], {GMEM}, WRITE)[0]
    bad, parent = step(Role.CULPRIT, None), step(Role.PARENT, None)
    assert suspicions(commit(GMEM), bad, [parent], {GMEM}, WRITE) == ()


def test_what_makes_another_kernel_matters_whatever_it_touches() -> None:
    """objtool is built of more of tools/ than its own folder."""
    bad, parent = step(Role.CULPRIT, "aa"), step(Role.PARENT, "bb")
    assert suspicions(commit("tools/lib/subcmd/help.c"), bad, [parent], {GMEM}, WRITE) == ()
    unbuilt = step(Role.CULPRIT, None)
    assert suspicions(commit("tools/lib/subcmd/help.c"), unbuilt, [parent], {GMEM}, BUILD) == ()
    assert suspicions(commit("tools/lib/subcmd/help.c"), unbuilt, [parent], {GMEM}, WRITE) != ()


def test_a_selftest_is_of_the_commit_as_well() -> None:
    bad, same = step(Role.CULPRIT, "aa"), step(Role.PARENT, "aa")
    selftest = commit("tools/testing/selftests/kvm/guest_memfd_test.c")
    question = parse("kselftest.kvm.guest_memfd_test", ())
    assert suspicions(selftest, bad, [same], {GMEM}, question) == ()
    assert len(suspicions(selftest, bad, [same], {GMEM}, WRITE)) == 2
    assert suspicions(commit("sound/core/pcm.c"), bad, [same], {GMEM}, question) != ()


def test_a_merge_is_more_than_its_diff() -> None:
    bad = step(Role.CULPRIT, "aa")
    assert suspicions(commit("Documentation/x.rst", parents=2), bad, [], {GMEM}, WRITE) == ()


def test_nothing_is_known_of_what_a_build_read() -> None:
    bad = step(Role.CULPRIT, None)
    assert suspicions(commit("sound/core/pcm.c"), bad, [], (), WRITE) == ()
    assert suspicions(commit("Documentation/x.rst"), bad, [], (), WRITE) != ()
