# SPDX-License-Identifier: GPL-2.0-or-later
"""Fragments -> a .config in the object tree, and the proof of what became of every request.

kconfiglib (kverdict.kconfig, a child in the sandbox) finds the dependencies and the reasons; the
kernel's own conf has the last word: `make olddefconfig` must leave the file as it is, and where it
does not, its result counts and the difference is in the proof.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from kverdict.errors import InfraError, PatchError, UserError
from kverdict.kconfig import environ, fragment
from kverdict.kconfig.fragment import Goal
from kverdict.kconfig.protocol import Answer, Reply, Request, SymbolAnswer
from kverdict.models import AddedSymbol, ConfigProof, SymbolProof, SymbolState
from kverdict.proc import Finished, ToolMissing, run
from kverdict.progress import Progress
from kverdict.runs import write_atomically
from kverdict.sandbox import python_command, read_left
from kverdict.stages.kmake import make_command, make_sandbox

DOT_CONFIG = ".config"
_MERGED = ".kverdict-allconfig"
_LIMIT = 600.0
_CONFIG_LIMIT = 8 << 20  # bytes; allyesconfig has 0.4 MB
_HEADER = re.compile(r"^# Linux/\S+ (?P<version>\S+) Kernel Configuration$", re.MULTILINE)
_LINE = re.compile(r"^(?:CONFIG_(\w+)=(.*)|# CONFIG_(\w+) is not set)$", re.MULTILINE)
# conf prints "file:line: syntax error" and the like; make then adds lines of its own.
_CONF_ERROR = re.compile(r"^(?P<place>[^\s:]+:\d+): ?(?P<message>.+)$", re.MULTILINE)


def configure(
    src: Path, obj: Path, fragments: Sequence[Path], *, progress: Progress
) -> ConfigProof:
    """Writes ``obj``/.config, only when it changes, and says what became of each request.

    Raises UserError for a fragment that is malformed or asks for a symbol that this tree does not
    have, PatchError when the tree's Kconfig cannot be parsed by anybody, InfraError for the rest.
    """
    goals = fragment.read(fragments)
    with progress.task("  configuration"):
        found = _plan(src, obj, goals)
        if found.answer is not None:
            _refuse_unknown(goals, found.answer)
        final = _olddefconfig(src, obj, found.text)
    differing = compare(found.text, final) if found.answer is not None else ()
    _write_if_changed(obj / DOT_CONFIG, final)
    values = read_config(final)
    return ConfigProof(
        digest=hashlib.sha256(final.encode()).hexdigest(),
        kernel_version=_version(final),
        compiler=values.get("CC_VERSION_TEXT", "unknown"),
        asked=tuple(_proof(goal, values, found.answer) for goal in goals),
        added=_added(found.answer, values),
        differing=differing,
        notes=found.notes,
    )


@dataclass(frozen=True)
class _Found:
    text: str  # of a .config
    answer: Answer | None  # None when kconfiglib could not parse the tree
    notes: tuple[str, ...] = ()


def _plan(src: Path, obj: Path, goals: Sequence[Goal]) -> _Found:
    variables = _environment(src, obj)
    request = Request(goals={goal.name: goal.value for goal in goals})
    sandbox = make_sandbox(src, obj, python=True, env=variables)
    done = run(
        sandbox.wrap(python_command("kverdict.kconfig")),
        stdin=request.model_dump_json().encode(),
        timeout=_LIMIT,
    )
    reply = _reply(done)
    if reply.answer is not None:
        return _Found(reply.answer.config, reply.answer)
    error = reply.refusal.error if reply.refusal is not None else "no answer"
    merged = _merge(src, obj, goals)
    note = (
        f"kconfiglib cannot parse this tree's Kconfig ({_one_line(error)}): "
        "no dependency resolution"
    )
    return _Found(merged, None, (note,))


def _environment(src: Path, obj: Path) -> dict[str, str]:
    sandbox = make_sandbox(src, obj)
    command = make_command((environ.TARGET,), variables=("-s", f"--eval={environ.EVAL}"))
    done = run(sandbox.wrap(command), timeout=_LIMIT)
    if not done.ok:
        raise _make_failed(done)
    return environ.parse(done.stdout)


def _reply(done: Finished) -> Reply:
    if not done.ok:
        last = (done.error_text.strip() or "no output").splitlines()[-1]
        how = done.stopped or f"exit status {done.returncode}"
        raise InfraError(f"the Kconfig child failed ({how}): {last}", detail=done.error_text)
    try:
        return Reply.from_json(done.stdout)
    except ValidationError as error:
        raise InfraError("the Kconfig child gave no usable answer", str(error)[:200]) from error


def _merge(src: Path, obj: Path, goals: Sequence[Goal]) -> str:
    """As scripts/kconfig/merge_config.sh -n does it: the goals over allnoconfig."""
    write_atomically(obj / _MERGED, fragment.as_config(goals))
    sandbox = make_sandbox(src, obj, env={"KCONFIG_ALLCONFIG": _MERGED})
    done = run(sandbox.wrap(make_command(("allnoconfig",))), timeout=_LIMIT)
    (obj / _MERGED).unlink(missing_ok=True)
    if not done.ok:
        raise _make_failed(done)
    return _read(obj / DOT_CONFIG)


def _olddefconfig(src: Path, obj: Path, text: str) -> str:
    """What the kernel's conf makes of ``text``, without touching .config."""
    candidate = obj / ".kverdict-config"
    write_atomically(candidate, text)
    sandbox = make_sandbox(src, obj, env={"KCONFIG_CONFIG": candidate.name})
    done = run(sandbox.wrap(make_command(("olddefconfig",))), timeout=_LIMIT)
    try:
        if not done.ok:
            raise _make_failed(done)
        return _read(candidate)
    finally:
        for name in (candidate.name, f"{candidate.name}.old"):
            (obj / name).unlink(missing_ok=True)


