# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's root folder: shells and their usual tools, Python with its standard library, and
nothing of the host's.

It is put together inside the sandbox, from read-only binds under /guest, and exported to the guest
over 9p.  What is bound there follows from what the programs need: the libraries that the dynamic
loader names for them (ldd(1)).
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kverdict import proc
from kverdict.errors import InfraError
from kverdict.proc import ToolMissing
from kverdict.sandbox import Bind

ROOT = Path("/guest")
SUITE = Path("/kverdict/guest")
RESULTS = Path("/results")
PROGRAMS = Path("/selftests")  # in numbered folders
# What virtme-ng runs to mount its tools with another root than the host's, then its init. The
# host's own mount(8) is set-uid for a user whom the guest does not know as root.
_APPLETS = ("sh", "mount", "mkdir")
# What the tree's own shell tests take for granted, as far as busybox has it. Not what they look
# for before they do without it, or skip (ip, ping, perl): busybox has less of those than they
# need. Not what the kernel calls itself (modprobe, hotplug): it would wait for it.
_TOOLS = (
    "[ [[ awk base64 basename cat chgrp chmod chown chroot clear cmp comm cp cut date dd df "
    "dirname dmesg du echo egrep env expand expr factor fallocate false fgrep find flock fold "
    "free fsync getopt grep groups gunzip gzip head hexdump hostid id install kill killall less "
    "ln ls lsof md5sum mkfifo mknod mktemp mountpoint mv nice nl nohup nproc nsenter od paste "
    "patch pgrep pidof pkill printenv printf ps pwd readlink realpath renice rev rm rmdir sed "
    "seq setsid sha1sum sha256sum sha512sum shred shuf sleep sort split stat strings stty sum "
    "sync sysctl tac tail tar taskset tee test time timeout touch tr true truncate tty umount "
    "uname uniq unlink unshare usleep wc which who whoami xargs xxd yes zcat"
)
# The host's own, where it has them: most of those tests are written for bash, and busybox has no
# `readlink -e`, by which they find their folder.
_PROGRAMS = ("bash", "readlink")
_LIBC = "libc.so.6"
_DLOPENED = "libgcc_s.so.1"  # by libc, for pthread_exit(3) and pthread_cancel(3): ldd cannot know
_FOLDERS = ("proc", "sys", "dev", "run", "tmp", "etc", "var", "root")
_MERGED_USR = ("bin", "sbin", "lib", "lib64")
_SYSTEM_PYTHON = Path("/usr/bin/python3")
# "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x7f...)", "/lib64/ld-linux-x86-64.so.2 (0x7f...)"
_LDD = re.compile(r"^\t(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_ASK = (
    "import json, os, sys, sysconfig; print(json.dumps({"
    "'executable': os.path.realpath(sys.executable), "
    "'library': sysconfig.get_path('stdlib'), 'platform': sysconfig.get_path('platstdlib')}))"
)


@dataclass(frozen=True)
class GuestRoot:
    """The folder in the sandbox that becomes the guest's root, and what it is made of."""

    place: Path
    binds: tuple[Bind, ...] = ()
    folders: tuple[Path, ...] = ()
    links: tuple[tuple[Path, str], ...] = ()

    def inside(self, path: Path) -> Path:
        """Where the sandbox has what the guest sees at ``path``."""
        return self.place / path.relative_to("/")


# Without a sandbox nothing can be put together: the guest sees all of the host, read-only.
HOST_ROOT = GuestRoot(Path("/"))


def guest_root() -> GuestRoot:
    """Raises InfraError when the interpreter does not answer, ToolMissing without a program."""
    interpreter = guest_python()
    told = _told(interpreter)
    executable = Path(told["executable"])
    libraries = sorted({Path(told["library"]), Path(told["platform"])})
    modules = sorted(path for place in libraries for path in (place / "lib-dynload").glob("*.so"))
    busybox = _busybox()
    programs = [executable, busybox, *_programs()]
    shared = _needed([*programs, *modules])
    files = sorted({*programs, *shared, *_dlopened(shared)})
    outside = [path for path in files if not any(path.is_relative_to(tree) for tree in libraries)]
    return GuestRoot(
        place=ROOT,
        binds=tuple(Bind(path, _in_guest(path)) for path in (*libraries, *outside)),
        folders=tuple(ROOT / name for name in (*_FOLDERS, str(RESULTS).lstrip("/"))),
        links=(
            *((ROOT / name, f"usr/{name}") for name in _merged()),
            *((ROOT / "usr/bin" / name, str(busybox)) for name in _applets(busybox)),
            *(((_in_guest(interpreter), str(executable)),) if interpreter != executable else ()),
        ),
    )


def guest_python() -> Path:
    """The interpreter that runs the suite: the system's, else the base of this one."""
    if _SYSTEM_PYTHON.exists():
        return _SYSTEM_PYTHON
    base = getattr(sys, "_base_executable", sys.executable)
    return Path(base).resolve()


def _busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise ToolMissing("busybox is not installed", "run `make setup`: it is the guest's shell")
    return _unmerged(Path(found))


def _applets(busybox: Path) -> tuple[str, ...]:
    """The names under which it is called; what it has was chosen when it was built."""
    has = set(proc.run([str(busybox), "--list"], check=True, timeout=60).text.split())
    bound = {path.name for path in _programs()}
    return (*_APPLETS, *(name for name in _TOOLS.split() if name in has - bound))


def _programs() -> tuple[Path, ...]:
    found = (shutil.which(name) for name in _PROGRAMS)
    return tuple(_unmerged(Path(path)) for path in found if path is not None)


def _dlopened(libraries: Iterable[Path]) -> Iterator[Path]:
    for library in libraries:
        path = library.with_name(_DLOPENED)
        if library.name == _LIBC and path.exists():
            yield path


def _told(interpreter: Path) -> dict[str, str]:
    done = proc.run([str(interpreter), "-I", "-c", _ASK], check=True, timeout=60)
    try:
        told: dict[str, str] = json.loads(done.text)
    except ValueError as error:
        raise InfraError(f"{interpreter} does not say where its library is", "run it") from error
    return told


def _needed(programs: Iterable[Path]) -> set[Path]:
    """The shared libraries of ``programs``, by the names under which the loader finds them."""
    done = proc.run(["ldd", *map(str, programs)], timeout=60)
    return {_unmerged(Path(name)) for name in _LDD.findall(done.text)}


def _unmerged(path: Path) -> Path:
    """/lib/x/libc.so.6 -> /usr/lib/x/libc.so.6 where /lib is a link to usr/lib."""
    return path.parent.resolve() / path.name


def _merged() -> tuple[str, ...]:
    return tuple(name for name in _MERGED_USR if Path("/", name).is_symlink())


def _in_guest(path: Path) -> Path:
    return ROOT / path.relative_to("/")
