# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process that touches the tree's content may see and use.

Kconfig runs ``$(shell ...)``, make runs the tree's Makefiles and scripts, the guest runs the
kernel itself: each of them is a stranger's code.  Everything of that kind is started through
``Sandbox.wrap``: bubblewrap with new namespaces (no network, own pids, own /tmp), a read-only
system, no home, an environment made from nothing, and only the folders that the step works on.

Inside, the worktree is always /src and the object tree always /obj, so that neither a compiler
command nor a kernel depends on where the user keeps things: the same source gives the same
vmlinux in any folder, and ccache hits across worktrees.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kverdict.errors import InfraError
from kverdict.proc import ToolMissing

SRC = Path("/src")
OBJ = Path("/obj")
CCACHE = Path("/ccache")
PACKAGE = Path("/kverdict")

# Of /etc only what the dynamic loader, Debian's alternatives (cc, awk) and name look-ups need.
_ETC = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "passwd",
    "group",
    "nsswitch.conf",
)
_MERGED_USR = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Bind:
    """A host folder (or file) at a place inside; read-only unless ``writable``."""

    host: Path
    inside: Path
    writable: bool = False


@dataclass(frozen=True)
class Sandbox:
    """One step's view of the world."""

    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    kvm: bool = False
    python: bool = False  # this interpreter with its packages, and kverdict itself at /kverdict
    empty: tuple[Path, ...] = ()  # folders that are empty inside, whatever the system has there

    def wrap(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside; raises ToolMissing without bubblewrap."""
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise ToolMissing(
                "bubblewrap (bwrap) is not installed",
                "run `make setup`; nothing of the tree is run outside the sandbox",
            )
        binds = (*self.binds, *(_python_binds() if self.python else ()))
        return [
            bwrap,
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--clearenv",
            *_environment(self.env),
            *_system(),
            *_devices(self.kvm),
            *(word for folder in self.empty for word in ("--tmpfs", str(folder))),
            *(word for bind in binds for word in _bind(bind)),
            "--remount-ro",
            "/",
            "--chdir",
            str(self.cwd),
            "--",
            *argv,
        ]


def _environment(env: Mapping[str, str]) -> list[str]:
    full = {"PATH": _SYSTEM_PATH, "LC_ALL": "C", "HOME": "/nonexistent", "TMPDIR": "/tmp", **env}
    return [word for name, value in full.items() for word in ("--setenv", name, value)]


def _system() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _MERGED_USR:
        place = Path("/", name)
        if place.is_symlink():
            words += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            words += ["--ro-bind", str(place), str(place)]
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return [*words, "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run", "--dir", "/var"]


def _devices(kvm: bool) -> list[str]:
    return ["--dev", "/dev", *(["--dev-bind", "/dev/kvm", "/dev/kvm"] if kvm else [])]


def _bind(bind: Bind) -> list[str]:
    return ["--bind" if bind.writable else "--ro-bind", str(bind.host), str(bind.inside)]


def _python_binds() -> tuple[Bind, ...]:
    """This interpreter, where it thinks it is: a venv finds its base by absolute path."""
    package = Path(__file__).resolve().parent
    prefixes = dict.fromkeys(
        Path(prefix).resolve()
        for prefix in (sys.base_prefix, sys.prefix)
        if not prefix.startswith("/usr")
    )
    return (
        *(Bind(prefix, prefix) for prefix in prefixes),
        Bind(package, PACKAGE / "kverdict"),
    )


def python_command(module: str, *args: str) -> list[str]:
    """Runs a module of kverdict inside a Sandbox that has ``python`` set."""
    return [
        os.path.abspath(sys.executable),  # noqa: PTH100 - resolving would leave the venv
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(PACKAGE)!r}); "
        f"import runpy; sys.argv[0] = {module!r}; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)",
        *args,
    ]


def read_left(path: Path, limit: int) -> bytes:
    """A file that a process in the sandbox left behind: regular, no link, not over ``limit`` bytes.

    Raises InfraError for anything else: it may be a link to what the sandbox was not to see.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InfraError(f"{path.name} was not left as a file ({error.strerror})") from error
    with os.fdopen(handle, "rb") as stream:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise InfraError(f"{path.name} is not a file of at most {limit} bytes")
        return stream.read(limit)
