# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel trees: what the user named, as commits in a repository of ours.

The user's own repository or folder is only ever read.  For a git tree we keep a bare repository
of our own under the cache, whose ``objects/info/alternates`` points at the user's objects: all
worktrees, commits and locks of ours live there.  A folder, a tarball or a Debian package without
git is imported into such a repository as one commit; the same content gives the same commit id.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from kverdict.debian import open_package
from kverdict.errors import ExitStatus, UserError
from kverdict.git import NO_ATTRIBUTES, Commit, NotARepository, Repository, create_bare
from kverdict.imports import import_folder, import_tarball
from kverdict.progress import Progress
from kverdict.runs import write_atomically

DEBIAN = "debian:"
TARBALLS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
_MAKEFILE_LINE = re.compile(
    rb"^(VERSION|PATCHLEVEL|SUBLEVEL|EXTRAVERSION)[ \t]*=(.*)$", re.MULTILINE
)


@dataclass(frozen=True)
class Tree:
    """A kernel tree that is ready to be worked with.

    ``repo`` is our bare repository; ``source`` is the git folder in which names are looked up
    (the user's, read only, or ``repo`` itself for an imported tree).
    """

    origin: str  # as the user gave it
    repo: Path
    source: Path
    head: str  # full sha
    version: str  # of the head's Makefile: "7.2.12", "7.3.0-rc3"
    note: str = ""  # one line for the report, empty when there is nothing to say

    def find(self, rev: str) -> str | None:
        """The full sha of the commit that ``rev`` names, None when there is none.

        An imported tree shares its repository with others: its HEAD is ``head``.
        """
        if rev == "HEAD":
            return self.head
        for place in dict.fromkeys((self.source, self.repo)):
            with Repository(place) as repository:
                if sha := repository.resolve(rev):
                    return sha
        return None

    def resolve(self, rev: str) -> str:
        """The full sha of the commit that ``rev`` names; raises UserError (UNKNOWN_REVISION)."""
        if sha := self.find(rev):
            return sha
        with Repository(self.source) as repository:
            close = repository.close_refs(rev)
        remedy = f"did you mean {' or '.join(close)}?" if close else "see `git tag` in the tree"
        if self.source == self.repo:
            remedy = "this tree was imported without history: HEAD is all it has"
        raise UserError(
            f"{self.origin} has no commit called {rev!r}",
            remedy,
            status=ExitStatus.UNKNOWN_REVISION,
        )

    def has(self, sha: str) -> bool:
        """Whether the commit with this full sha is there."""
        with Repository(self.repo) as repository:
            return repository.resolve(sha) is not None

    def refs(self) -> tuple[tuple[str, str], ...]:
        """(name, sha): HEAD first, then branches, remote branches and tags by name."""
        with Repository(self.source) as repository:
            return (("HEAD", self.head), *repository.refs())

    def describe(self, sha: str) -> str:
        """``git describe``, else the kernel version of the commit's Makefile."""
        with Repository(self.source) as repository:
            text = repository.describe(sha)
        return text or self.version_of(sha)

    def version_of(self, sha: str) -> str:
        """As ``make kernelversion`` prints it; raises UserError (BAD_TREE) for anything else."""
        with Repository(self.repo) as repository:
            return _kernel_version(repository, sha, self.origin)

    def commit(self, sha: str) -> Commit:
        with Repository(self.repo) as repository:
            return repository.commit(sha)

    def tree_id(self, sha: str) -> str:
        """The id of a commit's tree: the same content, the same id."""
        return self.commit(sha).tree

    def show_file(self, sha: str, path: str) -> bytes | None:
        """A file's content at a commit, None when there is none."""
        with Repository(self.repo) as repository:
            return repository.show_file(sha, path)

    def diff_paths(self, base: str, tip: str) -> tuple[str, ...]:
        """Paths that differ between two commits, sorted."""
        with Repository(self.repo) as repository:
            return repository.changed_paths(base, tip)

    def diff(self, base: str, tip: str) -> bytes:
        """The patch between two commits."""
        with Repository(self.repo) as repository:
            return repository.diff(base, tip)


