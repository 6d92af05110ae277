# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus: programs in the suite's place in a real guest, where they are root.

``LOOKS`` share one boot: each looks for something or tries something, and reports what came of it;
``holds`` says whether that is as it should be.  ``ENDS`` stop, fill or break the guest, so each
boot has its own end.  The table in tests/hostile/README.md is made of these words.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kverdict.findings.suite import list_cases
from kverdict.models import GuestEnd

CASES = tuple(case.id for case in list_cases())[:2]

# What an honest suite would report first, and helpers for the rest.
PRELUDE = f"""
import ctypes, json, os, signal, socket, stat, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
CASES = {list(CASES)!r}
out = os.open("/results/results.jsonl", os.O_WRONLY | os.O_CREAT)
def put(**event):
    os.write(out, json.dumps(event).encode() + b"\\n")
def log(text, place="/dev/kmsg"):
    with open(place, "w") as console:
        console.write(text + "\\n")
def attempt(function, *arguments):
    # None when it worked, else what is in the way
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return None
def mount(source, target, kind, flags, data):
    arguments = [None if word is None else word.encode() for word in (source, target, kind, data)]
    if libc.mount(*arguments[:3], flags, arguments[3]):
        raise OSError(ctypes.get_errno(), "mount")
def read(path):
    try:
        return open(path, "rb").read(100_000).decode(errors="backslashreplace")
    except OSError as error:
        return str(error)
def pass_everything():
    for case in CASES:
        put(event="start", case=case)
        put(event="end", case=case, outcome="pass", message="", seconds=0.1)
put(event="hello", version=1, release=os.uname().release, build_id=None, cmdline="",
    config_digest=None, kvm=False, python="")
put(event="plan", cases=CASES)
"""

# --- one boot: what a guest can see and reach ---------------------------------------------------


@dataclass(frozen=True)
class Look:
    """``program`` sets ``found``; HOST is a folder of the host with a secret in it."""

    name: str
    tries: str
    meets: str
    program: str
    holds: Callable[[Any], bool]


def _only(*allowed: str) -> Callable[[Any], bool]:
    return lambda found: set(found) <= set(allowed)


def _refused(found: Any) -> bool:
    """No attempt worked, and there was one."""
    return bool(found) and all(number is not None for number in found.values())


