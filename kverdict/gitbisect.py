# SPDX-License-Identifier: GPL-2.0-or-later
"""git's own bisection, without a checkout, in a bare repository that borrows a tree's objects.

Which commit comes next, what a merge means and where to go on after a skip are git's decisions
(git-bisect(1)); the user's repository and its refs/bisect are not touched.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict.bisection import Answer
from kverdict.errors import UserError
from kverdict.git import GitFailed, Repository, create_bare, failure_of
from kverdict.runs import scratch, write_atomically

_FIRST = re.compile(r"^# (?:possible )?first .+ commit: \[(?P<sha>[0-9a-f]{40,64})\]", re.MULTILINE)
_ANSWERED = re.compile(r"^git bisect '?(?P<term>[a-z][a-z0-9_-]*)'? '?(?P<sha>[0-9a-f]{40,64})'?$")
_ONLY_SKIPPED, _MERGE_BASE_BAD, _NO_COMMIT = 2, 3, 4  # exit statuses, git's bisect.h
_TERM = re.compile(r"[a-z][a-z0-9_-]{0,40}")
_RESERVED = ("start", "skip", "next", "reset", "visualize", "view", "replay", "log", "run", "help")


@dataclass(frozen=True)
class Range:
    """What lies between the ends."""

    bad: str
    good: str
    terms: tuple[str, str] = ("good", "bad")  # for old and new
    first_parent: bool = False
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """A bisection that was started; each call is a command of git's."""

    home: Path  # the bare repository
    range: Range

    @classmethod
    def start(cls, tree: Path, home: Path, chosen: Range) -> Session:
        """``home`` does not exist yet; ``tree`` is the repository with the objects.

        Raises UserError for ends and paths between which there is nothing to find.
        """
        _borrow(tree, home)
        with Repository(home) as repository:
            repository.run("update-ref", "refs/heads/main", chosen.bad)
            if (behind := repository.resolve(chosen.good)) is None or behind == chosen.bad:
                raise UserError("both ends are the same commit", "name an older one as good")
            if _is_ancestor(repository, chosen.bad, chosen.good):
                raise UserError("the bad end is older than the good one", "swap them")
        session = cls(home, chosen)
        old, new = chosen.terms
        anything = session._bisect(
            "start",
            "--no-checkout",
            *(("--first-parent",) if chosen.first_parent else ()),
            f"--term-old={old}",
            f"--term-new={new}",
            chosen.bad,
            chosen.good,
            "--",
            *chosen.paths,
        )
        if not anything:
            raise UserError("no commit between the ends touches these paths", "name others")
        return session

    @property
    def order(self) -> tuple[str, ...]:
        """The commits between the ends, the oldest first, the bad end last."""
        with Repository(self.home) as repository:
            found = repository.run("rev-list", "--reverse", "--topo-order", *self._between())
        return tuple(found.text.split())

    @property
    def steps(self) -> int:
        """git's estimate of the steps from here, when none is skipped."""
        with Repository(self.home) as repository:
            said = repository.run("rev-list", "--bisect-vars", *self._between()).text
        match = re.search(r"^bisect_steps=(\d+)$", said, re.MULTILINE)
        return int(match[1]) + 1 if match else 1

    @property
    def log(self) -> str:
        with Repository(self.home) as repository:
            return repository.run("bisect", "log").text

    @property
    def next(self) -> str | None:
        """The commit that git wants to know of; None when it has found, or cannot find more."""
        if self.candidates:
            return None
        with Repository(self.home) as repository:
            found = repository.resolve("BISECT_HEAD")
        if found is None:
            raise GitFailed("git bisect does not say what to test", detail=self.log)
        return found

    @property
    def candidates(self) -> tuple[str, ...]:
        """The first bad commit; several when only skipped ones are left before it."""
        return tuple(dict.fromkeys(match["sha"] for match in _FIRST.finditer(self.log)))

    def is_known_good(self, commit: str) -> bool:
        """Whether it is outside of the range: an ancestor of the good end."""
        with Repository(self.home) as repository:
            return _is_ancestor(repository, commit, self.range.good)

    def tell(self, commit: str, answer: Answer) -> bool:
        """Whether there is more to ask, or something found: not when every commit of the paths is
        good.

        Raises UserError when git finds that the ends do not lie as they should.
        """
        old, new = self.range.terms
        return self._bisect({Answer.GOOD: old, Answer.BAD: new}.get(answer, "skip"), commit)

    def likely(self, commit: str, most: int) -> tuple[str, ...]:
        """What git would ask for next if ``commit`` were good, and if it were bad."""
        found = []
        for answer in (Answer.GOOD, Answer.BAD)[:most]:
            with scratch(self.home.parent, ".ahead.") as copy:
                shutil.copytree(self.home, copy / "git")
                other = Session(copy / "git", self.range)
                try:
                    if other.tell(commit, answer):
                        found.append(other.next)
                except (UserError, GitFailed):
                    continue  # what then is wrong will be told when it comes to that
        return tuple(dict.fromkeys(sha for sha in found if sha is not None))

    def _between(self) -> tuple[str, ...]:
        first = ("--first-parent",) if self.range.first_parent else ()
        return (*first, self.range.bad, f"^{self.range.good}", "--", *self.range.paths)

    def _bisect(self, *words: str) -> bool:
        """Whether git has a commit to test, or has found."""
        with Repository(self.home) as repository:
            done = repository.run("bisect", *words, timeout=600, check=False)
        if done.ok or done.returncode == _ONLY_SKIPPED:
            return True
        said = [line for line in (done.text + done.error_text).splitlines() if line.strip()]
        if done.returncode == _MERGE_BASE_BAD:
            raise UserError(
                "the good end is not an ancestor of the bad one, and where they forked the "
                "finding is there already",
                "it was mended on the way to the good end: name an older commit as good",
                detail="\n".join(said),
            )
        if done.returncode == _NO_COMMIT or "No testable commit" in done.text + done.error_text:
            return False
        raise failure_of(done)


def check_terms(old: str, new: str) -> None:
    """Raises UserError for words that git bisect does not take."""
    for word in (old, new):
        if not _TERM.fullmatch(word) or word in _RESERVED:
            raise UserError(f"{word!r} cannot be a term of git bisect", "use words as fast, slow")
    if old == new or old in ("bad", "new") or new in ("good", "old"):
        raise UserError(f"the terms {old!r} and {new!r} would be taken for each other", "swap them")


def read_log(text: str, terms: Sequence[str]) -> dict[str, Answer]:
    """Commit -> answer from a `git bisect log`; its terms are ``terms`` or git's own."""
    meaning = {"good": Answer.GOOD, "old": Answer.GOOD, "bad": Answer.BAD, "new": Answer.BAD}
    meaning |= {terms[0]: Answer.GOOD, terms[1]: Answer.BAD, "skip": Answer.SKIP}
    found = {}
    for line in text.split("\n"):  # a subject in it may have other separators
        match = _ANSWERED.match(line.strip())
        if match and match["term"] in meaning:
            found[match["sha"]] = meaning[match["term"]]
    return found


def _borrow(tree: Path, home: Path) -> None:
    with Repository(tree) as repository:
        form = repository.run("rev-parse", "--show-object-format").text.strip()
    create_bare(home, object_format=form)
    write_atomically(home / "objects/info/alternates", f"{tree.absolute() / 'objects'}\n")
    shallow = tree / "shallow"
    if shallow.is_file():
        write_atomically(home / "shallow", shallow.read_bytes())


def _is_ancestor(repository: Repository, older: str, newer: str) -> bool:
    return repository.run("merge-base", "--is-ancestor", older, newer, check=False).ok
