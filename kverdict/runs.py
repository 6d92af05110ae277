# SPDX-License-Identifier: GPL-2.0-or-later
"""Folders that outlive a process: the store of finished stages, object tree slots, run folders.

A stage's result is written to a folder with a temporary name, with the digest of every file in
it, and renamed when it is whole: what has its final name is complete, and what does not match its
digests is computed again.  Killed at any moment, nothing half-written is ever trusted.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kverdict.disk import is_about_space
from kverdict.errors import ExitStatus, InfraError
from kverdict.interrupt import undisturbed
from kverdict.models import Frozen
from kverdict.proc import run
from kverdict.progress import Progress

MANIFEST = "manifest.json"
LINKS = "links.json"
MANIFEST_LARGEST = 1 << 20  # bytes
RESULTS, DRAFT = "results-", ".draft."  # of scratch folders
TEMPORARY = ("kverdict-mail-", "kverdict-probe-", "kverdict-suite-")  # those in $TMPDIR
SLOTS_AT_MOST = 8

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RANDOM = "[a-z0-9_]{8}"  # what tempfile puts behind a prefix
_PREFIXES = rf"am-|deb-|objects-|{RESULTS}|\.[^/]+\."  # of all our scratch folders and drafts


def digest_of(*parts: object) -> str:
    """A key from content: equal parts give the same key on any machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def boot_file(name: str, number: int) -> str:
    """The file of boot ``number`` of a kernel: "console.log", of the second "console-2.log"."""
    if number == 1:
        return name
    stem, suffix = name.rsplit(".", 1)
    return f"{stem}-{number}.{suffix}"


def write_atomically(path: Path, content: str | bytes) -> None:
    """All of ``content`` under its name, or nothing, also when the machine stops in between.

    The draft is locked and swept as scratch folders are.
    """
    data = content.encode() if isinstance(content, str) else content
    sweep(path.parent, f".{path.name}.")
    draft, handle = _locked_file(path.parent, f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            draft.chmod(0o644)
            draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class _Manifest(Frozen):
    files: dict[str, str]  # name -> digest


def seal(folder: Path) -> None:
    """Writes down the digest of every file in ``folder``: from now on it is ``intact``, or not."""
    digests = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
    write_atomically(folder / MANIFEST, _Manifest(files=digests).to_json())


def intact(folder: Path) -> bool:
    """Whether ``folder`` is as it was sealed: the same plain files, the same bytes, no others."""
    try:
        if not _plain(folder / MANIFEST) or (folder / MANIFEST).stat().st_size > MANIFEST_LARGEST:
            return False
        digests = _Manifest.from_json((folder / MANIFEST).read_bytes()).files
        return {path.name for path in folder.iterdir()} == {MANIFEST, *digests} and all(
            _plain(folder / name) and file_digest(folder / name) == digest
            for name, digest in digests.items()
        )
    except (OSError, ValueError):
        return False


def _plain(path: Path) -> bool:
    return stat.S_ISREG(os.lstat(path).st_mode)


@dataclass(frozen=True)
class Store:
    """Finished stages by content key: ``<root>/<kind>/<key>/``, sealed."""

    root: Path

    def find(self, kind: str, key: str) -> Path | None:
        """The folder of a finished stage; a damaged one counts as absent until it is replaced.

        It is not removed here: another run may be reading what is whole of it.
        """
        folder = self.root / kind / key
        if folder.is_symlink() or not intact(folder):
            return None
        with suppress(OSError):  # a read-only cache can be read all the same
            os.utime(folder)  # its last use, for gc.py
        return folder

    def add(self, kind: str, key: str, files: Sequence[Path]) -> Path:
        """Copies the files of a finished stage; the folder gets its name when it is whole.

        Of two runs that add the same at once, the first one's stays.
        """
        home = self.root / kind
        with scratch(home, DRAFT) as draft:
            fresh = draft / "whole"
            fresh.mkdir()
            for file in files:
                shutil.copyfile(file, fresh / file.name)
            seal(fresh)
            with flocked(home / ".lock", fcntl.LOCK_EX):
                if self.find(kind, key) is None:
                    if os.path.lexists(home / key):
                        (home / key).rename(draft / "damaged")
                    fresh.rename(home / key)
        return home / key

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Nothing is removed meanwhile: what was found stays until the block ends.

        But for what killed processes left: one that came after the rename is not added again.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for home in self.root.iterdir():
            sweep(home, DRAFT)
        with flocked(self.root / ".lock", fcntl.LOCK_SH):
            yield

    @contextmanager
    def unused(self) -> Iterator[bool]:
        """Whether no run is in ``in_use``; when so, none begins to be until the block ends."""
        if not self.root.is_dir():
            yield False
            return
        with flocked(self.root / ".lock", fcntl.LOCK_EX | fcntl.LOCK_NB) as ours:
            yield ours

    def entries(self) -> tuple[Path, ...]:
        """The folders of all finished stages, also damaged ones, by kind and key."""
        found = (path for path in self.root.glob("*/*") if not path.name.startswith("."))
        return tuple(sorted(found))


def file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def flocked(path: Path, how: int) -> Iterator[bool]:
    """Whether the lock was free; without LOCK_NB it is waited for, and this is always true."""
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, how)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A new empty folder in ``parent``, locked while it is in use and gone afterwards.

    Those of killed processes go first.  Killed itself, it is found by the next one: the kernel
    lets go of a dead process's lock, and nothing else has to be written down anywhere.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent, prefix)
    folder, lock = _locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        with undisturbed():
            discard(folder)
            os.close(lock)