def open_tree(spec: str, *, cache: Path, progress: Progress) -> Tree:
    """The kernel tree that ``spec`` names.

    ``spec`` is a git repository (a checkout, bare, a linked worktree, or a folder within one), an
    unpacked kernel without git, a tarball, or ``debian:VERSION`` (``debian:7.2``,
    ``debian:latest``).  Raises UserError (BAD_TREE) when it is none of them, or no kernel.
    """
    if spec.startswith(DEBIAN):
        package = open_package(spec.removeprefix(DEBIAN), cache=cache, progress=progress)
        return _imported(spec, package.repo, package.commit, package.note)
    path = Path(spec).expanduser().absolute()
    if path.is_file() and path.name.endswith(TARBALLS):
        repo, commit = import_tarball(path, cache=cache, progress=progress)
        return _imported(spec, repo, commit, "imported from a tarball, without history")
    if not path.is_dir():
        raise _no_tree(spec, "is neither a folder nor a tarball" if path.exists() else "is missing")
    looks_like_kernel = (path / "Makefile").is_file() and (path / "Kconfig").is_file()
    try:
        # A kernel that was unpacked below some other repository (a home folder under git) is
        # not that repository's.
        with Repository(path, search_parents=not looks_like_kernel) as theirs:
            return _borrowed(spec, theirs, cache)
    except NotARepository as error:
        if not looks_like_kernel:
            raise _no_tree(spec, "is neither a git repository nor an unpacked kernel") from error
    repo, commit = import_folder(path, cache=cache, progress=progress)
    return _imported(spec, repo, commit, "imported from a folder, without history")


def _borrowed(spec: str, theirs: Repository, cache: Path) -> Tree:
    """A tree over the user's repository: its names, its objects, our everything else."""
    head = theirs.resolve("HEAD")
    if head is None:
        raise _no_tree(spec, "has no commit yet")
    version = _kernel_version(theirs, head, spec)
    notes = []
    if theirs.worktree is not None:
        notes.append("uncommitted changes are not part of what is tested")
    if (theirs.common_dir / "shallow").is_file():
        notes.append("a shallow clone: older commits are not there")
    repo = _companion(theirs, cache)
    return Tree(spec, repo, theirs.git_dir, head, version, "; ".join(notes))


def _companion(theirs: Repository, cache: Path) -> Path:
    """Our bare repository that reads the objects of theirs."""
    common = theirs.common_dir
    top = common.parent if common.name == ".git" else common
    name = re.sub(r"[^A-Za-z0-9._-]", "_", top.name.removesuffix(".git")) or "tree"
    digest = hashlib.sha256(str(common).encode(errors="surrogateescape")).hexdigest()[:12]
    repo = cache.absolute() / "repos" / f"{name}-{digest}.git"
    if not repo.is_dir():
        form = theirs.run("rev-parse", "--show-object-format").text.strip()
        create_bare(repo, object_format=form)
    _write(repo / "objects/info/alternates", f"{_quoted(common / 'objects')}\n".encode())
    _write(repo / "info/attributes", NO_ATTRIBUTES.encode())
    shallow = common / "shallow"
    if shallow.is_file():
        # Alternates carry objects only; without this the oldest commits miss their parents.
        _write(repo / "shallow", shallow.read_bytes())
    else:
        (repo / "shallow").unlink(missing_ok=True)
    return repo


def _quoted(path: Path) -> str:
    """As git reads it in an alternates file: a path that begins with a quote would be unquoted."""
    text = str(path)
    if "\n" in text:
        raise _no_tree(text, "has a line break in its name")
    return text


def _write(path: Path, content: bytes) -> None:
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def _imported(spec: str, repo: Path, commit: str, note: str) -> Tree:
    with Repository(repo) as ours:
        return Tree(spec, repo, repo, commit, _kernel_version(ours, commit, spec), note)


def _kernel_version(repository: Repository, sha: str, origin: str) -> str:
    makefile = repository.show_file(sha, "Makefile") or b""
    values = {name: value.decode(errors="replace") for name, value in parts_of(makefile).items()}
    kconfig = repository.blob_ids([(sha, "Kconfig")])[0]
    if not values.get("VERSION") or not values.get("PATCHLEVEL") or kconfig is None:
        raise _no_tree(origin, f"is not a Linux kernel tree at {sha[:12]}")
    numbers = ".".join(
        values[part] for part in ("VERSION", "PATCHLEVEL", "SUBLEVEL") if values.get(part)
    )
    return numbers + values.get("EXTRAVERSION", "")


def parts_of(makefile: bytes) -> dict[str, bytes]:
    """VERSION, PATCHLEVEL, SUBLEVEL and EXTRAVERSION of a kernel's top Makefile."""
    found: dict[str, bytes] = {}
    for name, value in _MAKEFILE_LINE.findall(makefile):
        found.setdefault(name.decode(), value.strip(b" \t"))
    return found


def _no_tree(spec: str, why: str) -> UserError:
    return UserError(
        f"{spec} {why}",
        "give a kernel's git repository, an unpacked kernel, a tarball (.tar.gz, .tar.xz), "
        "or debian:7.2",
        status=ExitStatus.BAD_TREE,
    )
