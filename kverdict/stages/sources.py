# SPDX-License-Identifier: GPL-2.0-or-later
"""Which files of the tree a build read, from what kbuild keeps beside each product.

``.x.o.cmd`` holds the command that made x.o and, since fixdep went over it, every file that the
compiler opened.  An object tree that was built in more than once also has those of objects that
the configuration does not ask for any more.  So only what this kernel is made of counts: the
members of vmlinux.a, what their commands and those of vmlinux and bzImage name, and theirs in
turn.  No command names what is taken in by .incbin (the vDSO, the real mode code) or written into a
generated header (asm-offsets.s): those lie in the folder of an object that counts, or one below.

The files were written by a stranger's make, in the sandbox: no link is followed, what is read is
bounded, and who wants to lie about what was compiled can.  A lie gains nothing: the kernel that
runs is known by its build-id.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from kverdict.errors import InfraError
from kverdict.sandbox import SRC, read_left

ARCHIVE = "vmlinux.a"
# What is linked or written last: the rest follows from their commands.
_LAST = (
    b"arch/x86/boot/bzImage",
    b"vmlinux",
    b"vmlinux.o",
    b"vmlinux.unstripped",
    # link-vmlinux.sh adds these two, and its saved command does not say so.
    b".vmlinux.export.o",
    b"init/version-timestamp.o",
)
# Made by a list of objects that may have become shorter: the archive of them all says which.
_LISTED = (b".o", b".a", b".ko")
# Programs that the build runs, and no part of the kernel.
_TOOLS = ("scripts/", "tools/")
_AROUND = b"\"'();\\"

MOST_FILES = 1_000_000  # in the object tree; allyesconfig leaves some 150 000
CMD_LIMIT = 4 << 20  # bytes of one .cmd file; the longest of Linux 7.2 has 0.2 MB
TOTAL_LIMIT = 4 << 30  # of all of them; a kernel for a guest has 80 MB
LINES_LIMIT = 256 << 20  # of their lines without repetitions, which are 4 MB
ARCHIVE_LIMIT = 64 << 20
LONGEST_PATH = 4096
_HEADER = 60  # ar(5): name 16, time 12, owner 12, mode 8, size 10, end 2


def read_sources(obj: Path, *, src: Path = SRC) -> tuple[str, ...]:
    """The tree's files that the kernel in ``obj`` was made from: relative to the tree, sorted.

    C, assembly, headers, linker scripts, tables; neither Makefiles and Kconfig files, which no
    command names, nor what was generated, nor scripts/ and tools/.  ``src`` is where the build saw
    the tree.  Raises InfraError for an object tree without vmlinux.a, and for one that is too big.
    """
    commands = _Commands(obj, os.fsencode(src) + b"/")
    commands.follow({*_LAST, *members(read_left(obj / ARCHIVE, ARCHIVE_LIMIT))})
    commands.follow(commands.beside())
    return tuple(sorted(filter(None, map(_shown, _files(commands.sources)))))


def members(archive: bytes) -> tuple[bytes, ...]:
    """The paths in a thin archive, normalised, as ``ar t`` has them; raises InfraError.

    They stand in one table at its beginning, behind the table of symbols if there is one.
    """
    magic = b"!<thin>\n"
    if not archive.startswith(magic):
        raise InfraError(f"{ARCHIVE} is not a thin archive")
    at = len(magic)
    while (header := archive[at : at + _HEADER])[:1] == b"/":
        name, size = header[:16].rstrip(), header[48:58].strip()
        start = at + _HEADER
        if not size.isdigit():
            break
        if name == b"//":
            table = archive[start : start + int(size)]
            return tuple(posixpath.normpath(path) for path in table.split(b"/\n") if path.strip())
        at = start + int(size) + int(size) % 2
    return ()


class _Commands:
    """The saved commands of an object tree, each read when something that counts leads to it."""

    def __init__(self, obj: Path, tree: bytes) -> None:
        self._obj, self._tree = os.fsencode(obj), tree
        self._saved = _saved(self._obj)
        self._reached: set[bytes] = set()
        self._lines: set[bytes] = set()  # that were looked at: most files name the same headers
        self._left, self._lines_left = TOTAL_LIMIT, LINES_LIMIT
        self.sources: set[bytes] = set()

    def follow(self, products: Iterable[bytes]) -> None:
        """Takes in these products, and what was needed to make them."""
        pending = set(products) & self._saved - self._reached
        while pending:
            self._reached |= pending
            named: set[bytes] = set()
            for product in pending:
                named |= self._named_by(product)
            pending = named & self._saved - self._reached

    def beside(self) -> set[bytes]:
        """What is no object, and made in the folder of an object that counts, or one below."""
        alive = {posixpath.dirname(path) for path in self._reached if path.endswith(b".o")}
        return {
            product
            for product in self._saved
            if not product.endswith(_LISTED)
            and not alive.isdisjoint(
                (folder := posixpath.dirname(product), posixpath.dirname(folder))
            )
        }

    def _named_by(self, product: bytes) -> set[bytes]:
        """The files in the object tree that a command names; those of the tree are taken down."""
        folder, name = posixpath.split(product)
        path = posixpath.join(self._obj, folder, b".%s.cmd" % name)
        data = read_left(Path(os.fsdecode(path)), CMD_LIMIT)
        lines = set(data.split(b"\n")) - self._lines
        self._lines |= lines
        self._left -= len(data)
        self._lines_left -= sum(map(len, lines))
        if self._left < 0 or self._lines_left < 0:
            raise InfraError("the saved commands of the build are too big to be a kernel's")
        named = set()
        for word in {word for line in lines for word in line.split()}:
            path = word.rpartition(b"=")[2].strip(_AROUND)
            if not path or len(path) > LONGEST_PATH:
                continue
            if path.startswith(self._tree):
                self.sources.add(posixpath.normpath(path[len(self._tree) :]))
            else:
                named.add(posixpath.normpath(path))
        return named


def _saved(obj: bytes) -> set[bytes]:
    """Products with a saved command, relative to the object tree."""
    products = set()
    count = 0
    for place, _, files in os.walk(obj):
        count += len(files) + 1
        if count > MOST_FILES:
            raise InfraError(f"the object tree has more than {MOST_FILES} files")
        folder = os.path.relpath(place, obj)
        products |= {
            posixpath.normpath(posixpath.join(folder, name[1:-4]))
            for name in files
            if name.startswith(b".") and name.endswith(b".cmd") and len(name) > 5
        }
    return products


def _files(sources: Iterable[bytes]) -> Iterator[bytes]:
    """Without the folders that a command names (-I folder): something else lies in each."""
    # With the separator as the smallest character, what lies in a folder comes right behind it.
    ordered = sorted(path.replace(b"/", b"\0") for path in sources)
    for path, following in pairwise((*ordered, b"")):
        if not following.startswith(path + b"\0"):
            yield path.replace(b"\0", b"/")


def _shown(source: bytes) -> str:
    """A path of the tree as text; "" for what is none, or no part of the kernel."""
    path = source.decode(errors="replace")
    inside = not path.startswith(("../", "/", *_TOOLS)) and path not in (".", "..")
    return path if inside and path.isprintable() and "\ufffd" not in path else ""
