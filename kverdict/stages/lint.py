# SPDX-License-Identifier: GPL-2.0-or-later
"""Stricter checkers on touched files: the tree's own W=1 and, where it is installed, sparse.

Both are asked through make, for single objects, in a copy of the object tree: W=1 changes command
lines, and the next build would compile anew what was compiled with them.  A header is looked at in
one object that includes it.  Warnings are no errors here, whatever the configuration says.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kverdict import proc
from kverdict.errors import InfraError
from kverdict.findings.warnings import first_error, identity, messages, read_log
from kverdict.models import Absent, Diagnostic, Lint
from kverdict.progress import Progress
from kverdict.runs import scratch
from kverdict.sandbox import DISK_IS_FULL, SRC, SYSTEM_PATH, Isolation, read_left
from kverdict.stages.kmake import Ccache, make_command, make_sandbox

W1, SPARSE = "W=1", "sparse"
SCRATCH = "objects-"
_SECONDS = 1800.0
_COPY_SECONDS = 3600.0
_LOG_LIMIT = 64 << 20
_CMD_LIMIT = 4 << 20
_CONFIG_LIMIT = 8 << 20
_SHOWN = 300  # characters of a reason
# scripts/Kbuild.include, cmd_and_fixdep: "savedcmd_<target> := ..." and "source_<target> := path".
_SOURCE = re.compile(r"^source_(?P<target>\S+) := (?P<source>\S+)$", re.MULTILINE)
# WERROR, KVM_WERROR, DRM_WERROR, OBJTOOL_WERROR: each adds -Werror somewhere.
_WERROR = re.compile(r"^(CONFIG_(?:\w+_)?WERROR)=y$", re.MULTILINE)


@dataclass(frozen=True)
class _Object:
    """An object of the build, as make names it: arch/x86/kvm builds ../../../virt/kvm/x.o."""

    source: str
    target: str


@dataclass(frozen=True)
class _Subject:
    """A touched file, and the object in whose making it is looked at."""

    file: str
    object: _Object


@dataclass(frozen=True)
class _Heard:
    """What a checker said, and of which sources it could not be heard, with the reason."""

    messages: tuple[tuple[str, Diagnostic], ...]  # with the source that was compiled
    lost: Mapping[str, str]


@dataclass(frozen=True)
class _Shop:
    """The copy of an object tree that the checkers work in."""

    src: Path
    obj: Path
    subjects: tuple[_Subject, ...]
    ccache: Ccache | None
    jobs: int
    isolation: Isolation

    @property
    def objects(self) -> tuple[_Object, ...]:
        found = {subject.object for subject in self.subjects}
        return tuple(sorted(found, key=lambda one: one.target))

    def make(self, log: Path, variables: Sequence[str]) -> proc.Finished:
        """Goes on (-k) after an object that fails: the others have their say."""
        sandbox = make_sandbox(self.src, self.obj, self.ccache, isolation=self.isolation)
        config = read_left(self.obj / ".config", _CONFIG_LIMIT).decode(errors="replace")
        harmless = [f"{symbol}=" for symbol in _WERROR.findall(config)]
        command = make_command(
            [one.target for one in self.objects],
            jobs=self.jobs,
            variables=["-k", *harmless, *variables],
        )
        done = sandbox.stream(command, log=log, timeout=_SECONDS, log_limit=_LOG_LIMIT)
        if done.stopped == DISK_IS_FULL:
            raise InfraError("the disk is full", "free some space and start again")
        return done


def lint_tools() -> str:
    """What the answer depends on besides the commit; the sandbox sees the system's tools only."""
    sparse = shutil.which(SPARSE, path=SYSTEM_PATH)
    if sparse is None:
        return ""
    return proc.run([sparse, "--version"], timeout=30, check=True).text.strip()


