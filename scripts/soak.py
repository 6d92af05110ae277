#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many verifications in a row, in one process: does anything grow that is not a run's folder?

    .venv/bin/python scripts/soak.py --fake                         a tree of a few files, seconds
    .venv/bin/python scripts/soak.py --tree debian:7.2 SERIES...    real kernels, minutes for each

The first verification fills the cache.  Before each of the others the results of the patched kernel
are forgotten, so that it is built and booted again every time.  What is counted before the second
must be the same after the last; the table shows every step.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from unittest import mock

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kverdict import evaluate, settings, verify
from kverdict.models import Build, Guest
from kverdict.progress import Progress, Silent, to_stderr
from kverdict.request import Request, request_of
from kverdict.stable import digest
from kverdict.stages import boot

LEFT_ALONE = ("stages", "ccache")  # of the cache: whose size may change by what is in them


@dataclass(frozen=True)
class Census:
    """What this process and its runs hold at one moment."""

    processes: int  # children of ours, and whoever works in our folders
    mounts: int
    worktrees: int  # that our repositories know of
    locks: int  # flock(2) on files of ours
    files_open: int  # of this process
    threads: int
    temporary: int  # entries of the temporary folder
    cgroups: int  # made by this process
    cache_files: int
    cache_kib: int
    results: int  # entries of the store
    run_folders: int
    run_files: int
    run_kib: int


MAY_GROW = ("run_folders", "run_files", "run_kib")
BREATHES = ("cache_kib",)  # folders take a block more and give it back; growth is a new maximum


def take(cache: Path, runs: Path) -> Census:
    cached = [path for path in _files(cache) if path.relative_to(cache).parts[0] not in LEFT_ALONE]
    ran = list(_files(runs))
    return Census(
        processes=len(processes((cache, runs))),
        mounts=len(Path("/proc/self/mountinfo").read_text().splitlines()),
        worktrees=len(list(cache.glob("repos/*.git/worktrees/*"))),
        locks=_locks((cache, runs)),
        files_open=len(list(Path("/proc/self/fd").iterdir())),
        threads=len(list(Path("/proc/self/task").iterdir())),
        temporary=len(list(Path(tempfile.gettempdir()).iterdir())),
        cgroups=len(list(Path("/sys/fs/cgroup").rglob(f"kverdict-{os.getpid()}-*"))),
        cache_files=len(cached),
        cache_kib=_kib(cached),
        results=len(list(cache.glob("stages/*/*"))),
        run_folders=len(list(runs.iterdir())) if runs.is_dir() else 0,
        run_files=len(ran),
        run_kib=_kib(ran),
    )


def _files(top: Path) -> Iterator[Path]:
    """Hidden ones too; the objects of an object tree are one build's, not one run's."""
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != "obj"]
        yield from (Path(folder, name) for name in names)


def _kib(files: Sequence[Path]) -> int:
    total = 0
    for path in files:
        try:
            total += path.lstat().st_blocks
        except FileNotFoundError:
            continue
    return total // 2


