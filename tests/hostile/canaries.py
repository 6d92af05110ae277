# SPDX-License-Identifier: GPL-2.0-or-later
"""A place to try hostile things in: a tree, a home with keys, and a watch over both."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.errors import PatchError
from kverdict.models import Series
from kverdict.progress import Silent
from kverdict.request import request_of
from kverdict.settings import Settings
from kverdict.stages.apply import apply_series
from kverdict.stages.base import choose_base
from kverdict.stages.fetch import ArchiveSettings, fetch
from kverdict.trees import open_tree
from kverdict.verify import Run, verify
from tests.fakekernel import FakeKernel
from tests.hostile.making import LINK, LINK_TARGET, edit, mails_of

MAILBOX = "hostile.mbx"
SECRETS = {
    "home/.ssh/id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\n",
    "home/.gitconfig": "[user]\n\tname = The User\n",
    "canary": "tweet\n",
    "cache/canary": "tweet\n",
    "cache/repos/canary": "tweet\n",
    "runs/canary": "tweet\n",
}


@dataclass(frozen=True)
class Playground:
    """One folder with everything that a run uses, and canaries all around."""

    root: Path
    kernel: FakeKernel
    settings: Settings

    @classmethod
    def create(cls, root: Path) -> Playground:
        for name, text in SECRETS.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        kernel = FakeKernel.create(root / "linux")
        (kernel.repo / LINK).parent.mkdir(parents=True)
        (kernel.repo / LINK).symlink_to(LINK_TARGET)
        kernel.git("add", LINK)
        kernel.git("commit", "-q", "-m", "a link within the tree")
        settings = Settings(cache=str(root / "cache"), runs=str(root / "runs"))
        ground = cls(root, kernel, settings)
        # What a first run leaves for the next ones is there before anything hostile is.
        with pytest.raises(PatchError):
            ground.verify(mails_of(edit("init/main.c")))
        return ground

    @property
    def head(self) -> str:
        return self.kernel.git("rev-parse", "HEAD").strip()

    def mailbox(self, mails: bytes) -> str:
        path = self.root / MAILBOX
        path.write_bytes(mails)
        return str(path)

    def verify(self, mails: bytes) -> Run:
        """The real way: a mailbox, b4's process, git, a folder of the run."""
        request = request_of(
            self.settings,
            series=[self.mailbox(mails)],
            tree=str(self.kernel.repo),
            base="HEAD",
        )
        return verify(request, self.settings, Silent())

    def prepare(self, asked: str, **archive: object) -> Series:
        """The stages of a run up to the commits: fetch, base, apply."""
        settings = ArchiveSettings.model_validate({"waits": (), **archive})
        tree = open_tree(str(self.kernel.repo), cache=self.root / "cache", progress=Silent())
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, "series")
            series = fetch(
                [asked], folder=folder, revision=None, settings=settings, progress=Silent()
            )
            mbox = folder / series.mbox
            base = choose_base(
                series,
                mbox,
                tree,
                user_base=None,
                guess_refs=(),
                progress=Silent(),
                find_prerequisite=None,
            )
            apply_series(series, mbox, base, tree, progress=Silent())
        return series

    def state(self) -> dict[str, str]:
        """Kind, mode, time and content of all that a refused series must leave as it was.

        Only git's objects of our own repositories are left out: what a series brings may be kept
        there, where nothing runs and nothing is checked out.
        """
        found = {}
        for folder, _, files in os.walk(self.root):
            for path in map(Path(folder).joinpath, files):
                name = str(path.relative_to(self.root))
                ours = name.startswith("cache/repos/") and "/objects/" in name
                if not ours and path.name != MAILBOX:
                    found[name] = _described(path)
        return found


def _described(path: Path) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"a link to {path.readlink()}"
    content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
    return f"{stat.filemode(status.st_mode)} {hashlib.sha256(content).hexdigest()}"
