# SPDX-License-Identifier: GPL-2.0-or-later
"""A host full of canaries: what an attack in a build would like to read, write, reach or kill."""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import kverdict
from tests.processes import wait_until

PACKAGE = Path(kverdict.__file__).resolve().parent
_SYSTEM = ("/usr", "/usr/bin", "/usr/local/bin", "/usr/lib", "/etc", "/boot", "/root", "/home", "/")
_KERNEL = ("kernel/core_pattern", "kernel/modprobe", "kernel/hostname", "kernel/randomize_va_space")
# A process that lets anybody trace it, so that only the sandbox can be in an attack's way.
_VICTIM = (
    "import ctypes, time; ctypes.CDLL(None).prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0); "
    "print('ready', flush=True); time.sleep(3600)"
)
_ADD_KEY, _KEYCTL, _JOIN, _SESSION = 248, 250, 1, -3


@dataclass
class Host:
    """``home`` is what $HOME says; all of it is removed in the end."""

    root: Path
    tcp: socket.socket
    udp: socket.socket
    unix: socket.socket
    abstract: socket.socket
    victim: subprocess.Popen[str]
    tmp: Path  # a folder in the host's /tmp
    var_tmp: Path
    secret: str
    mark: str
    before: dict[str, bytes] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def key(self) -> Path:
        return self.home / ".ssh/id_ed25519"

    @property
    def src(self) -> Path:
        return self.root / "slot/src"

    @property
    def obj(self) -> Path:
        return self.root / "slot/obj"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "SSH_AUTH_SOCK": str(self.unix.getsockname()),
            "GITHUB_TOKEN": f"ghp_{self.secret}",
        }

    def places(self, *, outside: bool) -> dict[str, str | int | bool]:
        """The variables of every attack's prelude."""
        return {
            "key": str(self.key),
            "homes": str(self.home) if outside else "/root /home/*",
            "pids": str(self.victim.pid) if outside else f"{self.victim.pid} `ls /proc`",
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "unix": str(self.unix.getsockname()),
            "abstract": self.mark,
            "in_tmp": str(self.tmp / "file"),
            "in_var_tmp": str(self.var_tmp / "file"),
            "neighbour": str(self.root / "other-run"),
            "cache": str(self.root / "cache"),
            "src": str(self.src),
            "obj": str(self.root / "outside") if outside else "/obj",
            "package": str(PACKAGE),
            "packages": sysconfig.get_path("purelib"),
            "victim": self.victim.pid,
            "mark": self.mark,
            "outside": outside,
        }

    def remember(self) -> None:
        """What the files are like now; ``touched`` compares with it."""
        self.before = dict(self._files())

    def touched(self) -> list[str]:
        """What an attack reached since ``remember``, each in a few words."""
        after = dict(self._files())
        changed = {name for name, said in after.items() if self.before.get(name) != said}
        found = [
            f"{name} changed" for name in sorted(changed | (self.before.keys() - after.keys()))
        ]
        found += [f"{name} was written to" for name in self._called()]
        if self.victim.poll() is not None:
            found.append("the victim was killed")
        places = (*map(Path, _SYSTEM), PACKAGE, Path(sysconfig.get_path("purelib")))
        found += [f"{path} was made" for place in places for path in place.glob(f"{self.mark}*")]
        return found

    def touched_within(self, seconds: float) -> list[str]:
        """``touched``, with time for what goes on after an attack: who is killed dies later."""
        until = time.monotonic() + seconds
        while not (found := self.touched()) and time.monotonic() < until:
            time.sleep(0.05)
        return found

    def _files(self) -> Iterator[tuple[str, bytes]]:
        places = (self.home, self.root / "other-run", self.root / "cache", self.src, self.tmp)
        for place in (*places, self.var_tmp):
            for folder, _, files in os.walk(place):
                yield folder, f"{os.lstat(folder).st_mode:o}".encode()
                for name in files:
                    path = Path(folder, name)
                    status = path.lstat()
                    content = path.read_bytes() if path.is_file() else b""
                    yield str(path), f"{status.st_mode:o} {status.st_nlink}".encode() + content
        for name in _KERNEL:
            with suppress(FileNotFoundError):
                yield f"/proc/sys/{name}", Path("/proc/sys", name).read_bytes()

    def _called(self) -> Iterator[str]:
        for name, listener in (("tcp", self.tcp), ("unix", self.unix), ("abstract", self.abstract)):
            with suppress(BlockingIOError):
                listener.accept()[0].close()
                yield name
        with suppress(BlockingIOError):
            self.udp.recv(4096)
            yield "udp"

    def still_at_work(self, seconds: float = 10) -> list[str]:
        """Processes that have our object tree bound, after they had time to end."""
        wait_until(lambda: not any(users_of(self.root / "slot")), seconds)
        return list(users_of(self.root / "slot"))

    def leaks(self, *folders: Path) -> str:
        """Files under ``folders`` that hold the secret."""
        search = ["grep", "-l", "-a", "-F", "-e", self.secret]
        argv = [
            "find",
            *map(str, folders),
            "-type",
            "f",
            "-size",
            "-64M",
            "-exec",
            *search,
            "{}",
            "+",
        ]
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


def users_of(folder: Path) -> Iterator[str]:
    """Processes in whose mount namespace something of ``folder`` is bound."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mounts = (process / "mountinfo").read_text().splitlines()
            if any(str(folder) in line.split()[3] for line in mounts):
                yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()


@contextmanager
def host(root: Path) -> Iterator[Host]:
    """A host with a home folder, services, a process, other runs; gone in the end."""
    secret, mark = f"canary-{secrets.token_hex(8)}", f"kverdict-hostile-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        folders = [Path(tempfile.mkdtemp(prefix=mark, dir=place)) for place in ("/tmp", "/var/tmp")]
        for folder in folders:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            folder.chmod(0o777)
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(folders[0] / "agent"))  # a short path: sun_path has 108 bytes
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind("\0" + mark)
        tcp = socket.create_server(("", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("", 0))
        for listener in (unix, abstract, tcp, udp):
            stack.enter_context(listener)
            listener.setblocking(False)
        for listener in (unix, abstract):
            listener.listen()
        Path(unix.getsockname()).chmod(0o777)
        victim = stack.enter_context(_victim(secret))
        tmp, var_tmp = folders
        made = Host(root, tcp, udp, unix, abstract, victim, tmp, var_tmp, secret, mark)
        _fill(made)
        _offer_key(secret)
        yield made


@contextmanager
def _victim(secret: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", _VICTIM]
    env = {"SECRET_OF_ANOTHER": secret}
    with subprocess.Popen(
        argv, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def _fill(host: Host) -> None:
    """Files that anybody may read and write, so that only the sandbox is in the way."""
    texts = {
        host.key: f"-----BEGIN OPENSSH PRIVATE KEY-----\n{host.secret}\n",
        host.tmp / "file": host.secret,
        host.var_tmp / "file": host.secret,
        host.root / "other-run/file": host.secret,
        host.root / "other-run/arch/x86/boot/bzImage": host.secret,
        host.root / "cache/file": host.secret,
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o666)
        path.parent.chmod(0o777)


def _offer_key(secret: str) -> None:
    """A key in a session keyring of our own: a login session may hold Kerberos tickets there."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_KEYCTL, _JOIN, None)
    text = secret.encode()
    kept = libc.syscall(_ADD_KEY, b"user", b"kverdict-test", text, len(text), _SESSION)
    assert kept > 0, os.strerror(ctypes.get_errno())
