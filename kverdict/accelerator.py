# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM or TCG: decided by booting, because nothing else tells.

On a nested host /dev/kvm may open and KVM_CREATE_VM may work although no guest runs: QEMU aborts
("failed to set MSR ..."), or the firmware never ends.  So KVM is chosen only when the very kernel
to be tested came up on it and found a /dev/kvm of its own.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from kverdict.errors import InfraError
from kverdict.findings.console import is_kernel_line
from kverdict.guestroot import RESULTS
from kverdict.models import Accelerator, Frozen
from kverdict.proc import Finished
from kverdict.progress import Progress
from kverdict.runs import scratch
from kverdict.sandbox import Isolation
from kverdict.virtme import Machine, session

KVM_DEVICE = Path("/dev/kvm")
PROBE_SECONDS = 25.0
# On KVM the first line of a kernel comes within a second; without one QEMU hangs in the firmware.
_SILENT_SECONDS = 8.0
_CONSOLE_LIMIT = 4 << 20
_ALIVE, _NESTED = "alive", "nested"


class Choice(Frozen):
    accelerator: Accelerator
    why: str  # one line for the report


def choose_accelerator(
    asked: str,
    bzimage: Path,
    progress: Progress,
    isolation: Isolation = Isolation.BUBBLEWRAP,
) -> Choice:
    """``asked`` is "auto", "kvm" or "tcg".

    Raises InfraError when "kvm" is asked for and a guest does not run on it.
    """
    if asked == "tcg":
        return Choice(accelerator=Accelerator.TCG, why="asked for")
    trouble = kvm_trouble(bzimage, progress, isolation)
    if trouble is None:
        return Choice(accelerator=Accelerator.KVM, why="a probe guest booted on it")
    if asked == "kvm":
        raise InfraError(f"KVM was asked for, but {trouble}", "ask for tcg or auto")
    return Choice(accelerator=Accelerator.TCG, why=f"no KVM: {trouble}")


def kvm_trouble(
    bzimage: Path, progress: Progress, isolation: Isolation = Isolation.BUBBLEWRAP
) -> str | None:
    """Why no guest with a /dev/kvm of its own runs on KVM here, None when one did."""
    if not KVM_DEVICE.exists():
        return f"there is no {KVM_DEVICE}"
    if not os.access(KVM_DEVICE, os.R_OK | os.W_OK):
        return f"{KVM_DEVICE} may not be opened by this user"
    with (
        progress.task("  does KVM work here?"),
        scratch(Path(tempfile.gettempdir()), "kverdict-probe-") as folder,
    ):
        return _probe(bzimage, folder, isolation)


def _probe(bzimage: Path, folder: Path, isolation: Isolation) -> str | None:
    results, console = folder / "results", folder / "console.log"
    results.mkdir()
    began = time.monotonic()
    spoke = False

    def hear(line: str) -> None:
        nonlocal spoke
        spoke = spoke or is_kernel_line(line)

    def silent() -> str | None:
        if not spoke and time.monotonic() - began > _SILENT_SECONDS:
            return f"no word from the kernel within {_SILENT_SECONDS:.0f} s"
        return None

    probe = session(
        bzimage,
        f"> {RESULTS / _ALIVE}; test ! -c {KVM_DEVICE} || > {RESULTS / _NESTED}",
        results=results,
        suite=None,
        machine=Machine(Accelerator.KVM, memory_mib=512),
        file_limit=1 << 20,
        isolation=isolation,
    )
    finished = probe.sandbox.stream(
        probe.argv,
        log=console,
        timeout=PROBE_SECONDS,
        log_limit=_CONSOLE_LIMIT,
        on_line=hear,
        watch=silent,
    )
    text = console.read_bytes().decode(errors="backslashreplace")
    return judge_probe(finished, text, (results / _ALIVE).exists(), (results / _NESTED).exists())


def judge_probe(finished: Finished, console: str, alive: bool, nested: bool) -> str | None:
    """Why the probe's guest does not count as running on KVM, None when it does."""
    if alive:
        return None if nested else "the guest has no /dev/kvm (no nested virtualisation)"
    said = [line.strip() for line in console.splitlines() if line.startswith("qemu-system")]
    if said:
        return next((line for line in said if "error:" in line), said[-1])
    return f"a probe guest did not come up ({finished.stopped or 'QEMU ended'})"
