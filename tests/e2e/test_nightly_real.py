# SPDX-License-Identifier: GPL-2.0-or-later
"""Two nights over two trees on real kernels: the second finds a regression and whose it is.

Both trees are branches of one repository at a place that stays, on top of the write() port: one
object tree serves for all, and every commit is a build of seconds.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from kverdict.heads import Ended, HeadState
from kverdict.nights import Night, Nights
from kverdict.settings import HOME
from tests.e2e.conftest import PATCHES
from tests.e2e.history import History

GMEM = "virt/kvm/guest_memfd.c"
PLACE = "static struct file_operations kvm_gmem_fops = {\n"
BEFORE_END = "\tif (pos + len > i_size_read(inode))\n"
LAST_PAGE = "pwrite.last-page"


@dataclass(frozen=True)
class Trees:
    """A repository with a branch for each tree, and the command that looks at them."""

    home: Path
    repo: Path

    def grow(self, branch: str, *subjects: str, culprit: str = "") -> dict[str, str]:
        """Commits on a branch, by subject; one of them loses the last page."""
        history = History(self.repo, branch)
        made = {}
        for subject in subjects:
            if subject == culprit:
                change = (BEFORE_END, BEFORE_END.replace("> i", ">= i"))
            else:
                name = re.sub(r"\W", "_", f"{branch}_{subject}")
                change = (PLACE, f"static const int {name} __used = 1;\n{PLACE}")
            made[subject] = history.commit(f"KVM: guest_memfd: {subject}", {GMEM: change})
        return made

    def nightly(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(HOME / "pipeline.py"), "nightly"],
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def night(self, tree: str) -> Night:
        return Nights.below(self.home / "runs").of(tree)[0]


@pytest.fixture(scope="module")
def trees(
    linux_7_2: tuple[Path, str], users_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Trees:
    mail = (PATCHES / "gmem-write-v7-port.mbx").read_text()
    home = tmp_path_factory.mktemp("nightly")
    made = Trees(home, users_repository)
    for branch in ("first", "second"):
        history = History.on(*linux_7_2, users_repository, branch)
        history.git("apply", "--cached", stdin=mail[mail.index("diff --git") :])
        history.commit("KVM: guest_memfd: port of write()", {})
        made.grow(branch, "begin")
    tree = json.dumps(str(users_repository))
    rows = "".join(
        f'[[nightly.trees]]\nname = "{name}"\ntree = {tree}\nrefs = ["{name}"]\n'
        for name in ("first", "second")
    )
    (home / "pipeline.toml").write_text(
        f"runs = {json.dumps(str(home / 'runs'))}\n[guest]\nbench_mib = 0\n"
        f"[nightly]\nbisections = 1\n{rows}"
    )
    return made


@pytest.mark.long
def test_the_second_night_finds_the_regression_and_whose_it_is(trees: Trees) -> None:
    first = trees.nightly()
    assert first.returncode == 0, first.stderr
    for name in ("first", "second"):
        (head,) = trees.night(name).heads
        assert head.state is HeadState.FIRST, head.headline
        answers = {case.id: case.answer.value for case in head.cases}
        assert answers[LAST_PAGE] == "pass"

    named = trees.grow("first", "one", "two", "lose it", "three", culprit="lose it")
    trees.grow("second", "one")
    second = trees.nightly()
    assert second.returncode == 1, second.stderr
    (good,) = trees.night("second").heads
    assert good.state is HeadState.GOOD, good.headline
    (bad,) = trees.night("first").heads
    assert bad.state is HeadState.BAD
    assert bad.commit == named["three"]
    assert LAST_PAGE in {found.case for found in bad.failures()}
    (bisected,) = bad.bisected
    assert bisected.ended is Ended.PROVEN, bisected.text
    assert bisected.culprits == (named["lose it"],)
    assert bisected.run is not None
    assert (trees.home / "runs" / bisected.run / "bisect.html").is_file()
    assert "KVM: guest_memfd: lose it" in second.stdout
    (mail,) = (trees.home / "runs/nightly").glob("nightly-0002-*.eml")
    assert re.search(r"^Subject: \[nightly\] .*: \d+ new failures?$", mail.read_text(), re.M)

    third = trees.nightly()
    assert third.returncode == 0, third.stderr
    assert third.stdout.count("no change, nothing to do") == 2
    assert "build" not in third.stderr