def lint(
    src: Path,
    obj: Path,
    files: Sequence[str],
    *,
    sources: Collection[str],
    known: Sequence[Diagnostic],
    log: Path,
    ccache: Ccache | None,
    jobs: int,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Lint:
    """What the checkers say about those ``files`` that ``obj``, a finished build, was made from.

    ``files`` are C files and headers, ``sources`` all that the kernel was made from, ``known`` the
    messages of the plain build, which W=1 would repeat.  The whole output is in ``log`` and beside
    it.  A file that a checker cannot read is in ``missing``.  Raises InfraError for our trouble.
    """
    subjects = tuple(_subjects(obj, files, sources))
    if not subjects:
        return Lint(files=(), ran=(), missing=(), messages=())
    with scratch(obj.parent, SCRATCH) as folder, progress.task("W=1 and sparse, touched files"):
        copy = folder / "obj"
        command = ["cp", "--archive", "--reflink=auto", "--", str(obj), str(copy)]
        proc.run(command, timeout=_COPY_SECONDS, check=True)
        shop = _Shop(src, copy, subjects, ccache, jobs, isolation)
        results = {
            W1: _w1(shop, log, known),
            SPARSE: _sparse(shop, log.with_name(f"{log.name}.sparse")),
        }
    missing = [one for tool, heard in results.items() for one in _missing(tool, heard, subjects)]
    said = [one for tool, heard in results.items() for one in _about(tool, heard, subjects)]
    absent = {one.tool for one in missing if one.file is None}
    return Lint(
        files=tuple(sorted(subject.file for subject in subjects)),
        ran=tuple(tool for tool in results if tool not in absent),
        missing=tuple(missing),
        messages=tuple(
            sorted(said, key=lambda one: (one.file or "", one.line or 0, one.tool, one.message))
        ),
    )


# --- which objects --------------------------------------------------------------------------------


def _subjects(obj: Path, files: Sequence[str], sources: Collection[str]) -> Iterator[_Subject]:
    """The touched C files that were compiled, then each header in an object that read it."""
    headers = {file for file in files if file.endswith(".h") and file in sources}
    for source in sorted(file for file in files if file.endswith(".c")):
        command = obj / posixpath.dirname(source) / f".{Path(source).stem}.o.cmd"
        made = _made(command, sources)
        if made is not None and made[0].source == source:
            yield _Subject(source, made[0])
            for header in sorted(headers & made[1]):
                yield _Subject(header, made[0])
            headers -= made[1]
    for header, reader in _readers(obj, headers, sources):
        yield _Subject(header, reader)


def _made(command: Path, sources: Collection[str]) -> tuple[_Object, frozenset[str]] | None:
    """The object that a saved command makes of C, and all that was read for it.

    None for what this kernel is not made from: an object tree keeps what it has been built for.
    """
    if not command.is_file():
        return None
    text = read_left(command, _CMD_LIMIT).decode(errors="replace")
    match = _SOURCE.search(text)
    if match is None or match["target"].startswith(("-", "/")):
        return None
    source = _in_tree(match["source"])
    if not source.endswith(".c") or source not in sources:
        return None
    return _Object(source, match["target"]), frozenset(map(_in_tree, text.split()))


def _in_tree(path: str) -> str:
    return posixpath.normpath(path.removeprefix(f"{SRC}/"))


def _readers(
    obj: Path, headers: Collection[str], sources: Collection[str]
) -> Iterator[tuple[str, _Object]]:
    """For each header that some object read, the one whose source lies nearest."""
    found: dict[str, list[tuple[int, str, _Object]]] = {}
    for place, _, files in os.walk(obj) if headers else ():
        for name in files:
            made = _made(Path(place, name), sources) if name.endswith(".o.cmd") else None
            for header in made[1].intersection(headers) if made is not None else ():
                assert made is not None
                way = _way(header, made[0].source)
                found.setdefault(header, []).append((way, made[0].source, made[0]))
    for header, objects in sorted(found.items()):
        yield header, min(objects, key=lambda one: one[:2])[2]


def _way(one: str, other: str) -> int:
    """How many folders have to be gone up from ``one`` before it leads down to ``other``."""
    folder = posixpath.dirname(one)
    return folder.count("/") - posixpath.commonpath([folder, posixpath.dirname(other)]).count("/")


# --- what they say --------------------------------------------------------------------------------


def _w1(shop: _Shop, log: Path, known: Sequence[Diagnostic]) -> _Heard | Absent:
    for one in shop.objects:
        (shop.obj / one.target).unlink(missing_ok=True)
    done = shop.make(log, ["W=1"])
    if done.stopped is not None:
        return Absent(tool=W1, why=f"ended: {done.stopped}")
    sources = {posixpath.normpath(one.target): one.source for one in shop.objects}
    lost = {one.source: "" for one in shop.objects if not (shop.obj / one.target).is_file()}
    if not done.ok and not lost:
        return Absent(tool=W1, why=f"make failed: {_reason(log)}")
    plain = {identity(message) for message in known}
    heard = []
    for step, message in messages(read_log(log)):
        source = sources.get(posixpath.normpath(step.target)) if step is not None else None
        if message is None or source is None:
            continue
        if message.severity == "error" and source in lost:
            lost[source] = lost[source] or _told(message)
        elif identity(message) not in plain:
            heard.append((source, message))
    why = _reason(log) if lost else ""
    return _Heard(
        tuple((source, message) for source, message in heard if source not in lost),
        {source: f"make failed: {reason or why}" for source, reason in lost.items()},
    )


def _sparse(shop: _Shop, log: Path) -> _Heard | Absent:
    """Its errors are no findings: it lags behind the language that the kernel is written in."""
    if shutil.which(SPARSE, path=SYSTEM_PATH) is None:
        return Absent(tool=SPARSE, why="not installed")
    done = shop.make(log, ["C=2", f"CHECK={SPARSE}"])
    if done.stopped is not None:
        return Absent(tool=SPARSE, why=f"ended: {done.stopped}")
    lost = {one.source: "" for one in shop.objects}
    checked: set[str] = set()
    heard = []
    for step, message in messages(read_log(log)):
        source = _in_tree(step.target) if step is not None and step.verb == "CHECK" else ""
        if source not in lost:
            continue
        checked.add(source)
        if message is not None and message.severity == "error":
            lost[source] = lost[source] or f"cannot read this kernel: {_told(message)}"
        elif message is not None:
            heard.append((source, message))
    if not checked:  # the top Makefile of 7.x refuses a sparse that it finds too old
        refused = f"the kernel does not take {lint_tools() or 'this one'}"
        return Absent(tool=SPARSE, why=refused if done.ok else f"make failed: {_reason(log)}")
    why = _reason(log) if checked != set(lost) else ""
    return _Heard(
        tuple((source, message) for source, message in heard if not lost[source]),
        {
            source: reason or f"make failed: {why}"
            for source, reason in lost.items()
            if reason or source not in checked
        },
    )


def _missing(tool: str, heard: _Heard | Absent, subjects: Sequence[_Subject]) -> Iterator[Absent]:
    """The checker itself, or the files that it could not read."""
    if isinstance(heard, Absent):
        yield heard
        return
    lost = {one.file: heard.lost.get(one.object.source) for one in subjects}
    if all(why is not None for why in lost.values()):
        yield Absent(tool=tool, why=f"{next(iter(lost.values()))}"[:_SHOWN])
        return
    for file, why in sorted(lost.items()):
        if why is not None:
            yield Absent(tool=tool, why=f"on {file}: {why}"[:_SHOWN], file=file)


def _about(tool: str, heard: _Heard | Absent, subjects: Sequence[_Subject]) -> Iterable[Diagnostic]:
    """What is about touched files, each once: a header is read by several of them.

    Of an object that was only taken for a header's sake nothing else counts.
    """
    if isinstance(heard, Absent):
        return ()
    files = {subject.file for subject in subjects}
    said = (
        _by(tool, message)
        for source, message in heard.messages
        if source in files or message.file in files
    )
    return tuple(dict.fromkeys(said))


def _by(tool: str, message: Diagnostic) -> Diagnostic:
    return message.model_copy(update={"tool": tool})


def _told(error: Diagnostic) -> str:
    return f"{error.file}:{error.line}: {error.message}" if error.file else error.message


def _reason(log: Path) -> str:
    error = first_error(read_log(log))
    return _told(error) if error is not None else f"see {log.name}"
