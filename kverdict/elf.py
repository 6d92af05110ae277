# SPDX-License-Identifier: GPL-2.0-or-later
"""The GNU build-id of a vmlinux.

pyelftools reads the file: it is kept up and survives malformed files better than a reader of
our own would.  The vmlinux is a stranger's: whatever is wrong with it is "no build-id".
"""

from __future__ import annotations

from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection


def build_id(path: Path) -> str | None:
    """The build-id in hex (NT_GNU_BUILD_ID of elf.h), None when the file has none."""
    with path.open("rb") as stream:
        try:
            for section in ELFFile(stream).iter_sections():
                if not isinstance(section, NoteSection):
                    continue
                for note in section.iter_notes():
                    if note["n_name"] == "GNU" and note["n_type"] == "NT_GNU_BUILD_ID":
                        return str(note["n_desc"])
        except (ELFError, ValueError, KeyError, UnicodeDecodeError, OSError):
            return None
    return None
