# SPDX-License-Identifier: GPL-2.0-or-later
"""``git am``, on a commit that need not be checked out.

git itself applies the mails, in a temporary worktree that holds the touched files only: a second
on a kernel tree instead of the ten of a checkout, and the commits are the ones that ``git am`` in
a whole worktree makes.  So trying a base and applying to it are the same thing.

The same mails on the same commit give the same commit ids: the committer is always kverdict, the
committer's date is the author's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import policy
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import getaddresses
from itertools import pairwise
from pathlib import Path

from kverdict.diffs import Change
from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.git import GitFailed, Repository, failure_of
from kverdict.screen import SYMLINK, check_change, check_landed, screen
from kverdict.worktrees import slight, write_files

# Characters of a header: Python's readers call themselves for each bracket in one, and take the
# square of its length.
_LONGEST_HEADER = 400
_MAIL_START = re.compile(rb"^From ", re.MULTILINE)
_AM = (
    "am",
    "--quiet",
    "--patch-format=mboxrd",
    "--committer-date-is-author-date",
    "--no-gpg-sign",
    "--no-scissors",
    "--no-signoff",
)


@dataclass(frozen=True)
class Mail:
    """One patch mail, as it stands in an mboxrd (with its ``From `` line)."""

    data: bytes

    @property
    def subject(self) -> str:
        """Without the [PATCH ...] prefixes; one line."""
        decoded = self._decoded("Subject", "(no subject)")
        return re.sub(r"^(\s*\[[^\]]*\])+\s*", "", " ".join(decoded.split()))

    @property
    def sender(self) -> str:
        """Its From; the author may be another, named in a From line at the top of its body."""
        return " ".join(self._decoded("From").split())

    @property
    def message_id(self) -> str:
        """Without the angle brackets."""
        return self._header("Message-ID").strip().strip("<>")

    @property
    def senders(self) -> frozenset[str]:
        """The addresses of its From and of the lines in its body that begin with ``From:``."""
        lines = re.findall(r"^From:(.*)$", self.text, re.MULTILINE)
        found = (getaddresses([line[:_LONGEST_HEADER]]) for line in (self._header("From"), *lines))
        return frozenset(address for one in found for _, address in one)

    @property
    def text(self) -> str:
        """The body, decoded; bytes that are not UTF-8 as surrogates."""
        body = self._message.get_payload(decode=True)
        return body.decode(errors="surrogateescape") if isinstance(body, bytes) else ""

    @property
    def paths(self) -> tuple[str, ...]:
        """What the diff names, on both sides of a rename, sorted."""
        names = re.findall(r'^(?:---|\+\+\+) "?[ab]/(.+?)"?\t?\r?$', self.text, re.MULTILINE)
        names += re.findall(r"^(?:rename|copy) (?:from|to) (.+?)\r?$", self.text, re.MULTILINE)
        return tuple(sorted(set(names)))

    @property
    def _message(self) -> Message:
        """Not the parts of its body, which could be nested deeper than Python's stack."""
        return BytesParser(policy=policy.compat32).parsebytes(self.data, headersonly=True)

    def _decoded(self, name: str, missing: str = "") -> str:
        raw = self._header(name, missing)
        try:
            return str(make_header(decode_header(raw)))
        except (MessageError, LookupError, ValueError):  # an encoding that is none
            return raw

    def _header(self, name: str, missing: str = "") -> str:
        return str(self._message.get(name, missing))[:_LONGEST_HEADER]


@dataclass(frozen=True)
class Landed:
    """A mail that became a commit, and what that commit changes."""

    commit: str
    three_way: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Result:
    """``landed`` in order; ``refusal`` is git's last line on the mail after them, if any."""

    base: str
    landed: tuple[Landed, ...]
    refusal: str | None

    @property
    def tip(self) -> str:
        return self.landed[-1].commit if self.landed else self.base


def split_mboxrd(data: bytes) -> tuple[Mail, ...]:
    """The mails of an mboxrd, in which each line that starts with ``From `` begins one."""
    starts = [match.start() for match in _MAIL_START.finditer(data)]
    ends = [*starts[1:], len(data)] if starts else []
    return tuple(Mail(data[start:end]) for start, end in zip(starts, ends, strict=True))


