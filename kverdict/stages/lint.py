# SPDX-License-Identifier: GPL-2.0-or-later
"""Stricter checkers on touched files: the tree's own W=1 and, where it is installed, sparse.

Both are asked through make, for single objects, in a copy of the object tree: W=1 changes command
lines, and the next build would compile anew what was compiled with them.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict import proc
from kverdict.errors import InfraError
from kverdict.findings.warnings import first_error, identity, messages, read_log
from kverdict.models import Absent, Diagnostic, Lint
from kverdict.progress import Progress
from kverdict.runs import scratch
from kverdict.sandbox import DISK_IS_FULL, SRC, Isolation, read_left
from kverdict.stages.kmake import Ccache, make_command, make_sandbox

W1, SPARSE = "W=1", "sparse"
SCRATCH = "objects-"
_SECONDS = 1800.0
_COPY_SECONDS = 3600.0
_LOG_LIMIT = 64 << 20
_CMD_LIMIT = 4 << 20
# scripts/Kbuild.include, cmd_and_fixdep: "savedcmd_<target> := ..." and "source_<target> := path".
_SOURCE = re.compile(r"^source_(?P<target>\S+) := (?P<source>\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class _Shop:
    """The copy of an object tree that the checkers work in."""

    src: Path
    obj: Path
    targets: tuple[str, ...]
    ccache: Ccache | None
    jobs: int
    isolation: Isolation

    def make(self, log: Path, variables: Sequence[str]) -> proc.Finished:
        sandbox = make_sandbox(self.src, self.obj, self.ccache, isolation=self.isolation)
        command = make_command(self.targets, jobs=self.jobs, variables=variables)
        done = sandbox.stream(command, log=log, timeout=_SECONDS, log_limit=_LOG_LIMIT)
        if done.stopped == DISK_IS_FULL:
            raise InfraError("the disk is full", "free some space and start again")
        return done


def lint_tools() -> str:
    """What the answer depends on besides the commit."""
    if shutil.which(SPARSE) is None:
        return ""
    return proc.run([SPARSE, "--version"], timeout=30, check=True).text.strip()


def lint(
    src: Path,
    obj: Path,
    files: Sequence[str],
    *,
    known: Sequence[Diagnostic],
    log: Path,
    ccache: Ccache | None,
    jobs: int,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Lint:
    """What the checkers say about those C ``files`` that ``obj``, a finished build, has objects of.

    ``known`` are the messages of the plain build, which W=1 would repeat.  The whole output is in
    ``log`` and beside it.  Raises InfraError for our trouble.
    """
    found = dict(_targets(obj, files))
    if not found:
        return Lint(files=(), ran=(), missing=(), messages=())
    with scratch(obj.parent, SCRATCH) as folder, progress.task("W=1 and sparse, touched files"):
        copy = folder / "obj"
        command = ["cp", "--archive", "--reflink=auto", "--", str(obj), str(copy)]
        proc.run(command, timeout=_COPY_SECONDS, check=True)
        shop = _Shop(src, copy, tuple(sorted(found.values())), ccache, jobs, isolation)
        results = (_w1(shop, log, known), _sparse(shop, log.with_name(f"{log.name}.sparse")))
    said = [message for result in results if not isinstance(result, Absent) for message in result]
    names = (W1, SPARSE)
    return Lint(
        files=tuple(sorted(found)),
        ran=tuple(
            name
            for name, result in zip(names, results, strict=True)
            if not isinstance(result, Absent)
        ),
        missing=tuple(result for result in results if isinstance(result, Absent)),
        messages=tuple(
            sorted(said, key=lambda one: (one.file or "", one.line or 0, one.tool, one.message))
        ),
    )


def _targets(obj: Path, files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(source, target as make names it): arch/x86/kvm builds ../../../virt/kvm/guest_memfd.o."""
    for source in files:
        command = obj / posixpath.dirname(source) / f".{Path(source).stem}.o.cmd"
        if not command.is_file():
            continue
        text = read_left(command, _CMD_LIMIT).decode(errors="replace")
        for match in _SOURCE.finditer(text):
            named = posixpath.normpath(match["source"].removeprefix(f"{SRC}/"))
            if named == source and not match["target"].startswith(("-", "/")):
                yield source, match["target"]


def _w1(shop: _Shop, log: Path, known: Sequence[Diagnostic]) -> list[Diagnostic] | Absent:
    for target in shop.targets:
        (shop.obj / target).unlink(missing_ok=True)
    done = shop.make(log, ["W=1"])
    if not done.ok:
        return Absent(tool=W1, why=_reason(log, done))
    plain = {identity(message) for message in known}
    ours = set(map(posixpath.normpath, shop.targets))
    said = [
        message
        for step, message in messages(read_log(log))
        if message is not None and step is not None and posixpath.normpath(step.target) in ours
    ]
    return [_by(W1, message) for message in said if identity(message) not in plain]


def _sparse(shop: _Shop, log: Path) -> list[Diagnostic] | Absent:
    """Its errors are no findings: it lags behind the language that the kernel is written in."""
    if shutil.which(SPARSE) is None:
        return Absent(tool=SPARSE, why="not installed")
    done = shop.make(log, ["C=2", f"CHECK={SPARSE}"])
    if not done.ok:
        return Absent(tool=SPARSE, why=_reason(log, done))
    checked = [
        (step, message)
        for step, message in messages(read_log(log))
        if step is not None and step.verb == "CHECK"
    ]
    if not checked:  # the top Makefile of 7.x refuses a sparse that it finds too old
        return Absent(tool=SPARSE, why=f"the kernel does not take {lint_tools() or 'this one'}")
    said = [_by(SPARSE, message) for _, message in checked if message is not None]
    if lost := [message for message in said if message.severity == "error"]:
        place = f"{lost[0].file}:{lost[0].line}: " if lost[0].file else ""
        return Absent(tool=SPARSE, why=f"cannot read this kernel: {place}{lost[0].message}"[:300])
    return list(dict.fromkeys(said))


def _by(tool: str, message: Diagnostic) -> Diagnostic:
    return message.model_copy(update={"tool": tool})


def _reason(log: Path, done: proc.Finished) -> str:
    if done.stopped is not None:
        return f"ended: {done.stopped}"
    error = first_error(read_log(log))
    return f"make failed: {error.message if error is not None else f'see {log.name}'}"[:300]
