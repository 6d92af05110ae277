# SPDX-License-Identifier: GPL-2.0-or-later
"""Room on the disk: asked for before a stage begins, where its need can be known; sizes in bytes.

The shares were measured on Linux 7.2 and 7.3 with the default fragments: a tree of 1.6 GB takes
1.8 GB as a worktree, 0.36 GB as a pack, 0.2 to 0.6 GB as an object tree.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from kverdict.errors import ExitStatus, InfraError, KverdictError

NEARLY_FULL = 32 << 20
DISK_NEEDED = 4 << 30  # by a whole run on a kernel: a worktree, two object trees, ccache
BLOCK = 4096
_SAID = (
    os.strerror(errno.ENOSPC),
    os.strerror(errno.EDQUOT),
    "Out of diskspace",  # git's csum-file.c
)


class DiskFull(InfraError):
    """There is no room, and it says how much is needed."""

    status = ExitStatus.DISK_FULL


def worktree_need(content: int, files: int) -> int:
    """Of a checkout of so many files with so much in them; the last block of each is half full."""
    return content + files * (BLOCK // 2 + 100)  # 100 for the entry of the index


def pack_need(content: int) -> int:
    """Of a tree in one pack at the fastest compression."""
    return content * 3 // 10


def tarball_need(size: int, compressed: bool) -> int:
    """Of a tarball's import; xz packs a kernel's source to a tenth of its size."""
    return pack_need(size * 10 if compressed else size)


def build_need(content: int) -> int:
    """Of an object tree and its copy for a stranger's build."""
    return content * 8 // 10


def free_at(folder: Path) -> int:
    """What is free where ``folder`` is, or would be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require(folder: Path, needed: int, what: str) -> None:
    """Raises InfraError (DISK_FULL) when ``what`` will need more than there is."""
    free = free_at(folder)
    if free < needed + NEARLY_FULL:
        raise disk_full(what, needed + NEARLY_FULL, free)


def disk_full(what: str, needed: int, free: int) -> DiskFull:
    return DiskFull(
        f"the disk is full during {what} ({free >> 20} MiB free)",
        f"free {-(-needed >> 20)} MiB and start again",
    )


def is_about_space(error: BaseException) -> bool:
    """Whether a full disk is behind an error, in whatever words it was told."""
    return any(
        (isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT))
        or (
            isinstance(one, KverdictError)
            and (
                one.status is ExitStatus.DISK_FULL
                or any(words in f"{one}\n{one.detail}" for words in _SAID)
            )
        )
        for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__
