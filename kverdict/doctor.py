# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with this machine and with what kverdict keeps on it, in findings of one line."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from pydantic import ValidationError

from kverdict import __version__, bare, bisectrequest
from kverdict.bisectrequest import BisectRequest
from kverdict.disk import DISK_NEEDED, free_at
from kverdict.errors import KverdictError
from kverdict.nights import HOME as NIGHTLY
from kverdict.proc import run
from kverdict.progress import Progress
from kverdict.request import Request, command_of
from kverdict.runs import (
    TEMPORARY,
    RunState,
    Store,
    abandoned,
    can_lock_folders,
    check_usable,
    discard,
    drafts_in,
    intact,
    is_running,
    read_state,
    remove,
    run_lock,
    scratch_homes,
    sweep,
)
from kverdict.sandbox import SYSTEM_PATH, Sandbox
from kverdict.settings import Settings

KVM = Path("/dev/kvm")
RUNS_NEED = 256 << 20  # bytes: logs and reports
TOOLS = (  # how each tells its version
    ("git", "--version"),
    ("bwrap", "--version"),
    ("setpriv", "--version"),
    ("prlimit", "--version"),
    ("qemu-system-x86_64", "--version"),
    ("make", "--version"),
    ("gcc", "--version"),
    ("ld", "--version"),
    ("flex", "--version"),
    ("bison", "--version"),
    ("ccache", "--version"),
    ("busybox",),
)
OPTIONAL = (  # without it: what a report then lacks
    ("perl", "checkpatch"),
    ("python3", "kernel-doc"),
    ("sparse", "sparse"),
    ("spatch", "coccicheck (Debian's coccinelle)"),
    ("addr2line", "files and lines of a crash (Debian's binutils)"),
)
_SECONDS = 30.0


class Mark(Enum):
    GOOD = "ok"
    NOTE = "note"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    """One line; ``fix`` says what `--fix` would do, and is empty when that is left to people."""

    mark: Mark
    text: str
    fix: str = ""
    mend: Callable[[], None] | None = None


def examine(settings: Settings, progress: Progress) -> Iterator[Finding]:
    """All that is there to say, tools first; nothing is changed."""
    yield from tools()
    yield from optional_tools()
    yield sandbox()
    yield accelerator()
    folders = {"runs": settings.runs_folder, "cache": settings.cache_folder}
    usable = []
    for key, folder in folders.items():
        found = usable_folder(folder, key)
        yield found
        if found.mark is Mark.GOOD:
            usable.append(folder)
            yield room(folder, key, {"runs": RUNS_NEED, "cache": DISK_NEEDED}[key])
    if settings.cache_folder in usable:
        with progress.task("checking finished stages"):
            entries = list(stages(Store(settings.cache_folder / "stages")))
        yield from entries
        yield from leftovers(settings.cache_folder)
    if settings.runs_folder in usable:
        yield from runs(settings.runs_folder)
    yield from _temporary(Path(tempfile.gettempdir()))


# --- the machine --------------------------------------------------------------------------------


def tools() -> Iterator[Finding]:
    for command in TOOLS:
        if shutil.which(command[0]) is None:
            yield Finding(Mark.WRONG, f"{command[0]} is not installed: run `make setup`")
        else:
            yield _version(command)


def optional_tools() -> Iterator[Finding]:
    """Those that strengthen the evidence; in the sandbox only the system's own are seen."""
    for name, lost in OPTIONAL:
        if shutil.which(name, path=SYSTEM_PATH) is None:
            yield Finding(Mark.NOTE, f"{name} is not installed: no {lost}")
        else:
            yield _version((name, "--version"))


def _version(command: tuple[str, ...]) -> Finding:
    said = run(command, timeout=_SECONDS).text.strip().splitlines()
    return Finding(Mark.GOOD, f"{command[0]}: {said[0] if said else 'no version'}")


def sandbox() -> Finding:
    try:
        done = Sandbox().run(["true"], timeout=_SECONDS)
    except KverdictError as error:
        return Finding(Mark.WRONG, f"sandbox: {error}")
    if done.ok:
        return Finding(Mark.GOOD, "sandbox: a program runs in it")
    last = (done.error_text.strip() or f"exit status {done.returncode}").splitlines()[-1]
    return Finding(Mark.WRONG, f"sandbox: nothing runs in it: {last}")


def accelerator() -> Finding:
    if os.access(KVM, os.R_OK | os.W_OK):
        return Finding(Mark.GOOD, f"{KVM} can be opened")
    why = "may not be opened by this user" if KVM.exists() else "is not there"
    return Finding(Mark.NOTE, f"{KVM} {why}: guests are emulated (TCG), which is slow")