def processes(folders: Sequence[Path]) -> list[str]:
    """Those that name one of the folders on their command line or are in it; children of ours."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            place = (entry / "cwd").readlink()
        except OSError:
            continue
        ours = any(str(folder) in words or place.is_relative_to(folder) for folder in folders)
        if ours or parent == os.getpid():
            found.append(f"{entry.name} {words[:200]}")
    return found


def _locks(folders: Sequence[Path]) -> int:
    """By inode, as /proc/locks tells them."""
    inodes = {
        path.stat().st_ino
        for folder in folders
        for path in [folder, *folder.rglob("*lock"), *folder.glob("*/*")]
        if path.exists()
    }
    rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    held = [row for row in rows if row[1] != "->"]  # that one only waits, whoever it is
    return sum(1 for row in held if int(row[5].split(":")[2]) in inodes)


def forget(cache: Path, build_id: str) -> int:
    """Takes the results of one kernel out of the store; how many they were."""
    gone = 0
    for entry in [*cache.glob("stages/builds/*"), *cache.glob("stages/guests/*")]:
        if entry.name.startswith("."):
            continue
        model: type[Build] | type[Guest] = Build if entry.parent.name == "builds" else Guest
        told = entry / ("build.json" if model is Build else "guest.json")
        if told.is_file() and model.from_json(told.read_bytes()).build_id == build_id:
            shutil.rmtree(entry)
            gone += 1
    return gone


@dataclass(frozen=True)
class Step:
    """After one verification."""

    number: int  # from 1
    exit_status: int
    digest: str
    census: Census


def soak(
    verify_once: Callable[[], verify.Run], cache: Path, runs: Path, count: int
) -> Iterator[Step]:
    """Verifies ``count`` times, and counts after each."""
    last: verify.Run | None = None
    for number in range(1, count + 1):
        build = last.report.patched_evaluation.build if last is not None else None
        if build is not None and build.build_id is not None:
            forget(cache, build.build_id)
        last = verify_once()
        verdict = last.report.verdict
        yield Step(number, verdict.exit_status, digest(last.report), take(cache, runs))


def growth(steps: Sequence[Step]) -> dict[str, tuple[int, int]]:
    """What differs between the second and the last step and is not the run folders; two numbers."""
    rows = [asdict(step.census) for step in steps[1:]]
    first, last = rows[0], rows[-1]
    return {
        name: (first[name], last[name])
        for name in first
        if name not in MAY_GROW
        and first[name] != last[name]
        and not (name in BREATHES and last[name] <= max(row[name] for row in rows[:-1]))
    }


def table(steps: Sequence[Step]) -> Iterator[str]:
    names = [field.name for field in fields(Census)]
    yield "run  exit  digest    " + "  ".join(name.replace("_", " ") for name in names)
    for step in steps:
        row = asdict(step.census)
        cells = "  ".join(f"{row[name]:>{len(name)}}" for name in names)
        yield f"{step.number:>3}  {step.exit_status:>4}  {step.digest[:8]}  {cells}"


@click.command()
@click.argument("series", nargs=-1)
@click.option("--tree", default="debian:7.2", show_default=True)
@click.option("--count", default=20, show_default=True, type=click.IntRange(min=3))
@click.option("--fake", is_flag=True, help="A tree of a few files and a boot that is a double.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings; default pipeline.toml.")
def main(series: tuple[str, ...], tree: str, count: int, fake: bool, config: Path | None) -> None:
    """Verify SERIES again and again; exit status 1 when anything grows that should not."""
    with ExitStack() as stack:
        # A temporary folder of our own: others use the system's meanwhile.
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        (home / "tmp").mkdir()
        stack.enter_context(mock.patch.dict(os.environ, TMPDIR=str(home / "tmp")))
        stack.enter_context(mock.patch.object(tempfile, "tempdir", str(home / "tmp")))
        if fake:
            chosen, request = fake_world(home, stack)
            progress: Progress = Silent()
        else:
            chosen = settings.load(config)
            request = request_of(
                chosen, series=series, tree=tree, jobs=len(os.sched_getaffinity(0))
            )
            progress = to_stderr()
        steps = []
        for step in soak(
            lambda: verify.verify(request, chosen, progress),
            chosen.cache_folder,
            chosen.runs_folder,
            count,
        ):
            steps.append(step)
            click.echo(f"{step.number} of {count}: exit status {step.exit_status}", err=True)
    for line in table(steps):
        click.echo(line)
    grown = growth(steps)
    for name, (before, after) in grown.items():
        click.echo(f"{name.replace('_', ' ')}: {before} after the second run, {after} at the end")
    same = len({(step.exit_status, step.digest) for step in steps}) == 1
    click.echo("every run has the same digest" if same else "the digests DIFFER")
    sys.exit(1 if grown or not same else 0)


def fake_world(home: Path, stack: ExitStack) -> tuple[settings.Settings, Request]:
    """A tree of a few files, a series for it, and the double of the boot."""
    from tests.fakekernel import HEADER, INIT_SHARED, WRITE, FakeBoot, FakeKernel

    fake = FakeBoot()
    stack.enter_context(mock.patch.object(boot, "boot", fake.boot))
    stack.enter_context(mock.patch.object(evaluate, "choose_accelerator", fake.choose))
    kernel = FakeKernel.create(home / "linux")
    patch = kernel.series(
        home / "patches", (HEADER, INIT_SHARED, INIT_SHARED + WRITE), subject="add write"
    )
    fragment = home / "small.config"
    fragment.write_text("CONFIG_KVM_SW_PROTECTED_VM=y\n")
    chosen = settings.Settings.model_validate(
        {
            "cache": str(home / "cache"),
            "runs": str(home / "runs"),
            "kernel": {"fragments": [str(fragment)]},
            "guest": {"bench_mib": 0},
        }
    )
    return chosen, request_of(chosen, series=[str(patch)], tree=str(kernel.repo))


if __name__ == "__main__":
    main()
