# SPDX-License-Identifier: GPL-2.0-or-later
"""How hostile series are made: patch mails by hand, since git would not write them."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

from kverdict.errors import ExitStatus

MAIL_START = "From mboxrd@z Thu Jan  1 00:00:00 1970"
EDIT = "@@ -1 +1 @@\n-a\n+b\n"
HEADER = "include/uapi/linux/kvm.h"
# A link as kernels have them, where it stands; elsewhere it leads out of the tree.
LINK, LINK_TARGET = "scripts/dtc/prefixes/uapi", "../../../include/uapi"


@dataclass(frozen=True)
class Hostile:
    """One series; ``says`` stands in the error's line, with the place that it names."""

    name: str
    tries: str
    mails: bytes
    says: str
    status: ExitStatus = ExitStatus.SERIES_REFUSED


def mails_of(*bodies: str | bytes) -> bytes:
    """An mboxrd of numbered patches, the diffs as they are."""
    found = b""
    for number, body in enumerate(bodies, start=1):
        head = (
            f"{MAIL_START}\nFrom: Mallory <mallory@example.org>\n"
            f"Date: Fri, 14 Nov 2025 15:18:4{number % 10} +0000\n"
            f"Message-ID: <{number}.hostile@example.org>\n"
            f"Subject: [PATCH {number}/{len(bodies)}] KVM: a change\n\nWhy.\n---\n"
        )
        found += head.encode() + (body if isinstance(body, bytes) else body.encode()) + b"\n"
    return found


def edit(path: str) -> str:
    return f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{EDIT}"


def new(path: str, content: str = "planted", mode: str = "100644") -> str:
    lines = "".join(f"+{line}\n" for line in content.split("\n"))
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{content.count(chr(10)) + 1} @@\n{lines}"
    )


def link(path: str, target: str) -> str:
    return f"{new(path, target, '120000')}\\ No newline at end of file\n"


def quoted(path: str) -> str:
    """A new file under a name that is already in git's quotes, without them."""
    return (
        f'diff --git "a/{path}" "b/{path}"\nnew file mode 100644\n--- /dev/null\n+++ "b/{path}"\n'
        "@@ -0,0 +1 @@\n+planted\n"
    )


def binary(path: str) -> str:
    content = b"\x7fELF planted"
    packed = zlib.compress(content)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100755\nindex {'0' * 40}..{'1' * 40}\n"
        f"GIT binary patch\nliteral {len(content)}\n"
        f"{chr(ord('A') + len(packed) - 1)}{base64.b85encode(packed, pad=True).decode()}\n\n"
        "literal 0\nHcmV?d00001\n\n-- \n2.39.5\n"
    )
