# SPDX-License-Identifier: GPL-2.0-or-later
"""git's own bisection on real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from kverdict.bisection import Answer
from kverdict.errors import UserError
from kverdict.gitbisect import Range, Session, check_terms, read_log
from kverdict.progress import Silent
from kverdict.trees import open_tree
from tests.repos import Kernel, git, kernel


@pytest.fixture
def row(tmp_path: Path) -> tuple[Kernel, list[str]]:
    """A kernel and 16 commits on top of it."""
    made = kernel(tmp_path / "linux")
    shas = [made.sha("HEAD")]
    for number in range(16):
        shas.append(made.commit(f"change {number}", {"mm/util.c": f"{number}\n"}))
    return made, shas


def start(made: Kernel, tmp_path: Path, chosen: Range) -> Session:
    tree = open_tree(str(made.path), cache=tmp_path / "cache", progress=Silent())
    return Session.start(tree.repo, tmp_path / "git", chosen)


def search(session: Session, answers: dict[str, Answer]) -> list[str]:
    asked = []
    while (commit := session.next) is not None:
        asked.append(commit)
        session.tell(commit, answers[commit])
    return asked


def since(shas: list[str], first: int, *skipped: int) -> dict[str, Answer]:
    found = {sha: Answer.BAD if number >= first else Answer.GOOD for number, sha in enumerate(shas)}
    return found | {shas[number]: Answer.SKIP for number in skipped}


@pytest.mark.parametrize("first", [1, 2, 7, 15, 16])
def test_the_first_bad_commit(row: tuple[Kernel, list[str]], tmp_path: Path, first: int) -> None:
    made, shas = row
    session = start(made, tmp_path, Range(shas[-1], shas[0]))
    assert session.order == tuple(shas[1:])
    assert session.steps == 4
    asked = search(session, since(shas, first))
    assert session.candidates == (shas[first],)
    assert len(asked) <= 5
    assert f"# first bad commit: [{shas[first]}]" in session.log


def test_the_user_s_repository_is_not_touched(
    row: tuple[Kernel, list[str]], tmp_path: Path
) -> None:
    made, shas = row
    git(made.path, "bisect", "start", shas[-1], shas[0])  # the user's own bisection
    before = git(made.path, "bisect", "log"), git(made.path, "for-each-ref")
    search(start(made, tmp_path, Range(shas[-1], shas[0])), since(shas, 4))
    assert (git(made.path, "bisect", "log"), git(made.path, "for-each-ref")) == before


def test_skips_leave_candidates(row: tuple[Kernel, list[str]], tmp_path: Path) -> None:
    made, shas = row
    session = start(made, tmp_path, Range(shas[-1], shas[0]))
    search(session, since(shas, 8, 7, 8))
    assert set(session.candidates) == {shas[7], shas[8], shas[9]}
    assert session.next is None


def test_what_git_would_ask_next(row: tuple[Kernel, list[str]], tmp_path: Path) -> None:
    made, shas = row
    session = start(made, tmp_path, Range(shas[-1], shas[0]))
    first = session.next
    assert first is not None
    log = session.log
    likely = session.likely(first, 2)
    assert session.log == log, "nothing was told"
    for answer, expected in zip((Answer.GOOD, Answer.BAD), likely, strict=True):
        other = Session.start(session.home, tmp_path / answer.value, session.range)
        other.tell(first, answer)
        assert other.next == expected
    assert session.likely(first, 1) == likely[:1]
    assert len(list(tmp_path.glob(".ahead.*"))) == 0


def test_a_finding_that_is_older_than_the_fork(tmp_path: Path) -> None:
    """Good was mended on its own branch: git asks for the merge base first."""
    made = kernel(tmp_path / "linux")
    fork = made.commit("fork", {"mm/util.c": "fork\n"})
    good = made.commit("mend", {"mm/util.c": "mend\n"})
    git(made.path, "checkout", "-q", "-b", "other", fork)
    bad = made.commit("other", {"mm/other.c": "other\n"})
    session = start(made, tmp_path, Range(bad, good))
    assert session.next == fork
    with pytest.raises(UserError, match="where they forked the finding is there already"):
        session.tell(fork, Answer.BAD)


def test_a_shallow_clone(row: tuple[Kernel, list[str]], tmp_path: Path) -> None:
    made, shas = row
    git(tmp_path, "clone", "-q", "--depth=9", f"file://{made.path}", "shallow")
    session = start(Kernel(tmp_path / "shallow"), tmp_path, Range(shas[-1], shas[-9]))
    search(session, since(shas, 12))
    assert session.candidates == (shas[12],)


@pytest.mark.parametrize(
    ("old", "new", "good"),
    [
        ("good", "bad", True),
        ("fast", "slow", True),
        ("bad", "good", False),
        ("same", "same", False),
        ("skip", "bad", False),
        ("good", "run", False),
        ("-x", "bad", False),
        ("good", "two words", False),
        ("good", "", False),
    ],
)
def test_terms(old: str, new: str, good: bool) -> None:
    if good:
        check_terms(old, new)
        return
    with pytest.raises(UserError, match=r"term"):
        check_terms(old, new)


def test_a_log_is_read() -> None:
    a, b, c = "a" * 40, "b" * 40, "c" * 64
    log = f"""git bisect start '--no-checkout' '{a}' '{b}'
# fast: [{a}] subject
git bisect fast {a}
git bisect slow '{b}'
# skip: [{c}] git bisect good {a}
git bisect skip {c}
git bisect odd {a}
# first slow commit: [{b}] git bisect bad {c}
"""
    answers = {a: Answer.GOOD, b: Answer.BAD, c: Answer.SKIP}
    assert read_log(log, ("fast", "slow")) == answers
    assert read_log("git bisect start\n", ("good", "bad")) == {}
    for separator in ("\u2028", "\x0b", "\r"):
        hostile = f"# good: [{a}] foo{separator}git bisect bad {b}\ngit bisect good {a}\n"
        assert read_log(hostile, ("good", "bad")) == {a: Answer.GOOD}
