# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's tests: programs by the rules of kselftest, and the results of KUnit suites.

The rules are those of tools/testing/selftests/kselftest/runner.sh, which itself needs perl, tee
and a shell with more than busybox has: the exit status is 0 for a pass, 4 for a skip; the working
folder is the program's, and can be written to; there is a time limit.
"""

from __future__ import annotations

import errno
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Dict, List, Optional

from . import runner
from .facts import Program
from .results import Results

SKIP_STATUS = 4  # KSFT_SKIP, tools/testing/selftests/kselftest.h
NOT_FOUND = 127  # sh(1), env(1) and ld.so(8): the command, or a library of it, is not there
MOST_OUTPUT = 256 << 10  # bytes: of a program the end, of a suite the beginning
ALIVE_SECONDS = 5.0  # between two words that a program still runs; well below the host's patience
KUNIT = Path("/sys/kernel/debug/kunit")
KUNIT_RAN = "kunit"  # the case that there was any suite; suites are kunit.NAME
_TICK = 0.05  # seconds
_CHUNK = 65536
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_.:-]")
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Ended:
    outcome: str
    message: str
    output: str
    seconds: float


def run(program: Program, time_scale: float, alive: Callable[[], None] = lambda: None) -> Ended:
    """Never raises for what the program does; calls ``alive`` now and then while it runs.

    It runs in a copy of its folder, which is gone afterwards.
    """
    home = Path(tempfile.mkdtemp(prefix="kselftest-"))
    try:
        shutil.copytree(program.folder, str(home), dirs_exist_ok=True)
        return _run(home / program.path, program.limit * time_scale, alive)
    except (OSError, shutil.Error) as error:
        return Ended(runner.ERROR, "its files cannot be copied: {}".format(error), "", 0.0)
    finally:
        shutil.rmtree(str(home), ignore_errors=True)


def _run(path: Path, limit: float, alive: Callable[[], None]) -> Ended:
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            [str(path)],
            cwd=str(path.parent),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Ended(runner.ERROR, _not_started(path, error), "", 0.0)
    assert process.stdout is not None
    with process.stdout as pipe:
        tail = _Tail(pipe.fileno())
        status = _followed(process, tail, began + limit, alive)
        _kill(process.pid)
        if status is None:
            _drained(process, tail)  # one that hangs in the kernel leaves nothing
    seconds = time.monotonic() - began
    if status is None:
        return Ended(runner.TIMEOUT, "no end within {:g} s".format(limit), tail.text, seconds)
    return _judged(status, tail.text, seconds)


class _Tail:
    """The end of what comes through a pipe, however much that is."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept = bytearray()
        self._open = True

    @property
    def text(self) -> str:
        return self._kept[-MOST_OUTPUT:].decode(errors="replace")

    def read(self, seconds: float) -> bool:
        """Whether something came within ``seconds``."""
        if not self._open:
            time.sleep(seconds)
            return False
        if not select.select([self._fd], [], [], seconds)[0]:
            return False
        chunk = os.read(self._fd, _CHUNK)
        self._open = bool(chunk)
        self._kept += chunk
        if len(self._kept) > 2 * MOST_OUTPUT:
            del self._kept[:-MOST_OUTPUT]
        return self._open


def _followed(
    process: "subprocess.Popen[bytes]", tail: _Tail, until: float, alive: Callable[[], None]
) -> Optional[int]:
    """The exit status, None when time is up.

    The process's own end counts, not that of the pipe, which a child of it may hold open.
    """
    told = time.monotonic()
    while True:
        now = time.monotonic()
        if now - told > ALIVE_SECONDS:
            alive()
            told = now
        status = process.poll()
        if status is not None:
            _drained(process, tail)
            return status
        if now > until:
            return None
        tail.read(min(_TICK, max(0.0, until - now)))


