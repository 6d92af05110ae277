# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own checkpatch.pl and kernel-doc on a series made for them; nothing is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict import models
from kverdict.progress import Silent
from kverdict.settings import HOME, Settings
from kverdict.stages import fetch
from kverdict.stages.apply import apply_series
from kverdict.stages.base import choose_base
from kverdict.stages.checks import check
from kverdict.trees import Tree, open_tree
from tests.e2e.history import History

GMEM = "virt/kvm/guest_memfd.c"
INCLUDE = "#include <linux/falloc.h>\n"
DOCUMENTED = f"""{INCLUDE}
/**
 * kvm_gmem_twice - doubles
 * @gone: is not there
 */
int kvm_gmem_twice(int it)
{{
	return it*2;
}}
"""


def checks_of(mails: bytes, tree: Tree, folder: Path) -> models.Checks:
    series = fetch.fetch_mailbox(
        mails,
        kind=models.SourceKind.MBOX,
        asked="made.mbx",
        folder=folder / "series",
        revision=None,
        settings=Settings().archive,
        progress=Silent(),
    )
    place = folder / "series" / series.mbox
    base = choose_base(
        series,
        place,
        tree,
        user_base="HEAD",
        guess_refs=(),
        progress=Silent(),
        find_prerequisite=lambda _: None,
    )
    applied = apply_series(series, place, base, tree, progress=Silent())
    return check(series, applied, place, tree, progress=Silent())


def mails_of(history: History, base: str, folder: Path) -> bytes:
    names = history.series(base, folder / "patches")
    return b"".join(Path(name).read_bytes() for name in names)


@pytest.fixture
def tree(linux_7_2: tuple[Path, str], cache: Path) -> Tree:
    return open_tree("debian:7.2", cache=cache, progress=Silent())


def test_a_series_with_defects(linux_7_2: tuple[Path, str], tree: Tree, tmp_path: Path) -> None:
    history = History.on(*linux_7_2, tmp_path / "made.git")
    body = "A change that somebody wants, and says so in teh log.\n"
    history.commit("KVM: guest_memfd: Include twice", {GMEM: (INCLUDE, DOCUMENTED)}, body)
    tag = 'Fixes: feedfeedfeed ("KVM: guest_memfd: never was")'
    history.commit("KVM: guest_memfd: Halve", {GMEM: ("it*2", "it / 2")}, f"{body}\n{tag}")
    found = checks_of(mails_of(history, linux_7_2[1], tmp_path), tree, tmp_path)
    assert found.ran == ("DCO", "checkpatch", "kernel-doc")
    assert [absent.tool for absent in found.missing] == ["Fixes", "coccicheck"]
    said = {(note.tool, note.patch, note.file, note.message.split(":")[0]) for note in found.notes}
    assert said == {
        ("checkpatch", 1, None, "TYPO_SPELLING"),
        ("checkpatch", 2, None, "TYPO_SPELLING"),
        ("kernel-doc", 1, GMEM, "function parameter 'it' not described in 'kvm_gmem_twice'"),
        (
            *("kernel-doc", 1, GMEM),
            "Excess function parameter 'gone' description in 'kvm_gmem_twice'",
        ),
    }
    (line,) = {note.line for note in found.notes if note.tool == "kernel-doc"}
    text = history.git("show", f"topic~1:{GMEM}").splitlines()
    assert line is not None
    assert "kvm_gmem_twice" in text[line - 1]


def test_the_bundled_series(tree: Tree, tmp_path: Path) -> None:
    mails = (HOME / "patches/gmem-write-v7-port.mbx").read_bytes()
    found = checks_of(mails, tree, tmp_path)
    assert [(note.tool, note.message.split(":")[0]) for note in found.notes] == [
        ("checkpatch", "COMMIT_LOG_LONG_LINE")
    ]


@pytest.mark.long
def test_checkpatch_and_kernel_doc_of_other_versions(cache: Path, tmp_path: Path) -> None:
    """Linux 6.12's kernel-doc is in Perl."""
    tree = open_tree("debian:6.12", cache=cache, progress=Silent())
    history = History.on(tree.repo, tree.head, tmp_path / "made.git")
    body = "A change that somebody wants, and says so in the log.\n"
    history.commit("KVM: guest_memfd: Include twice", {GMEM: (INCLUDE, DOCUMENTED)}, body)
    found = checks_of(mails_of(history, tree.head, tmp_path), tree, tmp_path)
    assert found.ran == ("DCO", "Fixes", "checkpatch", "kernel-doc")
    assert {(note.tool, note.file) for note in found.notes} == {("kernel-doc", GMEM)}
    assert len(found.notes) == 2
