# SPDX-License-Identifier: GPL-2.0-or-later
"""``git am``, on a commit that need not be checked out.

git itself applies the mails, in a temporary worktree that holds the touched files only: a second
on a kernel tree instead of the ten of a checkout, and the commits are the ones that ``git am`` in
a whole worktree makes.  So trying a base and applying to it are the same thing.

The same mails on the same commit give the same commit ids: the committer is always kverdict, the
committer's date is the author's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.git import GitFailed, Repository, failure_of
from kverdict.worktrees import slight, write_files

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
        message = message_from_bytes(self.data, policy=policy.default)
        subject = " ".join(str(message.get("Subject", "(no subject)")).split())
        return re.sub(r"^(\s*\[[^\]]*\])+\s*", "", subject)

    @property
    def message_id(self) -> str:
        """Without the angle brackets."""
        message = message_from_bytes(self.data, policy=policy.compat32)
        return str(message.get("Message-ID", "")).strip().strip("<>")

    @property
    def text(self) -> str:
        """The body, decoded; bytes that are not UTF-8 as surrogates."""
        message = message_from_bytes(self.data, policy=policy.compat32)
        parts = [part.get_payload(decode=True) for part in message.walk()]
        return b"".join(p for p in parts if isinstance(p, bytes)).decode(errors="surrogateescape")

    @property
    def paths(self) -> tuple[str, ...]:
        """What the diff names, on both sides of a rename, sorted."""
        names = re.findall(r'^(?:---|\+\+\+) "?[ab]/(.+?)"?\t?\r?$', self.text, re.MULTILINE)
        names += re.findall(r"^(?:rename|copy) (?:from|to) (.+?)\r?$", self.text, re.MULTILINE)
        return tuple(sorted(set(names)))


@dataclass(frozen=True)
class Landed:
    """A mail that became a commit."""

    commit: str
    three_way: bool


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

    Raises InfraError when something else than the patch stopped git.
    """
    paths = sorted({path for mail in mails for path in mail.paths})
    landed: list[Landed] = []
    refusal: str | None = None
    with slight(repo, base, paths, repo.parent / "am") as tree:
        while len(landed) < len(mails) and refusal is None:
            rest = mails[len(landed) :]
            refusal = _am(tree, rest, three_way=False)
            landed += [Landed(sha, False) for sha in _since(tree, base)[len(landed) :]]
            if refusal is None:
                break
            # The plain attempt wrote files without their stat data in the index, which a merge
            # would take for local changes.
            write_files(tree, paths)
            refusal = _am(tree, mails[len(landed) : len(landed) + 1], three_way=True)
            merged = _since(tree, base)[len(landed) :]
            if refusal is None and not merged:
                # git am --3way drops such a patch and is content.
                refusal = "error: the tree has this change already"
            landed += [Landed(sha, True) for sha in merged]
    return Result(base, tuple(landed), refusal)


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
