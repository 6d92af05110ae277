# SPDX-License-Identifier: GPL-2.0-or-later
"""Who has to have signed, and what a Fixes tag may name; git itself reads the trailers."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.git import Repository
from kverdict.progress import Silent
from kverdict.trailers import (
    Remark,
    Trailer,
    fixes_remarks,
    is_relay,
    origin_remarks,
    same_person,
    trailers_of,
)
from kverdict.trees import Tree, open_tree
from tests.repos import ALICE, Kernel, git, kernel

BOB = "Bob Builder <bob@example.org>"
CAROL = "Carol Committer <carol@example.org>"


@pytest.fixture
def linux(tmp_path: Path) -> Kernel:
    return kernel(tmp_path / "linux")


def opened(linux: Kernel, tmp_path: Path) -> Tree:
    return open_tree(str(linux.path), cache=tmp_path / "cache", progress=Silent())


def lines(*texts: str) -> tuple[Trailer, ...]:
    pairs = (text.split(": ", 1) for text in texts)
    return tuple(Trailer(key.lower(), value) for key, value in pairs)


def test_git_takes_the_trailers_out_of_a_message(linux: Kernel) -> None:
    message = (
        "mm: one\n\nFixes: this is text, not the last paragraph\n\n"
        'Fixes: 0123456789ab ("a subject that goes on\n on the next line")\n'
        "Signed-off-by: Alice Example <alice@example.org>\n"
        "[bob: repaired the comment]\n"
        "signed-off-by:Bob Builder <bob@example.org>\n"
    )
    commit = linux.commit(message, {"mm/a.c": "a\n"})
    with Repository(linux.path) as repository:
        found = trailers_of(repository, commit)
    assert found == (
        Trailer("fixes", '0123456789ab ("a subject that goes on on the next line")'),
        Trailer("signed-off-by", ALICE),
        Trailer("signed-off-by", BOB),
    )


def test_a_message_without_trailers(linux: Kernel) -> None:
    commit = linux.commit("mm: one", {"mm/a.c": "a\n"})
    with Repository(linux.path) as repository:
        assert trailers_of(repository, commit) == ()


LAST = f"Signed-off-by: {ALICE}"
STRAY = Trailer("signed-off-by", ALICE, stray=True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"{LAST}\n\nv2: fix the typo", [STRAY, Trailer("v2", "fix the typo")]),
        (f"{LAST}\n\n[ rebased ]", [STRAY]),
        (f"{LAST}\n\nLink: https://x.example", [STRAY, Trailer("link", "https://x.example")]),
        (
            f"Fixes: 1234567 bad tag\n\n{LAST}",
            [Trailer("fixes", "1234567 bad tag", stray=True), Trailer("signed-off-by", ALICE)],
        ),
        (
            f"Fixes: commit 1234567\n\n{LAST}",
            [Trailer("fixes", "commit 1234567", stray=True), Trailer("signed-off-by", ALICE)],
        ),
        (
            f'Fixes: 0123456789ab ("a long\n subject")\n\n{LAST}',
            [
                Trailer("fixes", '0123456789ab ("a long subject")', stray=True),
                Trailer("signed-off-by", ALICE),
            ],
        ),
        (f"{LAST}\n\n{LAST}", [STRAY, Trailer("signed-off-by", ALICE)]),
        *(
            (f"Fixes: {prose}\n\n{LAST}", [Trailer("signed-off-by", ALICE)])
            for prose in (
                "deadlock in foo()",
                "added checks",
                "1234 of them",
                "commit dead code",
                "abcdef0ish numbers",
            )
        ),
        (f"Fixes: a crash\n > {LAST}\n  {LAST}\n\nThe end.", []),
    ],
)
def test_what_was_meant_as_a_trailer(body: str, expected: list[Trailer], linux: Kernel) -> None:
    commit = linux.commit(f"mm: one\n\nwhy\n\n{body}", {"mm/a.c": "a\n"})
    with Repository(linux.path) as repository:
        assert trailers_of(repository, commit) == tuple(expected)


# --- who signed -----------------------------------------------------------------------------------

GOOD = {
    "by its author": (ALICE, ALICE, [f"Signed-off-by: {ALICE}"]),
    "sent on by another": (
        *(ALICE, BOB),
        [f"Signed-off-by: {ALICE}", f"Reviewed-by: {CAROL}", f"Signed-off-by: {BOB}"],
    ),
    "nobody mailed it": (ALICE, None, [f"Signed-off-by: {ALICE}", f"Signed-off-by: {BOB}"]),
    "from another address": (
        *("Alice Example <alice@work.example>", "Example, Alice <a@corp.example>"),
        [f"Signed-off-by: {ALICE}"],
    ),
    "with a co-author": (
        *(ALICE, ALICE),
        [f"Co-developed-by: {BOB}", f"Signed-off-by: {BOB}", f"Signed-off-by: {ALICE}"],
    ),
}


@pytest.mark.parametrize("what", GOOD)
def test_signed(what: str) -> None:
    author, sender, trailers = GOOD[what]
    assert origin_remarks(author, sender, lines(*trailers)) == []


BAD = {
    "by nobody": (ALICE, [], "error", f"no Signed-off-by of its author {ALICE}"),
    "by another only": (
        ALICE,
        [f"Signed-off-by: {BOB}"],
        "error",
        f"no Signed-off-by of its author {ALICE}",
    ),
    "not by who sent it": (
        BOB,
        [f"Signed-off-by: {BOB}", f"Signed-off-by: {ALICE}"],
        "warning",
        f"the last Signed-off-by is {ALICE}'s, the mail is from {BOB}",
    ),
    "not by the co-author": (
        ALICE,
        [f"Co-developed-by: {BOB}", f"Signed-off-by: {ALICE}"],
        "error",
        f"no Signed-off-by right after Co-developed-by: {BOB}",
    ),
    "by the co-author, but not at once": (
        BOB,
        [f"Co-developed-by: {BOB}", f"Signed-off-by: {ALICE}", f"Signed-off-by: {BOB}"],
        "error",
        f"no Signed-off-by right after Co-developed-by: {BOB}",
    ),
    "by a co-author who comes last": (
        ALICE,
        [f"Signed-off-by: {ALICE}", f"Co-developed-by: {BOB}"],
        "error",
        f"no Signed-off-by right after Co-developed-by: {BOB}",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_not_signed(what: str) -> None:
    sender, trailers, severity, message = BAD[what]
    assert origin_remarks(ALICE, sender, lines(*trailers)) == [Remark(severity, message)]


def test_signed_where_git_does_not_see_it() -> None:
    stray = Remark(
        "warning",
        f"Signed-off-by: {ALICE}: not in a last paragraph of trailers, "
        "git does not take it for one",
    )
    assert origin_remarks(ALICE, ALICE, [STRAY]) == [stray]
    assert origin_remarks(ALICE, ALICE, [STRAY, *lines(f"Signed-off-by: {ALICE}")]) == []
    assert origin_remarks(BOB, None, [STRAY]) == [
        Remark("error", f"no Signed-off-by of its author {BOB}"),
        stray,
    ]
    assert origin_remarks(ALICE, BOB, [STRAY, *lines(f"Signed-off-by: {BOB}")]) == [stray]


def test_nobody_is_the_same_as_nobody_else() -> None:
    assert same_person("Jörg Ü <j@a.example>", "ü, JÖRG <j@b.example>")
    assert same_person("A <J@Example.org>", "B <j@example.ORG>")
    assert not same_person("<a@example.org>", "<b@example.org>")
    assert not same_person("", "")
    assert not same_person("Jane Doe <jane@a.example>", "Jane Roe <jane@b.example>")


def test_relays() -> None:
    assert is_relay("Alice Example via B4 Relay <devnull+alice.example.org@kernel.org>")
    assert is_relay("Alice Example via linux-mm <linux-mm@lists.example>")
    assert not is_relay(ALICE)


# --- Fixes ----------------------------------------------------------------------------------------


@pytest.fixture
def broke(linux: Kernel) -> str:
    """A commit that somebody may want to fix."""
    return linux.replace("mm: util 10 is ten", "mm/util.c", "util 10", "util ten")


def fixes(tree: Tree, before: str, value: str) -> list[Remark]:
    remarks, unknown = fixes_remarks(tree, before, lines(f"Fixes: {value}"))
    assert unknown == []
    return remarks


def test_a_good_tag(linux: Kernel, broke: str, tmp_path: Path) -> None:
    tree = opened(linux, tmp_path)
    assert fixes(tree, broke, f'{broke[:12]} ("mm: util 10 is ten")') == []
    assert fixes(tree, broke, f'{broke} ("mm: util  10 is ten")') == []


def test_what_the_tag_names_is_compared(linux: Kernel, broke: str, tmp_path: Path) -> None:
    tree, short = opened(linux, tmp_path), broke[:12]
    form = 'not written as Fixes: 0123456789ab ("subject")'
    assert fixes(tree, broke, f'{short} ("mm: something else")') == [
        Remark("warning", f'Fixes: {short}: its subject is "mm: util 10 is ten"')
    ]
    nowhere = 'feedfeedfeed ("mm: util 10 is ten")'
    assert fixes(tree, broke, nowhere) == [
        Remark("error", "Fixes: feedfeedfeed: the tree has no such commit")
    ]
    for value in (f"commit {short}", f'{broke[:8]} ("mm: util 10 is ten")', f"{short} mm: util"):
        assert fixes(tree, broke, value) == [Remark("warning", f"Fixes: {value}: {form}")]
    url = "https://bugs.example/123"
    assert fixes(tree, broke, url) == [Remark("warning", f"Fixes: {url}: {form}")]


def test_it_has_to_be_older_than_the_patch(linux: Kernel, broke: str, tmp_path: Path) -> None:
    git(linux.path, "checkout", "--quiet", "-b", "other", f"{broke}~1")
    other = linux.commit("mm: other", {"mm/b.c": "b\n"})
    tree = opened(linux, tmp_path)
    problem = [
        Remark(
            "warning",
            f"Fixes: {broke[:12]}: not in the history that the patch is applied to",
        )
    ]
    tag = f'{broke[:12]} ("mm: util 10 is ten")'
    assert fixes(tree, other, tag) == problem
    assert fixes(tree, git(linux.path, "rev-parse", f"{broke}~1"), tag) == problem
    assert fixes(tree, broke, tag) == []


def test_without_history_nothing_is_wrong(linux: Kernel, tmp_path: Path) -> None:
    first = linux.sha("HEAD")
    tree = opened(linux, tmp_path)
    remarks, unknown = fixes_remarks(tree, first, lines('Fixes: feedfeedfeed ("mm: one")'))
    assert remarks == []
    assert unknown == ["the tree's history begins with the base"]


def test_a_shallow_clone_does_not_know(linux: Kernel, broke: str, tmp_path: Path) -> None:
    linux.commit("mm: later", {"mm/c.c": "c\n"})
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{linux.path}", str(clone))
    tree = open_tree(str(clone), cache=tmp_path / "cache", progress=Silent())
    remarks, unknown = fixes_remarks(tree, tree.head, lines('Fixes: feedfeedfeed ("mm: one")'))
    assert remarks == []
    assert unknown == ["the tree is a shallow clone"]


def test_an_imported_tree_does_not_know(linux: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    git(linux.path, "worktree", "add", "--quiet", str(folder))
    (folder / ".git").unlink()
    tree = open_tree(str(folder), cache=tmp_path / "cache", progress=Silent())
    remarks, unknown = fixes_remarks(tree, tree.head, lines('Fixes: feedfeedfeed ("mm: one")'))
    assert remarks == []
    assert unknown == ["the tree was imported without history"]


def test_a_thousand_tags_are_not_all_looked_up(linux: Kernel, broke: str, tmp_path: Path) -> None:
    tags = lines(*['Fixes: feedfeedfeed ("mm: one")'] * 1000)
    remarks, _ = fixes_remarks(opened(linux, tmp_path), broke, tags)
    assert len(remarks) == 21
    assert remarks[-1] == Remark("note", "only the first 20 Fixes tags were looked up")
