# SPDX-License-Identifier: GPL-2.0-or-later
"""Which processes there are, as /proc tells, and patience: nobody dies at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 300.0  # seconds until a test gives up waiting for what has to come


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that waits for its parent does not."""
    try:
        status = Path("/proc", str(pid), "status").read_text()
    except OSError:  # gone; or it went between open(2) and read(2), which is ESRCH
        return False
    return "\nState:\tZ" not in status


def processes(home: Path) -> list[str]:
    """Those that work in ``home`` by their command line or current folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(home) in words or place.startswith(str(home)):
            found.append(f"{entry.name} {words[:300]}")
    return found


def wait_until(holds: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Whether it came to hold in time."""
    until = time.monotonic() + seconds
    while not (held := bool(holds())) and time.monotonic() < until:
        time.sleep(0.05)
    return held
