# SPDX-License-Identifier: GPL-2.0-or-later
"""The three kinds of trouble, and the exit status of each.

The statuses suit ``git bisect run``: 0 good, 1 bad, 125 cannot be tested here; from 128 on
git stops the bisection, which is right when the tool or its user is at fault.
"""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """What ./pipeline.py ends with; documented in docs/verdicts.md."""

    GOOD = 0
    BAD = 1
    UNTESTABLE = 125
    TROUBLE = 128
    USAGE = 129  # as git's own usage errors
    INTERRUPTED = 130  # 128 + SIGINT
    SERIES_NOT_FOUND = 150
    ARCHIVE_UNREACHABLE = 151
    ARCHIVE_NONSENSE = 152
    NO_PATCHES = 153
    SERIES_INCOMPLETE = 154
    NO_SUCH_REVISION = 155
    SERIES_REFUSED = 156
    BAD_MAILBOX = 157
    BAD_TREE = 160
    UNKNOWN_REVISION = 161
    DISK_FULL = 170
    TOOL_MISSING = 171
    BUSY = 172


class KverdictError(Exception):
    """Trouble that was foreseen: one line that names the thing, one that names the remedy."""

    status: ExitStatus = ExitStatus.TROUBLE

    def __init__(
        self, problem: str, remedy: str = "", *, status: ExitStatus | None = None, detail: str = ""
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.detail = detail
        if status is not None:
            self.status = status

    def __str__(self) -> str:
        return f"{self.problem}: {self.remedy}" if self.remedy else self.problem


class UserError(KverdictError):
    """The user's mistake: asked for something that is not there or makes no sense."""

    status = ExitStatus.USAGE


class PatchError(KverdictError):
    """The patch's fault: it cannot be tested here (does not apply, nothing of it is compiled)."""

    status = ExitStatus.UNTESTABLE


class InfraError(KverdictError):
    """Our trouble: a tool, the disk, the network or this program; never the patch's failure."""

    status = ExitStatus.TROUBLE
