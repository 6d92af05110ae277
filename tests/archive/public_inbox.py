# SPDX-License-Identifier: GPL-2.0-or-later
"""A real public-inbox of Debian's package, filled with mails and served on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

LIST = "lkml"
ADDRESS = "linux-kernel@vger.example"
START_SECONDS = 30
PID = "httpd.pid"


@contextmanager
def public_inbox(mails: Iterable[bytes], folder: Path) -> Iterator[str]:
    """Yields the midmask of an archive in ``folder``; public-inbox-init(1), -mda(1), -httpd(1)."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}/{LIST}"
    env = _environment(folder)
    inbox = str(folder / "inbox")
    _run(["public-inbox-init", "-V2", "--skip-docdata", LIST, inbox, url, ADDRESS], env)
    _run(["git", "config", "-f", env["PI_CONFIG"], "publicinboxmda.spamcheck", "none"], env)
    _deliver(mails, env)
    _run(["public-inbox-index", "-L", "full", inbox], env)
    with _served(port, folder, env):
        yield f"{url}/%s"


def deliver(mails: Iterable[bytes], folder: Path) -> None:
    """More mails for the archive in ``folder`` while it is served; search has them then.

    The server keeps an index open for a while; SIGHUP has it begin anew (public-inbox-daemon(8)).
    """
    _deliver(mails, _variables(folder))
    os.kill(int((folder / PID).read_text()), signal.SIGHUP)


def _deliver(mails: Iterable[bytes], env: dict[str, str]) -> None:
    for mail in mails:
        _run(["public-inbox-mda", "--no-precheck"], env, mail)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _environment(folder: Path) -> dict[str, str]:
    (folder / "home").mkdir(parents=True)
    return _variables(folder)


def _variables(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "LC_ALL": "C",
        "PI_CONFIG": str(folder / "config"),
        "PI_EMERGENCY": str(folder / "emergency"),
        "ORIGINAL_RECIPIENT": ADDRESS,
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def _run(argv: list[str], env: dict[str, str], stdin: bytes = b"") -> None:
    done = subprocess.run(argv, env=env, input=stdin, capture_output=True)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode(errors='replace')}"


@contextmanager
def _served(port: int, folder: Path, env: dict[str, str]) -> Iterator[None]:
    with (folder / "httpd.log").open("wb") as log:
        # -W0: one process, which is the one that is ended below.
        server = subprocess.Popen(
            ["public-inbox-httpd", "-W0", "-l", f"http://127.0.0.1:{port}"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        (folder / PID).write_text(str(server.pid))
        try:
            _wait_for(port, server)
            yield
        finally:
            server.terminate()
            server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert server.poll() is None, "public-inbox-httpd ended"
            assert time.monotonic() < until, "public-inbox-httpd does not answer"
            time.sleep(0.05)