def sweep(parent: Path, *prefixes: str) -> tuple[Path, ...]:
    """Removes what ``abandoned`` finds, and says what it was."""
    gone = []
    for path in _scratch(parent, prefixes):
        with _held_by_nobody(path) as free:
            if free:
                remove(path)
                gone.append(path)
    return tuple(gone)


def abandoned(parent: Path, *prefixes: str) -> tuple[Path, ...]:
    """Scratch folders, and drafts of files, that nobody uses any more.

    Without prefixes any of ours: for folders that hold nothing but what we made.
    """
    found = []
    for path in _scratch(parent, prefixes):
        with _held_by_nobody(path) as free:
            if free:
                found.append(path)
    return tuple(found)


def remove(path: Path) -> None:
    """Removes whatever is there, a link as a link; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        discard(path)
    else:
        path.unlink(missing_ok=True)


def scratch_homes(cache: Path) -> tuple[Path, ...]:
    """All folders of the cache that scratch folders and drafts of files are made in."""
    names = ("", "debian", "debian/imports", "repos", "repos/am", "slots", "stages")
    patterns = ("slots/*", "stages/*", "repos/*.git/info", "repos/*.git/objects/info")
    found = [path for pattern in patterns for path in sorted(cache.glob(pattern))]
    return (*(cache / name for name in names), *found)


def discard(folder: Path) -> None:
    """Removes a folder, also what a guest made of it: folders without permission, or very deep."""
    with suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if folder.is_dir() and not folder.is_symlink():
        if os.geteuid() != 0:  # root needs no permission, and follows no stranger's links
            run(["chmod", "-R", "u+rwX", "--", str(folder)])
        run(["rm", "-rf", "--one-file-system", "--", str(folder)])


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        try:
            lock = os.open(folder, _OPEN | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # another process swept it before it was locked
        if _ours(folder, lock):
            return folder, lock


def _locked_file(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        handle, name = tempfile.mkstemp(dir=parent, prefix=prefix)
        if _ours(Path(name), handle):
            return Path(name), handle


def _ours(path: Path, handle: int) -> bool:
    """Locks what was just made; false, and closed, when another process was there to sweep it."""
    with suppress(OSError):  # a file system without such locks: never swept, then
        fcntl.flock(handle, fcntl.LOCK_EX)
    if _is_at(path, handle):
        return True
    os.close(handle)
    return False


def _is_at(path: Path, handle: int) -> bool:
    """Whether what was opened still has its name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _scratch(parent: Path, prefixes: Sequence[str]) -> list[Path]:
    """By the form of the name that tempfile gives, so that nothing else is taken for ours."""
    names = re.compile(f"(?:{'|'.join(map(re.escape, prefixes)) or _PREFIXES}){_RANDOM}")
    if not parent.is_dir():
        return []
    found = (path for path in parent.iterdir() if names.fullmatch(path.name))
    return sorted(path for path in found if not path.is_symlink())


def can_lock_folders(parent: Path) -> bool:
    """Whether the file system has such locks: without, nothing abandoned is ever recognised."""
    with tempfile.TemporaryDirectory(dir=parent, prefix=".probe.") as name:
        lock = os.open(name, _OPEN)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(lock)
    return True


@contextmanager
def _held_by_nobody(path: Path) -> Iterator[bool]:
    """Whether it is ours and its lock is free; the lock is ours until the block ends."""
    try:
        lock = os.open(path, _OPEN)
    except OSError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = _is_at(path, lock) and os.geteuid() in (0, os.fstat(lock).st_uid)
    except OSError:
        free = False
    try:
        yield free
    finally:
        os.close(lock)


@dataclass(frozen=True)
class Slot:
    """A worktree and its object tree, ours alone while the lock is held."""

    src: Path
    obj: Path


