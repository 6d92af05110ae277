# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments -> a .config in the object tree, and the proof of what became of every request.

kconfiglib (kverdict.kconfig, a child in the sandbox) finds the dependencies and the reasons; the
kernel's own conf has the last word: `make olddefconfig` must come to the same values, and where it
does not, its result counts and the difference is in the proof.  It is not given the numbers and
texts that nobody asked for, because it would keep a wrong one as long as it is legal.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import signal
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kverdict.errors import ExitStatus, InfraError, KverdictError, PatchError, UserError
from kverdict.kconfig import environ, fragment
from kverdict.kconfig.fragment import Goal
from kverdict.kconfig.protocol import Answer, FilePlan, Reply, Request, SymbolAnswer
from kverdict.models import AddedSymbol, ConfigProof, SymbolProof, SymbolState
from kverdict.proc import Finished, ToolMissing
from kverdict.progress import Progress
from kverdict.runs import remove, write_atomically
from kverdict.sandbox import SRC, Isolation, Sandbox, give, python_command, read_left
from kverdict.stages.kmake import make_command, make_sandbox
from kverdict.text import shorten

DOT_CONFIG = ".config"
# scripts/kconfig/conf is made by make from .l and .y files; with Debian these are their names.
_TOOLS = ("make", "gcc", "flex", "bison")
_LIMIT = 600.0
MAKE_FAILS = (1, 2)  # make(1); any other status is that of a make that did not come to its end
CONFIG_LIMIT = 8 << 20  # bytes; allyesconfig has 0.4 MB
SHOWN = 400  # columns of a condition or a note
MOST_SHOWN = 20
MOST_ENABLED = 100
_HEADER = re.compile(r"^# Linux/\S+ (?P<version>\S+) Kernel Configuration$", re.MULTILINE)
_LINE = re.compile(r"^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$", re.MULTILINE)
_NUMBER_OR_TEXT = re.compile(r'^CONFIG_(\w+)=(?:-?\d|").*\n', re.MULTILINE)
# conf says "file:line: syntax error" and "file:line:warning: ..."; make adds lines of its own.
_CONF_ERROR = re.compile(r"^(?P<place>[^\s:]+:\d+):(?! ?warning:) ?(?P<message>.+)$", re.MULTILINE)
_UNKNOWN = re.compile(r"warning: unknown symbol: (\w+)$", re.MULTILINE)


class UnknownSymbol(UserError):
    """A required symbol that this tree does not have; where others have it, that says more."""

    def __init__(self, goal: Goal, remedy: str) -> None:
        self.place = f"{goal.file}:{goal.line}"
        self.symbol = f"CONFIG_{goal.name}"
        super().__init__(f"{self.place}: this kernel has no {self.symbol}", remedy)