def usable_folder(folder: Path, key: str) -> Finding:
    try:
        check_usable(folder, key)
    except KverdictError as error:
        return Finding(Mark.WRONG, str(error))
    if not can_lock_folders(folder):
        return Finding(
            Mark.WRONG,
            f"{key}: {folder} is on a file system without locks on folders: "
            "what killed runs leave is never cleared",
        )
    return Finding(Mark.GOOD, f"{key}: {folder} can be written to")


def room(folder: Path, key: str, needed: int) -> Finding:
    free = free_at(folder)
    text = f"{key}: {free >> 20} MiB free, a run needs {needed >> 20} MiB"
    return Finding(Mark.GOOD if free >= needed else Mark.WRONG, text)


# --- the cache ----------------------------------------------------------------------------------


def stages(store: Store) -> Iterator[Finding]:
    entries = store.entries()
    damaged = [entry for entry in entries if entry.is_symlink() or not intact(entry)]
    yield Finding(Mark.GOOD, f"cache: {len(entries) - len(damaged)} finished stages are whole")
    for entry in damaged:
        yield Finding(
            Mark.WRONG,
            f"cache: {entry} is not what was stored",
            "remove it: it is made again",
            lambda entry=entry: _remove_damaged(store, entry),  # type: ignore[misc]
        )


def _remove_damaged(store: Store, entry: Path) -> None:
    with store.unused() as free:
        if free and (entry.is_symlink() or not intact(entry)):
            remove(entry)


def leftovers(cache: Path) -> Iterator[Finding]:
    """Of killed runs: scratch folders, drafts of files, git's locks and forgotten worktrees."""
    for home in scratch_homes(cache):
        yield from _left_in(home)
    for repo in sorted((cache / "repos").glob("*.git")):
        for left in bare.leftovers(repo):
            yield Finding(
                Mark.WRONG,
                f"left by a killed run: {left}",
                "remove it",
                lambda repo=repo: bare.clear_unless_used(repo),  # type: ignore[misc]
            )


def _left_in(home: Path, *prefixes: str) -> Iterator[Finding]:
    for path in abandoned(home, *prefixes):
        yield Finding(
            Mark.WRONG,
            f"left by a killed run: {path}",
            "remove it",
            lambda: _swept(home, *prefixes),
        )


def _swept(home: Path, *prefixes: str) -> None:
    sweep(home, *prefixes)


def _temporary(folder: Path) -> Iterator[Finding]:
    yield from _left_in(folder, *TEMPORARY)


# --- runs ---------------------------------------------------------------------------------------


def runs(folder: Path) -> Iterator[Finding]:
    yield from _left_in(folder)
    for path in sorted(folder.glob("*")):
        if path.name == NIGHTLY:
            for home in (path, *sorted(path.iterdir())):
                yield from _left_in(home)
        elif path.is_dir() and not path.is_symlink() and not is_running(path):
            yield from _run(path)


def _run(folder: Path) -> Iterator[Finding]:
    state = read_state(folder)
    if state is None:
        yield _without_state(folder)
        return
    if not state.finished:
        yield Finding(Mark.NOTE, f"unfinished: {folder}: {_how_to_go_on(state)}")
    for path in drafts_in(folder):
        yield Finding(
            Mark.WRONG, f"left by a killed run: {path}", "remove it", lambda: _clean(folder)
        )


def _how_to_go_on(state: RunState) -> str:
    words = _words_of(state)
    if words is None or state.version != __version__:
        return f"no command goes on with it: it is version {state.version}'s"
    return f"goes on with the same command: {shlex.join(words)}"


def _words_of(state: RunState) -> list[str] | None:
    """The command line of a verification, a bisection or a night."""
    if "nightly" in state.asked:
        return ["./pipeline.py", "nightly"]
    with suppress(ValidationError):
        return command_of(Request.model_validate(state.asked))
    with suppress(ValidationError):
        return bisectrequest.command_of(BisectRequest.model_validate(state.asked))
    return None


def _without_state(folder: Path) -> Finding:
    if {path.name for path in folder.iterdir()} <= {".lock"}:
        return Finding(
            Mark.WRONG, f"left by a killed run: {folder}", "remove it", lambda: _clean(folder)
        )
    if (folder / "run.json").exists():
        return Finding(
            Mark.WRONG, f"{folder}: run.json is damaged: look at what you need and remove it"
        )
    return Finding(Mark.NOTE, f"{folder} is not a run's")


def _clean(folder: Path) -> None:
    with run_lock(folder) as ours:
        if ours and {path.name for path in folder.iterdir()} <= {".lock"}:
            discard(folder)
        elif ours:
            for path in drafts_in(folder):
                remove(path)
