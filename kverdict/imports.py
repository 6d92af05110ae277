# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels without git, as one commit each in a repository of ours.

The commit has a fixed author and date and no parent: the same content gives the same commit id,
whether it came as a tarball or as a folder.  Blobs go straight into one pack at the fastest
compression that keeps it small: for 7.3's 95,955 files that is 356 MB in half a minute, where
``git add`` with its defaults leaves as many loose files.
"""

from __future__ import annotations

import bz2
import fcntl
import gzip
import hashlib
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, cast

from kverdict.bare import IMPORTS, in_use
from kverdict.disk import require, tarball_need
from kverdict.errors import ExitStatus, InfraError, UserError
from kverdict.git import LONG, NO_ATTRIBUTES, Repository, create_bare
from kverdict.progress import Progress, Task
from kverdict.runs import flocked, write_atomically

FILE, EXECUTABLE, SYMLINK = "100644", "100755", "120000"
LARGEST_FILE = 256 << 20
LARGEST_TREE = 8 << 30
CHUNK = 1 << 20

_FIXED_DATES = {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}
# Level 0 would save a few seconds and take four times the room.
_FAST = ("-c", "core.compression=1", "-c", "pack.compression=1")
# What kbuild's outputmakefile target looks for before it refuses to build elsewhere.
_BUILT_IN_PLACE = (".config", "include/config", "include/generated")


def import_tarball(path: Path, *, cache: Path, progress: Progress) -> tuple[Path, str]:
    """(our repository, commit); a tarball with the same bytes is read only once.

    The members are streamed into git and never written as files, so no name in the archive can
    reach outside.  Raises UserError (BAD_TREE) when the archive is damaged or holds strange things.
    """
    with progress.task(f"reading {path.name}") as task:
        digest = _digest(path, task)
    with _import_repository(cache, progress) as (ours, repo):
        ref = f"refs/kverdict/tarball/{digest}"
        known = ours.resolve(ref)
        if known is None:
            needed = tarball_need(path.stat().st_size, compressed=path.suffix != ".tar")
            require(repo, needed, "the import of a tree")
            with progress.task(f"importing {path.name}") as task:
                known = _stream_in(ours, path, f"{ref}-unpacked", task)
            ours.run("update-ref", ref, known)
    return repo, known


def import_folder(path: Path, *, cache: Path, progress: Progress) -> tuple[Path, str]:
    """(our repository, commit) of a folder's content as it is now; the folder is only read.

    An index of our own for each folder remembers what was read: the second time only changed
    files are read again.  Raises UserError (BAD_TREE) for a tree that was built in.
    """
    place = path.resolve()
    built = [name for name in _BUILT_IN_PLACE if (place / name).exists()]
    if built:
        raise UserError(
            f"{path} has been built in: it has {built[0]}",
            "run `make mrproper` in it: kbuild refuses such a tree as well",
            status=ExitStatus.BAD_TREE,
        )
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    with _import_repository(cache, progress) as (ours, repo):
        index = repo / "kverdict-indexes" / digest
        index.parent.mkdir(exist_ok=True)
        index.with_name(f"{index.name}.lock").unlink(missing_ok=True)  # imports are ours alone
        env = {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(place)}
        with progress.task(f"importing {path.name}") as task:
            ours.run_counting(
                # A threshold of one byte sends each blob straight into one pack.
                *(*_FAST, "-c", "core.bigFileThreshold=1", "-C", str(place)),
                # --force: Debian's trees end their .gitignore with "/*", and add would add nothing.
                *("add", "--force", "--all", "--verbose", "--", "."),
                env=env,
                task=task,
                unit="files",
            )
        commit = _commit(ours, ours.run("write-tree", env=env, timeout=LONG).text.strip())
        ours.run("update-ref", f"refs/kverdict/folder/{digest}", commit)
    return repo, commit


def imported_repository(cache: Path) -> Path:
    """Where all imports are; versions share their blobs there."""
    return cache.absolute() / "repos" / "imported.git"


@contextmanager
def _import_repository(cache: Path, progress: Progress) -> Iterator[tuple[Repository, Path]]:
    """The repository of all imports, held by one process at a time."""
    repo = imported_repository(cache)
    if not repo.is_dir():
        create_bare(repo)
    with flocked(repo / IMPORTS, fcntl.LOCK_EX | fcntl.LOCK_NB) as at_once:
        if at_once:
            yield from _held(repo)
            return
    progress.say("waiting for another import to end")
    with flocked(repo / IMPORTS, fcntl.LOCK_EX):
        yield from _held(repo)


def _held(repo: Path) -> Iterator[tuple[Repository, Path]]:
    (repo / "info").mkdir(exist_ok=True)
    write_atomically(repo / "info/attributes", NO_ATTRIBUTES)
    with in_use(repo), Repository(repo) as ours:
        yield ours, repo


def _stream_in(ours: Repository, path: Path, ref: str, task: Task) -> str:
    """The commit of what a tarball holds, below its one top folder if it has one."""
    ours.feed(
        *(*_FAST, "fast-import", "--quiet", "--done", "--force", "--depth=0"),
        chunks=_stream(path, ref, task),
    )
    unpacked = ours.resolve(ref)
    assert unpacked is not None
    top = ours.run("ls-tree", "-z", unpacked).stdout.split(b"\0")[:-1]
    one_folder = len(top) == 1 and top[0].split()[1] == b"tree"
    tree = top[0].split()[2].decode() if one_folder else ours.commit(unpacked).tree
    ours.run("update-ref", "-d", ref)
    return _commit(ours, tree)


def _commit(ours: Repository, tree: str) -> str:
    words = ("commit-tree", "-m", "Imported by kverdict", tree)
    return ours.run(*words, env=_FIXED_DATES).text.strip()


def _stream(path: Path, ref: str, task: Task) -> Iterator[bytes]:
    """A tarball as git-fast-import(1) reads it; "done" comes only after the whole archive."""
    yield f"commit {ref}\ncommitter kverdict <kverdict@localhost> 0 +0000\ndata 0\n".encode()
    size, unpacked = path.stat().st_size, 0
    try:
        with path.open("rb") as raw, _decompressed(raw) as plain:
            stream = _Tailed(plain)
            with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as tar:  # type: ignore[call-overload]
                for member in tar:
                    unpacked += member.size
                    if member.size > LARGEST_FILE or unpacked > LARGEST_TREE:
                        raise _bad(path, f"{member.name} is too large for a kernel's source")
                    yield from _entry(path, tar, member)
                    task.update(raw.tell(), size)
            if not stream.ends_in_zeros():
                raise _bad(path, "the archive is damaged (it ends too early)")
    except _DAMAGED as error:
        raise _bad(path, f"the archive is damaged ({error})") from error
    except OSError as error:
        raise InfraError(f"{path} cannot be read: {error}") from error
    yield b"done\n"


_DAMAGED = (
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    ValueError,
)


class _Tailed:
    """A stream that knows its last bytes.

    tarfile takes an archive that was cut off between two members for a whole one, and its own
    decompression does not ask for the end of the stream (gzip, bz2 and lzma's file objects do).
    """

    END_OF_ARCHIVE = 1024  # two blocks of zeros

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner, self._tail = inner, b""

    def read(self, size: int) -> bytes:
        data = self._inner.read(size)
        self._tail = (self._tail + data)[-self.END_OF_ARCHIVE :]
        return data

    def ends_in_zeros(self) -> bool:
        """Reads to the end."""
        while self.read(CHUNK):
            pass
        return self._tail == bytes(self.END_OF_ARCHIVE)


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    """By the first bytes, whatever the name says."""
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(raw))
    if magic.startswith(b"\xfd7zXZ\0"):
        return cast(IO[bytes], lzma.open(raw))
    if magic.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(raw))
    return raw


def _entry(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    name = _safe(path, member.name)
    if member.isdir():
        return
    if member.islnk():
        yield f"C {_quoted(_safe(path, member.linkname))} {_quoted(name)}\n".encode(*_BYTES)
    elif member.issym():
        yield from _blob(SYMLINK, name, member.linkname.encode(*_BYTES))
    elif member.isfile():
        content = tar.extractfile(member)
        assert content is not None
        yield from _blob(EXECUTABLE if member.mode & 0o100 else FILE, name, content.read())
    else:
        raise _bad(path, f"{member.name} is neither a file, a folder nor a link")


_BYTES = ("utf-8", "surrogateescape")


def _blob(mode: str, name: str, content: bytes) -> Iterator[bytes]:
    yield f"M {mode} inline {_quoted(name)}\ndata {len(content)}\n".encode(*_BYTES)
    yield content
    yield b"\n"


def _safe(path: Path, name: str) -> str:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or any(part == ".." or part.lower() == ".git" for part in parts):
        raise _bad(path, f"{name} is no name for a file in a tree")
    return "/".join(parts)


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _bad(path: Path, why: str) -> UserError:
    return UserError(f"{path}: {why}", "fetch the tarball again", status=ExitStatus.BAD_TREE)


def _digest(path: Path, task: Task) -> str:
    digest, size = hashlib.sha256(), path.stat().st_size
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                task.update(file.tell(), size)
    except OSError as error:
        raise InfraError(f"{path} cannot be read: {error}") from error
    return digest.hexdigest()
