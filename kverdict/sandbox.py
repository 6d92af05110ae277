# SPDX-License-Identifier: GPL-2.0-or-later
"""What a process that touches the tree's content may see and use.

Kconfig runs ``$(shell ...)``, make runs the tree's Makefiles and scripts, the guest runs the
kernel itself: each of them is a stranger's code.  Everything of that kind is started by
``Sandbox.run`` or ``Sandbox.stream``: bubblewrap with new namespaces (no network, own pids, own
/tmp), a read-only system, no home, an environment made from nothing, only the folders that the
step works on, and limits on what it uses.  docs/security.md says what that stops and what not.

It never runs as root: started by root, the sandbox becomes a user that owns nothing.  It can gain
no privileges, and makes no user namespaces, which are where most of the kernel is within reach.

Inside, the worktree is always /src and the object tree always /obj, so that neither a compiler
command nor a kernel depends on where the user keeps things: the same source gives the same
vmlinux in any folder, and ccache hits across worktrees.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from kverdict import cgroups, proc, seccomp
from kverdict.errors import InfraError
from kverdict.proc import Finished, ToolMissing

SRC = Path("/src")
OBJ = Path("/obj")
CCACHE = Path("/ccache")
PACKAGE = Path("/kverdict")

# The user that root's sandboxes run as. systemd's list of uid ranges (docs/UIDS-GIDS.md) leaves
# this one to nobody, so that it owns no file and no process but ours.
UID = 1879048192

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
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KVM = Path("/dev/kvm")
_USERNS_SWITCHES = (  # 0 in any of them: only root makes user namespaces here
    Path("/proc/sys/user/max_user_namespaces"),
    Path("/proc/sys/kernel/unprivileged_userns_clone"),  # Debian's
)
DISK_LOOK_SECONDS = 2.0
DISK_RESERVE = 256 << 20  # bytes that always stay free, so that we can say what happened


class Isolation(Enum):
    """How strangers' code is kept apart."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"  # --unsafe-no-sandbox


@dataclass(frozen=True)
class Bind:
    """A host folder (or file) at a place inside; read-only unless ``writable``."""

    host: Path
    inside: Path
    writable: bool = False


@dataclass(frozen=True)
class Limits:
    """What one sandbox may use: sizes in bytes, times in seconds."""

    memory: int  # all processes together, where there are control groups
    address_space: int = 16 << 30  # of each process
    processes: int = 2048  # threads count as well
    file_size: int = 4 << 30
    cpu: int = 2 * 3600  # of each process
    disk: int = 16 << 30  # in all that it may write
    files: int = 1_000_000


