# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run's folder tells beside its report: its name, when it began, the patches' digests."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kverdict.errors import UserError
from kverdict.judgement import Report
from kverdict.runs import read_state

_STAMP = re.compile(r"([0-9]{8}T[0-9]{6}Z)-")
_FROM = re.compile(rb"^From .*\n", re.MULTILINE)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


@dataclass(frozen=True)
class RunFolder:
    name: str
    started: datetime | None = None  # as the name of the folder says, in UTC
    patches: tuple[str, ...] = ()  # SHA-256 of each patch's mail, in order


def look_at(folder: Path, report: Report) -> RunFolder:
    """No clock is read: the same folder says the same on any day."""
    name = folder.resolve().name
    try:
        mails = (folder / "series" / report.series.mbox).read_bytes()
    except OSError:
        mails = b""
    return RunFolder(name=name, started=_started(name), patches=patch_digests(mails))


def finished_report(folder: Path) -> Report:
    """Of a finished run; raises UserError when ``folder`` is not that of one."""
    state = read_state(folder)
    try:
        report = Report.from_json((folder / "verdict.json").read_bytes())
    except (OSError, ValueError) as error:
        raise _not_finished(folder) from error
    if state is None or not state.finished:
        raise _not_finished(folder)
    return report


def _not_finished(folder: Path) -> UserError:
    return UserError(f"{folder} is not the folder of a finished run", "see ./pipeline.py runs list")


def patch_digests(mailbox: bytes) -> tuple[str, ...]:
    """SHA-256 in hex of each mail of an mboxrd, without its "From " line and quoting."""
    mails = _FROM.split(mailbox)[1:]
    return tuple(hashlib.sha256(_QUOTED.sub(rb"\1", mail)).hexdigest() for mail in mails)


def _started(name: str) -> datetime | None:
    match = _STAMP.match(name)
    try:
        return datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if match else None
    except ValueError:
        return None
