# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs one case in its own process, under a time limit.

A case may kill its process, hang in the kernel or leave children behind; the next one must not
notice.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

from .case import Case, Failure, Skip
from .facts import Facts
from .results import LONGEST_MESSAGE

PASS, FAIL, SKIP = "pass", "fail", "skip"
TIMEOUT, CRASH, ERROR = "timeout", "crash", "error"
GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Result:
    outcome: str
    message: str
    seconds: float


def run(case: Case, facts: Facts, patience: float = 1.0) -> Result:
    """The case's result; never raises for what the case does.

    ``patience`` is the part of the case's time limit that it gets.
    """
    limit = case.limit * facts.time_scale * patience
    began = time.monotonic()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _be_the_case(case, facts, writer)
    os.close(writer)
    _own_group(child)
    answer = _read(reader, began + limit)
    os.close(reader)
    seconds = time.monotonic() - began
    if answer is None:
        where = _where(child)
        ended = _kill(child)
        stuck = "" if ended else "; it cannot be killed: stuck in the kernel"
        return Result(TIMEOUT, f"no end within {limit:g} s{where}{stuck}", seconds)
    status = _wait(child, GRACE_SECONDS)
    if not _kill(child):
        return Result(TIMEOUT, f"the case's process does not end{_where(child)}", seconds)
    return _judge(answer, status, seconds)


def _be_the_case(case: Case, facts: Facts, writer: int) -> None:
    """In the child: run the body, answer, end without the parent's clean-up."""
    status = 1
    try:
        _own_group(0)
        outcome, message = _outcome(case, facts)
        data = json.dumps([outcome, message[:LONGEST_MESSAGE]]).encode() + b"\n"
        while data:
            data = data[os.write(writer, data) :]
        status = 0
    finally:
        os._exit(status)


def _outcome(case: Case, facts: Facts) -> Tuple[str, str]:
    try:
        case.run(facts)
    except Failure as failure:
        return FAIL, str(failure)
    except Skip as skip:
        return SKIP, str(skip)
    except Exception:  # noqa: BLE001 - whatever else a body raises is the case's own fault
        return ERROR, f"the case is broken: {traceback.format_exc(limit=-3)[-3000:]}"
    return PASS, ""


def _own_group(pid: int) -> None:
    """Called on both sides of the fork, so that the group exists whoever comes first."""
    with suppress(OSError):  # the child has ended already, or has done it itself
        os.setpgid(pid, pid)


def _read(reader: int, until: float) -> Optional[bytes]:
    """The child's line, b"" when it ends without a word, None when time is up.

    The end of the line counts and not that of the pipe, which a child of the case may hold open.
    """
    answer = b""
    while True:
        left = until - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None
        chunk = os.read(reader, 65536)
        answer += chunk
        if answer.endswith(b"\n"):
            return answer
        if not chunk:
            return b""


def _judge(answer: bytes, status: Optional[int], seconds: float) -> Result:
    """``status`` is None when the process had to be killed after it answered."""
    if answer:
        outcome, message = json.loads(answer)
        return Result(outcome, message, seconds)
    if status is not None and os.WIFSIGNALED(status):
        name = signal_name(os.WTERMSIG(status))
        return Result(CRASH, f"the case's process was killed by {name}", seconds)
    return Result(CRASH, f"the case's process ended without a word (status {status})", seconds)


def signal_name(number: int) -> str:
    """Real-time signals have none but the first and the last one: signal(7)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kill(child: int) -> bool:
    """Ends what is left of the case's process group; False when it does not end."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return _wait(child, GRACE_SECONDS) is not None


def _wait(child: int, grace: float) -> Optional[int]:
    """The wait status, None while it runs; a child that was waited for before counts as ended."""
    until = time.monotonic() + grace
    while True:
        try:
            pid, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid:
            return status
        if time.monotonic() > until:
            return None
        time.sleep(0.005)


def _where(pid: int) -> str:
    """Where in the kernel a hanging process sleeps, as far as this kernel tells."""
    found: Dict[str, str] = {}
    for name in ("stack", "wchan"):
        try:
            found[name] = Path(f"/proc/{pid}/{name}").read_text(errors="replace").strip()
        except OSError:
            found[name] = ""
    if found["stack"]:
        frames = [line.split("] ")[-1] for line in found["stack"].splitlines()[:6]]
        return f", in {' < '.join(frames)}"
    return f", in {found['wchan']}()" if found["wchan"] not in ("", "0") else ""
