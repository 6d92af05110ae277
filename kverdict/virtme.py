# SPDX-License-Identifier: GPL-2.0-or-later
"""How virtme-ng is started: one command line for the suite, the benchmark and the probe.

The guest's root is the sandbox's root over 9p, read-only: the guest sees what was bound into the
sandbox and nothing else of the host.  Its one way out is the results folder.

virtme-ng's ``vng`` glues a shell command from its options and runs it with ``sh -c``; what it
runs in the end is ``virtme.commands.run`` of the same package, which takes an argv list.  So that
is what is started here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from kverdict.models import Accelerator
from kverdict.sandbox import Bind, Sandbox, python_command

RESULTS = Path("/results")
SUITE = Path("/kverdict/guest")
_BZIMAGE = Path("/bzImage")
_EMPTY = (
    # virtme-ng's init mounts sysfs, debugfs and tracefs where there is a /sys; it cannot make one.
    Path("/sys"),
    # Holds systemd-udevd on some machines, which virtme-ng's init would start and wait for: 2.4 s
    # of an emulated boot of 5 s, for devices that no case uses.
    Path("/usr/lib/systemd"),
)
_SYSTEM_PYTHON = Path("/usr/bin/python3")


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


def command(
    bzimage: Path,
    script: str,
    *,
    results: Path,
    suite: Path | None,
    machine: Machine,
    kernel_options: tuple[str, ...] = (),
    file_limit: int,
) -> list[str]:
    """The argv that boots ``bzimage`` in the sandbox, runs the shell ``script`` and powers off.

    ``suite`` is bound at /kverdict/guest, ``results`` read-write at /results.  No file that the
    guest writes grows over ``file_limit`` bytes.  Raises ToolMissing without bubblewrap.
    """
    binds = [Bind(bzimage, _BZIMAGE), Bind(results, RESULTS, writable=True)]
    if suite is not None:
        binds.append(Bind(suite, SUITE))
    sandbox = Sandbox(
        binds=tuple(binds),
        kvm=machine.accelerator is Accelerator.KVM,
        python=True,
        empty=_EMPTY,
    )
    virtme = [
        *("--kimg", str(_BZIMAGE)),
        *("--mods", "none"),
        *("--memory", f"{machine.memory_mib}M"),
        *("--cpus", str(machine.cpus)),
        "--force-9p",
        # With KVM, virtme-ng says accel=kvm:tcg, which falls back without a word. The accelerator
        # is always named in qemu_options() instead, so that what is reported is what ran.
        "--disable-kvm",
        *("--rwdir", str(RESULTS)),
        "--show-boot-console",
        "--verbose",
        *(word for option in _kernel_options(kernel_options) for word in ("--kopt", option)),
        *("--script-sh", script),
        *(f"--qemu-opt={option}" for option in machine.qemu_options()),
    ]
    # QEMU writes the guest's files with its own limit on file size: write() in the guest fails
    # with EFBIG (Python, which starts QEMU, has SIGXFSZ ignored).
    return [
        *("prlimit", f"--fsize={file_limit}", "--"),
        *sandbox.wrap(python_command("virtme.commands.run", *virtme)),
    ]


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


def guest_python() -> Path:
    """The interpreter that runs the suite: the system's, else the base of this one."""
    if _SYSTEM_PYTHON.exists():
        return _SYSTEM_PYTHON
    base = getattr(sys, "_base_executable", sys.executable)
    return Path(base).resolve()
