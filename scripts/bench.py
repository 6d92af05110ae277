#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time goes: `make bench`.

Prints the wall time of each stage for three runs of the same pipeline (cold: nothing cached;
again: everything cached; revised: a new revision of a one-file series, base cached), the share
that is neither make nor QEMU, the time from QEMU's start to the first test, and how the revised
run compares with a bare make and a bare QEMU session of the same work, measured right after it.
Then the evaluations an hour of a row of commits that each change one file, with one case asked
of each, as a bisection meets them, and the share of that time that is neither make nor QEMU.

usage: bench.py [--tree TREE] [--cold]      --cold starts from an empty cache (some ten minutes)
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HOME))

from kverdict import uapi  # noqa: E402
from kverdict import verify as workflow  # noqa: E402
from kverdict.evaluate import KVM_HEADER, SUITE_FOLDER, Engine  # noqa: E402
from kverdict.findings.suite import facts_document  # noqa: E402
from kverdict.git import Repository  # noqa: E402
from kverdict.proc import failure_of  # noqa: E402
from kverdict.progress import Silent, Task  # noqa: E402
from kverdict.request import Request, request_of  # noqa: E402
from kverdict.settings import Settings  # noqa: E402
from kverdict.stages import boot, build  # noqa: E402
from kverdict.stages.kmake import Ccache, make_command, make_sandbox  # noqa: E402
from kverdict.trees import Tree, open_tree  # noqa: E402
from kverdict.verdict import Report  # noqa: E402
from kverdict.worktrees import checkout  # noqa: E402

PORT = HOME / "patches/gmem-write-v7-port.mbx"
TOUCHED, CASE = "virt/kvm/guest_memfd.c", "flags.valid"
ROW = 5


@dataclass
class Clock:
    """A Progress that keeps how long every task took; the terminal sees one line a task."""

    tasks: list[tuple[str, float]] = field(default_factory=list)

    def say(self, line: str) -> None:
        pass

    @contextmanager
    def task(self, title: str) -> Iterator[Task]:
        began = time.monotonic()
        with Silent().task(title) as quiet:
            yield quiet
        self.tasks.append((title, time.monotonic() - began))


@dataclass(frozen=True)
class Measured:
    name: str
    wall: float
    tasks: list[tuple[str, float]]
    run: workflow.Run

    @property
    def fresh(self) -> bool:
        """Whether make and QEMU ran at all."""
        return any(is_make_or_qemu(title) for title, _ in self.tasks)

    @property
    def make_and_qemu(self) -> float:
        return sum(seconds for title, seconds in self.tasks if is_make_or_qemu(title))

    @property
    def boot_to_first_test(self) -> float | None:
        guest = self.run.report.patched_evaluation.guest
        return guest.boot_seconds if guest is not None else None


def is_make_or_qemu(title: str) -> bool:
    return title.strip().startswith(("build,", "guest", "benchmark", "does KVM work"))


def request(settings: Settings, series: Path, tree: str) -> Request:
    jobs = len(os.sched_getaffinity(0))
    return request_of(settings, series=[str(series)], tree=tree, jobs=jobs)


def measure(name: str, series: Path, tree: str, settings: Settings) -> Measured:
    clock = Clock()
    began = time.monotonic()
    done = workflow.verify(request(settings, series, tree), settings, clock)
    wall = time.monotonic() - began
    return Measured(name, wall, clock.tasks, done)


def revised(folder: Path) -> Path:
    """The port with one more comment line in the one file that counts; never seen before."""
    text = PORT.read_text()
    old = "+static bool kvm_gmem_supports_write(struct inode *inode)\n"
    assert text.count(old) == 1
    text = text.replace(old, f"+/* Revision of {time.time_ns()}. */\n{old}")

    def longer(match: re.Match[str]) -> str:
        return f"{match[1]}{int(match[2]) + 1}{match[3]}"

    # The hunk that adds the functions is the longest one of the file.
    hunks = list(re.finditer(r"(?m)^(@@ -\d+,\d+ \+\d+,)(\d+)( @@.*)$", text))
    largest = max(hunks, key=lambda match: int(match[2]))
    text = text[: largest.start()] + longer(largest) + text[largest.end() :]
    path = folder / "revised.mbx"
    path.write_text(text)
    return path


def show(measured: Measured) -> None:
    """A table of one run: each stage, then the part that is ours."""
    print(f"\n{measured.name}: {measured.wall:.1f} s")
    for title, seconds in measured.tasks:
        if seconds >= 0.05:
            print(f"  {seconds:8.1f} s  {title.strip()}")
    ours = measured.wall - measured.make_and_qemu
    if measured.fresh:
        print(f"  {ours:8.1f} s  neither make nor QEMU ({ours / measured.wall:.0%})")
    if measured.fresh and measured.boot_to_first_test is not None:
        print(f"  {measured.boot_to_first_test:8.1f} s  QEMU's start to the first test")


