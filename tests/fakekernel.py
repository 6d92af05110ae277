# SPDX-License-Identifier: GPL-2.0-or-later
"""A git repository with the kernel tree of a few files, and a guest that only seems to boot.

The engine, make, the sandbox, git and b4 are real here; what is replaced is the boot alone.  The
real boots are in tests/e2e.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kverdict import elf
from kverdict.accelerator import Choice
from kverdict.models import Accelerator, Guest, Outcome
from tests import factories

FAKELINUX = Path(__file__).resolve().parent / "fakelinux"
GMEM = "virt/kvm/guest_memfd.c"
HEADER = "include/uapi/linux/kvm.h"
INIT_SHARED = "#define GUEST_MEMFD_FLAG_INIT_SHARED\t(1ULL << 1)\n"
WRITE = "#define GUEST_MEMFD_FLAG_WRITE\t\t(1ULL << 2)\n"


@dataclass(frozen=True)
class FakeKernel:
    repo: Path

    @classmethod
    def create(cls, repo: Path) -> FakeKernel:
        shutil.copytree(FAKELINUX, repo)
        kernel = cls(repo)
        kernel.git("init", "-q", "-b", "master")
        kernel.git("add", "-A")
        kernel.git("commit", "-q", "-m", "Linux 7.2-fake")
        kernel.git("tag", "v7.2-fake")
        return kernel

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=Test Author", "-c", "user.email=author@example.org")
        done = subprocess.run(
            ["git", *identity, *args], cwd=self.repo, capture_output=True, text=True, check=True
        )
        return done.stdout

    def series(self, folder: Path, *changes: tuple[str, str, str], subject: str = "change") -> Path:
        """A patch file for one commit of (path, old, new) changes; the tree stays as it was."""
        for path, old, new in changes:
            file = self.repo / path
            text = file.read_text()
            assert text.count(old) == 1
            file.write_text(text.replace(old, new))
        self.git("commit", "-q", "-a", "-s", "-m", f"KVM: {subject}")
        self.git("format-patch", "-q", "-1", "-o", str(folder))
        self.git("reset", "-q", "--hard", "HEAD~1")
        return sorted(folder.glob("*.patch"))[-1]


@dataclass
class FakeBoot:
    """Stands in for stages.boot.boot; ``change`` may alter the guest, or raise."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    change: Callable[[Guest, Mapping[str, Any]], Guest] = lambda guest, facts: guest

    def choose(self, asked: str, bzimage: Path, *rest: object) -> Choice:
        return Choice(accelerator=Accelerator.TCG, why="a double")

    def boot(self, bzimage: Path, **options: Any) -> Guest:
        self.calls.append({"bzimage": bzimage, **options})
        facts = options["facts"]
        config = (options["console"].parent / "config").read_bytes()
        options["console"].write_text("[    0.000000][    T0] Linux version 7.2.0-fake\n")
        (options["results"] / "results.jsonl").write_text('{"event": "done"}\n')
        writes = "GUEST_MEMFD_FLAG_WRITE" in facts["flags"]
        outcomes = {
            "write.refused": Outcome.PASS,
            "write.page": Outcome.PASS if writes else Outcome.SKIP,
        }
        guest = factories.guest(
            elf.build_id(bzimage),
            config_digest=hashlib.sha256(config).hexdigest(),
            cases=factories.cases(outcomes),
            bench=(),
        )
        return self.change(guest, facts)
