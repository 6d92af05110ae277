# SPDX-License-Identifier: GPL-2.0-or-later
"""How virtme-ng is started: one command line for the suite, the benchmark and the probe.

The guest's root is a folder of its own (kverdict/guestroot.py) over 9p, read-only: of the host it
sees a shell and Python.  Its one way out is the results folder.

virtme-ng's ``vng`` glues a shell command from its options and runs it with ``sh -c``; what it
runs in the end is ``virtme.commands.run`` of the same package, which takes an argv list.  So that
is what is started here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kverdict.guestroot import HOST_ROOT, PROGRAMS, RESULTS, SUITE, guest_root
from kverdict.models import Accelerator
from kverdict.sandbox import Bind, Isolation, Sandbox, default_limits, python_command

_BZIMAGE = Path("/bzImage")
# virtme-ng opens its standard output once more, through /proc/self/fd/1: for that it has to be a
# pipe of whoever runs it, and where root started the sandbox ours is root's.
_AS_ITS_OWN = ("sh", "-c", '"$@" 2>&1 | cat', "sh")


@dataclass(frozen=True)
class Machine:
    """The virtual hardware: two CPUs for races, no network card, a serial console."""

    accelerator: Accelerator
    memory_mib: int = 2048
    cpus: int = 2
    count_instructions: bool = False  # virtual time = instructions executed, see docs/boot.md

    def qemu_options(self) -> list[str]:
        """What comes after virtme-ng's own options; QEMU takes the last ``-cpu``."""
        if self.accelerator is Accelerator.KVM:
            return ["-accel", "kvm", "-cpu", "host"]
        if self.count_instructions:
            # TCG runs the kernel's `rep movsb` byte by byte, which would be most of what is
            # counted: without ERMS and FSRM the kernel copies word by word, as measured.
            return [
                *("-accel", "tcg,thread=single"),
                *("-icount", "shift=0,sleep=off"),
                *("-cpu", "max,erms=off,fsrm=off"),
            ]
        # "max" emulates SVM, so kvm_amd comes up and /dev/kvm works in the guest.
        return ["-accel", "tcg", "-cpu", "max"]


@dataclass(frozen=True)
class Session:
    """One boot: the sandbox that QEMU runs in, and virtme-ng's argv there."""

    sandbox: Sandbox
    argv: tuple[str, ...]


def session(
    bzimage: Path,
    script: str,
    *,
    results: Path,
    suite: Path | None,
    machine: Machine,
    kernel_options: tuple[str, ...] = (),
    file_limit: int,
    isolation: Isolation = Isolation.BUBBLEWRAP,
    folders: tuple[Path, ...] = (),
) -> Session:
    """What boots ``bzimage`` in the sandbox, runs the shell ``script`` and powers off.

    ``suite`` is a folder, seen at SUITE in the guest, and ``folders`` below PROGRAMS, by number;
    ``results`` is its only writable one, at RESULTS.  No file that the guest writes grows over
    ``file_limit`` bytes: QEMU writes them with that limit on its own files, so that write() in the
    guest fails with EFBIG (Python, which starts QEMU, has SIGXFSZ ignored).
    """
    root = guest_root() if isolation is Isolation.BUBBLEWRAP else HOST_ROOT
    binds = [Bind(bzimage, _BZIMAGE), Bind(results, RESULTS, writable=True), *root.binds]
    if suite is not None:
        binds.append(Bind(suite, root.inside(SUITE)))
    for number, folder in enumerate(folders):
        binds.append(Bind(folder, root.inside(PROGRAMS / str(number))))
    sandbox = Sandbox(
        binds=tuple(binds),
        kvm=machine.accelerator is Accelerator.KVM,
        python=True,
        folders=root.folders,
        links=root.links,
        limits=replace(default_limits(), file_size=file_limit),
        isolation=isolation,
    )
    virtme = [
        *("--kimg", str(_BZIMAGE)),
        *("--root", str(root.place)),
        *("--mods", "none"),
        *("--memory", f"{machine.memory_mib}M"),
        *("--cpus", str(machine.cpus)),
        "--force-9p",
        # With KVM, virtme-ng says accel=kvm:tcg, which falls back without a word. The accelerator
        # is always named in qemu_options() instead, so that what is reported is what ran.
        "--disable-kvm",
        *("--rwdir", f"{RESULTS}={RESULTS}"),
        "--show-boot-console",
        "--verbose",
        *(word for option in _kernel_options(kernel_options) for word in ("--kopt", option)),
        *("--script-sh", script),
        *(f"--qemu-opt={option}" for option in machine.qemu_options()),
    ]
    return Session(sandbox, (*_AS_ITS_OWN, *python_command("virtme.commands.run", *virtme)))


def _kernel_options(extra: tuple[str, ...]) -> tuple[str, ...]:
    return (
        # Without CONFIG_BLOCK there is no default root: v9fs gets an empty source and the kernel
        # panics for want of an init (init/do_mounts.c, 7.2). /dev/root is virtme-ng's 9p tag.
        "root=/dev/root",
        # As virtme-ng sets them, and cache=loose: nothing changes under a read-only root while it
        # is up, and without it each look-up of an import is a round trip to QEMU (an emulated
        # guest was 2.4 s instead of 14.6 s from init to the suite's first line on a busy host).
        # /results is a mount of its own and stays uncached.
        "rootflags=version=9p2000.L,trans=virtio,access=any,msize=524288,cache=loose",
        "ignore_loglevel",
        "printk.time=1",
        "log_buf_len=4M",
        # After an oops nothing that the guest reports is worth believing. virtme-ng adds panic=-1
        # and -no-reboot, so that a panic ends QEMU at once.
        "oops=panic",
        *extra,
    )
