# SPDX-License-Identifier: GPL-2.0-or-later
"""The mails that a reply answers, as they stand in the thread that a run keeps (thread.mbx).

b4's own reply code decides who gets a reply and where it goes in the thread; like all of b4 it
runs in a process of its own (kverdict/b4worker.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kverdict.errors import InfraError, UserError
from kverdict.models import Frozen
from kverdict.runs import scratch
from kverdict.stages.fetch import THREAD, ArchiveSettings, run_worker

# The worker's name for a mail that came without a Message-ID (git format-patch without --thread).
MADE_UP = "@kverdict.invalid"


class Parent(Frozen):
    """A mail of the thread, and what a reply to it starts from."""

    message_id: str
    subject: str  # of the reply: "Re: [PATCH ...] ..."
    to: tuple[str, ...]  # "Name <address>"
    cc: tuple[str, ...]
    references: tuple[str, ...]  # of the reply, the oldest first
    author: str  # display name
    date: datetime | None
    body: str  # at most a MiB of it
    quote: str  # the first paragraph, each line with "> "

    @property
    def posted(self) -> bool:
        """Whether it has a Message-ID of its own, so that a reply finds its place in a thread."""
        return not self.message_id.endswith(MADE_UP)


class _Answer(Frozen):
    status: Literal["ok", "refused", "too-big"]
    detail: str = ""
    parents: tuple[Parent, ...] = ()


def read_parents(
    folder: Path, message_ids: Sequence[str], settings: ArchiveSettings
) -> dict[str, Parent]:
    """By message-id, from the thread in a run's ``series`` folder; raises UserError, InfraError."""
    thread = folder / THREAD
    if not thread.is_file():
        raise UserError(f"{folder} has no {THREAD}", "verify the series again")
    request = {
        "task": "replies",
        "mbox": THREAD,
        "message_ids": list(dict.fromkeys(message_ids)),
        "memory": settings.memory,
    }
    with scratch(Path(tempfile.gettempdir()), "kverdict-mail-") as draft:
        shutil.copyfile(thread, draft / THREAD)
        done = run_worker(json.dumps(request).encode(), draft, settings, timeout=settings.timeout)
    try:
        answer = _Answer.from_json(done.stdout) if done.ok else None
    except ValidationError:
        answer = None
    if answer is None:
        last = (done.error_text.strip() or done.stopped or "no output").splitlines()[-1]
        raise InfraError(f"b4 cannot read {thread}: {last}", "please report this mail")
    if answer.status != "ok":
        raise InfraError(
            f"b4 cannot reply to the mails of {thread}: {answer.detail or answer.status}",
            "write by hand",
        )
    found = {parent.message_id: parent for parent in answer.parents}
    if missing := [id for id in message_ids if id not in found]:
        raise UserError(f"{thread} has no mail <{missing[0]}>", "verify the series again")
    return found