LOOKS = (
    Look(
        "top-of-the-root",
        "lists / for folders of the host",
        "it finds a root of its own, with empty folders where the host keeps things",
        """
found = os.listdir("/") + [f"{d}/{n}" for d in ("/root", "/home", "/mnt", "/var", "/tmp")
                           if os.path.isdir(d) for n in os.listdir(d)]
""",
        _only(
            *("bin", "sbin", "lib", "lib64", "usr", "etc", "dev", "proc", "sys", "run", "tmp"),
            *("var", "root", "home", "mnt", "results", "kverdict"),
            *("/var/log", "/var/tmp", "/var/lib", "/var/spool", "/var/cache"),
        ),
    ),
    Look(
        "programs",
        "looks for the host's programs: compilers, ssh, git, sudo",
        "it finds Python, bash, readlink and busybox under its names",
        """
found = sorted({os.path.basename(os.path.realpath(os.path.join(d, n)))
                for d in ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin")
                if os.path.isdir(d) for n in os.listdir(d)})
""",
        lambda found: (
            "busybox" in found
            and all(
                name.startswith("python") or name in ("busybox", "bash", "readlink")
                for name in found
            )
        ),
    ),
    Look(
        "accounts",
        "reads /etc/passwd, /etc/shadow, ssh's host keys and the host's name",
        "there are none of the host's",
        """
found = {n: read(n) for n in ("/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/etc/machine-id",
                              "/etc/sudoers", "/root/.ssh/id_ed25519")}
found["/etc/passwd"] = read("/etc/passwd")
found = {n: text for n, text in found.items() if "No such file" not in text and n != "/etc/passwd"
         or len(text.splitlines()) > 2}
""",
        lambda found: found == {},
    ),
    Look(
        "secret-by-its-path",
        "reads a file of the host by its absolute path, and by paths through ..",
        "there is no such file",
        """
found = {}
for path in (f"{HOST}/secret", f"/results/../{HOST}/secret", "/results/../../secret",
             f"/proc/1/root{HOST}/secret", "/../../../../etc/shadow"):
    found[path] = attempt(open, path, "rb")
""",
        _refused,
    ),
    Look(
        "secret-through-a-link",
        "makes links to it in the results folder and reads through them",
        "a link is resolved in the guest, where there is no such file",
        """
found = {}
for number, target in enumerate((f"{HOST}/secret", "../secret", "../../secret", "/etc/shadow")):
    link = f"/results/link{number}"
    os.symlink(target, link)
    found[target] = attempt(open, link, "rb")
""",
        _refused,
    ),
    Look(
        "paths-in-what-the-kernel-tells",
        "looks for folders of the host in mounts, the command line and 9p's tags",
        "none of them names the host's folders",
        """
names = ("mounts", "self/mountinfo", "cmdline", "1/environ", "self/environ", "config.gz")
texts = [read(f"/proc/{name}") for name in names] + [read("/results/facts.json")]
found = [text for text in texts if HOST in text or "/home/" in text or ".ssh" in text]
""",
        lambda found: found == [],
    ),
    Look(
        "writes-to-the-root",
        "remounts / for writing, and writes, renames, removes and links everywhere",
        "the host's side refuses, whatever the guest believes",
        """
for flags in (32, 32 | 4096):  # MS_REMOUNT, MS_BIND
    attempt(mount, None, "/", None, flags, None)
found = {}
for place in ("/new", "/usr/new", "/usr/bin/new", "/etc/new", "/kverdict/guest/new",
              "/kverdict/guest/__main__.py", "/usr/bin/busybox"):
    found[place] = attempt(open, place, "ab")
found["rename"] = attempt(os.rename, "/usr/bin/busybox", "/usr/bin/sh2")
found["unlink"] = attempt(os.unlink, "/kverdict/guest/__main__.py")
found["chmod"] = attempt(os.chmod, "/usr/bin/busybox", 0o4777)
found["chown"] = attempt(os.chown, "/kverdict/guest/__main__.py", 1, 1)
found["link"] = attempt(os.link, "/usr/bin/busybox", "/results/busybox")
""",
        _refused,
    ),
    Look(
        "device-nodes",
        "makes nodes of disks and memory in the results folder",
        "no device node comes to be on the host",
        """
found = {}
for major in (1, 7, 8, 253, 254, 259):
    for kind in (stat.S_IFBLK, stat.S_IFCHR):
        node = f"/results/node-{kind}-{major}"
        found[node] = attempt(os.mknod, node, kind | 0o666, os.makedev(major, 0))
""",
        lambda found: len(found) == 12,  # whether it worked in the guest's eyes does not matter
    ),
    Look(
        "odd-files",
        "leaves FIFOs, sockets, set-uid programs, immutable files, names that bite",
        "they are on the host as plain a thing as they can be, and can be removed",
        """
found = {"fifo": attempt(os.mkfifo, "/results/fifo")}
found["socket"] = attempt(os.mknod, "/results/socket", stat.S_IFSOCK | 0o666)
with open("/results/rootsh", "wb") as program:
    program.write(open("/usr/bin/busybox", "rb").read(4096))
found["chown"] = attempt(os.chown, "/results/rootsh", 0, 0)
found["suid"] = attempt(os.chmod, "/results/rootsh", 0o6755)
found["caps"] = attempt(os.setxattr, "/results/rootsh", "security.capability",
                        bytes.fromhex("0100000200000000ffffffff00000000ffffffff"))
import fcntl
handle = os.open("/results/rootsh", os.O_RDONLY)
found["immutable"] = attempt(fcntl.ioctl, handle, 0x40086602, b"\\x10" + bytes(7))
for name in (b"a\\nb", b"\\x1b[2J", b"\\xff\\xfe", b"n" * 255, b"-rf"):
    os.close(os.open(b"/results/" + name, os.O_CREAT | os.O_WRONLY))
""",
        lambda found: found["immutable"] is not None and found["caps"] is not None,
    ),
    Look(
        "sparse-giant",
        "makes a sparse file of 1 TB in the results folder",
        "a file ends at the limit",
        """
handle = os.open("/results/giant", os.O_CREAT | os.O_RDWR)
found = {"truncate": attempt(os.ftruncate, handle, 1 << 40),
         "write": attempt(os.pwrite, handle, b"x", 1 << 40),
         "size": os.fstat(handle).st_size}
""",
        lambda found: (
            found["size"] == 0
            and {found["truncate"], found["write"]} <= {errno.EFBIG, errno.EINVAL, errno.EIO}
        ),
    ),
    Look(
        "network",
        "looks for network interfaces, and for a way to the hypervisor by vsock",
        "it has its own loopback and nothing else",
        """
found = [n for _, n in socket.if_nameindex()]
try:
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    found.append("vsock")
except OSError:
    pass
""",
        _only("lo"),
    ),
    Look(
        "devices",
        "looks for disks, network cards and other ways out among PCI and virtio devices",
        "no disk, no network card, no vsock: virtio devices are 9p, console, entropy at most",
        """
import glob
found = {
    "disks": os.listdir("/sys/block") if os.path.isdir("/sys/block") else [],
    "pci": [read(n + "/class").strip() for n in glob.glob("/sys/bus/pci/devices/*")],
    "virtio": [read(n + "/device").strip() for n in glob.glob("/sys/bus/virtio/devices/*")],
}
""",
        lambda found: (
            [name for name in found["disks"] if not name.startswith(("loop", "ram"))] == []
            and not [name for name in found["pci"] if name.startswith("0x02")]
            # linux/virtio_ids.h: 3 console, 4 entropy, 9 9p
            and set(found["virtio"]) <= {"0x0003", "0x0004", "0x0009"}
        ),
    ),
    Look(
        "other-exports",
        "lets go of its results and mounts the 9p exports with other roots: /, .., the host's",
        "it gets the results folder again, whatever it asks for",
        """
import glob
tags = [open(n).read().strip("\\0\\n ") for n in glob.glob("/sys/bus/virtio/devices/*/mount_tag")]
before = set(os.listdir("/results"))
options = "version=9p2000.L,trans=virtio,access=any"
os.makedirs("/tmp/m", exist_ok=True)
for number in (0, 1, 2):
    os.dup2(os.open("/dev/null", os.O_RDWR), number)
os.closerange(3, 1024)
os.chdir("/")
found = {"tags": len(tags), "mounted": 0, "seen": [], "busy": libc.umount2(b"/results", 0)}
for tag in tags:
    for aname in ("/", "..", "../..", "/..", "/etc", HOST):
        if attempt(mount, tag, "/tmp/m", "9p", 0, f"{options},aname={aname}") is None:
            found["mounted"] += 1
            if set(os.listdir("/tmp/m")) != before or os.path.exists(f"/tmp/m/../{HOST}/secret"):
                found["seen"].append([tag, aname, os.listdir("/tmp/m")])
            libc.umount2(b"/tmp/m", 0)
    if attempt(mount, tag, "/results", "9p", 0, options) is None:
        if set(os.listdir("/results")) != before:
            found["seen"].append([tag, "", os.listdir("/results")])
            libc.umount2(b"/results", 0)
out = os.open("/results/results.jsonl", os.O_WRONLY | os.O_APPEND)
""",
        lambda found: (
            found["tags"] == 3
            and found["busy"] == 0
            and found["mounted"] >= 6
            and found["seen"] == []
        ),
    ),
    Look(
        "replaced-results",
        "replaces results.jsonl by a link to the host's secret, when it has said `done`",
        "the link is not followed; the guest counts as lost",
        """
pass_everything()
put(event="done")
os.unlink("/results/results.jsonl")
os.symlink(f"{HOST}/secret", "/results/results.jsonl")
found = True
""",
        lambda found: found is True,
    ),
)


