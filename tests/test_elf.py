# SPDX-License-Identifier: GPL-2.0-or-later
"""The build-id of a vmlinux that a stranger's linker script made."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from kverdict.elf import build_id
from kverdict.proc import run

GNU, BUILD_ID, SHT_NOTE = b"GNU\0", 3, 7
ID = bytes(range(20))


def note(name: bytes = GNU, kind: int = BUILD_ID, content: bytes = ID) -> bytes:
    return struct.pack("<III", len(name), len(content), kind) + b"".join(
        part + bytes(-len(part) % 4) for part in (name, content)
    )


def elf(*sections: bytes, **changes: int) -> bytes:
    """A file of note sections; ``changes`` are of its header, or of the last section's."""
    content = b"".join(sections)
    header = {"shoff": 64 + len(content), "shentsize": 64, "shnum": len(sections)}
    table, at = b"", 64
    for section in sections:
        field = {"type": SHT_NOTE, "offset": at, "size": len(section)}
        at += len(section)
        if at == 64 + len(content):
            field |= {name: value for name, value in changes.items() if name in field}
        table += struct.pack(
            "<IIQQQQIIQQ", 0, field["type"], 0, 0, field["offset"], field["size"], 0, 0, 4, 0
        )
    header |= {name: value for name, value in changes.items() if name in header}
    ident = b"\x7fELF\2\1\1"
    words = (ident, 2, 62, 1, 0, 0, header["shoff"], 0, 64, 0, 0)
    counts = (header["shentsize"], header["shnum"], 0)
    return struct.pack("<16sHHIQQQIHHHHHH", *words, *counts) + content + table


def read(tmp_path: Path, data: bytes) -> str | None:
    (tmp_path / "vmlinux").write_bytes(data)
    return build_id(tmp_path / "vmlinux")


def test_the_note_is_found_behind_others(tmp_path: Path) -> None:
    other = note(b"Linux\0", 1, b"x") + note(GNU, 5, b"12345678")
    assert read(tmp_path, elf(other, other + note())) == ID.hex()


@pytest.mark.host
def test_what_the_linker_here_writes_is_what_readelf_reads(tmp_path: Path) -> None:
    """An answer that is not of our own making: gcc's file, binutils' reading."""
    (tmp_path / "x.c").write_text("int main(void) { return 0; }\n")
    made = tmp_path / "x"
    source = str(tmp_path / "x.c")
    run(["gcc", "-Wl,--build-id=sha1", "-o", str(made), source], check=True)
    told = run(["readelf", "--notes", str(made)], check=True).text
    found = build_id(made)
    assert found is not None
    assert len(found) == 40
    assert f"Build ID: {found}" in told


@pytest.mark.parametrize(
    "changes",
    [
        {"shnum": 0},
        {"shnum": 65535},  # more than the file has
        {"shentsize": 0},
        {"shentsize": 65535},
        {"shoff": 0},
        {"shoff": (1 << 64) - 1},
        {"shoff": 1 << 63},
        {"offset": (1 << 64) - 1},
        {"offset": 1 << 62},
        {"size": (1 << 64) - 1},
        {"size": 1 << 40},
        {"size": 13},
        {"type": 8},  # SHT_NOBITS
    ],
    ids=str,
)
def test_a_header_that_lies_has_no_build_id(tmp_path: Path, changes: dict[str, int]) -> None:
    assert read(tmp_path, elf(note(), **changes)) is None


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<III", 0xFFFFFFFF, 20, BUILD_ID) + GNU + ID,
        struct.pack("<III", 4, 0xFFFFFFFF, BUILD_ID) + GNU + ID,
        struct.pack("<III", 4, 20, BUILD_ID) + GNU,
        note(content=b""),
        note(content=bytes(65)),
        bytes(12) * 1000,  # notes without a name and without a content
        b"",
        b"\xff" * 64,
    ],
)
def test_a_note_that_lies_is_no_build_id(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, elf(content)) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"\x7fELF", b"MZ" * 100, b"\x7fELF\2\2\1" + bytes(57), b"\x7fELF\1\1\1" + bytes(57)],
)
def test_what_is_no_kernel_of_ours(tmp_path: Path, data: bytes) -> None:
    assert read(tmp_path, data) is None


def test_every_cut_of_a_good_file(tmp_path: Path) -> None:
    whole = elf(note())
    assert [cut for cut in range(len(whole)) if read(tmp_path, whole[:cut]) is not None] == []


def test_a_sparse_giant_of_many_sections_is_not_read_whole(tmp_path: Path) -> None:
    """65535 sections that all point at the same 60 KB of empty notes."""
    path = tmp_path / "vmlinux"
    table = struct.pack("<IIQQQQIIQQ", 0, SHT_NOTE, 0, 0, 64, 60_000, 0, 0, 4, 0) * 65535
    head = elf(shoff=1 << 40, shnum=65535)
    with path.open("wb") as file:
        file.write(head)
        file.seek(1 << 40)
        file.write(table)
    assert path.stat().st_size > 1 << 40
    assert build_id(path) is None
