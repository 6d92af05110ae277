# SPDX-License-Identifier: GPL-2.0-or-later
"""Bisections on real kernels: one history on top of 7.2 and the write() port, shared by all."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kverdict.settings import HOME
from tests.e2e.conftest import PATCHES, Pipeline
from tests.e2e.history import History

GMEM = "virt/kvm/guest_memfd.c"
IN_INIT = "kvm_gmem_fops.owner = module;\n"  # of kvm_gmem_init(), once at boot
PLACE = "static struct file_operations kvm_gmem_fops = {\n"
BEFORE_END = "\tif (pos + len > i_size_read(inode))\n"
END = "\tif (!folio_test_uptodate(folio)) {\n\t\tfolio_zero_range(folio, copied"
API = "Documentation/virt/kvm/api.rst"
WORDS = "Enable using write() on the guest_memfd file"


@dataclass
class Real:
    """The history, and names for its commits."""

    history: History
    named: dict[str, str]
    count: int = 0

    @property
    def tree(self) -> str:
        return str(self.history.repo)

    def commit(self, name: str, old: str, new: str, path: str = GMEM) -> None:
        self.named[name] = self.history.commit(f"KVM: guest_memfd: {name}", {path: (old, new)})

    def harmless(self, number: int) -> None:
        """Another kernel that does the same."""
        for _ in range(number):
            self.count += 1
            name = f"harmless {self.count}"
            mark = f"static const int kvm_gmem_mark_{self.count} __used = {self.count};\n"
            self.commit(name, PLACE, mark + PLACE)


@pytest.fixture(scope="module")
def real(linux_7_2: tuple[Path, str], users_repository: Path) -> Real:
    """On the port: a slower write_end, a flaky write_begin, a build failure, the culprit."""
    source, base = linux_7_2
    history = History.on(source, base, users_repository, "bisected")
    mail = (PATCHES / "gmem-write-v7-port.mbx").read_text()
    history.git("apply", "--cached", stdin=mail[mail.index("diff --git") :])
    real = Real(history, {})
    real.named["port"] = history.commit("KVM: guest_memfd: port of write()", {})
    real.harmless(4)
    loop = "\tfor (volatile int spin = 0; spin < 200; spin++)\n\t\t;\n"
    real.commit("take longer", END, loop + END)
    real.harmless(3)
    dice = (
        "\tif (!pos) {\n\t\textern u32 get_random_u32(void);\n\n"
        "\t\tif (get_random_u32() & 3)\n\t\t\treturn -EIO;\n\t}\n\n"
    )
    real.commit("be moody", BEFORE_END, dice + BEFORE_END)
    real.harmless(4)
    real.commit("do not build", IN_INIT, IN_INIT + "\tundeclared = 1;\n")
    real.commit("build again", IN_INIT + "\tundeclared = 1;\n", IN_INIT)
    real.commit("document before", WORDS, f"{WORDS} ", API)
    real.commit("lose the last page", BEFORE_END, BEFORE_END.replace("> i", ">= i"))
    real.commit("document after", f"{WORDS} ", f"{WORDS}  ", API)
    real.harmless(11)
    real.named["tip"] = history.git("rev-parse", "bisected").strip()
    return real


def bisect(
    pipeline: Pipeline, real: Real, question: str, good: str, bad: str, *options: str
) -> dict[str, Any]:
    ended = pipeline(
        *("bisect", "--tree", real.tree, "--for", question, *options),
        *(real.named[good], real.named[bad]),
    )
    assert ended.status == 0, ended.stderr
    # A run that goes on has its folder from before.
    folder = ended.folder or next(pipeline.runs.glob("[!.]*"))
    found: dict[str, Any] = json.loads((folder / "bisection.json").read_text())
    return found


def steps(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in found["steps"] if step["role"] == "step"]


def proofs(found: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["proof"] for item in found["proofs"]}


ALL_HOLD = dict.fromkeys(("parent", "culprit", "revert"), "holds")


def test_the_culprit_of_a_case(shared_pipeline: Pipeline, real: Real) -> None:
    found = bisect(shared_pipeline, real, "pwrite.last-page", "port", "tip")
    assert [commit["sha"] for commit in found["candidates"]] == [real.named["lose the last page"]]
    assert proofs(found) == ALL_HOLD
    assert found["plan"]["commits"] >= 24
    assert len(steps(found)) <= math.log2(found["plan"]["commits"]) + 4
    assert not found["suspicions"]
    mails = [path.read_text() for path in shared_pipeline.runs.glob("*/bisect.eml")]
    assert mails and all("kvm@vger.kernel.org" in mail for mail in mails), "its maintainers' list"


def test_the_build_failure_next_to_it(shared_pipeline: Pipeline, real: Real) -> None:
    """The same history, asked for what the other bisection has to skip."""
    found = bisect(shared_pipeline, real, "build", "port", "do not build")
    assert [commit["sha"] for commit in found["candidates"]] == [real.named["do not build"]]


def test_killed_at_a_random_step_it_goes_on(
    tmp_path: Path, shared_pipeline: Pipeline, real: Real
) -> None:
    """The kernels are in the cache already: what is asked again would be seen in the journal."""
    whole = bisect(shared_pipeline, real, "pwrite.last-page", "port", "tip")
    pipeline = Pipeline(tmp_path)
    (tmp_path / "pipeline.toml").write_text(f"runs = {json.dumps(str(pipeline.runs))}\n")
    last = random.randrange(1, len(whole["steps"]))
    words = [sys.executable, str(HOME / "pipeline.py"), "bisect", "--tree", real.tree]
    words += ["--for", "pwrite.last-page", real.named["port"], real.named["tip"]]
    with subprocess.Popen(words, cwd=tmp_path, start_new_session=True) as process:
        while process.poll() is None and len(journal(pipeline)) < last:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not list(pipeline.runs.glob("*/bisection.json")), "it was killed before its end"
    before = {path: path.stat().st_ino for path in journal(pipeline)}
    found = bisect(pipeline, real, "pwrite.last-page", "port", "tip")
    assert answers(found) == answers(whole)
    assert len(list(pipeline.runs.glob("[!.]*"))) == 1
    assert {path: path.stat().st_ino for path in before} == before


def journal(pipeline: Pipeline) -> list[Path]:
    return sorted(pipeline.runs.glob("*/steps/*.json"))


def answers(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(step["role"], step["commit"], step["answer"]) for step in found["steps"]]


@pytest.mark.long
def test_a_benchmark_by_instruction_count(shared_pipeline: Pipeline, real: Real) -> None:
    found = bisect(
        shared_pipeline, real, "bench:write>+10%", "port", "harmless 7", "--accelerator", "tcg"
    )
    assert [commit["sha"] for commit in found["candidates"]] == [real.named["take longer"]]
    assert proofs(found) == ALL_HOLD
    assert all(len(step["rounds"]) >= 5 for step in steps(found))


@pytest.mark.long
def test_a_flaky_culprit(shared_pipeline: Pipeline, real: Real) -> None:
    """Three writes of four fail at position 0; one guest a step would lead astray."""
    found = bisect(
        shared_pipeline, real, "write.page", "port", "harmless 11", "--confidence", "0.95"
    )
    assert [commit["sha"] for commit in found["candidates"]] == [real.named["be moody"]]
    assert found["confidence"] >= 0.95
    assert found["plan"]["repeats"] >= (2 if found["plan"]["rate"] < 1 else 1)
