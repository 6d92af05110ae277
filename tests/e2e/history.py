# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes commits on top of a kernel tree without checking it out."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Test Author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_AUTHOR_DATE": "2026-11-01T12:00:00+0000",
    "GIT_COMMITTER_NAME": "Test Author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "GIT_COMMITTER_DATE": "2026-11-01T12:00:00+0000",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True)
class History:
    """A branch of a bare repository that borrows the objects of another one."""

    repo: Path
    branch: str

    @classmethod
    def on(cls, source: Path, commit: str, repo: Path, branch: str = "topic") -> History:
        subprocess.run(["git", "init", "-q", "--bare", str(repo)], check=True)
        alternates = repo / "objects/info/alternates"
        alternates.write_text(f"{source / 'objects'}\n")
        history = cls(repo, branch)
        history.git("update-ref", f"refs/heads/{branch}", commit)
        history.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        history.git("read-tree", commit)
        return history

    def git(self, *args: str, stdin: str = "") -> str:
        ours = {
            "GIT_DIR": str(self.repo),
            "GIT_INDEX_FILE": str(self.repo / f"{self.branch}.index"),
        }
        env = {**os.environ, **_IDENTITY, **ours}
        done = subprocess.run(
            ["git", *args], env=env, input=stdin, capture_output=True, text=True, check=True
        )
        return done.stdout

    def read(self, path: str) -> str:
        return self.git("show", f"{self.branch}:{path}")

    def commit(self, subject: str, changes: dict[str, tuple[str, str]], body: str = "") -> str:
        """One commit that replaces text, which must stand there exactly once, in some files."""
        for path, (old, new) in changes.items():
            text = self.read(path)
            assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
            blob = self.git("hash-object", "-w", "--stdin", stdin=text.replace(old, new)).strip()
            self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = self.git("write-tree").strip()
        message = f"{subject}\n\n{body}\nSigned-off-by: Test Author <author@example.org>\n"
        made = self.git("commit-tree", tree, "-p", self.branch, stdin=message).strip()
        self.git("update-ref", f"refs/heads/{self.branch}", made)
        return made

    def series(self, base: str, folder: Path) -> list[str]:
        """Patch files for everything since ``base``."""
        self.git("format-patch", "-q", "--thread", "-o", str(folder), f"{base}..{self.branch}")
        return [str(path) for path in sorted(folder.glob("*.patch"))]