def default_limits() -> Limits:
    """Three quarters of the machine's memory, so that the rest of it lives on."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Limits(memory=max(2 << 30, whole // 4 * 3))


@dataclass(frozen=True)
class _Entered:
    """What to start, with which file descriptors, and the group that it joins."""

    command: list[str]
    fds: tuple[int, ...]
    group: cgroups.Group


@dataclass(frozen=True)
class Sandbox:
    """One step's view of the world."""

    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    kvm: bool = False
    python: bool = False  # this interpreter with its packages, and kverdict itself at /kverdict
    folders: tuple[Path, ...] = ()  # empty folders inside
    links: tuple[tuple[Path, str], ...] = ()  # symbolic links inside, and where they lead
    limits: Limits = field(default_factory=default_limits)
    isolation: Isolation = Isolation.BUBBLEWRAP

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float) -> Finished:
        """As proc.run, inside; raises ToolMissing without bubblewrap."""
        with self._entered(argv) as entered:
            done = proc.run(
                entered.command,
                env=self._outer_environment(),
                stdin=stdin,
                timeout=timeout,
                pass_fds=entered.fds,
            )
            return _with_memory(done, entered.group)

    def stream(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        timeout: float,
        log_limit: int,
        on_line: Callable[[str], None] | None = None,
        watch: Callable[[], str | None] | None = None,
    ) -> Finished:
        """As proc.stream, inside; ended as well when it fills the disk."""
        disk = _DiskWatch(tuple(bind.host for bind in self.binds if bind.writable), self.limits)
        with self._entered(argv) as entered:
            done = proc.stream(
                entered.command,
                env=self._outer_environment(),
                pass_fds=entered.fds,
                log=log,
                timeout=timeout,
                log_limit=log_limit,
                on_line=on_line,
                watch=lambda: (watch() if watch is not None else None) or disk(),
            )
            return _with_memory(done, entered.group)

    @contextmanager
    def _entered(self, argv: Sequence[str]) -> Iterator[_Entered]:
        with cgroups.group(memory=self.limits.memory, processes=self.limits.processes) as group:
            if self.isolation is Isolation.NONE:
                yield _Entered(group.join(self.wrap(argv)), (), group)
                return
            for bind in self.binds:
                if bind.writable:
                    give(bind.host)
            with seccomp.program() as calls:
                yield _Entered(group.join(self.wrap(argv, calls)), (calls,), group)

    def wrap(self, argv: Sequence[str], calls: int | None = None) -> list[str]:
        """The command line that runs ``argv`` inside; raises ToolMissing without bubblewrap.

        ``calls`` is the file descriptor of a seccomp.program().
        """
        # Only who runs the command may be able to enter its folder.
        limited = [*_prlimit(self.limits), "env", f"--chdir={self.cwd}", *argv]
        if self.isolation is Isolation.NONE:
            return [self._outside(word) for word in limited]
        bwrap = _bwrap()
        return [
            bwrap,
            *_namespaces(),
            "--clearenv",
            *_environment(self.env),
            *_system(),
            *_devices(self.kvm),
            *_folders((*(bind.inside.parent for bind in self._all_binds), *self.folders)),
            *(word for bind in self._all_binds for word in _bind(bind)),
            *(word for link, to in self.links for word in ("--symlink", to, str(link))),
            *("--remount-ro", "/"),
            *("--chdir", "/"),
            *(("--seccomp", str(calls)) if calls is not None else ()),
            "--",
            *_unprivileged(bwrap, self.kvm),
            *limited,
        ]

    @property
    def _all_binds(self) -> tuple[Bind, ...]:
        return (*self.binds, *(_python_binds() if self.python else ()))

    # --- without a sandbox ------------------------------------------------------------------------

    def _outside(self, word: str) -> str:
        """A word of the command on the host itself: places inside become those outside."""
        places = (*self._all_binds, Bind(Path(__file__).resolve().parent.parent, PACKAGE))
        for bind in sorted(places, key=lambda bind: -len(str(bind.inside))):
            if bind.inside != bind.host:
                place = re.escape(str(bind.inside))
                host = str(bind.host.absolute())
                escaped = host.replace("\\", r"\\")
                word = re.sub(rf"(?<![\w./-]){place}(?![\w.-])", escaped, word)
        return word

    def _outer_environment(self) -> dict[str, str]:
        """Inside, bubblewrap makes the environment; without it this is the command's own."""
        if self.isolation is Isolation.BUBBLEWRAP:
            return proc.plain_environment()
        return {name: self._outside(value) for name, value in _full_environment(self.env).items()}


def protection(isolation: Isolation) -> tuple[str, ...]:
    """What keeps strangers' code apart on this machine, in words for the report; () for nothing.

    Raises ToolMissing without bubblewrap.
    """
    if isolation is Isolation.NONE:
        return ()
    version = proc.run([_bwrap(), "--version"], check=True).text.strip()
    user = f"uid {UID}, who owns nothing" if _is_root() else "the user's own uid"
    groups = cgroups.available()
    together = f"control groups ({', '.join(groups)})" if groups else "no control groups here"
    walls = "no network, no capabilities, no keyrings"
    return (version, user, walls, f"rlimits and {together}")


def _bwrap() -> str:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise ToolMissing(
            "bubblewrap (bwrap) is not installed",
            "run `make setup`; nothing of the tree is run outside the sandbox, "
            "unless --unsafe-no-sandbox is given",
        )
    return bwrap


# --- the command line ---------------------------------------------------------------------------


def _is_root() -> bool:
    return os.geteuid() == 0


def _namespaces() -> list[str]:
    if not _is_root():
        return ["--unshare-all", "--unshare-user", "--disable-userns", *_TIED]
    # As root no user namespace yet: in one, root could not become another user. What it keeps of
    # its capabilities is what setpriv needs for that.
    return [
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
        *_TIED,
        *("--cap-drop", "ALL"),
        *("--cap-add", "CAP_SETUID"),
        *("--cap-add", "CAP_SETGID"),
    ]


_TIED = ("--die-with-parent", "--new-session")


def _unprivileged(bwrap: str, kvm: bool) -> list[str]:
    """What turns root inside into a user without rights, who cannot make user namespaces."""
    if not _is_root():
        return []
    # Whoever may open /dev/kvm is told by its group.
    groups = ["--groups", str(_KVM.stat().st_gid)] if kvm else ["--clear-groups"]
    become = ["setpriv", "--reuid", str(UID), "--regid", str(UID), *groups, "--"]
    if not _others_make_user_namespaces():
        return become
    return [
        *become,
        *(bwrap, "--unshare-user", "--disable-userns", "--die-with-parent"),
        *("--dev-bind", "/", "/", "--"),
    ]


def _others_make_user_namespaces() -> bool:
    return not any(_says_zero(switch) for switch in _USERNS_SWITCHES)


def _says_zero(switch: Path) -> bool:
    try:
        return switch.read_text().strip() == "0"
    except OSError:
        return False


