# SPDX-License-Identifier: GPL-2.0-or-later
"""The only module that starts processes.

Every process gets an argv list, an environment given by the caller, its own process group and a
time limit; when it must go, the whole group goes: SIGTERM, a grace period, SIGKILL.  When we are
killed ourselves, it is killed too.
"""

from __future__ import annotations

import os
import select
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from kverdict.errors import ExitStatus, InfraError
from kverdict.interrupt import undisturbed

GRACE_SECONDS = 3.0
TICK_SECONDS = 0.25
CHUNK = 65536
OUTPUT_LIMIT = 128 << 20  # bytes that run() keeps of both outputs
KEEP_FROM_PARENT = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "TMPDIR", "XDG_CACHE_HOME")


class ToolMissing(InfraError):
    """A program that must be installed is not."""

    status = ExitStatus.TOOL_MISSING


class CommandFailed(InfraError):
    """A program that has to succeed did not."""


@dataclass(frozen=True)
class Finished:
    """How a process ended; ``stopped`` is our reason when we ended it, else None."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    seconds: float
    stopped: str | None = None

    @property
    def ok(self) -> bool:
        return self.returncode == 0 and self.stopped is None

    @property
    def text(self) -> str:
        return self.stdout.decode(errors="backslashreplace")

    @property
    def error_text(self) -> str:
        return self.stderr.decode(errors="backslashreplace")


def plain_environment(**extra: str) -> dict[str, str]:
    """The few variables that tools outside the sandbox need, in the C locale; no GIT_*."""
    kept = {name: os.environ[name] for name in KEEP_FROM_PARENT if name in os.environ}
    return {**kept, "LC_ALL": "C", **extra}


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float = 600,
    check: bool = False,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run to the end and keep both outputs; one that prints more than OUTPUT_LIMIT is ended.

    Raises ToolMissing, and CommandFailed when ``check`` is set and it does not exit with 0.
    """
    began = time.monotonic()
    pipe = subprocess.PIPE
    with _started(argv, cwd, env, stdin=pipe, stderr=pipe, pass_fds=pass_fds) as process:
        stdout, stderr, stopped = _communicate(process, stdin, timeout)
        seconds = time.monotonic() - began
    done = Finished(tuple(argv), process.returncode, stdout, stderr, seconds, stopped)
    if check and not done.ok:
        raise failure_of(done)
    return done


def failure_of(done: Finished) -> CommandFailed:
    """The error that says which command failed, with its last words."""
    last = (done.error_text.strip() or done.text.strip() or "no output").splitlines()[-1]
    how = done.stopped or f"exit status {done.returncode}"
    return CommandFailed(
        f"{Path(done.argv[0]).name} failed ({how}): {last}", detail=done.error_text
    )


