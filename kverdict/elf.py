# SPDX-License-Identifier: GPL-2.0-or-later
"""The GNU build-id of a vmlinux.

The file is a stranger's, and one note of it is all that is asked for: so it is read here, with
a bound on each count and size before it is used.  A library for the whole format follows them
into endless tables, and fails in as many ways as the format has fields.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

# elf.h: Elf64_Ehdr, Elf64_Shdr, Elf64_Nhdr; what is not needed is skipped.
_HEADER = struct.Struct("<7s33xQ10xHH2x")
_SECTION = struct.Struct("<4xI16xQQ24x")
_NOTE = struct.Struct("<III")
_IDENT = b"\x7fELF\x02\x01\x01"  # 64 bits, little-endian, version 1
_SHT_NOTE = 7
_NT_GNU_BUILD_ID = 3
_MOST_SECTIONS = 64  # with notes; a kernel has one
_MOST_NOTES = 64 << 10  # bytes of one section; a kernel has 500
_LONGEST_ID = 64  # bytes; SHA-1 has 20


def build_id(path: Path) -> str | None:
    """The build-id in hex (NT_GNU_BUILD_ID of elf.h), None when the file has none.

    Whatever is wrong with the file is "none" too; raises OSError when it cannot be read.
    """
    with path.open("rb") as stream:
        for section in islice(_note_sections(stream), _MOST_SECTIONS):
            for name, kind, content in _notes(section):
                if name == b"GNU\0" and kind == _NT_GNU_BUILD_ID:
                    return content.hex() if 0 < len(content) <= _LONGEST_ID else None
    return None


def _note_sections(stream: BinaryIO) -> Iterator[bytes]:
    header = _read(stream, 0, _HEADER.size)
    if header is None:
        return
    ident, at, entry_size, count = _HEADER.unpack(header)
    if ident != _IDENT or entry_size != _SECTION.size:
        return
    table = _read(stream, at, count * entry_size)
    for kind, offset, size in _SECTION.iter_unpack(table or b""):
        if kind == _SHT_NOTE and size <= _MOST_NOTES:
            yield _read(stream, offset, size) or b""


def _notes(section: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    at = 0
    while at + _NOTE.size <= len(section):
        name_size, content_size, kind = _NOTE.unpack_from(section, at)
        name = at + _NOTE.size
        content = name + _padded(name_size)
        at = content + _padded(content_size)
        if at > len(section):
            return
        yield section[name : name + name_size], kind, section[content : content + content_size]


def _padded(size: int) -> int:
    return (size + 3) & ~3


def _read(stream: BinaryIO, at: int, size: int) -> bytes | None:
    """``size`` bytes, None when the file does not have them."""
    if at + size > stream.seek(0, 2):
        return None
    stream.seek(at)
    return stream.read(size)