def looks_program(host: str) -> str:
    """All of LOOKS in one program; what they found is in /results/found.json at the end."""
    parts = [PRELUDE, f"HOST = {host!r}", "told = {}"]
    for look in LOOKS:
        parts += [
            "found = None",
            "try:",
            *(f"    {line}" for line in look.program.strip().splitlines()),
            "except Exception as error:",
            "    found = f'{type(error).__name__}: {error}'",
            f"told[{look.name!r}] = found",
        ]
    return "\n".join([*parts, "json.dump(told, open('/results/found.json', 'w'))", ""])


# --- a boot each: how a guest can end -----------------------------------------------------------


@dataclass(frozen=True)
class End:
    """``ends`` are the ways in which the guest may end, all of them told."""

    name: str
    tries: str
    meets: str
    program: str
    ends: tuple[GuestEnd, ...]
    limits: dict[str, float] = field(default_factory=dict)
    passes: int = 0


ENDS = (
    End(
        "fills-its-results",
        "writes a giant file until it may not, nests folders 1,500 deep, then files without end",
        "a file ends at the limit, and the guest is ended: it filled its results folder",
        """
with open("/results/big", "wb") as big:
    try:
        while True: big.write(bytes(1 << 20)); big.flush()
    except OSError: pass
os.chdir("/results")
for _ in range(1500):
    os.mkdir("d"); os.chdir("d")
n = 0
while True:
    n += 1
    with open(f"/results/{n}", "wb") as more: more.write(bytes(1 << 20))
""",
        (GuestEnd.RESULTS_FULL,),
        {"results_bytes": 8 << 20},
    ),
    End(
        "prints-without-end",
        "prints control sequences and forged words to the console and the kernel's log for ever",
        "the guest is ended: it printed without end; what is shown of it has no control characters",
        """
bite = "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202e kverdict: verdict: good" + "x" * 800
try:
    console = open("/dev/console", "w")
except OSError:
    console = open("/dev/kmsg", "w")
while True:
    try:
        console.write(bite + "\\r\\n"); console.flush()
    except OSError: pass
    log(bite)
""",
        (GuestEnd.CONSOLE_FULL,),
        {"console_bytes": 1 << 20},
    ),
    End(
        "uses-up",
        "takes all memory, asks 9p without a break from many threads, and forks without end",
        "the guest is ended by a time limit, or by its own kernel; the host lives on",
        """
hog = os.fork()
if hog == 0:
    hoard = []
    while True: hoard.append(bytearray(b"x") * (16 << 20))
def flood():
    while True:
        try:
            os.listdir("/results"); os.stat("/results/nothing")
        except OSError: pass
for _ in range(8):
    threading.Thread(target=flood, daemon=True).start()
time.sleep(3)
while True:
    try: os.fork()
    except OSError: pass
""",
        (GuestEnd.TIMEOUT, GuestEnd.SILENCE, GuestEnd.PANIC, GuestEnd.LOST),
        {"whole": 6, "silence": 4, "case": 6},
    ),
    End(
        "reboots",
        "every case passes, and the machine is rebooted at once (reboot -f)",
        "the guest ended without a word of being done",
        """
pass_everything()
os.sync()
libc.reboot(0x1234567)
time.sleep(60)
""",
        (GuestEnd.LOST,),
        passes=2,
    ),
    End(
        "powers-off",
        "every case passes, and the machine is switched off (SysRq o)",
        "the guest ended without a word of being done",
        """
pass_everything()
log("o", "/proc/sysrq-trigger")
time.sleep(60)
""",
        (GuestEnd.LOST,),
        passes=2,
    ),
    End(
        "halts",
        "every case passes and the suite is done, and the machine halts for ever (halt -f)",
        "the guest is ended: silent for too long",
        """
pass_everything()
put(event="done")
libc.reboot(ctypes.c_uint(0xCDEF0123))
time.sleep(1e6)
""",
        (GuestEnd.SILENCE,),
        {"silence": 2},
        passes=2,
    ),
    End(
        "overwrites-its-kernel",
        "every case passes and the suite is done; then it writes over memory and crashes (SysRq c)",
        "the guest ended in a panic",
        """
pass_everything()
put(event="done")
for name in ("/dev/mem", "/dev/port", "/dev/kvm", "/dev/vda", "/dev/nvram"):
    try:
        with open(name, "r+b", buffering=0) as device: device.write(bytes(4096))
    except OSError: pass
log("c", "/proc/sysrq-trigger")
time.sleep(60)
""",
        (GuestEnd.PANIC,),
        passes=2,
    ),
    End(
        "kills-its-parents",
        "kills every process of the guest, its own parents first, and sleeps for ever",
        "the guest is ended: silent for too long, or lost, or its kernel misses init",
        """
put(event="start", case=CASES[0])
for sig in (signal.SIGSTOP, signal.SIGKILL):
    for pid in (os.getppid(), -1, 1):
        try: os.kill(pid, sig)
        except OSError: pass
time.sleep(1e6)
""",
        (GuestEnd.SILENCE, GuestEnd.LOST, GuestEnd.PANIC),
        {"silence": 2},
    ),
)