def _read(path: Path) -> str:
    return read_left(path, _CONFIG_LIMIT).decode(errors="backslashreplace")


def _make_failed(done: Finished) -> PatchError | InfraError:
    """conf names file and line of what it cannot parse; that is the tree's fault."""
    said = f"{done.text}\n{done.error_text}"
    if done.stopped is not None:
        return InfraError(f"make config was ended: {done.stopped}", "start again")
    if "not found" in said and re.search(
        r"\b(gcc|ccache|flex|bison|make): (command )?not found", said
    ):
        return ToolMissing(
            "a build tool is missing in the sandbox", "run `make setup`", detail=said
        )
    if match := _CONF_ERROR.search(said):
        return PatchError(
            f"the tree's Kconfig does not parse: {match['place']}: {match['message']}",
            "the kernel's own conf refuses it too",
            detail=said,
        )
    last = said.strip().splitlines()[-1] if said.strip() else "no output"
    return InfraError(f"make config failed: {last}", "see the output above", detail=said)


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
    if path.is_file() and not path.is_symlink() and path.read_bytes() == text.encode():
        return
    write_atomically(path, text)


# --- the proof ----------------------------------------------------------------------------------


def _refuse_unknown(goals: Sequence[Goal], answer: Answer) -> None:
    for goal in goals:
        if goal.name in answer.unknown and not goal.optional:
            close = answer.unknown[goal.name]
            remedy = f"did you mean {' or '.join(close)}?" if close else "remove it"
            raise UserError(
                f"{goal.file}:{goal.line}: this kernel has no CONFIG_{goal.name}",
                f"{remedy} (or say `# optional: why` above it)",
            )


def _proof(goal: Goal, values: dict[str, str], answer: Answer | None) -> SymbolProof:
    got = values.get(goal.name, "n")
    unknown = answer is not None and goal.name in answer.unknown
    known = answer.symbols.get(goal.name) if answer is not None else None
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
        return "no reason can be given: kconfiglib does not parse this tree"
    return known.why or "the kernel's own conf decided otherwise"


def _added(answer: Answer | None, values: dict[str, str]) -> tuple[AddedSymbol, ...]:
    if answer is None:
        return ()
    return tuple(
        AddedSymbol(name=name, value=values.get(name, "n"), needed_by=added.needed_by)
        for name, added in sorted(answer.added.items())
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
