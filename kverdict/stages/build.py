# SPDX-License-Identifier: GPL-2.0-or-later
"""Build a configured worktree: make in the sandbox -> vmlinux, bzImage, build-id, messages."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from kverdict import elf, ledger
from kverdict.disk import DISK_NEEDED, disk_full
from kverdict.errors import InfraError
from kverdict.findings import warnings
from kverdict.models import Build, Diagnostic
from kverdict.proc import Finished
from kverdict.progress import Progress, Task
from kverdict.runs import file_digest, remove
from kverdict.sandbox import DISK_IS_FULL, Isolation, Sandbox
from kverdict.stages.kmake import Ccache, make_command, make_sandbox

TARGETS = ("bzImage",)
BZIMAGE = Path("arch/x86/boot/bzImage")
VMLINUX = Path("vmlinux")

HOURS = 3600.0
LOG_LIMIT = 256 << 20

_NO_SPACE = os.strerror(errno.ENOSPC)
_KILLED = "Killed signal terminated program"  # gcc.cc: the compiler was killed, e.g. for memory


def build(
    src: Path,
    obj: Path,
    *,
    log: Path,
    ccache: Ccache | None,
    jobs: int,
    progress: Progress,
    limit: float = 3 * HOURS,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Build:
    """Build what ``obj``/.config says; the whole log is kept in ``log``.

    A failure in an object tree that was not empty is confirmed by one clean build before it
    counts; the log of the first try then stays beside as ``<name>.incremental``.  A full disk, a
    killed compiler and a time limit are InfraError, never the patch's failure.
    """
    clean = not has_objects(obj)
    if clean:
        ledger.forget(obj)
    sandbox = make_sandbox(src, obj, ccache, isolation=isolation)
    made = _make(sandbox, log, jobs, progress, limit, clean)
    seconds = made.seconds
    if not made.ok:
        _raise_if_ours(made, log, obj)
        if not clean:
            progress.say("the incremental build failed; a clean build decides")
            log.rename(log.with_name(log.name + ".incremental"))
            empty_objects(obj)
            clean = True
            made = _make(sandbox, log, jobs, progress, limit, clean)
            seconds += made.seconds
            if not made.ok:
                _raise_if_ours(made, log, obj)
    said = _told(obj, log)
    if not made.ok:
        return _failed(log, seconds, said)
    return _built(obj, log, seconds, clean, said)


def _told(obj: Path, log: Path) -> tuple[Diagnostic, ...]:
    """Warnings of all objects: those that the log has, and those of what was built before."""
    old = ledger.read(obj) or ledger.Ledger()
    new = ledger.updated(old, warnings.read_log(log), lambda target: (obj / target).exists())
    ledger.write(obj, new)
    return new.warnings


def _make(
    sandbox: Sandbox,
    log: Path,
    jobs: int,
    progress: Progress,
    limit: float,
    clean: bool,
) -> Finished:
    with progress.task("build, clean" if clean else "build, incremental") as task:
        return sandbox.stream(
            make_command(TARGETS, jobs=jobs),
            log=log,
            timeout=limit,
            log_limit=LOG_LIMIT,
            on_line=_StepCounter(task),
        )


class _StepCounter:
    """Turns make's lines into a progress line; make does not say how many are to come."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._count = 0

    def __call__(self, line: str) -> None:
        if step := warnings.step_of(line):
            self._count += 1
            self._task.update(note=f"{self._count} steps, {step.verb} {step.target}")


def has_objects(obj: Path) -> bool:
    """Whether something was built in this object tree, wholly or in part."""
    return (obj / VMLINUX).exists() or (obj / "vmlinux.a").exists() or (obj / "kernel").is_dir()


def empty_objects(obj: Path) -> None:
    """Removes all but the .config.

    `make clean` would run the tree's code on what may be the culprit.
    """
    ledger.forget(obj)
    for entry in obj.iterdir():
        if entry.name != ".config":
            remove(entry)


def _raise_if_ours(made: Finished, log: Path, obj: Path) -> None:
    if made.stopped == DISK_IS_FULL:
        raise disk_full("the build", DISK_NEEDED, shutil.disk_usage(obj).free)
    if made.stopped is not None:
        raise InfraError(f"the build was ended: {made.stopped}", f"see {log.name}")
    error = warnings.first_error(warnings.read_log(log))
    message = error.message if error is not None else ""
    free = shutil.disk_usage(obj).free
    if message.endswith(_NO_SPACE) or free < DISK_NEEDED // 64:
        raise disk_full("the build", DISK_NEEDED, free)
    if _KILLED in message:
        raise InfraError("the compiler was killed", "free memory or build with fewer --jobs")


def _failed(log: Path, seconds: float, said: tuple[Diagnostic, ...]) -> Build:
    """Called only when a clean build failed."""
    unknown = Diagnostic(
        severity="error", file=None, line=None, message=f"no message recognised, see {log.name}"
    )
    return Build(
        ok=False,
        seconds=seconds,
        clean=True,
        confirmed_clean=True,
        build_id=None,
        bzimage_digest=None,
        first_error=warnings.first_error(warnings.read_log(log)) or unknown,
        warnings=said,
    )


def _is_plain(obj: Path, product: Path) -> bool:
    """Whether it is a file that can be read, with no link on the way to it: that could lead to
    what the sandbox was not to see."""
    way = [obj / parent for parent in (*reversed(product.parents), product)]
    return (
        not any(place.is_symlink() for place in way[1:])
        and way[-1].is_file()
        and os.access(way[-1], os.R_OK)
    )


def _built(
    obj: Path, log: Path, seconds: float, clean: bool, said: tuple[Diagnostic, ...]
) -> Build:
    for product in (VMLINUX, BZIMAGE):
        if not _is_plain(obj, product):
            raise InfraError(f"make succeeded without {product}", f"see {log.name}")
    build_id = elf.build_id(obj / VMLINUX)
    if build_id is None:
        raise InfraError(
            "vmlinux has no build-id", "the linker must support --build-id (binutils 2.18 or newer)"
        )
    return Build(
        ok=True,
        seconds=seconds,
        clean=clean,
        confirmed_clean=False,
        build_id=build_id,
        bzimage_digest=file_digest(obj / BZIMAGE),
        first_error=None,
        warnings=said,
    )