def configure(
    src: Path,
    obj: Path,
    fragments: Sequence[Path],
    *,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> ConfigProof:
    """Writes ``obj``/.config, only when it changes, and says what became of each request.

    Raises UserError for a fragment that is malformed, UnknownSymbol when it asks for one that this
    tree does not have, PatchError when the kernel's own conf refuses the tree's Kconfig,
    ToolMissing, and InfraError for the rest.  A request that is not met is no error: its state is
    DIFFERS.
    """
    goals = fragment.read(fragments)
    _need_tools()
    place = _Place(src, obj, isolation)
    with progress.task("  configuration"):
        found = _plan(place, goals)
        _refuse_unknown(goals, found.unknown)
        asked = {goal.name for goal in goals}.union(found.answer.added if found.answer else ())
        final = _conf(place, "olddefconfig", KCONFIG_CONFIG=_for_conf(found.text, asked)).text
    differing = compare(found.text, final) if found.answer is not None else ()
    _write_if_changed(obj / DOT_CONFIG, final)
    values = read_config(final)
    return ConfigProof(
        digest=hashlib.sha256(final.encode()).hexdigest(),
        kernel_version=_version(final),
        compiler=values.get("CC_VERSION_TEXT", "unknown"),
        asked=tuple(_proof(goal, values, found) for goal in goals),
        added=_added(found.answer, values),
        differing=differing,
        notes=found.notes,
    )


def plan(
    src: Path,
    obj: Path,
    fragments: Sequence[Path],
    files: Sequence[str],
    *,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> tuple[FilePlan, ...]:
    """For each source file of the tree: its condition by the Makefiles, and how to have it met.

    In the order of ``files``, which are relative to the tree; each plan starts from the
    configuration that the fragments lead to.  ``obj`` is any folder to work in; its .config is
    not touched.  Raises as configure() does.  Where kconfiglib cannot read the tree there are no
    plans but notes.
    """
    goals = fragment.read(fragments)
    _need_tools()
    with progress.task("  what would have the files compiled"):
        reply = _ask(_Place(src, obj, isolation), goals, files)
    if reply.answer is None:
        note = "kconfiglib cannot read this tree's Kconfig"
        return tuple(FilePlan(path=path, note=note) for path in files)
    _refuse_unknown(goals, reply.answer.unknown)
    told = {one.path: _plain(one) for one in reply.answer.files}
    return tuple(told.get(path, FilePlan(path=path, note="not planned")) for path in files)


def _plain(told: FilePlan) -> FilePlan:
    """The child's words are a stranger's."""
    words = {
        "condition": shorten(told.condition, SHOWN),
        "unmet": tuple(shorten(one, SHOWN) for one in told.unmet[:MOST_SHOWN]),
        "enable": told.enable[:MOST_ENABLED],
        "note": shorten(told.note, SHOWN),
    }
    return told.model_copy(update=words)


@dataclass(frozen=True)
class _Place:
    src: Path
    obj: Path
    isolation: Isolation

    def sandbox(self, env: Mapping[str, str] | None = None, *, python: bool = False) -> Sandbox:
        return make_sandbox(self.src, self.obj, env=env, python=python, isolation=self.isolation)


@dataclass(frozen=True)
class _Found:
    text: str  # of a .config
    answer: Answer | None  # None when kconfiglib could not parse the tree
    unknown: dict[str, tuple[str, ...]]  # symbol -> names like it
    notes: tuple[str, ...] = ()


def _need_tools() -> None:
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            raise ToolMissing(f"{tool} is not installed", "run `make setup`")


def _plan(place: _Place, goals: Sequence[Goal]) -> _Found:
    reply = _ask(place, goals)
    if reply.answer is not None:
        return _Found(reply.answer.config, reply.answer, reply.answer.unknown)
    return _merged(place, goals, reply.refusal.error if reply.refusal else "no answer")


def _ask(place: _Place, goals: Sequence[Goal], files: Sequence[str] = ()) -> Reply:
    request = Request(
        environment=_environment(place),
        goals={goal.name: goal.value for goal in goals},
        files=tuple(files),
    )
    done = place.sandbox(python=True).run(
        python_command("kverdict.kconfig"),
        stdin=request.model_dump_json().encode(),
        timeout=_LIMIT,
    )
    return _reply(done)


def _merged(place: _Place, goals: Sequence[Goal], error: str) -> _Found:
    """As scripts/kconfig/merge_config.sh -n does it: the goals over allnoconfig."""
    conf = _conf(place, "allnoconfig", KCONFIG_ALLCONFIG=fragment.as_config(goals))
    unknown: dict[str, tuple[str, ...]] = dict.fromkeys(_UNKNOWN.findall(conf.messages), ())
    note = (
        f"kconfiglib cannot read this tree's Kconfig ({shorten(error, 200)}): fragments merged "
        "without their dependencies"
    )
    return _Found(conf.text, None, unknown, (note,))


def _environment(place: _Place) -> dict[str, str]:
    command = make_command((environ.TARGET,), variables=("-s", f"--eval={environ.EVAL}"))
    done = place.sandbox().run(command, timeout=_LIMIT)
    if not done.ok:
        raise _make_failed(done)
    return environ.parse(done.stdout)


def _reply(done: Finished) -> Reply:
    """The child says itself what is wrong with a tree: one that could not even do that is ours."""
    if not done.ok:
        last = (done.error_text.strip() or "it said nothing").splitlines()[-1]
        raise InfraError(
            f"reading the tree's Kconfig was ended: {_how(done)}: {shorten(last, 200)}",
            "start again; ./pipeline.py doctor looks for what is missing here",
            detail=done.error_text,
        )
    try:
        return Reply.from_json(done.stdout)
    except ValidationError as error:
        why = shorten(error.errors()[0]["msg"], 200)
        raise InfraError("the Kconfig child gave no usable answer", why) from error


@dataclass(frozen=True)
class _Conf:
    text: str  # of the .config that it wrote
    messages: str


def _conf(place: _Place, target: str, **inputs: str) -> _Conf:
    """Runs the kernel's own conf; ``inputs`` are texts for the variables that name its files.

    Works beside .config, so that this changes once, when everything is known.
    """
    names = {"KCONFIG_CONFIG": ".kverdict-config", "KCONFIG_ALLCONFIG": ".kverdict-allconfig"}
    obj = place.obj
    left = obj / names["KCONFIG_CONFIG"]
    ours = [*(obj / name for name in names.values()), obj / f"{left.name}.old"]
    _remove(ours)
    try:
        for variable, text in inputs.items():
            write_atomically(obj / names[variable], text)
            give(obj / names[variable])
        env = {variable: names[variable] for variable in ("KCONFIG_CONFIG", *inputs)}
        sandbox = place.sandbox({**env, "KCONFIG_WARN_UNKNOWN_SYMBOLS": "1"})
        done = sandbox.run(make_command((target,)), timeout=_LIMIT)
        if not done.ok:
            raise _make_failed(done)
        text = read_left(left, CONFIG_LIMIT).decode(errors="backslashreplace")
        return _Conf(text, f"{done.text}\n{done.error_text}")
    finally:
        _remove(ours)


def _how(done: Finished) -> str:
    """bubblewrap ends with 128 + N when what it ran was killed by signal N, as a shell does."""
    if done.stopped is not None:
        return done.stopped
    number = -done.returncode if done.returncode < 0 else done.returncode - 128
    if number in set(signal.Signals):
        return f"killed by {signal.Signals(number).name}"
    return f"exit status {done.returncode}"


def _remove(paths: Iterable[Path]) -> None:
    """Whatever they are: the tree's make can write in the object tree too."""
    for path in paths:
        remove(path)


def _for_conf(text: str, asked: Collection[str]) -> str:
    """A .config without the numbers and texts that follow from the rest: conf computes them."""
    return _NUMBER_OR_TEXT.sub(lambda line: line[0] if line[1] in asked else "", text)


def _make_failed(done: Finished) -> KverdictError:
    """What conf refuses is the tree's fault; it names file and line, but for a loop."""
    said = f"{done.error_text}\n{done.text}".strip()
    if done.stopped is not None:
        return InfraError(f"make config was ended: {done.stopped}", "start again", detail=said)
    if said.startswith("bwrap: "):
        return InfraError(f"the sandbox cannot be made: {shorten(said, 200)}", "run `make setup`")
    if done.returncode not in MAKE_FAILS:
        return InfraError(f"make config was ended: {_how(done)}", "start again", detail=said)
    if os.strerror(errno.ENOSPC) in said:
        return InfraError(
            "the disk is full", "make room and start again", status=ExitStatus.DISK_FULL
        )
    if match := _CONF_ERROR.search(said):
        place = match["place"].removeprefix(f"{SRC}/")
        what = "Kconfig does not parse" if "Kconfig" in place else "Makefile fails"
        problem = f"the tree's {what}: {place}: {match['message']}"
    else:
        problem = f"the tree cannot be configured: {said or f'exit status {done.returncode}'}"
    return PatchError(shorten(problem, 200), "the series or its base broke it", detail=said)


# --- what the text of a .config says ------------------------------------------------------------


def read_config(text: str) -> dict[str, str]:
    """Symbol -> value as written, without quotes; "n" for "is not set"."""
    values = {}
    for name, value, unset in _LINE.findall(text):
        if unset:
            values[unset] = "n"
        elif value.startswith('"'):
            values[name] = re.sub(r"\\(.)", r"\1", value[1:-1])
        else:
            values[name] = value
    return values


def compare(ours: str, makes: str) -> tuple[str, ...]:
    """Symbols whose value differs: "NAME: ours -> make's"; absent and n are the same."""
    left, right = read_config(ours), read_config(makes)
    return tuple(
        f"{name}: {left.get(name, 'n')} -> {right.get(name, 'n')}"
        for name in sorted(left.keys() | right.keys())
        if left.get(name, "n") != right.get(name, "n")
    )


def _version(text: str) -> str:
    match = _HEADER.search(text)
    return match["version"] if match else "unknown"


def _write_if_changed(path: Path, text: str) -> None:
    """make rebuilds what depends on the configuration when the file is newer."""
    with suppress(InfraError):  # whatever else lies there
        if read_left(path, CONFIG_LIMIT) == text.encode():
            return
    _remove([path])
    write_atomically(path, text)


# --- the proof ----------------------------------------------------------------------------------


def _refuse_unknown(goals: Sequence[Goal], unknown: Mapping[str, tuple[str, ...]]) -> None:
    for goal in goals:
        if goal.name in unknown and not goal.optional:
            close = unknown[goal.name]
            remedy = f"did you mean {' or '.join(close)}?" if close else "remove it"
            raise UnknownSymbol(goal, f"{remedy} (or write `# optional: why` above it)")


def _proof(goal: Goal, values: dict[str, str], found: _Found) -> SymbolProof:
    got = values.get(goal.name, "n")
    unknown = goal.name in found.unknown
    known = found.answer.symbols.get(goal.name) if found.answer is not None else None
    as_asked = got == goal.value or (goal.value == "m" and got == "y")
    return SymbolProof(
        name=goal.name,
        asked=goal.value,
        got=got,
        state=(
            SymbolState.UNKNOWN
            if unknown
            else SymbolState.AS_ASKED
            if as_asked
            else SymbolState.DIFFERS
        ),
        fragment=goal.file,
        required=not goal.optional,
        why="" if as_asked else _why(known, unknown),
    )


def _why(known: SymbolAnswer | None, unknown: bool) -> str:
    if unknown:
        return "this kernel has no such symbol"
    if known is None:
        return "no reason can be given: kconfiglib cannot read this tree"
    return known.why or "the kernel's own conf decided otherwise"


def _added(answer: Answer | None, values: dict[str, str]) -> tuple[AddedSymbol, ...]:
    if answer is None:
        return ()
    return tuple(
        AddedSymbol(name=name, value=values.get(name, "n"), needed_by=added.needed_by)
        for name, added in sorted(answer.added.items())
    )
