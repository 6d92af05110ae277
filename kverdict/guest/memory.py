# SPDX-License-Identifier: GPL-2.0-or-later
"""Source buffers and what is in a file.

Sources are page-aligned anonymous mappings whose pages have been touched, unless a case wants it
otherwise: whether a source page is resident decides what write() does with it (see defects.py),
and a Python bytes object is neither aligned nor always resident.
"""

from __future__ import annotations

import ctypes
import mmap
from contextlib import suppress
from typing import List, Optional, Sequence

from .case import fail, must
from .system import PAGE, mprotect

PROT_NONE = 0
WORD = 8


class Buffer:
    """Anonymous private memory of whole pages."""

    def __init__(self, pages: int, fill: Optional[bytes] = None) -> None:
        self.pages = pages
        self.map = mmap.mmap(
            -1,
            pages * PAGE,
            mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            mmap.PROT_READ | mmap.PROT_WRITE,
        )
        # A huge page would make a neighbour resident that the case wants absent.
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            with suppress(OSError):  # EINVAL: a kernel without transparent huge pages
                self.map.madvise(mmap.MADV_NOHUGEPAGE)
        self.address = address_of(self.map)
        self.map[:] = pattern(pages * PAGE) if fill is None else fill * (pages * PAGE // len(fill))

    def bytes(self, start: int, length: int) -> bytes:
        return self.map[start : start + length]

    def drop(self, page: int, pages: int = 1) -> None:
        """Makes pages not resident; they read as zeroes again (madvise(2), MADV_DONTNEED)."""
        self.map.madvise(mmap.MADV_DONTNEED, page * PAGE, pages * PAGE)

    def forbid(self, page: int, pages: int = 1) -> None:
        """Lets every access to the pages fault for good."""
        must("mprotect", mprotect(self.address + page * PAGE, pages * PAGE, PROT_NONE))


def address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def pattern(length: int, seed: int = 0x6B76) -> bytes:
    """Bytes in which every aligned 8-byte word is different and none is zero."""
    words = (length + WORD - 1) // WORD
    first = (seed << 32) + 1
    return b"".join((first + index).to_bytes(WORD, "little") for index in range(words))[:length]


def expect_bytes(what: str, got: bytes, expected: bytes, meaning: str = "") -> None:
    """Raises Failure that names the first byte that differs, and how much of the rest does."""
    if got == expected:
        return
    if len(got) != len(expected):
        fail(f"{what}: expected {len(expected)} bytes, got {len(got)}", meaning)
    wrong = [index for index in range(len(expected)) if got[index] != expected[index]]
    at = wrong[0]
    fail(
        f"{what}: {len(wrong)} of {len(expected)} bytes differ, first at page {at // PAGE} offset "
        f"{at % PAGE:#x}: expected {_excerpt(expected, at)}, got {_excerpt(got, at)}",
        meaning,
    )


def _excerpt(data: bytes, at: int) -> str:
    return data[at : at + 8].hex()


def describe(data: bytes) -> str:
    """Which runs of equal bytes a page is made of: "0x22 x 2048, 0x00 x 2048"."""
    runs: List[List[int]] = []
    for byte in data:
        if runs and runs[-1][0] == byte:
            runs[-1][1] += 1
        elif len(runs) < 4:
            runs.append([byte, 1])
        else:
            return f"{_runs(runs)}, ..."
    return _runs(runs)


def _runs(runs: Sequence[Sequence[int]]) -> str:
    return ", ".join(f"{byte:#04x} x {count}" for byte, count in runs)