def _drained(process: "subprocess.Popen[bytes]", tail: _Tail) -> None:
    """Takes what is left in the pipe of a process that has ended, or was told to."""
    until = time.monotonic() + runner.GRACE_SECONDS
    while time.monotonic() < until:
        ended = process.poll() is not None
        if not tail.read(0 if ended else _TICK) and ended:
            return


def _not_started(path: Path, error: OSError) -> str:
    """ENOENT is told of the interpreter, too: execve(2)."""
    if error.errno != errno.ENOENT or not path.exists():
        return "it cannot be started: {}".format(error.strerror)
    with path.open("rb") as file:
        first = file.readline(256)
    words = first[2:].decode(errors="replace").split() if first.startswith(b"#!") else []
    what = "its interpreter {}".format(words[0]) if words else "the loader that it was linked for"
    return "it cannot be started: {} is not in this guest".format(what)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _judged(status: int, text: str, seconds: float) -> Ended:
    last = "\n".join(text.strip().splitlines()[-10:])
    if status == 0:
        return Ended(runner.PASS, "", text, seconds)
    if status == SKIP_STATUS:
        return Ended(runner.SKIP, last, text, seconds)
    if status < 0:
        name = runner.signal_name(-status)
        return Ended(runner.CRASH, "killed by {}\n{}".format(name, last), text, seconds)
    if status == NOT_FOUND:
        message = "a program or a library that it needs is not in this guest\n{}".format(last)
        return Ended(runner.ERROR, message, text, seconds)
    return Ended(runner.FAIL, "exit status {}\n{}".format(status, last), text, seconds)


def run_all(programs: List[Program], time_scale: float, results: Results) -> None:
    for program in programs:
        results.start(program.id)
        ended = run(program, time_scale, partial(results.alive, program.id))
        results.output(program.id, ended.output)
        results.end(program.id, ended.outcome, ended.message, ended.seconds)


# --- KUnit --------------------------------------------------------------------------------------


def mount_debugfs() -> None:
    """Where KUnit leaves its results; that it fails is seen when there are none."""
    subprocess.run(
        ["mount", "-t", "debugfs", "none", str(KUNIT.parent)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def kunit_suites() -> Dict[str, Path]:
    """The suites that this kernel ran when it came up (CONFIG_KUNIT_DEBUGFS), by their ids.

    A suite may have any name that a file can have: "Handshake API tests".
    """
    found: Dict[str, Path] = {}
    try:
        folders = sorted(path for path in KUNIT.iterdir() if (path / "results").exists())
    except OSError:
        return {}
    for folder in folders:
        name = "kunit." + _NOT_IN_AN_ID.sub("_", folder.name)[:_LONGEST_NAME]
        id, number = name, 2
        while id in found:
            id, number = "{}-{}".format(name, number), number + 1
        found[id] = folder
    return found


def report_whether_kunit_ran(suites: int, results: Results) -> None:
    """Whoever asks for KUnit's suites and gets none has no answer; the kernel logs why."""
    outcome = runner.PASS if suites else runner.ERROR
    message = "" if suites else "this kernel ran no suite; its console says why (kunit:)"
    results.start(KUNIT_RAN)
    results.end(KUNIT_RAN, outcome, message, 0.0)


def report_kunit(suites: Dict[str, Path], results: Results) -> None:
    for id, folder in suites.items():
        results.start(id)
        try:
            data = (folder / "results").read_bytes()
        except OSError as error:
            results.end(id, runner.ERROR, "no results: {}".format(error.strerror), 0.0)
            continue
        if len(data) > MOST_OUTPUT:
            # Its end would be KTAP of its own, and say nothing of what failed before.
            kept = data[: data.rfind(b"\n", 0, MOST_OUTPUT) + 1]
            message = "its results are over {} bytes, and were cut".format(MOST_OUTPUT)
            results.output(id, kept.decode(errors="replace"))
            results.end(id, runner.ERROR, message, 0.0)
            continue
        results.output(id, data.decode(errors="replace"))
        results.end(id, runner.PASS, "", 0.0)  # the host reads what the text says
