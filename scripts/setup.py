#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs what is missing: Debian packages through apt, Python packages from a lock into .venv.

Standard library only, because it runs before anything is installed.  Touches neither the system's
apt sources nor any git configuration.

usage: setup.py [--test]     --test adds what only the tests need
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
VENV = HOME / ".venv"
OLDEST_PYTHON = (3, 11)
TOOL_MISSING = 171  # kverdict.errors.ExitStatus.TOOL_MISSING


def main() -> int:
    with_tests = sys.argv[1:] == ["--test"]
    if sys.version_info < OLDEST_PYTHON:
        return complain("this Python is too old: install Python 3.11 or newer as python3")
    lists = ["packages.debian", *(["packages-test.debian"] if with_tests else [])]
    wanted = {name: why for file in lists for name, why in read_packages(HOME / file).items()}
    status = install_packages(wanted)
    if status:
        return status
    return install_python(HOME / ("requirements-dev.lock" if with_tests else "requirements.lock"))


def tell(line: str) -> None:
    """At once, also into a pipe: the next step may take minutes."""
    print(line, flush=True)


def complain(message: str, status: int = TOOL_MISSING) -> int:
    print(f"setup: {message}", file=sys.stderr)
    return status


def read_packages(path: Path) -> dict[str, str]:
    """Name -> reason; a line is "name  reason", # starts a comment."""
    rows = (line.split(maxsplit=1) for line in path.read_text().splitlines())
    return {row[0]: row[-1] for row in rows if row and not row[0].startswith("#")}


def install_packages(wanted: dict[str, str]) -> int:
    if shutil.which("apt-get") is None or shutil.which("dpkg-query") is None:
        return check_programs(wanted)
    missing = {name: why for name, why in wanted.items() if not installed(name)}
    if not missing:
        return 0
    tell("setup: installing Debian packages that are missing:")
    for name, why in missing.items():
        tell(f"  {name:<22} {why}")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    if sudo and shutil.which("sudo") is None:
        return complain(f"not root and no sudo: run apt-get install {' '.join(missing)} as root")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*sudo, "apt-get", "install", "-y", "--no-install-recommends", *missing]
    for command in ([*sudo, "apt-get", "update"], install):
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        if done.returncode:
            last = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-5:])
            return complain(f"{' '.join(command[:4])} failed:\n{last}", 128)
    return 0


def installed(package: str) -> bool:
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


# What each package is needed for shows itself as a program; libraries cannot be told this way.
PROGRAMS = {
    "git": "git",
    "bubblewrap": "bwrap",
    "busybox-static": "busybox",
    "qemu-system-x86": "qemu-system-x86_64",
    "make": "make",
    "gcc": "gcc",
    "bc": "bc",
    "flex": "flex",
    "bison": "bison",
    "xz-utils": "xz",
    "ccache": "ccache",
    "public-inbox": "public-inbox-httpd",
    "sqlite3": "sqlite3",
}


def check_programs(wanted: dict[str, str]) -> int:
    """Without apt: a list of what to install, and failure when a program is known to be absent."""
    absent = [name for name in wanted if name in PROGRAMS and not shutil.which(PROGRAMS[name])]
    if not absent:
        return 0
    tell("setup: this system has no apt; install what corresponds to these Debian packages:")
    for name, why in wanted.items():
        state = "MISSING" if name in absent else "present" if name in PROGRAMS else "check"
        tell(f"  {state:<8} {name:<22} {why}")
    return TOOL_MISSING


def install_python(lock: Path) -> int:
    """The packages of the lock, exactly; done once for a lock."""
    stamp = VENV / "installed.lock"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    test_lock = hashlib.sha256((HOME / "requirements-dev.lock").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() in (wanted, test_lock):
        return 0
    tell(f"setup: installing Python packages from {lock.name} into .venv")
    pip = [str(VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        [*pip, "install", "--quiet", "--require-hashes", "-r", str(lock)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            last = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-5:])
            return complain(f"{' '.join(command[:4])} failed:\n{last}", 128)
    stamp.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