@contextmanager
def slot(root: Path, name: str, progress: Progress) -> Iterator[Slot]:
    """The first free of a few slots with this name; a dead process holds no lock (flock(2))."""
    for number in range(SLOTS_AT_MOST):
        home = root / f"{name}-{number}"
        home.mkdir(parents=True, exist_ok=True)
        with (home / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            os.utime(home / "lock")  # its last use, for gc.py
            sweep(home)
            if number:
                progress.say(f"another run uses this tree: working in slot {number}")
            (home / "obj").mkdir(exist_ok=True)
            yield Slot(src=home / "src", obj=home / "obj")
            return
    raise InfraError(
        f"{SLOTS_AT_MOST} runs use this tree and configuration already", "wait for one to end"
    )


class RunState(Frozen):
    """run.json: what was asked for and how far it came."""

    asked: dict[str, object]  # the request as given
    request_digest: str
    version: str
    finished: bool
    number: int = 0  # one more than that of the run before: a clock may go back, this does not


@contextmanager
def open_run(runs: Path, slug: str, asked: dict[str, object], version: str) -> Iterator[Path]:
    """The folder of the newest unfinished run with the same request, else a new one; locked.

    ``runs`` has to be usable (``check_usable``).
    """
    runs.mkdir(parents=True, exist_ok=True)
    known = run_states(runs)
    wanted = digest_of(asked, version)
    for folder, state in known:
        if not state.finished and state.request_digest == wanted:
            with run_lock(folder) as ours:
                if ours:
                    _sweep_run(folder)
                    yield folder
                    return
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    number = known[0][1].number + 1 if known else 1
    state = RunState(
        asked=asked, request_digest=wanted, version=version, finished=False, number=number
    )
    # A run's folder has its state from the moment that it has its name: one that is killed before
    # leaves a draft, not a folder that nobody goes on with.
    with scratch(runs, ".run.") as draft, run_lock(draft):
        draft.chmod(0o755)
        write_atomically(draft / "run.json", state.to_json())
        yield _named(draft, runs, f"{stamp}-{slugify(slug)}")


def run_states(runs: Path) -> list[tuple[Path, RunState]]:
    """The runs whose run.json can be read, the newest first."""
    found = [
        (folder, state)
        for folder in sorted(runs.glob("*"))
        if not folder.is_symlink() and (state := read_state(folder))
    ]
    return sorted(found, key=lambda run: (run[1].number, run[0].name), reverse=True)


@contextmanager
def run_lock(folder: Path) -> Iterator[bool]:
    """Whether nobody else works in this run folder; ours until the block ends."""
    place = folder / ".lock"
    try:
        lock = place.open("a")
    except FileNotFoundError:  # the folder was removed by whoever had it
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours = _is_at(place, lock.fileno())
        except BlockingIOError:
            ours = False
        yield ours


def is_running(folder: Path) -> bool:
    """Whether somebody works in this run folder; nothing is written to find out."""
    try:
        with (folder / ".lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _sweep_run(folder: Path) -> None:
    """Removes what a killed run left half-written; its folder's lock is ours."""
    for path in drafts_in(folder):
        remove(path)


def drafts_in(folder: Path) -> tuple[Path, ...]:
    """Scratch folders and drafts of files in a run's folder."""
    names = ("series", "steps")
    homes = (
        folder,
        *(folder / name for name in names),
        *folder.glob("evaluations"),
        *folder.glob("evaluations/*"),
    )
    return tuple(path for home in homes if not home.is_symlink() for path in _scratch(home, ()))


def check_usable(folder: Path, key: str) -> None:
    """Raises InfraError when the folder that the setting ``key`` names cannot be written to."""
    try:
        with scratch(folder, ".probe."):
            pass
    except OSError as error:
        raise InfraError(
            f"the {key} folder {folder} cannot be used: {error.strerror}",
            f'name another: `{key} = "..."` in pipeline.toml',
            status=ExitStatus.DISK_FULL if is_about_space(error) else None,
        ) from error


def _named(draft: Path, runs: Path, name: str) -> Path:
    for number in range(1000):
        folder = runs / (name if number == 0 else f"{name}.{number}")
        try:
            return draft.rename(folder)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
    raise InfraError(f"cannot name a run folder {name}", f"clean up {runs}")


def read_state(folder: Path) -> RunState | None:
    """What run.json says; None when it is missing, damaged, or not that of its own request."""
    try:
        state = RunState.from_json((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return None
    return state if state.request_digest == digest_of(state.asked, state.version) else None


def finish_run(folder: Path) -> None:
    state = read_state(folder)
    if state is not None:
        write_atomically(folder / "run.json", state.model_copy(update={"finished": True}).to_json())


class Links(Frozen):
    """links.json: which runs the pages beside it link to."""

    runs: tuple[str, ...]  # names of folders in the runs folder


def write_links(folder: Path, runs: Sequence[str]) -> None:
    """What pages in ``folder`` link to stays as long as they do (gc.py)."""
    write_atomically(folder / LINKS, Links(runs=tuple(sorted(set(runs)))).to_json())


def read_links(folder: Path) -> frozenset[str]:
    """Names of run folders; raises InfraError when nobody can tell any more."""
    path = folder / LINKS
    try:
        return frozenset(Links.from_json(path.read_bytes()).runs)
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError) as error:
        raise InfraError(
            f"{path} is damaged", "remove it when what the page beside it links to may go"
        ) from error


def slugify(text: str) -> str:
    """A short folder name out of a subject or message-id: a-z, 0-9, dot and dash."""
    slug = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return slug[:48].rstrip("-.") or "series"