def _prlimit(limits: Limits) -> list[str]:
    return [
        "prlimit",
        f"--as={limits.address_space}",
        f"--nproc={limits.processes}",
        f"--fsize={limits.file_size}",
        f"--cpu={limits.cpu}",
        "--core=0",
        "--",
    ]


def _full_environment(env: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": SYSTEM_PATH, "LC_ALL": "C", "HOME": "/nonexistent", "TMPDIR": "/tmp", **env}


def _environment(env: Mapping[str, str]) -> list[str]:
    full = _full_environment(env)
    return [word for name, value in full.items() for word in ("--setenv", name, value)]


def _system() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in _MERGED_USR:
        place = Path("/", name)
        if place.is_symlink():
            words += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            words += ["--ro-bind", str(place), str(place)]
    words += _folders([Path("/etc"), Path("/var")])
    for name in _ETC:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return [*words, "--proc", "/proc", *_tmpfs("/tmp", 1 << 30), *_tmpfs("/run", 64 << 20)]


def _tmpfs(place: str, size: int) -> list[str]:
    # It is memory: without control groups this is its only limit.
    return ["--perms", "1777", "--size", str(size), "--tmpfs", place]


def _devices(kvm: bool) -> list[str]:
    device = ["--dev-bind", str(_KVM), str(_KVM)] if kvm else []
    # --dev is a tmpfs of half the memory, and what is written there is no device.
    return ["--dev", "/dev", *device, *_tmpfs("/dev/shm", 64 << 20), "--remount-ro", "/dev"]


def _folders(places: Iterable[Path]) -> list[str]:
    """Makes folders with those above them; bubblewrap itself makes them for root's eyes only."""
    chains = [path for place in places for path in (*reversed(place.parents), place)]
    wanted = dict.fromkeys(path for path in chains if path != Path("/"))
    return [word for path in wanted for word in ("--perms", "0755", "--dir", str(path))]


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


# --- limits that have to be watched --------------------------------------------------------------


def _with_memory(done: Finished, group: cgroups.Group) -> Finished:
    if done.ok or done.stopped is not None or not group.out_of_memory():
        return done
    return replace(done, stopped="over its memory limit")


class _DiskWatch:
    """For proc.stream: why a process that fills the disk has to be ended, None to go on."""

    def __init__(self, folders: tuple[Path, ...], limits: Limits) -> None:
        self._folders, self._limits = folders, limits
        self._looked = time.monotonic()

    def __call__(self) -> str | None:
        if any(shutil.disk_usage(folder).free < DISK_RESERVE for folder in self._folders):
            return DISK_IS_FULL
        if time.monotonic() - self._looked < DISK_LOOK_SECONDS:
            return None
        used = [folder_use(folder, self._limits.files) for folder in self._folders]
        self._looked = time.monotonic()
        if sum(size for size, _ in used) > self._limits.disk:
            return f"over its limit of {self._limits.disk} bytes on disk"
        if any(count > self._limits.files for _, count in used):
            return f"over its limit of {self._limits.files} files"
        return None


DISK_IS_FULL = "the disk is full"


# --- what is left on the host --------------------------------------------------------------------


def give(path: Path) -> None:
    """Root's sandboxes are another user: a file or folder that they may write has to be theirs.

    Nobody else can be at work in the folder: whoever calls holds its lock.
    """
    if not _is_root() or path.lstat().st_uid == UID:
        return
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(place, name), UID, UID, follow_symlinks=False)
    os.chown(path, UID, UID, follow_symlinks=False)


def folder_use(folder: Path, most_files: int) -> tuple[int, int]:
    """Bytes and number of files under ``folder``; stops counting over ``most_files``.

    Strangers' code writes there: links are not followed, what vanishes in between does not matter,
    and a folder that cannot be looked into (its path is too long, its mode forbids it) counts as
    too many files, because any number may be hidden there.
    """
    total, files = 0, 0
    pending = [folder]
    while pending and files <= most_files:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    files += 1
                    if files > most_files:
                        break
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512 if stat.S_ISREG(status.st_mode) else 0
                    if stat.S_ISDIR(status.st_mode):
                        pending.append(Path(entry.path))
        except FileNotFoundError:
            continue
        except OSError:
            return total, most_files + 1
    return total, files


def read_left(path: Path, limit: int) -> bytes:
    """A file that a process in the sandbox left behind: regular, no link, not over ``limit`` bytes.

    Raises InfraError for anything else: it may be a link to what the sandbox was not to see.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # to open a device may do something already
            raise InfraError(f"{path.name} was not left as a file")
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InfraError(f"{path.name} was not left as a file ({error.strerror})") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
        os.close(handle)
        raise InfraError(f"{path.name} is not a file of at most {limit} bytes")
    with os.fdopen(handle, "rb") as stream:
        return stream.read(limit)
