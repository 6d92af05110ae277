# SPDX-License-Identifier: GPL-2.0-or-later
"""Range-diffs of two revisions, by b4 and git, in small real repositories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.models import Applied
from kverdict.progress import Silent
from kverdict.stages.rangediff import range_diff
from kverdict.trees import Tree, open_tree
from tests import factories as make
from tests import repos

pytestmark = pytest.mark.host
FILE = "virt/kvm/guest_memfd.c"


@dataclass(frozen=True)
class Revisions:
    """v1 and v2 of a series of two patches, of which the second one changed."""

    kernel: repos.Kernel
    tree: Tree
    boxes: tuple[Path, Path]
    applied: tuple[Applied, Applied]

    def compare(self) -> tuple[str | None, str]:
        return range_diff(self.boxes, self.applied, self.tree, progress=Silent())


@pytest.fixture
def revisions(tmp_path: Path) -> Revisions:
    kernel = repos.kernel(tmp_path / "linux")
    base = kernel.sha("HEAD")
    boxes, applied = [], []
    for number, word in enumerate(("first idea", "better idea"), start=1):
        repos.git(kernel.path, "checkout", "--quiet", "-B", f"v{number}", base)
        kernel.replace("KVM: one", FILE, "line 5", "line five")
        tip = kernel.replace("KVM: two", FILE, "line 25", word)
        folder = tmp_path / f"v{number}"
        folder.mkdir()
        mails = kernel.mails(base, tip, f"-v{number}", "--numbered", "--thread")
        # Sent at another time: b4 keeps what it made of a mail by its Message-ID.
        boxes.append(repos.mbox(folder, mails.replace(b".git.", f".v{number}.".encode())))
        applied.append(make.applied(base=base, tip=tip))
    tree = open_tree(str(kernel.path), cache=tmp_path / "cache", progress=Silent())
    return Revisions(kernel, tree, (boxes[0], boxes[1]), (applied[0], applied[1]))


def what_changed(text: str | None) -> list[str]:
    """The lines of a range-diff that stand for patches, without their commits."""
    lines = (text or "").splitlines()
    return [
        f"{line[0]}{line.split()[2]} {' '.join(line.split()[5:])}"
        for line in lines
        if line[0].isdigit()
    ]


def test_b4_compares_what_was_mailed(revisions: Revisions) -> None:
    before = sorted(path for path in revisions.tree.repo.rglob("*"))
    text, note = revisions.compare()
    assert note == ""
    assert text is not None
    assert what_changed(text) == ["1= KVM: one", "2! KVM: two"]
    assert "    -+first idea\n    ++better idea\n" in text
    assert sorted(path for path in revisions.tree.repo.rglob("*")) == before


def test_it_does_not_take_the_commits_that_were_applied(revisions: Revisions) -> None:
    gone = make.applied(base=revisions.applied[1].base, tip="f" * 40)
    text, note = range_diff(revisions.boxes, (gone, gone), revisions.tree, progress=Silent())
    assert what_changed(text) == ["1= KVM: one", "2! KVM: two"]
    assert note == ""


def without_blobs(revisions: Revisions) -> None:
    """The old mails name blobs that no tree has."""
    box = revisions.boxes[0]
    blob = repos.git(revisions.kernel.path, "rev-parse", f"{revisions.applied[0].base}:{FILE}")
    content = box.read_text()
    assert blob[:7] in content
    box.write_text(content.replace(f"index {blob[:7]}", "index 1234567"))


def test_the_applied_commits_stand_in_when_the_tree_lacks_the_blobs(revisions: Revisions) -> None:
    without_blobs(revisions)
    text, note = revisions.compare()
    assert what_changed(text) == ["1= KVM: one", "2! KVM: two"]
    assert note.startswith("of the applied commits: b4 diff cannot compare them (")
    assert FILE in note


def test_without_blobs_and_commits_it_says_why_there_is_none(revisions: Revisions) -> None:
    without_blobs(revisions)
    gone = revisions.applied[0].model_copy(update={"tip": "f" * 40})
    text, note = range_diff(
        revisions.boxes, (gone, revisions.applied[1]), revisions.tree, progress=Silent()
    )
    assert text is None
    assert note.endswith("; commit ffffffffffff is not in the tree any more")


def test_a_mailbox_that_is_gone_leaves_the_commits(revisions: Revisions) -> None:
    revisions.boxes[0].unlink()
    text, note = revisions.compare()
    assert what_changed(text) == ["1= KVM: one", "2! KVM: two"]
    assert "the mails of a run cannot be read" in note


def test_a_mailbox_without_patches_leaves_the_commits(revisions: Revisions) -> None:
    revisions.boxes[0].write_bytes(b"nonsense\n")
    text, note = revisions.compare()
    assert what_changed(text) == ["1= KVM: one", "2! KVM: two"]
    assert note.startswith("of the applied commits: b4 diff cannot compare them (")


def test_what_it_prints_is_made_printable(tmp_path: Path, revisions: Revisions) -> None:
    box = revisions.boxes[1]
    box.write_bytes(box.read_bytes().replace(b"better idea", b"better \x1b[2J idea"))
    text, _ = revisions.compare()
    assert text is not None
    assert "better \\x1b[2J idea" in text
    assert "\x1b" not in text
