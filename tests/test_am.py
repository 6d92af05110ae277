# SPDX-License-Identifier: GPL-2.0-or-later
"""Our git am makes the commits that git am makes in a whole checkout."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest

from kverdict.am import Landed, Mail, apply_mails, read_mbox, split_mboxrd
from kverdict.errors import InfraError, PatchError, UserError
from kverdict.git import Repository
from kverdict.progress import Silent
from kverdict.trees import Tree, open_tree
from tests.repos import Kernel, git, kernel, mail, mbox

DIFF = """\
diff --git a/mm/util.c b/mm/util.c
--- a/mm/util.c
+++ b/mm/util.c
@@ -9,3 +9,3 @@
 util 9
-util 10
+util ten
 util 11
"""


@pytest.fixture
def linux(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "linux")


@pytest.fixture
def tree(linux: Kernel, tmp_path: Path) -> Tree:
    return open_tree(str(linux.path), cache=tmp_path / "cache", progress=Silent())


def plain_git_am(linux: Kernel, base: str, data: bytes, *options: str) -> str:
    """The tip that git itself makes, in a whole worktree of a clone."""
    folder = linux.path.parent / "whole"
    git(linux.path.parent, "clone", "--quiet", str(linux.path), str(folder))
    git(folder, "checkout", "--quiet", "--detach", base)
    subprocess.run(
        ["git", "am", "--patch-format=mboxrd", "--committer-date-is-author-date", *options],
        cwd=folder,
        input=data,
        check=True,
        env={
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": "/nonexistent",
            "GIT_COMMITTER_NAME": "kverdict",
            "GIT_COMMITTER_EMAIL": "kverdict@localhost",
        },
    )
    return git(folder, "rev-parse", "HEAD")


def test_the_commits_of_git_am(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    linux.replace("mm: one", "mm/util.c", "util 10", "util ten")
    tip = linux.commit("mm: two\n\nFrom here on.\n", {"mm/new/deep.c": "new\n"})
    data = linux.mails(base, tip)
    result = apply_mails(tree.repo, base, split_mboxrd(data))
    assert result.refusal is None
    assert result.tip == plain_git_am(linux, base, data)
    assert [item.three_way for item in result.landed] == [False, False]
    assert (
        git(tree.repo, "log", "-1", "--format=%B", result.tip).split("\n\n")[1] == "From here on."
    )


def test_the_commits_of_a_3way_merge(linux: Kernel, tree: Tree) -> None:
    """A base that has a changed context: only the old blobs tell."""
    old = linux.sha("HEAD")
    linux.replace("mm: one", "mm/util.c", "util 20", "util twenty")
    linux.commit("virt: two", {"virt/new.c": "new\n"})
    tip = linux.replace("virt: three", "virt/kvm/guest_memfd.c", "line 10", "line ten")
    data = linux.mails(old, tip, "--full-index")
    git(linux.path, "checkout", "--quiet", "--detach", old)
    linux.replace("context", "mm/util.c", "util 18", "util eighteen")
    base = linux.replace("context", "virt/kvm/guest_memfd.c", "line 12", "line twelve")
    git(linux.path, "branch", "changed")
    result = apply_mails(tree.repo, base, split_mboxrd(data))
    assert result.refusal is None
    assert [item.three_way for item in result.landed] == [True, False, True]
    assert result.tip == plain_git_am(linux, base, data, "--3way")


def test_a_3way_merge_writes_no_file_that_the_mail_does_not_name(linux: Kernel, tree: Tree) -> None:
    """git would follow the file to its new name."""
    old = linux.sha("HEAD")
    tip = linux.replace("virt: one", "virt/kvm/guest_memfd.c", "line 10", "line ten")
    data = linux.mails(old, tip, "--full-index")
    git(linux.path, "checkout", "--quiet", "--detach", old)
    git(linux.path, "mv", "virt/kvm/guest_memfd.c", "virt/kvm/gmem.c")
    base = linux.commit("moved", {})
    git(linux.path, "branch", "moved")
    assert apply_mails(tree.repo, base, split_mboxrd(data)).landed == ()


def test_the_same_mails_give_the_same_ids(linux: Kernel, tree: Tree, tmp_path: Path) -> None:
    base = linux.sha("HEAD")
    tip = linux.replace("mm: one", "mm/util.c", "util 10", "util ten")
    mails = split_mboxrd(linux.mails(base, tip))
    git(tmp_path, "clone", "--quiet", "--bare", str(linux.path), "copy.git")
    other = open_tree(str(tmp_path / "copy.git"), cache=tmp_path / "c2", progress=Silent())
    assert other.repo != tree.repo
    assert apply_mails(tree.repo, base, mails) == apply_mails(other.repo, base, mails)


def test_it_stops_at_the_first_mail_that_does_not_apply(linux: Kernel, tree: Tree) -> None:
    base = linux.sha("HEAD")
    one = linux.replace("mm: one", "mm/util.c", "util 10", "util ten")
    two = linux.replace("mm: two", "mm/util.c", "util ten", "util 10.0")
    three = linux.replace("mm: three", "mm/util.c", "util 30", "util thirty")
    mails = split_mboxrd(linux.mails(base, three))
    result = apply_mails(tree.repo, base, [mails[0], mails[0], mails[2]])
    assert len(result.landed) == 1
    assert result.refusal is not None
    assert result.tip == result.landed[0].commit
    whole = apply_mails(tree.repo, base, mails)
    assert [type(item) for item in whole.landed] == [Landed] * 3
    assert {one, two}.isdisjoint(item.commit for item in whole.landed)  # the committer differs
    assert not list((tree.repo / "worktrees").glob("*"))
    assert not list((tree.repo.parent / "am").iterdir())


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_encoded_mails(linux: Kernel, tree: Tree, encoding: str) -> None:
    body = f"Why.\n---\n{DIFF}"
    if encoding == "base64":
        body = base64.encodebytes(body.encode()).decode()
    headers = [
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Transfer-Encoding: {encoding}",
    ]
    (one,) = split_mboxrd(mail("mm: one", body, headers=headers))
    assert one.paths == ("mm/util.c",)
    result = apply_mails(tree.repo, linux.sha("HEAD"), [one])
    assert result.refusal is None
    with Repository(tree.repo) as repository:
        assert b"util ten\n" in (repository.show_file(result.tip, "mm/util.c") or b"")


def test_scissors_do_not_rewrite_a_mail(linux: Kernel, tree: Tree) -> None:
    body = f"Real message.\n\n-- >8 --\nFrom: Mallory <m@example.org>\n\nOther.\n---\n{DIFF}"
    result = apply_mails(tree.repo, linux.sha("HEAD"), split_mboxrd(mail("mm: one", body)))
    with Repository(tree.repo) as repository:
        assert repository.commit(result.tip).author == "Alice Example <alice@example.org>"
        assert repository.commit(result.tip).subject == "mm: one"


@pytest.mark.parametrize(
    "path", ["../outside", ".git/hooks/pre-commit", "/etc/passwd", "sub/.git/config"]
)
def test_no_patch_reaches_outside(linux: Kernel, tree: Tree, path: str) -> None:
    diff = f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
    body = f"Why.\n---\n{diff}@@ -0,0 +1 @@\n+mine\n"
    with pytest.raises(PatchError, match=re.escape(path)):
        apply_mails(tree.repo, linux.sha("HEAD"), split_mboxrd(mail("x", body)))
    assert not (tree.repo.parent / "am/outside").exists()


def test_no_patch_writes_through_its_own_link(linux: Kernel, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    link = (
        "diff --git a/link b/link\nnew file mode 120000\n--- /dev/null\n+++ b/link\n"
        f"@@ -0,0 +1 @@\n+{tmp_path / 'target'}\n\\ No newline at end of file\n"
    )
    through = (
        "diff --git a/link/x b/link/x\nnew file mode 100644\n--- /dev/null\n+++ b/link/x\n"
        "@@ -0,0 +1 @@\n+mine\n"
    )
    mails = split_mboxrd(mail("a", f"w\n---\n{link}") + mail("b", f"w\n---\n{through}"))
    with pytest.raises(PatchError, match="is a link out of the tree"):
        apply_mails(tree.repo, linux.sha("HEAD"), mails)
    assert not list((tmp_path / "target").iterdir())


def test_a_mail_says_who_and_what() -> None:
    rename = "rename from old/a b.c\nrename to new/a b.c\n"
    body = f"Why.\n---\ndiff --git a/x b/y\n{rename}{DIFF}"
    (one,) = split_mboxrd(
        mail("KVM:\n  guest_memfd", body, headers=["Message-ID: <a.b@example.org>"])
    )
    assert one.subject == "KVM: guest_memfd"
    assert one.message_id == "a.b@example.org"
    assert one.paths == ("mm/util.c", "new/a b.c", "old/a b.c")


def test_prefixes_of_the_subject_go() -> None:
    two = Mail(b"From x\nSubject: [RFC] [PATCH v3 1/2] mm: a [b] c\n\n")
    assert two.subject == "mm: a [b] c"
    assert Mail(b"From x\n\n").subject == "(no subject)"


def test_an_mboxrd_is_split_at_its_separators_only() -> None:
    data = mail("a", ">From the start\n From x") + mail("b", "b")
    assert [one.subject for one in split_mboxrd(data)] == ["a", "b"]
    assert b"".join(one.data for one in split_mboxrd(data)) == data
    assert split_mboxrd(b"") == ()


def test_a_mailbox_of_another_length(tmp_path: Path) -> None:
    path = mbox(tmp_path, mail("a", "a"))
    assert len(read_mbox(path, 1)) == 1
    with pytest.raises(InfraError, match="holds 1 mails, the series has 2 patches"):
        read_mbox(path, 2)
    with pytest.raises(UserError, match="cannot be read"):
        read_mbox(tmp_path / "missing", 1)
