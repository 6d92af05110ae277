# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts the command line again and again, each time in a process that may have to kill itself.

`python -m tests.faults.launcher` reads a Plan a line from stdin, forks a process for it, and
answers with its wait status.  In that process an audit hook (PEP 578) counts everything that it
does to the world: files opened for writing, renamed, removed, processes started, locks, signals.
At the event of the plan it ends with SIGKILL: nothing of the program runs after that, as if the
machine had been switched off under it.  The program itself knows nothing of this.

Only the boot is a double; it reads the clock for its measurements, so that two boots differ.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from kverdict import cli, evaluate
from kverdict.models import Frozen, Guest
from kverdict.stages import boot
from tests.fakekernel import FakeBoot

# What changes the world; whatever lies between two of these looks the same from outside.
EVENTS = frozenset(
    {
        "open",
        "os.chmod",
        "os.kill",
        "os.killpg",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
        "fcntl.flock",
        "shutil.rmtree",
        "subprocess.Popen",
    }
)

# The eight characters of tempfile behind a dot or a dash; pids and whatever is counted.
_OF_THE_MOMENT = re.compile(r"(?<=[.-])[a-z0-9_]{8}(?=[/ ]|$)|\d+")


class Plan(Frozen):
    """One start of the command line."""

    home: str  # the current folder; stdout, stderr, pid and trace are written there
    args: tuple[str, ...]
    kill_at: int | None = None  # number of the event that is its last, from 1
    seconds_later: float = 0  # then it lives on for so long, e.g. while a child works
    known: tuple[str, ...] = ()  # marks of events that do not count: earlier starts came to them
    word: str = ""  # and neither does an event that is not about it
    backwards: bool = False  # folders are listed from Z to A


class _Counter:
    """The audit hook; it writes each event down before it is done."""

    def __init__(self, plan: Plan, trace: int) -> None:
        self._plan, self._trace = plan, trace
        self._known = frozenset(plan.known)
        self._seen: Counter[str] = Counter()
        self._count = 0
        self._began = time.monotonic()

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS or (event == "open" and not _writes(args)):
            return
        if self._count == self._plan.kill_at:  # it is dying: os.kill() comes here as well
            return
        about = _about(event, args)
        mark = self._mark(event, about)
        self._count += mark not in self._known and self._plan.word in about
        at = time.monotonic() - self._began
        os.write(self._trace, f"{at:.3f}\t{mark}\t{event}\t{about}\n".encode())
        if self._count == self._plan.kill_at:
            if self._plan.seconds_later:
                threading.Timer(self._plan.seconds_later, _end).start()
            else:
                _end()

    def _mark(self, event: str, about: str) -> str:
        """The same for the same event of another start: without pids and names of the moment."""
        what = f"{event} {_OF_THE_MOMENT.sub('*', about)}"
        self._seen[what] += 1
        return hashlib.sha256(f"{what} {self._seen[what]}".encode()).hexdigest()[:16]


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _writes(args: tuple[Any, ...]) -> bool:
    path, _, flags = args
    writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    return bool(writing) and path != os.devnull and not isinstance(path, int)


def _about(event: str, args: tuple[Any, ...]) -> str:
    words = args[1] if event == "subprocess.Popen" else args[:1]
    return " ".join(str(word) for word in words).replace("\n", " ").replace("\t", " ")


def _measured(guest: Guest, facts: Mapping[str, Any]) -> Guest:
    """A boot of another moment: other seconds, another clock on the console."""
    now = time.monotonic()
    return guest.model_copy(
        update={"seconds": now, "boot_seconds": now / 2, "console_tail": (f"[{now:12.6f}] done",)}
    )


def _list_backwards() -> None:
    """No order of a listing may reach the verdict; file systems keep none."""
    listdir = os.listdir

    def backwards(path: str = ".") -> list[str]:
        return sorted(listdir(path), reverse=True)

    mock.patch.object(os, "listdir", backwards).start()


def _become(plan: Plan) -> None:
    """The rest of this process is the command line."""
    home = Path(plan.home)
    os.chdir(home)
    (home / "pid").write_text(str(os.getpid()))
    for name, handle in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if plan.backwards:
        _list_backwards()
    fake = FakeBoot(change=_measured)
    mock.patch.object(boot, "boot", fake.boot).start()
    mock.patch.object(evaluate, "choose_accelerator", fake.choose).start()
    tempfile.gettempdir()  # Python tries the folder with a file of its own: no event of ours
    sys.argv = ["pipeline.py", *plan.args]
    trace = os.open(home / "trace", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
    sys.addaudithook(_Counter(plan, trace))
    cli.main()


def _run(plan: Plan) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 70
    try:
        _become(plan)
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    for line in sys.stdin:
        print(_run(Plan.from_json(line)), flush=True)


if __name__ == "__main__":
    main()