def bare_make(engine: Engine, base: str, tip: str) -> float:
    """The revision's incremental make and nothing around it: base built first, then timed."""
    with engine.slot() as slot:
        sandbox = make_sandbox(slot.src, slot.obj, Ccache(engine.cache / "ccache"))
        seconds = 0.0
        for commit in (base, tip):
            checkout(engine.tree.repo, commit, slot.src, progress=Silent())
            done = sandbox.run(make_command(build.TARGETS, jobs=engine.jobs), timeout=3600)
            if not done.ok:
                raise failure_of(done)
            seconds = done.seconds
    return seconds


def bare_qemu(engine: Engine, report: Report) -> float:
    """The revised kernel's two sessions, suite and benchmark, and nothing around them."""
    guest, made = report.patched_evaluation.guest, report.patched_evaluation.build
    assert guest is not None and made is not None
    facts = uapi.facts_from_header(
        (engine.tree.show_file(report.applied.tip, KVM_HEADER) or b"").decode()
    )
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="kverdict-bench-") as name:
        bzimage = engine.built(report.patched_evaluation).folder / build.BZIMAGE.name
        for mode in boot.Mode:
            again = boot.boot(
                bzimage,
                results=Path(name, mode.value),
                console=Path(name, f"{mode.value}.log"),
                suite=SUITE_FOLDER,
                facts=facts_document(facts, bench_mib=engine.recipe.bench_mib),
                accelerator=guest.accelerator,
                why=guest.accelerator_why,
                limits=engine.limits,
                progress=Silent(),
                mode=mode,
            )
            seconds += again.seconds
    return seconds


def a_row(tree: Tree, number: int) -> list[str]:
    """Commits on the tree's head that change one object each; unnamed, in our own repository."""
    mark, commits = time.time_ns(), [tree.head]
    with Repository(tree.repo) as repository, tempfile.TemporaryDirectory() as name:
        index = {"GIT_INDEX_FILE": str(Path(name, "index"))}
        repository.run("read-tree", tree.head, env=index)
        text = (tree.show_file(tree.head, TOUCHED) or b"").decode()
        for turn in range(number):
            text += f"static const long kverdict_bench_{turn} __used = {mark + turn};\n"
            blob = repository.run("hash-object", "-w", "--stdin", stdin=text.encode()).text.strip()
            entry = f"100644,{blob},{TOUCHED}"
            repository.run("update-index", "--cacheinfo", entry, env=index)
            made = repository.run("write-tree", env=index).text.strip()
            message = f"bench {turn}"
            commit = repository.run("commit-tree", made, "-p", commits[-1], "-m", message)
            commits.append(commit.text.strip())
    return commits[1:]


def rate(tree: str, settings: Settings) -> None:
    """Evaluations an hour on a warm tree: the first commit of the row is not counted."""
    clock = Clock()
    opened = open_tree(tree, cache=settings.cache_folder, progress=Silent())
    wanted = request(settings, PORT, tree).model_copy(update={"bench_mib": 0})
    engine = workflow.engine_of(wanted, settings, opened, clock)
    first, *rest = a_row(opened, ROW + 1)
    with (
        tempfile.TemporaryDirectory(prefix="kverdict-bench-") as name,
        engine.store.in_use(),
        engine.line() as line,
    ):
        warm = engine.evaluate(first, "warming", line, Path(name), strangers=False, boots=0)
        warm = engine.boot(warm, line, Path(name), cases=(CASE,))
        engine = engine.like(warm.reruns[0])
        clock.tasks.clear()
        began = time.monotonic()
        for commit in rest:
            one = engine.evaluate(
                commit, "one of a row", line, Path(name), strangers=False, boots=0
            )
            engine.boot(one, line, Path(name), cases=(CASE,))
        wall = time.monotonic() - began
    theirs = sum(seconds for title, seconds in clock.tasks if is_make_or_qemu(title))
    print(f"\n{ROW} commits in a row, one case each: {wall:.1f} s")
    print(f"  {3600 * ROW / wall:8.0f} evaluations an hour")
    print(f"  {wall - theirs:8.1f} s  neither make nor QEMU ({1 - theirs / wall:.0%})")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", default="debian:7.2")
    parser.add_argument("--cold", action="store_true", help="start from an empty cache")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kverdict-bench-") as name:
        home = Path(name)
        settings = Settings(runs=str(home / "runs"))
        if options.cold:
            settings = settings.model_copy(update={"cache": str(home / "cache")})
            show(measure("cold", PORT, options.tree, settings))
        else:
            measure("warming", PORT, options.tree, settings)
        show(measure("again, everything cached", PORT, options.tree, settings))
        warm = measure("revised, base cached", revised(home), options.tree, settings)
        show(warm)
        compare(warm, options.tree, settings)
        rate(options.tree, settings)
    return 0


def compare(warm: Measured, tree: str, settings: Settings) -> None:
    opened = open_tree(tree, cache=settings.cache_folder, progress=Silent())
    engine = workflow.engine_of(request(settings, PORT, tree), settings, opened, Silent())
    report = warm.run.report
    make = bare_make(engine, report.base.sha, report.applied.tip)
    qemu = bare_qemu(engine, report)
    floor = make + qemu
    print(f"\nbare make {make:.1f} s + bare QEMU {qemu:.1f} s = {floor:.1f} s")
    print(f"revised run / bare: {warm.wall / floor:.2f}")


if __name__ == "__main__":
    sys.exit(main())
