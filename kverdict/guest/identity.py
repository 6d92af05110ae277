# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel this is: the proof that the guest runs what was built."""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import struct
from pathlib import Path
from typing import Any, Dict, Optional

from . import kvm
from .results import VERSION

NOTES = Path("/sys/kernel/notes")
CONFIG = Path("/proc/config.gz")
CMDLINE = Path("/proc/cmdline")
NT_GNU_BUILD_ID = 3  # include/uapi/linux/elf.h


def hello() -> Dict[str, Any]:
    return {
        "version": VERSION,
        "release": os.uname().release,
        "build_id": build_id(_bytes(NOTES)),
        "cmdline": _bytes(CMDLINE).decode(errors="backslashreplace").strip(),
        "config_digest": config_digest(_bytes(CONFIG)),
        "kvm": kvm.present(),
        "python": platform.python_version(),
    }


def build_id(notes: bytes) -> Optional[str]:
    """The GNU build-id among ELF notes (elf(5), Nhdr), in hex."""
    at = 0
    while at + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("=III", notes, at)
        name_at = at + 12
        data_at = name_at + (name_size + 3 & ~3)
        name = notes[name_at : name_at + name_size]
        if kind == NT_GNU_BUILD_ID and name == b"GNU\0":
            return notes[data_at : data_at + size].hex()
        at = data_at + (size + 3 & ~3)
    return None


def config_digest(packed: bytes) -> Optional[str]:
    """SHA-256 of the .config itself, in hex; None without CONFIG_IKCONFIG_PROC."""
    return hashlib.sha256(gzip.decompress(packed)).hexdigest() if packed else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
