# SPDX-License-Identifier: GPL-2.0-or-later
"""The only way out of the guest: <results>/results.jsonl, one JSON object a line.

    {"event": "hello", "version", "release", "build_id", "cmdline", "config_digest",
     "kvm", "python"}
    {"event": "plan", "cases": [id, ...]}
    {"event": "start", "case": id}
    {"event": "alive", "case": id}
    {"event": "output", "case": id, "text"}
    {"event": "end", "case": id, "outcome", "message", "seconds"}
    {"event": "bench", "name", "unit", "clock", "mib", "rounds", "median", "minimum", "maximum"}
    {"event": "done"}

A line is on the host's disk before the next case begins, so that a guest that dies shows which
case it died in: the one with a start and no end.  The host's reader is kverdict/findings/suite.py.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FILE_NAME = "results.jsonl"
VERSION = 1
LONGEST_MESSAGE = 4000
LONGEST_PIECE = 8000  # characters, of which JSON makes up to six bytes each


class Results:
    def __init__(self, folder: Path, announce: bool = False) -> None:
        """Creates the file; raises OSError when it is there already or cannot be made.

        ``announce`` names each case in the kernel log, so that a report of the kernel against
        itself can be pinned to the case that was running.
        """
        path = folder / FILE_NAME
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._log = os.open("/dev/kmsg", os.O_WRONLY | os.O_CLOEXEC) if announce else -1

    def put(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields}, allow_nan=False) + "\n"
        data = line.encode()
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)

    def start(self, case: str) -> None:
        self._announce(f"start {case}")
        self.put("start", case=case)

    def alive(self, case: str) -> None:
        """A program may run for long without a word: the host is not to take it for dead."""
        self.put("alive", case=case)

    def output(self, case: str, text: str) -> None:
        """What a program printed; in pieces, because a line has a limit."""
        for start in range(0, len(text), LONGEST_PIECE):
            self.put("output", case=case, text=text[start : start + LONGEST_PIECE])

    def end(self, case: str, outcome: str, message: str, seconds: float) -> None:
        self.put(
            "end",
            case=case,
            outcome=outcome,
            message=message[:LONGEST_MESSAGE],
            seconds=round(seconds, 3),
        )
        self._announce(f"end {case} {outcome}")

    def _announce(self, text: str) -> None:
        if self._log >= 0:
            os.write(self._log, f"kverdict: {text}\n".encode())
