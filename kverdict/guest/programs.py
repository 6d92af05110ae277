# SPDX-License-Identifier: GPL-2.0-or-later
"""Other people's tests: programs by the rules of kselftest, and the results of KUnit suites.

The rules are those of tools/testing/selftests/kselftest/runner.sh, which itself needs perl, tee
and a shell with more than busybox has: the exit status is 0 for a pass, 4 for a skip; the working
folder is the program's; there is a time limit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import List

from . import runner
from .facts import Program
from .results import Results

SKIP_STATUS = 4  # KSFT_SKIP, tools/testing/selftests/kselftest.h
MOST_OUTPUT = 256 << 10  # bytes of one program, its end counts
KUNIT = Path("/sys/kernel/debug/kunit")


@dataclass(frozen=True)
class Ended:
    outcome: str
    message: str
    output: str
    seconds: float


def run(program: Program, time_scale: float) -> Ended:
    """Never raises for what the program does."""
    began = time.monotonic()
    limit = program.limit * time_scale
    try:
        process = subprocess.Popen(
            [program.path],
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return Ended(runner.ERROR, "it cannot be started: {}".format(error.strerror), "", 0.0)
    try:
        output, _ = process.communicate(timeout=limit)
        late = False
    except subprocess.TimeoutExpired:
        late = True
        _kill(process.pid)
        output = _rest(process)
    _kill(process.pid)
    seconds = time.monotonic() - began
    text = output[-MOST_OUTPUT:].decode(errors="replace")
    if late:
        return Ended(runner.TIMEOUT, "no end within {:g} s".format(limit), text, seconds)
    return _judged(process.returncode, text, seconds)


def _rest(process: "subprocess.Popen[bytes]") -> bytes:
    """What a killed program has left; one that hangs in the kernel leaves nothing."""
    try:
        return process.communicate(timeout=runner.GRACE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        return b""


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
        name = signal.Signals(-status).name
        return Ended(runner.CRASH, "killed by {}\n{}".format(name, last), text, seconds)
    return Ended(runner.FAIL, "exit status {}\n{}".format(status, last), text, seconds)


def run_all(programs: List[Program], time_scale: float, results: Results) -> None:
    for program in programs:
        results.start(program.id)
        ended = run(program, time_scale)
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


def kunit_suites() -> List[str]:
    """The suites that this kernel ran when it came up (CONFIG_KUNIT_DEBUGFS)."""
    try:
        return sorted(path.name for path in KUNIT.iterdir() if (path / "results").exists())
    except OSError:
        return []


def report_kunit(ids: List[str], results: Results) -> None:
    for id in ids:
        results.start(id)
        try:
            text = (KUNIT / id[len("kunit.") :] / "results").read_text(errors="replace")
        except OSError as error:
            results.end(id, runner.ERROR, "no results: {}".format(error.strerror), 0.0)
            continue
        results.output(id, text[-MOST_OUTPUT:])
        results.end(id, runner.PASS, "", 0.0)  # the host reads what the text says
