# SPDX-License-Identifier: GPL-2.0-or-later
"""Series become commits, one a patch, or a refusal that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict import models
from kverdict.errors import ExitStatus, InfraError, PatchError
from kverdict.progress import Silent
from kverdict.stages.apply import apply_series
from kverdict.trees import Tree, open_tree
from tests import factories
from tests.repos import ALICE, Kernel, git, kernel, mail, mbox


@pytest.fixture
def linux(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "linux")


@pytest.fixture
def tree(linux: Kernel, tmp_path: Path) -> Tree:
    return open_tree(str(linux.path), cache=tmp_path / "cache", progress=Silent())


def apply(tree: Tree, data: bytes, base: str, count: int = 1, **changes: object) -> models.Applied:
    series = factories.series(
        patches=tuple(factories.patch(n, author=ALICE) for n in range(1, count + 1)), **changes
    )
    choice = factories.base_choice(sha=base)
    return apply_series(series, mbox(tree.repo.parent, data), choice, tree, progress=Silent())


def test_one_commit_a_patch(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    one = linux.replace("mm: one", "mm/util.c", "util 10", "util ten")
    tip = linux.commit("mm: two", {"mm/a.c": "a\n", "mm/b.c": "b\n"})
    applied = apply(tree, linux.mails(base, tip), base, 2)
    first, second = applied.patches
    assert (first.number, first.subject, first.three_way) == (1, "mm: one", False)
    assert (first.paths, second.paths) == (("mm/util.c",), ("mm/a.c", "mm/b.c"))
    assert (applied.base, applied.tip) == (base, second.commit)
    assert tree.commit(second.commit).parents == (first.commit,)
    assert tree.tree_id(applied.tip) == git(linux.path, "rev-parse", f"{tip}^{{tree}}")
    assert tree.commit(first.commit).author == ALICE
    assert tree.diff_paths(base, applied.tip) == ("mm/a.c", "mm/b.c", "mm/util.c")
    assert tree.diff(base, one) == tree.diff(base, first.commit)


def test_a_conflict_names_patch_file_hunk_and_line(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    linux.commit("mm: one", {"mm/a.c": "a\n"})
    tip = linux.replace("mm: two", "mm/util.c", "util 10", "util ten")
    data = linux.mails(base, tip)
    git(linux.path, "checkout", "--quiet", "-b", "other", base)
    other = linux.replace("other", "mm/util.c", "util 10", "util 10 changed")
    with pytest.raises(PatchError) as caught:
        apply(tree, data, other, 2)
    error = caught.value
    assert error.status is ExitStatus.UNTESTABLE
    assert error.problem == (
        f"patch 2/2 'mm: two' does not apply to {other[:12]} (7.2.12): mm/util.c, "
        "hunk @@ -7,7 +7,7 @@ util 6: line 10 is not what the patch expects"
    )
    assert error.detail.splitlines()[1:] == [
        "    the patch expects:   util 10",
        "    the tree has there:  util 10 changed",
    ]
    assert not list((tree.repo / "worktrees").glob("*"))


def test_gits_own_words_where_no_hunk_is_at_fault(linux: Kernel, tree: Tree) -> None:
    with pytest.raises(PatchError, match=r"patch 1/1 'no diff' does not apply to .*: \S"):
        apply(tree, mail("no diff", "Only words."), linux.sha("HEAD"))


def test_a_change_that_the_tree_has_already(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    tip = linux.replace("mm: one", "mm/util.c", "util 10", "util ten")
    with pytest.raises(PatchError, match="mm/util"):
        apply(tree, linux.mails(base, tip, "--full-index"), tip)


def test_an_author_in_the_body_is_the_author(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    tip = linux.replace(
        "mm: one", "mm/util.c", "util 10", "util ten",
        GIT_AUTHOR_NAME="Bob Bööm", GIT_AUTHOR_EMAIL="bob@example.org",
    )  # fmt: skip
    data = linux.mails(base, tip, f"--from={ALICE}")
    assert b"\nFrom: Alice" in data and b"bob@example.org" in data
    applied = apply(tree, data, base)
    assert tree.commit(applied.tip).author == "Bob Bööm <bob@example.org>"


NEW_LINK = (
    "Why.\n---\ndiff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
    "@@ -0,0 +1 @@\n+{content}\n\\ No newline at end of file\n"
)


@pytest.mark.parametrize(
    ("path", "mode", "content", "why"),
    [
        ("mm/out", "120000", "/etc/passwd", "link out of the tree"),
        ("mm/out", "120000", "../../outside", "link out of the tree"),
        ("mm/out", "120000", "../..", "link out of the tree"),
        ("mm/sub", "160000", f"Subproject commit {'ab' * 20}", "is a submodule"),
    ],
)
def test_what_no_kernel_patch_needs_is_refused(
    linux: Kernel, tree: Tree, path: str, mode: str, content: str, why: str
) -> None:
    data = mail("x", NEW_LINK.format(path=path, mode=mode, content=content))
    with pytest.raises(PatchError, match=why) as caught:
        apply(tree, data, linux.sha("HEAD"))
    assert caught.value.status is ExitStatus.SERIES_REFUSED


@pytest.mark.parametrize(
    ("path", "target"), [("mm/link", "../Makefile"), ("mm/link", "util.c"), ("link", "..dots")]
)
def test_links_within_the_tree_are_fine(linux: Kernel, tree: Tree, path: str, target: str) -> None:
    data = mail("x", NEW_LINK.format(path=path, mode="120000", content=target))
    applied = apply(tree, data, linux.sha("HEAD"))
    assert tree.show_file(applied.tip, path) == target.encode()


def test_everything_that_kernel_patches_do_lands_as_announced(linux: Kernel, tree: Tree) -> None:
    long = "".join(f"line {n}\n" for n in range(30))
    names = ("mm/move me.c", "mm/copy.c", "scripts/mode.sh", "mm/gone.c", "mm/type.h", "mm/täst.c")
    base = linux.commit("before", {name: f"{name}\n{long}" for name in names})
    (linux.path / "mm/move me.c").rename(linux.path / "mm/moved here.c")
    (linux.path / "scripts/mode.sh").chmod(0o755)
    (linux.path / "mm/gone.c").unlink()
    (linux.path / "mm/type.h").unlink()
    (linux.path / "mm/type.h").symlink_to("../virt/kvm/guest_memfd.c")
    looks_like_a_diff = "diff --git a/../x b/../x\n--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-- \n"
    tip = linux.commit(
        "mm: all at once\n\n    diff --git a/indented b/indented\n    --- a/.git/config",
        {
            "mm/copied.c": f"mm/copy.c\n{long}more\n",
            "mm/copy.c": f"mm/copy.c\n{long}less\n",
            "mm/empty.c": "",
            "mm/Makefile": "no newline",
            "mm/täst.c": "other\n",
            "tools/fix.patch": looks_like_a_diff,
            ".gitignore": "*.o\n",
            ".gitattributes": "*.c diff=cpp\n",
        },
    )
    data = linux.mails(base, tip, "-C", "--signature=2.39.5")
    applied = apply(tree, data, base)
    assert tree.tree_id(applied.tip) == git(linux.path, "rev-parse", f"{tip}^{{tree}}")
    assert applied.patches[0].attention == (
        "mm/Makefile (takes part in the build itself)",
        "mm/type.h (a symbolic link)",
        "scripts/mode.sh (becomes executable, takes part in the build itself)",
    )


def test_a_link_that_a_range_of_the_tree_brings_is_refused_as_well(
    linux: Kernel, tree: Tree
) -> None:
    base = linux.sha("HEAD")
    (linux.path / "out").symlink_to("/etc/passwd")
    tip = linux.commit("a link", {})
    with pytest.raises(PatchError, match=r"\[1/1\] out: is a link out of the tree"):
        apply(tree, b"", base, kind=models.SourceKind.REV_RANGE, rev_range=(base, tip))


def test_a_control_character_in_a_name_is_refused(linux: Kernel, tree: Tree) -> None:
    body = 'Why.\n---\ndiff --git "a/\\033[2Jx" "b/\\033[2Jx"\nnew file mode 100644\n'
    body += '--- /dev/null\n+++ "b/\\033[2Jx"\n@@ -0,0 +1 @@\n+x\n'
    with pytest.raises(PatchError, match="control characters") as caught:
        apply(tree, mail("x", body), linux.sha("HEAD"))
    assert "\x1b" not in str(caught.value)


def test_a_range_is_taken_as_it_is(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    one = linux.replace("mm: one", "mm/util.c", "util 10", "util ten")
    two = linux.replace("mm: two", "mm/util.c", "util 11", "util eleven")
    applied = apply(tree, b"", base, 2, kind=models.SourceKind.REV_RANGE, rev_range=(base, two))
    assert [patch.commit for patch in applied.patches] == [one, two]
    assert (applied.base, applied.tip) == (base, two)


def test_a_range_with_a_merge_is_no_series(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    git(linux.path, "checkout", "--quiet", "-b", "side")
    linux.commit("side", {"side": "1\n"})
    git(linux.path, "checkout", "--quiet", "main")
    linux.commit("main", {"main": "1\n"})
    git(linux.path, "merge", "--quiet", "--no-ff", "-m", "merge", "side")
    rev_range = (base, linux.sha("HEAD"))
    with pytest.raises(PatchError, match="contains the merge"):
        apply(tree, b"", base, 3, kind=models.SourceKind.REV_RANGE, rev_range=rev_range)


def test_a_mailbox_that_lost_a_patch(linux: Kernel, tree: Tree) -> None:
    with pytest.raises(InfraError, match="holds 1 mails, the series has 2 patches"):
        apply(tree, mail("x", "y"), linux.sha("HEAD"), 2)
