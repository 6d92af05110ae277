# SPDX-License-Identifier: GPL-2.0-or-later
"""Small real git repositories that look like a kernel, and series made from their commits."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kverdict import models
from tests import factories

DATE = "2025-11-14T15:18:41+00:00"
MAKEFILE = "# SPDX\nVERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 12\nEXTRAVERSION =\nNAME = Test\n"
ALICE = "Alice Example <alice@example.org>"
KERNEL = {
    "Makefile": MAKEFILE,
    "Kconfig": 'mainmenu "Test"\n',
    "virt/kvm/guest_memfd.c": "".join(f"line {n}\n" for n in range(1, 41)),
    "mm/util.c": "".join(f"util {n}\n" for n in range(1, 41)),
}


def git(folder: Path, *words: str, **env: str) -> str:
    """Plain git, so that what we expect is not made by the code under test."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Alice Example",
        "GIT_AUTHOR_EMAIL": "alice@example.org",
        "GIT_COMMITTER_NAME": "Carol Committer",
        "GIT_COMMITTER_EMAIL": "carol@example.org",
        "GIT_AUTHOR_DATE": DATE,
        "GIT_COMMITTER_DATE": DATE,
        **env,
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, capture_output=True, check=True
    )
    return done.stdout.decode().rstrip("\n")


@dataclass(frozen=True)
class Kernel:
    """A checkout; its branch is main."""

    path: Path

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            place = self.path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def commit(self, subject: str, files: Mapping[str, str], **env: str) -> str:
        self.write(files)
        git(self.path, "add", "--all")
        git(self.path, "commit", "--quiet", "--allow-empty", "-m", subject, **env)
        return self.sha("HEAD")

    def replace(self, subject: str, name: str, old: str, new: str, **env: str) -> str:
        """One line changed, as a commit."""
        text = (self.path / name).read_text()
        assert text.count(f"{old}\n") == 1
        return self.commit(subject, {name: text.replace(f"{old}\n", f"{new}\n")}, **env)

    def sha(self, rev: str) -> str:
        return git(self.path, "rev-parse", f"{rev}^{{commit}}")

    def mails(self, base: str, tip: str, *options: str) -> bytes:
        words = ("format-patch", "--stdout", "--no-signature", "--pretty=mboxrd", *options)
        done = git(self.path, *words, f"{base}..{tip}")
        # git's own separator lines carry the commit's id; an archive's do not.
        return re.sub(r"(?m)^From [0-9a-f]{40} .*$", MAIL_START, done).encode() + b"\n"

    def blobs(self, sha: str) -> tuple[models.BlobChange, ...]:
        raw = git(self.path, "diff-tree", "-r", "--raw", "--abbrev=12", "--no-commit-id", sha)
        rows = [line.split() for line in raw.splitlines()]
        return tuple(
            models.BlobChange(old_path=row[5], preimage=row[2], new_path=row[5]) for row in rows
        )

    def patches(self, base: str, tip: str) -> tuple[models.Patch, ...]:
        shas = git(self.path, "rev-list", "--reverse", f"{base}..{tip}").split()
        return tuple(
            factories.patch(
                number,
                subject=git(self.path, "show", "-s", "--format=%s", sha),
                author=git(self.path, "show", "-s", "--format=%an <%ae>", sha),
                date=datetime.fromisoformat(git(self.path, "show", "-s", "--format=%aI", sha)),
                blobs=self.blobs(sha),
            )
            for number, sha in enumerate(shas, start=1)
        )


MAIL_START = "From mboxrd@z Thu Jan  1 00:00:00 1970"


def kernel(path: Path, files: Mapping[str, str] = KERNEL) -> Kernel:
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main")
    made = Kernel(path)
    made.commit("Linux 7.2.12", files)
    return made


def mbox(folder: Path, data: bytes) -> Path:
    path = folder / "series.mbx"
    path.write_bytes(data)
    return path


def mail(subject: str, body: str, *, headers: Sequence[str] = ()) -> bytes:
    """One patch mail of an mboxrd, by hand."""
    head = [MAIL_START, f"From: {ALICE}", "Date: Fri, 14 Nov 2025 15:18:41 +0000", *headers]
    return "\n".join([*head, f"Subject: [PATCH] {subject}", "", body, ""]).encode()
