# SPDX-License-Identifier: GPL-2.0-or-later
"""The mails in tests/data/series, made with git format-patch and written down once.

archive.mbx: prereq-1, v1-0 to v1-2 and v2-0 to v2-2 (two threads of one series of two patches),
the replies r1 (to v2-1), t1 (to v2-0), e1 (to v2-2, in another person's name), and chat-1.
signed.mbx: one patch signed by alice@dev.example (patatt, ed25519); her key is in keyring/.
"""

from __future__ import annotations

import re
from email import message_from_bytes
from pathlib import Path

DATA = Path(__file__).parent.parent / "data" / "series"
SEPARATOR = b"From mboxrd@z Thu Jan  1 00:00:00 1970\n"


def mails_in(name: str) -> dict[str, bytes]:
    """Raw mails by message-id, in the order of the file."""
    raw = [
        re.sub(rb"^>(>*From )", rb"\1", part, flags=re.MULTILINE)
        for part in (DATA / name).read_bytes().split(SEPARATOR)[1:]
    ]
    return {message_id(mail): mail for mail in raw}


def message_id(mail: bytes) -> str:
    return str(message_from_bytes(mail)["Message-ID"]).strip("<>")


def as_mbox(*mails: bytes) -> bytes:
    return b"".join(
        SEPARATOR
        + re.sub(rb"^(>*From )", rb">\1", mail.rstrip(b"\n"), flags=re.MULTILINE)
        + b"\n\n"
        for mail in mails
    )