def read_mbox(path: Path, expected: int) -> tuple[Mail, ...]:
    """The mails of a file; raises UserError when it cannot be read or the number differs."""
    try:
        mails = split_mboxrd(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "fetch it again") from error
    if len(mails) != expected:
        raise InfraError(
            f"{path.name} holds {len(mails)} mails, the series has {expected} patches",
            "fetch the series again",
        )
    return mails


def apply_mails(repo: Path, base: str, mails: Sequence[Mail]) -> Result:
    """Applies as many of the mails as git can, each plainly if possible, else by a 3-way merge.

    Raises PatchError (kverdict/screen.py) for mails that git is not even shown, and for a commit
    that is not what its mail announced; InfraError when something else stopped git.
    """
    announced = screen([mail.data for mail in mails])
    paths = {path for one in announced for file in one.files for path in file.paths}
    commits, merged, refusal = _commits(repo, base, mails, sorted(paths))
    landed = landed_of(repo, base, commits, merged, total=len(mails))
    for number, (mail, item) in enumerate(zip(announced, landed, strict=False), start=1):
        check_landed(mail, item.changes, f"[{number}/{len(mails)}]", three_way=item.three_way)
    return Result(base, landed, refusal)


def landed_of(
    repo: Path,
    base: str,
    commits: Sequence[str],
    merged: frozenset[str] = frozenset(),
    *,
    total: int,
) -> tuple[Landed, ...]:
    """A row of commits on ``base``, of a series of ``total`` patches.

    Raises PatchError when one leaves what none may leave.
    """
    with Repository(repo) as repository:
        landed = tuple(
            Landed(commit, commit in merged, repository.changes(before, commit))
            for before, commit in pairwise([base, *commits])
        )
        for number, item in enumerate(landed, start=1):
            for change in item.changes:
                link = change.new_mode == SYMLINK
                target = repository.run("cat-file", "blob", change.blob).stdout if link else b""
                check_change(change, os.fsdecode(target), f"[{number}/{total}]")
    return landed


def _commits(
    repo: Path, base: str, mails: Sequence[Mail], paths: Sequence[str]
) -> tuple[tuple[str, ...], frozenset[str], str | None]:
    """(the commits in order, those made by a 3-way merge, git's refusal of the next mail)."""
    commits: tuple[str, ...] = ()
    merged: set[str] = set()
    refusal: str | None = None
    with slight(repo, base, paths, repo.parent / "am") as tree:
        while len(commits) < len(mails) and refusal is None:
            refusal = _am(tree, mails[len(commits) :], three_way=False)
            commits = _since(tree, base)
            if refusal is None:
                break
            # The plain attempt wrote files without their stat data in the index, which a merge
            # would take for local changes.
            write_files(tree, paths)
            merge_refusal = _am(tree, mails[len(commits) : len(commits) + 1], three_way=True)
            made = _since(tree, base)[len(commits) :]
            if merge_refusal is None:
                # git am --3way drops a patch that comes to nothing, and is content.
                refusal = None if made else "error: the tree has this change already"
            merged.update(made)
            commits += made
    return commits, frozenset(merged), refusal


def _am(tree: Repository, mails: Sequence[Mail], *, three_way: bool) -> str | None:
    """Runs git am over the mails; gives its complaint about the first that does not apply."""
    done = tree.run(
        *_AM,
        "--3way" if three_way else "--no-3way",
        stdin=b"".join(mail.data for mail in mails),
        timeout=600,
        check=False,
    )
    if done.ok:
        return None
    failure = failure_of(done)
    if done.stopped or failure.status is ExitStatus.DISK_FULL:
        raise failure
    if not (tree.git_dir / "rebase-apply").is_dir():
        raise GitFailed(f"{failure.problem}", failure.remedy, detail=failure.detail)
    # Not --abort: it would also take back the mails that did apply.
    tree.run("am", "--quit")
    return done.error_text or done.text


def _since(tree: Repository, base: str) -> tuple[str, ...]:
    tip = tree.resolve("HEAD")
    assert tip is not None
    return tree.commits_between(base, tip)