def stream(
    argv: Sequence[str],
    *,
    log: Path,
    timeout: float,
    log_limit: int,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None,
    watch: Callable[[], str | None] | None = None,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run with stdout and stderr merged into ``log``, calling ``on_line`` for each line.

    ``watch`` is asked about four times a second and may give a reason to end the process.  No
    more than ``log_limit`` bytes are kept or passed on; reaching it ends the process as well.
    """
    began = time.monotonic()
    stopped: str | None = None
    written = 0
    nothing, merged = subprocess.DEVNULL, subprocess.STDOUT
    with (
        log.open("wb") as out,
        _started(argv, cwd, env, stdin=nothing, stderr=merged, pass_fds=pass_fds) as process,
    ):
        assert process.stdout is not None
        lines = _LineSplitter(on_line)
        for chunk in _chunks(process, process.stdout):
            kept = chunk[: log_limit - written]
            written += len(kept)
            out.write(kept)
            lines.feed(kept)
            stopped = (
                f"output over the limit of {log_limit} bytes"
                if written >= log_limit
                else watch()
                if watch is not None
                else None
            )
            if stopped is None and time.monotonic() - began > timeout:
                stopped = f"time limit of {timeout:.0f} s"
            if stopped is not None:
                _kill_group(process)
                break
        lines.flush()
        process.wait()
    seconds = time.monotonic() - began
    return Finished(tuple(argv), process.returncode, b"", b"", seconds, stopped)


def converse(argv: Sequence[str], *, cwd: Path | None = None) -> int:
    """Run a program that talks to the user, with our terminal and environment; its exit status.

    Without a time limit or a group of its own: Ctrl-C on the terminal reaches both of us, and we
    wait for its end.  Raises ToolMissing.
    """
    if shutil.which(argv[0]) is None:
        raise ToolMissing(f"{argv[0]} is not installed", "run `make setup`")
    process = subprocess.Popen(mortal(argv), cwd=cwd)
    try:
        return process.wait()
    except BaseException:
        with undisturbed():
            process.wait()
        raise


def _communicate(
    process: subprocess.Popen[bytes], stdin: bytes, timeout: float
) -> tuple[bytes, bytes, str | None]:
    """Both outputs, and why the process had to be ended, None when it ended by itself.

    Popen.communicate() keeps whatever comes: a stranger's make can print more than we have memory.
    """
    assert process.stdin and process.stdout and process.stderr
    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    unsent = memoryview(stdin)
    until = time.monotonic() + timeout
    stopped: str | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        for pipe in kept:
            selector.register(pipe, selectors.EVENT_READ)
        while stopped is None and any(pipe in selector.get_map() for pipe in kept):
            exited = process.poll() is not None
            ready = selector.select(0 if exited else TICK_SECONDS)
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    unsent = _send(process.stdin, unsent, selector)
                    continue
                chunk = os.read(key.fd, CHUNK)
                kept[cast(IO[bytes], key.fileobj)] += chunk
                if not chunk:
                    selector.unregister(key.fileobj)
            if exited and not ready:
                break  # a grandchild holds the pipe open
            if sum(map(len, kept.values())) > OUTPUT_LIMIT:
                stopped = f"output over the limit of {OUTPUT_LIMIT} bytes"
            elif time.monotonic() > until:
                stopped = f"time limit of {timeout:.0f} s"
    if stopped is None:
        stopped = _waited(process, until, timeout)
    if stopped is not None:
        _kill_group(process)
    stdout, stderr = (bytes(kept[pipe][:OUTPUT_LIMIT]) for pipe in (process.stdout, process.stderr))
    return stdout, stderr, stopped


def _send(pipe: IO[bytes], unsent: memoryview, selector: selectors.BaseSelector) -> memoryview:
    """What is left to be sent; a pipe takes PIPE_BUF bytes without blocking once it is ready."""
    try:
        unsent = unsent[os.write(pipe.fileno(), unsent[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        unsent = unsent[len(unsent) :]
    if not unsent:
        selector.unregister(pipe)
        pipe.close()
    return unsent


def _waited(process: subprocess.Popen[bytes], until: float, timeout: float) -> str | None:
    """Waits for a process that has closed its outputs."""
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return f"time limit of {timeout:.0f} s"
    return None


class _LineSplitter:
    """Cuts a byte stream into decoded lines; a line that never ends is passed on in pieces."""

    LONGEST = 65536

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> None:
        if self._on_line is None:
            return
        self._rest += chunk
        if b"\n" in chunk:  # a line that comes byte by byte is not copied at each of them
            *whole, self._rest = self._rest.split(b"\n")
            for line in whole:
                self._emit(line)
        if len(self._rest) > self.LONGEST:
            self.flush()

    def flush(self) -> None:
        if self._rest:
            self._emit(self._rest)
        self._rest = bytearray()

    def _emit(self, line: bytearray) -> None:
        if self._on_line is not None:
            self._on_line(line.decode(errors="backslashreplace").rstrip("\r"))


def _chunks(process: subprocess.Popen[bytes], pipe: IO[bytes]) -> Iterator[bytes]:
    """Output as it comes, and an empty chunk at every tick of silence, until the pipe closes.

    A grandchild may hold the pipe open after the process has exited: then one last look is
    taken and the rest is given up.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            exited = process.poll() is not None
            if selector.select(0 if exited else TICK_SECONDS):
                chunk = os.read(pipe.fileno(), CHUNK)
                if not chunk:
                    return
                yield chunk
            elif exited:
                return
            else:
                yield b""


@contextmanager
def _started(
    argv: Sequence[str],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    *,
    stdin: int,
    stderr: int,
    pass_fds: Sequence[int],
) -> Iterator[subprocess.Popen[bytes]]:
    environment = dict(plain_environment() if env is None else env)
    if shutil.which(argv[0], path=environment.get("PATH")) is None:
        raise ToolMissing(f"{argv[0]} is not installed", "run `make setup`")
    try:
        process = subprocess.Popen(
            mortal(argv),
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    except FileNotFoundError as error:
        raise InfraError(f"{cwd} is gone", "start again") from error
    try:
        yield process
    finally:
        # Also on Ctrl-C and when the caller gave up: nothing outlives the call.
        with undisturbed():
            _kill_group(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None and not pipe.closed:
                    pipe.close()


def mortal(argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` and ends it when the thread that starts it ends.

    So nothing lives on when we are killed without a chance to clean up: PR_SET_PDEATHSIG of
    prctl(2), which survives execve(2).  Raises ToolMissing.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ToolMissing("setpriv is not installed", "run `make setup`")
    return [setpriv, "--pdeathsig", "KILL", "--", *argv]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    for sig, grace in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        try:
            os.killpg(process.pid, sig)
        except ProcessLookupError:
            break
        except PermissionError:  # the group's last member is a zombie of another user
            break
        if _gone(process, grace):
            break
    process.wait()


def _gone(process: subprocess.Popen[bytes], grace: float) -> bool:
    """Whether the whole group ended within ``grace`` seconds."""
    until = time.monotonic() + grace
    while time.monotonic() < until:
        process.poll()
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
